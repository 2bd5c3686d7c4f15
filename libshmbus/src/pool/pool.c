/* SPDX-License-Identifier: MIT */
/*
 * The pool's lists, and reclaiming by comparing sequences. See pool.h for the protocol.
 */
#include "pool/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define POOL_ON_NONE   0
#define POOL_ON_FREE   1
#define POOL_ON_FLIGHT 2
#define POOL_ON_HELD   3

#define POOL_BATCH 64 /* slabs whose holds are looked at together */

static void list_append(struct pool_class *in, struct pool_list *list, uint32_t index, uint8_t on)
{
    struct pool_slab *slab = &in->slab[index];
    slab->list = on;
    slab->next = POOL_NONE;
    slab->previous = list->last;
    if (list->last == POOL_NONE)
        list->first = index;
    else
        in->slab[list->last].next = index;
    list->last = index;
    list->count++;
}

static void list_remove(struct pool_class *in, struct pool_list *list, uint32_t index)
{
    struct pool_slab *slab = &in->slab[index];
    if (slab->previous == POOL_NONE)
        list->first = slab->next;
    else
        in->slab[slab->previous].next = slab->next;
    if (slab->next == POOL_NONE)
        list->last = slab->previous;
    else
        in->slab[slab->next].previous = slab->previous;
    slab->list = POOL_ON_NONE;
    list->count--;
}

static void list_clear(struct pool_list *list)
{
    *list = (struct pool_list){POOL_NONE, POOL_NONE, 0};
}

static void free_push(struct pool_class *in, uint32_t index)
{
    in->slab[index] = (struct pool_slab){.next = in->on_free, .list = POOL_ON_FREE};
    in->on_free = index;
    in->free_count++;
}

static void count_released(struct pool_class *in)
{
    in->released++;
    /* relaxed: a count for whoever looks on */
    atomic_store_explicit(&in->shared->released, in->released, memory_order_relaxed);
}

static void raise_generation(struct pool_class *in, uint32_t index)
{
    /* relaxed: a fence orders it before whatever is done with the slab */
    atomic_store_explicit(&in->generations[index], pool_generation(in, index) + 1,
                          memory_order_relaxed);
}

/* A retired slab is found to be held by nobody. */
static void end_retirement(struct pool_class *in, uint32_t index)
{
    raise_generation(in, index);
    /* ORDER(reuse:A) pairs kept:B: the generation before a byte of the slab */
    atomic_thread_fence(memory_order_release);
}

static void give_back(struct pool *pool, struct pool_class *in, uint32_t index)
{
    end_retirement(in, index);
    if (pool->scrub)
        memset(pool_data(in, index), 0, in->slab_bytes);
    free_push(in, index);
    count_released(in);
}

static int class_prepare(struct pool_class *in, unsigned char *feed,
                         const struct feed_header *header, uint32_t class_index,
                         struct producer_entry *producer, uint32_t part)
{
    const struct layout_class *geometry = &header->classes[class_index];
    in->slab_bytes = geometry->slab_bytes;
    in->slab_count = (uint32_t)(geometry->slab_count / header->max_producers);
    in->first_index = part * in->slab_count;
    in->first_slab = geometry->first_slab + in->first_index;
    in->slabs = feed + geometry->slabs_offset + in->first_index * in->slab_bytes;
    in->generations =
        (_Atomic uint32_t *)(void *)(feed + header->generations.offset) + in->first_slab;
    in->shared = &producer->classes[class_index];
    list_clear(&in->in_flight);
    list_clear(&in->held);
    in->on_free = POOL_NONE;
    in->slab = calloc(in->slab_count, sizeof *in->slab);
    return in->slab == NULL ? -ENOMEM : 0;
}

void pool_empty(struct pool *pool)
{
    for (uint32_t i = 0; i < pool->class_count; i++) {
        struct pool_class *in = &pool->classes[i];
        memset(in->slab, 0, in->slab_count * sizeof *in->slab);
        list_clear(&in->in_flight);
        list_clear(&in->held);
        in->on_free = POOL_NONE;
        in->free_count = 0;
    }
}

int pool_is_owned(const struct pool *pool)
{
    for (uint32_t i = 0; i < pool->class_count; i++)
        for (uint32_t j = 0; j < pool->classes[i].slab_count; j++)
            if (pool->classes[i].slab[j].owned)
                return 1;
    return 0;
}

int pool_prepare(struct pool *pool, void *feed, void *control, const struct feed_header *header,
                 struct producer_entry *producer, uint32_t part)
{
    memset(pool, 0, sizeof *pool);
    pool->scrub = (header->features_optional & LAYOUT_ALLOWS_SCRUB) != 0;
    pool->entries = (unsigned char *)layout_entry(control, header, 0);
    pool->entry_bytes = header->entry_bytes;
    pool->entries_used =
        &((struct control_shared *)(void *)((unsigned char *)control + LAYOUT_PAGE))->entries_used;
    pool->verdicts =
        (struct layout_verdict *)(void *)((unsigned char *)feed + header->verdicts.offset);
    pool->max_consumers = header->max_consumers;
    pool->holders = calloc(header->max_consumers, sizeof *pool->holders);
    if (pool->holders == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < header->class_count; i++) {
        pool->class_count = i + 1;
        int result = class_prepare(&pool->classes[i], feed, header, i, producer, part);
        if (result < 0) {
            pool_end(pool);
            return result;
        }
    }
    return 0;
}

int pool_begin(struct pool *pool, void *feed, void *control, const struct feed_header *header,
               struct producer_entry *producer, uint32_t part)
{
    int result = pool_prepare(pool, feed, control, header, producer, part);
    if (result < 0)
        return result;
    for (uint32_t i = 0; i < pool->class_count; i++)
        /* Pushed from the last to the first, so that the first is given out first. */
        for (uint32_t j = pool->classes[i].slab_count; j > 0; j--)
            free_push(&pool->classes[i], j - 1);
    return 0;
}

void pool_end(struct pool *pool)
{
    for (uint32_t i = 0; i < pool->class_count; i++)
        free(pool->classes[i].slab);
    free(pool->holders);
    memset(pool, 0, sizeof *pool);
}

uint32_t pool_class_for(const struct pool *pool, uint64_t bytes)
{
    uint32_t i = 0;
    while (i < pool->class_count && pool->classes[i].slab_bytes < bytes)
        i++;
    return i;
}

uint32_t pool_acquire(struct pool_class *from)
{
    uint32_t index = from->on_free;
    struct pool_slab *slab = &from->slab[index];
    from->on_free = slab->next;
    from->free_count--;
    *slab = (struct pool_slab){.list = POOL_ON_NONE, .owned = 1};
    from->acquired++;
    /* relaxed: a count for whoever looks on */
    atomic_store_explicit(&from->shared->acquired, from->acquired, memory_order_relaxed);
    uint64_t in_use = from->acquired - from->released;
    if (in_use > from->high_water) {
        from->high_water = in_use;
        /* relaxed: a count for whoever looks on */
        atomic_store_explicit(&from->shared->high_water, in_use, memory_order_relaxed);
    }
    return index;
}

void pool_count_exhausted(struct pool_class *in)
{
    in->exhausted++;
    /* relaxed: a count for whoever looks on */
    atomic_store_explicit(&in->shared->exhausted, in->exhausted, memory_order_relaxed);
}

void pool_publish(struct pool_class *in, uint32_t index, uint64_t sequence)
{
    struct pool_slab *slab = &in->slab[index];
    if (slab->list == POOL_ON_FLIGHT)
        list_remove(in, &in->in_flight, index);
    slab->last_sequence = sequence;
    slab->published = 1;
    list_append(in, &in->in_flight, index, POOL_ON_FLIGHT);
}

void pool_disown(struct pool *pool, struct pool_class *in, uint32_t index)
{
    struct pool_slab *slab = &in->slab[index];
    slab->owned = 0;
    if (slab->list == POOL_ON_FLIGHT)
        return;
    if (!slab->published) {
        /* Retired at once, so that a handle kept from before is stale when it is acquired again. */
        raise_generation(in, index);
        give_back(pool, in, index);
        return;
    }
    /* Its messages are below the floor, and it may be held: retired like any other. */
    slab->last_sequence = 0;
    slab->next = in->in_flight.first;
    slab->previous = POOL_NONE;
    slab->list = POOL_ON_FLIGHT;
    if (in->in_flight.first == POOL_NONE)
        in->in_flight.last = index;
    else
        in->slab[in->in_flight.first].previous = index;
    in->in_flight.first = index;
    in->in_flight.count++;
}

void pool_disown_all(struct pool *pool)
{
    for (uint32_t i = 0; i < pool->class_count; i++)
        for (uint32_t j = 0; j < pool->classes[i].slab_count; j++)
            if (pool->classes[i].slab[j].owned)
                pool_disown(pool, &pool->classes[i], j);
}

uint64_t pool_wanted_floor(const struct pool_class *in)
{
    return in->in_flight.first == POOL_NONE ? 0 : in->slab[in->in_flight.first].last_sequence + 1;
}

static struct control_entry *holder_entry(const struct pool *pool, uint32_t index)
{
    return (struct control_entry *)(void *)(pool->entries + (uint64_t)index * pool->entry_bytes);
}

/* Lists the entries whose bitmaps have to be read. */
static uint32_t find_holders(struct pool *pool)
{
    uint32_t count = 0;
    /* ORDER(holders_used:B) pairs entries_used:A: generations before the entries are counted */
    uint32_t used = atomic_load_explicit(pool->entries_used, memory_order_seq_cst);
    if (used > pool->max_consumers)
        used = pool->max_consumers;
    if (used > pool->known)
        pool->known = used;
    for (uint32_t i = 0; i < pool->known; i++) {
        struct control_entry *entry = holder_entry(pool, i);
        /* ORDER(holder_state:B) pairs join_active:A, leave:A, grace:A, resume:A: generations before
         * states */
        if (atomic_load_explicit(&entry->state, memory_order_seq_cst) != ENTRY_ACTIVE)
            continue;
        /* ORDER(holding:B) pairs hold_set:A, hold_clear:A, hold_end:A: reads of a slab before its
         * reuse */
        if (atomic_load_explicit(&entry->holding, memory_order_seq_cst) == 0)
            continue;
        /* relaxed: stored before state, which was acquired */
        uint64_t epoch = atomic_load_explicit(&entry->epoch, memory_order_relaxed);
        /* relaxed: the producer's own word */
        if (atomic_load_explicit(&pool->verdicts[i].evicted, memory_order_relaxed) != epoch)
            pool->holders[count++] = i;
    }
    return count;
}

static int is_held(const struct pool *pool, uint32_t holder_count, uint64_t slab)
{
    for (uint32_t i = 0; i < holder_count; i++) {
        struct control_entry *entry = holder_entry(pool, pool->holders[i]);
        /* ORDER(holds:B) pairs bit_set:A, bit_clear:A, bits_end:A: reads of a slab before its reuse
         */
        uint64_t word = atomic_load_explicit(&entry->holds[slab / 64], memory_order_seq_cst);
        if (word >> (slab % 64) & 1)
            return 1;
    }
    return 0;
}

uint64_t pool_count_held(struct pool *pool, const struct pool_class *in)
{
    uint32_t holders = find_holders(pool);
    uint64_t held = 0;
    for (uint32_t i = 0; i < in->slab_count; i++)
        held += (uint64_t)is_held(pool, holders, in->first_slab + i);
    return held;
}

int pool_is_holder(const struct pool *pool, const struct pool_class *in, uint32_t entry_index)
{
    const struct control_entry *entry = holder_entry(pool, entry_index);
    for (uint64_t slab = in->first_slab; slab < in->first_slab + in->slab_count; slab++)
        /* relaxed: asked of one that is stalled, to blame it */
        if (atomic_load_explicit(&entry->holds[slab / 64], memory_order_relaxed) >> (slab % 64) & 1)
            return 1;
    return 0;
}

/* Frees those of a batch that nobody holds, and puts the others on the held list. */
static uint32_t settle_batch(struct pool *pool, struct pool_class *in, const uint32_t *batch,
                             uint32_t count)
{
    uint32_t holders = find_holders(pool);
    uint32_t freed = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (holders > 0 && is_held(pool, holders, in->first_slab + batch[i])) {
            list_append(in, &in->held, batch[i], POOL_ON_HELD);
        } else {
            give_back(pool, in, batch[i]);
            freed++;
        }
    }
    return freed;
}

/* Takes from the oldest in flight what is below the floor and not owned. */
static uint32_t take_retired(struct pool_class *in, uint64_t floor, uint32_t *batch)
{
    uint32_t count = 0;
    while (count < POOL_BATCH) {
        uint32_t index = in->in_flight.first;
        if (index == POOL_NONE || in->slab[index].last_sequence >= floor)
            break;
        list_remove(in, &in->in_flight, index);
        if (!in->slab[index].owned)
            batch[count++] = index;
    }
    if (count == 0)
        return 0;
    for (uint32_t i = 0; i < count; i++)
        raise_generation(in, batch[i]);
    /* ORDER(reclaim:A) pairs hold_fence:A, hold_recheck:B, copy_recheck:B, slab_still:B,
     * own_words:B: generations before holds, and floor and generations before a byte of the slabs
     */
    atomic_thread_fence(memory_order_seq_cst);
    return count;
}

/* Looks once more at what was held. Its generations were raised when it was retired, so nobody can
 * begin to hold it any more. */
static uint32_t recheck_held(struct pool *pool, struct pool_class *in)
{
    uint32_t freed = 0;
    uint32_t left = in->held.count;
    while (left > 0) {
        uint32_t batch[POOL_BATCH];
        uint32_t count = 0;
        while (count < POOL_BATCH && left > 0) {
            batch[count] = in->held.first;
            list_remove(in, &in->held, batch[count]);
            count++;
            left--;
        }
        freed += settle_batch(pool, in, batch, count);
    }
    return freed;
}

uint32_t pool_reclaim(struct pool *pool, struct pool_class *in, uint64_t floor)
{
    uint32_t freed = in->held.count > 0 ? recheck_held(pool, in) : 0;
    for (;;) {
        uint32_t batch[POOL_BATCH];
        uint32_t count = take_retired(in, floor, batch);
        if (count == 0)
            return freed;
        freed += settle_batch(pool, in, batch, count);
    }
}

int pool_resolve(const struct pool *pool, uint64_t handle, uint32_t *out_class, uint32_t *out_index)
{
    uint32_t class_index = handle_class(handle);
    if (class_index >= pool->class_count)
        return -EBADMSG;
    /* One below the part's first wraps, and is beyond its last. */
    uint32_t index = handle_index(handle) - pool->classes[class_index].first_index;
    if (index >= pool->classes[class_index].slab_count)
        return -EBADMSG;
    *out_class = class_index;
    *out_index = index;
    return 0;
}

int pool_refer(struct pool *pool, uint64_t handle, uint64_t sequence)
{
    uint32_t class_index;
    uint32_t index;
    int result = pool_resolve(pool, handle, &class_index, &index);
    if (result < 0)
        return result;
    struct pool_class *in = &pool->classes[class_index];
    if (pool_generation(in, index) != handle_generation(handle))
        return -ESTALE;
    struct pool_slab *slab = &in->slab[index];
    if (slab->list == POOL_ON_FREE)
        *slab = (struct pool_slab){.list = POOL_ON_NONE};
    pool_publish(in, index, sequence);
    return 0;
}

/* Every slab that no message refers to is retired as if its message had gone below the floor: its
 * generation rises before its holds are read, unless the producer before had got so far already,
 * and it may have been held since. The free stack is built anew. */
static void settle_class(struct pool *pool, struct pool_class *in)
{
    in->on_free = POOL_NONE;
    in->free_count = 0;
    for (uint32_t i = 0; i < in->slab_count; i++)
        if (in->slab[i].list != POOL_ON_FLIGHT && !generation_is_retired(pool_generation(in, i)))
            raise_generation(in, i);
    /* ORDER(settle:A) pairs hold_fence:A, hold_recheck:B, copy_recheck:B, slab_still:B,
     * own_words:B: generations before holds, and floor and generations before a byte of the slabs
     */
    atomic_thread_fence(memory_order_seq_cst);
    uint32_t holders = find_holders(pool);
    for (uint32_t i = in->slab_count; i > 0; i--) {
        if (in->slab[i - 1].list == POOL_ON_FLIGHT)
            continue;
        if (is_held(pool, holders, in->first_slab + i - 1)) {
            list_append(in, &in->held, i - 1, POOL_ON_HELD);
        } else {
            end_retirement(in, i - 1);
            free_push(in, i - 1);
        }
    }
}

void pool_settle(struct pool *pool)
{
    for (uint32_t i = 0; i < pool->class_count; i++) {
        struct pool_class *in = &pool->classes[i];
        settle_class(pool, in);
        uint64_t in_use = (uint64_t)in->in_flight.count + in->held.count;
        /* relaxed: counts for whoever looks on; those of the producer before are carried on */
        in->acquired = atomic_load_explicit(&in->shared->acquired, memory_order_relaxed);
        in->high_water = atomic_load_explicit(&in->shared->high_water, memory_order_relaxed);
        in->exhausted = atomic_load_explicit(&in->shared->exhausted, memory_order_relaxed);
        in->released = in->acquired - in_use;
        atomic_store_explicit(&in->shared->released, in->released, memory_order_relaxed);
    }
}
