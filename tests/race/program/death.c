/* SPDX-License-Identifier: MIT */
/* Those that die without a word, and those that go on in their place. */
#include "race.h"

#include <errno.h>

#define TURN   0 /* whose turn it is */
#define ENDED  1 /* how many have ended for good */
#define PLACE  2 /* where the last one left off */
#define TAKERS 4

static const struct shmbus_bus_options pooled = {
    .struct_bytes = sizeof(struct shmbus_bus_options),
    .capacity = 32,
    .max_consumers = 6,
    .class_count = 1,
    .classes = {{512, 40}},
};

/* ---- consumers that die ---- */

#define MORTALS 3
#define LIVES   14

/* Holds what it held, wherever it was. */
static void mortal(void *context)
{
    const uint32_t *kind = context;
    for (uint32_t life = 0; life < LIVES && race_goes_on(); life++) {
        struct reader reader = {.options = {.kind = *kind}, .keeps = 5};
        struct shmbus_message message;
        if (reader_open(&reader) < 0)
            race_fail("join: %s", shmbus_error_text());
        else
            reader_go(&reader, 1 + race_random(&reader.random) % 60);
        if (race_goes_on() && race_random(&reader.random) % 2 == 0)
            shmbus_consumer_next(reader.consumer, &message);
        share_die();
    }
    share_add(ENDED, 1);
}

static void publish(void *context)
{
    struct publisher publisher = {.ways = BY_COPY | BY_CLAIM, .longest = 400};
    (void)context;
    publisher_create(&publisher, &pooled);
    while (race_goes_on() && share_signalled(ENDED) < MORTALS)
        publisher_go(&publisher, 32);
    if (publisher.producer != NULL)
        publisher_close(&publisher);
}

/* Repairs what it finds, beside the producer and those that join, until so many have ended. */
static void reap(void *context)
{
    const uint64_t *until = context;
    while (race_goes_on() && share_signalled(ENDED) < *until) {
        int result = shmbus_reap(RACE_BUS, NULL);
        if (result < 0 && result != -ENOENT)
            race_fail("reap: %s", shmbus_error_text());
    }
}

static void consumers_die(void)
{
    uint32_t required = SHMBUS_REQUIRED;
    uint32_t optional = SHMBUS_OPTIONAL;
    uint64_t until = MORTALS;
    race_run((struct race_thread[]){{publish, NULL},
                                    {mortal, &required},
                                    {mortal, &required},
                                    {mortal, &optional},
                                    {reap, &until}},
             5);
}

/* ---- a place that is kept ---- */

#define RESUMES 24

/* In turn with the others: nothing but the place itself orders them. */
static void resume(void *context)
{
    uint64_t number = *(const uint64_t *)context;
    for (uint64_t turn = number; turn < RESUMES && race_goes_on(); turn += TAKERS) {
        struct reader reader = {
            .options = {.kind = SHMBUS_REQUIRED, .name = "keeper", .grace_ns = race_guard()},
            .keeps = 3};
        race_await(TURN, turn);
        if (!race_goes_on())
            break;
        int result;
        /* One that repairs the place may have lost its processor for longer than is waited for. */
        do {
            result = reader_open(&reader);
        } while (result == -EBUSY && race_goes_on());
        if (result < 0) {
            race_fail("resume: %s", shmbus_error_text());
            break;
        }
        if (turn > 0 && (reader.begun.resumed != 1 || reader.begun.cursor > share_signalled(PLACE)))
            race_fail("resumed at %llu, not at %llu", (unsigned long long)reader.begun.cursor,
                      (unsigned long long)share_signalled(PLACE));
        reader_go(&reader, 1 + race_random(&reader.random) % 40);
        share_signal(PLACE, reader.expected);
        share_die();
        share_signal(TURN, turn + 1);
    }
    share_add(ENDED, 1);
}

static void publish_to_keeper(void *context)
{
    struct publisher publisher = {.longest = 400};
    (void)context;
    publisher_create(&publisher, &pooled);
    while (race_goes_on() && share_signalled(ENDED) < TAKERS) {
        uint64_t lag;
        /* Nobody gates it any more when the last one's grace would be waited for. */
        if (shmbus_producer_required(publisher.producer, &lag) == 0 || lag < 24)
            publisher_go(&publisher, 1);
    }
    if (publisher.producer != NULL)
        publisher_close(&publisher);
}

static void places_are_kept(void)
{
    uint64_t numbers[TAKERS] = {0, 1, 2, 3};
    uint64_t until = TAKERS;
    struct race_thread threads[2 + TAKERS] = {{publish_to_keeper, NULL}, {reap, &until}};
    for (uint32_t i = 0; i < TAKERS; i++)
        threads[2 + i] = (struct race_thread){resume, &numbers[i]};
    race_run(threads, 2 + TAKERS);
}

/* ---- producers that take over ---- */

#define TAKEOVERS 20

struct taker {
    uint64_t number;
    uint32_t dies;
};

/* A claim is open, and a part of its payload written. */
static void die_in_the_middle(struct publisher *publisher)
{
    struct shmbus_claim claim;
    uint32_t length = race_random(&publisher->random) % 2 == 0 ? 24 : 400;
    if (shmbus_producer_claim(publisher->producer, length, &claim) == 0)
        race_fill(claim.data, length / 2, 1);
    share_die();
}

static void take_over(void *context)
{
    const struct taker *taker = context;
    for (uint64_t turn = taker->number; turn < TAKEOVERS && race_goes_on(); turn += TAKERS) {
        struct publisher publisher = {.ways = BY_COPY | BY_BATCH | BY_CLAIM, .longest = 400};
        race_await(TURN, turn);
        if (!race_goes_on())
            break;
        publisher_create(&publisher, &pooled);
        if (!race_goes_on())
            break;
        publisher_await(&publisher, 2);
        publisher_go(&publisher, 1 + race_random(&publisher.random) % 150);
        if (taker->dies)
            die_in_the_middle(&publisher);
        else
            publisher_close(&publisher);
        share_signal(TURN, turn + 1);
    }
}

/* Reads on through all of them. */
static void stay(void *context)
{
    const uint32_t *kind = context;
    struct reader reader = {.options = {.kind = *kind}, .keeps = *kind == SHMBUS_REQUIRED ? 3 : 0};
    if (reader_open(&reader) < 0)
        race_fail("join: %s", shmbus_error_text());
    while (race_goes_on()) {
        uint64_t turn = share_signalled(TURN);
        int result = reader_go(&reader, UINT64_MAX);
        if (result != -EPIPE && result != -EOWNERDEAD && race_goes_on())
            race_fail("it ended: %d: %s", result, shmbus_error_text());
        if (turn == TAKEOVERS)
            break;
    }
    reader_close(&reader);
}

static void takeovers(uint32_t dies)
{
    uint32_t required = SHMBUS_REQUIRED;
    uint32_t optional = SHMBUS_OPTIONAL;
    struct taker takers[TAKERS];
    struct race_thread threads[TAKERS + 3] = {
        {stay, &required}, {stay, &required}, {stay, &optional}};
    for (uint32_t i = 0; i < TAKERS; i++) {
        takers[i] = (struct taker){i, dies};
        threads[3 + i] = (struct race_thread){take_over, &takers[i]};
    }
    race_run(threads, TAKERS + 3);
}

static void taken_over(void)
{
    takeovers(0);
}

static void producers_die(void)
{
    takeovers(1);
}

/* ---- a bus that is replaced ---- */

#define REPLACES 12

static void replace(void *context)
{
    uint64_t number = *(const uint64_t *)context;
    for (uint64_t turn = number; turn < REPLACES && race_goes_on(); turn += TAKERS) {
        struct publisher publisher = {.longest = 24};
        struct shmbus_bus_options options = pooled;
        options.flags = SHMBUS_BUS_REPLACE;
        options.capacity = turn % 2 == 0 ? 64 : 32;
        race_await(TURN, turn);
        if (race_goes_on())
            publisher_create(&publisher, &options);
        if (!race_goes_on())
            break;
        publisher_await(&publisher, 1);
        publisher_go(&publisher, 100);
        publisher_close(&publisher);
        share_signal(TURN, turn + 1);
    }
}

/* Reads one bus to its end, and opens the next. */
static void follow(void *context)
{
    (void)context;
    for (int result = 0; race_goes_on() && result != -ENOENT;) {
        struct reader reader = {.options = {.kind = SHMBUS_REQUIRED}};
        uint64_t turn = 0;
        result = reader_open(&reader);
        if (result == -ESTALE)
            continue;
        if (result < 0)
            race_fail("open: %s", shmbus_error_text());
        while (race_goes_on() && result != -ESTALE && turn < REPLACES) {
            turn = share_signalled(TURN);
            result = reader_go(&reader, UINT64_MAX);
        }
        shmbus_consumer_close(reader.consumer);
        if (turn == REPLACES)
            return;
    }
}

static void replaced(void)
{
    uint64_t numbers[TAKERS] = {0, 1, 2, 3};
    struct race_thread threads[1 + TAKERS] = {{follow, NULL}};
    for (uint32_t i = 0; i < TAKERS; i++)
        threads[1 + i] = (struct race_thread){replace, &numbers[i]};
    race_run(threads, 1 + TAKERS);
}

const struct scenario race_death[] = {
    {"death_of_consumers", 1, consumers_die},
    {"death_with_grace", 1, places_are_kept},
    {"death_of_producers", 1, producers_die},
    {"taken_over", 1, taken_over},
    {"replaced", 1, replaced},
    {0},
};
