/* SPDX-License-Identifier: MIT */
/*
 * A bus small enough to be explored in full: feed and control as they are shared, in static memory,
 * of two slots, one slab and two consumers unless a model says otherwise before it includes this.
 */
#ifndef SHMBUS_MODEL_BUS_H
#define SHMBUS_MODEL_BUS_H

#include "model.h"

#include "error/error.h"
#include "pool/pool.h"
#include "ring/gate.h"
#include "ring/ring.h"
#include "segment/segment.h"

#ifndef MODEL_CAPACITY
#define MODEL_CAPACITY 2
#endif
#ifndef MODEL_CONSUMERS
#define MODEL_CONSUMERS 1
#endif
#ifndef MODEL_PRODUCERS
#define MODEL_PRODUCERS 1
#endif
#ifndef MODEL_SLABS
#define MODEL_SLABS 1
#endif

/* Payloads are one word. Those of consumers that gate are plain, so that a checker finds a race in
 * them; one that others read while it changes is atomic. */
struct model_slot {
    struct slot_header header;
    _Atomic uint64_t shared;
    uint64_t plain;
};

static struct model_feed {
    struct feed_state state;
    struct producer_entry producers[MODEL_PRODUCERS];
    struct layout_verdict verdicts[MODEL_CONSUMERS];
    struct model_slot slots[MODEL_CAPACITY];
    _Atomic uint32_t generations[MODEL_SLABS];
    uint64_t plain[MODEL_SLABS];          /* the slabs */
    _Atomic uint64_t shared[MODEL_SLABS]; /* the same for those that may change while read */
} feed;

#define MODEL_ENTRY_BYTES 4096

static struct model_control {
    unsigned char header[LAYOUT_PAGE];
    alignas(LAYOUT_PAGE) struct control_shared shared;
    alignas(LAYOUT_PAGE) unsigned char entries[MODEL_CONSUMERS][MODEL_ENTRY_BYTES];
} control;

static struct segment segment;
static struct ring ring;

static inline struct control_entry *bus_entry(uint32_t index)
{
    return (struct control_entry *)(void *)control.entries[index];
}

static inline struct model_slot *bus_slot(uint64_t sequence)
{
    return &feed.slots[sequence % MODEL_CAPACITY];
}

static inline void bus_set(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

static inline uint64_t bus_get(_Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static inline void bus_set_state(_Atomic uint32_t *word, uint32_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

/* What one participant has of it. Word by word, here and below: checkers are poor at copying. */
static inline void bus_open(struct segment *out_segment)
{
    struct feed_header *header = &out_segment->header;
    header->capacity = MODEL_CAPACITY;
    header->slot_bytes = sizeof(struct model_slot);
    header->max_consumers = MODEL_CONSUMERS;
    header->max_producers = MODEL_PRODUCERS;
    header->entry_bytes = MODEL_ENTRY_BYTES;
    header->entries_offset = offsetof(struct model_control, entries);
    header->state.offset = offsetof(struct model_feed, state);
    header->producers.offset = offsetof(struct model_feed, producers);
    header->verdicts.offset = offsetof(struct model_feed, verdicts);
    header->generations.offset = offsetof(struct model_feed, generations);
    header->ring.offset = offsetof(struct model_feed, slots);
    out_segment->feed = (unsigned char *)&feed;
    out_segment->control = (unsigned char *)&control;
}

static inline void bus_open_ring(struct ring *out_ring)
{
    out_ring->slots = (unsigned char *)feed.slots;
    out_ring->mask = MODEL_CAPACITY - 1;
    out_ring->slot_shift = 5;
    out_ring->payload_offset = LAYOUT_SLOT_HEADER;
    out_ring->inline_bytes = sizeof(struct model_slot) - LAYOUT_SLOT_HEADER;
}

/* Empties it; in a checker's only round it is. */
static inline void bus_begin(void)
{
#ifndef MODEL_CHECKER
    memset(&feed, 0, sizeof feed);
    memset(&control, 0, sizeof control);
    memset(&segment, 0, sizeof segment);
#endif
    bus_open(&segment);
    bus_open_ring(&ring);
}

/* An entry is a consumer's, as joining leaves it. */
static inline void bus_join(uint32_t index, uint32_t kind, uint64_t epoch, uint64_t cursor)
{
    struct control_entry *entry = bus_entry(index);
    bus_set_state(&entry->kind, kind);
    bus_set(&entry->epoch, epoch);
    bus_set(&entry->cursor, cursor);
    bus_set_state(&entry->state, ENTRY_ACTIVE);
    if (atomic_load_explicit(&control.shared.entries_used, memory_order_relaxed) <= index)
        bus_set_state(&control.shared.entries_used, index + 1);
}

/* What failed is told by its code alone. */
int error_constant(int code, const char *text)
{
    (void)text;
    return code;
}

int error_set(int code, const char *format, ...)
{
    (void)format;
    return code;
}

/* The message of a sequence is there. */
static inline void bus_publish(uint64_t sequence, uint64_t meta)
{
    struct model_slot *slot = bus_slot(sequence);
    slot->plain = sequence;
    bus_set(&slot->shared, sequence);
    ring_publish(&slot->header, sequence, meta);
}

#endif
