/* SPDX-License-Identifier: MIT */
/* A bus in plain memory: see plain.h. */
#include "plain.h"

#include "layout/stamp.h"

#include <stdlib.h>
#include <string.h>

static unsigned char *zeroed(uint64_t bytes)
{
    unsigned char *made =
        aligned_alloc(LAYOUT_PAGE, (bytes + LAYOUT_PAGE - 1) / LAYOUT_PAGE * LAYOUT_PAGE);
    ck_assert_ptr_nonnull(made);
    memset(made, 0, bytes);
    return made;
}

static void open_views(struct plain *plain)
{
    struct segment *segment = &plain->segment;
    plain->ring = ring_view(segment->feed, &segment->header);
    plain->producer = segment_producer(segment, 0);
    plain->gate = (struct gate){
        .floor_word = &plain->producer->floor,
        .verdicts = segment_verdicts(segment),
        .header = &segment->header,
        .feed = segment->feed,
        .entries_used = &segment_shared(segment)->entries_used,
        .entries = (unsigned char *)layout_entry(segment->control, &segment->header, 0),
        .entry_bytes = segment->header.entry_bytes,
        .max_consumers = segment->header.max_consumers,
        .seen = calloc(segment->header.max_consumers, sizeof *plain->gate.seen),
    };
    ck_assert_ptr_nonnull(plain->gate.seen);
    plain->gate.floor = GET(plain->producer->floor);
    plain->gate.shown = plain->gate.floor;
    ck_assert_int_eq(pool_begin(&plain->pool, segment->feed, segment->control, &segment->header,
                                plain->producer, 0),
                     0);
}

static void close_views(struct plain *plain)
{
    pool_end(&plain->pool);
    free(plain->gate.seen);
}

void plain_begin(struct plain *plain, const struct shmbus_bus_options *options)
{
    struct segment *segment = &plain->segment;
    memset(plain, 0, sizeof *plain);
    memcpy(segment->name, "plain", 6);
    int result = layout_plan(options, "plain", LAYOUT_PAGE, &segment->header);
    ck_assert_msg(result == 0, "%s", shmbus_error_text());
    segment->feed = zeroed(segment->header.feed_bytes);
    segment->control = zeroed(segment->header.control_bytes);
    _Atomic uint32_t *generations =
        (_Atomic uint32_t *)(void *)(segment->feed + segment->header.generations.offset);
    uint64_t first = segment->header.first_sequence;
    for (uint64_t i = 0; i < layout_slab_total(&segment->header); i++)
        atomic_init(&generations[i], GENERATION_FIRST);
    atomic_init(&segment_state(segment)->tail, first);
    atomic_init(&segment_producer(segment, 0)->floor, first);
    open_views(plain);
}

void plain_end(struct plain *plain)
{
    close_views(plain);
    free(plain->segment.feed);
    free(plain->segment.control);
}

void plain_reopen(struct plain *plain)
{
    close_views(plain);
    open_views(plain);
}

struct control_entry *plain_join(struct plain *plain, uint32_t index, uint32_t kind,
                                 uint64_t cursor)
{
    struct control_entry *entry = gate_entry(&plain->gate, index);
    PUT(entry->kind, kind);
    PUT(entry->epoch, GET(entry->epoch) + 1);
    if (GET(*plain->gate.entries_used) < index + 1)
        PUT(*plain->gate.entries_used, index + 1);
    PUT(entry->cursor, cursor);
    PUT(entry->state, ENTRY_ACTIVE);
    return entry;
}

void plain_leave(struct plain *plain, uint32_t index)
{
    struct control_entry *entry = gate_entry(&plain->gate, index);
    PUT(entry->holding, 0);
    for (uint64_t i = 0; i < layout_hold_words(layout_slab_total(&plain->segment.header)); i++)
        PUT(entry->holds[i], 0);
    PUT(entry->state, ENTRY_FREE);
}

void plain_hold(struct plain *plain, uint32_t index, uint64_t slab, int set)
{
    struct control_entry *entry = gate_entry(&plain->gate, index);
    uint64_t bit = UINT64_C(1) << (slab % 64);
    uint64_t word = GET(entry->holds[slab / 64]);
    ck_assert_int_eq((word & bit) != 0, !set);
    PUT(entry->holds[slab / 64], word ^ bit);
    PUT(entry->holding, set ? GET(entry->holding) + 1 : GET(entry->holding) - 1);
}

void plain_publish(struct plain *plain, uint64_t sequence, uint32_t state)
{
    struct slot_header *slot = ring_slot(&plain->ring, sequence);
    ring_mark(slot, sequence, STAMP_WRITING);
    if (state == STAMP_WRITING)
        return;
    ring_publish(slot, sequence, meta_make(0, 1, 0));
    if (state != STAMP_PUBLISHED)
        PUT(slot->stamp, stamp_make(sequence, state));
}

void plain_publish_slab(struct plain *plain, uint64_t sequence, uint32_t class_index,
                        uint32_t index)
{
    struct pool_class *in = &plain->pool.classes[class_index];
    struct slot_header *slot = ring_slot(&plain->ring, sequence);
    ring_mark(slot, sequence, STAMP_WRITING);
    *ring_handle(&plain->ring, slot) = handle_make(class_index, pool_generation(in, index), index);
    pool_publish(in, index, sequence);
    ring_publish(slot, sequence, meta_make(8, 1, SHMBUS_MESSAGE_POOLED));
}
