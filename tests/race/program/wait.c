/* SPDX-License-Identifier: MIT */
/* Parking, descriptors, selectors, and those that run after others. */
#include "race.h"

#include <errno.h>
#include <poll.h>

#define OTHER_BUS "race.other"
#define ENDED     0

static const struct shmbus_wait park = {.strategy = SHMBUS_WAIT_PARK};

struct wait_world {
    const char *bus;
    uint32_t flags;
    uint64_t messages;
    int required;
    uint32_t ways; /* BY_...; 0: three of them */
};

static void publish(void *context)
{
    const struct wait_world *world = context;
    struct shmbus_bus_options options = {
        .struct_bytes = sizeof options,
        .capacity = 16,
        .max_consumers = 6,
        .class_count = 1,
        .classes = {{512, 8}},
        .flags = world->flags,
    };
    struct publisher publisher = {.bus = world->bus,
                                  .ways = world->ways != 0 ? world->ways
                                                           : BY_COPY | BY_CLAIM | BY_BATCH,
                                  .longest = 60,
                                  .wait = park};
    publisher_create(&publisher, &options);
    if (!race_goes_on())
        return;
    publisher_await(&publisher, world->required);
    publisher_go(&publisher, world->messages);
    if (race_goes_on() && shmbus_producer_flush(publisher.producer, race_guard()) < 0)
        race_fail("flush: %s", shmbus_error_text());
    publisher_close(&publisher);
}

static void read_parked(void *context)
{
    const uint32_t *kind = context;
    struct reader reader = {.options = {.kind = *kind, .wait = park},
                            .keeps = *kind == SHMBUS_REQUIRED ? 2 : 0};
    if (reader_open(&reader) < 0)
        race_fail("open: %s", shmbus_error_text());
    else
        reader_go(&reader, UINT64_MAX);
    reader_close(&reader);
}

static void run_parked(uint32_t flags, uint64_t messages)
{
    uint32_t required = SHMBUS_REQUIRED;
    uint32_t optional = SHMBUS_OPTIONAL;
    struct wait_world world = {RACE_BUS, flags, messages, 2, 0};
    race_run((struct race_thread[]){{publish, &world},
                                    {read_parked, &required},
                                    {read_parked, &required},
                                    {read_parked, &optional}},
             4);
}

static void parked(void)
{
    run_parked(0, 3000);
}

static void refused(void)
{
    share_signal(SHARE_REFUSED, 1);
    run_parked(0, 3000);
}

static void no_park(void)
{
    run_parked(SHMBUS_BUS_NO_PARK, 800);
}

/* ---- a descriptor ---- */

static void read_by_descriptor(void *context)
{
    struct reader reader = {.options = {.kind = SHMBUS_REQUIRED}};
    struct pollfd watched = {.events = POLLIN};
    int result = 0;
    (void)context;
    if (reader_open(&reader) < 0 || shmbus_consumer_fd(reader.consumer, &watched.fd) < 0)
        race_fail("open: %s", shmbus_error_text());
    while (race_goes_on() && result >= 0) {
        struct shmbus_message message;
        result = shmbus_consumer_next(reader.consumer, &message);
        if (result > 0)
            reader_take(&reader, &message);
        else if (result == 0)
            poll(&watched, 1, 1000);
    }
    race_count(reader.received);
    reader_close(&reader);
}

static void by_descriptor(void)
{
    struct wait_world world = {RACE_BUS, 0, 2000, 2, 0};
    race_run((struct race_thread[]){{publish, &world},
                                    {read_by_descriptor, NULL},
                                    {read_by_descriptor, NULL}},
             3);
}

/* ---- a selector ---- */

static void select_all(struct shmbus_selector *selector, struct reader *readers)
{
    for (uint32_t ended = 0; race_goes_on() && ended < 2;) {
        struct shmbus_selected selected;
        int result = shmbus_selector_next(selector, &selected);
        if (result == 0)
            result = shmbus_selector_wait(selector, race_guard());
        else if (result > 0 && selected.result == 0)
            reader_take(selected.context, &selected.message);
        else if (result > 0)
            ended++;
        if (result < 0)
            race_fail("select: %d: %s", result, shmbus_error_text());
    }
    race_count(readers[0].received + readers[1].received);
}

static void read_selected(void *context)
{
    struct shmbus_selector_options options = {.struct_bytes = sizeof options, .wait = park};
    struct reader readers[2] = {{.bus = RACE_BUS, .options = {.kind = SHMBUS_REQUIRED}},
                                {.bus = OTHER_BUS, .options = {.kind = SHMBUS_REQUIRED}}};
    struct shmbus_selector *selector = NULL;
    (void)context;
    if (shmbus_selector_open(&options, &selector) < 0)
        race_fail("selector: %s", shmbus_error_text());
    for (int i = 0; i < 2 && race_goes_on(); i++)
        if (reader_open(&readers[i]) < 0 ||
            shmbus_selector_add(selector, readers[i].consumer, &readers[i]) < 0)
            race_fail("add: %s", shmbus_error_text());
    if (race_goes_on())
        select_all(selector, readers);
    shmbus_selector_close(selector);
    for (int i = 0; i < 2; i++)
        reader_close(&readers[i]);
}

static void by_selector(void)
{
    struct wait_world one = {RACE_BUS, 0, 1500, 1, 0};
    struct wait_world other = {OTHER_BUS, 0, 1500, 1, 0};
    race_run((struct race_thread[]){{publish, &one}, {publish, &other}, {read_selected, NULL}}, 3);
    shmbus_unlink(OTHER_BUS, NULL);
}

/* ---- pipelines ---- */

#define PLACES 16 /* as many as the ring has slots */

/* What each one of a pipeline leaves for the next, in plain memory of theirs. */
static uint64_t left_by_first[PLACES];
static uint64_t left_by_second[PLACES];

struct stage {
    const char *name;
    const char *after[2];
    uint32_t after_count;
    const uint64_t *reads[2];
    uint64_t *leaves;
};

static void pass(void *context, const struct shmbus_message *message)
{
    const struct stage *stage = context;
    uint64_t at = message->sequence % PLACES;
    for (int i = 0; i < 2; i++)
        if (stage->reads[i] != NULL && stage->reads[i][at] != message->sequence + 1)
            race_fail("%s got %llu before another had passed it", stage->name,
                      (unsigned long long)message->sequence);
    if (stage->leaves != NULL)
        stage->leaves[at] = message->sequence + 1;
}

static void be_stage(void *context)
{
    struct stage *stage = context;
    struct reader reader = {.options = {.kind = SHMBUS_REQUIRED,
                                        .name = stage->name,
                                        .after = stage->after,
                                        .after_count = stage->after_count,
                                        .wait = park},
                            .on_message = pass,
                            .context = stage};
    if (reader_open(&reader) < 0)
        race_fail("join: %s", shmbus_error_text());
    else if (reader_go(&reader, UINT64_MAX) != -EPIPE && race_goes_on())
        race_fail("it ended: %s", shmbus_error_text());
    reader_close(&reader);
}

static void pipeline(void)
{
    struct stage first = {"first", {NULL}, 0, {NULL}, left_by_first};
    struct stage second = {"second", {"first"}, 1, {left_by_first}, left_by_second};
    struct stage third = {"third", {"first", "second"}, 2, {left_by_first, left_by_second}, NULL};
    struct wait_world world = {RACE_BUS, 0, 3000, 3, BY_COPY | BY_BATCH | BY_SKIP};
    race_run(
        (struct race_thread[]){
            {publish, &world}, {be_stage, &first}, {be_stage, &second}, {be_stage, &third}},
        4);
}

#define COMERS 3

/* Joins behind a neighbour, whose place in the circle may make that impossible. */
static void come_and_go(void *context)
{
    static const char *const names[COMERS] = {"a", "b", "c"};
    uint32_t number = *(const uint32_t *)context;
    const char *const after[] = {names[(number + 1) % COMERS]};
    for (int i = 0; i < 12 && race_goes_on(); i++) {
        struct reader reader = {.options = {.kind = SHMBUS_REQUIRED,
                                            .name = names[number],
                                            .after = after,
                                            .after_count = 1,
                                            .after_gone = SHMBUS_AFTER_GO_ON,
                                            .wait = park}};
        int result = reader_open(&reader);
        if (result == -ELOOP)
            continue;
        if (result < 0)
            race_fail("join: %s", shmbus_error_text());
        else
            reader_go(&reader, 1 + race_random(&reader.random) % 20);
        if (race_goes_on() && race_random(&reader.random) % 3 == 0)
            share_die();
        else
            reader_close(&reader);
    }
    share_add(ENDED, 1);
}

static void publish_to_comers(void *context)
{
    const struct shmbus_bus_options options = {
        .struct_bytes = sizeof options, .capacity = 16, .max_consumers = 6};
    struct publisher publisher = {.wait = park};
    (void)context;
    publisher_create(&publisher, &options);
    while (race_goes_on() && share_signalled(ENDED) < COMERS)
        publisher_go(&publisher, 16);
    if (publisher.producer != NULL)
        publisher_close(&publisher);
}

static void pipelines_change(void)
{
    uint32_t numbers[COMERS] = {0, 1, 2};
    race_run((struct race_thread[]){{publish_to_comers, NULL},
                                    {come_and_go, &numbers[0]},
                                    {come_and_go, &numbers[1]},
                                    {come_and_go, &numbers[2]}},
             4);
}

const struct scenario race_wait[] = {
    {"wait_parked", 1, parked},
    {"wait_refused", 1, refused},
    {"wait_no_park", 1, no_park},
    {"wait_by_descriptor", 1, by_descriptor},
    {"wait_by_selector", 1, by_selector},
    {"pipeline", 1, pipeline},
    {"pipeline_changes", 1, pipelines_change},
    {0},
};
