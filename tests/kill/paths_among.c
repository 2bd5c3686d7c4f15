/* SPDX-License-Identifier: MIT */
/*
 * Paths on a bus of many producers: the victim is one of them, or a consumer that has to get past
 * the hole of one that died.
 */
#include "crowd.h"

#include <errno.h>
#include <string.h>

/* ---- victims that publish ---- */

static void join(struct victim *victim)
{
    if (shmbus_producer_open(BUS, NULL, NULL, 0, &victim->producer) < 0)
        victim_fail(victim, "join: %s", shmbus_error_text());
}

static void say(struct victim *victim, char kind)
{
    unsigned char data[LARGE_BYTES];
    struct record *record = victim->record;
    uint64_t number = record->returned;
    uint32_t bytes = body_bytes(number, kind);
    body_fill(data, bytes, number, AUTHOR_VICTIM);
    record->started = number + 1;
    if (shmbus_producer_publish(victim->producer, body_type(number, AUTHOR_VICTIM), 0, data,
                                bytes) < 0)
        victim_fail(victim, "publish: %s", shmbus_error_text());
    record->returned = number + 1;
}

/* One message in a slab, so that something of its part is held. */
static void setup_second(struct victim *victim)
{
    join(victim);
    say(victim, 'p');
}

static void ready_keep(struct world *world)
{
    crowd.stays.keeps = AUTHOR_VICTIM + 1;
    crowd_hear(world);
}

static void finish_second(struct victim *victim)
{
    for (const char *kind = "ipi"; *kind != 0; kind++)
        say(victim, *kind);
    shmbus_producer_close(victim->producer);
}

static void late_hear(struct world *world)
{
    crowd_hear(world);
}

/* The partner may have adopted the part of one that had not joined yet: it is asked for. */
static void late_join(struct world *world)
{
    for (uint32_t i = 0; i < CAPACITY / 4; i++)
        if (crowd_say(crowd.partner, AUTHOR_BEFORE, 'i') < 0)
            world_fail(world, "late: %s", shmbus_error_text());
    crowd_hear(world);
}

static void call_publish(struct victim *victim)
{
    for (const char *kind = victim->path->messages; *kind != 0; kind++)
        say(victim, *kind);
}

/* Claims and commits; every second kind is claimed and given up before. */
static void call_claim(struct victim *victim)
{
    struct record *record = victim->record;
    for (const char *kind = victim->path->messages; *kind != 0; kind++) {
        struct shmbus_claim lent;
        uint64_t number = record->returned;
        uint32_t bytes = body_bytes(number, *kind);
        if (shmbus_producer_claim(victim->producer, bytes, &lent) < 0)
            victim_fail(victim, "claim: %s", shmbus_error_text());
        body_fill(lent.data, bytes, number, AUTHOR_VICTIM);
        record->started = number + 1;
        if (shmbus_producer_commit(victim->producer, &lent, body_type(number, AUTHOR_VICTIM), 0) <
            0)
            victim_fail(victim, "commit: %s", shmbus_error_text());
        record->returned = number + 1;
    }
}

static void call_abort(struct victim *victim)
{
    for (const char *kind = victim->path->messages; *kind != 0; kind++) {
        struct shmbus_claim lent;
        uint32_t bytes = body_bytes(victim->record->returned, *kind);
        if (shmbus_producer_claim(victim->producer, bytes, &lent) < 0)
            victim_fail(victim, "claim: %s", shmbus_error_text());
        memset(lent.data, 0xaa, bytes);
        if (shmbus_producer_abort(victim->producer, &lent) < 0)
            victim_fail(victim, "abort: %s", shmbus_error_text());
    }
    say(victim, 'i');
}

static void call_batch(struct victim *victim)
{
    static unsigned char data[CAPACITY][LARGE_BYTES];
    struct shmbus_outgoing outgoing[CAPACITY];
    struct record *record = victim->record;
    uint64_t first = record->returned;
    uint32_t count = (uint32_t)strlen(victim->path->messages);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bytes = body_bytes(first + i, victim->path->messages[i]);
        body_fill(data[i], bytes, first + i, AUTHOR_VICTIM);
        outgoing[i] =
            (struct shmbus_outgoing){data[i], bytes, body_type(first + i, AUTHOR_VICTIM), 0};
    }
    record->started = first + count;
    if (shmbus_producer_publish_batch(victim->producer, outgoing, count) != (int)count)
        victim_fail(victim, "batch: %s", shmbus_error_text());
    record->returned = first + count;
}

/* A slab is published twice, and then given back. */
static void publish_twice(struct victim *victim, const struct shmbus_slab *slab)
{
    struct record *record = victim->record;
    uint64_t first = record->returned;
    uint32_t bytes = body_bytes(first, 'p');
    body_fill(slab->data, bytes, first, AUTHOR_VICTIM);
    for (uint16_t again = 0; again < 2; again++) {
        record->started = first + again + 1;
        if (shmbus_producer_slab_publish(victim->producer, slab->handle, bytes,
                                         body_type(first + again, AUTHOR_VICTIM), again) < 0)
            victim_fail(victim, "publish a slab: %s", shmbus_error_text());
        record->returned = first + again + 1;
    }
    if (shmbus_producer_slab_release(victim->producer, slab->handle) < 0)
        victim_fail(victim, "release a slab: %s", shmbus_error_text());
}

static void call_by_hand(struct victim *victim)
{
    struct shmbus_slab slabs[2];
    if (shmbus_producer_slab_acquire(victim->producer, SMALL_BYTES, 2, slabs) < 0)
        victim_fail(victim, "acquire: %s", shmbus_error_text());
    publish_twice(victim, &slabs[0]);
    if (shmbus_producer_slab_release(victim->producer, slabs[1].handle) < 0)
        victim_fail(victim, "release a slab: %s", shmbus_error_text());
}

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

static void call_close(struct victim *victim)
{
    shmbus_producer_close(victim->producer);
    victim->record->is_done = 1;
}

/* With a claim that is open. */
static void setup_close(struct victim *victim)
{
    struct shmbus_claim lent;
    setup_second(victim);
    if (shmbus_producer_claim(victim->producer, SMALL_BYTES, &lent) < 0)
        victim_fail(victim, "claim: %s", shmbus_error_text());
}

/* The victim is the last one that lives, beside a dead one. */
static void ready_last(struct world *world)
{
    ready_keep(world);
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

/* ---- parts of the pool ---- */

static struct shmbus_slab own[2 * SMALL_COUNT + 1];

static void setup_exhausted(struct victim *victim)
{
    join(victim);
    if (shmbus_producer_slab_acquire(victim->producer, SMALL_BYTES, SMALL_COUNT, own) < 0)
        victim_fail(victim, "acquire: %s", shmbus_error_text());
}

static void ready_part(struct world *world)
{
    crowd.stays.keeps = AUTHOR_DEAD + 1;
    crowd_dies(world);
}

/* The partner may have been faster. What the dead one said is not heard yet. */
static void call_adopt(struct victim *victim)
{
    victim->record->result =
        shmbus_producer_slab_acquire(victim->producer, SMALL_BYTES, 1, &own[SMALL_COUNT]);
    if (victim->record->result == 0)
        publish_twice(victim, &own[SMALL_COUNT]);
}

static void late_adopt(struct world *world)
{
    int result = world->record->result;
    crowd_hear(world);
    if (result != 0 && (result != -ENOBUFS || !world->is_pressed))
        world_fail(world, "adopting gives %d", result);
}

static void finish_adopt(struct victim *victim)
{
    for (uint32_t i = 0; i < SMALL_COUNT; i++)
        shmbus_producer_slab_release(victim->producer, own[i].handle);
    finish_second(victim);
}

/* It has the part of a number that nobody has. */
static void setup_adopted(struct victim *victim)
{
    uint32_t count = 0;
    join(victim);
    while (count <= 2 * SMALL_COUNT &&
           shmbus_producer_slab_acquire(victim->producer, SMALL_BYTES, 1, &own[count]) == 0)
        count++;
    for (uint32_t i = 0; i < count; i++)
        shmbus_producer_slab_release(victim->producer, own[i].handle);
    if (count != 2 * SMALL_COUNT)
        victim_fail(victim, "adopts %u", count);
    say(victim, 'p');
}

static void ready_third(struct world *world)
{
    ready_keep(world);
    if (shmbus_producer_open(BUS, NULL, NULL, 0, &crowd.third) < 0) {
        world_fail(world, "the third cannot join: %s", shmbus_error_text());
        crowd.third = NULL;
    }
}

/* The third has no part, or all of its own. */
static void press_third(struct world *world)
{
    crowd_press(world);
    uint32_t count = crowd_scribble(world, crowd.third, SMALL_BYTES);
    if (count != 0 && count != SMALL_COUNT)
        world_fail(world, "the third has %u slabs", count);
}

static void late_third(struct world *world)
{
    crowd_hear(world);
    uint32_t count = crowd_scribble(world, crowd.third, SMALL_BYTES);
    if (count != SMALL_COUNT)
        world_fail(world, "the third got %u slabs back", count);
}

#define SECOND(row, what, how)                                                                     \
    .name = (row), .messages = (what), .before = crowd_before, .setup = setup_second,              \
    .ready = ready_keep, .call = (how), .pressure = crowd_press, .late = late_hear,                \
    .finish = finish_second, .after = crowd_after, .is_bare = 1

const struct path paths_among[] = {
    {SECOND("among_publish", "ipP", call_publish)},
    {SECOND("among_claim", "ipP", call_claim)},
    {SECOND("among_abort", "ip", call_abort)},
    {SECOND("among_batch", "iPp", call_batch)},
    {SECOND("among_by_hand", "", call_by_hand)},
    {.name = "among_repair",
     .messages = "i",
     .before = crowd_before,
     .setup = join,
     .ready = ready_hole,
     .call = call_publish,
     .pressure = press_repair,
     .late = late_repair,
     .finish = finish_second,
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
     .after = after_living,
     .is_bare = 1},
    {.name = "among_join",
     .messages = "",
     .before = before_hole_read,
     .call = join,
     .pressure = crowd_press,
     .late = late_join,
     .finish = finish_second,
     .after = crowd_after,
     .is_bare = 1},
    {.name = "among_close",
     .messages = "",
     .before = crowd_before,
     .setup = setup_close,
     .ready = ready_keep,
     .call = call_close,
     .pressure = crowd_press,
     .late = late_hear,
     .after = crowd_after,
     .is_bare = 1},
    {.name = "among_close_last",
     .messages = "",
     .before = crowd_before,
     .setup = setup_close,
     .ready = ready_last,
     .call = call_close,
     .pressure = press_last,
     .late = late_hear,
     .after = after_last,
     .is_bare = 1},
    {.name = "among_adopt",
     .messages = "",
     .before = crowd_before,
     .setup = setup_exhausted,
     .ready = ready_part,
     .call = call_adopt,
     .pressure = crowd_press,
     .late = late_adopt,
     .finish = finish_adopt,
     .after = crowd_after,
     .is_bare = 1},
    {.name = "among_give_back",
     .messages = "iii",
     .before = crowd_before,
     .setup = setup_adopted,
     .ready = ready_third,
     .call = call_publish,
     .pressure = press_third,
     .late = late_third,
     .finish = finish_second,
     .after = crowd_after,
     .is_bare = 1},
    {.name = NULL},
};
