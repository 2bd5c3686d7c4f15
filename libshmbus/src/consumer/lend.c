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

static const _Atomic uint32_t *generation_word(const struct shmbus_consumer *consumer,
                                               uint64_t slab)
{
    return (const _Atomic uint32_t *)(const void *)(consumer->feed +
                                                    consumer->header->generations.offset) +
           slab;
}

/* The generation of a slab now. */
static uint32_t generation_of(const struct shmbus_consumer *consumer, uint64_t slab)
{
    /* ORDER(hold_recheck:B) pairs reclaim:A, settle:A: the hold before the generation */
    return atomic_load_explicit(generation_word(consumer, slab), memory_order_seq_cst);
}

int consumer_lost_slab(const struct shmbus_consumer *consumer)
{
    if (consumer->slab_read == 0)
        return 0;
    const _Atomic uint32_t *generation =
        generation_word(consumer, consumer_slab_of(consumer, consumer->slab_read));
    /* ORDER(slab_still:B) pairs reclaim:A, settle:A: the payload before the generation */
    atomic_thread_fence(memory_order_acquire);
    /* relaxed: the fence above orders it */
    return consumer->slab_gone || atomic_load_explicit(generation, memory_order_relaxed) !=
                                      handle_generation(consumer->slab_read);
}

void consumer_watch_slab(struct shmbus_consumer *consumer, uint64_t handle)
{
    if (consumer_lost_slab(consumer))
        consumer->slab_gone = 1;
    consumer->slab_read = handle;
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
        unhold_slab(consumer, consumer->lent_slab);
        consumer->lent_slab = HOLD_COPIED;
    }
}
