/* SPDX-License-Identifier: MIT */
/*
 * Paths of parking and waking: a producer that wakes a process which sleeps, a consumer that wakes
 * a producer which sleeps, and both while they say that they are about to sleep. The waits of a
 * path are over as soon as they have said so: one nanosecond.
 */
#include "victim.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define GUARD_SECONDS 20 /* a sleeper that nobody wakes ends by that */

static const struct shmbus_wait park = {.strategy = SHMBUS_WAIT_PARK};

/* Looks until the producer, or the consumer of a name, is parked. */
static void until_parked(struct world *world, const char *name)
{
    uint32_t waiting = SHMBUS_WAITING_NOT;
    while (waiting != SHMBUS_WAITING_PARK && world->failure[0] == 0) {
        struct shmbus_snapshot *snapshot;
        const struct shmbus_consumer_info *consumer;
        if (shmbus_snapshot_open(BUS, NULL, &snapshot) < 0) {
            world_fail(world, "cannot look: %s", shmbus_error_text());
            return;
        }
        if (name == NULL)
            waiting = shmbus_snapshot_producer(snapshot, 0)->waiting;
        for (uint32_t i = 0; (consumer = shmbus_snapshot_consumer(snapshot, i)) != NULL; i++)
            if (name != NULL && strcmp(consumer->name, name) == 0)
                waiting = consumer->waiting;
        shmbus_snapshot_close(snapshot);
        sched_yield();
    }
}

/* ---- a producer that wakes ---- */

static pid_t sleeper;

/* Parks until there is something, or the producer is dead. */
static void sleep_once(void)
{
    struct shmbus_consumer *consumer;
    struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options, .name = "sleeper", .kind = SHMBUS_OPTIONAL, .wait = park};
    alarm(GUARD_SECONDS);
    if (shmbus_consumer_open(BUS, &options, &consumer) < 0)
        _exit(1);
    int result = shmbus_consumer_wait(consumer, SHMBUS_FOREVER);
    shmbus_consumer_close(consumer);
    _exit(result == 0 || result == -EOWNERDEAD || result == -EPIPE ? 0 : 1);
}

static void ready_sleeper(struct world *world)
{
    sleeper = fork();
    if (sleeper == 0)
        sleep_once();
    if (sleeper < 0)
        world_fail(world, "no process to sleep");
    else
        until_parked(world, "sleeper");
}

static void end_sleeper(struct world *world)
{
    int status = -1;
    if (sleeper > 0 && (waitpid(sleeper, &status, 0) != sleeper || status != 0))
        world_fail(world, "a sleeper was not woken: status 0x%x", (unsigned)status);
    sleeper = 0;
}

static void call_wake(struct victim *victim)
{
    send(victim, victim->path->messages[0]);
}

static void after_wake(struct world *world)
{
    end_sleeper(world);
    world_after_producer(world);
}

static void call_wake_at_end(struct victim *victim)
{
    struct shmbus_producer *producer = victim->producer;
    victim->producer = NULL;
    shmbus_producer_close(producer);
}

/* ---- a consumer that wakes ---- */

static pthread_t flusher;
static int flushes;

static void *flush(void *context)
{
    struct world *world = context;
    int result = shmbus_producer_flush(world->producer, GUARD_SECONDS * INT64_C(1000000000));
    if (result < 0)
        world_fail(world, "a producer was not woken: %s", shmbus_error_text());
    return NULL;
}

/* The one that stays has read all; the producer parks until the victim has, too. */
static void ready_flusher(struct world *world)
{
    world_drain(world);
    flushes = pthread_create(&flusher, NULL, flush, world) == 0;
    if (!flushes)
        world_fail(world, "no thread to flush");
    else
        until_parked(world, NULL);
}

static void end_flusher(struct world *world)
{
    (void)world;
    if (flushes)
        pthread_join(flusher, NULL);
    flushes = 0;
}

static void late_flusher(struct world *world)
{
    end_flusher(world);
    late_messages(world);
}

static void call_wake_producer(struct victim *victim)
{
    poll_all(victim, (uint32_t)strlen(victim->path->messages));
}

/* Leaves with everything unread, which is as good. */
static void call_leave(struct victim *victim)
{
    struct shmbus_consumer *consumer = victim->consumer;
    victim->consumer = NULL;
    shmbus_consumer_close(consumer);
}

static void after_flusher(struct world *world)
{
    end_flusher(world);
    world_after_consumer(world);
}

/* ---- both, as they say that they are about to sleep ---- */

static void setup_waiter(struct victim *victim)
{
    struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options,
        .name = "victim",
        .kind = SHMBUS_REQUIRED,
        .from = SHMBUS_FROM_SEQUENCE,
        .from_sequence = victim->record->next,
        .wait = park,
    };
    if (shmbus_consumer_open(BUS, &options, &victim->consumer) < 0)
        victim_fail(victim, "setup: %s", shmbus_error_text());
    poll_all(victim, (uint32_t)strlen(victim->path->messages));
}

static void call_park(struct victim *victim)
{
    int result = shmbus_consumer_wait(victim->consumer, 1);
    if (result != 0 && result != -ETIMEDOUT)
        victim_fail(victim, "wait: %s", shmbus_error_text());
}

static void setup_flusher(struct victim *victim)
{
    struct shmbus_producer_options options = {.struct_bytes = sizeof options, .wait = park};
    if (shmbus_producer_open(BUS, NULL, &options, 0, &victim->producer) < 0)
        victim_fail(victim, "setup: %s", shmbus_error_text());
    adopt(victim);
    send(victim, 'i');
}

static void call_park_producer(struct victim *victim)
{
    int result = shmbus_producer_flush(victim->producer, 1);
    if (result != 0 && result != -ETIMEDOUT)
        victim_fail(victim, "flush: %s", shmbus_error_text());
}

const struct path paths_park[] = {
    {.name = "wake",
     .messages = "i",
     .before = before_producer,
     .setup = setup_producer,
     .ready = ready_sleeper,
     .call = call_wake,
     .late = world_check_published,
     .finish = finish_producer,
     .after = after_wake},
    {.name = "wake_at_end",
     .messages = "",
     .before = before_producer,
     .setup = setup_producer,
     .ready = ready_sleeper,
     .call = call_wake_at_end,
     .after = after_wake},
    {.name = "wake_producer",
     .messages = "ip",
     .before = before_consumer,
     .setup = setup_consumer,
     .ready = ready_flusher,
     .call = call_wake_producer,
     .late = late_flusher,
     .finish = finish_consumer,
     .after = after_flusher},
    {.name = "wake_by_leaving",
     .messages = "ip",
     .before = before_consumer,
     .setup = setup_consumer,
     .ready = ready_flusher,
     .call = call_leave,
     .late = late_flusher,
     .after = after_flusher},
    {.name = "park",
     .messages = "ip",
     .before = before_consumer,
     .setup = setup_waiter,
     .call = call_park,
     .pressure = world_press,
     .late = late_messages,
     .finish = finish_consumer,
     .repair = repair_by_reap,
     .after = world_after_consumer},
    {.name = "park_producer",
     .messages = "",
     .before = before_producer,
     .setup = setup_flusher,
     .call = call_park_producer,
     .pressure = pressure_on_producer,
     .late = world_check_published,
     .finish = finish_producer,
     .repair = repair_by_heir,
     .after = world_after_producer},
    {.name = NULL},
};
