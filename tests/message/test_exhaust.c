/* SPDX-License-Identifier: MIT */
/* A pool that is used up: the error, the counts, the callback, and what makes it go on. */
#include "expect.h"

#include <errno.h>
#include <time.h>

#define BUS "exhaust"

struct told {
    uint64_t calls;
    uint32_t class_index;
    uint64_t exhausted;
};

static void tell(void *context, uint32_t class_index, uint64_t exhausted)
{
    struct told *told = context;
    *told = (struct told){told->calls + 1, class_index, exhausted};
}

static uint64_t exhausted_of_bus(void)
{
    struct shmbus_snapshot *snapshot = support_look(BUS);
    uint64_t count = shmbus_snapshot_producer(snapshot, 0)->exhausted;
    shmbus_snapshot_close(snapshot);
    return count;
}

START_TEST(exhaustion_is_an_error_a_count_and_a_call)
{
    struct told told = {0};
    struct shmbus_producer_options how = {
        .struct_bytes = sizeof how, .on_exhausted = tell, .context = &told};
    struct shmbus_bus_options options = expect_bus();
    struct shmbus_claim lent = {.room = 99};
    struct shmbus_producer *producer = support_create(BUS, &options, &how);
    struct shmbus_consumer *consumer = support_join(BUS, SHMBUS_FROM_TAIL);
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(expect_publish(producer, 100), 0);
    ck_assert_uint_eq(told.calls, 0);

    ck_assert_int_eq(expect_publish(producer, 100), -ENOBUFS);
    ck_assert(support_says("slab"));
    ck_assert_uint_eq(told.calls, 1);
    ck_assert_uint_eq(told.class_index, 1);
    ck_assert_uint_eq(told.exhausted, 1);
    ck_assert_int_eq(shmbus_producer_claim(producer, 100, &lent), -ENOBUFS);
    ck_assert_uint_eq(lent.room, 99);
    struct shmbus_slab slabs[2];
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 100, 2, slabs), -ENOBUFS);
    ck_assert_uint_eq(told.calls, 3);
    ck_assert_uint_eq(told.exhausted, 3);
    struct shmbus_pool_stats stats = support_pool(producer, 1);
    ck_assert_uint_eq(stats.exhausted, 3);
    ck_assert_uint_eq(stats.in_use, 8);
    ck_assert_uint_eq(stats.high_water, 8);
    ck_assert_uint_eq(support_pool(producer, 0).exhausted, 0);
    ck_assert_uint_eq(exhausted_of_bus(), 3);

    /* The other classes, and the ring, go on; nothing is out of order. */
    ck_assert_int_eq(expect_publish(producer, 60), 0);
    ck_assert_int_eq(expect_publish(producer, 10), 0);
    ck_assert_int_eq(expect_publish(producer, 200), 0);
    struct expect_run run = {0};
    ck_assert_int_eq(shmbus_consumer_poll(consumer, expect_in_order, &run, 100), 11);
    ck_assert_int_eq(expect_publish(producer, 100), 0);
    ck_assert_uint_eq(told.calls, 3);
    ck_assert_uint_eq(support_pool(producer, 1).high_water, 8);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(counts_follow_acquire_and_release)
{
    struct shmbus_bus_options options = expect_bus();
    struct shmbus_slab slabs[8];
    struct shmbus_producer *producer = support_create(BUS, &options, NULL);
    for (uint32_t count = 1; count <= 6; count++) {
        struct shmbus_pool_stats before = support_pool(producer, 0);
        ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 64, count, slabs), 0);
        struct shmbus_pool_stats stats = support_pool(producer, 0);
        ck_assert_uint_eq(stats.acquired, before.acquired + count);
        ck_assert_uint_eq(stats.released, before.released);
        ck_assert_uint_eq(stats.in_use, count);
        ck_assert_uint_eq(stats.high_water, count);
        for (uint32_t i = 0; i < count; i++)
            ck_assert_int_eq(shmbus_producer_slab_release(producer, slabs[i].handle), 0);
        stats = support_pool(producer, 0);
        ck_assert_uint_eq(stats.released, stats.acquired);
        ck_assert_uint_eq(stats.in_use, 0);
        ck_assert_uint_eq(stats.slab_bytes, 64);
        ck_assert_uint_eq(stats.slab_count, 8);
    }
    struct shmbus_pool_stats none;
    ck_assert_int_eq(shmbus_producer_pool_stats(producer, 3, &none), -EINVAL);
    ck_assert_int_eq(shmbus_producer_pool_stats(producer, UINT32_MAX, &none), -EINVAL);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(many_at_once_come_back_however_far_apart_they_lie)
{
    /* A ring of 256 and 16 slabs, the messages that refer to them spread over all of it: more than
     * one raise of the floor is needed, and nobody is in the way. */
    struct shmbus_bus_options options = expect_bus();
    struct told told = {0};
    struct shmbus_producer_options how = {
        .struct_bytes = sizeof how, .on_exhausted = tell, .context = &told};
    struct shmbus_slab slabs[16];
    options.capacity = 256;
    options.class_count = 1;
    options.classes[0].slab_count = 16;
    struct shmbus_producer *producer = support_create(BUS, &options, &how);
    for (int i = 0; i < 256; i++)
        ck_assert_int_eq(expect_publish(producer, i % 16 == 0 ? 60 : 8), 0);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 60, 16, slabs), 0);
    ck_assert_uint_eq(told.calls, 0);
    ck_assert_uint_eq(support_pool(producer, 0).exhausted, 0);
    shmbus_producer_close(producer);
}
END_TEST

/* Reads slowly for as long as there is something, holding each slab for a while. */
static void read_and_hold(int line, void *unused)
{
    (void)unused;
    struct shmbus_consumer *reader = support_join(BUS, SHMBUS_FROM_OLDEST);
    struct shmbus_message message;
    uint64_t handles[4] = {0};
    uint64_t count = 0;
    child_tell(line, 0);
    int result;
    while ((result = shmbus_consumer_wait(reader, GUARD_NS)) == 0) {
        ck_assert_int_eq(shmbus_consumer_next(reader, &message), 1);
        uint64_t *handle = &handles[count++ % 4];
        if (*handle != 0)
            ck_assert_int_eq(shmbus_consumer_release(reader, *handle), 0);
        ck_assert_int_eq(shmbus_consumer_retain(reader, &message, handle), 0);
    }
    ck_assert_int_eq(result, -EPIPE);
    shmbus_consumer_close(reader);
    child_tell(line, count);
}

START_TEST(with_time_it_waits_for_a_slab)
{
    struct shmbus_producer_options how = {.struct_bytes = sizeof how, .full_timeout_ns = GUARD_NS};
    struct shmbus_bus_options options = expect_bus();
    struct shmbus_producer *producer = support_create(BUS, &options, &how);
    struct child reader = child_start(read_and_hold, NULL);
    child_hear(reader.line);
    for (int i = 0; i < 2000; i++)
        ck_assert_int_eq(expect_publish(producer, 100), 0);
    shmbus_producer_close(producer);
    ck_assert_uint_eq(child_hear(reader.line), 2000);
    child_end(&reader);
}
END_TEST

START_TEST(the_time_is_waited_at_least)
{
    struct shmbus_producer_options how = {.struct_bytes = sizeof how, .full_timeout_ns = 20000000};
    struct shmbus_bus_options options = expect_bus();
    struct shmbus_slab slabs[8];
    struct timespec before;
    struct timespec after;
    struct shmbus_producer *producer = support_create(BUS, &options, &how);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 64, 8, slabs), 0);
    clock_gettime(CLOCK_MONOTONIC, &before);
    ck_assert_int_eq(expect_publish(producer, 60), -ENOBUFS);
    clock_gettime(CLOCK_MONOTONIC, &after);
    ck_assert_int_ge((after.tv_sec - before.tv_sec) * SECOND_NS + after.tv_nsec - before.tv_nsec,
                     20000000);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message exhaust");
    TCase *tcase = support_case(suite, "exhaust", 60);
    tcase_add_test(tcase, exhaustion_is_an_error_a_count_and_a_call);
    tcase_add_test(tcase, counts_follow_acquire_and_release);
    tcase_add_test(tcase, many_at_once_come_back_however_far_apart_they_lie);
    tcase_add_test(tcase, with_time_it_waits_for_a_slab);
    tcase_add_test(tcase, the_time_is_waited_at_least);
    return support_run(suite);
}
