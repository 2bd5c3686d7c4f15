/* SPDX-License-Identifier: MIT */
/*
 * Those that were gone come back, at their old place or anew: who runs after them then, from where
 * on; and followers that come back or join again themselves.
 */
#include "rig.h"

#include <errno.h>

#define LONG_NS  (3600 * SECOND_NS)
#define QUIET_NS (100 * MILLISECOND) /* five looks at who lives */

/* A place that is kept holds back whoever runs after it, whatever was asked for. */
START_TEST(with_grace_it_goes_on)
{
    struct staged second;
    const struct stage stage = {.name = "first", .grace_ns = LONG_NS};
    struct shmbus_producer *producer = rig_create(0, 0);
    struct child first = stage_start(&stage);
    rig_join(&(struct stage){.name = "second", .after = "first", .gone = (uint32_t)_i & 1},
             &second);
    rig_publish(producer, 10);
    ck_assert_uint_eq(stage_order(&first, RIG_TAKE, 4), 4);
    rig_takes(&second, 4);
    child_kill(&first);
    if (_i & 2)
        ck_assert_int_eq(shmbus_reap(BUS, NULL), 1);
    /* The one that waits for it puts it in grace if nobody else does. */
    while (rig_look("first").life != SHMBUS_LIFE_GRACE)
        rig_takes(&second, 0);
    rig_gets_nothing(&second, QUIET_NS);
    first = stage_start(&stage);
    rig_takes(&second, 0);
    ck_assert_uint_eq(stage_order(&first, RIG_TAKE, 3), 7);
    rig_takes(&second, 3);
    ck_assert_uint_eq(stage_order(&first, RIG_TAKE, 3), 10);
    rig_takes(&second, 3);
    ck_assert_uint_eq(second.gone + second.back, 0);
    stage_leave(&first);
    rig_leave(&second);
    shmbus_producer_close(producer);
}
END_TEST

/* When its time is over it is gone, and the one that waits for it finds that out by itself. */
START_TEST(after_its_grace_it_is_gone)
{
    struct staged first;
    struct staged second;
    uint32_t gone = (uint32_t)_i;
    struct shmbus_producer *producer = rig_create(0, 0);
    struct child child =
        stage_start(&(struct stage){.name = "first", .grace_ns = 200 * MILLISECOND});
    rig_join(&(struct stage){.name = "second", .after = "first", .gone = gone}, &second);
    rig_publish(producer, 10);
    ck_assert_uint_eq(stage_order(&child, RIG_TAKE, 4), 4);
    rig_takes(&second, 4);
    child_kill(&child);
    while (second.gone == 0) {
        int result = rig_take(&second, 10);
        ck_assert_int_eq(result, second.gone > 0 && gone == SHMBUS_AFTER_GO_ON ? 6 : 0);
    }
    ck_assert(!rig_is_there("first"));
    if (gone == SHMBUS_AFTER_WAIT) {
        rig_gets_nothing(&second, QUIET_NS);
        rig_join(&(struct stage){.name = "first", .grace_ns = LONG_NS}, &first);
        rig_takes(&second, 6);
        ck_assert_uint_eq(second.back, 1);
        rig_leave(&first);
    }
    rig_leave(&second);
    shmbus_producer_close(producer);
}
END_TEST

/* One of its name that joins anew is run after from then on, wherever it begins. */
START_TEST(anew)
{
    struct staged first;
    struct staged second;
    struct shmbus_producer *producer = rig_create(0, 0);
    struct child child = stage_start(&(struct stage){.name = "first"});
    rig_join(&(struct stage){.name = "second", .after = "first"}, &second);
    rig_publish(producer, 10);
    ck_assert_uint_eq(stage_order(&child, RIG_TAKE, 4), 4);
    rig_takes(&second, 4);
    child_kill(&child);
    while (second.gone == 0)
        rig_takes(&second, 0);
    if (_i == 0) {
        /* At the oldest: below where the one before stood, what it had passed stays passed. */
        rig_join(&(struct stage){.name = "first", .from = SHMBUS_FROM_OLDEST}, &first);
        ck_assert_uint_eq(first.next, 0);
        rig_takes(&second, 0);
        ck_assert_uint_eq(second.back, 1);
        rig_gets(&first, 4);
        rig_takes(&second, 0);
        rig_gets(&first, 1);
        rig_takes(&second, 1);
        rig_gets(&first, 5);
        rig_takes(&second, 5);
    } else {
        /* At the tail: what lies between was passed by nobody, and is not waited for any more. */
        rig_join(&(struct stage){.name = "first"}, &first);
        ck_assert_uint_eq(first.next, 10);
        rig_takes(&second, 6);
        ck_assert_uint_eq(second.back, 1);
        rig_publish(producer, 1);
        rig_takes(&second, 0);
        rig_gets(&first, 1);
        rig_takes(&second, 1);
    }
    ck_assert_uint_eq(second.gone, 1);
    rig_leave(&first);
    rig_leave(&second);
    shmbus_producer_close(producer);
}
END_TEST

/* The next one is there before the one before leaves: nothing is waited for, and nobody told. */
START_TEST(handed_over)
{
    struct staged old;
    struct staged new;
    struct staged second;
    struct shmbus_producer *producer = rig_create(0, 0);
    rig_join(&(struct stage){.name = "first"}, &old);
    rig_join(&(struct stage){.name = "second", .after = "first"}, &second);
    rig_publish(producer, 5);
    rig_takes(&old, 5);
    rig_join(&(struct stage){.name = "first"}, &new);
    rig_publish(producer, 5);
    rig_gets(&old, 2);
    rig_takes(&second, 7);
    rig_gets(&new, 4);
    rig_leave(&old);
    rig_takes(&second, 2);
    rig_gets(&new, 1);
    rig_takes(&second, 1);
    ck_assert_uint_eq(second.gone + second.back, 0);
    rig_leave(&new);
    rig_leave(&second);
    shmbus_producer_close(producer);
}
END_TEST

/* An entry that another consumer takes at once is not that of the one before, though its words say
 * the same name. */
START_TEST(in_the_same_entry)
{
    struct staged first;
    struct staged second;
    struct shmbus_producer *producer = rig_create(0, 0);
    rig_join(&(struct stage){.name = "first"}, &first);
    rig_join(&(struct stage){.name = "second", .after = "first", .gone = (uint32_t)_i}, &second);
    uint32_t entry = rig_look("first").entry;
    rig_publish(producer, 10);
    rig_gets(&first, 4);
    rig_takes(&second, 4);
    rig_leave(&first);
    rig_join(&(struct stage){.name = _i ? "first" : "other"}, &first);
    ck_assert_uint_eq(rig_look(_i ? "first" : "other").entry, entry);
    ck_assert_uint_eq(first.next, 10);
    if (_i == SHMBUS_AFTER_GO_ON) {
        rig_publish(producer, 3);
        rig_takes(&second, 9);
    } else {
        rig_takes(&second, 0);
    }
    ck_assert_uint_eq(second.gone, 1);
    ck_assert_uint_eq(second.back, 0);
    rig_leave(&first);
    rig_leave(&second);
    shmbus_producer_close(producer);
}
END_TEST

/* Publishes until the ring is full, and goes on trying until this one is evicted for it. */
static void until_evicted(struct shmbus_producer *producer, const char *name)
{
    rig_publish(producer, CAPACITY / 2);
    while (rig_look(name).life != SHMBUS_LIFE_EVICTED)
        ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, NULL, 0), -EAGAIN);
}

/* One that was evicted joins again: with the wait it is run after again. */
START_TEST(after_eviction)
{
    struct staged first;
    struct staged second;
    struct shmbus_producer *producer = rig_create(SHMBUS_BUS_EVICT, 0);
    rig_join(&(struct stage){.name = "first"}, &first);
    rig_join(&(struct stage){.name = "second", .after = "first"}, &second);
    rig_publish(producer, CAPACITY / 2);
    rig_takes(&first, CAPACITY / 2);
    rig_takes(&second, CAPACITY / 2);
    rig_publish(producer, CAPACITY / 2);
    until_evicted(producer, "first");
    ck_assert_uint_eq(rig_look("second").life, SHMBUS_LIFE_ALIVE);
    rig_takes(&second, 0);
    ck_assert_uint_eq(second.gone, 1);
    ck_assert_int_eq(rig_take(&first, 1), -ESTALE);
    ck_assert_int_eq(shmbus_consumer_rejoin(first.consumer, SHMBUS_FROM_OLDEST, 0), 0);
    struct shmbus_consumer_stats stats;
    ck_assert_int_eq(shmbus_consumer_stats(first.consumer, &stats), 0);
    first.next = stats.cursor;
    ck_assert_uint_eq(stats.cursor, second.next);
    rig_takes(&second, 0);
    ck_assert_uint_eq(second.back, 1);
    rig_gets(&first, 3);
    rig_takes(&second, 3);
    rig_leave(&first);
    rig_leave(&second);
    shmbus_producer_close(producer);
}
END_TEST

/* A follower that died and comes back at its place runs after the same ones, from where it was. */
START_TEST(the_follower)
{
    struct staged first;
    const struct stage stage = {.name = "second", .after = "first", .grace_ns = LONG_NS};
    struct shmbus_producer *producer = rig_create(0, 0);
    rig_join(&(struct stage){.name = "first"}, &first);
    struct child second = stage_start(&stage);
    rig_publish(producer, 10);
    rig_gets(&first, 6);
    ck_assert_uint_eq(stage_order(&second, RIG_TAKE, 4), 4);
    child_kill(&second);
    second = stage_start(&stage);
    ck_assert_uint_eq(stage_order(&second, RIG_TAKE, 2), 6);
    ck_assert_int_eq((int)stage_order(&second, RIG_WAIT, 1), -ETIMEDOUT);
    rig_takes(&first, 4);
    ck_assert_uint_eq(stage_order(&second, RIG_TAKE, 4), 10);
    stage_leave(&second);
    rig_leave(&first);
    shmbus_producer_close(producer);
}
END_TEST

/* Killed and started anew all the time, with and without a place that is kept; the follower sees
 * all of it, and never anything that none of its name had passed or that was before its time. */
START_TEST(again_and_again)
{
    uint64_t random = support_seed("back");
    struct staged second;
    struct shmbus_producer *producer = rig_create(0, GUARD_NS);
    rig_join(&(struct stage){.name = "second", .after = "first"}, &second);
    for (int round = 0; round < 100; round++) {
        /* Before it joins, at the oldest: a ring that is full then waits for it. */
        rig_publish(producer, support_below(&random, 20));
        struct child first = stage_start(&(struct stage){
            .name = "first",
            .from = SHMBUS_FROM_OLDEST,
            .grace_ns = round % 4 == 3 ? 0 : LONG_NS,
        });
        uint64_t passed = stage_order(&first, RIG_TAKE, 0);
        uint64_t left = shmbus_producer_next_sequence(producer) - passed;
        passed = stage_order(&first, RIG_TAKE, left - support_below(&random, 10) % (left + 1));
        uint64_t before = second.next;
        ck_assert_int_ge(rig_take(&second, CAPACITY), 0);
        ck_assert_uint_eq(second.next, passed > before ? passed : before);
        if (round % 2)
            child_kill(&first);
        else
            stage_leave(&first);
        if (rig_is_there("first") && round % 4 == 3)
            shmbus_reap(BUS, NULL);
    }
    rig_leave(&second);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pipeline back");
    TCase *tcase = support_case(suite, "back", 60);
    tcase_add_loop_test(tcase, with_grace_it_goes_on, 0, 4);
    tcase_add_loop_test(tcase, after_its_grace_it_is_gone, 0, 2);
    tcase_add_loop_test(tcase, anew, 0, 2);
    tcase_add_test(tcase, handed_over);
    tcase_add_loop_test(tcase, in_the_same_entry, 0, 2);
    tcase_add_test(tcase, after_eviction);
    tcase_add_test(tcase, the_follower);
    tcase_add_test(tcase, again_and_again);
    return support_run(suite);
}
