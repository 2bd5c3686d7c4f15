/* SPDX-License-Identifier: MIT */
/*
 * iceoryx by its interface for C: chunks are lent, filled in place, and taken by a subscriber that
 * looks again at once; a publisher waits for a subscriber whose queue is full. Its daemon has to be
 * running: bench/run.sh starts it.
 */
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include <iceoryx_binding_c/enums.h>
#include <iceoryx_binding_c/log.h>
#include <iceoryx_binding_c/publisher.h>
#include <iceoryx_binding_c/runtime.h>
#include <iceoryx_binding_c/subscriber.h>

#include "../payload.h"
#include "../peer.h"

enum {
    QUEUE = 256, /* the most that it has */
};

struct end {
    iox_pub_t publisher;
    iox_sub_t subscriber;
    iox_pub_storage_t publisher_place;
    iox_sub_storage_t subscriber_place;
    uint64_t got; /* the first word of a message that was wrong */
};

static int wait_for_other(struct role *role, const struct end *end)
{
    for (int tries = 0; tries < 10000; tries++) {
        if (end->publisher != NULL
                ? iox_pub_has_subscribers(end->publisher)
                : iox_sub_get_subscription_state(end->subscriber) == SubscribeState_SUBSCRIBED)
            return ROLE_OK;
        usleep(1000);
    }
    return role_fail(role, "publisher and subscriber did not find each other");
}

static int end_open(struct role *role, int direction, int sends, struct end *end)
{
    static int is_running;
    char name[64];
    if (!is_running) {
        snprintf(name, sizeof(name), "shmbus-bench-%ld", (long)getpid());
        iox_set_loglevel(Iceoryx_LogLevel_Off);
        iox_runtime_init(name);
        is_running = 1;
    }
    if (sends) {
        iox_pub_options_t options;
        iox_pub_options_init(&options);
        options.subscriberTooSlowPolicy = ConsumerTooSlowPolicy_WAIT_FOR_CONSUMER;
        end->publisher =
            iox_pub_init(&end->publisher_place, "shmbus", "bench", role->bus[direction], &options);
    } else {
        iox_sub_options_t options;
        iox_sub_options_init(&options);
        options.queueCapacity = QUEUE;
        options.queueFullPolicy = QueueFullPolicy_BLOCK_PRODUCER;
        end->subscriber =
            iox_sub_init(&end->subscriber_place, "shmbus", "bench", role->bus[direction], &options);
    }
    return wait_for_other(role, end);
}

static inline int end_send(struct end *end, uint64_t number)
{
    void *place;
    enum iox_AllocationResult lent = iox_pub_loan_chunk(end->publisher, &place, SMALL_BYTES);
    if (lent != AllocationResult_SUCCESS)
        return lent == AllocationResult_RUNNING_OUT_OF_CHUNKS ? 0 : -1;
    small_fill(place, number);
    iox_pub_publish_chunk(end->publisher, place);
    return 1;
}

static inline int end_send_batch(struct end *end, uint64_t from, uint64_t count)
{
    (void)count;
    return end_send(end, from);
}

static inline int end_receive(struct end *end, uint64_t from, uint32_t most)
{
    const void *place;
    (void)most;
    if (iox_sub_take_chunk(end->subscriber, &place) != ChunkReceiveResult_SUCCESS)
        return 0;
    uint64_t differs = small_differs(place, from);
    end->got = *(const uint64_t *)place;
    iox_sub_release_chunk(end->subscriber, place);
    return differs == 0 ? 1 : -1;
}

static void end_close(struct end *end)
{
    if (end->publisher != NULL)
        iox_pub_deinit(end->publisher);
    if (end->subscriber != NULL)
        iox_sub_deinit(end->subscriber);
}

#include "loops.h"
