/* SPDX-License-Identifier: MIT */
/*
 * Skipped ranges across a death: a producer that left a range out is killed, another takes over,
 * and nobody misses a message or is told twice. And where joiners and floors may stand in ranges.
 */
#include "crowd.h"

#include "producer/producer.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static const uint64_t counts[] = {
    1,          CROWD_CAPACITY / 4, CROWD_CAPACITY / 4 + 1, CROWD_CAPACITY - 1, CROWD_CAPACITY,
    1000000000, SHMBUS_SKIP_MAX};
#define COUNTS (sizeof counts / sizeof counts[0])

static const uint64_t firsts[] = {7, (UINT64_C(1) << 56) - 40};

#define KINDS 3

struct scene {
    uint64_t first;
    uint64_t count;
    uint32_t before; /* messages */
    uint32_t read;   /* 1: all of it is read before the kill */
};

/* A producer that publishes, skips, and waits to be killed. */
static void publish_and_skip(int line, void *context)
{
    const struct scene *scene = context;
    struct shmbus_bus_options bus = crowd_bus();
    bus.first_sequence = scene->first;
    struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, NULL);
    child_tell(line, 1);
    child_hear(line);
    ck_assert_int_eq(crowd_publish(producer, scene->before), 0);
    ck_assert_int_eq(shmbus_producer_skip(producer, scene->count), 0);
    child_tell(line, 2);
    child_hear(line);
}

static void try_scene(struct scene scene)
{
    struct child child = child_start(publish_and_skip, &scene);
    struct watch watches[KINDS];
    struct shmbus_producer *producer;
    uint64_t end = scene.first + scene.before + scene.count;
    child_hear(child.line);
    for (uint32_t kind = 0; kind < KINDS; kind++)
        watch_join(&watches[kind], kind, SHMBUS_FROM_TAIL);
    child_tell(child.line, 1);
    child_hear(child.line);
    for (uint32_t kind = 0; scene.read && kind < KINDS; kind++)
        ck_assert_int_eq(watch_drain(&watches[kind]), 0);
    child_kill(&child);
    ck_assert_int_eq(shmbus_producer_open(CROWD_BUS, NULL, NULL, 0, &producer), 0);
    ck_assert_uint_eq(shmbus_producer_next_sequence(producer), end);
    for (uint32_t kind = 0; kind < KINDS; kind++)
        ck_assert_int_eq(watch_drain(&watches[kind]), 0);
    ck_assert_int_eq(crowd_publish(producer, 5), 0);
    for (uint32_t kind = 0; kind < KINDS; kind++) {
        struct watch *watch = &watches[kind];
        ck_assert_int_eq(watch_drain(watch), 0);
        ck_assert_uint_eq(watch->received, scene.before + 5);
        ck_assert_uint_eq(watch->event_count, 1);
        watch_expect(watch, 0, SHMBUS_EVENT_LOST, end - scene.count, scene.count);
        watch_end(watch);
    }
    shmbus_producer_close(producer);
}

START_TEST(a_range_outlives_its_producer)
{
    for (size_t i = 0; i < COUNTS; i++)
        for (uint32_t before = 0; before < 14; before += 6)
            for (uint32_t read = 0; read < 2; read++)
                try_scene((struct scene){firsts[_i], counts[i], before, read});
}
END_TEST

/* Where a sequence leads to: in a short range it is lost from there on, in a long one it is past.
 */
START_TEST(joining_inside_a_range)
{
    for (size_t i = 0; i < COUNTS; i++)
        for (uint32_t kind = 0; kind < KINDS; kind++) {
            struct shmbus_bus_options bus = crowd_bus();
            bus.first_sequence = firsts[_i];
            struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, NULL);
            ck_assert_int_eq(crowd_publish(producer, 5), 0);
            uint64_t begin = shmbus_producer_next_sequence(producer);
            uint64_t count = counts[i];
            ck_assert_int_eq(shmbus_producer_skip(producer, count), 0);
            uint64_t offsets[] = {0, 1, count / 2, count - 1, count};
            for (size_t j = 0; j < 5; j++) {
                struct shmbus_consumer_options options = watch_options(kind, SHMBUS_FROM_SEQUENCE);
                struct watch watch;
                options.from_sequence = begin + offsets[j];
                ck_assert_int_eq(watch_try(&watch, &options), 0);
                ck_assert_int_eq(watch_drain(&watch), 0);
                ck_assert_uint_eq(watch.next, begin + count);
                int is_in = count <= CROWD_CAPACITY / 4 || offsets[j] == 0;
                ck_assert_uint_eq(watch.lost, is_in ? count - offsets[j] : 0);
                watch_end(&watch);
            }
            ck_assert_int_eq(crowd_publish(producer, 100), 0);
            shmbus_producer_close(producer);
        }
}
END_TEST

/* Whatever the floor is raised for, it is never within a long range, and whoever begins there is
 * not stuck. */
START_TEST(no_floor_inside_a_long_range)
{
    uint64_t seed = support_seed("no_floor_inside_a_long_range");
    struct shmbus_bus_options bus = crowd_bus();
    bus.first_sequence = firsts[_i];
    bus.history = _i == 0 ? 20 : 0;
    struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, NULL);
    for (int i = 0; i < 300; i++) {
        uint64_t count = counts[support_below(&seed, COUNTS - 1)];
        struct watch late;
        ck_assert_int_eq(crowd_publish(producer, support_below(&seed, 90)), 0);
        uint64_t begin = shmbus_producer_next_sequence(producer);
        ck_assert_int_eq(shmbus_producer_skip(producer, count), 0);
        for (int j = 0; j < 3; j++) {
            struct shmbus_slab slabs[16];
            uint32_t slab_count = 1 + (uint32_t)support_below(&seed, 16);
            /* Slabs too are what a floor is raised for. */
            ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 128, slab_count, slabs), 0);
            for (uint32_t k = 0; k < slab_count; k++)
                ck_assert_int_eq(shmbus_producer_slab_release(producer, slabs[k].handle), 0);
            uint64_t floor = crowd_floor();
            if (count > CROWD_CAPACITY / 4)
                ck_assert(floor <= begin || floor >= begin + count);
            watch_join(&late, (uint32_t)support_below(&seed, KINDS), SHMBUS_FROM_OLDEST);
            ck_assert_uint_eq(late.from, floor);
            ck_assert_int_eq(watch_drain(&late), 0);
            ck_assert_uint_eq(late.next, shmbus_producer_next_sequence(producer));
            watch_end(&late);
            ck_assert_int_eq(crowd_publish(producer, support_below(&seed, 30)), 0);
        }
    }
    shmbus_producer_close(producer);
}
END_TEST

/* A required consumer before the range holds the floor there, across a takeover too. */
START_TEST(a_floor_is_held_before_a_range)
{
    struct shmbus_bus_options bus = crowd_bus();
    bus.first_sequence = firsts[_i];
    struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, NULL);
    struct watch watch;
    watch_join(&watch, SHMBUS_REQUIRED, SHMBUS_FROM_TAIL);
    ck_assert_int_eq(crowd_publish(producer, 3), 0);
    ck_assert_int_eq(shmbus_producer_skip(producer, 1000), 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(crowd_publish(producer, 1), -EAGAIN);
        ck_assert_int_eq(shmbus_producer_skip(producer, 1), -EAGAIN);
        ck_assert_int_eq(shmbus_producer_skip(producer, 1000), -EAGAIN);
        ck_assert_uint_eq(crowd_floor(), firsts[_i]);
        shmbus_producer_close(producer);
        ck_assert_int_eq(shmbus_producer_open(CROWD_BUS, NULL, NULL, 0, &producer), 0);
    }
    ck_assert_int_eq(watch_drain(&watch), 0);
    ck_assert_uint_eq(watch.received, 3);
    ck_assert_uint_eq(watch.lost, 1000);
    ck_assert_int_eq(crowd_publish(producer, 20), 0);
    ck_assert_int_eq(watch_drain(&watch), 0);
    watch_end(&watch);
    shmbus_producer_close(producer);
}
END_TEST

/* A batch that was being written over what an optional reader had still to read. */
static void write_half_a_batch(int line, void *context)
{
    (void)context;
    struct shmbus_bus_options bus = crowd_bus();
    struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, NULL);
    child_tell(line, 1);
    child_hear(line);
    for (int i = 0; i < CROWD_CAPACITY; i++)
        ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, NULL, 0), 0);
    ck_assert_int_eq(producer_make_room(producer), 0);
    for (uint64_t i = 8; i-- > 0;)
        ring_mark(ring_slot(&producer->ring, producer->next + i), producer->next + i,
                  STAMP_WRITING);
    child_tell(line, 2);
    child_hear(line);
}

START_TEST(what_a_takeover_voids_is_lost_and_no_more)
{
    struct child child = child_start(write_half_a_batch, NULL);
    struct shmbus_producer *producer;
    struct shmbus_message message;
    struct watch watch;
    child_hear(child.line);
    watch_join(&watch, _i == 0 ? SHMBUS_OPTIONAL : SHMBUS_OBSERVER, SHMBUS_FROM_TAIL);
    child_tell(child.line, 1);
    child_hear(child.line);
    child_kill(&child);
    ck_assert_int_eq(shmbus_producer_open(CROWD_BUS, NULL, NULL, 0, &producer), 0);
    ck_assert_uint_eq(shmbus_producer_next_sequence(producer), CROWD_CAPACITY);
    uint64_t floor = crowd_floor();
    ck_assert_uint_ge(floor, 8);
    ck_assert_uint_lt(floor, CROWD_CAPACITY);
    for (uint64_t i = floor; i < CROWD_CAPACITY; i++) {
        ck_assert_int_eq(shmbus_consumer_next(watch.consumer, &message), 1);
        ck_assert_uint_eq(message.sequence, i);
    }
    watch_expect(&watch, 0, SHMBUS_EVENT_LOST, 0, floor);
    ck_assert_int_eq(shmbus_consumer_next(watch.consumer, &message), 0);
    shmbus_producer_close(producer);
    ck_assert_int_eq(shmbus_consumer_next(watch.consumer, &message), -EPIPE);
    ck_assert_uint_eq(watch.event_count, 1);
    shmbus_consumer_close(watch.consumer);
}
END_TEST

Suite *takeover_suite(void);
Suite *takeover_suite(void)
{
    Suite *suite = suite_create("kinds_takeover");
    TCase *tcase = support_case(suite, "takeover", 120);
    tcase_add_loop_test(tcase, a_range_outlives_its_producer, 0, 2);
    tcase_add_loop_test(tcase, joining_inside_a_range, 0, 2);
    tcase_add_loop_test(tcase, no_floor_inside_a_long_range, 0, 2);
    tcase_add_loop_test(tcase, a_floor_is_held_before_a_range, 0, 2);
    tcase_add_loop_test(tcase, what_a_takeover_voids_is_lost_and_no_more, 0, 2);
    return suite;
}

int main(void)
{
    return support_run(takeover_suite());
}
