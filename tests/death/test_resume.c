/* SPDX-License-Identifier: MIT */
/*
 * Resume: a required consumer with a name and a grace time that is killed keeps its place. Whoever
 * comes back under that name within the time goes on at its cursor; after it the place is gone.
 */
#include "rig.h"

#include <errno.h>
#include <string.h>

#define LONG_NS (600 * SECOND_NS) /* a grace that no run outlives */

static struct shmbus_bus_options bus;

static struct shmbus_producer *begin(uint32_t flags, int64_t full_timeout_ns)
{
    bus = rig_bus();
    bus.flags = flags;
    return rig_create(&bus, full_timeout_ns);
}

/* Starts one of that name again, which must go on at this place. */
static struct child comes_back(uint64_t cursor)
{
    uint64_t found;
    uint64_t resumed;
    struct child child = rig_start("named", SHMBUS_REQUIRED, LONG_NS, &found, &resumed);
    ck_assert_uint_eq(resumed, 1);
    ck_assert_uint_eq(found, cursor);
    return child;
}

/* Starts one of that name again, which must begin anew, here. */
static struct child begins_anew(int64_t grace_ns, uint64_t cursor)
{
    uint64_t found;
    uint64_t resumed;
    struct child child = rig_start("named", SHMBUS_REQUIRED, grace_ns, &found, &resumed);
    ck_assert_uint_eq(resumed, 0);
    ck_assert_uint_eq(found, cursor);
    return child;
}

START_TEST(goes_on_at_its_old_cursor)
{
    struct shmbus_producer *producer = begin(0, 0);
    struct shmbus_consumer_info info;
    uint64_t lag;
    struct child child = begins_anew(LONG_NS, 0);
    rig_publish_many(producer, 8, 8);
    rig_publish_many(producer, 8, 256);
    ck_assert_uint_eq(rig_order(&child, RIG_READ, 5), 5);
    child_kill(&child);
    /* It gates as before. */
    rig_publish_many(producer, 5, 8);
    ck_assert_int_eq(rig_publish(producer, 8), -EAGAIN);
    ck_assert_int_eq(shmbus_producer_required(producer, &lag), 1);
    ck_assert_uint_eq(lag, 16);
    ck_assert(rig_look("named", &info));
    ck_assert_uint_eq(info.life, SHMBUS_LIFE_GRACE);
    ck_assert_uint_eq(info.gates, 1);
    ck_assert_int_eq(info.grace_ns, LONG_NS);
    ck_assert_int_gt(info.grace_left_ns, 0);
    ck_assert_int_le(info.grace_left_ns, LONG_NS);
    child = comes_back(5);
    ck_assert(rig_look("named", &info));
    ck_assert_uint_eq(info.life, SHMBUS_LIFE_ALIVE);
    ck_assert_uint_eq(info.received, 5);
    ck_assert_uint_eq(info.pid, (uint32_t)child.pid);
    ck_assert_uint_eq(rig_order(&child, RIG_READ, 16), 21);
    /* At once, before anybody saw that it was dead. */
    child_kill(&child);
    child = comes_back(21);
    rig_publish_many(producer, 1, 8);
    ck_assert_uint_eq(rig_order(&child, RIG_READ, 1), 22);
    rig_leave(&child);
    /* One that left has no place. */
    child = begins_anew(LONG_NS, 22);
    rig_leave(&child);
    rig_all_slabs(producer, &bus);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(what_was_not_acknowledged_comes_again)
{
    struct shmbus_producer *producer = begin(0, 0);
    struct child child = begins_anew(LONG_NS, 0);
    rig_publish_many(producer, 8, 100);
    ck_assert_uint_eq(rig_order(&child, RIG_READ, 3), 3);
    ck_assert_uint_eq(rig_order(&child, RIG_TAKE, 1), 4);
    child_kill(&child);
    child = comes_back(3);
    ck_assert_uint_eq(rig_order(&child, RIG_READ, 5), 8);
    rig_leave(&child);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(its_holds_end)
{
    struct shmbus_producer *producer = begin(0, GUARD_NS);
    struct child child = begins_anew(LONG_NS, 0);
    rig_publish_many(producer, 4, 4096);
    ck_assert_uint_eq(rig_order(&child, RIG_HOLD, 4), 4);
    child_kill(&child);
    /* By the producer that needs them. */
    rig_publish_many(producer, 4, 4096);
    ck_assert_uint_eq(support_pool(producer, 2).held, 0);
    child = comes_back(4);
    ck_assert_uint_eq(rig_order(&child, RIG_HOLD, 4), 8);
    child_kill(&child);
    ck_assert_uint_eq(support_pool(producer, 2).held, 4);
    /* And by the one that comes back. */
    child = comes_back(8);
    ck_assert_uint_eq(support_pool(producer, 2).held, 0);
    rig_publish_many(producer, 4, 4096);
    ck_assert_uint_eq(rig_order(&child, RIG_READ, 4), 12);
    rig_leave(&child);
    rig_all_slabs(producer, &bus);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(after_the_time_it_no_longer_gates)
{
    const int64_t grace = 3 * STALL_NS;
    struct shmbus_producer *producer = begin(0, GUARD_NS);
    struct child child = begins_anew(grace, 0);
    struct child other = rig_start("other", SHMBUS_REQUIRED, 0, NULL, NULL);
    rig_publish_many(producer, 16, 8);
    ck_assert_uint_eq(rig_order(&other, RIG_READ, 16), 16);
    child_kill(&child);
    rig_publish_many(producer, 1, 8);
    ck_assert_int_eq(shmbus_producer_required(producer, NULL), 1);
    ck_assert_uint_eq(rig_order(&other, RIG_READ, 1), 17);
    child = begins_anew(grace, 17);
    /* Repaired by nobody while the time goes by: one that comes then begins anew too. */
    rig_publish_many(producer, 1, 8);
    child_kill(&child);
    ck_assert_int_eq(shmbus_reap(BUS, NULL), 1);
    rig_sleep(grace);
    child = begins_anew(grace, 18);
    rig_leave(&child);
    rig_leave(&other);
    ck_assert_int_ge(shmbus_reap(BUS, NULL), 0);
    ck_assert_int_eq(shmbus_producer_required(producer, NULL), 0);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(a_living_name_is_busy)
{
    struct shmbus_producer *producer = begin(0, 0);
    struct child child = begins_anew(LONG_NS, 0);
    struct child second;
    struct shmbus_consumer_options options = rig_options("named", SHMBUS_REQUIRED, LONG_NS);
    struct shmbus_consumer *consumer;
    uint64_t cursor;
    ck_assert_int_eq(shmbus_consumer_open(BUS, &options, &consumer), -EBUSY);
    ck_assert_msg(support_says("named") && support_says("lives"), "%s", shmbus_error_text());
    child_stop(&child);
    ck_assert_int_eq(rig_try_start("named", LONG_NS, &second, &cursor), -EBUSY);
    ck_assert_int_eq(rig_try_start("another", LONG_NS, &second, &cursor), 0);
    rig_leave(&second);
    child_continue(&child);
    rig_publish_many(producer, 1, 8);
    ck_assert_uint_eq(rig_order(&child, RIG_READ, 1), 1);
    rig_leave(&child);
    shmbus_producer_close(producer);
}
END_TEST

/* A place that is kept is nobody else's, repaired before or not, though no other entry is free. */
START_TEST(its_place_is_not_taken)
{
    struct shmbus_consumer *others[2];
    bus = rig_bus();
    bus.max_consumers = 2;
    struct shmbus_producer *producer = rig_create(&bus, 0);
    struct child child = begins_anew(LONG_NS, 0);
    rig_publish_many(producer, 3, 8);
    ck_assert_uint_eq(rig_order(&child, RIG_READ, 1), 1);
    child_kill(&child);
    if (_i)
        ck_assert_int_eq(shmbus_reap(BUS, NULL), 1);
    others[0] = rig_join("first", SHMBUS_OPTIONAL, 0);
    struct shmbus_consumer_options options = rig_options("second", SHMBUS_REQUIRED, 0);
    ck_assert_int_eq(shmbus_consumer_open(BUS, &options, &others[1]), -EUSERS);
    child = comes_back(1);
    ck_assert_uint_eq(rig_order(&child, RIG_READ, 2), 3);
    rig_leave(&child);
    others[1] = rig_join("second", SHMBUS_REQUIRED, 0);
    shmbus_consumer_close(others[0]);
    shmbus_consumer_close(others[1]);
    /* One of a short grace is free when that is over, by those that want it alone. */
    struct child both[2];
    both[0] = begins_anew(STALL_NS, 3);
    both[1] = rig_start("second", SHMBUS_REQUIRED, STALL_NS, NULL, NULL);
    child_kill(&both[0]);
    child_kill(&both[1]);
    options = rig_options("third", SHMBUS_OPTIONAL, 0);
    int result;
    while ((result = shmbus_consumer_open(BUS, &options, &others[0])) == -EUSERS)
        rig_sleep(MILLISECOND);
    ck_assert_int_eq(result, 0);
    shmbus_consumer_close(others[0]);
    shmbus_producer_close(producer);
}
END_TEST

static void contestant(int line, void *context)
{
    struct shmbus_consumer_options options = rig_options("named", SHMBUS_REQUIRED, LONG_NS);
    struct shmbus_consumer *consumer;
    struct shmbus_consumer_stats stats;
    (void)context;
    memset(&stats, 0, sizeof stats);
    child_tell(line, 0);
    child_hear(line);
    int result = shmbus_consumer_open(BUS, &options, &consumer);
    if (result == 0)
        ck_assert_int_eq(shmbus_consumer_stats(consumer, &stats), 0);
    child_tell(line, (uint64_t)result);
    child_tell(line, stats.resumed);
    child_tell(line, stats.cursor);
    child_hear(line);
}

START_TEST(of_two_that_come_back_one_does)
{
    struct shmbus_producer *producer = begin(0, 0);
    struct child child = begins_anew(LONG_NS, 0);
    rig_publish_many(producer, 12, 8);
    ck_assert_uint_eq(rig_order(&child, RIG_READ, 7), 7);
    child_kill(&child);
    for (int round = 0; round < 25; round++) {
        struct child both[2];
        uint64_t wins = 0;
        for (int i = 0; i < 2; i++)
            both[i] = child_start(contestant, NULL);
        for (int i = 0; i < 2; i++)
            child_hear(both[i].line);
        for (int i = 0; i < 2; i++)
            child_tell(both[i].line, 0);
        for (int i = 0; i < 2; i++) {
            int result = (int)child_hear(both[i].line);
            uint64_t resumed = child_hear(both[i].line);
            uint64_t cursor = child_hear(both[i].line);
            ck_assert_msg(result == 0 || result == -EBUSY, "%d", result);
            ck_assert_uint_eq(resumed, result == 0);
            ck_assert_uint_eq(cursor, result == 0 ? 7 : 0);
            wins += result == 0;
        }
        ck_assert_uint_eq(wins, 1);
        child_kill(&both[0]);
        child_kill(&both[1]);
    }
    child = comes_back(7);
    rig_leave(&child);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(evicted_before_it_comes_back)
{
    struct shmbus_producer *producer = begin(SHMBUS_BUS_EVICT, GUARD_NS);
    struct child child = begins_anew(LONG_NS, 0);
    rig_publish_many(producer, 16, 8);
    child_stop(&child);
    rig_publish_many(producer, 10, 8);
    ck_assert_uint_eq(rig_life("named"), SHMBUS_LIFE_EVICTED);
    child_kill(&child);
    child = begins_anew(LONG_NS, 26);
    rig_leave(&child);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(closed_before_it_comes_back)
{
    struct shmbus_producer *producer = begin(0, 0);
    struct child child = begins_anew(LONG_NS, 0);
    rig_publish_many(producer, 8, 100);
    ck_assert_uint_eq(rig_order(&child, RIG_READ, 4), 4);
    child_kill(&child);
    shmbus_producer_close(producer);
    child = comes_back(4);
    ck_assert_uint_eq(rig_order(&child, RIG_READ, 4), 8);
    ck_assert_int_eq((int)rig_order(&child, RIG_POLL, 1), -EPIPE);
    rig_leave(&child);
}
END_TEST

START_TEST(taken_over_before_it_comes_back)
{
    struct shmbus_producer *producer = begin(0, 0);
    struct child child = begins_anew(LONG_NS, 0);
    rig_publish_many(producer, 8, 100);
    ck_assert_uint_eq(rig_order(&child, RIG_HOLD, 4), 4);
    child_kill(&child);
    for (int i = 0; i < 3; i++) {
        shmbus_producer_close(producer);
        ck_assert_int_eq(shmbus_producer_open(BUS, NULL, NULL, 0, &producer), 0);
        rig_publish_many(producer, 2, 8);
    }
    ck_assert_uint_eq(support_pool(producer, 1).held, 0);
    rig_publish_many(producer, 6, 8);
    ck_assert_int_eq(rig_publish(producer, 8), -EAGAIN);
    child = comes_back(4);
    ck_assert_uint_eq(rig_order(&child, RIG_READ, 16), 20);
    rig_leave(&child);
    rig_all_slabs(producer, &bus);
    shmbus_producer_close(producer);
}
END_TEST

/* Resumes in a loop, each time killed at some moment: while it opens, reads or keeps. */
static void restless(int line, void *context)
{
    struct shmbus_consumer_options options = rig_options("named", SHMBUS_REQUIRED, LONG_NS);
    struct shmbus_consumer *consumer;
    struct shmbus_consumer_stats stats;
    struct shmbus_message message;
    uint64_t handle;
    (void)context;
    int result = shmbus_consumer_open(BUS, &options, &consumer);
    ck_assert_msg(result == 0, "%d: %s", result, shmbus_error_text());
    ck_assert_int_eq(shmbus_consumer_stats(consumer, &stats), 0);
    /* Whoever was killed before it had an entry left no place; after that every one resumes. */
    uint64_t next = stats.cursor;
    /* A class has 8 slabs: one that kept all of them would block the producer for good. */
    uint32_t kept = 0;
    while ((result = shmbus_consumer_next(consumer, &message)) >= 0) {
        if (result == 0) {
            shmbus_consumer_wait(consumer, MILLISECOND);
            continue;
        }
        ck_assert_uint_eq(message.sequence, next);
        rig_check(&message);
        next++;
        if (message.handle == 0 || next % 3 != 0 || kept == 4 ||
            shmbus_consumer_retain(consumer, &message, &handle) < 0)
            continue;
        if (next % 2 == 0)
            ck_assert_int_eq(shmbus_consumer_release(consumer, handle), 0);
        else
            kept++;
    }
    child_tell(line, (uint64_t)result);
}

START_TEST(killed_at_random_again_and_again)
{
    uint64_t random = support_seed("resume");
    struct shmbus_producer *producer = begin(0, GUARD_NS);
    struct shmbus_consumer_info info;
    struct child child = begins_anew(LONG_NS, 0);
    child_kill(&child);
    uint64_t cursor = 0;
    for (int round = 0; round < 150; round++) {
        child = child_start(restless, NULL);
        uint64_t count = support_below(&random, 40);
        rig_publish_many(producer, (uint32_t)count, support_below(&random, 2) ? 8 : 200);
        rig_sleep((int64_t)support_below(&random, 3) * MILLISECOND / 2);
        ck_assert(!child_has_said(child.line));
        child_kill(&child);
        ck_assert(rig_look("named", &info));
        ck_assert_uint_ge(info.cursor, cursor);
        ck_assert_uint_le(info.cursor, shmbus_producer_next_sequence(producer));
        cursor = info.cursor;
    }
    child = comes_back(cursor);
    uint64_t left = shmbus_producer_next_sequence(producer) - cursor;
    ck_assert_uint_le(left, 16);
    ck_assert_uint_eq(rig_order(&child, RIG_READ, left), cursor + left);
    rig_leave(&child);
    rig_all_slabs(producer, &bus);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("death resume");
    TCase *tcase = support_case(suite, "resume", 60);
    tcase_add_test(tcase, goes_on_at_its_old_cursor);
    tcase_add_test(tcase, what_was_not_acknowledged_comes_again);
    tcase_add_test(tcase, its_holds_end);
    tcase_add_test(tcase, after_the_time_it_no_longer_gates);
    tcase_add_test(tcase, a_living_name_is_busy);
    tcase_add_loop_test(tcase, its_place_is_not_taken, 0, 2);
    tcase_add_test(tcase, of_two_that_come_back_one_does);
    tcase_add_test(tcase, evicted_before_it_comes_back);
    tcase_add_test(tcase, closed_before_it_comes_back);
    tcase_add_test(tcase, taken_over_before_it_comes_back);
    tcase_add_test(tcase, killed_at_random_again_and_again);
    return support_run(suite);
}
