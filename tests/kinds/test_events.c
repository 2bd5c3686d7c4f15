/* SPDX-License-Identifier: MIT */
/*
 * What consumers are told besides messages: claims that were aborted, silence, and what a message
 * whose slab is gone counts as; and states of a stamp that nobody writes.
 */
#include "crowd.h"

#include "consumer/consumer.h"
#include "producer/producer.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#define KINDS 3

static const uint16_t every_type[] = {0, 1, 2, 3, 4};

static int join(struct watch *watch, uint32_t kind, int filters)
{
    struct shmbus_consumer_options options = watch_options(kind, SHMBUS_FROM_TAIL);
    if (filters) {
        options.types = every_type;
        options.type_count = CROWD_TYPES;
    }
    return watch_try(watch, &options);
}

/* Many producers will abort the claims of those that died; one producer never does. */
static void abort_claim(struct shmbus_producer *producer)
{
    ck_assert_int_eq(producer_make_room(producer), 0);
    struct slot_header *slot = ring_slot(&producer->ring, producer->next);
    ring_mark(slot, producer->next, STAMP_WRITING);
    ring_publish_as(slot, producer->next, 0, STAMP_ABORTED);
    producer->next++;
    producer_store_tail(producer);
}

START_TEST(aborted_claims_are_told)
{
    struct shmbus_bus_options bus = crowd_bus();
    struct watch watch;
    uint32_t seen = 0;
    bus.first_sequence = (UINT64_C(1) << 56) - 20;
    struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, NULL);
    ck_assert_int_eq(join(&watch, (uint32_t)_i / 2, _i % 2), 0);
    for (uint64_t i = 0; i < 10; i++) {
        uint64_t next = shmbus_producer_next_sequence(producer);
        ck_assert_int_eq(crowd_publish(producer, i), 0);
        for (uint64_t j = 0; j < 3; j++)
            abort_claim(producer);
        ck_assert_int_eq(crowd_publish(producer, 1), 0);
        ck_assert_int_eq(watch_drain(&watch), 0);
        ck_assert_uint_eq(watch.event_count, seen + 3);
        for (uint64_t j = 0; j < 3; j++, seen++)
            watch_expect(&watch, seen, SHMBUS_EVENT_ABORTED, next + i + j, 1);
    }
    ck_assert_uint_eq(watch.aborted, 30);
    struct shmbus_snapshot *snapshot = support_look(CROWD_BUS);
    if (_i / 2 != SHMBUS_OBSERVER)
        ck_assert_uint_eq(shmbus_snapshot_consumer(snapshot, 0)->aborted, 30);
    shmbus_snapshot_close(snapshot);
    watch_end(&watch);
    shmbus_producer_close(producer);
}
END_TEST

/* Holes alone move a required consumer on as well as messages do. */
START_TEST(a_ring_of_holes)
{
    struct shmbus_bus_options bus = crowd_bus();
    struct watch watch;
    struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, NULL);
    ck_assert_int_eq(join(&watch, (uint32_t)_i / 2, _i % 2), 0);
    for (int i = 0; i < 20; i++) {
        for (int j = 0; j < CROWD_CAPACITY; j++)
            abort_claim(producer);
        ck_assert_int_eq(watch_drain(&watch), 0);
        ck_assert_int_eq(shmbus_producer_flush(producer, 0), 0);
    }
    ck_assert_uint_eq(watch.aborted, 20 * CROWD_CAPACITY);
    watch_end(&watch);
    shmbus_producer_close(producer);
}
END_TEST

/* Lost, aborted, unwanted and read in one stream: each in its place. */
START_TEST(in_the_order_of_the_stream)
{
    uint64_t random = support_seed("in_the_order_of_the_stream");
    struct shmbus_bus_options bus = crowd_bus();
    struct shmbus_producer_options options = {.struct_bytes = sizeof options};
    struct watch watches[KINDS];
    uint64_t aborted = 0;
    bus.first_sequence = (UINT64_C(1) << 56) - 9000;
    struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, &options);
    for (uint32_t kind = 0; kind < KINDS; kind++)
        ck_assert_int_eq(join(&watches[kind], kind, _i), 0);
    for (int i = 0; i < 3000; i++) {
        uint64_t what = support_below(&random, 4);
        if (what == 0) {
            abort_claim(producer);
            aborted++;
        } else if (what == 1) {
            ck_assert_int_eq(shmbus_producer_skip(producer, support_below(&random, 40)), 0);
        } else {
            ck_assert_int_eq(crowd_publish(producer, support_below(&random, 6)), 0);
        }
        for (uint32_t kind = 0; kind < KINDS; kind++)
            ck_assert_int_eq(watch_drain(&watches[kind]), 0);
    }
    struct shmbus_producer_info info = crowd_producer();
    for (uint32_t kind = 0; kind < KINDS; kind++) {
        watch_settle(&watches[kind]);
        ck_assert_uint_eq(watches[kind].aborted, aborted);
        ck_assert_uint_eq(watches[kind].lost, info.skipped);
        watch_end(&watches[kind]);
    }
    shmbus_producer_close(producer);
}
END_TEST

/* Its slab is another message's, and its slot still says that it is there: lost, one by one. */
START_TEST(a_slab_that_is_gone)
{
    struct shmbus_bus_options bus = crowd_bus();
    unsigned char payload[128];
    struct watch watch;
    bus.classes[0].slab_count = 4;
    struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, NULL);
    ck_assert_int_eq(join(&watch, _i == 0 ? SHMBUS_OPTIONAL : SHMBUS_OBSERVER, 0), 0);
    support_fill(payload, sizeof payload, 1);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, payload, sizeof payload), 0);
    struct shmbus_message message;
    int got = 0;
    while (shmbus_consumer_next(watch.consumer, &message) > 0) {
        ck_assert_uint_eq(message.sequence, watch.next);
        ck_assert(support_is(message.data, message.length, 1));
        watch.next++;
        watch.received++;
        got++;
    }
    ck_assert_int_ge(got, 1);
    ck_assert_int_le(got, 4);
    ck_assert_uint_eq(watch.lost, 20 - (uint64_t)got);
    watch_end(&watch);
    shmbus_producer_close(producer);
}
END_TEST

static void sleep_ms(int64_t milliseconds)
{
    struct timespec time = {.tv_sec = milliseconds / 1000,
                            .tv_nsec = milliseconds % 1000 * 1000000};
    while (nanosleep(&time, &time) < 0)
        continue;
}

#define DEADLINE_NS INT64_C(3000000)

/* Silence is told once, whatever else goes by, until the next message. */
START_TEST(silence_is_told_once)
{
    static const uint16_t types[] = {1};
    struct shmbus_consumer_options options = watch_options((uint32_t)_i, SHMBUS_FROM_TAIL);
    struct watch watch;
    struct shmbus_message message;
    options.deadline_ns = DEADLINE_NS;
    options.types = types;
    options.type_count = 1;
    struct shmbus_producer *producer = support_create(CROWD_BUS, NULL, NULL);
    ck_assert_int_eq(watch_try(&watch, &options), 0);
    for (uint32_t round = 0; round < 4; round++) {
        ck_assert_int_eq(shmbus_consumer_next(watch.consumer, &message), 0);
        sleep_ms(4);
        /* Sequences that bring no message do not end the silence. */
        ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, NULL, 0), 0);
        ck_assert_int_eq(shmbus_producer_skip(producer, 2), 0);
        abort_claim(producer);
        ck_assert_int_eq(shmbus_consumer_next(watch.consumer, &message), 0);
        ck_assert_uint_eq(watch.deadlines, round + 1);
        watch_expect(&watch, watch.event_count - 1, SHMBUS_EVENT_DEADLINE,
                     shmbus_producer_next_sequence(producer), 0);
        for (int i = 0; i < 3; i++) {
            sleep_ms(4);
            if (i == 1)
                ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, NULL, 0), 0);
            ck_assert_int_eq(shmbus_consumer_next(watch.consumer, &message), 0);
        }
        ck_assert_uint_eq(watch.deadlines, round + 1);
        ck_assert_int_eq(shmbus_producer_publish(producer, 1, 0, NULL, 0), 0);
        ck_assert_int_eq(shmbus_consumer_next(watch.consumer, &message), 1);
    }
    /* While it waits, too; and waiting on is no second silence. */
    ck_assert_int_eq(shmbus_consumer_wait(watch.consumer, 4 * DEADLINE_NS), -ETIMEDOUT);
    ck_assert_int_eq(shmbus_consumer_wait(watch.consumer, 4 * DEADLINE_NS), -ETIMEDOUT);
    ck_assert_uint_eq(watch.deadlines, 5);
    shmbus_consumer_close(watch.consumer);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(no_deadline_no_event)
{
    struct watch watch;
    struct shmbus_consumer_options options = watch_options(SHMBUS_OPTIONAL, SHMBUS_FROM_TAIL);
    struct shmbus_producer *producer = support_create(CROWD_BUS, NULL, NULL);
    options.deadline_ns = -1;
    ck_assert_int_eq(watch_try(&watch, &options), -EINVAL);
    watch_join(&watch, SHMBUS_OPTIONAL, SHMBUS_FROM_TAIL);
    ck_assert_int_eq(shmbus_consumer_wait(watch.consumer, 4 * DEADLINE_NS), -ETIMEDOUT);
    ck_assert_uint_eq(watch.event_count, 0);
    watch_end(&watch);
    shmbus_producer_close(producer);
}
END_TEST

/* No content of feed makes a consumer run for ever: not at the end of a stream either. */
START_TEST(states_that_nobody_writes)
{
    for (uint32_t state = 0; state < 256; state++) {
        struct shmbus_bus_options bus = crowd_bus();
        struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, NULL);
        struct watch watches[KINDS];
        for (uint32_t kind = 0; kind < KINDS; kind++)
            watch_join(&watches[kind], kind, SHMBUS_FROM_TAIL);
        ck_assert_int_eq(crowd_publish(producer, 3), 0);
        uint64_t *word = ring_handle(&producer->ring, ring_slot(&producer->ring, 3));
        *word = UINT64_MAX;
        atomic_store_explicit(&ring_slot(&producer->ring, 3)->stamp, stamp_make(3, state),
                              memory_order_release);
        shmbus_producer_close(producer);
        int is_final = state >= STAMP_PUBLISHED && state <= STAMP_SKIPPED;
        for (uint32_t kind = 0; kind < KINDS; kind++) {
            struct shmbus_message message;
            for (int i = 0; i < 3; i++, watches[kind].next++)
                ck_assert_int_eq(shmbus_consumer_next(watches[kind].consumer, &message), 1);
            int result = shmbus_consumer_next(watches[kind].consumer, &message);
            ck_assert_int_eq(result, state == STAMP_PUBLISHED ? 1 : -EPIPE);
            ck_assert((watches[kind].event_count > 0) == (is_final && state != STAMP_PUBLISHED));
            shmbus_consumer_close(watches[kind].consumer);
        }
    }
}
END_TEST

Suite *events_suite(void);
Suite *events_suite(void)
{
    Suite *suite = suite_create("kinds_events");
    TCase *tcase = support_case(suite, "events", 60);
    tcase_add_loop_test(tcase, aborted_claims_are_told, 0, 2 * KINDS);
    tcase_add_loop_test(tcase, a_ring_of_holes, 0, 2 * KINDS);
    tcase_add_loop_test(tcase, in_the_order_of_the_stream, 0, 2);
    tcase_add_loop_test(tcase, a_slab_that_is_gone, 0, 2);
    tcase_add_loop_test(tcase, silence_is_told_once, 0, KINDS);
    tcase_add_test(tcase, no_deadline_no_event);
    tcase_add_test(tcase, states_that_nobody_writes);
    return suite;
}

int main(void)
{
    return support_run(events_suite());
}
