/* SPDX-License-Identifier: MIT */
/* The ring: one producer, and each kind of consumer. */
#include "race.h"

#include <errno.h>

static const struct shmbus_bus_options small = {
    .struct_bytes = sizeof(struct shmbus_bus_options),
    .capacity = 64,
    .max_consumers = 8,
    .flags = SHMBUS_BUS_NO_POOL | SHMBUS_BUS_TIMESTAMPS,
};

struct ring_world {
    uint32_t ways;
    int required;
    uint64_t messages;
};

static void publish(void *context)
{
    const struct ring_world *world = context;
    struct publisher publisher = {.ways = world->ways};
    publisher_create(&publisher, &small);
    if (!race_goes_on())
        return;
    publisher_await(&publisher, world->required);
    publisher_go(&publisher, world->messages);
    publisher_close(&publisher);
}

static void read_as(uint32_t kind)
{
    struct reader reader = {.options = {.kind = kind, .from = SHMBUS_FROM_OLDEST}};
    if (reader_open(&reader) < 0)
        race_fail("open: %s", shmbus_error_text());
    else if (reader_go(&reader, UINT64_MAX) != -EPIPE && race_goes_on())
        race_fail("it ended: %s", shmbus_error_text());
    reader_close(&reader);
}

static void required(void *context)
{
    (void)context;
    read_as(SHMBUS_REQUIRED);
}

static void optional(void *context)
{
    (void)context;
    read_as(SHMBUS_OPTIONAL);
}

static void observer(void *context)
{
    (void)context;
    read_as(SHMBUS_OBSERVER);
}

/* Its cursor is stored within a poll, too, and it wants some types only. */
static void picky(void *context)
{
    static const uint16_t types[] = {0, 3};
    struct reader reader = {
        .options = {
            .kind = SHMBUS_REQUIRED, .from = SHMBUS_FROM_OLDEST, .types = types, .type_count = 2}};
    (void)context;
    if (reader_open(&reader) < 0)
        race_fail("open: %s", shmbus_error_text());
    else
        reader_go(&reader, UINT64_MAX);
    reader_close(&reader);
}

static void copies(void)
{
    struct ring_world world = {BY_COPY, 2, 10000};
    race_run((struct race_thread[]){{publish, &world}, {required, NULL}, {required, NULL}}, 3);
}

static void claims(void)
{
    struct ring_world world = {BY_CLAIM | BY_ABORT, 2, 10000};
    race_run((struct race_thread[]){{publish, &world}, {required, NULL}, {picky, NULL}}, 3);
}

static void batches(void)
{
    struct ring_world world = {BY_BATCH | BY_COPY, 1, 10000};
    race_run((struct race_thread[]){{publish, &world}, {required, NULL}, {optional, NULL}}, 3);
}

static void laps(void)
{
    struct ring_world world = {BY_COPY | BY_CLAIM | BY_BATCH, 0, 20000};
    race_run((struct race_thread[]){{publish, &world}, {optional, NULL}, {observer, NULL}}, 3);
}

static void skips(void)
{
    struct ring_world world = {BY_COPY | BY_SKIP | BY_BATCH, 1, 6000};
    race_run((struct race_thread[]){{publish, &world}, {required, NULL}, {observer, NULL}}, 3);
}

const struct scenario race_ring[] = {
    {"ring_copies", 1, copies}, {"ring_claims", 1, claims}, {"ring_batches", 1, batches},
    {"ring_laps", 1, laps},     {"ring_skips", 1, skips},   {0},
};
