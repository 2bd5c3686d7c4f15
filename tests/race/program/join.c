/* SPDX-License-Identifier: MIT */
/* Those that come while the producer goes on, those that leave, are evicted, or only look. */
#include "race.h"

#include "layout/racing.h"

#include <errno.h>
#include <string.h>

#define ENDED 0 /* how many joiners have ended */

struct join_world {
    struct shmbus_bus_options bus;
    uint32_t longest;
    uint64_t joiners;
    uint64_t times; /* that each joins */
    uint32_t kind;
    int32_t from; /* enum shmbus_from; -1: any */
    uint32_t keeps;
    uint32_t most; /* messages that one reads; 0: 80 */
};

static struct shmbus_bus_options bus_of(uint64_t capacity)
{
    return (struct shmbus_bus_options){
        .struct_bytes = sizeof(struct shmbus_bus_options),
        .capacity = capacity,
        .max_consumers = 8,
        .class_count = 1,
        .classes = {{512, 16}},
    };
}

/* Until all joiners have ended. */
static void publish(void *context)
{
    const struct join_world *world = context;
    struct publisher publisher = {.ways = BY_COPY | BY_CLAIM, .longest = world->longest};
    publisher_create(&publisher, &world->bus);
    while (race_goes_on() && share_signalled(ENDED) < world->joiners)
        publisher_go(&publisher, 64);
    if (publisher.producer != NULL)
        publisher_close(&publisher);
}

static uint64_t any_sequence(struct reader *reader)
{
    struct shmbus_snapshot *snapshot;
    if (shmbus_snapshot_open(RACE_BUS, NULL, &snapshot) < 0)
        return 0;
    uint64_t floor = shmbus_snapshot_bus(snapshot)->floor;
    uint64_t tail = shmbus_snapshot_bus(snapshot)->tail;
    shmbus_snapshot_close(snapshot);
    return tail > floor ? floor + race_random(&reader->random) % (tail - floor) : floor;
}

static void join_once(const struct join_world *world, struct reader *reader)
{
    uint32_t most = world->most > 0 ? world->most : 80;
    reader->options.kind = world->kind;
    reader->keeps = world->keeps;
    reader->options.from =
        world->from >= 0 ? (uint32_t)world->from : (uint32_t)(race_random(&reader->random) % 3);
    reader->options.flags = SHMBUS_JOIN_MOVE_UP;
    reader->options.from_sequence =
        reader->options.from == SHMBUS_FROM_SEQUENCE ? any_sequence(reader) : 0;
    int result = reader_open(reader);
    /* The sequence that was looked up may be beyond what this one finds published. */
    if (result == -ERANGE)
        return;
    if (result < 0)
        race_fail("join: %s", shmbus_error_text());
    else
        reader_go(reader, 1 + race_random(&reader->random) % most);
    reader_close(reader);
}

static void join(void *context)
{
    const struct join_world *world = context;
    struct reader reader = {.options = {.name = "two"}};
    reader.random = race_seed();
    for (uint64_t i = 0; i < world->times && race_goes_on(); i++)
        join_once(world, &reader);
    share_add(ENDED, 1);
}

static void run(struct join_world *world)
{
    struct race_thread threads[4] = {{publish, world}};
    for (uint64_t i = 0; i < world->joiners; i++)
        threads[1 + i] = (struct race_thread){join, world};
    race_run(threads, 1 + (uint32_t)world->joiners);
}

static void join_required(void)
{
    struct join_world world = {bus_of(32), 400, 3, 40, SHMBUS_REQUIRED, -1, 0, 0};
    run(&world);
}

static void join_oldest(void)
{
    struct join_world world = {bus_of(16), 24, 2, 100, SHMBUS_REQUIRED, SHMBUS_FROM_OLDEST, 0, 0};
    run(&world);
}

static void join_optional(void)
{
    struct join_world world = {bus_of(64), 400, 3, 40, SHMBUS_OPTIONAL, -1, 0, 0};
    run(&world);
}

/* Comes, takes a slab or two, and leaves with them. */
static void join_and_leave(void)
{
    struct join_world world = {bus_of(16), 400, 3, 120, SHMBUS_OPTIONAL, SHMBUS_FROM_TAIL, 3, 5};
    world.bus.slot_bytes = 32;
    world.bus.classes[0].slab_count = 6;
    run(&world);
}

static void join_history(void)
{
    struct join_world world = {bus_of(64), 400, 3, 40, SHMBUS_REQUIRED, -1, 0, 0};
    world.bus.history = 32;
    run(&world);
}

static void join_named(void)
{
    static const char *const names[] = {"one", "two"};
    struct join_world world = {bus_of(32), 24, 2, 40, SHMBUS_REQUIRED, SHMBUS_FROM_TAIL, 0, 0};
    world.bus.required_rule = SHMBUS_REQUIRED_NAMED;
    world.bus.required_names = names;
    world.bus.required_count = 2;
    run(&world);
}

/* ---- eviction ---- */

/* Keeps a message until it is evicted for it, and reads it then. */
static int until_evicted(struct reader *reader)
{
    struct shmbus_message message;
    unsigned char copy[64];
    int result = 0;
    while (race_goes_on() && (result = shmbus_consumer_next(reader->consumer, &message)) == 0)
        ;
    if (result < 0)
        return result;
    while (race_goes_on() && shmbus_consumer_valid(reader->consumer, &message) == 1)
        ;
    /* What it still finds is not to be trusted either: it is told when its cursor is to move. */
    do {
        racing_copy(copy, message.data, message.length);
        result = shmbus_consumer_next(reader->consumer, &message);
    } while (race_goes_on() && result >= 0);
    return result;
}

/* Reads on, and then does not come back in time. */
static void sleepy(void *context)
{
    const struct join_world *world = context;
    struct reader reader = {.options = {.kind = SHMBUS_REQUIRED}, .is_racing = 1};
    if (reader_open(&reader) < 0)
        race_fail("join: %s", shmbus_error_text());
    for (uint64_t i = 0; i < world->times && race_goes_on(); i++) {
        int result = reader_go(&reader, 40);
        if (result >= 0)
            result = until_evicted(&reader);
        if (result != -ESTALE && race_goes_on())
            race_fail("not evicted: %d: %s", result, shmbus_error_text());
        if (race_goes_on() && reader_rejoin(&reader) < 0)
            race_fail("rejoin: %s", shmbus_error_text());
    }
    reader_close(&reader);
    share_add(ENDED, 1);
}

static void evicted(void)
{
    struct join_world world = {bus_of(16), 24, 1, 8, SHMBUS_REQUIRED, SHMBUS_FROM_TAIL, 0, 0};
    world.bus.flags = SHMBUS_BUS_EVICT | SHMBUS_BUS_TIMESTAMPS;
    world.bus.stall_ns = 1000000;
    race_run((struct race_thread[]){{publish, &world}, {sleepy, &world}}, 2);
}

/* ---- those that only look ---- */

static void look(void *context)
{
    const struct join_world *world = context;
    struct shmbus_snapshot *snapshot = NULL;
    while (race_goes_on() && snapshot == NULL && share_signalled(ENDED) < world->joiners)
        if (shmbus_snapshot_open(RACE_BUS, NULL, &snapshot) < 0)
            snapshot = NULL;
    while (race_goes_on() && share_signalled(ENDED) < world->joiners)
        if (shmbus_snapshot_update(snapshot) < 0)
            race_fail("look: %s", shmbus_error_text());
    shmbus_snapshot_close(snapshot);
}

static void publish_and_look(void *context)
{
    const struct join_world *world = context;
    struct publisher publisher = {.longest = world->longest};
    struct shmbus_health health[8];
    publisher_create(&publisher, &world->bus);
    while (race_goes_on() && share_signalled(ENDED) < world->joiners) {
        publisher_go(&publisher, 32);
        shmbus_producer_health(publisher.producer, health, 8);
    }
    if (publisher.producer != NULL)
        publisher_close(&publisher);
}

static void looked_at(void)
{
    struct join_world world = {bus_of(32), 400, 2, 30, SHMBUS_REQUIRED, SHMBUS_FROM_TAIL, 0, 0};
    race_run(
        (struct race_thread[]){
            {publish_and_look, &world}, {join, &world}, {join, &world}, {look, &world}},
        4);
}

const struct scenario race_join[] = {
    {"join_required", 1, join_required},
    {"join_oldest", 1, join_oldest},
    {"join_optional", 1, join_optional},
    {"join_and_leave", 1, join_and_leave},
    {"join_history", 1, join_history},
    {"join_named", 1, join_named},
    {"join_evicted", 1, evicted},
    {"join_looked_at", 1, looked_at},
    {0},
};
