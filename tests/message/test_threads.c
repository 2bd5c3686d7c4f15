/* SPDX-License-Identifier: MIT */
/*
 * A debug build says so when two threads are inside one object. Deterministic: the second thread is
 * started from a callback, calls, and has ended before the callback returns.
 */
#include "expect.h"

#include <errno.h>
#include <pthread.h>

#define BUS "threads"

static struct shmbus_producer *producer;
static struct shmbus_consumer *consumer;
static struct shmbus_message message;
static struct shmbus_slab slab;
static struct shmbus_claim claim;
static uint64_t handle;
static int expected; /* of every call: -EBUSY, or not */

static void begin(void (*on_exhausted)(void *, uint32_t, uint64_t))
{
    struct shmbus_producer_options how = {
        .struct_bytes = sizeof how, .full_timeout_ns = 0, .on_exhausted = on_exhausted};
    struct shmbus_bus_options options = expect_bus();
    producer = support_create(BUS, &options, &how);
    consumer = support_join(BUS, SHMBUS_FROM_TAIL);
    ck_assert_int_eq(expect_publish(producer, 100), 0);
    message = expect_next(consumer, 0, 100);
    ck_assert_int_eq(shmbus_consumer_retain(consumer, &message, &handle), 0);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 64, 1, &slab), 0);
}

static void end(void)
{
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}

static void is(int result)
{
    if (expected == -EBUSY) {
        ck_assert_int_eq(result, -EBUSY);
        ck_assert(support_says("two threads"));
    } else {
        ck_assert(result != -EBUSY || !support_says("two threads"));
    }
}

static void *use_consumer(void *unused)
{
    (void)unused;
    struct shmbus_message other;
    struct shmbus_consumer_stats stats;
    uint64_t count = 0;
    uint64_t copy = 0;
    is(shmbus_consumer_retain(consumer, &message, &copy));
    is(shmbus_consumer_copy(consumer, handle, &copy));
    is(shmbus_consumer_held(consumer, handle, &other));
    is(shmbus_consumer_release(consumer, handle));
    is(shmbus_consumer_stats(consumer, &stats));
    is(shmbus_consumer_wait(consumer, 0));
    is(shmbus_consumer_next(consumer, &other));
    is(shmbus_consumer_poll(consumer, expect_any, &count, 10));
    return NULL;
}

static void *use_producer(void *unused)
{
    (void)unused;
    struct shmbus_outgoing one = {"x", 1, 0, 0};
    struct shmbus_pool_stats pool;
    struct shmbus_placement placement;
    struct shmbus_slab more;
    is(shmbus_producer_claim(producer, 8, &claim));
    is(shmbus_producer_commit(producer, &claim, 0, 0));
    is(shmbus_producer_abort(producer, &claim));
    is(shmbus_producer_publish(producer, 0, 0, "x", 1));
    is(shmbus_producer_publish_batch(producer, &one, 1));
    is(shmbus_producer_slab_acquire(producer, 4096, 1, &more));
    is(shmbus_producer_slab_publish(producer, slab.handle, 1, 0, 0));
    is(shmbus_producer_slab_release(producer, slab.handle));
    is(shmbus_producer_flush(producer, 0));
    is(shmbus_producer_wait_consumed(producer, 0, 0));
    is(shmbus_producer_required(producer, NULL));
    is(shmbus_producer_pool_stats(producer, 0, &pool));
    is(shmbus_producer_placement(producer, &placement));
    return NULL;
}

static void in_another_thread(void *(*use)(void *), int result)
{
    pthread_t thread;
    expected = result;
    ck_assert_int_eq(pthread_create(&thread, NULL, use, NULL), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

static int handle_it(const struct shmbus_message *given, void *count)
{
    uint64_t copy;
    in_another_thread(use_consumer, -EBUSY);
    /* The other object is free. */
    in_another_thread(use_producer, 0);
    /* This thread may call again from its own callback. */
    ck_assert_int_eq(shmbus_consumer_retain(consumer, given, &copy), 0);
    in_another_thread(use_consumer, -EBUSY);
    ck_assert_int_eq(shmbus_consumer_release(consumer, copy), 0);
    in_another_thread(use_consumer, -EBUSY);
    ++*(uint64_t *)count;
    return 1;
}

START_TEST(inside_poll)
{
    uint64_t count = 0;
    begin(NULL);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(expect_publish(producer, 8), 0);
        ck_assert_int_eq(shmbus_consumer_poll(consumer, handle_it, &count, 10), 1);
    }
    ck_assert_uint_eq(count, 3);
    /* One thread at a time is no offence, whichever it is. */
    in_another_thread(use_consumer, 0);
    in_another_thread(use_consumer, 0);
    end();
}
END_TEST

static uint64_t calls;

static void handle_exhaustion(void *context, uint32_t class_index, uint64_t exhausted)
{
    (void)context;
    (void)class_index;
    (void)exhausted;
    in_another_thread(use_producer, -EBUSY);
    in_another_thread(use_consumer, 0);
    calls++;
}

START_TEST(inside_the_producers_callback)
{
    struct shmbus_slab slabs[7];
    begin(handle_exhaustion);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 64, 7, slabs), 0);
    ck_assert_int_eq(expect_publish(producer, 60), -ENOBUFS);
    ck_assert_int_eq(shmbus_producer_claim(producer, 60, &claim), -ENOBUFS);
    ck_assert_uint_eq(calls, 2);
    in_another_thread(use_producer, 0);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message threads");
    TCase *tcase = support_case(suite, "threads", 60);
    tcase_add_test(tcase, inside_poll);
    tcase_add_test(tcase, inside_the_producers_callback);
    return support_run(suite);
}
