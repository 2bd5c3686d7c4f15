/* SPDX-License-Identifier: MIT */
/*
 * Paths over a consumer that runs after another: it joins, it polls behind one that lives, and
 * behind one that died, which it repairs.
 */
#include "victim.h"

#include <errno.h>
#include <string.h>
#include <time.h>

static void open_after(struct victim *victim, const char *name, enum shmbus_from from)
{
    struct shmbus_consumer_stats stats;
    struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options,
        .name = "victim",
        .kind = SHMBUS_REQUIRED,
        .from = from,
        .from_sequence = victim->record->next,
        .after = &name,
        .after_count = 1,
        .after_gone = SHMBUS_AFTER_GO_ON,
    };
    if (shmbus_consumer_open(BUS, &options, &victim->consumer) < 0)
        victim_fail(victim, "join: %s", shmbus_error_text());
    if (shmbus_consumer_stats(victim->consumer, &stats) < 0)
        victim_fail(victim, "stats: %s", shmbus_error_text());
    victim->record->next = stats.cursor;
}

/* Nothing comes that the one before has not passed. */
static void poll_nothing(struct victim *victim)
{
    int result = shmbus_consumer_poll(victim->consumer, take_message, victim, CAPACITY);
    if (result != 0)
        victim_fail(victim, "poll gives %d before its time", result);
}

/* It gets what the one that stays has read, more or less of it under pressure. */
static void call_join_after(struct victim *victim)
{
    open_after(victim, "stays", SHMBUS_FROM_OLDEST);
    if (shmbus_consumer_poll(victim->consumer, take_message, victim, CAPACITY) < 0)
        victim_fail(victim, "poll: %s", shmbus_error_text());
}

static void before_passed(struct world *world)
{
    before_consumer(world);
    world_drain(world);
}

static void setup_after(struct victim *victim)
{
    open_after(victim, "stays", SHMBUS_FROM_SEQUENCE);
}

static void call_poll_after(struct victim *victim)
{
    poll_all(victim, (uint32_t)strlen(victim->path->messages));
}

static void join_and_die(struct victim *victim)
{
    struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options, .name = "dead", .kind = SHMBUS_REQUIRED};
    if (shmbus_consumer_open(BUS, &options, &victim->consumer) < 0)
        victim_fail(victim, "setup: %s", shmbus_error_text());
}

/* One is dead, and the entry before its own is free: who joins does not come by the dead one's. */
static void before_dead(struct world *world)
{
    static const struct shmbus_consumer_options options = {.name = "low", .kind = SHMBUS_OPTIONAL};
    struct victim dead = {.path = world->path, .record = world->record};
    world_join(world, &world->others[0], &options);
    sacrifice(join_and_die, &dead);
    reader_close(&world->others[0]);
    before_consumer(world);
}

/* It waits for so long that the next call has to look who lives. */
static void setup_behind(struct victim *victim)
{
    const struct timespec time = {0, 30000000};
    open_after(victim, "dead", SHMBUS_FROM_SEQUENCE);
    poll_nothing(victim);
    nanosleep(&time, NULL);
}

static void call_behind(struct victim *victim)
{
    int result = shmbus_consumer_poll(victim->consumer, take_message, victim, CAPACITY);
    if (result < 0)
        victim_fail(victim, "poll: %s", shmbus_error_text());
    if (result == 0)
        poll_all(victim, (uint32_t)strlen(victim->path->messages));
}

#define AFTER(row, what, first, start, how)                                                        \
    .name = (row), .messages = (what), .before = (first), .setup = (start), .call = (how),         \
    .pressure = world_press, .late = late_messages, .finish = finish_consumer,                     \
    .repair = repair_by_reap, .after = world_after_consumer

const struct path paths_after[] = {
    {AFTER("join_after", "ipi", before_consumer, NULL, call_join_after)},
    {AFTER("poll_after", "ipPi", before_passed, setup_after, call_poll_after)},
    {AFTER("poll_behind_dead", "ipi", before_dead, setup_behind, call_behind)},
    {.name = NULL},
};
