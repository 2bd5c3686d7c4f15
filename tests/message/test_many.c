/* SPDX-License-Identifier: MIT */
/* Many buses, producers and consumers in one process, of one thread and of several. */
#include "expect.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#define BUSES   6
#define READERS 3

static struct shmbus_producer *producers[BUSES];
static struct shmbus_consumer *consumers[BUSES][READERS];
static uint64_t read_up_to[BUSES][READERS];

static void begin(void)
{
    char name[16];
    for (int bus = 0; bus < BUSES; bus++) {
        struct shmbus_bus_options options = expect_bus();
        options.capacity = UINT64_C(16) << bus;
        options.slot_bytes = 32u << bus;
        options.flags = bus % 2 ? SHMBUS_BUS_TIMESTAMPS : 0;
        options.first_sequence = (uint64_t)bus * 1000000;
        snprintf(name, sizeof name, "many.%d", bus);
        producers[bus] = support_create(name, &options, NULL);
        for (int i = 0; i < READERS; i++) {
            consumers[bus][i] = support_join(name, SHMBUS_FROM_TAIL);
            read_up_to[bus][i] = options.first_sequence;
        }
    }
}

static void end(void)
{
    for (int bus = 0; bus < BUSES; bus++) {
        for (int i = 0; i < READERS; i++)
            shmbus_consumer_close(consumers[bus][i]);
        shmbus_producer_close(producers[bus]);
    }
}

static void read_some(int bus, int i, uint32_t most)
{
    struct expect_run run = {.next = read_up_to[bus][i]};
    ck_assert_int_ge(shmbus_consumer_poll(consumers[bus][i], expect_in_order, &run, most), 0);
    read_up_to[bus][i] = run.next;
}

START_TEST(one_thread_of_many_buses)
{
    uint64_t random = support_seed("many buses");
    begin();
    for (int step = 0; step < 20000; step++) {
        int bus = (int)support_below(&random, BUSES);
        int i = (int)support_below(&random, READERS);
        if (support_below(&random, 3)) {
            read_some(bus, i, (uint32_t)support_below(&random, 20));
            continue;
        }
        int result = expect_publish(producers[bus], (uint32_t)support_below(&random, 300));
        if (result < 0) {
            ck_assert_msg(result == -EAGAIN || result == -ENOBUFS, "%d", result);
            for (int j = 0; j < READERS; j++)
                read_some(bus, j, 1000);
        }
    }
    for (int bus = 0; bus < BUSES; bus++)
        for (int i = 0; i < READERS; i++) {
            read_some(bus, i, UINT32_MAX);
            ck_assert_uint_eq(read_up_to[bus][i], shmbus_producer_next_sequence(producers[bus]));
        }
    end();
}
END_TEST

/* A consumer is handed the messages of one bus and publishes on another. */
static int relay(const struct shmbus_message *message, void *producer)
{
    ck_assert_int_eq(
        shmbus_producer_publish(producer, message->type, 0, message->data, message->length), 0);
    return 0;
}

START_TEST(from_bus_to_bus_inside_a_callback)
{
    begin();
    /* The first sequences differ, so what is on a bus is told by its type. */
    for (int i = 0; i < 500; i++) {
        ck_assert_int_eq(expect_publish(producers[0], 100), 0);
        for (int bus = 0; bus + 1 < BUSES; bus++)
            ck_assert_int_eq(shmbus_consumer_poll(consumers[bus][0], relay, producers[bus + 1], 10),
                             1);
        for (int bus = 0; bus < BUSES; bus++)
            for (int j = bus + 1 < BUSES; j < READERS; j++) {
                struct shmbus_message message;
                ck_assert_int_eq(shmbus_consumer_next(consumers[bus][j], &message), 1);
                ck_assert_uint_eq(message.type, i);
                ck_assert(support_is(message.data, 100, (uint64_t)i));
                ck_assert_int_eq(shmbus_consumer_next(consumers[bus][j], &message), 0);
            }
    }
    end();
}
END_TEST

static void *read_to_the_end(void *name)
{
    struct shmbus_consumer *consumer = support_join(name, SHMBUS_FROM_OLDEST);
    struct expect_run run = {0};
    int result;
    while ((result = shmbus_consumer_wait(consumer, GUARD_NS)) == 0)
        ck_assert_int_gt(shmbus_consumer_poll(consumer, expect_in_order, &run, 100), 0);
    shmbus_consumer_close(consumer);
    ck_assert_int_eq(result, -EPIPE);
    ck_assert_uint_eq(run.count, 20000);
    return NULL;
}

/* The producer was opened by another thread, and is this one's from here on. */
static void *publish_to_the_end(void *producer)
{
    while (shmbus_producer_required(producer, NULL) < 2)
        ;
    for (uint32_t i = 0; i < 20000; i++)
        ck_assert_int_eq(expect_publish(producer, i % 120), 0);
    shmbus_producer_close(producer);
    return NULL;
}

START_TEST(a_thread_for_each_object)
{
    static char names[2][16] = {"thread.0", "thread.1"};
    struct shmbus_producer_options how = {.struct_bytes = sizeof how, .full_timeout_ns = GUARD_NS};
    pthread_t threads[6];
    for (int bus = 0; bus < 2; bus++) {
        struct shmbus_bus_options options = expect_bus();
        options.capacity = 64;
        producers[bus] = support_create(names[bus], &options, &how);
    }
    for (int i = 0; i < 6; i++) {
        int bus = i / 3;
        int result = i % 3 ? pthread_create(&threads[i], NULL, read_to_the_end, names[bus])
                           : pthread_create(&threads[i], NULL, publish_to_the_end, producers[bus]);
        ck_assert_int_eq(result, 0);
    }
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message many");
    TCase *tcase = support_case(suite, "many", 60);
    tcase_add_test(tcase, one_thread_of_many_buses);
    tcase_add_test(tcase, from_bus_to_bus_inside_a_callback);
    tcase_add_test(tcase, a_thread_for_each_object);
    return support_run(suite);
}
