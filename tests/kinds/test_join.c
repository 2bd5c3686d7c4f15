/* SPDX-License-Identifier: MIT */
/*
 * Where consumers begin: at the tail, at the oldest, at a sequence, while the producer runs at full
 * speed; and what history keeps for those that come late.
 */
#include "crowd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define KINDS 3
#define JOINS 600

static const uint64_t firsts[] = {1000, (UINT64_C(1) << 56) - 30};

static int join_at(struct watch *watch, uint32_t kind, uint64_t sequence, uint32_t flags)
{
    struct shmbus_consumer_options options = watch_options(kind, SHMBUS_FROM_SEQUENCE);
    options.from_sequence = sequence;
    options.flags = flags;
    return watch_try(watch, &options);
}

/* Begins there, misses nothing of what is there, and leaves. */
static void reads_from(struct watch *watch, uint64_t from, uint64_t tail)
{
    ck_assert_uint_eq(watch->from, from);
    ck_assert_int_eq(watch_drain(watch), 0);
    ck_assert_uint_eq(watch->next, tail);
    ck_assert_uint_eq(watch->event_count, 0);
    watch_end(watch);
}

static void refused(uint32_t kind, uint64_t sequence, uint64_t oldest, uint64_t tail,
                    uint32_t flags)
{
    struct watch watch;
    char text[64];
    ck_assert_int_eq(join_at(&watch, kind, sequence, flags), -ERANGE);
    snprintf(text, sizeof text, "sequence %" PRIu64 " ", sequence);
    ck_assert_msg(support_says(text), "%s", shmbus_error_text());
    snprintf(text, sizeof text, "oldest is %" PRIu64 ", the next %" PRIu64, oldest, tail);
    ck_assert_msg(support_says(text), "%s", shmbus_error_text());
}

START_TEST(every_place)
{
    struct shmbus_bus_options bus = crowd_bus();
    bus.first_sequence = firsts[_i % 2];
    uint32_t kind = (uint32_t)_i / 2;
    struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, NULL);
    for (int i = 0; i < 16; i++) {
        struct watch watch;
        uint64_t tail = shmbus_producer_next_sequence(producer);
        uint64_t oldest = crowd_floor();
        watch_join(&watch, kind, SHMBUS_FROM_TAIL);
        reads_from(&watch, tail, tail);
        watch_join(&watch, kind, SHMBUS_FROM_OLDEST);
        reads_from(&watch, oldest, tail);
        for (uint64_t sequence = oldest; sequence <= tail; sequence += 1 + (tail - oldest) / 5) {
            ck_assert_int_eq(join_at(&watch, kind, sequence, 0), 0);
            reads_from(&watch, sequence, tail);
        }
        uint64_t old[] = {oldest - 1, oldest - 20, 0};
        for (int j = 0; j < 3; j++) {
            refused(kind, old[j], oldest, tail, 0);
            ck_assert_int_eq(join_at(&watch, kind, old[j], SHMBUS_JOIN_MOVE_UP), 0);
            reads_from(&watch, oldest, tail);
        }
        refused(kind, tail + 1, oldest, tail, 0);
        refused(kind, tail + 1, oldest, tail, SHMBUS_JOIN_MOVE_UP);
        refused(kind, UINT64_MAX, oldest, tail, 0);
        /* Who was refused left nothing behind. */
        ck_assert_int_eq(shmbus_producer_required(producer, NULL), 0);
        ck_assert_int_eq(crowd_publish(producer, 13), 0);
    }
    shmbus_producer_close(producer);
}
END_TEST

/* At full speed until it is told to stop. */
static void publish_until_told(int line, void *context)
{
    struct shmbus_bus_options bus = crowd_bus();
    struct shmbus_producer_options options = {.struct_bytes = sizeof options,
                                              .full_timeout_ns = GUARD_NS};
    uint64_t skips = *(const uint64_t *)context;
    bus.first_sequence = firsts[1] - 10000;
    bus.history = skips % 2 == 0 ? 24 : 0;
    struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, &options);
    child_tell(line, 1);
    while (!child_has_said(line)) {
        int result = crowd_publish(producer, 50);
        ck_assert_msg(result == 0, "%d: %s", result, shmbus_error_text());
        if (support_below(&skips, 4) == 0)
            ck_assert_int_eq(shmbus_producer_skip(producer, support_below(&skips, 100)), 0);
    }
    shmbus_producer_close(producer);
}

/* A sequence that is near what is there now: before it, on it, or beyond. */
static uint64_t near_now(uint64_t *random)
{
    struct shmbus_snapshot *snapshot = support_look(CROWD_BUS);
    uint64_t tail = shmbus_snapshot_bus(snapshot)->tail;
    shmbus_snapshot_close(snapshot);
    return tail + support_below(random, 30) - support_below(random, 120);
}

static uint32_t join_somewhere(struct watch *watch, uint64_t *random)
{
    uint32_t from = (uint32_t)support_below(random, 3);
    struct shmbus_consumer_options options =
        watch_options((uint32_t)support_below(random, KINDS), from);
    if (from == SHMBUS_FROM_SEQUENCE)
        options.from_sequence = near_now(random);
    if (support_below(random, 2))
        options.flags = SHMBUS_JOIN_MOVE_UP;
    int result = watch_try(watch, &options);
    ck_assert_msg(result == 0 || (result == -ERANGE && from == SHMBUS_FROM_SEQUENCE), "%d: %s",
                  result, shmbus_error_text());
    if (result < 0)
        return 0;
    if (from == SHMBUS_FROM_SEQUENCE)
        ck_assert_uint_ge(watch->from, options.from_sequence);
    if (from == SHMBUS_FROM_SEQUENCE && !(options.flags & SHMBUS_JOIN_MOVE_UP))
        ck_assert_uint_le(watch->from, options.from_sequence + 100); /* past a range at most */
    return 1;
}

/* Many join and leave; each sees every sequence after its join once. */
START_TEST(joins_and_leaves_at_full_speed)
{
    uint64_t seed = support_seed("joins_and_leaves_at_full_speed");
    uint64_t random = seed;
    uint64_t joined = 0;
    struct watch others[3];
    struct child child = child_start(publish_until_told, &seed);
    child_hear(child.line);
    for (int i = 0; i < 3; i++)
        watch_join(&others[i], (uint32_t)i, SHMBUS_FROM_TAIL);
    for (int i = 0; i < JOINS; i++) {
        struct watch watch;
        if (join_somewhere(&watch, &random)) {
            uint64_t rounds = support_below(&random, 6);
            for (uint64_t j = 0; j < rounds; j++)
                ck_assert_int_ge(shmbus_consumer_poll(watch.consumer, watch_message, &watch,
                                                      1 + (uint32_t)support_below(&random, 40)),
                                 0);
            watch_end(&watch);
            joined++;
        }
        for (int j = 0; j < 3; j++)
            ck_assert_int_ge(
                shmbus_consumer_poll(others[j].consumer, watch_message, &others[j], 100), 0);
    }
    child_tell(child.line, 1);
    int ended;
    do {
        ended = 0;
        for (int j = 0; j < 3; j++)
            ended += watch_drain(&others[j]) == -EPIPE;
    } while (ended < 3);
    ck_assert_uint_ge(joined, JOINS / 3);
    ck_assert_uint_eq(others[0].next, others[1].next);
    ck_assert_uint_eq(others[2].next, others[1].next);
    for (int j = 0; j < 3; j++)
        watch_end(&others[j]);
    child_end(&child);
}
END_TEST

/* The last K are there for whoever comes late, with their payloads, and no more are promised. */
START_TEST(history_is_kept)
{
    static const uint64_t kept[] = {0, 1, 5, 16, 48, 60, 63};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        struct shmbus_bus_options bus = crowd_bus();
        bus.history = kept[i];
        bus.first_sequence = firsts[_i];
        bus.classes[0].slab_count = bus.classes[1].slab_count = 65;
        struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, NULL);
        for (int j = 0; j < 400; j++) {
            uint64_t tail = shmbus_producer_next_sequence(producer);
            uint64_t past = tail - bus.first_sequence;
            uint64_t floor = crowd_floor();
            ck_assert_uint_le(floor, tail - (past < kept[i] ? past : kept[i]));
            struct watch late;
            watch_join(&late, (uint32_t)j % KINDS, SHMBUS_FROM_OLDEST);
            reads_from(&late, floor, tail);
            ck_assert_int_eq(crowd_publish(producer, 1), 0);
        }
        ck_assert_uint_eq(crowd_producer().history_yielded, 0);
        struct shmbus_snapshot *snapshot = support_look(CROWD_BUS);
        ck_assert_uint_eq(shmbus_snapshot_bus(snapshot)->history, kept[i]);
        shmbus_snapshot_close(snapshot);
        shmbus_producer_close(producer);
    }
}
END_TEST

/* A pool that is too small for it has its way, and that is counted; what is left is whole. */
START_TEST(history_yields_to_the_pool)
{
    struct shmbus_bus_options bus = crowd_bus();
    unsigned char payload[128];
    bus.history = 48;
    struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, NULL);
    for (uint64_t i = 0; i < 16; i++)
        ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, payload, sizeof payload), 0);
    ck_assert_uint_eq(crowd_producer().history_yielded, 0);
    uint64_t yielded = 0;
    for (int i = 0; i < 300; i++) {
        struct watch late;
        ck_assert_int_eq(crowd_publish(producer, 30), 0);
        watch_join(&late, (uint32_t)i % KINDS, SHMBUS_FROM_OLDEST);
        uint64_t read = late.from;
        ck_assert_uint_eq(read, crowd_floor());
        if (i > 0) /* the first ones are not of crowd_publish() */
            ck_assert_int_eq(watch_drain(&late), 0);
        shmbus_consumer_close(late.consumer);
        ck_assert_uint_ge(crowd_producer().history_yielded, yielded);
        yielded = crowd_producer().history_yielded;
    }
    for (uint64_t i = 0; i < 17; i++)
        ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, payload, sizeof payload), 0);
    ck_assert_uint_gt(crowd_producer().history_yielded, 0);
    ck_assert_uint_eq(crowd_producer().exhausted, 0);
    shmbus_producer_close(producer);
}
END_TEST

/* It is no reason to wait: a batch of a whole ring goes out at once. */
START_TEST(history_yields_to_a_batch)
{
    struct shmbus_bus_options bus = crowd_bus();
    struct shmbus_outgoing batch[CROWD_CAPACITY] = {{0}};
    bus.history = 63;
    struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, NULL);
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(shmbus_producer_publish_batch(producer, batch, CROWD_CAPACITY),
                         CROWD_CAPACITY);
        ck_assert_uint_le(crowd_floor(), shmbus_producer_next_sequence(producer) - 63);
    }
    ck_assert_uint_eq(crowd_producer().blocked, 0);
    shmbus_producer_close(producer);
    bus.history = CROWD_CAPACITY;
    ck_assert_int_eq(shmbus_producer_create("other", &bus, NULL, &producer), -EINVAL);
    ck_assert(support_says("history"));
}
END_TEST

/* Kept across a takeover too. */
START_TEST(history_outlives_its_producer)
{
    struct shmbus_bus_options bus = crowd_bus();
    bus.history = 40;
    bus.classes[0].slab_count = bus.classes[1].slab_count = 65;
    struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, NULL);
    for (int i = 0; i < 100; i++) {
        struct watch late;
        ck_assert_int_eq(crowd_publish(producer, 41 + (uint64_t)i), 0);
        uint64_t floor = crowd_floor();
        shmbus_producer_close(producer);
        ck_assert_int_eq(shmbus_producer_open(CROWD_BUS, NULL, NULL, 0, &producer), 0);
        uint64_t tail = shmbus_producer_next_sequence(producer);
        ck_assert_uint_eq(crowd_floor(), floor);
        ck_assert_uint_le(floor, tail - 40);
        watch_join(&late, SHMBUS_REQUIRED, SHMBUS_FROM_OLDEST);
        reads_from(&late, floor, tail);
    }
    shmbus_producer_close(producer);
}
END_TEST

Suite *join_suite(void);
Suite *join_suite(void)
{
    Suite *suite = suite_create("kinds_join");
    TCase *tcase = support_case(suite, "join", 120);
    tcase_add_loop_test(tcase, every_place, 0, 2 * KINDS);
    tcase_add_loop_test(tcase, joins_and_leaves_at_full_speed, 0, 3);
    tcase_add_loop_test(tcase, history_is_kept, 0, 2);
    tcase_add_test(tcase, history_yields_to_the_pool);
    tcase_add_test(tcase, history_yields_to_a_batch);
    tcase_add_test(tcase, history_outlives_its_producer);
    return suite;
}

int main(void)
{
    return support_run(join_suite());
}
