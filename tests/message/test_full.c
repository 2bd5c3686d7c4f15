/* SPDX-License-Identifier: MIT */
/* A full ring: who waits for whom, for how long, and that the dead are not waited for. */
#include "expect.h"

#include <errno.h>
#include <time.h>

#define BUS "full"

static uint64_t blocked(void)
{
    struct shmbus_snapshot *snapshot = support_look(BUS);
    uint64_t count = shmbus_snapshot_producer(snapshot, 0)->blocked;
    shmbus_snapshot_close(snapshot);
    return count;
}

static struct shmbus_producer *begin(int64_t timeout_ns)
{
    struct shmbus_producer_options how = {.struct_bytes = sizeof how,
                                          .full_timeout_ns = timeout_ns};
    struct shmbus_bus_options options = expect_bus();
    return support_create(BUS, &options, &how);
}

static void fill(struct shmbus_producer *producer)
{
    for (int i = 0; i < 16; i++)
        ck_assert_int_eq(expect_publish(producer, 8), 0);
}

START_TEST(no_room_is_an_error_at_once_and_counted)
{
    struct shmbus_claim claim = {.room = 99};
    struct shmbus_slab slab;
    struct shmbus_producer *producer = begin(0);
    struct shmbus_consumer *consumer = support_join(BUS, SHMBUS_FROM_TAIL);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 64, 1, &slab), 0);
    fill(producer);
    ck_assert_uint_eq(blocked(), 0);
    ck_assert_int_eq(expect_publish(producer, 8), -EAGAIN);
    ck_assert(support_says("full"));
    ck_assert_int_eq(shmbus_producer_claim(producer, 8, &claim), -EAGAIN);
    ck_assert_int_eq(shmbus_producer_claim(producer, 60, &claim), -EAGAIN);
    ck_assert_int_eq(shmbus_producer_slab_publish(producer, slab.handle, 8, 0, 0), -EAGAIN);
    ck_assert_uint_eq(claim.room, 99);
    ck_assert_uint_eq(blocked(), 4);
    ck_assert_uint_eq(shmbus_producer_next_sequence(producer), 16);

    struct expect_run run = {.stop_at = 1};
    ck_assert_int_eq(shmbus_consumer_poll(consumer, expect_in_order, &run, 10), 1);
    ck_assert_int_eq(expect_publish(producer, 8), 0);
    ck_assert_int_eq(expect_publish(producer, 8), -EAGAIN);
    run.stop_at = 0;
    ck_assert_int_eq(shmbus_consumer_poll(consumer, expect_in_order, &run, 100), 16);
    ck_assert_uint_eq(blocked(), 5);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(no_room_after_at_least_the_time)
{
    struct timespec before;
    struct timespec after;
    struct shmbus_producer *producer = begin(20000000);
    struct shmbus_consumer *consumer = support_join(BUS, SHMBUS_FROM_TAIL);
    fill(producer);
    clock_gettime(CLOCK_MONOTONIC, &before);
    ck_assert_int_eq(expect_publish(producer, 8), -EAGAIN);
    clock_gettime(CLOCK_MONOTONIC, &after);
    ck_assert_int_ge((after.tv_sec - before.tv_sec) * SECOND_NS + after.tv_nsec - before.tv_nsec,
                     20000000);
    ck_assert_uint_eq(blocked(), 1);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(the_slowest_of_several_counts)
{
    uint64_t lag = 77;
    struct shmbus_producer *producer = begin(0);
    ck_assert_int_eq(shmbus_producer_required(producer, &lag), 0);
    ck_assert_uint_eq(lag, 0);
    struct shmbus_consumer *fast = support_join(BUS, SHMBUS_FROM_TAIL);
    struct shmbus_consumer *slow = support_join(BUS, SHMBUS_FROM_TAIL);
    fill(producer);
    uint64_t count = 0;
    ck_assert_int_eq(shmbus_consumer_poll(fast, expect_any, &count, 100), 16);
    ck_assert_int_eq(shmbus_producer_required(producer, &lag), 2);
    ck_assert_uint_eq(lag, 16);
    ck_assert_int_eq(shmbus_producer_required(producer, NULL), 2);
    ck_assert_int_eq(expect_publish(producer, 8), -EAGAIN);
    struct shmbus_snapshot *snapshot = support_look(BUS);
    ck_assert_uint_eq(shmbus_snapshot_bus(snapshot)->ring_used, 16);
    ck_assert_uint_eq(shmbus_snapshot_consumer(snapshot, 0)->gates, 0);
    ck_assert_uint_eq(shmbus_snapshot_consumer(snapshot, 1)->gates, 1);
    shmbus_snapshot_close(snapshot);
    /* It leaves, and nothing is in the way any more. */
    shmbus_consumer_close(slow);
    ck_assert_int_eq(shmbus_producer_required(producer, &lag), 1);
    ck_assert_uint_eq(lag, 0);
    ck_assert_int_eq(expect_publish(producer, 8), 0);
    shmbus_consumer_close(fast);
    shmbus_producer_close(producer);
}
END_TEST

/* Joins, keeps one message if it is asked to, and waits for its end. */
static void sit(int line, void *keeps)
{
    struct shmbus_consumer *reader = support_join(BUS, SHMBUS_FROM_TAIL);
    uint64_t handles[8];
    child_tell(line, 0);
    if (keeps != NULL)
        for (int i = 0; i < 8; i++) {
            struct shmbus_message message;
            ck_assert_int_eq(shmbus_consumer_wait(reader, GUARD_NS), 0);
            ck_assert_int_eq(shmbus_consumer_next(reader, &message), 1);
            ck_assert_int_eq(shmbus_consumer_retain(reader, &message, &handles[i]), 0);
            child_tell(line, message.sequence);
        }
    child_hear(line);
}

START_TEST(a_killed_consumer_is_not_waited_for)
{
    /* With no time, and without limit. */
    struct shmbus_producer *producer = begin(_i ? SHMBUS_FOREVER : 0);
    struct child consumer = child_start(sit, NULL);
    child_hear(consumer.line);
    fill(producer);
    child_kill(&consumer);
    ck_assert_int_eq(expect_publish(producer, 8), 0);
    ck_assert_int_eq(shmbus_producer_required(producer, NULL), 0);
    for (int i = 0; i < 40; i++)
        ck_assert_int_eq(expect_publish(producer, 8), 0);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(a_killed_consumers_slabs_come_back)
{
    struct shmbus_producer *producer = begin(_i ? SHMBUS_FOREVER : 0);
    struct child consumer = child_start(sit, &consumer);
    child_hear(consumer.line);
    for (int i = 0; i < 8; i++) {
        ck_assert_int_eq(expect_publish(producer, 100), 0);
        child_hear(consumer.line);
    }
    ck_assert_uint_eq(support_pool(producer, 1).held, 8);
    child_kill(&consumer);
    struct shmbus_slab slabs[8];
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 100, 8, slabs), 0);
    ck_assert_uint_eq(support_pool(producer, 1).held, 0);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(a_stopped_consumer_is_waited_for)
{
    struct shmbus_producer *producer = begin(30000000);
    struct child consumer = child_start(sit, NULL);
    child_hear(consumer.line);
    fill(producer);
    child_stop(&consumer);
    ck_assert_int_eq(expect_publish(producer, 8), -EAGAIN);
    ck_assert_int_eq(shmbus_producer_required(producer, NULL), 1);
    child_continue(&consumer);
    child_kill(&consumer);
    shmbus_producer_close(producer);
}
END_TEST

/* Reads everything, one message at a time. */
static void read_all(int line, void *unused)
{
    (void)unused;
    struct shmbus_consumer *reader = support_join(BUS, SHMBUS_FROM_TAIL);
    struct expect_run run = {.stop_at = 0};
    int result;
    child_tell(line, 0);
    while ((result = shmbus_consumer_wait(reader, GUARD_NS)) == 0)
        ck_assert_int_eq(shmbus_consumer_poll(reader, expect_in_order, &run, 1), 1);
    ck_assert_int_eq(result, -EPIPE);
    shmbus_consumer_close(reader);
    child_tell(line, run.count);
}

START_TEST(with_time_it_goes_on_as_the_consumer_does)
{
    struct shmbus_producer *producer = begin(SHMBUS_FOREVER);
    struct child consumer = child_start(read_all, NULL);
    child_hear(consumer.line);
    child_stop(&consumer);
    fill(producer);
    child_continue(&consumer);
    for (int i = 0; i < 5000; i++)
        ck_assert_int_eq(expect_publish(producer, (uint32_t)i % 40), 0);
    ck_assert_uint_gt(blocked(), 0);
    shmbus_producer_close(producer);
    ck_assert_uint_eq(child_hear(consumer.line), 5016);
    child_end(&consumer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message full");
    TCase *tcase = support_case(suite, "full", 60);
    tcase_add_test(tcase, no_room_is_an_error_at_once_and_counted);
    tcase_add_test(tcase, no_room_after_at_least_the_time);
    tcase_add_test(tcase, the_slowest_of_several_counts);
    tcase_add_loop_test(tcase, a_killed_consumer_is_not_waited_for, 0, 2);
    tcase_add_loop_test(tcase, a_killed_consumers_slabs_come_back, 0, 2);
    tcase_add_test(tcase, a_stopped_consumer_is_waited_for);
    tcase_add_test(tcase, with_time_it_goes_on_as_the_consumer_does);
    return support_run(suite);
}
