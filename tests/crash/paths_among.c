/* SPDX-License-Identifier: MIT */
/*
 * Paths whose victim publishes as the second of many producers, or gets or gives back a part of the
 * pool.
 */
#include "crowd.h"

#include <errno.h>
#include <string.h>

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
    second_say(victim, 'i');
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

/* ---- parts of the pool ---- */

static struct shmbus_slab own[2 * SMALL_COUNT + 1];

static void setup_exhausted(struct victim *victim)
{
    second_join(victim);
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
    second_finish(victim);
}

/* It has the part of a number that nobody has. */
static void setup_adopted(struct victim *victim)
{
    uint32_t count = 0;
    second_join(victim);
    while (count <= 2 * SMALL_COUNT &&
           shmbus_producer_slab_acquire(victim->producer, SMALL_BYTES, 1, &own[count]) == 0)
        count++;
    for (uint32_t i = 0; i < count; i++)
        shmbus_producer_slab_release(victim->producer, own[i].handle);
    if (count != 2 * SMALL_COUNT)
        victim_fail(victim, "adopts %u", count);
    second_say(victim, 'p');
}

static void ready_third(struct world *world)
{
    second_keep(world);
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
    .name = (row), .messages = (what), .before = crowd_before, .setup = second_setup,              \
    .ready = second_keep, .call = (how), .pressure = crowd_press, .late = second_hear,             \
    .finish = second_finish, .repair = repair_by_heir, .after = crowd_after, .is_bare = 1

const struct path paths_among[] = {
    {SECOND("among_publish", "ipP", second_publish)},
    {SECOND("among_claim", "ipP", call_claim)},
    {SECOND("among_abort", "ip", call_abort)},
    {SECOND("among_batch", "iPp", call_batch)},
    {SECOND("among_by_hand", "", call_by_hand)},
    {.name = "among_adopt",
     .messages = "",
     .before = crowd_before,
     .setup = setup_exhausted,
     .ready = ready_part,
     .call = call_adopt,
     .pressure = crowd_press,
     .late = late_adopt,
     .finish = finish_adopt,
     .repair = repair_by_heir,
     .after = crowd_after,
     .is_bare = 1},
    {.name = "among_give_back",
     .messages = "iii",
     .before = crowd_before,
     .setup = setup_adopted,
     .ready = ready_third,
     .call = second_publish,
     .pressure = press_third,
     .late = late_third,
     .finish = second_finish,
     .repair = repair_by_heir,
     .after = crowd_after,
     .is_bare = 1},
    {.name = NULL},
};
