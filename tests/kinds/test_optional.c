/* SPDX-License-Identifier: MIT */
/*
 * Optional consumers: skipped ahead and told exactly what they lost, with whole messages; slabs in
 * place that do not change while they are lent or kept; holds that end at a quota and at a death.
 */
#include "crowd.h"

#include <errno.h>
#include <unistd.h>

#define STOPS 12

static const uint16_t some_types[] = {1, 3};

struct reader {
    uint32_t filters;
    uint64_t seed;
};

static void read_all(int line, void *context)
{
    const struct reader *reader = context;
    struct shmbus_consumer_options options = watch_options(SHMBUS_OPTIONAL, SHMBUS_FROM_TAIL);
    struct watch watch;
    if (reader->filters) {
        options.types = some_types;
        options.type_count = 2;
    }
    ck_assert_int_eq(watch_try(&watch, &options), 0);
    child_tell(line, 1);
    watch_to_the_end(&watch, reader->seed);
    watch_settle(&watch);
    child_tell(line, watch.next);
    child_tell(line, watch.lost);
    child_tell(line, watch.unwanted);
    shmbus_consumer_close(watch.consumer);
}

/* While it is stopped it is lapped for certain; in between as it comes. */
START_TEST(lapped_many_times)
{
    struct shmbus_bus_options bus = crowd_bus();
    struct reader reader = {(uint32_t)_i, support_seed("lapped_many_times")};
    uint64_t random = reader.seed;
    bus.first_sequence = (UINT64_C(1) << 56) - 5000;
    struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, NULL);
    struct child child = child_start(read_all, &reader);
    child_hear(child.line);
    for (int i = 0; i < STOPS; i++) {
        crowd_publish_unevenly(producer, 40000, &random);
        child_stop(&child);
        crowd_publish_unevenly(producer, 5 * CROWD_CAPACITY, &random);
        child_continue(&child);
    }
    uint64_t end = shmbus_producer_next_sequence(producer);
    ck_assert_uint_eq(crowd_producer().blocked, 0);
    shmbus_producer_close(producer);
    ck_assert_uint_eq(child_hear(child.line), end);
    ck_assert_uint_ge(child_hear(child.line), STOPS * 4 * CROWD_CAPACITY);
    uint64_t unwanted = child_hear(child.line);
    ck_assert((unwanted > 0) == (reader.filters > 0));
    child_end(&child);
}
END_TEST

#define LARGE 4000 /* bytes, in a slot: long enough to be caught in the middle of a copy */

static int is_large_one(const struct shmbus_message *message, void *context)
{
    uint64_t *next = context;
    const uint64_t *words = message->data;
    ck_assert_uint_ge(message->sequence, *next);
    *next = message->sequence + 1;
    ck_assert_uint_eq(message->length, LARGE);
    for (size_t i = 0; i < LARGE / 8; i++)
        ck_assert_msg(words[i] == message->sequence, "word %zu of message %llu", i,
                      (unsigned long long)message->sequence);
    return 0;
}

static void read_large_ones(int line, void *context)
{
    struct shmbus_consumer_options options =
        watch_options(*(const uint32_t *)context, SHMBUS_FROM_TAIL);
    struct shmbus_consumer *consumer;
    uint64_t next = 0;
    int result;
    ck_assert_int_eq(shmbus_consumer_open(CROWD_BUS, &options, &consumer), 0);
    child_tell(line, 1);
    do {
        result = shmbus_consumer_poll(consumer, is_large_one, &next, 100);
    } while (result >= 0);
    ck_assert_int_eq(result, -EPIPE);
    shmbus_consumer_close(consumer);
}

/* Payloads in slots that are written over while they are copied, all the time. */
START_TEST(large_slots_at_full_speed)
{
    struct shmbus_bus_options bus = crowd_bus();
    uint32_t kind = _i == 0 ? SHMBUS_OPTIONAL : SHMBUS_OBSERVER;
    uint64_t payload[LARGE / 8];
    bus.capacity = 16;
    bus.slot_bytes = 4096;
    bus.class_count = 0;
    bus.flags = SHMBUS_BUS_NO_POOL;
    struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, NULL);
    struct child child = child_start(read_large_ones, &kind);
    child_hear(child.line);
    for (uint64_t i = 0; i < 100000; i++) {
        for (size_t j = 0; j < LARGE / 8; j++)
            payload[j] = i;
        ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, payload, LARGE), 0);
    }
    shmbus_producer_close(producer);
    child_end(&child);
}
END_TEST

/* Within slack it gets everything; one message further behind it goes to the newest. */
START_TEST(slack_is_exact)
{
    static const uint64_t slacks[] = {1, 2, 15, 63, 255, 256, 600, 1023};
    for (size_t i = 0; i < sizeof slacks / sizeof slacks[0]; i++) {
        struct shmbus_bus_options bus = crowd_bus();
        struct shmbus_consumer_options options =
            watch_options(_i == 0 ? SHMBUS_OPTIONAL : SHMBUS_OBSERVER, SHMBUS_FROM_TAIL);
        struct watch watch;
        bus.capacity = 1024;
        bus.classes[0].slab_count = bus.classes[1].slab_count = 1024;
        bus.first_sequence = 77;
        options.slack = slacks[i];
        struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, NULL);
        ck_assert_int_eq(watch_try(&watch, &options), 0);
        ck_assert_int_eq(crowd_publish(producer, options.slack), 0);
        ck_assert_int_eq(watch_drain(&watch), 0);
        ck_assert_uint_eq(watch.received, options.slack);
        ck_assert_uint_eq(watch.event_count, 0);
        ck_assert_int_eq(crowd_publish(producer, options.slack + 1), 0);
        ck_assert_int_eq(watch_drain(&watch), 0);
        ck_assert_uint_eq(watch.received, options.slack);
        watch_expect(&watch, 0, SHMBUS_EVENT_LOST, 77 + options.slack, options.slack + 1);
        ck_assert_int_eq(crowd_publish(producer, 1), 0);
        ck_assert_int_eq(watch_drain(&watch), 0);
        ck_assert_uint_eq(watch.received, options.slack + 1);
        ck_assert_int_eq(crowd_publish(producer, 3000), 0);
        ck_assert_int_eq(watch_drain(&watch), 0);
        ck_assert_uint_le(watch.received, 2 * options.slack + 1);
        watch_end(&watch);
        shmbus_producer_close(producer);
    }
}
END_TEST

START_TEST(slack_is_for_those_that_are_skipped)
{
    struct shmbus_producer *producer = support_create(CROWD_BUS, NULL, NULL);
    struct shmbus_consumer_options options = watch_options(SHMBUS_REQUIRED, SHMBUS_FROM_TAIL);
    struct watch watch;
    options.slack = 1;
    ck_assert_int_eq(watch_try(&watch, &options), -EINVAL);
    ck_assert(support_says("slack"));
    shmbus_producer_close(producer);
}
END_TEST

static uint64_t held_slabs(struct shmbus_producer *producer)
{
    return support_pool(producer, 0).held + support_pool(producer, 1).held;
}

/* A slab that is lent or kept is the message's until it is given back, many laps later. */
START_TEST(slabs_in_place_do_not_change)
{
    struct shmbus_bus_options bus = crowd_bus();
    struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, NULL);
    struct shmbus_message message, held;
    struct watch watch;
    watch_join(&watch, SHMBUS_OPTIONAL, SHMBUS_FROM_TAIL);
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(crowd_publish(producer, 20), 0);
        do {
            ck_assert_int_eq(shmbus_consumer_next(watch.consumer, &message), 1);
            watch_message(&message, &watch);
        } while (message.handle == 0);
        ck_assert_uint_eq(held_slabs(producer), 1);
        ck_assert_int_eq(crowd_publish(producer, 4 * CROWD_CAPACITY), 0);
        ck_assert(crowd_is_whole(&message));
        ck_assert_int_eq(shmbus_consumer_valid(watch.consumer, &message), 1);
        uint64_t kept, copied;
        const void *place = message.data;
        ck_assert_int_eq(shmbus_consumer_retain(watch.consumer, &message, &kept), 0);
        ck_assert_int_eq(watch_drain(&watch), 0);
        ck_assert_int_eq(crowd_publish(producer, 4 * CROWD_CAPACITY), 0);
        ck_assert_int_eq(shmbus_consumer_copy(watch.consumer, kept, &copied), 0);
        ck_assert_int_eq(shmbus_consumer_release(watch.consumer, kept), 0);
        ck_assert_uint_eq(held_slabs(producer), 1);
        ck_assert_int_eq(shmbus_consumer_held(watch.consumer, copied, &held), 0);
        ck_assert_ptr_eq(held.data, place);
        ck_assert(crowd_is_whole(&held));
        ck_assert_int_eq(shmbus_consumer_valid(watch.consumer, &held), 1);
        ck_assert_int_eq(shmbus_consumer_release(watch.consumer, copied), 0);
        ck_assert_uint_eq(held_slabs(producer), 0);
        ck_assert_int_eq(watch_drain(&watch), 0);
    }
    ck_assert_uint_eq(crowd_producer().blocked + crowd_producer().exhausted, 0);
    watch_end(&watch);
    shmbus_producer_close(producer);
}
END_TEST

/* It keeps as many as its quota allows, and neither ring nor pool ever waits for it. */
START_TEST(holds_only_to_the_quota)
{
    struct shmbus_bus_options bus = crowd_bus();
    struct shmbus_message message;
    struct shmbus_consumer_options options = watch_options(SHMBUS_OPTIONAL, SHMBUS_FROM_TAIL);
    struct shmbus_consumer *consumer;
    uint64_t kept[8], more;
    unsigned char payload[128] = {0};
    bus.classes[0].slab_count = 10; /* the quota, the one that is lent, and one to publish */
    struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, NULL);
    ck_assert_int_eq(shmbus_consumer_open(CROWD_BUS, &options, &consumer), 0);
    for (int i = 0; i < 9; i++) {
        ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, payload, 128), 0);
        ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
        ck_assert_int_eq(shmbus_consumer_retain(consumer, &message, i < 8 ? &kept[i] : &more),
                         i < 8 ? 0 : -EDQUOT);
    }
    ck_assert_uint_eq(support_pool(producer, 0).held, 9);
    for (int i = 0; i < 10 * CROWD_CAPACITY; i++)
        ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, payload, 128), 0);
    ck_assert_int_eq(shmbus_consumer_copy(consumer, kept[0], &more), -EDQUOT);
    /* Reading on it holds one of those that come, never more. */
    for (int i = 0; i < 10 * CROWD_CAPACITY; i++) {
        ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, payload, 128), 0);
        ck_assert_int_ge(shmbus_consumer_next(consumer, &message), 0);
        ck_assert_uint_le(support_pool(producer, 0).held, 9);
    }
    ck_assert_uint_eq(crowd_producer().exhausted, 0);
    shmbus_consumer_close(consumer);
    ck_assert_uint_eq(support_pool(producer, 0).held, 0);
    shmbus_producer_close(producer);
}
END_TEST

static void keep_and_wait(int line, void *context)
{
    (void)context;
    struct shmbus_message message;
    struct watch watch;
    uint64_t kept[8];
    watch_join(&watch, SHMBUS_OPTIONAL, SHMBUS_FROM_OLDEST);
    for (int i = 0; i < 8; i++) {
        do {
            ck_assert_int_eq(shmbus_consumer_next(watch.consumer, &message), 1);
        } while (message.handle == 0);
        ck_assert_int_eq(shmbus_consumer_retain(watch.consumer, &message, &kept[i]), 0);
    }
    child_tell(line, 1);
    child_hear(line);
}

/* Killed while it holds: every slab comes back to who needs it. */
START_TEST(killed_while_it_holds)
{
    struct shmbus_bus_options bus = crowd_bus();
    struct shmbus_slab slabs[16];
    unsigned char payload[128] = {0};
    struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, NULL);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 8; i++)
            ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, payload, 128), 0);
        struct child child = child_start(keep_and_wait, NULL);
        child_hear(child.line);
        ck_assert_uint_eq(support_pool(producer, 0).held, 8);
        ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 128, 16, slabs), -ENOBUFS);
        child_kill(&child);
        ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 128, 16, slabs), 0);
        ck_assert_uint_eq(support_pool(producer, 0).held, 0);
        for (int i = 0; i < 16; i++)
            ck_assert_int_eq(shmbus_producer_slab_release(producer, slabs[i].handle), 0);
        ck_assert_uint_eq(support_pool(producer, 0).in_use, 0);
    }
    shmbus_producer_close(producer);
}
END_TEST

Suite *optional_suite(void);
Suite *optional_suite(void)
{
    Suite *suite = suite_create("kinds_optional");
    TCase *tcase = support_case(suite, "optional", 120);
    tcase_add_loop_test(tcase, lapped_many_times, 0, 2);
    tcase_add_loop_test(tcase, large_slots_at_full_speed, 0, 2);
    tcase_add_loop_test(tcase, slack_is_exact, 0, 2);
    tcase_add_test(tcase, slack_is_for_those_that_are_skipped);
    tcase_add_test(tcase, slabs_in_place_do_not_change);
    tcase_add_test(tcase, holds_only_to_the_quota);
    tcase_add_test(tcase, killed_while_it_holds);
    return suite;
}

int main(void)
{
    return support_run(optional_suite());
}
