/* SPDX-License-Identifier: MIT */
/* The end of a stream, said or not said, and what comes after it. */
#include "consumer/consumer.h"
#include "expect.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#define BUS "ends"

static struct shmbus_producer *create(void)
{
    struct shmbus_bus_options options = expect_bus();
    return support_create(BUS, &options, NULL);
}

static struct shmbus_producer *reopen(int by_create)
{
    struct shmbus_bus_options options = expect_bus();
    struct shmbus_producer *producer;
    int result = by_create ? shmbus_producer_create(BUS, &options, NULL, &producer)
                           : shmbus_producer_open(BUS, NULL, NULL, 0, &producer);
    ck_assert_msg(result == 0, "%d: %s", result, shmbus_error_text());
    return producer;
}

static void publish(struct shmbus_producer *producer, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        ck_assert_int_eq(expect_publish(producer, i % 4 ? 8 : 100), 0);
}

static uint32_t state(void)
{
    struct shmbus_snapshot *snapshot = support_look(BUS);
    uint32_t found = shmbus_snapshot_bus(snapshot)->state;
    shmbus_snapshot_close(snapshot);
    return found;
}

START_TEST(consumers_read_to_the_end)
{
    struct shmbus_producer *producer = create();
    struct shmbus_consumer *first = support_join(BUS, SHMBUS_FROM_TAIL);
    struct shmbus_consumer *second = support_join(BUS, SHMBUS_FROM_TAIL);
    publish(producer, 10);
    ck_assert_uint_eq(state(), SHMBUS_STATE_OPEN);
    shmbus_producer_close(producer);
    ck_assert_uint_eq(state(), SHMBUS_STATE_CLOSED);
    struct expect_run run = {0};
    ck_assert_int_eq(shmbus_consumer_poll(first, expect_in_order, &run, 4), 4);
    ck_assert_int_eq(shmbus_consumer_wait(first, 0), 0);
    ck_assert_int_eq(shmbus_consumer_poll(first, expect_in_order, &run, 100), 6);
    ck_assert_int_eq(shmbus_consumer_poll(first, expect_in_order, &run, 0), 0);
    expect_none(first, -EPIPE);
    ck_assert(support_says("ended"));
    ck_assert_int_eq(shmbus_consumer_wait(first, GUARD_NS), -EPIPE);
    for (uint64_t sequence = 0; sequence < 10; sequence++)
        expect_next(second, sequence, sequence % 4 ? 8 : 100);
    expect_none(second, -EPIPE);
    expect_none(second, -EPIPE);
    /* Who comes now finds the end too, or all of it. */
    struct shmbus_consumer *late = support_join(BUS, SHMBUS_FROM_TAIL);
    expect_none(late, -EPIPE);
    shmbus_consumer_close(late);
    late = support_join(BUS, SHMBUS_FROM_OLDEST);
    run.next = 0;
    ck_assert_int_eq(shmbus_consumer_poll(late, expect_in_order, &run, 100), 10);
    shmbus_consumer_close(late);
    shmbus_consumer_close(first);
    shmbus_consumer_close(second);
}
END_TEST

/* Reads up to a sequence. */
static void read_until(struct shmbus_consumer *consumer, uint64_t *sequence, uint64_t end)
{
    struct shmbus_message message;
    for (; *sequence < end; ++*sequence) {
        ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
        ck_assert_uint_eq(message.sequence, *sequence);
        ck_assert(support_is(message.data, message.length, *sequence));
    }
}

static struct shmbus_producer *closing;
static unsigned char *hidden; /* stands for the consumer's verdict, and cannot be read at first */

/* The consumer found no message, and has not yet asked whether the stream has ended. */
static void end_in_between(int number)
{
    (void)number;
    if (closing != NULL) {
        if (expect_publish(closing, 8) != 0)
            _exit(1);
        shmbus_producer_close(closing);
        closing = NULL;
    }
    if (mprotect(hidden, 4096, PROT_READ | PROT_WRITE) != 0)
        _exit(1);
}

START_TEST(a_message_that_comes_with_the_end_is_read)
{
    struct sigaction action = {.sa_handler = end_in_between, .sa_flags = SA_NODEFER};
    struct shmbus_message message;
    closing = create();
    struct shmbus_consumer *consumer = support_join(BUS, SHMBUS_FROM_TAIL);
    hidden = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(hidden, MAP_FAILED);
    ck_assert_int_eq(sigaction(SIGSEGV, &action, NULL), 0);
    consumer->eviction = (const _Atomic uint64_t *)(const void *)hidden;
    struct expect_run run = {0};
    if (_i == 0)
        ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
    else if (_i == 1)
        ck_assert_int_eq(shmbus_consumer_poll(consumer, expect_in_order, &run, 10), 1);
    else
        ck_assert_int_eq(shmbus_consumer_wait(consumer, GUARD_NS), 0);
    ck_assert_ptr_null(closing);
    if (_i == 2)
        expect_next(consumer, 0, 8);
    expect_none(consumer, -EPIPE);
    shmbus_consumer_close(consumer);
    munmap(hidden, 4096);
}
END_TEST

START_TEST(a_kept_bus_goes_on_for_those_that_stayed)
{
    struct shmbus_producer *producer = create();
    struct shmbus_consumer *consumer = support_join(BUS, SHMBUS_FROM_TAIL);
    struct shmbus_message message;
    uint64_t handle;
    publish(producer, 10);
    expect_next(consumer, 0, 100);
    struct expect_run run = {.next = 1};
    ck_assert_int_eq(shmbus_consumer_poll(consumer, expect_in_order, &run, 3), 3);
    message = expect_next(consumer, 4, 100);
    ck_assert_int_eq(shmbus_consumer_retain(consumer, &message, &handle), 0);
    uint64_t sequence = 5;
    for (int round = 0; round < 20; round++) {
        shmbus_producer_close(producer);
        /* The same consumer reads what is left, at times only after the next one has begun. */
        if (round % 3 == 0) {
            read_until(consumer, &sequence, 10 + (uint64_t)round * 5);
            expect_none(consumer, -EPIPE);
        }
        producer = reopen(round % 2);
        ck_assert_uint_eq(shmbus_producer_next_sequence(producer), 10 + (uint64_t)round * 5);
        ck_assert_int_eq(shmbus_producer_required(producer, NULL), 1);
        ck_assert_uint_eq(support_pool(producer, 1).held, 1);
        for (int i = 0; i < 5; i++)
            ck_assert_int_eq(expect_publish(producer, i ? 8 : 100), 0);
        read_until(consumer, &sequence,
                   shmbus_producer_next_sequence(producer) - (uint64_t)(round % 3));
    }
    ck_assert_int_eq(shmbus_consumer_held(consumer, handle, &message), 0);
    ck_assert_uint_eq(message.sequence, 4);
    ck_assert(support_is(message.data, 100, 4));
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(counts_are_carried_on)
{
    struct shmbus_producer *producer = create();
    publish(producer, 10);
    shmbus_producer_close(producer);
    producer = reopen(0);
    publish(producer, 10);
    shmbus_producer_close(producer);
    producer = reopen(1);
    ck_assert_uint_eq(shmbus_producer_next_sequence(producer), 20);
    ck_assert_int_eq(shmbus_producer_flush(producer, 0), 0);
    struct shmbus_snapshot *snapshot = support_look(BUS);
    ck_assert_uint_eq(shmbus_snapshot_producer(snapshot, 0)->published, 20);
    shmbus_snapshot_close(snapshot);
    struct shmbus_pool_stats stats = support_pool(producer, 1);
    ck_assert_uint_eq(stats.acquired, 6);
    ck_assert_uint_le(stats.in_use, 6);
    shmbus_producer_close(producer);
}
END_TEST

static void publish_and_sit(int line, void *unused)
{
    (void)unused;
    struct shmbus_producer *producer = create();
    child_tell(line, 0);
    publish(producer, child_hear(line));
    /* Some of it is in the making when it dies. */
    struct shmbus_claim claim;
    struct shmbus_slab slabs[2];
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 64, 2, slabs), 0);
    ck_assert_int_eq(shmbus_producer_claim(producer, 300, &claim), 0);
    child_tell(line, 0);
    child_hear(line);
}

START_TEST(a_producer_that_was_killed)
{
    struct child child = child_start(publish_and_sit, NULL);
    child_hear(child.line);
    struct shmbus_consumer *consumer = support_join(BUS, SHMBUS_FROM_OLDEST);
    child_tell(child.line, 13);
    child_hear(child.line);
    struct expect_run run = {0};
    ck_assert_int_eq(shmbus_consumer_poll(consumer, expect_in_order, &run, 3), 3);
    child_kill(&child);
    ck_assert_uint_eq(state(), SHMBUS_STATE_DEAD);
    /* First everything that it published. */
    while (run.count < 13) {
        ck_assert_int_eq(shmbus_consumer_wait(consumer, 0), 0);
        ck_assert_int_gt(shmbus_consumer_poll(consumer, expect_in_order, &run, 2), 0);
    }
    ck_assert_int_eq(shmbus_consumer_wait(consumer, _i ? SHMBUS_FOREVER : 0), -EOWNERDEAD);
    ck_assert(support_says("died"));
    expect_none(consumer, 0);

    /* Another one goes on where it was, with what the dead one had taken. */
    struct shmbus_producer *producer = reopen(_i);
    ck_assert_uint_eq(shmbus_producer_next_sequence(producer), 13);
    ck_assert_uint_eq(support_pool(producer, 0).in_use, 0);
    ck_assert_uint_eq(support_pool(producer, 2).in_use, 0);
    ck_assert_int_eq(shmbus_consumer_wait(consumer, 0), -ETIMEDOUT);
    publish(producer, 3);
    ck_assert_int_eq(shmbus_consumer_poll(consumer, expect_in_order, &run, 100), 3);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

/* Publishes without a pause, until it is killed. */
static void publish_for_ever(int line, void *unused)
{
    (void)unused;
    struct shmbus_producer_options how = {.struct_bytes = sizeof how,
                                          .full_timeout_ns = SHMBUS_FOREVER};
    struct shmbus_producer *producer;
    ck_assert_int_eq(shmbus_producer_open(BUS, NULL, &how, 0, &producer), 0);
    child_tell(line, shmbus_producer_next_sequence(producer));
    for (uint64_t i = 0;; i++)
        ck_assert_int_eq(expect_publish(producer, i % 4 ? 8 : 100), 0);
}

START_TEST(producers_killed_at_full_speed_leave_no_gap)
{
    struct shmbus_producer *producer = create();
    struct shmbus_consumer *consumer = support_join(BUS, SHMBUS_FROM_TAIL);
    struct expect_run run = {0};
    shmbus_producer_close(producer);
    uint64_t random = support_seed("killed producers");
    for (int round = 0; round < 30; round++) {
        struct child child = child_start(publish_for_ever, NULL);
        ck_assert_uint_eq(child_hear(child.line), run.next);
        uint64_t target = run.next + support_below(&random, 3000);
        while (run.next < target) {
            ck_assert_int_eq(shmbus_consumer_wait(consumer, GUARD_NS), 0);
            ck_assert_int_gt(shmbus_consumer_poll(consumer, expect_in_order, &run, 8), 0);
        }
        child_kill(&child);
        int result;
        while ((result = shmbus_consumer_wait(consumer, GUARD_NS)) == 0)
            ck_assert_int_gt(shmbus_consumer_poll(consumer, expect_in_order, &run, 8), 0);
        ck_assert_int_eq(result, -EOWNERDEAD);
    }
    producer = reopen(0);
    ck_assert_uint_eq(support_pool(producer, 1).held, 0);
    struct shmbus_slab slabs[8];
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 100, 8, slabs), 0);
    ck_assert_uint_eq(support_pool(producer, 1).in_use, 8);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message ends");
    TCase *tcase = support_case(suite, "ends", 60);
    tcase_add_test(tcase, consumers_read_to_the_end);
    tcase_add_loop_test(tcase, a_message_that_comes_with_the_end_is_read, 0, 3);
    tcase_add_test(tcase, a_kept_bus_goes_on_for_those_that_stayed);
    tcase_add_test(tcase, counts_are_carried_on);
    tcase_add_loop_test(tcase, a_producer_that_was_killed, 0, 2);
    tcase_add_test(tcase, producers_killed_at_full_speed_leave_no_gap);
    return support_run(suite);
}
