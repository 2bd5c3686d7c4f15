/* SPDX-License-Identifier: MIT */
/*
 * A POSIX message queue, as long as the kernel lets it be. Both sides block; there is no call for
 * several messages.
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>

#include "../payload.h"
#include "../peer.h"

struct end {
    mqd_t queue;
    uint64_t got; /* the first word of a message that was wrong */
};

static long longest(void)
{
    long slots = 10;
    FILE *limit = fopen("/proc/sys/fs/mqueue/msg_max", "re");
    if (limit == NULL)
        return slots;
    if (fscanf(limit, "%ld", &slots) != 1)
        slots = 10;
    fclose(limit);
    return slots;
}

static int end_open(struct role *role, int direction, int sends, struct end *end)
{
    char name[PEER_PATH_MAX];
    struct mq_attr shape = {.mq_maxmsg = longest(), .mq_msgsize = SMALL_BYTES};
    snprintf(name, sizeof(name), "/%s", role->bus[direction]);
    end->queue = mq_open(name, (sends ? O_WRONLY : O_RDONLY) | O_CREAT | O_CLOEXEC, 0600, &shape);
    return end->queue != (mqd_t)-1 ? ROLE_OK : role_fail(role, "mq_open: %s", strerror(errno));
}

static inline int end_send(struct end *end, uint64_t number)
{
    uint64_t words[SMALL_WORDS];
    small_fill(words, number);
    return mq_send(end->queue, (const char *)words, SMALL_BYTES, 0) == 0 ? 1 : -1;
}

static inline int end_send_batch(struct end *end, uint64_t from, uint64_t count)
{
    (void)count;
    return end_send(end, from);
}

static inline int end_receive(struct end *end, uint64_t from, uint32_t most)
{
    uint64_t words[SMALL_WORDS];
    (void)most;
    ssize_t bytes = mq_receive(end->queue, (char *)words, SMALL_BYTES, NULL);
    if (bytes == SMALL_BYTES && small_differs(words, from) == 0)
        return 1;
    end->got = words[0];
    return -1;
}

static void end_close(struct end *end)
{
    mq_close(end->queue);
}

#include "loops.h"
