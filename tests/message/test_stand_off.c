/* SPDX-License-Identifier: MIT */
/* A consumer that stands off: what is near the producer it leaves alone once, and nothing is lost.
 */
#include "consumer/consumer.h"
#include "expect.h"

#include <errno.h>

#define BUS      "standoff"
#define CAPACITY 1024

static struct shmbus_producer *producer;
static struct shmbus_consumer *consumer;

/* By the short path and, for one that names types, by the general one. */
static void begin(int kind, int by_type)
{
    static uint16_t types[32768]; /* that of a message is its sequence */
    for (uint32_t i = 0; i < 32768; i++)
        types[i] = (uint16_t)i;
    struct shmbus_bus_options bus = expect_bus();
    bus.capacity = CAPACITY;
    producer = support_create(BUS, &bus, NULL);
    struct shmbus_consumer_options options = {.struct_bytes = sizeof options,
                                              .kind = (uint32_t)kind,
                                              .flags = SHMBUS_READ_STAND_OFF,
                                              .types = by_type ? types : NULL,
                                              .type_count = by_type ? 32768 : 0};
    ck_assert_int_eq(shmbus_consumer_open(BUS, &options, &consumer), 0);
}

static void end(void)
{
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}

static void publish(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        ck_assert_int_eq(expect_publish(producer, 8), 0);
}

static int poll(struct expect_run *run)
{
    return shmbus_consumer_poll(consumer, expect_in_order, run, UINT32_MAX);
}

static void begin_case(int index)
{
    begin(index / 2 ? SHMBUS_OPTIONAL : SHMBUS_REQUIRED, index % 2);
}

START_TEST(the_newest_are_read_at_the_second_call)
{
    struct expect_run run = {0};
    begin_case(_i);
    ck_assert_int_eq(poll(&run), 0);
    publish(10);
    ck_assert_int_eq(poll(&run), 10);
    ck_assert_int_eq(poll(&run), 0);
    ck_assert_int_eq(poll(&run), 0);
    publish(10);
    ck_assert_int_eq(poll(&run), 0);
    ck_assert_int_eq(poll(&run), 10);
    /* The one that came right after what was read is left alone. */
    publish(1);
    ck_assert_int_eq(poll(&run), 0);
    ck_assert_int_eq(poll(&run), 1);
    ck_assert_uint_eq(run.next, 21);
    end();
}
END_TEST

START_TEST(far_behind_it_reads_up_to_where_it_stands_off)
{
    struct expect_run run = {0};
    begin_case(_i);
    publish(500);
    int got = poll(&run);
    ck_assert_int_ge(got, 500 - 2 * 64);
    ck_assert_int_le(got, 500 - 64);
    /* Called again, it reads some of them, and so on. */
    ck_assert_int_eq(poll(&run), 64);
    ck_assert_int_eq(poll(&run), 500 - 64 - got);
    ck_assert_int_eq(poll(&run), 0);
    ck_assert_uint_eq(run.next, 500);
    end();
}
END_TEST

START_TEST(next_and_wait_do_as_poll)
{
    begin_case(_i);
    struct shmbus_message message;
    publish(2);
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 0);
    ck_assert_int_eq(shmbus_consumer_wait(consumer, 0), 0);
    expect_next(consumer, 0, 8);
    expect_next(consumer, 1, 8);
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 0);
    publish(1);
    ck_assert_int_eq(shmbus_consumer_wait(consumer, SHMBUS_FOREVER), 0);
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 0);
    ck_assert_int_eq(shmbus_consumer_wait(consumer, SHMBUS_FOREVER), 0);
    expect_next(consumer, 2, 8);
    end();
}
END_TEST

START_TEST(the_end_is_told_when_all_was_read)
{
    struct expect_run run = {0};
    begin_case(_i);
    publish(300);
    shmbus_producer_close(producer);
    producer = NULL;
    int result = 0;
    for (int calls = 0; calls < 1000 && result >= 0; calls++)
        result = poll(&run);
    ck_assert_int_eq(result, -EPIPE);
    ck_assert_uint_eq(run.next, 300);
    end();
}
END_TEST

START_TEST(it_gates_no_longer_than_others)
{
    struct expect_run run = {0};
    begin(SHMBUS_REQUIRED, _i);
    for (uint32_t round = 0; round < 20; round++) {
        publish(CAPACITY);
        ck_assert_int_eq(expect_publish(producer, 8), -EAGAIN);
        while (run.next < (round + 1) * CAPACITY)
            ck_assert_int_ge(poll(&run), 0);
    }
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message stand off");
    TCase *tcase = support_case(suite, "stand off", 60);
    tcase_add_loop_test(tcase, the_newest_are_read_at_the_second_call, 0, 4);
    tcase_add_loop_test(tcase, far_behind_it_reads_up_to_where_it_stands_off, 0, 4);
    tcase_add_loop_test(tcase, next_and_wait_do_as_poll, 0, 4);
    tcase_add_loop_test(tcase, the_end_is_told_when_all_was_read, 0, 4);
    tcase_add_loop_test(tcase, it_gates_no_longer_than_others, 0, 2);
    return support_run(suite);
}
