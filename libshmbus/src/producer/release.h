/* SPDX-License-Identifier: MIT */
/*
 * What publishing and claiming have in common on the hot path: is there a slot, and the release of
 * a message that stands in one.
 */
#ifndef SHMBUS_RELEASE_H
#define SHMBUS_RELEASE_H

#include "producer/producer.h"
#include "wait/wait.h"

/* Is there a slot, and is none lent? The fast path of everything. */
static inline int is_ready(const struct shmbus_producer *producer)
{
    return producer->next < producer->limit && producer->claim == CLAIM_NONE;
}

/* The same, or else makes it so. Returns as producer_make_room(). */
static inline int make_ready(struct shmbus_producer *producer)
{
    if (__builtin_expect(is_ready(producer), 1))
        return 0;
    return producer_make_room(producer);
}

/* Stores what a consumer may see: the message at next, on a bus without timestamps. */
static inline void release_slot(struct shmbus_producer *producer, struct slot_header *slot,
                                uint64_t meta)
{
    uint64_t next = producer->next;
    producer->next = next + 1;
    ring_publish(slot, next, meta);
    if (__builtin_expect(((next + 1) & producer->tail_mask) == 0, 0))
        producer_store_tail(producer);
    producer_notify(producer);
}

/* The same on any bus. */
static inline void release(struct shmbus_producer *producer, struct slot_header *slot,
                           uint64_t meta)
{
    if (producer->ring.timestamps)
        *ring_timestamp(slot) = wait_now();
    release_slot(producer, slot, meta);
}

/* Asks for the line of the slot some way ahead of a sequence. */
static inline void prefetch_ahead(const struct shmbus_producer *producer, uint64_t sequence)
{
    ring_prefetch(&producer->ring, sequence + producer->ahead);
}

/* Puts a slab's handle into a slot that is marked. Returns the flag that says so. */
static inline uint16_t refer(struct shmbus_producer *producer, struct slot_header *slot,
                             uint32_t class_index, uint32_t index, uint64_t sequence)
{
    struct pool_class *in = &producer->pool.classes[class_index];
    *ring_handle(&producer->ring, slot) = pool_handle(in, class_index, index);
    pool_publish(in, index, sequence);
    return SHMBUS_MESSAGE_POOLED;
}

#endif
