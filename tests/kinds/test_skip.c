/* SPDX-License-Identifier: MIT */
/*
 * Ranges that a producer leaves out on purpose: every kind of consumer is told exactly which, in
 * the order of the stream, whatever the length, across a full ring, a kill and a takeover.
 */
#include "crowd.h"

#include <errno.h>
#include <unistd.h>

static const uint64_t counts[] = {1,
                                  2,
                                  CROWD_CAPACITY / 4 - 1,
                                  CROWD_CAPACITY / 4,
                                  CROWD_CAPACITY / 4 + 1,
                                  CROWD_CAPACITY - 1,
                                  CROWD_CAPACITY,
                                  CROWD_CAPACITY + 1,
                                  1000000000,
                                  SHMBUS_SKIP_MAX};
#define COUNTS (sizeof counts / sizeof counts[0])

/* Stamps wrap at 2^56. */
static const uint64_t firsts[] = {0, 61, (UINT64_C(1) << 56) - 40, (UINT64_C(1) << 56) - 1};
#define FIRSTS (sizeof firsts / sizeof firsts[0])

#define KINDS 3 /* optional, required, observer */

static struct shmbus_producer *begin(uint64_t first)
{
    struct shmbus_bus_options bus = crowd_bus();
    bus.first_sequence = first;
    return support_create(CROWD_BUS, &bus, NULL);
}

static int is_long(uint64_t count)
{
    return count > CROWD_CAPACITY / 4;
}

static void publish(struct shmbus_producer *producer, uint64_t count)
{
    int result = crowd_publish(producer, count);
    ck_assert_msg(result == 0, "%d: %s", result, shmbus_error_text());
}

static void try_kind(uint32_t kind, uint64_t first, uint64_t count, uint64_t before)
{
    struct shmbus_producer *producer = begin(first);
    struct watch watch;
    watch_join(&watch, kind, SHMBUS_FROM_TAIL);
    publish(producer, before);
    ck_assert_int_eq(shmbus_producer_skip(producer, count), 0);
    ck_assert_uint_eq(shmbus_producer_next_sequence(producer), first + before + count);
    /* Nothing follows a long range before those that gate are past it. */
    if (kind == SHMBUS_REQUIRED && is_long(count))
        ck_assert_int_eq(crowd_publish(producer, 1), -EAGAIN);
    ck_assert_int_eq(watch_drain(&watch), 0);
    publish(producer, 5);
    ck_assert_int_eq(watch_drain(&watch), 0);
    ck_assert_uint_eq(watch.event_count, 1);
    watch_expect(&watch, 0, SHMBUS_EVENT_LOST, first + before, count);
    ck_assert_uint_eq(watch.received, before + 5);
    ck_assert_uint_eq(crowd_producer().skipped, count);
    ck_assert_uint_eq(crowd_producer().published, before + 5);
    /* Laps later it is as if nothing had been. */
    for (int i = 0; i < 40; i++) {
        publish(producer, 5);
        ck_assert_int_eq(watch_drain(&watch), 0);
    }
    ck_assert_uint_eq(watch.event_count, 1);
    watch_end(&watch);
    shmbus_producer_close(producer);
}

START_TEST(each_kind_is_told_exactly)
{
    for (size_t i = 0; i < FIRSTS; i++)
        for (uint32_t kind = 0; kind < KINDS; kind++)
            for (uint64_t before = 0; before < 14; before += 3)
                try_kind(kind, firsts[i], counts[_i], before);
}
END_TEST

/* One range after the other: two events, or one where nothing was between for a slow reader. */
START_TEST(twice_in_a_row)
{
    uint64_t first = firsts[_i % FIRSTS];
    for (size_t a = 0; a < COUNTS; a++)
        for (size_t b = 0; b < COUNTS; b++)
            for (uint32_t kind = 0; kind < KINDS; kind++) {
                struct shmbus_producer *producer = begin(first);
                struct watch watch;
                watch_join(&watch, kind, SHMBUS_FROM_TAIL);
                publish(producer, 2);
                ck_assert_int_eq(shmbus_producer_skip(producer, counts[a]), 0);
                ck_assert_int_eq(watch_drain(&watch), 0);
                ck_assert_int_eq(shmbus_producer_skip(producer, counts[b]), 0);
                ck_assert_int_eq(watch_drain(&watch), 0);
                publish(producer, 2);
                ck_assert_int_eq(watch_drain(&watch), 0);
                ck_assert_uint_eq(watch.event_count, 2);
                watch_expect(&watch, 0, SHMBUS_EVENT_LOST, first + 2, counts[a]);
                watch_expect(&watch, 1, SHMBUS_EVENT_LOST, first + 2 + counts[a], counts[b]);
                ck_assert_uint_eq(watch.received, 4);
                watch_end(&watch);
                shmbus_producer_close(producer);
            }
}
END_TEST

/* Without room for all of it nothing is left out, and nobody who read on is taken for a liar. */
START_TEST(all_of_it_or_nothing)
{
    for (uint64_t room = 0; room < CROWD_CAPACITY / 4; room++) {
        struct shmbus_producer *producer = begin(firsts[_i]);
        uint64_t count = CROWD_CAPACITY / 4;
        uint64_t next = firsts[_i] + CROWD_CAPACITY - room;
        struct watch watch;
        watch_join(&watch, SHMBUS_REQUIRED, SHMBUS_FROM_TAIL);
        for (uint64_t i = 0; i < CROWD_CAPACITY - room; i++)
            ck_assert_int_eq(shmbus_producer_publish(producer, 9, 0, NULL, 0), 0);
        ck_assert_int_eq(shmbus_producer_skip(producer, count), -EAGAIN);
        ck_assert_uint_eq(shmbus_producer_next_sequence(producer), next);
        ck_assert_uint_eq(crowd_producer().skipped, 0);
        struct shmbus_message message;
        for (uint64_t i = 0; i < CROWD_CAPACITY - room; i++)
            ck_assert_int_eq(shmbus_consumer_next(watch.consumer, &message), 1);
        ck_assert_int_eq(shmbus_consumer_next(watch.consumer, &message), 0);
        ck_assert_int_eq(shmbus_producer_required(producer, NULL), 1);
        watch.next = next;
        ck_assert_int_eq(shmbus_producer_skip(producer, count), 0);
        publish(producer, 1);
        ck_assert_int_eq(watch_drain(&watch), 0);
        watch_expect(&watch, 0, SHMBUS_EVENT_LOST, next, count);
        ck_assert_int_eq(shmbus_producer_required(producer, NULL), 1);
        shmbus_consumer_close(watch.consumer);
        shmbus_producer_close(producer);
    }
}
END_TEST

START_TEST(what_cannot_be)
{
    struct shmbus_producer *producer = begin(SHMBUS_FIRST_SEQUENCE_MAX - 1);
    struct shmbus_claim claim;
    ck_assert_int_eq(shmbus_producer_skip(producer, 0), 0);
    ck_assert_int_eq(shmbus_producer_skip(producer, SHMBUS_SKIP_MAX + 1), -EINVAL);
    ck_assert(support_says("count"));
    ck_assert_int_eq(shmbus_producer_skip(producer, UINT64_MAX), -EINVAL);
    ck_assert_int_eq(shmbus_producer_claim(producer, 8, &claim), 0);
    ck_assert_int_eq(shmbus_producer_skip(producer, 1), -EBUSY);
    ck_assert_int_eq(shmbus_producer_abort(producer, &claim), 0);
    ck_assert_uint_eq(shmbus_producer_next_sequence(producer), SHMBUS_FIRST_SEQUENCE_MAX - 1);
    /* The last sequence is far, and is not gone beyond. */
    int result = 0;
    for (int i = 0; result == 0 && i < 300; i++)
        result = shmbus_producer_skip(producer, SHMBUS_SKIP_MAX);
    ck_assert_int_eq(result, -EINVAL);
    publish(producer, 3);
    shmbus_producer_close(producer);
}
END_TEST

/* A reader in another process, at its own pace, while the producer waits for room. */
static void read_to_the_end(int line, void *context)
{
    struct watch watch;
    int result;
    watch_join(&watch, *(const uint32_t *)context, SHMBUS_FROM_TAIL);
    child_tell(line, 1);
    do {
        result = shmbus_consumer_wait(watch.consumer, GUARD_NS);
        if (result == 0)
            result = shmbus_consumer_poll(watch.consumer, watch_message, &watch, 3);
    } while (result >= 0);
    ck_assert_int_eq(result, -EPIPE);
    watch_settle(&watch);
    child_tell(line, watch.next);
    child_tell(line, watch.lost);
    shmbus_consumer_close(watch.consumer);
}

START_TEST(at_full_speed_beside_a_reader)
{
    struct shmbus_bus_options bus = crowd_bus();
    struct shmbus_producer_options options = {.struct_bytes = sizeof options,
                                              .full_timeout_ns = GUARD_NS};
    uint32_t kind = (uint32_t)_i;
    uint64_t seed = support_seed("at_full_speed_beside_a_reader");
    bus.first_sequence = firsts[2];
    struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, &options);
    struct child child = child_start(read_to_the_end, &kind);
    child_hear(child.line);
    for (int i = 0; i < 3000; i++) {
        publish(producer, support_below(&seed, 12));
        ck_assert_int_eq(shmbus_producer_skip(producer, counts[support_below(&seed, COUNTS - 1)]),
                         0);
    }
    struct shmbus_producer_info info = crowd_producer();
    uint64_t end = shmbus_producer_next_sequence(producer);
    ck_assert_uint_eq(info.published + info.skipped, end - firsts[2]);
    shmbus_producer_close(producer);
    ck_assert_uint_eq(child_hear(child.line), end);
    uint64_t lost = child_hear(child.line);
    if (kind == SHMBUS_REQUIRED)
        ck_assert_uint_eq(lost, info.skipped);
    else
        ck_assert_uint_ge(lost, info.skipped);
    child_end(&child);
}
END_TEST

Suite *skip_suite(void);
Suite *skip_suite(void)
{
    Suite *suite = suite_create("kinds_skip");
    TCase *tcase = support_case(suite, "skip", 120);
    tcase_add_loop_test(tcase, each_kind_is_told_exactly, 0, (int)COUNTS);
    tcase_add_loop_test(tcase, twice_in_a_row, 0, (int)FIRSTS);
    tcase_add_loop_test(tcase, all_of_it_or_nothing, 0, (int)FIRSTS);
    tcase_add_test(tcase, what_cannot_be);
    tcase_add_loop_test(tcase, at_full_speed_beside_a_reader, 0, KINDS);
    return suite;
}

int main(void)
{
    return support_run(skip_suite());
}
