/* SPDX-License-Identifier: MIT */
/*
 * Those that others run after leave, die, stop, are evicted or are not there yet: who waits for
 * them, who goes on, and who is told what. Nobody is to go on past one that only stopped.
 */
#include "rig.h"

#include <errno.h>

#define QUIET_NS (100 * MILLISECOND) /* five looks at who lives */

/* Whatever becomes of the one before, the one that waits has read so far, and is told. */
static void goes_on(struct staged *follower, uint32_t gone, uint32_t count)
{
    if (gone == SHMBUS_AFTER_GO_ON) {
        rig_gets(follower, count);
    } else {
        while (follower->gone == 0)
            rig_takes(follower, 0);
        rig_gets_nothing(follower, QUIET_NS);
        ck_assert_int_eq(shmbus_consumer_wait(follower->consumer, MILLISECOND), -ETIMEDOUT);
    }
    ck_assert_uint_eq(follower->gone, 1);
    ck_assert_uint_eq(follower->back, 0);
    ck_assert_uint_eq(follower->last, 0);
}

START_TEST(leaves)
{
    struct staged first;
    struct staged second;
    uint32_t gone = (uint32_t)_i;
    struct shmbus_producer *producer = rig_create(0, 0);
    rig_join(&(struct stage){.name = "first"}, &first);
    rig_join(&(struct stage){.name = "second", .after = "first", .gone = gone}, &second);
    rig_publish(producer, 10);
    rig_takes(&second, 0);
    rig_gets(&first, 4);
    rig_leave(&first);
    /* What it had passed counts, though nobody looked while it was there. */
    rig_gets(&second, 4);
    goes_on(&second, gone, 6);
    rig_leave(&second);
    shmbus_producer_close(producer);
}
END_TEST

/* Found out by polling alone, and by waiting. */
START_TEST(is_killed)
{
    struct staged second;
    uint32_t gone = (uint32_t)_i & 1;
    struct shmbus_producer *producer = rig_create(0, 0);
    struct child first = stage_start(&(struct stage){.name = "first"});
    rig_join(&(struct stage){.name = "second", .after = "first", .gone = gone}, &second);
    rig_publish(producer, 10);
    ck_assert_uint_eq(stage_order(&first, RIG_TAKE, 4), 4);
    rig_takes(&second, 4);
    child_kill(&first);
    ck_assert(rig_is_there("first"));
    if (_i & 2) {
        int result =
            shmbus_consumer_wait(second.consumer, gone == SHMBUS_AFTER_GO_ON ? GUARD_NS : QUIET_NS);
        ck_assert_int_eq(result, gone == SHMBUS_AFTER_GO_ON ? 0 : -ETIMEDOUT);
    }
    goes_on(&second, gone, 6);
    /* It was repaired by the one that wanted to know. */
    ck_assert(!rig_is_there("first"));
    rig_leave(&second);
    shmbus_producer_close(producer);
}
END_TEST

/* One that is dead before anybody runs after it, and that nobody has repaired. */
START_TEST(was_killed_before)
{
    struct staged second;
    uint32_t gone = (uint32_t)_i;
    struct shmbus_producer *producer = rig_create(0, 0);
    /* Another entry than the dead one's is to be had first: that would be repaired, and taken. */
    rig_join(&(struct stage){.name = "another"}, &second);
    struct child first = stage_start(&(struct stage){.name = "first"});
    rig_leave(&second);
    rig_publish(producer, 10);
    ck_assert_uint_eq(stage_order(&first, RIG_TAKE, 4), 4);
    child_kill(&first);
    rig_join(
        &(struct stage){
            .name = "second", .after = "first", .gone = gone, .from = SHMBUS_FROM_OLDEST},
        &second);
    ck_assert_uint_eq(second.next, 0);
    rig_gets(&second, 4);
    goes_on(&second, gone, 6);
    rig_leave(&second);
    shmbus_producer_close(producer);
}
END_TEST

/* Somebody else's repair is seen without asking the kernel. */
START_TEST(is_repaired_by_another)
{
    struct staged second;
    struct shmbus_producer *producer = rig_create(0, 0);
    struct child first = stage_start(&(struct stage){.name = "first"});
    rig_join(&(struct stage){.name = "second", .after = "first", .gone = SHMBUS_AFTER_GO_ON},
             &second);
    rig_publish(producer, 10);
    child_kill(&first);
    ck_assert_int_eq(shmbus_reap(BUS, NULL), 1);
    rig_takes(&second, 10);
    rig_leave(&second);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(is_stopped)
{
    struct staged second;
    uint32_t gone = (uint32_t)_i;
    struct shmbus_producer *producer = rig_create(0, 0);
    struct child first = stage_start(&(struct stage){.name = "first"});
    rig_join(&(struct stage){.name = "second", .after = "first", .gone = gone}, &second);
    rig_publish(producer, 10);
    ck_assert_uint_eq(stage_order(&first, RIG_TAKE, 4), 4);
    child_stop(&first);
    rig_takes(&second, 4);
    rig_gets_nothing(&second, QUIET_NS);
    ck_assert_int_eq(shmbus_consumer_wait(second.consumer, QUIET_NS), -ETIMEDOUT);
    child_continue(&first);
    ck_assert_uint_eq(stage_order(&first, RIG_TAKE, 6), 10);
    rig_takes(&second, 6);
    ck_assert_uint_eq(second.gone + second.back, 0);
    stage_leave(&first);
    rig_leave(&second);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(is_not_there_yet)
{
    struct staged first;
    struct staged second;
    uint32_t gone = (uint32_t)_i;
    struct shmbus_producer *producer = rig_create(0, 0);
    rig_publish(producer, 3);
    rig_join(&(struct stage){.name = "second", .after = "first", .gone = gone}, &second);
    ck_assert_uint_eq(second.next, 3);
    rig_takes(&second, 0);
    rig_publish(producer, 6);
    goes_on(&second, gone, 6);
    rig_join(&(struct stage){.name = "first"}, &first);
    ck_assert_uint_eq(first.next, 9);
    rig_publish(producer, 2);
    if (gone == SHMBUS_AFTER_GO_ON) {
        /* For good: it does not run after one that comes later. */
        rig_takes(&second, 2);
        ck_assert_uint_eq(second.back, 0);
        rig_takes(&first, 2);
    } else {
        /* What was there before it came was passed by nobody, and now is. */
        rig_takes(&second, 6);
        ck_assert_uint_eq(second.back, 1);
        rig_gets(&first, 1);
        rig_takes(&second, 1);
        rig_gets(&first, 1);
        rig_takes(&second, 1);
    }
    rig_leave(&first);
    rig_leave(&second);
    shmbus_producer_close(producer);
}
END_TEST

/* Of several that it runs after, those that are there still hold it back. */
START_TEST(one_of_two_is_killed)
{
    struct staged left;
    struct staged second;
    uint32_t gone = (uint32_t)_i;
    struct shmbus_producer *producer = rig_create(0, 0);
    rig_join(&(struct stage){.name = "left"}, &left);
    struct child right = stage_start(&(struct stage){.name = "right"});
    rig_join(&(struct stage){.name = "second", .after = "left right", .gone = gone}, &second);
    rig_publish(producer, 10);
    rig_gets(&left, 5);
    ck_assert_uint_eq(stage_order(&right, RIG_TAKE, 2), 2);
    rig_takes(&second, 2);
    child_kill(&right);
    if (gone == SHMBUS_AFTER_GO_ON) {
        rig_gets(&second, 3);
        rig_gets_nothing(&second, QUIET_NS);
        rig_gets(&left, 5);
        rig_takes(&second, 5);
    } else {
        rig_gets(&left, 5);
        while (second.gone == 0)
            rig_takes(&second, 0);
        rig_gets_nothing(&second, QUIET_NS);
    }
    ck_assert_uint_eq(second.gone, 1);
    ck_assert_uint_eq(second.last, 1);
    rig_leave(&left);
    rig_leave(&second);
    shmbus_producer_close(producer);
}
END_TEST

/* Of two of one name the one that is left is enough. */
START_TEST(one_of_two_namesakes_is_killed)
{
    struct staged one;
    struct staged second;
    uint32_t gone = (uint32_t)_i;
    struct shmbus_producer *producer = rig_create(0, 0);
    rig_join(&(struct stage){.name = "twin"}, &one);
    struct child two = stage_start(&(struct stage){.name = "twin"});
    rig_join(&(struct stage){.name = "second", .after = "twin", .gone = gone}, &second);
    rig_publish(producer, 10);
    rig_gets(&one, 7);
    ck_assert_uint_eq(stage_order(&two, RIG_TAKE, 2), 2);
    rig_takes(&second, 2);
    child_kill(&two);
    rig_gets(&second, 5);
    rig_gets_nothing(&second, QUIET_NS);
    rig_gets(&one, 3);
    rig_takes(&second, 3);
    ck_assert_uint_eq(second.gone, 0);
    rig_leave(&one);
    rig_leave(&second);
    shmbus_producer_close(producer);
}
END_TEST

/* A stalled one is evicted, not the one that waits for it. */
START_TEST(is_evicted)
{
    struct child second;
    uint32_t gone = (uint32_t)_i;
    struct shmbus_bus_options bus = rig_bus();
    const struct shmbus_producer_options wait = {.struct_bytes = sizeof wait,
                                                 .full_timeout_ns = GUARD_NS};
    /* Far longer than one that reads all the time may be off its core. */
    bus.stall_ns = 2 * SECOND_NS;
    bus.flags = SHMBUS_BUS_EVICT;
    struct shmbus_producer *producer = support_create(BUS, &bus, &wait);
    struct child first = stage_start(&(struct stage){.name = "first"});
    second = stage_start(&(struct stage){.name = "second", .after = "first", .gone = gone});
    rig_publish(producer, CAPACITY);
    ck_assert_uint_eq(stage_order(&first, RIG_TAKE, 4), 4);
    ck_assert_uint_eq(stage_order(&second, RIG_TAKE, 4), 4);
    child_stop(&first);
    child_tell(second.line, gone == SHMBUS_AFTER_GO_ON ? RIG_TAKE : RIG_FAIL);
    child_tell(second.line, CAPACITY);
    rig_publish(producer, 4);
    if (gone == SHMBUS_AFTER_GO_ON) {
        rig_publish(producer, 4);
        ck_assert_uint_eq(child_hear(second.line), CAPACITY + 4);
        ck_assert_uint_eq(rig_look("first").life, SHMBUS_LIFE_EVICTED);
        ck_assert_uint_eq(rig_look("second").life, SHMBUS_LIFE_ALIVE);
        stage_leave(&second);
    } else {
        /* There is nobody any more whom it waits for: it is the one that blocks, and is stalled. */
        ck_assert(!child_has_said(second.line));
        rig_publish(producer, 1);
        ck_assert_uint_eq(rig_look("first").life, SHMBUS_LIFE_EVICTED);
        ck_assert_int_eq((int)child_hear(second.line), -ESTALE);
        ck_assert_uint_eq(rig_look("second").life, SHMBUS_LIFE_EVICTED);
        stage_leave(&second);
    }
    child_kill(&first);
    shmbus_producer_close(producer);
}
END_TEST

/* In health too it is the slow one that is named, and in the picture that one gates. */
START_TEST(the_slow_one_is_blamed)
{
    struct shmbus_health health[3];
    struct shmbus_producer *producer = rig_create(0, 0);
    struct staged third;
    struct staged second;
    rig_join(&(struct stage){.name = "third", .after = "second"}, &third);
    rig_join(&(struct stage){.name = "second", .after = "first"}, &second);
    struct child first = stage_start(&(struct stage){.name = "first"});
    rig_publish(producer, 8);
    ck_assert_uint_eq(stage_order(&first, RIG_TAKE, 2), 2);
    rig_gets(&second, 2);
    rig_gets(&third, 2);
    child_stop(&first);
    do {
        ck_assert_int_eq(shmbus_producer_health(producer, health, 3), 3);
    } while (health[2].state != SHMBUS_HEALTH_STALLED);
    rig_sleep(2 * STALL_NS);
    ck_assert_int_eq(shmbus_producer_health(producer, health, 3), 3);
    for (int i = 0; i < 2; i++) {
        ck_assert_uint_eq(health[i].state, SHMBUS_HEALTH_WELL);
        ck_assert_int_eq(health[i].since_ns, 0);
        ck_assert_uint_eq(health[i].lag, 6);
    }
    ck_assert_uint_eq(health[2].state, SHMBUS_HEALTH_STALLED);
    ck_assert_uint_eq(rig_look("first").gates, 1);
    ck_assert_uint_eq(rig_look("first").behind, 0);
    ck_assert_uint_eq(rig_look("second").gates + rig_look("third").gates, 0);
    ck_assert_uint_eq(rig_look("second").behind + rig_look("third").behind, 2);
    child_continue(&first);
    ck_assert_uint_eq(stage_order(&first, RIG_TAKE, 6), 8);
    /* Now it may read, and does not. */
    do {
        ck_assert_int_eq(shmbus_producer_health(producer, health, 3), 3);
    } while (health[1].state != SHMBUS_HEALTH_STALLED);
    ck_assert_uint_eq(health[0].state, SHMBUS_HEALTH_WELL);
    ck_assert_uint_eq(health[2].state, SHMBUS_HEALTH_WELL);
    ck_assert_uint_eq(rig_look("second").gates, 1);
    stage_leave(&first);
    rig_leave(&second);
    rig_leave(&third);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pipeline gone");
    TCase *tcase = support_case(suite, "gone", 60);
    tcase_add_loop_test(tcase, leaves, 0, 2);
    tcase_add_loop_test(tcase, is_killed, 0, 4);
    tcase_add_loop_test(tcase, was_killed_before, 0, 2);
    tcase_add_test(tcase, is_repaired_by_another);
    tcase_add_loop_test(tcase, is_stopped, 0, 2);
    tcase_add_loop_test(tcase, is_not_there_yet, 0, 2);
    tcase_add_loop_test(tcase, one_of_two_is_killed, 0, 2);
    tcase_add_loop_test(tcase, one_of_two_namesakes_is_killed, 0, 2);
    tcase_add_loop_test(tcase, is_evicted, 0, 2);
    tcase_add_test(tcase, the_slow_one_is_blamed);
    return support_run(suite);
}
