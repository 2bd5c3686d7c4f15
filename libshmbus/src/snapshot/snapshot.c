/* SPDX-License-Identifier: MIT */
/*
 * The read-only picture of a bus: nothing is locked, nothing written, and every word is a peer's:
 * copied once, bounded, then shown. A bus whose header does not hold up is shown as damaged.
 */
#include "error/error.h"
#include "liveness/liveness.h"
#include "numa/place.h"
#include "pipeline/pipeline.h"
#include "ring/ring.h"
#include "segment/segment.h"
#include "wait/wait.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct shmbus_snapshot {
    struct segment segment;
    struct shmbus_bus_info bus;
    struct shmbus_producer_info producers[SHMBUS_PRODUCERS_MAX];
    struct shmbus_hole_info holes[SHMBUS_PRODUCERS_MAX]; /* a producer has one claim at a time */
    struct shmbus_consumer_info *consumers;              /* max_consumers of them */
    struct shmbus_pool_stats pools[SHMBUS_CLASSES_MAX];
    uint64_t *held;            /* union of the hold bitmaps */
    struct shmbus_type *types; /* type_count of them */
    char why[512];
};

static void look_at_header(struct shmbus_snapshot *snapshot)
{
    const struct segment *segment = &snapshot->segment;
    const struct feed_header *header = &segment->header;
    struct shmbus_bus_info *bus = &snapshot->bus;
    bus->owner_uid = (uint32_t)segment->uid;
    bus->owner_gid = (uint32_t)segment->gid;
    bus->mode = (uint32_t)segment->mode;
    bus->first_sequence = header->first_sequence;
    bus->capacity = header->capacity;
    bus->slot_bytes = header->slot_bytes;
    bus->flags = header->flags;
    bus->feed_bytes = header->feed_bytes;
    bus->control_bytes = header->control_bytes;
    bus->created_ns = header->created_realtime_ns;
    bus->max_consumers = header->max_consumers;
    bus->control_known = segment->control != NULL;
    bus->numa = header->numa;
    bus->numa_node = header->numa_node;
    bus->pages = header->pages;
    bus->layout_major = header->layout_major;
    bus->layout_minor = header->layout_minor;
    bus->class_count = header->class_count;
    bus->type_count = header->type_count;
    bus->required_rule = header->required_rule;
    bus->history = header->history;
    bus->stall_ns = header->stall_ns;
    bus->max_producers = header->max_producers;
}

/* The producer that gives out the slabs of this one's part, + 1, while it lives. */
static uint32_t part_owner(const struct segment *segment, uint32_t index)
{
    /* relaxed: a picture */
    uint32_t owner =
        atomic_load_explicit(&segment_producer(segment, index)->part_owner, memory_order_relaxed);
    if (owner == 0 || owner > segment->header.max_producers)
        return 0;
    return lock_probe(segment->probe_feed, LOCK_LIFE + (int64_t)owner - 1) == 1 ? owner : 0;
}

/* How somebody waits, by a peer's word. */
static uint32_t waiting_of(const _Atomic uint32_t *word)
{
    /* relaxed: a picture */
    uint32_t waiting = atomic_load_explicit(word, memory_order_relaxed);
    return waiting <= SHMBUS_WAITING_PARK ? waiting : SHMBUS_WAITING_NOT;
}

/* A producer that is alive is looked for before the state is read: one that closes meanwhile has
 * said so before it let go. */
static void look_at_producers(struct shmbus_snapshot *snapshot)
{
    const struct segment *segment = &snapshot->segment;
    struct shmbus_bus_info *bus = &snapshot->bus;
    uint32_t alive = 0;
    bus->producer_count = 0;
    for (uint32_t i = 0; i < segment->header.max_producers; i++) {
        const struct producer_entry *entry = segment_producer(segment, i);
        struct shmbus_producer_info *producer = &snapshot->producers[bus->producer_count];
        uint32_t lives = lock_probe(segment->probe_feed, LOCK_LIFE + (int64_t)i) == 1;
        /* relaxed: a picture of words that change meanwhile */
        uint32_t state = atomic_load_explicit(&entry->state, memory_order_relaxed);
        if (!lives && state != PRODUCER_ACTIVE)
            continue;
        producer->index = i;
        producer->alive = lives;
        alive += lives;
        producer->part_owner = part_owner(segment, i);
        producer->waiting = lives ? waiting_of(&entry->waiting) : SHMBUS_WAITING_NOT;
        /* relaxed: as above */
        producer->pid = atomic_load_explicit(&entry->pid, memory_order_relaxed);
        producer->published = atomic_load_explicit(&entry->published, memory_order_relaxed);
        producer->blocked = atomic_load_explicit(&entry->blocked, memory_order_relaxed);
        producer->exhausted = atomic_load_explicit(&entry->exhausted, memory_order_relaxed);
        producer->evicted = atomic_load_explicit(&entry->evicted, memory_order_relaxed);
        producer->skipped = atomic_load_explicit(&entry->skipped, memory_order_relaxed);
        producer->history_yielded =
            atomic_load_explicit(&entry->history_yielded, memory_order_relaxed);
        bus->producer_count++;
    }
    /* ORDER(look_state:B) pairs close:A, end:A: the life bytes before the state */
    uint32_t state = atomic_load_explicit(&segment_state(segment)->bus_state, memory_order_acquire);
    /* Among many, one that joined while the last one closed may have died since. */
    int closed =
        state == BUS_CLOSED && (segment->header.max_producers == 1 || bus->producer_count == 0);
    bus->state = SHMBUS_STATE_OPEN;
    if (alive == 0)
        bus->state = closed ? SHMBUS_STATE_CLOSED : SHMBUS_STATE_DEAD;
}

/* Claims from the end of all that is final on. A dead one's number may be another's by now: then
 * its hole is aborted already, and a claim is of who lives. */
static void look_at_holes(struct shmbus_snapshot *snapshot, const struct ring *ring)
{
    const struct segment *segment = &snapshot->segment;
    struct shmbus_bus_info *bus = &snapshot->bus;
    bus->hole_count = 0;
    if (segment->header.max_producers == 1)
        return;
    uint64_t end = bus->tail;
    for (uint64_t i = 0; i <= ring->mask && bus->hole_count < SHMBUS_PRODUCERS_MAX; i++, end++) {
        uint64_t stamp = ring_poll(ring_slot(ring, end));
        if (!stamp_is_of(stamp, end))
            break;
        uint32_t writer = stamp_writer(stamp);
        if (!stamp_is_writing(stamp) || writer >= segment->header.max_producers)
            continue;
        /* relaxed: a picture */
        uint32_t pid =
            atomic_load_explicit(&segment_producer(segment, writer)->pid, memory_order_relaxed);
        snapshot->holes[bus->hole_count++] = (struct shmbus_hole_info){
            .sequence = end,
            .producer = writer,
            .pid = pid,
            .alive = lock_probe(segment->probe_feed, LOCK_LIFE + (int64_t)writer) == 1,
        };
    }
}

static uint64_t greatest_floor(const struct segment *segment)
{
    uint64_t greatest = 0;
    for (uint32_t i = 0; i < segment->header.max_producers; i++) {
        /* relaxed: a picture; a raise in progress may show what is wanted */
        uint64_t floor =
            atomic_load_explicit(&segment_producer(segment, i)->floor, memory_order_relaxed);
        if (floor > greatest)
            greatest = floor;
    }
    return greatest;
}

/* Floor before tail, and the tail before any cursor: so that a picture of words that move on shows
 * no consumer that is ahead of the producer by more than moved meanwhile. */
static void look_at_ring(struct shmbus_snapshot *snapshot)
{
    const struct segment *segment = &snapshot->segment;
    struct shmbus_bus_info *bus = &snapshot->bus;
    struct ring ring = ring_view(segment->feed, &segment->header);
    /* ORDER(look_tail:B) pairs tail:A, among_tail_up:A: the hint before the stamps below it */
    uint64_t hint = atomic_load_explicit(&segment_state(segment)->tail, memory_order_acquire);
    bus->tail = ring_find_tail(&ring, hint);
    /* A single producer stores its count with the hint: what is beyond the hint is its too. */
    if (segment->header.max_producers == 1 && bus->producer_count == 1)
        snapshot->producers[0].published += bus->tail - hint;
    bus->floor = greatest_floor(segment);
    if (bus->floor > bus->tail)
        bus->floor = bus->tail;
    look_at_holes(snapshot, &ring);
}

static void add_held(struct shmbus_snapshot *snapshot, const struct control_entry *entry)
{
    uint64_t words = layout_hold_words(layout_slab_total(&snapshot->segment.header));
    for (uint64_t i = 0; i < words; i++)
        /* relaxed: a picture */
        snapshot->held[i] |= atomic_load_explicit(&entry->holds[i], memory_order_relaxed);
}

static uint32_t life_of(const struct segment *segment, uint32_t index, uint32_t state,
                        uint64_t epoch)
{
    const struct layout_verdict *verdict = &segment_verdicts(segment)[index];
    if (state == ENTRY_GRACE)
        return SHMBUS_LIFE_GRACE;
    if (lock_probe(segment->probe_control, LOCK_LIFE + (int64_t)index) != 1)
        return SHMBUS_LIFE_DEAD;
    /* relaxed: a picture */
    if (atomic_load_explicit(&verdict->evicted, memory_order_relaxed) == epoch)
        return SHMBUS_LIFE_EVICTED;
    return atomic_load_explicit(&verdict->stalled_epoch, memory_order_relaxed) == epoch
               ? SHMBUS_LIFE_STALLED
               : SHMBUS_LIFE_ALIVE;
}

/* Whom it runs after, and whether it can go on. */
static void look_at_pipeline(struct shmbus_snapshot *snapshot, uint32_t index,
                             struct shmbus_consumer_info *consumer)
{
    const struct segment *segment = &snapshot->segment;
    const struct control_entry *entry = layout_entry(segment->control, &segment->header, index);
    const struct pipeline pipeline = {
        .control = segment->control,
        .header = &segment->header,
        .verdicts = segment_verdicts(segment),
    };
    consumer->after_count = pipeline_read_after(entry, consumer->after);
    racing_copy(&consumer->after_gone, &entry->after_gone, sizeof consumer->after_gone);
    consumer->behind =
        consumer->lag > 0 && consumer->after_count > 0 && pipeline_is_behind(&pipeline, index);
}

static void look_at_entry(struct shmbus_snapshot *snapshot, uint32_t index)
{
    const struct segment *segment = &snapshot->segment;
    struct shmbus_bus_info *bus = &snapshot->bus;
    const struct control_entry *entry = layout_entry(segment->control, &segment->header, index);
    struct shmbus_consumer_info *consumer = &snapshot->consumers[bus->consumer_count];
    /* ORDER(look_entry:B) pairs join_active:A: the entry's words are filled in before it is active
     */
    uint32_t state = atomic_load_explicit(&entry->state, memory_order_acquire);
    if (state != ENTRY_ACTIVE && state != ENTRY_GRACE)
        return;
    memset(consumer, 0, sizeof *consumer);
    consumer->entry = index;
    racing_copy(consumer->name, entry->name, SHMBUS_NAME_MAX);
    /* relaxed: a picture of words that change meanwhile */
    uint64_t epoch = atomic_load_explicit(&entry->epoch, memory_order_relaxed);
    consumer->pid = atomic_load_explicit(&entry->pid, memory_order_relaxed);
    consumer->kind = atomic_load_explicit(&entry->kind, memory_order_relaxed);
    consumer->cursor = atomic_load_explicit(&entry->cursor, memory_order_relaxed);
    consumer->received = atomic_load_explicit(&entry->received, memory_order_relaxed);
    consumer->lost = atomic_load_explicit(&entry->lost, memory_order_relaxed);
    consumer->held = atomic_load_explicit(&entry->holding, memory_order_relaxed);
    consumer->lag = consumer->cursor < bus->tail ? bus->tail - consumer->cursor : 0;
    consumer->filtered = atomic_load_explicit(&entry->filtered, memory_order_relaxed);
    consumer->aborted = atomic_load_explicit(&entry->aborted, memory_order_relaxed);
    int64_t until_ns = atomic_load_explicit(&entry->grace_until_ns, memory_order_relaxed);
    racing_copy(&consumer->grace_ns, &entry->grace_ns, sizeof consumer->grace_ns);
    consumer->life = life_of(segment, index, state, epoch);
    /* For now: all that are heeded. One that was evicted and then died is dead, and is not.
     * relaxed: a picture */
    uint64_t evicted =
        atomic_load_explicit(&segment_verdicts(segment)[index].evicted, memory_order_relaxed);
    consumer->gates = consumer->kind == SHMBUS_REQUIRED && evicted != epoch;
    if (consumer->kind == SHMBUS_REQUIRED)
        look_at_pipeline(snapshot, index, consumer);
    if (state == ENTRY_GRACE)
        consumer->grace_left_ns = until_ns > wait_now() ? until_ns - wait_now() : 0;
    if (consumer->life != SHMBUS_LIFE_DEAD && consumer->life != SHMBUS_LIFE_GRACE)
        consumer->waiting = waiting_of(&entry->waiting);
    add_held(snapshot, entry);
    bus->consumer_count++;
}

/* Does one keep the producer waiting rather than the other? Not one that waits itself for another.
 */
static int is_slower(const struct shmbus_consumer_info *one,
                     const struct shmbus_consumer_info *other)
{
    return one->lag > other->lag || (one->lag == other->lag && other->behind && !one->behind);
}

static void look_at_consumers(struct shmbus_snapshot *snapshot)
{
    const struct segment *segment = &snapshot->segment;
    struct shmbus_bus_info *bus = &snapshot->bus;
    struct shmbus_consumer_info *slowest = NULL;
    bus->consumer_count = 0;
    bus->ring_used = 0;
    memset(snapshot->held, 0, layout_hold_words(layout_slab_total(&segment->header)) * 8);
    if (segment->control == NULL)
        return;
    for (uint32_t i = 0; i < segment->header.max_consumers; i++)
        look_at_entry(snapshot, i);
    for (uint32_t i = 0; i < bus->consumer_count; i++) {
        struct shmbus_consumer_info *consumer = &snapshot->consumers[i];
        if (consumer->gates && (slowest == NULL || is_slower(consumer, slowest)))
            slowest = consumer;
        consumer->gates = 0;
    }
    if (slowest != NULL) {
        slowest->gates = 1;
        bus->ring_used = slowest->lag < bus->capacity ? slowest->lag : bus->capacity;
    }
}

static uint64_t count_held(const struct shmbus_snapshot *snapshot, const struct layout_class *in)
{
    uint64_t held = 0;
    for (uint64_t slab = in->first_slab; slab < in->first_slab + in->slab_count; slab++)
        held += snapshot->held[slab / 64] >> (slab % 64) & 1;
    return held;
}

/* Adds up what each producer's part of the class counts. */
static void add_counts(const struct producer_class *counts, struct shmbus_pool_stats *pool)
{
    /* relaxed: a picture; released first, so that more is never released than acquired */
    uint64_t released = atomic_load_explicit(&counts->released, memory_order_relaxed);
    uint64_t acquired = atomic_load_explicit(&counts->acquired, memory_order_relaxed);
    pool->acquired += acquired;
    pool->released += released;
    pool->in_use += acquired > released ? acquired - released : 0;
    /* relaxed: a picture */
    pool->high_water += atomic_load_explicit(&counts->high_water, memory_order_relaxed);
    pool->exhausted += atomic_load_explicit(&counts->exhausted, memory_order_relaxed);
}

static void look_at_pools(struct shmbus_snapshot *snapshot)
{
    const struct segment *segment = &snapshot->segment;
    for (uint32_t i = 0; i < segment->header.class_count; i++) {
        const struct layout_class *geometry = &segment->header.classes[i];
        struct shmbus_pool_stats *pool = &snapshot->pools[i];
        *pool = (struct shmbus_pool_stats){
            .slab_bytes = geometry->slab_bytes,
            .slab_count = geometry->slab_count,
            .held = count_held(snapshot, geometry),
        };
        for (uint32_t j = 0; j < segment->header.max_producers; j++)
            add_counts(&segment_producer(segment, j)->classes[i], pool);
        if (pool->in_use > pool->slab_count)
            pool->in_use = pool->slab_count;
    }
}

/* The tables never change, and were checked when feed was mapped. */
static void look_at_types(struct shmbus_snapshot *snapshot)
{
    const struct segment *segment = &snapshot->segment;
    const struct layout_type *types =
        (const struct layout_type *)(const void *)(segment->feed + segment->header.types.offset);
    for (uint32_t i = 0; i < segment->header.type_count; i++)
        snapshot->types[i] = (struct shmbus_type){
            .type = types[i].type,
            .bytes = types[i].bytes,
            .name = types[i].name,
            .fields = types[i].fields,
        };
}

int shmbus_snapshot_update(struct shmbus_snapshot *snapshot)
{
    if (snapshot->bus.state == SHMBUS_STATE_DAMAGED)
        return 0;
    look_at_header(snapshot);
    look_at_producers(snapshot);
    look_at_ring(snapshot);
    look_at_consumers(snapshot);
    look_at_pools(snapshot);
    look_at_types(snapshot);
    return 0;
}

static int make_room(struct shmbus_snapshot *snapshot)
{
    const struct feed_header *header = &snapshot->segment.header;
    snapshot->consumers = calloc(header->max_consumers, sizeof *snapshot->consumers);
    snapshot->held = calloc(layout_hold_words(layout_slab_total(header)) + 1, sizeof(uint64_t));
    snapshot->types = calloc((size_t)header->type_count + 1, sizeof *snapshot->types);
    if (snapshot->consumers == NULL || snapshot->held == NULL || snapshot->types == NULL)
        return error_set(-ENOMEM, "%s: no memory left for a snapshot", snapshot->segment.name);
    return 0;
}

/* Errors that are the bus's own: it is there, and not whole. */
static int is_damage(int result)
{
    return result == -EBADMSG || result == -EPROTO || result == -EPROTONOSUPPORT ||
           result == -ESTALE || result == -EPERM;
}

int shmbus_snapshot_open(const char *name, const char *folder,
                         struct shmbus_snapshot **out_snapshot)
{
    int result = layout_check_name("bus", name);
    if (result < 0)
        return result;
    struct shmbus_snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (snapshot == NULL)
        return error_set(-ENOMEM, "%s: no memory left for a snapshot", name);
    int saved = errno;
    segment_begin(&snapshot->segment, name);
    memcpy(snapshot->bus.name, snapshot->segment.name, sizeof snapshot->bus.name);
    result = segment_open(&snapshot->segment, folder, SEGMENT_LOOK);
    if (is_damage(result)) {
        snapshot->bus.state = SHMBUS_STATE_DAMAGED;
        snapshot->bus.owner_uid = (uint32_t)snapshot->segment.uid;
        snprintf(snapshot->why, sizeof snapshot->why, "%s", shmbus_error_text());
        result = 0;
    } else if (result == 0) {
        result = make_room(snapshot);
        if (result == 0)
            result = shmbus_snapshot_update(snapshot);
    }
    errno = saved;
    if (result < 0) {
        shmbus_snapshot_close(snapshot);
        return result;
    }
    *out_snapshot = snapshot;
    return 0;
}

void shmbus_snapshot_close(struct shmbus_snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    segment_close(&snapshot->segment);
    free(snapshot->consumers);
    free(snapshot->held);
    free(snapshot->types);
    free(snapshot);
}

const struct shmbus_bus_info *shmbus_snapshot_bus(const struct shmbus_snapshot *snapshot)
{
    return &snapshot->bus;
}

const char *shmbus_snapshot_why(const struct shmbus_snapshot *snapshot)
{
    return snapshot->why;
}

const struct shmbus_producer_info *shmbus_snapshot_producer(const struct shmbus_snapshot *snapshot,
                                                            uint32_t index)
{
    return index < snapshot->bus.producer_count ? &snapshot->producers[index] : NULL;
}

const struct shmbus_hole_info *shmbus_snapshot_hole(const struct shmbus_snapshot *snapshot,
                                                    uint32_t index)
{
    return index < snapshot->bus.hole_count ? &snapshot->holes[index] : NULL;
}

const struct shmbus_consumer_info *shmbus_snapshot_consumer(const struct shmbus_snapshot *snapshot,
                                                            uint32_t index)
{
    return index < snapshot->bus.consumer_count ? &snapshot->consumers[index] : NULL;
}

const struct shmbus_type *shmbus_snapshot_type(const struct shmbus_snapshot *snapshot,
                                               uint32_t index)
{
    return index < snapshot->bus.type_count ? &snapshot->types[index] : NULL;
}

const struct shmbus_pool_stats *shmbus_snapshot_pool(const struct shmbus_snapshot *snapshot,
                                                     uint32_t index)
{
    return index < snapshot->bus.class_count ? &snapshot->pools[index] : NULL;
}

int shmbus_snapshot_placement(struct shmbus_snapshot *snapshot,
                              struct shmbus_placement *out_placement)
{
    const struct segment *segment = &snapshot->segment;
    struct shmbus_placement placement = {0};
    if (snapshot->bus.state == SHMBUS_STATE_DAMAGED)
        return error_set(-EBADMSG, "%s", snapshot->why);
    int saved = errno;
    place_ask(segment->feed, segment->feed_mapped, &placement);
    if (segment->control != NULL)
        place_ask(segment->control, segment->control_mapped, &placement);
    place_page_bytes(segment->feed, segment->feed_mapped, &placement);
    errno = saved;
    *out_placement = placement;
    return 0;
}

static int is_bus(const struct dirent *found)
{
    return strncmp(found->d_name, SEGMENT_PREFIX, strlen(SEGMENT_PREFIX)) == 0 &&
           layout_check_name("bus", found->d_name + strlen(SEGMENT_PREFIX)) == 0;
}

int shmbus_list(const char *folder, shmbus_lister *lister, void *context)
{
    struct dirent **found = NULL;
    if (lister == NULL)
        return error_constant(-EINVAL, "lister: NULL");
    int saved = errno;
    int root = segment_open_root(folder);
    if (root < 0) {
        errno = saved;
        return root;
    }
    int count = scandirat(root, ".", &found, is_bus, alphasort);
    int result =
        count < 0 ? segment_errno(errno, segment_root_path(folder), "the folder of buses") : 0;
    int stop = 0;
    for (int i = 0; i < count; i++) {
        if (!stop) {
            stop = lister(found[i]->d_name + strlen(SEGMENT_PREFIX), context);
            result++;
        }
        free(found[i]);
    }
    free(found);
    close(root);
    errno = saved;
    return result;
}
