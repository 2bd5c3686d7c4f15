/* SPDX-License-Identifier: MIT */
/*
 * The producer's pool of one slab over the small bus, which message 0 refers to, and a consumer's
 * holds on it.
 */
#ifndef SHMBUS_MODEL_SLABS_H
#define SHMBUS_MODEL_SLABS_H

#include "writer.h"

#include "reader.h"

#include "pool/pool.c"

/* A name that two of the library's files have for themselves. */
#define is_held hold_is_there
#include "consumer/holds.c"
#undef is_held

#define GENERATION 8u

static struct pool pool;
static struct pool_slab slab[MODEL_SLABS];
static uint32_t holders[MODEL_CONSUMERS];
static uint32_t uses[MODEL_SLABS];

static inline uint64_t slabs_handle(void)
{
    return handle_make(0, GENERATION, 0);
}

/* Message 0 is published, in the slab, whose payload is 0. */
static inline void slabs_begin(void)
{
    struct pool_class *in = &pool.classes[0];
    segment.header.class_count = 1;
    segment.header.classes[0] = (struct layout_class){
        .slab_bytes = sizeof(uint64_t),
        .slab_count = MODEL_SLABS,
        .slabs_offset = offsetof(struct model_feed, shared),
    };
    pool.class_count = 1;
    pool.entries = (unsigned char *)control.entries;
    pool.entry_bytes = MODEL_ENTRY_BYTES;
    pool.entries_used = &control.shared.entries_used;
    pool.verdicts = feed.verdicts;
    pool.max_consumers = MODEL_CONSUMERS;
    pool.holders = holders;
    in->slab = slab;
    in->slab_bytes = sizeof(uint64_t);
    in->slab_count = MODEL_SLABS;
    in->slabs = (unsigned char *)feed.shared;
    in->generations = feed.generations;
    in->shared = &feed.producers[0].classes[0];
    in->on_free = POOL_NONE;
    in->free_count = 0;
    in->acquired = 1;
    in->released = 0;
    list_clear(&in->in_flight);
    list_clear(&in->held);
    slab[0].list = POOL_ON_NONE;
    slab[0].owned = 0;
    atomic_store_explicit(&feed.generations[0], GENERATION, memory_order_relaxed);
    bus_set(&bus_slot(0)->shared, slabs_handle());
    ring_publish(&bus_slot(0)->header, 0, meta_make(sizeof(uint64_t), 1, SHMBUS_MESSAGE_POOLED));
    pool_publish(in, 0, 0);
    uses[0] = 0;
    consumer.holds.uses = uses;
    consumer.lent.handle = slabs_handle();
}

/* Reclaims what the floor allows; if that is the slab, it is the next message's. */
static inline int slabs_reuse(uint64_t floor)
{
    if (pool_reclaim(&pool, &pool.classes[0], floor) == 0)
        return 0;
    feed.plain[0] = 1;
    bus_set(&feed.shared[0], 1);
    return 1;
}

#endif
