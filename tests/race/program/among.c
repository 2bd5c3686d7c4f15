/* SPDX-License-Identifier: MIT */
/* Many producers: claims, parts of the pool, and the holes of those that die. */
#include "race.h"

#include <errno.h>

#define ENDED     0 /* how many producers have ended for good */
#define PRODUCERS 3

struct among_world {
    struct shmbus_bus_options bus;
    uint32_t ways;
    uint32_t longest;
    uint64_t lives; /* of each */
    uint64_t messages;
    uint32_t dies;
};

struct member {
    const struct among_world *world;
    uint32_t number; /* from 1 on */
};

static struct among_world world_of(uint64_t slabs)
{
    return (struct among_world){
        .bus = {.struct_bytes = sizeof(struct shmbus_bus_options),
                .capacity = 32,
                .max_consumers = 4,
                .max_producers = 4,
                .class_count = 1,
                .classes = {{512, slabs}}},
        .ways = BY_COPY | BY_CLAIM | BY_BATCH | BY_ABORT,
        .longest = 24,
        .lives = 1,
        .messages = 3000,
    };
}

/* With a claim open, or between two. */
static void die(struct publisher *publisher)
{
    struct shmbus_claim claim;
    uint32_t length = race_random(&publisher->random) % 2 == 0 ? 24 : publisher->longest;
    if (race_random(&publisher->random) % 4 != 0 &&
        shmbus_producer_claim(publisher->producer, length, &claim) == 0)
        race_fill(claim.data, length / 2 < 8 ? 8 : length / 2, 1);
    share_die();
}

static void publish(void *context)
{
    const struct member *member = context;
    const struct among_world *world = member->world;
    struct publisher publisher = {
        .ways = world->ways, .longest = world->longest, .number = member->number};
    for (uint64_t life = 0; life < world->lives && race_goes_on(); life++) {
        int is_first = member->number == 1 && life == 0;
        int result = 0;
        if (is_first)
            publisher_create(&publisher, &world->bus);
        else
            result = publisher_open(&publisher);
        if (result < 0)
            race_fail("open: %s", shmbus_error_text());
        if (!race_goes_on())
            break;
        publisher_await(&publisher, 1);
        publisher_go(&publisher,
                     1 + world->messages / 2 + race_random(&publisher.random) % world->messages);
        if (world->dies && life + 1 < world->lives)
            die(&publisher);
        else
            publisher_close(&publisher);
    }
    share_add(ENDED, 1);
}

/* Reads on through every end that is not the last. */
static void read_as(uint32_t kind, uint32_t keeps)
{
    struct reader reader = {.options = {.kind = kind}, .keeps = keeps};
    if (reader_open(&reader) < 0)
        race_fail("join: %s", shmbus_error_text());
    while (race_goes_on()) {
        uint64_t ended = share_signalled(ENDED);
        int result = reader_go(&reader, UINT64_MAX);
        if (result != -EPIPE && result != -EOWNERDEAD && race_goes_on())
            race_fail("it ended: %d: %s", result, shmbus_error_text());
        if (ended == PRODUCERS)
            break;
    }
    reader_close(&reader);
}

static void required(void *context)
{
    (void)context;
    read_as(SHMBUS_REQUIRED, 0);
}

static void holder(void *context)
{
    (void)context;
    read_as(SHMBUS_REQUIRED, 3);
}

static void optional(void *context)
{
    (void)context;
    read_as(SHMBUS_OPTIONAL, 0);
}

static void observer(void *context)
{
    (void)context;
    read_as(SHMBUS_OBSERVER, 0);
}

static void run(const struct among_world *world, void (*first)(void *), void (*second)(void *))
{
    struct member members[PRODUCERS];
    struct race_thread threads[PRODUCERS + 2] = {{first, NULL}, {second, NULL}};
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        members[i] = (struct member){world, i + 1};
        threads[2 + i] = (struct race_thread){publish, &members[i]};
    }
    race_run(threads, PRODUCERS + 2);
}

static void in_slots(void)
{
    struct among_world world = world_of(8);
    run(&world, required, required);
}

static void unread(void)
{
    struct among_world world = world_of(8);
    run(&world, required, optional);
}

static void in_slabs(void)
{
    struct among_world world = world_of(8);
    world.longest = 400;
    world.messages = 1500;
    run(&world, holder, observer);
}

/* A part with hardly a slab is taken, given back and adopted all the time. */
static void parts(void)
{
    struct among_world world = world_of(4);
    world.longest = 400;
    world.lives = 8;
    world.messages = 60;
    run(&world, required, optional);
}

static void come_and_go(void)
{
    struct among_world world = world_of(8);
    world.lives = 10;
    world.messages = 80;
    run(&world, required, observer);
}

static void refused(void)
{
    struct among_world world = world_of(8);
    share_signal(SHARE_REFUSED, 1);
    world.messages = 1000;
    run(&world, required, optional);
}

static void holes(void)
{
    struct among_world world = world_of(8);
    world.longest = 400;
    world.lives = 8;
    world.messages = 60;
    world.dies = 1;
    run(&world, required, optional);
}

const struct scenario race_among[] = {
    {"among_in_slots", 1, in_slots},       {"among_unread", 1, unread},
    {"among_in_slabs", 1, in_slabs},       {"among_parts", 1, parts},
    {"among_come_and_go", 1, come_and_go}, {"among_holes", 1, holes},
    {"among_refused", 1, refused},         {0},
};
