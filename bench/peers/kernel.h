/* SPDX-License-Identifier: MIT */
/*
 * What the peers that are streams of bytes in the kernel share: a batch is one write, and a read
 * takes as many whole messages as there are. Both block.
 */
#ifndef BENCH_PEERS_KERNEL_H
#define BENCH_PEERS_KERNEL_H

#include <errno.h>
#include <unistd.h>

#include "../payload.h"
#include "../peer.h"

enum {
    BATCH_MAX = 256,
};

struct end {
    int file;
    uint64_t got; /* the first word of a message that was wrong */
};

static inline int end_send_batch(struct end *end, uint64_t from, uint64_t count)
{
    uint64_t words[BATCH_MAX][SMALL_WORDS];
    if (count > BATCH_MAX)
        count = BATCH_MAX;
    for (uint64_t i = 0; i < count; i++)
        small_fill(words[i], from + i);
    for (size_t at = 0; at < count * SMALL_BYTES;) {
        ssize_t wrote =
            write(end->file, (const char *)words + at, (size_t)(count * SMALL_BYTES) - at);
        if (wrote < 0)
            return -1;
        at += (size_t)wrote;
    }
    return (int)count;
}

static inline int end_send(struct end *end, uint64_t number)
{
    return end_send_batch(end, number, 1);
}

static inline int end_receive(struct end *end, uint64_t from, uint32_t most)
{
    uint64_t words[BATCH_MAX][SMALL_WORDS];
    size_t room = (most < BATCH_MAX ? most : BATCH_MAX) * (size_t)SMALL_BYTES, at = 0;
    do {
        /* What begins as part of a message is read on to that message's end. */
        size_t wanted = at == 0 ? room : SMALL_BYTES - at % SMALL_BYTES;
        ssize_t got = read(end->file, (char *)words + at, wanted);
        if (got <= 0)
            return -1;
        at += (size_t)got;
    } while (at % SMALL_BYTES != 0);
    for (uint64_t i = 0; i < at / SMALL_BYTES; i++)
        if (small_differs(words[i], from + i) != 0) {
            end->got = words[i][0];
            return -1;
        }
    return (int)(at / SMALL_BYTES);
}

static void end_close(struct end *end)
{
    if (end->file > 0)
        close(end->file);
    end->file = -1;
}

#endif
