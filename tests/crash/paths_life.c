/* SPDX-License-Identifier: MIT */
/*
 * Paths over the life of a bus: creating it, taking it over from the dead, removing it.
 */
#include "victim.h"

#include "run.h"

#include <errno.h>
#include <unistd.h>

static void call_create(struct victim *victim)
{
    victim->record->result = shmbus_producer_create(BUS, world_bus(), NULL, &victim->producer);
    if (victim->record->result == 0)
        adopt(victim);
    else
        victim->producer = NULL;
}

/* Two creators: one wins, the other is told so. */
static void pressure_create(struct world *world)
{
    int result = shmbus_producer_create(BUS, world_bus(), NULL, &world->producer);
    if (result < 0) {
        world->producer = NULL;
        if (result != -EBUSY)
            world_fail(world, "the second creator gets %d: %s", result, shmbus_error_text());
    }
}

static void late_create(struct world *world)
{
    int wanted = world->producer != NULL ? -EBUSY : 0;
    if (world->record->result != wanted)
        world_fail(world, "the creator that was frozen gets %d, not %d", world->record->result,
                   wanted);
}

/* Whatever was left: it can be created, or taken over. A new consumer reads it from the start. */
static void after_create(struct world *world)
{
    struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options, .kind = SHMBUS_REQUIRED, .from = SHMBUS_FROM_OLDEST};
    struct shmbus_consumer_stats stats;
    if (world->producer == NULL &&
        shmbus_producer_create(BUS, world_bus(), NULL, &world->producer) < 0) {
        world_fail(world, "cannot create: %s", shmbus_error_text());
        world->producer = NULL;
        return;
    }
    if (shmbus_consumer_open(BUS, &options, &world->stays) < 0) {
        world_fail(world, "cannot join: %s", shmbus_error_text());
        world->stays = NULL;
        return;
    }
    shmbus_consumer_stats(world->stays, &stats);
    world->stays_next = stats.cursor;
    world->kept = 0;
    world->last_ns = 0;
    world->heir_from = shmbus_producer_next_sequence(world->producer);
    world_drain(world);
    if (world->stays_next != world->heir_from)
        world_fail(world, "the heir goes on at %lld, the consumer at %lld",
                   (long long)(world->heir_from - FIRST_SEQUENCE),
                   (long long)(world->stays_next - FIRST_SEQUENCE));
    world_use_all(world);
}

static void call_open(struct victim *victim)
{
    if (shmbus_producer_open(BUS, NULL, NULL, 0, &victim->producer) < 0)
        victim_fail(victim, "open: %s", shmbus_error_text());
    if (victim->producer == NULL || shmbus_producer_next_sequence(victim->producer) == 0)
        victim_fail(victim, "open gives no producer");
    adopt(victim);
}

/* A batch, in a victim of its own that dies at some instruction of it. */
static void die_in_batch(struct world *world)
{
    static unsigned char data[6][LARGE_BYTES];
    static const char kinds[] = "ipiPpi";
    struct shmbus_outgoing outgoing[6];
    struct shmbus_producer *producer;
    uint64_t first = world->record->returned;
    for (uint32_t i = 0; i < 6; i++) {
        uint32_t bytes = body_bytes(first + i, kinds[i]);
        body_fill(data[i], bytes, first + i, AUTHOR_BEFORE);
        outgoing[i] =
            (struct shmbus_outgoing){data[i], bytes, body_type(first + i, AUTHOR_BEFORE), 0};
    }
    if (shmbus_producer_open(BUS, NULL, NULL, 0, &producer) < 0)
        _exit(1);
    step_mark_begin();
    shmbus_producer_publish_batch(producer, outgoing, 6);
    step_mark_end();
    _exit(0);
}

/* The same instruction in every run of this path. */
static void before_dead(struct world *world)
{
    static struct trace trace;
    int status;
    before_producer(world);
    world->record->started = world->record->returned + 6;
    pid_t child = fork();
    if (child == 0)
        die_in_batch(world);
    if (step_await(child, &status) != STEP_REACHED)
        world_fail(world, "before: the one that is to die in a batch died of something else");
    else if (trace.count == 0)
        step_through(child, &trace, run_memory_changed, &status);
    else
        step_to(child, &trace.points[world->draw % trace.count], &status);
    step_kill(child);
}

/* A kept bus, a consumer that died on it with holds, and a ring that is full. */
static void before_dead_consumer(struct world *world)
{
    struct victim dead = {.path = world->path, .record = world->record};
    before_consumer(world);
    sacrifice(setup_holder, &dead);
    for (uint32_t i = 0; i + 3 < CAPACITY; i++)
        if (body_send(world->producer, 'i', AUTHOR_BEFORE) < 0)
            world_fail(world, "before: %s", shmbus_error_text());
    before_producer(world);
}

static void call_unlink(struct victim *victim)
{
    victim->record->result = shmbus_unlink(BUS, NULL);
    victim->record->is_done = 1;
}

/* Somebody who wants to publish finds it whole, owned, or gone. */
static void pressure_unlink(struct world *world)
{
    struct shmbus_producer *rival;
    int result = shmbus_producer_open(BUS, NULL, NULL, 0, &rival);
    if (result == 0)
        shmbus_producer_close(rival);
    else if (result != -EBUSY && result != -ENOENT)
        world_fail(world, "opening what is being removed gives %d: %s", result,
                   shmbus_error_text());
}

static void after_unlink(struct world *world)
{
    struct shmbus_producer *heir;
    shmbus_consumer_close(world->stays);
    world->stays = NULL;
    int result = shmbus_producer_open(BUS, NULL, NULL, 0, &heir);
    if (result == 0) {
        shmbus_producer_close(heir);
        if (shmbus_unlink(BUS, NULL) < 0)
            world_fail(world, "cannot remove it: %s", shmbus_error_text());
    }
    if (result < 0 && result != -ENOENT)
        world_fail(world, "what is left of it gives %d: %s", result, shmbus_error_text());
    if (world->record->is_done && (result != -ENOENT || world->record->result != 0))
        world_fail(world, "removed with %d, it opens with %d", world->record->result, result);
    world->record->author_from = UINT64_MAX;
    after_create(world);
}

/* The same bus with one entry more, in place of the one that there is. */
static const struct shmbus_bus_options *other_bus(void)
{
    static struct shmbus_bus_options options;
    options = *world_bus();
    options.max_consumers++;
    options.flags |= SHMBUS_BUS_REPLACE;
    return &options;
}

static void call_replace(struct victim *victim)
{
    victim->record->result = shmbus_producer_create(BUS, other_bus(), NULL, &victim->producer);
    victim->record->is_done = 1;
    if (victim->record->result == 0)
        adopt(victim);
    else
        victim->producer = NULL;
}

static void replace(struct world *world)
{
    int result = shmbus_producer_create(BUS, other_bus(), NULL, &world->producer);
    if (result < 0) {
        world->producer = NULL;
        if (result != -EBUSY || !world->is_pressed)
            world_fail(world, "cannot replace it: %d: %s", result, shmbus_error_text());
    }
}

/* Which of the two there is: by its entries. The name is never nobody's. */
static uint32_t which_bus(struct world *world)
{
    struct shmbus_snapshot *snapshot;
    int result = shmbus_snapshot_open(BUS, NULL, &snapshot);
    if (result < 0) {
        world_fail(world, "cannot look: %s", shmbus_error_text());
        return 0;
    }
    const struct shmbus_bus_info *bus = shmbus_snapshot_bus(snapshot);
    uint32_t entries = bus->max_consumers;
    if (bus->state == SHMBUS_STATE_DAMAGED)
        world_fail(world, "damaged: %s", shmbus_snapshot_why(snapshot));
    shmbus_snapshot_close(snapshot);
    return entries;
}

/* The old bus, with its consumer, or the new one; then the new one. Whoever goes on with that has
 * told those of the old one. */
static void after_replace(struct world *world)
{
    uint32_t entries = which_bus(world);
    int result = shmbus_consumer_wait(world->stays, 0);
    if (entries == CONSUMERS ? result != -EPIPE : result != -ESTALE && result != -EPIPE)
        world_fail(world, "with a bus of %u entries, the old one's consumer gets %d", entries,
                   result);
    if (world->record->is_done && (entries != CONSUMERS + 1 || result != -ESTALE))
        world_fail(world, "replaced with %d, there are %u entries, and the old one's gets %d",
                   world->record->result, entries, result);
    if (world->producer == NULL && world->failure[0] == 0) {
        world->is_pressed = 0;
        replace(world);
        result = shmbus_consumer_wait(world->stays, 0);
        if (result != -ESTALE)
            world_fail(world, "with its heir on the bus, the old one's consumer gets %d", result);
    }
    shmbus_consumer_close(world->stays);
    world->stays = NULL;
    if (world->producer != NULL)
        after_create(world);
}

#define TAKE_OVER(row, what, start, how, end)                                                      \
    .name = (row), .messages = (what), .before = (start), .call = (how), .late = world_drain,      \
    .finish = finish_producer, .repair = repair_by_heir, .after = (end)

const struct path paths_life[] = {
    {.name = "create",
     .messages = "",
     .call = call_create,
     .pressure = pressure_create,
     .late = late_create,
     .finish = finish_producer,
     .repair = repair_by_creator,
     .after = after_create,
     .is_bare = 1},
    {TAKE_OVER("create_over", "", before_producer, call_create, world_after_producer)},
    {TAKE_OVER("takeover_kept", "", before_producer, call_open, world_after_producer)},
    {TAKE_OVER("takeover_dead", "", before_dead, call_open, world_after_producer)},
    {TAKE_OVER("takeover_reap", "pPi", before_dead_consumer, call_open, world_after_producer)},
    {.name = "replace",
     .messages = "",
     .before = before_producer,
     .call = call_replace,
     .pressure = replace,
     .late = late_create,
     .finish = finish_producer,
     .after = after_replace},
    {.name = "unlink",
     .messages = "",
     .before = before_producer,
     .call = call_unlink,
     .pressure = pressure_unlink,
     .repair = repair_by_removal,
     .after = after_unlink},
    {.name = NULL},
};
