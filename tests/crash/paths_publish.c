/* SPDX-License-Identifier: MIT */
/*
 * Paths whose victim publishes.
 */
#include "victim.h"

#include <errno.h>
#include <string.h>

static void call_publish(struct victim *victim)
{
    for (const char *kind = victim->path->messages; *kind != 0; kind++)
        send(victim, *kind);
}

static void claim(struct victim *victim, char kind, struct shmbus_claim *out_claim)
{
    uint64_t sequence = shmbus_producer_next_sequence(victim->producer);
    uint32_t bytes = body_bytes(sequence, kind);
    if (shmbus_producer_claim(victim->producer, bytes, out_claim) < 0)
        victim_fail(victim, "claim: %s", shmbus_error_text());
    body_fill(out_claim->data, bytes, sequence, AUTHOR_VICTIM);
}

static void call_claim(struct victim *victim)
{
    for (const char *kind = victim->path->messages; *kind != 0; kind++) {
        struct shmbus_claim lent;
        claim(victim, *kind, &lent);
        victim->record->started = lent.sequence + 1;
        if (shmbus_producer_commit(victim->producer, &lent, body_type(lent.sequence, AUTHOR_VICTIM),
                                   0) < 0)
            victim_fail(victim, "commit: %s", shmbus_error_text());
        victim->record->returned = lent.sequence + 1;
    }
}

static void call_abort(struct victim *victim)
{
    for (const char *kind = victim->path->messages; *kind != 0; kind++) {
        struct shmbus_claim lent;
        claim(victim, *kind, &lent);
        if (shmbus_producer_abort(victim->producer, &lent) < 0)
            victim_fail(victim, "abort: %s", shmbus_error_text());
    }
    send(victim, 'i');
}

static void call_batch(struct victim *victim)
{
    static unsigned char data[CAPACITY][LARGE_BYTES];
    struct shmbus_outgoing outgoing[CAPACITY];
    uint64_t first = shmbus_producer_next_sequence(victim->producer);
    uint32_t count = (uint32_t)strlen(victim->path->messages);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bytes = body_bytes(first + i, victim->path->messages[i]);
        body_fill(data[i], bytes, first + i, AUTHOR_VICTIM);
        outgoing[i] =
            (struct shmbus_outgoing){data[i], bytes, body_type(first + i, AUTHOR_VICTIM), 0};
    }
    victim->record->started = first + count;
    if (shmbus_producer_publish_batch(victim->producer, outgoing, count) != (int)count)
        victim_fail(victim, "batch: %s", shmbus_error_text());
    victim->record->returned = first + count;
}

/* Slabs by hand: each published twice, one of them given back unpublished. */
static void call_by_hand(struct victim *victim)
{
    struct shmbus_slab slabs[3];
    if (shmbus_producer_slab_acquire(victim->producer, SMALL_BYTES, 3, slabs) < 0)
        victim_fail(victim, "acquire: %s", shmbus_error_text());
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t first = shmbus_producer_next_sequence(victim->producer);
        uint32_t bytes = body_bytes(first, 'p');
        body_fill(slabs[i].data, bytes, first, AUTHOR_VICTIM);
        for (uint16_t again = 0; again < 2; again++) {
            victim->record->started = first + again + 1;
            if (shmbus_producer_slab_publish(victim->producer, slabs[i].handle, bytes,
                                             body_type(first + again, AUTHOR_VICTIM), again) < 0)
                victim_fail(victim, "publish a slab: %s", shmbus_error_text());
            victim->record->returned = first + again + 1;
        }
    }
    for (uint32_t i = 0; i < 3; i++)
        if (shmbus_producer_slab_release(victim->producer, slabs[i].handle) < 0)
            victim_fail(victim, "release a slab: %s", shmbus_error_text());
}

/* The ring is full by the floor as it stands, and free once it is raised. */
static void before_full(struct world *world)
{
    while (body_send(world->producer, 'i', AUTHOR_BEFORE) == 0)
        continue;
    world_drain(world);
    before_producer(world);
}

/* Each slab is in flight or held, and all but the held one free once they are reclaimed. */
static void before_exhausted(struct world *world)
{
    while (body_send(world->producer, 'p', AUTHOR_BEFORE) == 0)
        continue;
    while (body_send(world->producer, 'P', AUTHOR_BEFORE) == 0)
        continue;
    world_drain(world);
    before_producer(world);
}

static void join_and_keep(struct victim *victim)
{
    struct shmbus_consumer_options options = {.struct_bytes = sizeof options,
                                              .kind = SHMBUS_REQUIRED};
    struct shmbus_message message;
    uint64_t handle;
    if (shmbus_consumer_open(BUS, &options, &victim->consumer) < 0 ||
        shmbus_consumer_next(victim->consumer, &message) < 0)
        victim_fail(victim, "join: %s", shmbus_error_text());
    shmbus_consumer_retain(victim->consumer, &message, &handle);
}

/* A consumer dies under this producer, which then fills the ring. */
static void setup_reap(struct victim *victim)
{
    setup_producer(victim);
    sacrifice(join_and_keep, victim);
    for (uint32_t i = 0; i < CAPACITY; i++)
        send(victim, i < 2 ? 'p' : 'i');
}

/* Still full because of the consumer that stays; the dead one goes on the way. */
static void call_reap(struct victim *victim)
{
    int result = body_send(victim->producer, 'i', AUTHOR_VICTIM);
    if (result != -EAGAIN)
        victim_fail(victim, "the ring takes more than its capacity: %d", result);
    if (shmbus_producer_required(victim->producer, NULL) != 1)
        victim_fail(victim, "a dead consumer still gates");
}

static void finish_reap(struct victim *victim)
{
    shmbus_producer_close(victim->producer);
}

static void setup_close(struct victim *victim)
{
    struct shmbus_claim lent;
    setup_producer(victim);
    send(victim, 'p');
    claim(victim, 'p', &lent);
}

static void call_close(struct victim *victim)
{
    struct shmbus_producer *producer = victim->producer;
    victim->producer = NULL;
    shmbus_producer_close(producer);
}

/* All or nothing of it, and those that do not gate are told the same as those that do. */
static void skip(struct victim *victim, uint64_t count)
{
    struct record *record = victim->record;
    uint64_t first = shmbus_producer_next_sequence(victim->producer);
    record->gap_first[record->gap_count] = first;
    record->gap_size[record->gap_count++] = count;
    record->started = first + count;
    if (shmbus_producer_skip(victim->producer, count) < 0)
        victim_fail(victim, "skip: %s", shmbus_error_text());
    record->returned = record->started;
}

static void call_skip_short(struct victim *victim)
{
    send(victim, 'i');
    skip(victim, 3);
    send(victim, 'p');
    skip(victim, 2);
    send(victim, 'i');
}

static void call_skip_long(struct victim *victim)
{
    send(victim, 'i');
    skip(victim, 3 * CAPACITY + 1);
}

static void before_skip(struct world *world)
{
    static const struct shmbus_consumer_options kinds[] = {
        {.name = "optional", .kind = SHMBUS_OPTIONAL},
        {.name = "observer", .kind = SHMBUS_OBSERVER}};
    for (uint32_t i = 0; i < 2; i++)
        world_join(world, &world->others[i], &kinds[i]);
    world->entries = 1;
    before_producer(world);
}

/* They keep up, so what they lost is what was left out, and nothing else. */
static void after_skip(struct world *world)
{
    world_after_producer(world);
    world_drain(world);
    for (uint32_t i = 0; i < 2; i++) {
        struct reader *reader = &world->others[i];
        uint64_t left_out = 0;
        for (uint32_t k = 0; k < world->record->gap_count; k++)
            if (world->record->gap_first[k] + world->record->gap_size[k] <= world->heir_from)
                left_out += world->record->gap_size[k];
        if (reader->next != world->stays_next || reader->lost != left_out)
            world_fail(world, "another consumer is at %lld, and lost %llu of %llu left out",
                       (long long)(reader->next - FIRST_SEQUENCE), (unsigned long long)reader->lost,
                       (unsigned long long)left_out);
    }
}

#define PRODUCER(row, what, how)                                                                   \
    .name = (row), .messages = (what), .before = before_producer, .setup = setup_producer,         \
    .call = (how), .pressure = pressure_on_producer, .late = world_check_published,                \
    .finish = finish_producer, .repair = repair_by_heir, .after = world_after_producer

const struct path paths_publish[] = {
    {PRODUCER("publish_inline", "iiii", call_publish)},
    {PRODUCER("publish_pooled", "pPp", call_publish)},
    {PRODUCER("claim_inline", "iii", call_claim)},
    {PRODUCER("claim_pooled", "pPp", call_claim)},
    {PRODUCER("abort", "ipP", call_abort)},
    {PRODUCER("batch_inline", "iiiiii", call_batch)},
    {PRODUCER("batch_mixed", "ipiPpi", call_batch)},
    {PRODUCER("short_publish", "iiii", call_publish), .is_untimed = 1},
    {PRODUCER("short_claim", "iii", call_claim), .is_untimed = 1},
    {PRODUCER("short_batch", "iiiiii", call_batch), .is_untimed = 1},
    {PRODUCER("short_mixed", "iipiPi", call_batch), .is_untimed = 1},
    {PRODUCER("slab_by_hand", "", call_by_hand)},
    {.name = "publish_raise",
     .messages = "iii",
     .before = before_full,
     .setup = setup_producer,
     .call = call_publish,
     .pressure = pressure_on_producer,
     .late = world_check_published,
     .finish = finish_producer,
     .repair = repair_by_heir,
     .after = world_after_producer},
    {.name = "publish_reclaim",
     .messages = "ppPi",
     .before = before_exhausted,
     .setup = setup_producer,
     .call = call_publish,
     .pressure = pressure_on_producer,
     .late = world_check_published,
     .finish = finish_producer,
     .repair = repair_by_heir,
     .after = world_after_producer},
    {.name = "reap",
     .messages = "",
     .before = before_producer,
     .setup = setup_reap,
     .call = call_reap,
     .finish = finish_reap,
     .repair = repair_by_heir,
     .after = world_after_producer},
    {.name = "skip_short",
     .messages = "",
     .before = before_skip,
     .setup = setup_producer,
     .call = call_skip_short,
     .pressure = pressure_on_producer,
     .late = world_check_published,
     .finish = finish_producer,
     .repair = repair_by_heir,
     .after = after_skip},
    {.name = "skip_long",
     .messages = "",
     .before = before_skip,
     .setup = setup_producer,
     .call = call_skip_long,
     .pressure = pressure_on_producer,
     .late = world_check_published,
     .finish = finish_producer,
     .repair = repair_by_heir,
     .after = after_skip},
    {.name = "producer_close",
     .messages = "",
     .before = before_producer,
     .setup = setup_close,
     .call = call_close,
     .pressure = world_check_published,
     .repair = repair_by_heir,
     .after = world_after_producer},
    {.name = NULL},
};
