/* SPDX-License-Identifier: MIT */
/*
 * Concurrency Kit's ring for one producer and one consumer, with messages by value, in memory of
 * both processes. It has no call for several messages: a batch is as many calls.
 */
#include <ck_ring.h>

#include "../payload.h"
#include "../peer.h"

struct message {
    uint64_t words[SMALL_WORDS];
};

CK_RING_PROTOTYPE(message, message)

struct end {
    ck_ring_t *ring;
    struct message *buffer;
    uint64_t got; /* the first word of a message that was wrong */
};

static int end_open(struct role *role, int direction, int sends, struct end *end)
{
    uint64_t capacity = role->test->capacity;
    unsigned char *memory = role->memory + (uint64_t)direction * (capacity * 64 + 65536);
    end->ring = (ck_ring_t *)(void *)memory;
    end->buffer = (struct message *)(void *)(memory + 65536);
    if (sends) /* the other one looks only after both have met */
        ck_ring_init(end->ring, (unsigned)capacity);
    return ROLE_OK;
}

static inline int end_send(struct end *end, uint64_t number)
{
    struct message message;
    small_fill(message.words, number);
    return ck_ring_enqueue_spsc_message(end->ring, end->buffer, &message);
}

static inline int end_send_batch(struct end *end, uint64_t from, uint64_t count)
{
    uint64_t sent = 0;
    while (sent < count && end_send(end, from + sent))
        sent++;
    return (int)sent;
}

static inline int end_receive(struct end *end, uint64_t from, uint32_t most)
{
    struct message message;
    uint32_t count = 0;
    for (; count < most && ck_ring_dequeue_spsc_message(end->ring, end->buffer, &message); count++)
        if (small_differs(message.words, from + count) != 0) {
            end->got = message.words[0];
            return -1;
        }
    return (int)count;
}

static void end_close(struct end *end)
{
    (void)end;
}

#include "loops.h"
