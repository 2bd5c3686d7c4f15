/* SPDX-License-Identifier: MIT */
/*
 * The floor for messages: a ring for one producer and one consumer with nothing else in it. Stamp
 * and payload share a line, the consumer polls the stamp that it expects next and stores its cursor
 * once a burst, the producer reads the cursor only when it runs out of slots. Both fetch the lines
 * ahead, the consumer only while it is far behind: near the tail it would take them away from the
 * producer. It has no header to check, no segment, no lengths or types, nobody else to heed and
 * nobody to repair: what a library spends beyond it is the price of those.
 */
#include <stdatomic.h>

#include "payload.h"
#include "role.h"
#include "runners.h"

struct slot {
    _Atomic uint64_t stamp; /* number + 1 once the message is whole */
    uint64_t meta;          /* length and type, as a library would have them */
    uint64_t words[SMALL_WORDS];
};

struct ring {
    _Alignas(128) _Atomic uint64_t cursor; /* writer: the consumer */
    _Alignas(128) struct slot slots[];     /* writer: the producer */
};

static const uint64_t ring_meta = SMALL_BYTES;

static uint64_t ring_bytes(const struct test *test)
{
    return sizeof(struct ring) + test->capacity * sizeof(struct slot);
}

static uint64_t ring_bytes_twice(const struct test *test)
{
    return 2 * ring_bytes(test);
}

static struct ring *ring_of(const struct role *role, int producer)
{
    return (struct ring *)(void *)(role->memory + (uint64_t)producer * ring_bytes(role->test));
}

/* The producer's private words. */
struct writer {
    struct ring *ring;
    uint64_t mask;
    uint64_t limit; /* the first number that has no room yet */
    uint64_t ahead;
};

static struct writer writer_of(const struct role *role, int producer)
{
    uint64_t capacity = role->test->capacity;
    return (struct writer){ring_of(role, producer), capacity - 1, capacity, role->test->ahead};
}

static void writer_wait(struct writer *writer)
{
    uint64_t cursor;
    /* acquire: the consumer has read what is overwritten next */
    while ((cursor = atomic_load_explicit(&writer->ring->cursor, memory_order_acquire)) +
               writer->mask + 1 ==
           writer->limit)
        cpu_pause(1);
    writer->limit = cursor + writer->mask + 1;
}

static inline struct slot *writer_place(struct writer *writer, uint64_t number)
{
    __builtin_prefetch(&writer->ring->slots[(number + writer->ahead) & writer->mask], 1);
    if (number == writer->limit)
        writer_wait(writer);
    return &writer->ring->slots[number & writer->mask];
}

static inline void writer_release(struct slot *slot, uint64_t number)
{
    /* release: the payload before the stamp */
    atomic_store_explicit(&slot->stamp, number + 1, memory_order_release);
}

static inline void writer_send(struct writer *writer, uint64_t number)
{
    struct slot *slot = writer_place(writer, number);
    small_fill(slot->words, number);
    slot->meta = ring_meta;
    writer_release(slot, number);
}

static inline int slot_is(struct slot *slot, uint64_t number)
{
    /* acquire: the stamp before the payload */
    return atomic_load_explicit(&slot->stamp, memory_order_acquire) == number + 1;
}

static inline uint64_t slot_differs(const struct slot *slot, uint64_t number)
{
    return small_differs(slot->words, number) | (slot->meta ^ ring_meta);
}

/* Round trip. */
static int receive(struct role *role, struct ring *ring, uint64_t number)
{
    struct slot *slot = &ring->slots[number & (role->test->capacity - 1)];
    while (!slot_is(slot, number))
        ;
    if (slot_differs(slot, number) != 0)
        return role_wrong(role, number, slot->words[0]);
    /* release: reading before it is overwritten */
    atomic_store_explicit(&ring->cursor, number + 1, memory_order_release);
    return ROLE_OK;
}

static int ask(struct role *role)
{
    struct writer writer = writer_of(role, 0);
    struct ring *back = ring_of(role, 1);
    uint64_t total = role_total(role);
    role_meet(role);
    role->started = cpu_ticks();
    for (uint64_t i = 0; i < total; i++) {
        writer_send(&writer, i);
        int result = receive(role, back, i);
        if (result != ROLE_OK)
            return result;
        role_lap(role, i);
    }
    return ROLE_OK;
}

static int answer(struct role *role)
{
    struct writer writer = writer_of(role, 1);
    struct ring *there = ring_of(role, 0);
    uint64_t total = role_total(role);
    role_meet(role);
    for (uint64_t i = 0; i < total; i++) {
        int result = receive(role, there, i);
        if (result != ROLE_OK)
            return result;
        writer_send(&writer, i);
    }
    return ROLE_OK;
}

const struct runner floor_ring_trip = {
    .name = "ring", .is_floor = 1, .act = {ask, answer}, .bytes = ring_bytes_twice};

/* One way. */
static int write_single(struct role *role)
{
    struct writer writer = writer_of(role, 0);
    uint64_t total = role_total(role);
    role_meet(role);
    for (uint64_t i = 0; i < total; i++)
        writer_send(&writer, i);
    return ROLE_OK;
}

/* Fills a batch of slots and releases the first one last: one store shows them all. */
static int write_batches(struct role *role)
{
    struct writer writer = writer_of(role, 0);
    uint64_t total = role_total(role), batch = role->test->batch;
    role_meet(role);
    for (uint64_t i = 0; i < total; i += batch) {
        struct slot *first = writer_place(&writer, i);
        uint64_t end = i + batch < total ? i + batch : total;
        small_fill(first->words, i);
        first->meta = ring_meta;
        for (uint64_t j = i + 1; j < end; j++)
            writer_send(&writer, j);
        writer_release(first, i);
    }
    return ROLE_OK;
}

static int read_all(struct role *role)
{
    struct ring *ring = ring_of(role, 0);
    uint64_t mask = role->test->capacity - 1, total = role_total(role);
    uint64_t burst = role->test->burst, ahead = role->test->ahead, caught_up = 0;
    role_meet(role);
    for (uint64_t i = 0; i < total;) {
        uint64_t from = i;
        while (i - from < burst && i < total && slot_is(&ring->slots[i & mask], i)) {
            struct slot *slot = &ring->slots[i & mask];
            if (i - caught_up >= ahead)
                __builtin_prefetch(&ring->slots[(i + ahead) & mask]);
            if (slot_differs(slot, i) != 0)
                return role_wrong(role, i, slot->words[0]);
            i++;
        }
        if (i != from) {
            /* release: reading before it is overwritten */
            atomic_store_explicit(&ring->cursor, i, memory_order_release);
            role_span_begin(role, i);
        }
        if (i - from < burst && i < total) {
            caught_up = i;
            cpu_pause(role->test->pause);
        }
    }
    role_span_end(role, total);
    return ROLE_OK;
}

const struct runner floor_ring_single = {
    .name = "ring", .is_floor = 1, .act = {write_single, read_all}, .bytes = ring_bytes};
const struct runner floor_ring_batch = {
    .name = "ring", .is_floor = 1, .act = {write_batches, read_all}, .bytes = ring_bytes};
