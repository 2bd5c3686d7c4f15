/* SPDX-License-Identifier: MIT */
/*
 * What a slow optional consumer costs a producer: one publishes as fast as it can, with nobody at
 * all on its bus, or beside an optional consumer that takes one message in a while, is lapped, and
 * goes on further up. The producer's own throughput is measured.
 */
#include <errno.h>
#include <stdatomic.h>

#include "runners.h"
#include "subject.h"

enum {
    SLOW_PAUSES = 500, /* between two messages of the slow one */
};

static int produce_beside(struct role *role)
{
    struct shmbus_producer *producer = NULL;
    uint64_t words[SMALL_WORDS], total = role_total(role);
    int result = subject_producer(role, 0, &producer);
    if (result != ROLE_OK)
        return result;
    role_meet(role);
    for (uint64_t i = 0; i < total && result == ROLE_OK; i++) {
        role_span_begin(role, i);
        small_fill(words, i);
        int error = shmbus_producer_publish(producer, SUBJECT_TYPE, 0, words, SMALL_BYTES);
        if (error != 0)
            result = subject_failed(role, "publish", error);
    }
    role_span_end(role, total);
    /* release: the other one is told to leave */
    atomic_store_explicit(&role->meeting->taken, total, memory_order_release);
    shmbus_producer_close(producer);
    return result;
}

/* Keeps the other core as busy as the slow one does. */
static int look_away(struct role *role)
{
    uint64_t total = role_total(role);
    role_meet(role);
    /* acquire: pairs with the end of produce_beside */
    while (atomic_load_explicit(&role->meeting->taken, memory_order_acquire) != total)
        cpu_pause(SLOW_PAUSES);
    return ROLE_OK;
}

static int check_slow(const struct shmbus_message *message, void *context)
{
    struct seen *seen = context;
    const uint64_t *words = message->data;
    if (message->sequence < seen->next || message->length != SMALL_BYTES ||
        small_differs(words, message->sequence) != 0) {
        seen->wrong = 1;
        seen->got = words[0];
    }
    seen->next = message->sequence + 1;
    return 0;
}

static int consume_slowly(struct role *role)
{
    struct shmbus_consumer *consumer = NULL;
    struct shmbus_consumer_stats stats;
    struct seen seen = {0};
    int got = 0;
    int result = subject_consumer(role, 0, &consumer);
    if (result != ROLE_OK)
        return result;
    role_meet(role);
    while (got >= 0 && seen.wrong == 0 &&
           /* acquire: pairs with the end of produce_beside */
           atomic_load_explicit(&role->meeting->taken, memory_order_acquire) == 0) {
        got = shmbus_consumer_poll(consumer, check_slow, &seen, 1);
        cpu_pause(SLOW_PAUSES);
    }
    if (seen.wrong != 0)
        result = role_wrong(role, seen.next - 1, seen.got);
    else if (got < 0 && got != -EPIPE)
        result = subject_failed(role, "poll", got);
    else if (shmbus_consumer_stats(consumer, &stats) != 0 || stats.received == 0 || stats.lost == 0)
        result = role_fail(role, "it was to receive some and to lose some, and did not");
    shmbus_consumer_close(consumer);
    return result;
}

const struct runner shmbus_alone = {
    .name = "alone", .is_floor = 1, .act = {produce_beside, look_away}};
const struct runner shmbus_beside = {.name = "slow-optional",
                                     .act = {produce_beside, consume_slowly}};
