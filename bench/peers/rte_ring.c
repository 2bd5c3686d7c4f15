/* SPDX-License-Identifier: MIT */
/*
 * DPDK's ring for one producer and one consumer, with messages by value, in memory of both
 * processes and without DPDK's environment. Batches go through its bulk call.
 */
#include <rte_ring.h>
#include <rte_ring_elem.h>

#include "../payload.h"
#include "../peer.h"

enum {
    BATCH_MAX = 256,
};

struct message {
    uint64_t words[SMALL_WORDS];
};

struct end {
    struct rte_ring *ring;
    uint64_t got; /* the first word of a message that was wrong */
};

static int end_open(struct role *role, int direction, int sends, struct end *end)
{
    uint64_t capacity = role->test->capacity;
    end->ring =
        (struct rte_ring *)(void *)(role->memory + (uint64_t)direction * (capacity * 64 + 65536));
    if (!sends) /* it looks only after both have met */
        return ROLE_OK;
    int error =
        rte_ring_init(end->ring, "bench", (unsigned)capacity, RING_F_SP_ENQ | RING_F_SC_DEQ);
    return error == 0 ? ROLE_OK : role_fail(role, "rte_ring_init: %d", error);
}

static inline int end_send(struct end *end, uint64_t number)
{
    struct message message;
    small_fill(message.words, number);
    return rte_ring_sp_enqueue_elem(end->ring, &message, sizeof(message)) == 0;
}

static inline int end_send_batch(struct end *end, uint64_t from, uint64_t count)
{
    struct message messages[BATCH_MAX];
    if (count > BATCH_MAX)
        count = BATCH_MAX;
    for (uint64_t i = 0; i < count; i++)
        small_fill(messages[i].words, from + i);
    return (int)rte_ring_sp_enqueue_bulk_elem(end->ring, messages, sizeof(messages[0]),
                                              (unsigned)count, NULL);
}

static inline int end_receive(struct end *end, uint64_t from, uint32_t most)
{
    struct message messages[BATCH_MAX];
    if (most > BATCH_MAX)
        most = BATCH_MAX;
    uint32_t count =
        rte_ring_sc_dequeue_burst_elem(end->ring, messages, sizeof(messages[0]), most, NULL);
    for (uint32_t i = 0; i < count; i++)
        if (small_differs(messages[i].words, from + i) != 0) {
            end->got = messages[i].words[0];
            return -1;
        }
    return (int)count;
}

static void end_close(struct end *end)
{
    (void)end;
}

#include "loops.h"
