/* SPDX-License-Identifier: MIT */
/*
 * How long a message is on its way, one at a time: from just before commit to the pointer in the
 * consumer's hands. The payload is written in full; before the clock is read a fence lets these
 * stores finish, so that what is timed is the transport and not the filling. The time of sending is
 * in the payload's second word, which the consumer reads after its own clock. The bare ring does
 * the same with 48 bytes. Both processors must have one time stamp counter between them, as those
 * of a constant and steady one do.
 */
#include <stdatomic.h>

#include "runners.h"
#include "subject.h"

enum {
    PAUSES = 50, /* between a message that was taken and the next: the consumer is spinning again */
};

/* The producer waits until the other one is done with all before i, and ready for the next. */
static void way_wait(struct role *role, uint64_t i)
{
    /* acquire: pairs with way_taken; only the pace depends on it */
    while (atomic_load_explicit(&role->meeting->taken, memory_order_acquire) != i)
        ;
    cpu_pause(PAUSES);
}

static void way_taken(struct role *role, uint64_t count)
{
    /* release: pairs with way_wait */
    atomic_store_explicit(&role->meeting->taken, count, memory_order_release);
}

/* The two processors' clocks may be apart by less than a message takes, but a little. */
static inline uint64_t way_ticks(uint64_t sent, uint64_t now)
{
    return now > sent ? now - sent : 0;
}

static inline void way_stamp(uint64_t *words)
{
    atomic_thread_fence(memory_order_seq_cst); /* for time: what was filled is out of the way */
    words[1] = cpu_ticks_after();
}

static int produce_way(struct role *role)
{
    struct shmbus_producer *producer = NULL;
    uint64_t total = role_total(role);
    uint32_t size = role->test->size;
    struct bulk bulk = {0};
    if (size > SMALL_BYTES && bulk_begin(&bulk, size) != 0)
        return role_fail(role, "no memory for the pattern");
    int result = subject_producer(role, 0, &producer);
    if (result == ROLE_OK)
        role_meet(role);
    for (uint64_t i = 0; i < total && result == ROLE_OK; i++) {
        struct shmbus_claim claim;
        way_wait(role, i);
        int error = shmbus_producer_claim(producer, size, &claim);
        if (error == 0) {
            if (size > SMALL_BYTES)
                bulk_fill(&bulk, claim.data, i);
            else
                small_fill(claim.data, i);
            way_stamp(claim.data);
            error = shmbus_producer_commit(producer, &claim, SUBJECT_TYPE, 0);
        }
        if (error != 0)
            result = subject_failed(role, "claim or commit", error);
    }
    if (result == ROLE_OK)
        shmbus_producer_flush(producer, SHMBUS_FOREVER);
    shmbus_producer_close(producer);
    bulk_end(&bulk);
    return result;
}

/* What the consumer's handler needs. */
struct arrival {
    struct role *role;
    uint64_t next;
    uint64_t got;
};

static int arrive(const struct shmbus_message *message, void *context)
{
    uint64_t now = cpu_ticks_after();
    struct arrival *arrival = context;
    const uint64_t *words = message->data;
    if (message->sequence != arrival->next || message->length != arrival->role->test->size ||
        words[0] != arrival->next) {
        arrival->got = words[0];
        return 1;
    }
    role_took(arrival->role, arrival->next, way_ticks(words[1], now));
    arrival->next++;
    return 0;
}

static int consume_way(struct role *role)
{
    struct shmbus_consumer *consumer = NULL;
    struct arrival arrival = {.role = role};
    uint64_t total = role_total(role);
    int result = subject_consumer(role, 0, &consumer);
    if (result == ROLE_OK)
        role_meet(role);
    while (arrival.next < total && result == ROLE_OK) {
        uint64_t before = arrival.next;
        int got = shmbus_consumer_poll(consumer, arrive, &arrival, 1);
        if (got < 0)
            result = subject_failed(role, "poll", got);
        else if (got > 0 && arrival.next == before)
            result = role_wrong(role, before, arrival.got);
        else if (got > 0)
            way_taken(role, arrival.next);
    }
    shmbus_consumer_close(consumer);
    return result;
}

const struct runner shmbus_way_48 = {
    .name = "shmbus-48", .size = SMALL_BYTES, .act = {produce_way, consume_way}};
const struct runner shmbus_way_1k = {
    .name = "shmbus-1k", .size = 1024, .act = {produce_way, consume_way}};
const struct runner shmbus_way_64k = {
    .name = "shmbus-64k", .size = 65536, .act = {produce_way, consume_way}};
const struct runner shmbus_way_1m = {
    .name = "shmbus-1m", .size = 1048576, .act = {produce_way, consume_way}};

/* The bare ring's way: one line a message. */
struct way_slot {
    _Alignas(64) _Atomic uint64_t stamp; /* number + 1 once the message is whole */
    uint64_t meta;
    uint64_t words[SMALL_WORDS];
};

static uint64_t way_bytes(const struct test *test)
{
    return test->capacity * sizeof(struct way_slot);
}

static int write_way(struct role *role)
{
    struct way_slot *slots = (struct way_slot *)(void *)role->memory;
    uint64_t mask = role->test->capacity - 1, total = role_total(role);
    role_meet(role);
    for (uint64_t i = 0; i < total; i++) {
        struct way_slot *slot = &slots[i & mask];
        way_wait(role, i);
        small_fill(slot->words, i);
        slot->meta = SMALL_BYTES;
        way_stamp(slot->words);
        /* release: the payload before the stamp */
        atomic_store_explicit(&slot->stamp, i + 1, memory_order_release);
    }
    return ROLE_OK;
}

static int read_way(struct role *role)
{
    struct way_slot *slots = (struct way_slot *)(void *)role->memory;
    uint64_t mask = role->test->capacity - 1, total = role_total(role);
    role_meet(role);
    for (uint64_t i = 0; i < total; i++) {
        struct way_slot *slot = &slots[i & mask];
        /* acquire: the stamp before the payload */
        while (atomic_load_explicit(&slot->stamp, memory_order_acquire) != i + 1)
            ;
        uint64_t now = cpu_ticks_after();
        if (slot->words[0] != i)
            return role_wrong(role, i, slot->words[0]);
        role_took(role, i, way_ticks(slot->words[1], now));
        way_taken(role, i + 1);
    }
    return ROLE_OK;
}

const struct runner floor_way = {.name = "ring-48",
                                 .size = SMALL_BYTES,
                                 .is_floor = 1,
                                 .act = {write_way, read_way},
                                 .bytes = way_bytes};
