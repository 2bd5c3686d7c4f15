/* SPDX-License-Identifier: MIT */
/*
 * Among many producers one publishes a message in a slab of its part of the pool and dies; another,
 * which has no slab left, adopts the part: it finds the message in the ring, and does not use the
 * slab before a required consumer that reads it in place has passed it. The payload is plain.
 *
 * With -DBACK the first one's number is a living one's again, which asks for its part while the
 * other still writes the slab: it is given back when the slab is published, and not before.
 */
#define MODEL_PRODUCERS 2

#include "kernel.h"

#ifdef MODEL_CHECKER
/* A part is emptied slab by slab: here it has one. */
#undef memset
#define memset(to, value, bytes) (*(to) = (__typeof__(*(to))){value})
#endif

#include "slabs.h"

#include <sys/mman.h>

#include "recovery/producers.c"

/* Who has a part has a mapping that keeps its lock. */
static _Atomic uint32_t part_lock;

static int take_lock(int64_t byte)
{
    uint32_t none = 0;
    if (byte < LOCK_PART)
        return lock_take(0, byte);
    return atomic_compare_exchange_strong_explicit(&part_lock, &none, 1, memory_order_acq_rel,
                                                   memory_order_relaxed)
               ? 0
               : -EAGAIN;
}

static int map_lock(unsigned char **out_lock)
{
    *out_lock = (unsigned char *)&part_lock;
    return 0;
}

static int drop_lock(void)
{
    atomic_store_explicit(&part_lock, 0, memory_order_release);
    return 0;
}

#define lock_take(descriptor, byte)                        take_lock(byte)
#define segment_map(descriptor, bytes, access, flags, out) map_lock(out)
#define munmap(at, bytes)                                  ((void)(at), drop_lock())
#define close(descriptor)                                  ((void)(descriptor))
/* Names that others have too. */
#define is_dead    part_is_dead
#define slab_wish  part_wish
#define slabs_done part_done
#include "producer/parts.c"
#undef is_dead
#undef slab_wish
#undef slabs_done
#undef close
#undef munmap
#undef segment_map
#undef lock_take

#include "producer/among.c"

static struct among amongs[2];
static struct pool no_slabs;
static int is_written; /* the slab, with what comes after message 0 */

/* Takes message 0 and names the slab in it, which is written by then. */
static void publish_in_slab(uint32_t number)
{
    struct slot_header *slot = &bus_slot(0)->header;
    int claimed = claim_take(slot, ring_poll(slot), 0, number);
    assert(claimed);
    bus_set(&bus_slot(0)->shared, slabs_handle());
    int ended = claim_end(slot, 0, number, meta_make(sizeof(uint64_t), 1, SHMBUS_MESSAGE_POOLED),
                          STAMP_PUBLISHED);
    assert(ended);
}

/* One that needs a slab: what it writes there when it gets one. */
static void write_next(struct shmbus_producer *one)
{
    struct part_wish wish;
    wish.class_index = 0;
    wish.count = 1;
    if (is_written || !part_done(one, &wish))
        return;
    is_written = 1;
    assert(ring_is_final(ring_poll(&bus_slot(0)->header), 0));
    feed.plain[0] = 1;
}

#ifdef BACK

static struct shmbus_producer other;
static struct pool own_part;
static struct pool_slab own_slab[MODEL_SLABS];

/* It has the part of the other number, with the slab acquired by hand. */
static void *first(void *unused)
{
    (void)unused;
    parts_give_back(&other);
    feed.plain[0] = 0;
    publish_in_slab(1);
    pool_publish(&pool.classes[0], 0, 0);
    pool_disown(&pool, &pool.classes[0], 0);
    parts_give_back(&other);
    return NULL;
}

#else

static void *first(void *unused)
{
    (void)unused;
    feed.plain[0] = 0;
    publish_in_slab(0);
    drop_lock();
    kernel_die(0);
    return NULL;
}

#endif

static void *second(void *unused)
{
    (void)unused;
    write_next(&producer);
#ifdef BACK
    write_next(&producer);
#endif
    return NULL;
}

static void *consume(void *unused)
{
    (void)unused;
    if (consumer_look(&consumer) == NULL)
        return NULL;
    assert(feed.plain[0] == 0);
    consumer.next++;
    int result = consumer_advance(&consumer);
    assert(result == 0);
    return NULL;
}

/* What a producer among many has of the parts. */
static void has_parts(struct shmbus_producer *one, uint32_t number, struct pool *part)
{
    struct among *among = &amongs[number];
    bus_open_ring(&one->ring);
    bus_open(&one->segment);
    one->index = number;
    one->among = among;
    one->gate.ring = &ring;
    among->parts[0] = part;
    among->parts[1] = &no_slabs;
    among->parts_had = UINT64_C(1) << number;
    among->limit = MODEL_CAPACITY;
}

static void empty_part(struct pool *part, struct pool_slab *slabs)
{
    struct pool_class *in = &part->classes[0];
    part->class_count = 1;
    part->entries = pool.entries;
    part->entry_bytes = MODEL_ENTRY_BYTES;
    part->entries_used = pool.entries_used;
    part->verdicts = pool.verdicts;
    part->max_consumers = MODEL_CONSUMERS;
    part->holders = holders;
    in->slab = slabs;
    in->slab_count = slabs != NULL;
    in->slab_bytes = sizeof(uint64_t);
    in->generations = feed.generations;
    in->shared = &feed.producers[0].classes[0];
    in->on_free = POOL_NONE;
    in->free_count = 0;
    list_clear(&in->in_flight);
    list_clear(&in->held);
}

static void begin(void)
{
    bus_begin();
    kernel_begin();
    bus_join(0, SHMBUS_REQUIRED, 1, 0);
    writer_begin(0, 0);
    reader_begin(0, SHMBUS_REQUIRED, 0);
    slabs_begin();
    list_remove(&pool.classes[0], &pool.classes[0].in_flight, 0);
    bus_set(&bus_slot(0)->header.stamp, 0);
    empty_part(&no_slabs, NULL);
    atomic_store_explicit(&part_lock, 1, memory_order_relaxed);
    is_written = 0;
#ifdef BACK
    empty_part(&own_part, own_slab);
    has_parts(&producer, 0, &own_part);
    has_parts(&other, 1, &pool);
    amongs[0].parts_had = 0;
    amongs[1].parts_had |= 1;
    slab[0].owned = 1;
#else
    has_parts(&producer, 1, &pool);
#endif
}

static void end(void)
{
    assert(!is_written || consumer.next == 1);
}

int main(void)
{
    static model_thread *const threads[] = {first, second, consume};
    model_run(begin, threads, 3, end);
    return 0;
}
