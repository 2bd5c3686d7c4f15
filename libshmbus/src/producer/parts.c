/* SPDX-License-Identifier: MIT */
/*
 * Parts of the pool among many producers. Each number has a part of its own; one whose producer is
 * dead, gone or was never there is adopted by a living one that has no slab left, and given back
 * when a producer with that number asks for it. Who has a part holds its byte of the owner file, by
 * a mapping, so that it is nobody's again when its holder dies.
 *
 * What of a part is in flight stands in the ring and what is held in the bitmaps: whoever takes a
 * part finds it out anew.
 */
#include "error/error.h"
#include "liveness/liveness.h"
#include "producer/producer.h"
#include "recovery/recovery.h"
#include "ring/claim.h"

#include <sys/mman.h>
#include <unistd.h>

static uint64_t bit_of(uint32_t part)
{
    return UINT64_C(1) << part;
}

static int has(const struct shmbus_producer *producer, uint32_t part)
{
    return (producer->among->parts_had & bit_of(part)) != 0;
}

/* Takes the lock on a part. Returns 1, 0 when somebody has it, or an errno. */
static int lock_part(struct shmbus_producer *producer, uint32_t part)
{
    int descriptor = segment_open_owner(&producer->segment);
    if (descriptor < 0)
        return descriptor;
    int result = lock_take(descriptor, LOCK_PART + (int64_t)part);
    if (result == 0)
        result =
            segment_map(descriptor, LAYOUT_PAGE, PROT_READ, 0, &producer->among->part_locks[part]);
    close(descriptor);
    if (result < 0)
        return result == -EAGAIN ? 0 : result;
    return 1;
}

int parts_take(struct shmbus_producer *producer, uint32_t part)
{
    struct among *among = producer->among;
    struct producer_entry *entry = segment_producer(&producer->segment, part);
    if (has(producer, part))
        return 1;
    int result = lock_part(producer, part);
    if (result > 0) {
        pool_empty(among->parts[part]);
        recovery_rebuild_part(&producer->ring, among->parts[part], producer->next);
        among->parts_had |= bit_of(part);
        /* relaxed: for whoever looks on; only who has the lock stores it */
        atomic_store_explicit(&entry->part_owner, producer->index + 1, memory_order_relaxed);
    }
    if (part == producer->index)
        /* relaxed: a wish, seen sooner or later */
        atomic_store_explicit(&entry->part_wanted, result == 0, memory_order_relaxed);
    return result;
}

static void give_up(struct shmbus_producer *producer, uint32_t part)
{
    struct among *among = producer->among;
    struct producer_entry *entry = segment_producer(&producer->segment, part);
    /* relaxed: for whoever looks on */
    atomic_store_explicit(&entry->part_owner, 0, memory_order_relaxed);
    among->parts_had &= ~bit_of(part);
    munmap(among->part_locks[part], LAYOUT_PAGE);
    among->part_locks[part] = NULL;
    /* One that is parked may wait for just this. */
    segment_wake(&producer->segment);
}

/* The number of one that is dead: its part may be adopted, and its wish is nobody's. */
static int is_dead(const struct shmbus_producer *producer, uint32_t part)
{
    return lock_probe(producer->segment.probe_owner, LOCK_LIFE + (int64_t)part) == 0;
}

void parts_give_back(struct shmbus_producer *producer)
{
    struct among *among = producer->among;
    uint64_t others = among->parts_had & ~bit_of(producer->index);
    while (others != 0) {
        uint32_t part = (uint32_t)__builtin_ctzll(others);
        const struct producer_entry *entry = segment_producer(&producer->segment, part);
        others &= others - 1;
        /* relaxed: a wish */
        if (atomic_load_explicit(&entry->part_wanted, memory_order_relaxed) != 0 &&
            !pool_is_owned(among->parts[part]) && !is_dead(producer, part))
            give_up(producer, part);
    }
}

void parts_end(struct shmbus_producer *producer)
{
    struct among *among = producer->among;
    for (uint32_t i = 0; i < SHMBUS_PRODUCERS_MAX; i++) {
        if (among->part_locks[i] == NULL)
            continue;
        /* In the child of a fork there is no mapping. */
        if (producer->orphaned)
            continue;
        pool_disown_all(among->parts[i]);
        give_up(producer, i);
    }
}

struct slab_wish {
    uint32_t class_index;
    uint32_t count;
    struct pool *found;
};

/* The parts that it has: reclaims with the floor as it is. */
static int look_in_own(struct shmbus_producer *producer, struct slab_wish *wish)
{
    struct among *among = producer->among;
    for (uint64_t left = among->parts_had; left != 0; left &= left - 1) {
        struct pool *pool = among->parts[__builtin_ctzll(left)];
        struct pool_class *from = &pool->classes[wish->class_index];
        if (from->free_count < wish->count)
            pool_reclaim(pool, from, producer->gate.floor);
        if (from->free_count >= wish->count) {
            wish->found = pool;
            return 1;
        }
    }
    return 0;
}

/* The floor at which the first slab of them could be reclaimed. */
static uint64_t wanted_floor(const struct shmbus_producer *producer, uint32_t class_index)
{
    const struct among *among = producer->among;
    uint64_t least = 0;
    for (uint64_t left = among->parts_had; left != 0; left &= left - 1) {
        const struct pool *pool = among->parts[__builtin_ctzll(left)];
        uint64_t floor = pool_wanted_floor(&pool->classes[class_index]);
        if (floor != 0 && (least == 0 || floor < least))
            least = floor;
    }
    return least;
}

/* Takes its own part, or adopts one that nobody has. Returns whether it has one more. */
static int take_another(struct shmbus_producer *producer)
{
    int result = 0;
    process_hold();
    if (!has(producer, producer->index))
        result = parts_take(producer, producer->index);
    for (uint32_t i = 0; i < producer->segment.header.max_producers && result <= 0; i++)
        if (!has(producer, i) && is_dead(producer, i))
            result = parts_take(producer, i);
    process_release();
    return result > 0;
}

static int slabs_done(struct shmbus_producer *producer, void *context)
{
    struct slab_wish *wish = context;
    parts_give_back(producer);
    /* First with the floor as it is, then with one raised for the oldest slab in flight, then with
     * one more part. Ends: each round raises the floor, which is at most the tail, or takes a part.
     */
    for (;;) {
        if (look_in_own(producer, wish))
            return 1;
        uint64_t before = producer->gate.floor;
        uint64_t needed = wanted_floor(producer, wish->class_index);
        if (needed > before)
            producer_raise_floor(producer, needed);
        if (producer->gate.floor == before && !take_another(producer))
            return 0;
    }
}

int parts_need_slabs(struct shmbus_producer *producer, uint32_t class_index, uint32_t count,
                     struct pool **out_pool)
{
    struct slab_wish wish = {class_index, count, NULL};
    if (!slabs_done(producer, &wish)) {
        uint64_t exhausted = 0;
        if (has(producer, producer->index)) {
            pool_count_exhausted(&producer->pool.classes[class_index]);
            exhausted = producer->pool.classes[class_index].exhausted;
        }
        producer_count_exhausted(producer, class_index, exhausted);
        producer->wanting = class_index + 1;
        int result = producer_wait_until(producer, slabs_done, &wish, -ENOBUFS,
                                         "no slab is left in the class: consumers lag or hold, or "
                                         "the pool is too small (see shmbus-stat)");
        producer->wanting = 0;
        if (result < 0)
            return result;
    }
    *out_pool = wish.found;
    return 0;
}
