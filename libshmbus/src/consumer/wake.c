/* SPDX-License-Identifier: MIT */
/*
 * Where a consumer parks, and whom it wakes: producers that wait for required consumers, and
 * consumers that run behind others. The protocol is drawn in wait/park.h.
 */
#include "consumer/consumer.h"

void consumer_begin_waking(struct shmbus_consumer *consumer)
{
    consumer->parked_producers = &park_no_bits;
    consumer->parked_behind = &park_never;
    if (consumer->options.kind == SHMBUS_OBSERVER || (consumer->header->flags & SHMBUS_BUS_NO_PARK))
        return;
    consumer->must_fence = !park_register();
    consumer->parked_producers =
        consumer->must_fence ? &park_all_bits : &consumer->state->parked_producers;
}

void consumer_begin_parking(struct shmbus_consumer *consumer)
{
    if (consumer->entry == NULL || (consumer->header->flags & SHMBUS_BUS_NO_PARK))
        return;
    struct control_shared *shared = segment_shared(&consumer->segment);
    if (consumer->options.kind == SHMBUS_REQUIRED)
        consumer->parked_behind = &shared->parked_behind;
    consumer->for_messages = (struct park_door){
        .word = &consumer->state->wake_consumers,
        .flag = &shared->parked,
    };
    consumer->behind = (struct park_door){
        .word = &shared->wake_behind,
        .flag = &shared->parked_behind,
    };
}

/* Does a producer that is parked wait for what this consumer did? */
static int is_waited_for(const struct shmbus_consumer *consumer, uint64_t from, uint64_t to)
{
    /* ORDER(wake_bits:B) pairs park_bit:A: the bit before what its producer waits for */
    uint64_t left = atomic_load_explicit(&consumer->state->parked_producers, memory_order_acquire);
    for (; left != 0; left &= left - 1) {
        uint32_t index = (uint32_t)__builtin_ctzll(left);
        if (index >= consumer->header->max_producers)
            return 0;
        const struct producer_entry *producer = segment_producer(&consumer->segment, index);
        /* relaxed: the bit was acquired */
        uint64_t target = atomic_load_explicit(&producer->waits_for, memory_order_relaxed);
        if (target == 0 || (from < target && target <= to))
            return 1;
    }
    return 0;
}

void consumer_wake(struct shmbus_consumer *consumer, uint64_t from, uint64_t to)
{
    struct control_shared *shared = segment_shared(&consumer->segment);
    if (consumer->must_fence)
        /* ORDER(advance_fence:A) pairs park_fence:A: cursor or hold before the flags */
        atomic_thread_fence(memory_order_seq_cst);
    if (is_waited_for(consumer, from, to))
        park_wake(&shared->wake_producers);
    /* relaxed: ordered by the fence above, or that of the one that parks */
    if (atomic_load_explicit(&shared->parked_behind, memory_order_relaxed) != 0)
        park_wake_flagged(&shared->parked_behind, &shared->wake_behind);
}

void consumer_wake_all(struct shmbus_consumer *consumer)
{
    if (!(consumer->header->flags & SHMBUS_BUS_NO_PARK))
        consumer_wake(consumer, 0, UINT64_MAX);
}

struct park_door *consumer_door(struct shmbus_consumer *consumer)
{
    uint64_t stamp = ring_poll(ring_slot(&consumer->ring, consumer->next));
    struct park_door *door =
        ring_is_final(stamp, consumer->next) ? &consumer->behind : &consumer->for_messages;
    return door->word != NULL ? door : NULL;
}
