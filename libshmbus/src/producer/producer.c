/* SPDX-License-Identifier: MIT */
/*
 * Creating a bus, opening one for publishing, and closing it.
 */
#include "producer/producer.h"

#include "error/error.h"
#include "numa/place.h"
#include "producer/copy.h"
#include "recovery/recovery.h"
#include "wait/wait.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How far ahead of the slot being written the next lines are asked for; docs/performance.md. */
#define PREFETCH_AHEAD       64
#define CREATE_OR_OPEN_TRIES 64

/* In the child of a fork: the mapping is not there, so nothing must touch it. */
static void orphan(struct process_object *object)
{
    struct shmbus_producer *producer =
        (struct shmbus_producer *)(void *)((char *)object -
                                           offsetof(struct shmbus_producer, object));
    producer->orphaned = 1;
    producer->limit = 0;
    producer->claim = CLAIM_NONE;
}

static void set_fast_path(struct shmbus_producer *producer, struct recovery_stream stream)
{
    uint64_t capacity = producer->segment.header.capacity;
    producer->next = stream.next;
    producer->begun_at = stream.next;
    producer->limit = stream.floor + capacity;
    producer->tail_mask = ring_tail_every(capacity) - 1;
    producer->ahead = capacity / 4 < PREFETCH_AHEAD ? capacity / 4 : PREFETCH_AHEAD;
    producer->word_room = copy_word_room(producer->ring.inline_bytes, producer->ring.timestamps);
    producer->claim = CLAIM_NONE;
    if (producer->among != NULL) {
        producer->among->limit = producer->limit;
        producer->limit = 0;
    }
    producer->gap_from = stream.gap_from;
    producer->gap_to = stream.gap_to;
    if (producer->gap_to > stream.floor)
        producer->limit = 0;
}

static int set_gate(struct shmbus_producer *producer)
{
    struct segment *segment = &producer->segment;
    producer->gate = (struct gate){
        .floor_word = &producer->entry->floor,
        .verdicts = segment_verdicts(segment),
        .header = &segment->header,
        .feed = segment->feed,
        .entries_used = &segment_shared(segment)->entries_used,
        .entries = (unsigned char *)layout_entry(segment->control, &segment->header, 0),
        .entry_bytes = segment->header.entry_bytes,
        .max_consumers = segment->header.max_consumers,
        .seen = calloc(segment->header.max_consumers, sizeof *producer->gate.seen),
        .ring = segment->header.max_producers > 1 ? &producer->ring : NULL,
    };
    producer->health = calloc(segment->header.max_consumers, sizeof *producer->health);
    return producer->gate.seen == NULL || producer->health == NULL ? -ENOMEM : 0;
}

/* Makes the entry say who publishes. */
static void announce(struct shmbus_producer *producer)
{
    struct producer_entry *entry = producer->entry;
    struct feed_state *state = segment_state(&producer->segment);
    /* relaxed: its own words, for whoever looks on; those before are carried on */
    producer->published = atomic_load_explicit(&entry->published, memory_order_relaxed);
    producer->blocked = atomic_load_explicit(&entry->blocked, memory_order_relaxed);
    producer->exhausted = atomic_load_explicit(&entry->exhausted, memory_order_relaxed);
    producer->evicted = atomic_load_explicit(&entry->evicted, memory_order_relaxed);
    producer->skipped = atomic_load_explicit(&entry->skipped, memory_order_relaxed);
    producer->history_yielded = atomic_load_explicit(&entry->history_yielded, memory_order_relaxed);
    uint64_t epoch = atomic_load_explicit(&entry->epoch, memory_order_relaxed) + 1;
    atomic_store_explicit(&entry->epoch, epoch, memory_order_relaxed);
    atomic_store_explicit(&entry->pid, (uint32_t)getpid(), memory_order_relaxed);
    atomic_store_explicit(&entry->waiting, SHMBUS_WAITING_NOT, memory_order_relaxed);
    producer_store_tail(producer);
    /* ORDER(producer_active:A) pairs producers_active:B, producers_left:B: active before the stream
     * is open */
    atomic_store_explicit(&entry->state, PRODUCER_ACTIVE, memory_order_seq_cst);
    /* ORDER(open:A) pairs bus_state:B: the stream goes on from a tail that is whole */
    atomic_store_explicit(&state->bus_state, BUS_OPEN, memory_order_seq_cst);
}

/* A producer among many: under its repair byte, so that nobody who found its number dead before
 * repairs it any longer, it aborts what that one left, and goes on behind what others claimed. */
static int begin_among(struct shmbus_producer *producer)
{
    struct segment *segment = &producer->segment;
    struct recovery_stream stream;
    process_hold();
    int repair = recovery_hold_number(segment);
    int result = repair < 0
                     ? repair
                     : recovery_join_producers(segment, &producer->ring, &producer->gate, &stream);
    if (result == 0) {
        set_fast_path(producer, stream);
        result = parts_take(producer, producer->index);
    }
    /* Nothing may fail from here on: one that is active and goes has died. */
    if (result >= 0)
        announce(producer);
    if (repair >= 0)
        close(repair);
    process_release();
    if (result >= 0)
        recovery_repair_producers(segment, &producer->ring);
    return result < 0 ? result : 0;
}

static int begin_alone(struct shmbus_producer *producer)
{
    struct recovery_stream stream;
    int result = recovery_take_over(&producer->segment, &producer->ring, &producer->gate,
                                    &producer->pool, &stream);
    if (result < 0)
        return result;
    set_fast_path(producer, stream);
    announce(producer);
    return 0;
}

static int make_pool(struct shmbus_producer *producer)
{
    struct segment *segment = &producer->segment;
    if (segment->header.max_producers > 1)
        return among_begin(producer);
    return pool_prepare(&producer->pool, segment->feed, segment->control, &segment->header,
                        producer->entry, 0);
}

/* What creating and opening have in common, once the segment is there with its locks. */
static int begin(struct shmbus_producer *producer)
{
    struct segment *segment = &producer->segment;
    producer->ring = ring_view(segment->feed, &segment->header);
    producer->index = segment->producer;
    producer->entry = segment_producer(segment, producer->index);
    producer->tail_word = &segment_state(segment)->tail;
    int result = set_gate(producer);
    if (result == 0)
        result = make_pool(producer);
    if (result < 0)
        return error_set(result, "%s: no memory left for the pool's lists", segment->name);
    producer_begin_parking(producer);
    return producer->among != NULL ? begin_among(producer) : begin_alone(producer);
}

/* Nothing can fail any more. */
static void enlist(struct shmbus_producer *producer)
{
    recovery_reap(&producer->segment, producer->gate.known);
    process_hold();
    producer->object.orphan = orphan;
    process_add(&producer->object);
    process_release();
}

/* Gives back the segment and what was allocated for it. */
static void let_go(struct shmbus_producer *producer)
{
    among_end(producer);
    segment_close(&producer->segment);
    pool_end(&producer->pool);
    free(producer->gate.seen);
    free(producer->health);
    producer->gate.seen = NULL;
    producer->health = NULL;
}

static void discard(struct shmbus_producer *producer)
{
    let_go(producer);
    free(producer);
}

static int make(const char *name, const struct shmbus_producer_options *options,
                struct shmbus_producer **out_producer)
{
    struct shmbus_producer_options taken = {0};
    int result = layout_check_name("bus", name);
    if (result == 0)
        result = layout_take_options(options, sizeof taken, "producer options", &taken);
    if (result < 0)
        return result;
    if (taken.full_timeout_ns < SHMBUS_FOREVER)
        return error_set(-EINVAL, "full_timeout_ns: %" PRId64 " is less than SHMBUS_FOREVER",
                         taken.full_timeout_ns);
    struct wait_plan wait;
    result = wait_take_options(&taken.wait, &wait);
    if (result < 0)
        return result;
    struct shmbus_producer *producer = calloc(1, sizeof *producer);
    if (producer == NULL)
        return error_set(-ENOMEM, "%s: no memory left for a producer", name);
    segment_begin(&producer->segment, name);
    producer->full_timeout_ns = taken.full_timeout_ns;
    producer->wait = wait;
    producer->on_exhausted = taken.on_exhausted;
    producer->context = taken.context;
    producer->on_health = taken.on_health;
    *out_producer = producer;
    return 0;
}

static int finish(struct shmbus_producer *producer, int result,
                  struct shmbus_producer **out_producer)
{
    if (result < 0) {
        discard(producer);
        return result;
    }
    enlist(producer);
    *out_producer = producer;
    return 0;
}

/* Makes the bus anew, in place of the one given, or NULL. It gets its name when nothing can fail
 * any more. */
static int create(struct shmbus_producer *producer, const struct shmbus_bus_options *options,
                  const struct segment *replaced)
{
    struct segment_draft draft;
    int result = segment_draft_begin(&draft, &producer->segment, options, replaced);
    if (result == 0)
        result = begin(producer);
    if (result == 0)
        result = segment_draft_name(&draft);
    segment_draft_end(&draft);
    return result;
}

/* Those that are attached to the old bus read on to its end, and then find that it is gone. */
static int replace(struct shmbus_producer *producer, const struct shmbus_bus_options *options)
{
    struct segment old = producer->segment;
    int others = segment_keep_others_out(&old);
    if (others < 0)
        return others;
    segment_begin(&producer->segment, old.name);
    int result = create(producer, options, &old);
    close(others);
    segment_close(&old);
    return result;
}

/* Takes over the bus that is open if its geometry is the one wanted, or else replaces it if that is
 * asked. */
static int take_or_replace(struct shmbus_producer *producer,
                           const struct shmbus_bus_options *options,
                           const struct feed_header *wanted)
{
    struct segment *segment = &producer->segment;
    int result = layout_same_geometry(&segment->header, wanted);
    if (result == 0)
        result = layout_same_tables(&segment->header, segment->feed, options);
    if (result == -EEXIST && (options->flags & SHMBUS_BUS_REPLACE))
        return replace(producer, options);
    if (result == 0)
        result = segment_settle_mapping(segment, options->flags);
    return result < 0 ? result : begin(producer);
}

/* Takes over what is there, or creates it, until one of the two is possible: between them another
 * process may create or remove the bus. */
static int create_or_open(struct shmbus_producer *producer,
                          const struct shmbus_bus_options *options)
{
    char name[SHMBUS_NAME_MAX + 1];
    memcpy(name, producer->segment.name, sizeof name);
    struct feed_header wanted;
    int result = layout_plan(options, name, LAYOUT_PAGE, &wanted);
    if (result < 0)
        return result;
    for (int i = 0; i < CREATE_OR_OPEN_TRIES; i++) {
        result = segment_open(&producer->segment, options->folder, SEGMENT_PUBLISH);
        if (result == 0)
            result = take_or_replace(producer, options, &wanted);
        if (result != -ENOENT)
            return result;
        let_go(producer);
        segment_begin(&producer->segment, name);
        result = create(producer, options, NULL);
        if (result != -EEXIST)
            return result;
        let_go(producer);
        segment_begin(&producer->segment, name);
    }
    return error_set(-EBUSY, "%s: others create and remove it all the time", name);
}

int shmbus_producer_create(const char *name, const struct shmbus_bus_options *bus,
                           const struct shmbus_producer_options *options,
                           struct shmbus_producer **out_producer)
{
    struct shmbus_bus_options taken = {0};
    struct shmbus_producer *producer = NULL;
    int saved = errno;
    int result = layout_take_options(bus, sizeof taken, "bus options", &taken);
    if (result == 0)
        result = make(name, options, &producer);
    if (producer == NULL)
        return result;
    result = create_or_open(producer, &taken);
    result = finish(producer, result, out_producer);
    errno = saved;
    return result;
}

int shmbus_producer_open(const char *name, const char *folder,
                         const struct shmbus_producer_options *options, int64_t wait_ns,
                         struct shmbus_producer **out_producer)
{
    struct shmbus_producer *producer = NULL;
    if (wait_ns < SHMBUS_FOREVER)
        return error_set(-EINVAL, "wait_ns: %" PRId64 " is less than SHMBUS_FOREVER", wait_ns);
    int result = make(name, options, &producer);
    if (result < 0)
        return result;
    int saved = errno;
    result = segment_open_wait(&producer->segment, folder, SEGMENT_PUBLISH, wait_ns);
    if (result == 0)
        result = begin(producer);
    result = finish(producer, result, out_producer);
    errno = saved;
    return result;
}

static void leave_alone(struct shmbus_producer *producer)
{
    producer_store_tail(producer);
    pool_disown_all(&producer->pool);
    /* relaxed: its own word, for whoever looks on */
    atomic_store_explicit(&producer->entry->state, PRODUCER_FREE, memory_order_relaxed);
    /* ORDER(close:A) pairs bus_state:B, look_state:B: every stamp before the end of the stream */
    atomic_store_explicit(&segment_state(&producer->segment)->bus_state, BUS_CLOSED,
                          memory_order_release);
    segment_wake(&producer->segment);
}

/* An open claim is aborted, or it would stop the stream. The last one that lives ends it. */
static void leave_among(struct shmbus_producer *producer)
{
    if (producer->claim != CLAIM_NONE)
        among_abort(producer);
    producer_store_tail(producer);
    parts_end(producer);
    recovery_leave_producers(&producer->segment, &producer->ring);
}

void shmbus_producer_close(struct shmbus_producer *producer)
{
    if (producer == NULL)
        return;
    if (producer->orphaned) {
        segment_forget(&producer->segment);
        discard(producer);
        return;
    }
    process_hold();
    process_remove(&producer->object);
    process_release();
    if (producer->among != NULL)
        leave_among(producer);
    else
        leave_alone(producer);
    discard(producer);
}

int shmbus_producer_placement(struct shmbus_producer *producer,
                              struct shmbus_placement *out_placement)
{
    int result = guard_enter(&producer->guard);
    if (result < 0)
        return result;
    struct shmbus_placement placement = {0};
    const struct segment *segment = &producer->segment;
    if (producer->orphaned) {
        result = producer_refuse(producer);
    } else {
        int saved = errno;
        place_page_bytes(segment->feed, segment->feed_mapped, &placement);
        place_ask(segment->feed, segment->feed_mapped, &placement);
        place_ask(segment->control, segment->control_mapped, &placement);
        errno = saved;
        *out_placement = placement;
    }
    guard_leave(&producer->guard);
    return result;
}

int shmbus_unlink(const char *name, const char *folder)
{
    int saved = errno;
    int result = layout_check_name("bus", name);
    if (result == 0)
        result = segment_unlink(name, folder);
    errno = saved;
    return result;
}
