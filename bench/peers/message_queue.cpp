/* SPDX-License-Identifier: MIT */
/*
 * Boost's interprocess message queue, which copies under a mutex in shared memory. Both sides try
 * again at once rather than sleep, which is its fastest way here.
 */
#include <boost/interprocess/ipc/message_queue.hpp>
#include <memory>

extern "C" {
#include "../payload.h"
#include "../peer.h"
}

namespace ipc = boost::interprocess;

enum {
    SLOTS = 4096, /* it fills all of them at open */
};

struct end {
    ipc::message_queue *queue;
    uint64_t got; /* the first word of a message that was wrong */
};

static int end_open(struct role *role, int direction, int sends, struct end *end)
{
    (void)sends;
    try {
        end->queue =
            new ipc::message_queue(ipc::open_or_create, role->bus[direction], SLOTS, SMALL_BYTES);
    } catch (const ipc::interprocess_exception &error) {
        return role_fail(role, "message_queue: %s", error.what());
    }
    return ROLE_OK;
}

static inline int end_send(struct end *end, uint64_t number)
{
    uint64_t words[SMALL_WORDS];
    small_fill(words, number);
    return end->queue->try_send(words, SMALL_BYTES, 0);
}

static inline int end_send_batch(struct end *end, uint64_t from, uint64_t count)
{
    uint64_t sent = 0;
    while (sent < count && end_send(end, from + sent))
        sent++;
    return static_cast<int>(sent);
}

static inline int end_receive(struct end *end, uint64_t from, uint32_t most)
{
    uint64_t words[SMALL_WORDS];
    ipc::message_queue::size_type bytes;
    unsigned priority;
    uint32_t count = 0;
    for (; count < most && end->queue->try_receive(words, SMALL_BYTES, bytes, priority); count++)
        if (bytes != SMALL_BYTES || small_differs(words, from + count) != 0) {
            end->got = words[0];
            return -1;
        }
    return static_cast<int>(count);
}

static void end_close(struct end *end)
{
    delete end->queue;
    end->queue = nullptr;
}

#include "loops.h"
