/* SPDX-License-Identifier: MIT */
/* The ring: one producer, and each kind of consumer. */
#include "race.h"

#include <errno.h>
#include <sched.h>

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

/* Goes to the tail when it is so far behind. */
static void slack(void *context)
{
    struct reader reader = {
        .options = {.kind = SHMBUS_OPTIONAL, .from = SHMBUS_FROM_OLDEST, .slack = 20}};
    (void)context;
    if (reader_open(&reader) < 0)
        race_fail("open: %s", shmbus_error_text());
    else
        reader_go(&reader, UINT64_MAX);
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
    race_run(
        (struct race_thread[]){
            {publish, &world}, {optional, NULL}, {observer, NULL}, {slack, NULL}},
        4);
}

static void skips(void)
{
    struct ring_world world = {BY_COPY | BY_SKIP | BY_BATCH, 1, 6000};
    race_run((struct race_thread[]){{publish, &world}, {required, NULL}, {observer, NULL}}, 3);
}

/* ---- one handle, used by two threads in turn ---- */

#define EACH 1000

static void publish_in_turn(void *context)
{
    struct shmbus_producer *producer = context;
    while (race_goes_on() && shmbus_producer_required(producer, NULL) != 1)
        sched_yield();
    for (int done = 0; done < EACH && race_goes_on();) {
        struct shmbus_claim claim;
        int result = shmbus_producer_claim(producer, 24, &claim);
        if (result == -EBUSY) {
            sched_yield();
            continue;
        }
        if (result == 0) {
            race_fill(claim.data, claim.length, claim.sequence);
            /* The other one may be inside, to be refused. */
            do {
                result = shmbus_producer_commit(producer, &claim, 24 % 5, 0);
            } while (result == -EBUSY);
        }
        if (result < 0)
            race_fail("in turn: %s", shmbus_error_text());
        done++;
    }
}

static void read_both(void *context)
{
    struct reader reader = {.options = {.kind = SHMBUS_REQUIRED}};
    (void)context;
    if (reader_open(&reader) < 0)
        race_fail("open: %s", shmbus_error_text());
    else
        reader_go(&reader, 2 * EACH);
    reader_close(&reader);
}

static void in_turn(void)
{
    struct publisher publisher = {0};
    publisher_create(&publisher, &small);
    if (!race_goes_on())
        return;
    race_run((struct race_thread[]){{publish_in_turn, publisher.producer},
                                    {publish_in_turn, publisher.producer},
                                    {read_both, NULL}},
             3);
    publisher_close(&publisher);
}

const struct scenario race_ring[] = {
    {"ring_copies", 1, copies},
    {"ring_claims", 1, claims},
    {"ring_batches", 1, batches},
    {"ring_laps", 1, laps},
    {"ring_skips", 1, skips},
    {"ring_in_turn", 1, in_turn},
    {0},
};
