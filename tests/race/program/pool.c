/* SPDX-License-Identifier: MIT */
/* Slabs: in place, held beyond the cursor, and copied by those that may not hold. */
#include "race.h"

#include <errno.h>

/* Few slabs, so that each message takes what another has just given up. */
static const struct shmbus_bus_options few = {
    .struct_bytes = sizeof(struct shmbus_bus_options),
    .capacity = 32,
    .max_consumers = 8,
    .class_count = 2,
    .classes = {{128, 16}, {1024, 12}},
};

struct pool_world {
    uint32_t ways;
    int required;
    uint64_t messages;
    uint32_t flags;
};

static void publish(void *context)
{
    const struct pool_world *world = context;
    struct publisher publisher = {.ways = world->ways, .longest = RACE_LONGEST};
    struct shmbus_bus_options options = few;
    options.flags = world->flags;
    publisher_create(&publisher, &options);
    if (!race_goes_on())
        return;
    publisher_await(&publisher, world->required);
    publisher_go(&publisher, world->messages);
    publisher_close(&publisher);
}

static void read_as(uint32_t kind, uint32_t keeps)
{
    struct reader reader = {
        .options = {.kind = kind, .from = SHMBUS_FROM_OLDEST, .hold_quota = RACE_KEPT},
        .keeps = keeps};
    if (reader_open(&reader) < 0)
        race_fail("open: %s", shmbus_error_text());
    else if (reader_go(&reader, UINT64_MAX) != -EPIPE && race_goes_on())
        race_fail("it ended: %s", shmbus_error_text());
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
    read_as(SHMBUS_REQUIRED, 4);
}

static void optional(void *context)
{
    (void)context;
    read_as(SHMBUS_OPTIONAL, 0);
}

static void optional_holder(void *context)
{
    (void)context;
    read_as(SHMBUS_OPTIONAL, 3);
}

static void observer(void *context)
{
    (void)context;
    read_as(SHMBUS_OBSERVER, 0);
}

static void in_place(void)
{
    struct pool_world world = {BY_COPY | BY_CLAIM | BY_BATCH | BY_ABORT, 2, 6000, 0};
    race_run((struct race_thread[]){{publish, &world}, {required, NULL}, {required, NULL}}, 3);
}

static void held(void)
{
    struct pool_world world = {BY_COPY | BY_CLAIM | BY_SLAB, 2, 5000, 0};
    race_run((struct race_thread[]){{publish, &world}, {holder, NULL}, {holder, NULL}}, 3);
}

static void scrubbed(void)
{
    struct pool_world world = {BY_COPY | BY_SLAB, 1, 4000, SHMBUS_BUS_SCRUB};
    race_run((struct race_thread[]){{publish, &world}, {holder, NULL}, {observer, NULL}}, 3);
}

static void optional_holds(void)
{
    struct pool_world world = {BY_COPY | BY_CLAIM, 0, 10000, 0};
    race_run(
        (struct race_thread[]){
            {publish, &world}, {optional, NULL}, {optional_holder, NULL}, {observer, NULL}},
        4);
}

/* ---- a consumer that stands still while it releases ---- */

#define TOLD 0 /* what the consumer keeps is to be released */
#define DONE 1 /* it was */

#define STILL_ROUNDS 60
#define STILL_KEPT   8u

/* Its cursor does not move between its reads and its release: only the release orders them. */
static void still(void *context)
{
    struct reader reader = {.options = {.kind = SHMBUS_REQUIRED, .hold_quota = RACE_KEPT}};
    (void)context;
    if (reader_open(&reader) < 0)
        race_fail("open: %s", shmbus_error_text());
    for (uint64_t i = 0; i < STILL_ROUNDS && race_goes_on(); i++) {
        struct shmbus_message message;
        while (reader.kept < STILL_KEPT && race_goes_on()) {
            int result = shmbus_consumer_next(reader.consumer, &message);
            if (result < 0)
                race_fail("next: %s", shmbus_error_text());
            if (result <= 0)
                continue;
            result =
                shmbus_consumer_retain(reader.consumer, &message, &reader.handles[reader.kept++]);
            if (result < 0)
                race_fail("retain: %s", shmbus_error_text());
            reader.received++;
            reader.expected = message.sequence + 1;
        }
        /* The cursor goes past them. */
        if (race_goes_on() && shmbus_consumer_next(reader.consumer, &message) != 0)
            race_fail("one more than was published");
        share_signal(TOLD, i + 1);
        reader_release(&reader);
        race_await(DONE, i + 1);
    }
    reader_close(&reader);
}

/* Publishes as many as there are slabs, and then one that waits for one of them. */
static void publish_to_still(void *context)
{
    static const struct shmbus_bus_options options = {
        .struct_bytes = sizeof options,
        .capacity = 32,
        .class_count = 1,
        .classes = {{RACE_LONGEST, STILL_KEPT}},
    };
    struct publisher publisher = {.longest = RACE_LONGEST};
    struct shmbus_slab slab;
    (void)context;
    publisher_create(&publisher, &options);
    if (!race_goes_on())
        return;
    publisher_await(&publisher, 1);
    for (uint64_t i = 0; i < STILL_ROUNDS && race_goes_on(); i++) {
        unsigned char data[RACE_LONGEST];
        for (uint32_t j = 0; j < STILL_KEPT; j++) {
            race_fill(data, sizeof data, shmbus_producer_next_sequence(publisher.producer));
            if (shmbus_producer_publish(publisher.producer, 0, 0, data, sizeof data) < 0)
                race_fail("publish: %s", shmbus_error_text());
        }
        race_await(TOLD, i + 1);
        if (shmbus_producer_slab_acquire(publisher.producer, RACE_LONGEST, 1, &slab) < 0)
            race_fail("acquire: %s", shmbus_error_text());
        if (race_goes_on()) {
            race_fill(slab.data, RACE_LONGEST, i);
            shmbus_producer_slab_release(publisher.producer, slab.handle);
        }
        share_signal(DONE, i + 1);
    }
    publisher_close(&publisher);
}

static void release_still(void)
{
    race_run((struct race_thread[]){{publish_to_still, NULL}, {still, NULL}}, 2);
}

const struct scenario race_pool[] = {
    {"pool_in_place", 1, in_place},     {"pool_held", 1, held},
    {"pool_scrubbed", 1, scrubbed},     {"pool_optional_holds", 1, optional_holds},
    {"pool_release", 1, release_still}, {0},
};
