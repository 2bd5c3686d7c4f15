/* SPDX-License-Identifier: MIT */
/*
 * nng over ipc, a pair of sockets for each direction, handing messages over without a copy of its
 * own. Both sides block: its threads share their processors.
 */
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>
#include <nng/supplemental/util/platform.h>
#include <stdio.h>

#include "../payload.h"
#include "../peer.h"

struct end {
    nng_socket socket;
    uint64_t got; /* the first word of a message that was wrong */
};

static int end_open(struct role *role, int direction, int sends, struct end *end)
{
    char path[PEER_PATH_MAX], address[PEER_PATH_MAX + 8];
    peer_path(role->folder, role->bus[direction], path);
    snprintf(address, sizeof(address), "ipc://%s", path);
    int error = nng_pair0_open(&end->socket);
    if (error == 0)
        error = nng_socket_set_int(end->socket, NNG_OPT_SENDBUF, 8192);
    if (error == 0)
        error = nng_socket_set_int(end->socket, NNG_OPT_RECVBUF, 8192);
    if (error == 0)
        error = sends ? nng_dial(end->socket, address, NULL, NNG_FLAG_NONBLOCK)
                      : nng_listen(end->socket, address, NULL, 0);
    return error == 0 ? ROLE_OK : role_fail(role, "%s: %s", address, nng_strerror(error));
}

static inline int end_send(struct end *end, uint64_t number)
{
    nng_msg *message;
    if (nng_msg_alloc(&message, SMALL_BYTES) != 0)
        return -1;
    small_fill(nng_msg_body(message), number);
    if (nng_sendmsg(end->socket, message, 0) == 0)
        return 1;
    nng_msg_free(message);
    return -1;
}

static inline int end_send_batch(struct end *end, uint64_t from, uint64_t count)
{
    (void)count;
    return end_send(end, from);
}

static inline int end_receive(struct end *end, uint64_t from, uint32_t most)
{
    nng_msg *message;
    (void)most;
    if (nng_recvmsg(end->socket, &message, 0) != 0)
        return -1;
    const uint64_t *words = nng_msg_body(message);
    int good = nng_msg_len(message) == SMALL_BYTES && small_differs(words, from) == 0;
    end->got = good ? 0 : words[0];
    nng_msg_free(message);
    return good ? 1 : -1;
}

/* A socket that is closed drops what it has not sent: what was sent gets a moment. */
static void end_close(struct end *end)
{
    nng_msleep(200);
    nng_close(end->socket);
}

#include "loops.h"
