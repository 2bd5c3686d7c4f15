/* SPDX-License-Identifier: MIT */
/*
 * Paths at the hole of another producer, dead or not: it is aborted or stepped over; and paths of
 * those that join and leave beside it.
 */
#include "crowd.h"

#include <errno.h>
#include <string.h>

/* ---- the hole of one that died ---- */

/* It is a whole lap behind, and read past: whoever publishes next has to abort it. */
static void ready_hole(struct world *world)
{
    crowd_hear(world);
    crowd_dies(world);
    crowd_hear(world);
    for (uint32_t i = 0; i + 1 < CAPACITY; i++)
        if (crowd_say(crowd.partner, AUTHOR_BEFORE, 'i') < 0)
            world_fail(world, "behind the hole: %s", shmbus_error_text());
    crowd_hear(world);
}

/* Somebody comes with the number of the dead, and has a claim while the victim goes on. */
static void press_repair(struct world *world)
{
    crowd_press(world);
    crowd_hold(world);
}

static void late_repair(struct world *world)
{
    crowd_let_go(world);
    crowd_hear(world);
}

/* Whoever comes gets the number of the dead. */
static void before_hole(struct world *world)
{
    crowd_before(world);
    crowd.stays.keeps = AUTHOR_DEAD + 1;
    crowd_dies(world);
    crowd_say(crowd.partner, AUTHOR_BEFORE, 'i');
    crowd_say(crowd.partner, AUTHOR_BEFORE, 'p');
}

static void before_hole_read(struct world *world)
{
    before_hole(world);
    crowd_hear(world);
}

static struct listener ears;

static void setup_listener(struct victim *victim)
{
    memset(&ears, 0, sizeof ears);
    if (listener_open(&ears, "victim") < 0)
        victim_fail(victim, "join: %s", shmbus_error_text());
}

/* A claim of one that lives, and what comes behind it. */
static void before_living(struct world *world)
{
    crowd_before(world);
    crowd_hold(world);
    crowd_say(crowd.partner, AUTHOR_BEFORE, 'i');
    crowd_say(crowd.partner, AUTHOR_BEFORE, 'p');
}

static void judge(struct victim *victim)
{
    if (ears.fault[0] != 0)
        victim_fail(victim, "hears %s", ears.fault);
}

/* It stands at the hole. */
static void call_step(struct victim *victim)
{
    if (shmbus_consumer_wait(ears.consumer, 0) < 0)
        victim_fail(victim, "wait: %s", shmbus_error_text());
    int result = listener_poll(&ears, 2);
    if (result != 2)
        victim_fail(victim, "poll gives %d: %s", result, shmbus_error_text());
    judge(victim);
}

/* It is committed while the victim looks at it, or later; whose it is, is gone then. */
static void call_look(struct victim *victim)
{
    int result = shmbus_consumer_wait(ears.consumer, 0);
    if (result < 0 && result != -ETIMEDOUT)
        victim_fail(victim, "wait: %s", shmbus_error_text());
    if (listener_poll(&ears, 2) < 0)
        victim_fail(victim, "poll: %s", shmbus_error_text());
    judge(victim);
}

static void commit_and_go(struct world *world)
{
    crowd_let_go(world);
    shmbus_producer_close(crowd.third);
    crowd.third = NULL;
    crowd_hear(world);
}

static void after_living(struct world *world)
{
    commit_and_go(world);
    crowd_after(world);
}

/* Until the ring is full by where the victim stands. */
static void press_full(struct world *world)
{
    crowd_press(world);
    for (uint32_t i = 0; i < 2 * CAPACITY; i++)
        if (crowd_say(crowd.partner, AUTHOR_BEFORE, 'i') < 0)
            break;
    crowd_hear(world);
}

static void late_more(struct world *world)
{
    for (const char *kind = "ipi"; *kind != 0; kind++)
        if (crowd_say(crowd.partner, AUTHOR_BEFORE, *kind) < 0)
            break; /* as full as the pressure left it */
    crowd_hear(world);
    world->record->tail = crowd.stays.next;
}

static void late_living(struct world *world)
{
    commit_and_go(world);
    late_more(world);
}

static void finish_listener(struct victim *victim)
{
    uint64_t holes = victim->path->call == call_step;
    listener_hear(&ears);
    judge(victim);
    if (ears.aborted != holes || ears.next != victim->record->tail)
        victim_fail(victim, "got to %lld of %lld, over %lld holes",
                    (long long)(ears.next - FIRST_SEQUENCE),
                    (long long)(victim->record->tail - FIRST_SEQUENCE), (long long)ears.aborted);
    shmbus_consumer_close(ears.consumer);
}

/* ---- joining and closing ---- */

/* The partner may have adopted the part of one that had not joined yet: it is asked for. */
static void late_join(struct world *world)
{
    for (uint32_t i = 0; i < CAPACITY / 4; i++)
        if (crowd_say(crowd.partner, AUTHOR_BEFORE, 'i') < 0)
            world_fail(world, "late: %s", shmbus_error_text());
    crowd_hear(world);
}

static void call_close(struct victim *victim)
{
    shmbus_producer_close(victim->producer);
    victim->record->is_done = 1;
}

/* With a claim that is open. */
static void setup_close(struct victim *victim)
{
    struct shmbus_claim lent;
    second_setup(victim);
    if (shmbus_producer_claim(victim->producer, SMALL_BYTES, &lent) < 0)
        victim_fail(victim, "claim: %s", shmbus_error_text());
}

/* The victim is the last one that lives, beside a dead one. */
static void ready_last(struct world *world)
{
    second_keep(world);
    shmbus_producer_close(crowd.partner);
    crowd.partner = NULL;
    crowd_dies(world);
}

/* Somebody joins while the last one closes: the stream goes on. */
static void press_last(struct world *world)
{
    crowd_hear(world);
    if (shmbus_producer_open(BUS, NULL, NULL, 0, &crowd.partner) < 0) {
        world_fail(world, "cannot join: %s", shmbus_error_text());
        crowd.partner = NULL;
        return;
    }
    crowd_press(world);
}

static void after_last(struct world *world)
{
    int result = crowd_hear(world);
    int ended = result == -EPIPE || (result == -EOWNERDEAD && !world->record->is_done);
    if (crowd.partner != NULL ? result != -ETIMEDOUT : !ended)
        world_fail(world, "waiting gives %d, with %s producer that lives", result,
                   crowd.partner != NULL ? "a" : "no");
    crowd_after(world);
}

const struct path paths_holes[] = {
    {.name = "among_repair",
     .messages = "i",
     .before = crowd_before,
     .setup = second_join,
     .ready = ready_hole,
     .call = second_publish,
     .pressure = press_repair,
     .late = late_repair,
     .finish = second_finish,
     .repair = repair_by_heir,
     .after = crowd_after,
     .is_bare = 1},
    {.name = "among_step_over",
     .messages = "",
     .before = before_hole,
     .setup = setup_listener,
     .call = call_step,
     .pressure = press_full,
     .late = late_more,
     .finish = finish_listener,
     .repair = repair_by_reap,
     .after = crowd_after,
     .is_bare = 1},
    {.name = "among_step_living",
     .messages = "",
     .before = before_living,
     .setup = setup_listener,
     .call = call_look,
     .pressure = commit_and_go,
     .late = late_living,
     .finish = finish_listener,
     .repair = repair_by_reap,
     .after = after_living,
     .is_bare = 1},
    {.name = "among_join",
     .messages = "",
     .before = before_hole_read,
     .call = second_join,
     .pressure = crowd_press,
     .late = late_join,
     .finish = second_finish,
     .repair = repair_by_heir,
     .after = crowd_after,
     .is_bare = 1},
    {.name = "among_close",
     .messages = "",
     .before = crowd_before,
     .setup = setup_close,
     .ready = second_keep,
     .call = call_close,
     .pressure = crowd_press,
     .late = second_hear,
     .repair = repair_by_heir,
     .after = crowd_after,
     .is_bare = 1},
    {.name = "among_close_last",
     .messages = "",
     .before = crowd_before,
     .setup = setup_close,
     .ready = ready_last,
     .call = call_close,
     .pressure = press_last,
     .late = second_hear,
     .repair = repair_by_heir,
     .after = after_last,
     .is_bare = 1},
    {.name = NULL},
};
