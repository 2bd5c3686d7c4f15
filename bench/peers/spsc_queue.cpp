/* SPDX-License-Identifier: MIT */
/*
 * Boost's lock-free queue for one producer and one consumer, of fixed capacity, in memory of both
 * processes. The consumer takes messages in place, by consume_one.
 */
#include <boost/lockfree/spsc_queue.hpp>
#include <new>

extern "C" {
#include "../payload.h"
#include "../peer.h"
}

enum {
    SLOTS = 65536, /* as the rings have; a fixed one is what shared memory takes */
    BATCH_MAX = 256,
};

struct message {
    uint64_t words[SMALL_WORDS];
};

typedef boost::lockfree::spsc_queue<message, boost::lockfree::capacity<SLOTS - 1>> queue;

struct end {
    queue *messages;
    uint64_t got; /* the first word of a message that was wrong */
};

static int end_open(struct role *role, int direction, int sends, struct end *end)
{
    uint64_t room = role->test->capacity * 64 + 65536;
    if (sizeof(queue) > room)
        return role_fail(role, "needs a capacity of %d", SLOTS);
    void *memory = role->memory + (uint64_t)direction * room;
    /* The other one looks only after both have met. */
    end->messages = sends ? new (memory) queue : static_cast<queue *>(memory);
    return ROLE_OK;
}

static inline int end_send(struct end *end, uint64_t number)
{
    message message;
    small_fill(message.words, number);
    return end->messages->push(message);
}

static inline int end_send_batch(struct end *end, uint64_t from, uint64_t count)
{
    message messages[BATCH_MAX];
    if (count > BATCH_MAX)
        count = BATCH_MAX;
    for (uint64_t i = 0; i < count; i++)
        small_fill(messages[i].words, from + i);
    return static_cast<int>(end->messages->push(messages, count));
}

static inline int end_receive(struct end *end, uint64_t from, uint32_t most)
{
    uint32_t count = 0;
    uint64_t differs = 0;
    auto check = [&](const message &message) {
        differs |= small_differs(message.words, from + count);
        end->got = message.words[0];
    };
    for (; count < most && differs == 0 && end->messages->consume_one(check);)
        count++;
    return differs == 0 ? static_cast<int>(count) : -1;
}

static void end_close(struct end *)
{
}

#include "loops.h"
