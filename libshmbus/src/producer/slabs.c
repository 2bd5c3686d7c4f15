/* SPDX-License-Identifier: MIT */
/*
 * The pool by hand, and the bump arena over what a claim or slab lends.
 */
#include "error/error.h"
#include "producer/release.h"

#include <inttypes.h>

static int acquire(struct shmbus_producer *producer, uint64_t bytes, uint32_t count,
                   struct shmbus_slab *out_slabs)
{
    if (producer->orphaned)
        return producer_refuse(producer);
    uint32_t class_index = pool_class_for(&producer->pool, bytes);
    if (class_index == producer->pool.class_count)
        return error_set(-EMSGSIZE, "%" PRIu64 " bytes: no class has slabs of that size", bytes);
    struct pool *pool = &producer->pool;
    struct pool_class *from = &pool->classes[class_index];
    if (count == 0 || count > from->slab_count)
        return error_set(-EINVAL, "count: %" PRIu32 " is not 1 to the class's %" PRIu32, count,
                         from->slab_count);
    int result = producer->among != NULL ? parts_need_slabs(producer, class_index, count, &pool)
                                         : producer_need_slabs(producer, class_index, count);
    if (result < 0)
        return result;
    from = &pool->classes[class_index];
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = pool_acquire(from);
        out_slabs[i] = (struct shmbus_slab){
            .data = pool_data(from, index),
            .handle = pool_handle(from, class_index, index),
            .bytes = from->slab_bytes,
        };
    }
    return 0;
}

int shmbus_producer_slab_acquire(struct shmbus_producer *producer, uint64_t bytes, uint32_t count,
                                 struct shmbus_slab *out_slabs)
{
    int result = guard_enter(&producer->guard);
    if (result < 0)
        return result;
    result = acquire(producer, bytes, count, out_slabs);
    guard_leave(&producer->guard);
    return result;
}

/* The part of the pool that a handle is of, of those that the producer has. */
static int find_part(struct shmbus_producer *producer, uint64_t handle, struct pool **out_pool,
                     uint32_t *out_class, uint32_t *out_index)
{
    *out_pool = &producer->pool;
    if (producer->among == NULL)
        return pool_resolve(*out_pool, handle, out_class, out_index);
    for (uint64_t left = producer->among->parts_had; left != 0; left &= left - 1) {
        *out_pool = producer->among->parts[__builtin_ctzll(left)];
        if (pool_resolve(*out_pool, handle, out_class, out_index) == 0)
            return 0;
    }
    return -EBADMSG;
}

/* Is this the slab of the open claim? That one is not acquired by hand. */
static int is_claimed(const struct shmbus_producer *producer, const struct pool *pool,
                      uint32_t class_index, uint32_t index)
{
    const struct pool *claimed = NULL;
    if (producer->claim == CLAIM_POOLED)
        claimed = &producer->pool;
    else if (producer->claim == CLAIM_AMONG_POOLED)
        claimed = producer->among->claim_pool;
    return claimed == pool && producer->claim_class == class_index && producer->claim_slab == index;
}

/* Finds an acquired slab by its handle. */
static int find_owned(struct shmbus_producer *producer, uint64_t handle, struct pool **out_pool,
                      uint32_t *out_class, uint32_t *out_index)
{
    if (producer->orphaned)
        return producer_refuse(producer);
    if (find_part(producer, handle, out_pool, out_class, out_index) == 0) {
        const struct pool_class *in = &(*out_pool)->classes[*out_class];
        if (in->slab[*out_index].owned &&
            !is_claimed(producer, *out_pool, *out_class, *out_index) &&
            pool_generation(in, *out_index) == handle_generation(handle))
            return 0;
    }
    return error_set(-ESTALE,
                     "handle 0x%016" PRIx64 ": not of a slab that is acquired: released before, "
                     "or never acquired",
                     handle);
}

static int publish(struct shmbus_producer *producer, uint64_t handle, uint32_t length,
                   uint16_t type, uint16_t flags)
{
    struct pool *pool;
    uint32_t class_index;
    uint32_t index;
    int result = find_owned(producer, handle, &pool, &class_index, &index);
    if (result < 0)
        return result;
    struct pool_class *in = &pool->classes[class_index];
    if (flags & ~SHMBUS_MESSAGE_USER_FLAGS)
        return producer_bad_flags(flags);
    if (length > in->slab_bytes)
        return error_set(-EINVAL, "length: %" PRIu32 " is beyond the slab's %" PRIu64 " bytes",
                         length, in->slab_bytes);
    if (producer->claim != CLAIM_NONE)
        return producer_refuse(producer);
    if (producer->next >= producer->limit) {
        result = producer_make_room(producer);
        if (result < 0)
            return result;
        if (result == READY_AMONG)
            return among_publish_slab(producer, pool, class_index, index,
                                      meta_make(length, type, flags));
    }
    struct slot_header *slot = ring_slot(&producer->ring, producer->next);
    prefetch_ahead(producer, producer->next);
    ring_mark(slot, producer->next, STAMP_WRITING);
    *ring_handle(&producer->ring, slot) = handle;
    pool_publish(in, index, producer->next);
    release(producer, slot, meta_make(length, type, (uint16_t)(flags | SHMBUS_MESSAGE_POOLED)));
    return 0;
}

int shmbus_producer_slab_publish(struct shmbus_producer *producer, uint64_t handle, uint32_t length,
                                 uint16_t type, uint16_t flags)
{
    int result = guard_enter(&producer->guard);
    if (result < 0)
        return result;
    result = publish(producer, handle, length, type, flags);
    guard_leave(&producer->guard);
    return result;
}

int shmbus_producer_slab_release(struct shmbus_producer *producer, uint64_t handle)
{
    struct pool *pool;
    uint32_t class_index;
    uint32_t index;
    int result = guard_enter(&producer->guard);
    if (result < 0)
        return result;
    result = find_owned(producer, handle, &pool, &class_index, &index);
    if (result == 0)
        pool_disown(pool, &pool->classes[class_index], index);
    guard_leave(&producer->guard);
    return result;
}

static void add_stats(struct pool *pool, uint32_t class_index, struct shmbus_pool_stats *stats)
{
    const struct pool_class *in = &pool->classes[class_index];
    stats->slab_bytes = in->slab_bytes;
    stats->slab_count += in->slab_count;
    stats->acquired += in->acquired;
    stats->released += in->released;
    stats->in_use += in->acquired - in->released;
    stats->held += pool_count_held(pool, in);
    stats->high_water += in->high_water;
    stats->exhausted += in->exhausted;
}

int shmbus_producer_pool_stats(struct shmbus_producer *producer, uint32_t class_index,
                               struct shmbus_pool_stats *out_stats)
{
    struct shmbus_pool_stats stats = {0};
    int result = guard_enter(&producer->guard);
    if (result < 0)
        return result;
    if (producer->orphaned) {
        result = producer_refuse(producer);
    } else if (class_index >= producer->pool.class_count) {
        result = error_set(-EINVAL, "class %" PRIu32 ": the bus has %" PRIu32, class_index,
                           producer->pool.class_count);
    } else {
        uint64_t parts = producer->among != NULL ? producer->among->parts_had : 0;
        if (producer->among == NULL)
            add_stats(&producer->pool, class_index, &stats);
        for (; parts != 0; parts &= parts - 1)
            add_stats(producer->among->parts[__builtin_ctzll(parts)], class_index, &stats);
        stats.slab_bytes = producer->pool.classes[class_index].slab_bytes;
        *out_stats = stats;
    }
    guard_leave(&producer->guard);
    return result;
}

int shmbus_arena_begin(struct shmbus_arena *arena, void *data, uint32_t room)
{
    if (data == NULL || (uintptr_t)data % 8 != 0)
        return error_constant(-EINVAL, "an arena begins at an address that is a multiple of 8");
    *arena = (struct shmbus_arena){.base = data, .room = room};
    return 0;
}

int shmbus_arena_take(struct shmbus_arena *arena, uint32_t bytes, uint32_t alignment,
                      uint32_t *out_offset)
{
    if (alignment == 0 || alignment > 64 || (alignment & (alignment - 1)) != 0 ||
        (uintptr_t)arena->base % alignment != 0)
        return error_set(-EINVAL,
                         "alignment %" PRIu32 ": not a power of two up to 64 that the arena's own "
                         "start has",
                         alignment);
    uint64_t offset = ((uint64_t)arena->used + alignment - 1) / alignment * alignment;
    if (offset + bytes > arena->room)
        return error_set(-ENOSPC, "%" PRIu32 " bytes at %" PRIu64 ": the arena has %" PRIu32, bytes,
                         offset, arena->room);
    arena->used = (uint32_t)(offset + bytes);
    *out_offset = (uint32_t)offset;
    return 0;
}
