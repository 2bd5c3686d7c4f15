/* SPDX-License-Identifier: MIT */
/*
 * Parts of the pool: each producer has its own; that of one that is dead or was never there is
 * adopted when slabs run out, and given back when its number is used again.
 */
#include "crew.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

static struct shmbus_bus_options bus;

static struct shmbus_producer_info look_at(uint32_t index)
{
    struct shmbus_snapshot *snapshot = support_look(BUS);
    const struct shmbus_producer_info *found = NULL;
    for (uint32_t i = 0; found == NULL || found->index != index; i++) {
        found = shmbus_snapshot_producer(snapshot, i);
        ck_assert_ptr_nonnull(found);
    }
    struct shmbus_producer_info info = *found;
    shmbus_snapshot_close(snapshot);
    return info;
}

static struct shmbus_pool_stats pool_of_all(uint32_t class_index)
{
    struct shmbus_snapshot *snapshot = support_look(BUS);
    struct shmbus_pool_stats stats = *shmbus_snapshot_pool(snapshot, class_index);
    shmbus_snapshot_close(snapshot);
    return stats;
}

START_TEST(each_has_its_own)
{
    shmbus_unlink(BUS, NULL);
    bus = crew_bus(3);
    struct child children[3];
    for (uint32_t i = 0; i < 3; i++)
        children[i] = crew_start(&bus, i, 0);
    ck_assert_uint_eq(pool_of_all(0).slab_count, 3 * SMALL_COUNT);
    ck_assert_uint_eq(pool_of_all(1).slab_count, 3 * LARGE_COUNT);
    for (uint32_t i = 0; i < 3; i++)
        ck_assert_uint_eq(crew_order(&children[i], CREW_SLABS, 0), LARGE_COUNT);
    ck_assert_uint_eq(pool_of_all(1).in_use, 3 * LARGE_COUNT);
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(look_at(i).part_owner, i + 1);
        crew_order(&children[i], CREW_RELEASE, 0);
        ck_assert_uint_eq(crew_order(&children[i], CREW_SLABS, 0), LARGE_COUNT);
    }
    for (uint32_t i = 0; i < 3; i++)
        crew_close(&children[i]);
    ck_assert_uint_eq(pool_of_all(1).in_use, 0);
}
END_TEST

/* One that was killed with slabs of its own, in messages and in a claim. */
START_TEST(a_dead_ones_is_adopted)
{
    shmbus_unlink(BUS, NULL);
    bus = crew_bus(2);
    struct child child = crew_start(&bus, 1, 0);
    struct shmbus_producer *producer = crew_open(&bus, 0);
    struct shmbus_consumer *consumer = support_join(BUS, SHMBUS_FROM_OLDEST);
    struct shmbus_slab slabs[2 * LARGE_COUNT + 1];
    unsigned char payload[1000];
    memset(payload, 7, sizeof payload);
    ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, payload, 1000), 0);
    ck_assert_uint_eq(crew_order(&child, CREW_SLABS, 0), LARGE_COUNT);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 1000, LARGE_COUNT, slabs), -ENOBUFS);
    child_kill(&child);
    /* Its own but for the one that is not consumed, and all of the dead one's. */
    for (int i = 0; i < 2 * LARGE_COUNT - 1; i++)
        ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 1000, 1, &slabs[i]), 0);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 1000, 1, &slabs[7]), -ENOBUFS);
    struct shmbus_pool_stats stats = support_pool(producer, 1);
    ck_assert_uint_eq(stats.slab_count, 2 * LARGE_COUNT);
    ck_assert_uint_eq(stats.in_use, 2 * LARGE_COUNT);
    for (int i = 0; i < 2 * LARGE_COUNT - 1; i++) {
        memset(slabs[i].data, i, 1000);
        ck_assert_int_eq(
            shmbus_producer_slab_publish(producer, slabs[i].handle, 1000, (uint16_t)i, 0), 0);
        ck_assert_int_eq(shmbus_producer_slab_release(producer, slabs[i].handle), 0);
        ck_assert_int_eq(shmbus_producer_slab_release(producer, slabs[i].handle), -ESTALE);
    }
    struct shmbus_message message;
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
    ck_assert(support_all(message.data, 1000, 7));
    for (int i = 0; i < 2 * LARGE_COUNT - 1; i++) {
        ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
        ck_assert(support_all(message.data, 1000, (unsigned char)i));
    }
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 0);
    for (int i = 0; i < 2 * LARGE_COUNT; i++)
        ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 1000, 1, &slabs[i]), 0);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 1000, 1, &slabs[8]), -ENOBUFS);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
    ck_assert_uint_eq(pool_of_all(1).in_use, 0);
}
END_TEST

START_TEST(it_is_given_back)
{
    shmbus_unlink(BUS, NULL);
    bus = crew_bus(2);
    struct shmbus_producer *producer = crew_open(&bus, 0);
    struct shmbus_slab slabs[2 * LARGE_COUNT];
    for (int i = 0; i < 2 * LARGE_COUNT; i++)
        ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 1000, 1, &slabs[i]), 0);
    struct child child = crew_start(&bus, 8, 0);
    ck_assert_uint_eq(look_at(1).part_owner, 1);
    ck_assert_uint_eq(crew_order(&child, CREW_SLABS, 0), 0);
    /* A message in its slots needs no slab. */
    ck_assert_int_eq((int)crew_order(&child, CREW_PUBLISH, 1), 0);
    /* What is acquired of it by hand keeps it. */
    for (int i = 0; i < 2 * LARGE_COUNT - 1; i++)
        ck_assert_int_eq(shmbus_producer_slab_release(producer, slabs[i].handle), 0);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 1000, LARGE_COUNT, slabs), 0);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 1000, LARGE_COUNT, &slabs[LARGE_COUNT]),
                     -ENOBUFS);
    ck_assert_uint_eq(crew_order(&child, CREW_SLABS, 0), 0);
    ck_assert_int_eq(shmbus_producer_slab_release(producer, slabs[2 * LARGE_COUNT - 1].handle), 0);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 100, SMALL_COUNT, slabs), 0);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 100, SMALL_COUNT, slabs), -ENOBUFS);
    ck_assert_uint_eq(crew_order(&child, CREW_SLABS, 0), LARGE_COUNT);
    ck_assert_uint_eq(look_at(1).part_owner, 2);
    ck_assert_uint_eq(look_at(0).part_owner, 1);
    crew_close(&child);
    shmbus_producer_close(producer);
}
END_TEST

/* A consumer keeps slabs of one that is dead: whoever adopts its part knows. */
START_TEST(what_is_held_stays)
{
    shmbus_unlink(BUS, NULL);
    bus = crew_bus(2);
    struct child child = crew_start(&bus, 1, 0);
    struct shmbus_producer *producer = crew_open(&bus, 0);
    struct shmbus_consumer *consumer = support_join(BUS, SHMBUS_FROM_OLDEST);
    struct shmbus_message message;
    uint64_t kept[4];
    int count = 0;
    ck_assert_int_eq((int)crew_order(&child, CREW_PUBLISH, 8), 0);
    while (shmbus_consumer_next(consumer, &message) == 1)
        if (message.length == 1000)
            ck_assert_int_eq(shmbus_consumer_retain(consumer, &message, &kept[count++]), 0);
    ck_assert_int_gt(count, 0);
    child_kill(&child);
    struct shmbus_slab slabs[2 * LARGE_COUNT];
    for (int i = 0; i < 2 * LARGE_COUNT - count; i++) {
        ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 1000, 1, &slabs[i]), 0);
        memset(slabs[i].data, 0, 1000);
    }
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 1000, 1, &slabs[7]), -ENOBUFS);
    for (int i = 0; i < count; i++) {
        ck_assert_int_eq(shmbus_consumer_held(consumer, kept[i], &message), 0);
        uint64_t key;
        memcpy(&key, message.data, 8);
        ck_assert(support_is((const unsigned char *)message.data + 8, 992, key));
        ck_assert_int_eq(shmbus_consumer_release(consumer, kept[i]), 0);
    }
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 1000, 1, &slabs[7]), 0);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("among parts");
    TCase *tcase = support_case(suite, "parts", 60);
    tcase_add_test(tcase, each_has_its_own);
    tcase_add_test(tcase, a_dead_ones_is_adopted);
    tcase_add_test(tcase, it_is_given_back);
    tcase_add_test(tcase, what_is_held_stays);
    return support_run(suite);
}
