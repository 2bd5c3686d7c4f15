/* SPDX-License-Identifier: MIT */
/*
 * Making a message out of a slot: in place for those that gate the producer; for the others by a
 * copy that is checked against the stamp afterwards, or a slab that is held first.
 */
#include "consumer/lend.h"

#include "error/error.h"

#include <string.h>

uint64_t consumer_slab_of(const struct shmbus_consumer *consumer, uint64_t handle)
{
    return consumer->header->classes[handle_class(handle)].first_slab + handle_index(handle);
}

/* The generation of a slab now. */
static uint32_t generation_of(const struct shmbus_consumer *consumer, uint64_t slab)
{
    /* ORDER(hold_recheck:B) pairs reclaim:A, settle:A: the hold before the generation */
    return atomic_load_explicit(&consumer->generations[slab], memory_order_seq_cst);
}

/* Is the slab of a pooled message still that message's? What the slot says was checked when it was
 * lent, and is again, since it may be another's by now. */
static int slab_is_still(const struct shmbus_consumer *consumer, struct slot_header *slot)
{
    uint64_t handle = racing_word(ring_handle(&consumer->ring, slot));
    if (consumer_in_slab(consumer, handle, 0) == NULL)
        return 0;
    const _Atomic uint32_t *generation = &consumer->generations[consumer_slab_of(consumer, handle)];
    /* ORDER(slab_still:B) pairs reclaim:A, settle:A: the payload before the generation */
    atomic_thread_fence(memory_order_acquire);
    /* relaxed: the fence above orders it */
    return atomic_load_explicit(generation, memory_order_relaxed) == handle_generation(handle);
}

int consumer_was_overwritten(const struct shmbus_consumer *consumer)
{
    uint64_t end = consumer->is_lent ? consumer->lent.sequence + 1 : consumer->next;
    uint64_t sequence = consumer->stored;
    /* Ends: goes on in each round, as the consumer did. */
    while (sequence < end) {
        struct slot_header *slot = ring_slot(&consumer->ring, sequence);
        uint64_t stamp = ring_poll(slot);
        int is_in_slab = stamp == stamp_make(sequence, STAMP_PUBLISHED) &&
                         meta_flags(ring_meta(slot)) & SHMBUS_MESSAGE_POOLED;
        if ((is_in_slab && !slab_is_still(consumer, slot)) || !ring_is_still(slot, sequence))
            return 1;
        sequence = ring_after(&consumer->ring, slot, stamp, sequence);
    }
    return 0;
}

void consumer_watch_floor(struct shmbus_consumer *consumer)
{
    static const _Atomic uint64_t never;
    static const _Atomic uint64_t always = UINT64_MAX;
    if (consumer->options.kind != SHMBUS_REQUIRED)
        consumer->floor = &never;
    else if (consumer->header->max_producers > 1)
        consumer->floor = &always;
    else
        consumer->floor = &segment_producer(&consumer->segment, 0)->floor;
}

/* Holds the slab first, and then makes sure that it is still the message's. */
static int lend_held(struct shmbus_consumer *consumer, struct slot_header *slot, uint64_t stamp)
{
    uint64_t slab = consumer_slab_of(consumer, consumer->lent.handle);
    hold_slab(consumer, slab);
    /* ORDER(hold_fence:A) pairs reclaim:A, settle:A: the hold before the generation is read */
    atomic_thread_fence(memory_order_seq_cst);
    if (generation_of(consumer, slab) == handle_generation(consumer->lent.handle) &&
        ring_recheck(slot, stamp)) {
        consumer->lent_slab = slab;
        return 0;
    }
    unhold_slab(consumer, slab);
    return CONSUMER_AGAIN;
}

/* Copies a slab, and then makes sure that it was still the message's. */
static int lend_copied_slab(struct shmbus_consumer *consumer, struct slot_header *slot,
                            uint64_t stamp)
{
    uint64_t slab = consumer_slab_of(consumer, consumer->lent.handle);
    racing_copy(consumer->copy, consumer->lent.data, consumer->lent.length);
    consumer->lent.data = consumer->copy;
    /* ORDER(copy_recheck:B) pairs reclaim:A, settle:A: the copy before the generation */
    atomic_thread_fence(memory_order_acquire);
    return generation_of(consumer, slab) == handle_generation(consumer->lent.handle) &&
                   ring_recheck(slot, stamp)
               ? 0
               : CONSUMER_AGAIN;
}

int consumer_lend_copy(struct shmbus_consumer *consumer, struct slot_header *slot)
{
    uint64_t stamp = stamp_make(consumer->next, STAMP_PUBLISHED);
    int result = consumer_lend(consumer, slot);
    /* Of one that is being overwritten, nothing is believed, and nothing is damage. */
    if (!ring_recheck(slot, stamp))
        return CONSUMER_AGAIN;
    if (result < 0)
        return result;
    if (consumer->lent.flags & SHMBUS_MESSAGE_POOLED) {
        result = consumer->options.kind == SHMBUS_OPTIONAL
                     ? lend_held(consumer, slot, stamp)
                     : lend_copied_slab(consumer, slot, stamp);
        /* The slab was reclaimed while the slot's stamp still stands: the message is lost. */
        if (result == CONSUMER_AGAIN && ring_recheck(slot, stamp))
            consumer_tell_lost(consumer, consumer->next, 1);
        return result;
    }
    racing_copy(consumer->copy, consumer->lent.data, consumer->lent.length);
    consumer->lent.data = consumer->copy;
    return ring_recheck(slot, stamp) ? 0 : CONSUMER_AGAIN;
}

void consumer_finish(struct shmbus_consumer *consumer)
{
    consumer->is_lent = 0;
    if (consumer->lent_slab != HOLD_COPIED) {
        hold_end(consumer, consumer->lent_slab, consumer->lent.handle);
        consumer->lent_slab = HOLD_COPIED;
    }
}
