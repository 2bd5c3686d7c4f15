/* SPDX-License-Identifier: MIT */
/*
 * The producer's side of the pool, or of its part of the pool, on plain pointers. All of it but
 * generations and counts is the producer's private memory: no consumer can corrupt the free list or
 * leak from it.
 *
 * A slab is on one list at most:
 *
 *   free ---acquire--> (none) ---publish--> in flight ---below the floor--> free
 *     ^                   |                    |                             ^
 *     +------disown-------+                    +--a hold bit is set--> held -+ (bits clear)
 *
 * "owned" says that the producer keeps it: by an open claim, or acquired by hand. An owned slab is
 * never freed; it may be in flight at the same time. In flight is kept in the order of the last
 * sequence that refers to each, so reclaiming looks at the oldest only: its cost does not depend on
 * how many slabs there are.
 *
 *   producer reclaims                     optional reader            required consumer retains
 *   -----------------                     ---------------            -------------------------
 *   generation + 1                        hold bit = 1               hold bit = 1
 *   fence              (reclaim:A)        load generation, stamp     store cursor   (cursor:A)
 *   load holding, bits (holds:B)          use it if unchanged
 *   generation + 1 if nobody holds it
 *   fence              (reuse:A)
 *
 * So a generation is even from when a slab is acquired until it is retired, and odd while it is
 * retired and held. A holder that finds it two up was not taken for one: somebody ended its hold.
 *
 * The free list is last in, first out: what was written last is still in the cache.
 *
 * Among many producers each class is cut into equal parts, one for each number of a producer, and a
 * struct pool is one part of all classes. Only the producer that has a part (LOCK_PART) touches its
 * slabs, generations and counts.
 */
#ifndef SHMBUS_POOL_H
#define SHMBUS_POOL_H

#include "layout/layout.h"
#include "layout/stamp.h"

#define POOL_NONE UINT32_MAX

/* The producer's private words of one slab. */
struct pool_slab {
    uint64_t last_sequence; /* that refers to it, when in flight */
    uint32_t next;
    uint32_t previous;
    uint8_t list;      /* POOL_ON_... */
    uint8_t owned;     /* by a claim or by hand */
    uint8_t published; /* since it was acquired */
};

struct pool_list {
    uint32_t first;
    uint32_t last;
    uint32_t count;
};

struct pool_class {
    unsigned char *slabs;
    _Atomic uint32_t *generations;
    struct producer_class *shared;
    struct pool_slab *slab;
    uint64_t slab_bytes;
    uint64_t first_slab;  /* its first slab's bit in the bitmaps */
    uint32_t first_index; /* of its first slab, in the whole class: 0 but among many producers */
    uint32_t slab_count;
    uint32_t on_free; /* first of the free stack */
    uint32_t free_count;
    uint64_t acquired; /* private copies of the shared counts */
    uint64_t released;
    uint64_t high_water;
    uint64_t exhausted;
    struct pool_list in_flight;
    struct pool_list held;
};

struct pool {
    uint32_t class_count;
    uint32_t scrub;
    struct pool_class classes[SHMBUS_CLASSES_MAX];
    /* Where the holds are. */
    unsigned char *entries;
    uint64_t entry_bytes;
    _Atomic uint32_t *entries_used;
    const struct layout_verdict *verdicts;
    uint32_t max_consumers;
    uint32_t known;    /* greatest entries_used ever seen: a consumer may not lower it */
    uint32_t *holders; /* room for max_consumers indices */
};

/* Prepares a part of a pool over a mapped feed and control: the one of this number, whose counts
 * are in that producer's entry. No slab is to be had yet. Returns 0 or -ENOMEM. */
int pool_prepare(struct pool *pool, void *feed, void *control, const struct feed_header *header,
                 struct producer_entry *producer, uint32_t part);

/* The same, with all slabs free. */
int pool_begin(struct pool *pool, void *feed, void *control, const struct feed_header *header,
               struct producer_entry *producer, uint32_t part);
void pool_end(struct pool *pool);

/* Empties the lists again: no slab is to be had. */
void pool_empty(struct pool *pool);

/* Does the producer keep a slab of it itself? */
int pool_is_owned(const struct pool *pool);

/* The smallest class whose slabs have so many bytes, or class_count. */
uint32_t pool_class_for(const struct pool *pool, uint64_t bytes);

/* Takes a slab off the free list, owned. free_count must not be 0. */
uint32_t pool_acquire(struct pool_class *from);

/* Counts one exhaustion of a class. */
void pool_count_exhausted(struct pool_class *in);

/* A message with this sequence, the greatest so far, refers to the slab. */
void pool_publish(struct pool_class *in, uint32_t index, uint64_t sequence);

/* The producer no longer keeps the slab itself. */
void pool_disown(struct pool *pool, struct pool_class *in, uint32_t index);

/* The producer goes, and keeps nothing any longer. */
void pool_disown_all(struct pool *pool);

/* The least floor at which something of a class could be reclaimed; 0 when nothing is in flight. */
uint64_t pool_wanted_floor(const struct pool_class *in);

/* Puts back what the floor and the holds allow. Returns how many slabs became free. */
uint32_t pool_reclaim(struct pool *pool, struct pool_class *in, uint64_t floor);

/* How many slabs of a class some consumer holds now. */
uint64_t pool_count_held(struct pool *pool, const struct pool_class *in);

/* Does this consumer's entry hold a slab of a class? */
int pool_is_holder(const struct pool *pool, const struct pool_class *in, uint32_t entry_index);

/* Finds a slab by an untrusted handle: its class and index, or -EBADMSG. */
int pool_resolve(const struct pool *pool, uint64_t handle, uint32_t *out_class,
                 uint32_t *out_index);

/* Takeover: begins from nothing, refers() each message's slab in the order of sequences, and then
 * makes all others free, or held. */
int pool_refer(struct pool *pool, uint64_t handle, uint64_t sequence);
void pool_settle(struct pool *pool);

static inline uint32_t pool_generation(const struct pool_class *in, uint32_t index)
{
    /* relaxed: the producer's own word */
    return atomic_load_explicit(&in->generations[index], memory_order_relaxed);
}

/* The handle of a slab as it is now. */
static inline uint64_t pool_handle(const struct pool_class *in, uint32_t class_index,
                                   uint32_t index)
{
    return handle_make(class_index, pool_generation(in, index), in->first_index + index);
}

static inline unsigned char *pool_data(const struct pool_class *in, uint32_t index)
{
    return in->slabs + (uint64_t)index * in->slab_bytes;
}

#endif
