/* SPDX-License-Identifier: MIT */
/* Where a consumer begins: at the tail, at the oldest, at a sequence; and while the bus runs. */
#include "expect.h"
#include "producer/producer.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BUS "join"

static struct shmbus_producer *producer;

static void begin(uint64_t first)
{
    struct shmbus_bus_options options = expect_bus();
    options.first_sequence = first;
    producer = support_create(BUS, &options, NULL);
}

static int join_at(uint64_t sequence, struct shmbus_consumer **out_consumer)
{
    struct shmbus_consumer_options how = {.struct_bytes = sizeof how,
                                          .kind = SHMBUS_REQUIRED,
                                          .from = SHMBUS_FROM_SEQUENCE,
                                          .from_sequence = sequence};
    return shmbus_consumer_open(BUS, &how, out_consumer);
}

static uint64_t floor_now(void)
{
    struct shmbus_snapshot *snapshot = support_look(BUS);
    uint64_t found = shmbus_snapshot_bus(snapshot)->floor;
    shmbus_snapshot_close(snapshot);
    return found;
}

/* Reads from a sequence to the tail. */
static void reads_from(struct shmbus_consumer *consumer, uint64_t from)
{
    struct expect_run run = {.next = from};
    int expected = (int)(shmbus_producer_next_sequence(producer) - from);
    ck_assert_int_eq(shmbus_consumer_poll(consumer, expect_in_order, &run, 1000), expected);
    shmbus_consumer_close(consumer);
}

START_TEST(tail_oldest_and_every_sequence_between)
{
    struct shmbus_consumer *none = NULL;
    char text[32];
    begin(1000);
    for (uint64_t tail = 1000; tail < 1050; tail++) {
        uint64_t oldest = floor_now();
        struct shmbus_consumer *consumer = support_join(BUS, SHMBUS_FROM_TAIL);
        expect_none(consumer, 0);
        reads_from(consumer, tail);
        reads_from(support_join(BUS, SHMBUS_FROM_OLDEST), oldest);
        for (uint64_t sequence = oldest; sequence <= tail; sequence++) {
            ck_assert_int_eq(join_at(sequence, &consumer), 0);
            reads_from(consumer, sequence);
        }
        static const uint64_t far[] = {0, 1, UINT64_MAX};
        uint64_t wrong[] = {oldest - 1, tail + 1, far[0], far[1], far[2]};
        for (size_t i = 0; i < 5; i++) {
            ck_assert_int_eq(join_at(wrong[i], &none), -ERANGE);
            snprintf(text, sizeof text, "oldest is %" PRIu64 ",", oldest);
            ck_assert_msg(support_says(text), "%s", shmbus_error_text());
            snprintf(text, sizeof text, "next %" PRIu64, tail);
            ck_assert_msg(support_says(text), "%s", shmbus_error_text());
        }
        ck_assert_ptr_null(none);
        ck_assert_int_eq(shmbus_producer_required(producer, NULL), 0);
        ck_assert_int_eq(expect_publish(producer, tail % 2 ? 8 : 100), 0);
    }
    shmbus_producer_close(producer);
}
END_TEST

static uint64_t raised_from; /* 0, or what the floor comes down to */

/* The library's waits come by here, and so do others: the raise of the floor is over. */
int sched_yield(void)
{
    if (raised_from != 0)
        atomic_store_explicit(&producer->entry->floor, raised_from, memory_order_seq_cst);
    raised_from = 0;
    return (int)syscall(SYS_sched_yield);
}

START_TEST(in_the_middle_of_a_raise)
{
    begin(1000);
    struct shmbus_consumer *keeper = support_join(BUS, SHMBUS_FROM_TAIL);
    for (int i = 0; i < 12; i++)
        ck_assert_int_eq(expect_publish(producer, 8), 0);
    for (uint64_t sequence = 1000; sequence <= 1012; sequence++) {
        struct shmbus_consumer *consumer;
        raised_from = 1000;
        atomic_store_explicit(&producer->entry->floor, 1012, memory_order_seq_cst);
        int result = join_at(sequence, &consumer);
        raised_from = 0;
        ck_assert_msg(result == 0, "%s", shmbus_error_text());
        reads_from(consumer, sequence);
    }
    reads_from(keeper, 1000);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(every_entry_is_taken)
{
    struct shmbus_consumer *consumers[8];
    struct shmbus_consumer_options how = {.struct_bytes = sizeof how, .kind = SHMBUS_REQUIRED};
    struct shmbus_consumer *more = NULL;
    begin(0);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 8; i++)
            consumers[i] = support_join(BUS, SHMBUS_FROM_TAIL);
        ck_assert_int_eq(shmbus_consumer_open(BUS, &how, &more), -EUSERS);
        ck_assert(support_says("8"));
        ck_assert_ptr_null(more);
        ck_assert_int_eq(expect_publish(producer, 100), 0);
        for (int i = 0; i < 8; i++) {
            expect_next(consumers[i], (uint64_t)round, 100);
            shmbus_consumer_close(consumers[i]);
        }
    }
    shmbus_producer_close(producer);
}
END_TEST

/* Publishes at full speed until it is told that this is enough. */
static void publish_fast(int line, void *unused)
{
    (void)unused;
    struct shmbus_producer_options how = {.struct_bytes = sizeof how, .full_timeout_ns = GUARD_NS};
    struct shmbus_bus_options options = expect_bus();
    options.capacity = 64;
    producer = support_create(BUS, &options, &how);
    child_tell(line, 0);
    for (uint64_t i = 0; !child_has_said(line); i++)
        for (int j = 0; j < 100; j++)
            ck_assert_int_eq(expect_publish(producer, i % 4 ? 8 : 100), 0);
    shmbus_producer_close(producer);
}

/* Begins somewhere, reads for a while, and leaves. */
static void visit(uint64_t *random)
{
    struct shmbus_message message;
    struct shmbus_consumer *consumer = support_join(BUS, (uint32_t)support_below(random, 2));
    ck_assert_int_eq(shmbus_consumer_wait(consumer, GUARD_NS), 0);
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
    uint64_t first = message.sequence;
    struct expect_run run = {.next = first + 1};
    ck_assert(support_is(message.data, message.length, first));
    uint64_t target = first + support_below(random, 400);
    while (run.next < target) {
        ck_assert_int_eq(shmbus_consumer_wait(consumer, GUARD_NS), 0);
        ck_assert_int_gt(shmbus_consumer_poll(consumer, expect_in_order, &run, 50), 0);
    }
    /* Another one begins where this one is: nothing is lost between the two, whatever the floor is
     * being raised to meanwhile. */
    struct shmbus_consumer *heir = NULL;
    struct shmbus_consumer_stats stats;
    ck_assert_int_eq(shmbus_consumer_stats(consumer, &stats), 0);
    ck_assert_uint_eq(stats.cursor, run.next);
    int result = join_at(run.next, &heir);
    /* A producer that has lost its core in the middle of a raise is waited for, but not for ever.
     */
    for (int i = 0; result == -ERANGE && i < 2000; i++)
        result = join_at(run.next, &heir);
    shmbus_consumer_close(consumer);
    ck_assert_msg(result == 0, "%d: %s", result, shmbus_error_text());
    ck_assert_int_eq(shmbus_consumer_wait(heir, GUARD_NS), 0);
    ck_assert_int_gt(shmbus_consumer_poll(heir, expect_in_order, &run, 50), 0);
    shmbus_consumer_close(heir);
}

START_TEST(joining_at_full_speed_sees_no_gap)
{
    uint64_t random = support_seed("joins");
    struct child child = child_start(publish_fast, NULL);
    child_hear(child.line);
    for (int round = 0; round < 400; round++)
        visit(&random);
    child_tell(child.line, 0);
    child_end(&child);
}
END_TEST

/* Publishes so fast that the floor runs away under whoever joins. */
static void publish_small(int line, void *unused)
{
    (void)unused;
    struct shmbus_producer_options how = {.struct_bytes = sizeof how, .full_timeout_ns = GUARD_NS};
    struct shmbus_bus_options options = expect_bus();
    producer = support_create(BUS, &options, &how);
    child_tell(line, 0);
    uint64_t sequence = 0;
    while (sequence % 1024 != 0 || !child_has_said(line)) {
        ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, &sequence, 8), 0);
        sequence++;
    }
    shmbus_producer_close(producer);
}

START_TEST(joining_while_the_floor_runs)
{
    struct child child = child_start(publish_small, NULL);
    child_hear(child.line);
    for (int round = 0; round < 3000; round++) {
        struct shmbus_consumer *consumer = support_join(BUS, _i ? SHMBUS_FROM_OLDEST : 0);
        struct shmbus_message message;
        for (int i = 0; i < 3; i++) {
            ck_assert_int_eq(shmbus_consumer_wait(consumer, GUARD_NS), 0);
            ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
            ck_assert_uint_eq(*(const uint64_t *)message.data, message.sequence);
        }
        shmbus_consumer_close(consumer);
    }
    child_tell(child.line, 0);
    child_end(&child);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message join");
    TCase *tcase = support_case(suite, "join", 60);
    tcase_add_test(tcase, tail_oldest_and_every_sequence_between);
    tcase_add_test(tcase, in_the_middle_of_a_raise);
    tcase_add_test(tcase, every_entry_is_taken);
    tcase_add_loop_test(tcase, joining_while_the_floor_runs, 0, 2);
    tcase_add_test(tcase, joining_at_full_speed_sees_no_gap);
    return support_run(suite);
}
