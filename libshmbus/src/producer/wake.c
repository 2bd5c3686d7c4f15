/* SPDX-License-Identifier: MIT */
/*
 * Waking consumers that are parked. The protocol is drawn in wait/park.h.
 */
#include "producer/producer.h"

void producer_begin_parking(struct shmbus_producer *producer)
{
    struct segment *segment = &producer->segment;
    struct control_shared *shared = segment_shared(segment);
    struct feed_state *state = segment_state(segment);
    producer->parked = &park_never;
    if (segment->header.flags & SHMBUS_BUS_NO_PARK)
        return;
    producer->must_fence = !park_register();
    producer->parked = producer->must_fence ? &park_always : &shared->parked;
    producer->door = (struct park_door){
        .word = &shared->wake_producers,
        .bits = &state->parked_producers,
        .bit = UINT64_C(1) << producer->index,
    };
    /* One of this number that died while it was parked has left its bit. */
    park_take_back(&producer->door);
}

void producer_wake(struct shmbus_producer *producer)
{
    struct control_shared *shared = segment_shared(&producer->segment);
    if (producer->must_fence)
        /* ORDER(publish_fence:A) pairs park_fence:A: the stamp before the flag */
        atomic_thread_fence(memory_order_seq_cst);
    /* relaxed: ordered by the fence above, or that of the one that parks */
    if (atomic_load_explicit(&shared->parked, memory_order_relaxed) != 0)
        park_wake_flagged(&shared->parked, &segment_state(&producer->segment)->wake_consumers);
}

void producer_wake_others(struct shmbus_producer *producer)
{
    struct segment *segment = &producer->segment;
    if (segment->header.flags & SHMBUS_BUS_NO_PARK)
        return;
    if (producer->must_fence)
        /* ORDER(among_fence:A) pairs park_fence:A: the stamp before the bits */
        atomic_thread_fence(memory_order_seq_cst);
    else
        /* ORDER(among_signal:A) pairs park_fence:A: the same, by the compiler */
        atomic_signal_fence(memory_order_seq_cst);
    /* ORDER(among_bits:B) pairs park_bit:A: the bit before what its producer waits for */
    uint64_t left =
        atomic_load_explicit(&segment_state(segment)->parked_producers, memory_order_acquire);
    for (; left != 0; left &= left - 1) {
        uint32_t index = (uint32_t)__builtin_ctzll(left);
        if (index >= segment->header.max_producers)
            return;
        /* relaxed: the bit was acquired */
        if (atomic_load_explicit(&segment_producer(segment, index)->waits_for,
                                 memory_order_relaxed) != 0) {
            park_wake(&segment_shared(segment)->wake_producers);
            return;
        }
    }
}
