/* SPDX-License-Identifier: MIT */
/* Waiting until what was published is consumed: flush and wait_consumed. */
#include "expect.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#define BUS "flush"

static struct shmbus_producer *producer;

static void begin(void)
{
    struct shmbus_bus_options options = expect_bus();
    producer = support_create(BUS, &options, NULL);
}

static void publish(int count)
{
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(expect_publish(producer, 8), 0);
}

/* Both calls, for all that was published. */
static int wait_for_all(int which, int64_t timeout_ns)
{
    uint64_t last = shmbus_producer_next_sequence(producer) - 1;
    return which ? shmbus_producer_wait_consumed(producer, last, timeout_ns)
                 : shmbus_producer_flush(producer, timeout_ns);
}

START_TEST(without_a_required_consumer_it_returns_at_once)
{
    begin();
    ck_assert_int_eq(shmbus_producer_flush(producer, SHMBUS_FOREVER), 0);
    publish(5);
    ck_assert_int_eq(wait_for_all(_i, SHMBUS_FOREVER), 0);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(each_sequence_by_itself)
{
    begin();
    struct shmbus_consumer *fast = support_join(BUS, SHMBUS_FROM_TAIL);
    struct shmbus_consumer *slow = support_join(BUS, SHMBUS_FROM_TAIL);
    publish(10);
    uint64_t count = 0;
    shmbus_consumer_poll(fast, expect_any, &count, 100);
    for (uint64_t read = 0; read < 10; read++) {
        for (uint64_t sequence = 0; sequence < 10; sequence++)
            ck_assert_int_eq(shmbus_producer_wait_consumed(producer, sequence, 0),
                             sequence < read ? 0 : -ETIMEDOUT);
        ck_assert(support_says("consumed"));
        ck_assert_int_eq(shmbus_producer_flush(producer, 0), -ETIMEDOUT);
        ck_assert_int_eq(shmbus_consumer_poll(slow, expect_any, &count, 1), 1);
    }
    ck_assert_int_eq(shmbus_producer_flush(producer, 0), 0);
    ck_assert_int_eq(shmbus_producer_wait_consumed(producer, 10, 0), -EINVAL);
    ck_assert(support_says("10"));
    ck_assert_int_eq(shmbus_producer_wait_consumed(producer, UINT64_MAX, 0), -EINVAL);
    shmbus_consumer_close(fast);
    shmbus_consumer_close(slow);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(the_time_is_waited_at_least)
{
    struct timespec before;
    struct timespec after;
    begin();
    struct shmbus_consumer *consumer = support_join(BUS, SHMBUS_FROM_TAIL);
    publish(1);
    clock_gettime(CLOCK_MONOTONIC, &before);
    ck_assert_int_eq(wait_for_all(_i, 20000000), -ETIMEDOUT);
    clock_gettime(CLOCK_MONOTONIC, &after);
    ck_assert_int_ge((after.tv_sec - before.tv_sec) * SECOND_NS + after.tv_nsec - before.tv_nsec,
                     20000000);
    /* One that next lends is not consumed. */
    struct shmbus_message message;
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
    ck_assert_int_eq(wait_for_all(_i, 0), -ETIMEDOUT);
    expect_none(consumer, 0);
    ck_assert_int_eq(wait_for_all(_i, 0), 0);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

/* Reads, as often as it is told, all that there is. */
static void read_when_told(int line, void *unused)
{
    (void)unused;
    struct shmbus_consumer *reader = support_join(BUS, SHMBUS_FROM_TAIL);
    uint64_t count = 0;
    child_tell(line, 0);
    while (child_hear(line) != 0)
        ck_assert_int_ge(shmbus_consumer_poll(reader, expect_any, &count, 100), 0);
    shmbus_consumer_close(reader);
}

START_TEST(it_returns_when_the_consumer_has_read)
{
    begin();
    struct child consumer = child_start(read_when_told, NULL);
    child_hear(consumer.line);
    for (int i = 0; i < 50; i++) {
        publish(10);
        ck_assert_int_eq(wait_for_all(_i, 0), -ETIMEDOUT);
        child_tell(consumer.line, 1);
        ck_assert_int_eq(wait_for_all(_i, GUARD_NS), 0);
    }
    child_tell(consumer.line, 0);
    child_end(&consumer);
    shmbus_producer_close(producer);
}
END_TEST

/* The other thread, which kills a process once the first one can be expected to wait. */
static void *kill_later(void *child)
{
    struct timespec time = {.tv_nsec = 30000000};
    nanosleep(&time, NULL);
    child_kill(child);
    return NULL;
}

START_TEST(a_consumer_that_is_killed_meanwhile_is_not_waited_for)
{
    pthread_t thread;
    begin();
    struct child consumer = child_start(read_when_told, NULL);
    child_hear(consumer.line);
    publish(5);
    ck_assert_int_eq(pthread_create(&thread, NULL, kill_later, &consumer), 0);
    ck_assert_int_eq(wait_for_all(_i, SHMBUS_FOREVER), 0);
    pthread_join(thread, NULL);
    ck_assert_int_eq(shmbus_producer_required(producer, NULL), 0);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(one_that_was_killed_before_is_found_without_waiting)
{
    begin();
    struct child consumer = child_start(read_when_told, NULL);
    child_hear(consumer.line);
    publish(5);
    child_kill(&consumer);
    ck_assert_int_eq(wait_for_all(_i, 0), 0);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(a_consumer_that_is_stopped_is_waited_for)
{
    begin();
    struct child consumer = child_start(read_when_told, NULL);
    child_hear(consumer.line);
    publish(5);
    child_stop(&consumer);
    child_tell(consumer.line, 1);
    ck_assert_int_eq(wait_for_all(_i, 60000000), -ETIMEDOUT);
    ck_assert_int_eq(shmbus_producer_required(producer, NULL), 1);
    child_continue(&consumer);
    ck_assert_int_eq(wait_for_all(_i, GUARD_NS), 0);
    child_tell(consumer.line, 0);
    child_end(&consumer);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message flush");
    TCase *tcase = support_case(suite, "flush", 60);
    tcase_add_loop_test(tcase, without_a_required_consumer_it_returns_at_once, 0, 2);
    tcase_add_test(tcase, each_sequence_by_itself);
    tcase_add_loop_test(tcase, the_time_is_waited_at_least, 0, 2);
    tcase_add_loop_test(tcase, it_returns_when_the_consumer_has_read, 0, 2);
    tcase_add_loop_test(tcase, a_consumer_that_is_killed_meanwhile_is_not_waited_for, 0, 2);
    tcase_add_loop_test(tcase, one_that_was_killed_before_is_found_without_waiting, 0, 2);
    tcase_add_loop_test(tcase, a_consumer_that_is_stopped_is_waited_for, 0, 2);
    return support_run(suite);
}
