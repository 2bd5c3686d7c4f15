/* SPDX-License-Identifier: MIT */
/*
 * Death is noticed by whoever needs what the dead held, and repaired by one repairer, who may die
 * too. By hand it is shmbus_reap(), for whoever may consume.
 */
#include "rig.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct shmbus_bus_options bus;

static struct shmbus_producer *begin(int64_t full_timeout_ns)
{
    bus = rig_bus();
    return rig_create(&bus, full_timeout_ns);
}

/* Two die: one that is behind in the ring, one that holds slabs. */
static void two_die(struct shmbus_producer *producer, uint32_t kind)
{
    struct child holder = rig_start("holder", kind, 0, NULL, NULL);
    rig_publish_many(producer, 4, 4096);
    ck_assert_uint_eq(rig_order(&holder, RIG_HOLD, 4), shmbus_producer_next_sequence(producer));
    struct child slow = rig_start("slow", SHMBUS_REQUIRED, 0, NULL, NULL);
    child_kill(&slow);
    child_kill(&holder);
}

START_TEST(by_the_producer_that_is_full)
{
    struct shmbus_producer *producer = begin(_i ? GUARD_NS : 0);
    for (int round = 0; round < 10; round++) {
        two_die(producer, round % 2 ? SHMBUS_REQUIRED : SHMBUS_OPTIONAL);
        if (round % 3 == 0)
            rig_publish_many(producer, 4, 4096);
        rig_publish_many(producer, 20, 8);
        rig_publish_many(producer, 4, 4096);
    }
    struct shmbus_consumer_info info;
    ck_assert(!rig_look("slow", &info));
    ck_assert(!rig_look("holder", &info));
    rig_all_slabs(producer, &bus);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(by_a_producer_that_flushes)
{
    struct shmbus_producer *producer = begin(0);
    two_die(producer, SHMBUS_REQUIRED);
    rig_publish_many(producer, 3, 8);
    ck_assert_int_eq(shmbus_producer_flush(producer, GUARD_NS), 0);
    ck_assert_int_eq(shmbus_producer_wait_consumed(producer, 6, GUARD_NS), 0);
    rig_all_slabs(producer, &bus);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(by_one_that_joins)
{
    struct shmbus_producer *producer = begin(0);
    struct shmbus_consumer *all[8];
    struct child children[8];
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    for (int i = 0; i < 8; i++)
        children[i] = rig_start(names[i], SHMBUS_OPTIONAL, 0, NULL, NULL);
    for (int i = 0; i < 8; i++)
        child_kill(&children[i]);
    for (int i = 0; i < 8; i++)
        all[i] = rig_join(names[i], SHMBUS_REQUIRED, 0);
    for (int i = 0; i < 8; i++)
        shmbus_consumer_close(all[i]);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(by_one_that_takes_over)
{
    struct shmbus_producer *producer = begin(0);
    struct shmbus_consumer_info info;
    two_die(producer, SHMBUS_OPTIONAL);
    shmbus_producer_close(producer);
    ck_assert_int_eq(rig_try_create(&bus, &producer), 0);
    ck_assert(!rig_look("slow", &info));
    ck_assert(!rig_look("holder", &info));
    rig_all_slabs(producer, &bus);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(by_hand)
{
    struct shmbus_producer *producer = begin(0);
    ck_assert_int_eq(shmbus_reap(BUS, NULL), 0);
    ck_assert_int_eq(shmbus_reap("none", NULL), -ENOENT);
    ck_assert_int_eq(shmbus_reap("/", NULL), -EINVAL);
    struct child alive = rig_start("alive", SHMBUS_REQUIRED, 0, NULL, NULL);
    struct child stopped = rig_start("stopped", SHMBUS_OPTIONAL, 0, NULL, NULL);
    child_stop(&stopped);
    two_die(producer, SHMBUS_OPTIONAL);
    ck_assert_uint_eq(rig_life("slow"), SHMBUS_LIFE_DEAD);
    ck_assert_int_eq(shmbus_reap(BUS, NULL), 2);
    ck_assert_int_eq(shmbus_reap(BUS, NULL), 0);
    ck_assert_uint_eq(rig_life("alive"), SHMBUS_LIFE_ALIVE);
    ck_assert_uint_eq(rig_life("stopped"), SHMBUS_LIFE_ALIVE);
    struct shmbus_consumer_info info;
    ck_assert(!rig_look("slow", &info));
    ck_assert_uint_eq(support_pool(producer, 2).held, 0);
    child_continue(&stopped);
    ck_assert_uint_eq(rig_order(&alive, RIG_READ, 4), 4);
    rig_leave(&alive);
    rig_leave(&stopped);
    shmbus_producer_close(producer);
    /* Nobody publishes, and it can be done all the same. */
    struct child last = rig_start("last", SHMBUS_REQUIRED, 0, NULL, NULL);
    child_kill(&last);
    ck_assert_int_eq(shmbus_reap(BUS, NULL), 1);
}
END_TEST

/* ---- users ---- */

static void reaps_as_nobody(int line, void *context)
{
    (void)context;
    if (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0)
        _exit(99);
    child_tell(line, (uint64_t)shmbus_reap(BUS, NULL));
}

static int reap_as_nobody(void)
{
    struct child child = child_start(reaps_as_nobody, NULL);
    int result = (int)child_hear(child.line);
    child_end(&child);
    return result;
}

START_TEST(by_whoever_may_consume)
{
    static const uint32_t modes[] = {0600, 0644, 0666};
    static const int results[] = {-EACCES, -EACCES, 1};
    if (geteuid() != 0) {
        printf("SKIP by_whoever_may_consume: not root\n");
        return;
    }
    ck_assert_int_eq(chmod(getenv("SHMBUS_DIR"), 0755), 0);
    bus = rig_bus();
    bus.mode = modes[_i];
    struct shmbus_producer *producer = rig_create(&bus, 0);
    struct child child = rig_start("dead", SHMBUS_REQUIRED, 0, NULL, NULL);
    child_kill(&child);
    ck_assert_int_eq(reap_as_nobody(), results[_i]);
    ck_assert_int_eq(shmbus_reap(BUS, NULL), results[_i] < 0);
    shmbus_producer_close(producer);
}
END_TEST

/* ---- repairers that die ---- */

/* Kinds of repairers, each in a loop for good. */
static void repairs_for_ever(int line, void *context)
{
    uint32_t role = *(uint32_t *)context;
    struct shmbus_consumer_options options =
        rig_options("repairer", role == 1 ? SHMBUS_OPTIONAL : SHMBUS_REQUIRED, 0);
    struct shmbus_consumer *consumer;
    (void)line;
    for (;;) {
        int result;
        if (role == 0)
            result = shmbus_reap(BUS, NULL);
        else
            result = shmbus_consumer_open(BUS, &options, &consumer);
        ck_assert_msg(result >= 0 || result == -EUSERS, "%d: %s", result, shmbus_error_text());
        if (role > 0 && result == 0)
            shmbus_consumer_close(consumer);
    }
}

/* Dies all the time too: joins, reads and holds. */
static void lives_for_a_while(int line, void *context)
{
    uint32_t kind = *(uint32_t *)context;
    struct shmbus_consumer *consumer = rig_join("mayfly", kind, 0);
    struct shmbus_message message;
    uint64_t handle = 0;
    (void)line;
    /* One at a time, or those that live would use up the pool for good. */
    for (;;)
        if (shmbus_consumer_next(consumer, &message) == 1) {
            rig_check(&message);
            if (handle != 0)
                ck_assert_int_eq(shmbus_consumer_release(consumer, handle), 0);
            ck_assert_int_eq(shmbus_consumer_retain(consumer, &message, &handle), 0);
        }
}

START_TEST(repairers_die_too)
{
    uint64_t random = support_seed("reap");
    struct shmbus_producer *producer = begin(GUARD_NS);
    struct child repairers[3];
    struct child mayflies[2];
    for (uint32_t i = 0; i < 3; i++)
        repairers[i] = child_start(repairs_for_ever, &i);
    for (uint32_t i = 0; i < 2; i++)
        mayflies[i] = child_start(lives_for_a_while, &(uint32_t){SHMBUS_REQUIRED * i});
    for (int round = 0; round < 120; round++) {
        uint32_t repairer = (uint32_t)support_below(&random, 3);
        uint32_t mayfly = (uint32_t)support_below(&random, 2);
        rig_publish_many(producer, (uint32_t)support_below(&random, 8), 8);
        rig_sleep((int64_t)support_below(&random, 2000000));
        child_kill(&mayflies[mayfly]);
        child_kill(&repairers[repairer]);
        rig_publish_many(producer, 4 + (uint32_t)support_below(&random, 8),
                         support_below(&random, 2) ? 256 : 4096);
        repairers[repairer] = child_start(repairs_for_ever, &repairer);
        mayflies[mayfly] = child_start(lives_for_a_while, &(uint32_t){SHMBUS_REQUIRED * mayfly});
    }
    for (int i = 0; i < 3; i++)
        child_kill(&repairers[i]);
    for (int i = 0; i < 2; i++)
        child_kill(&mayflies[i]);
    ck_assert_int_ge(shmbus_reap(BUS, NULL), 0);
    ck_assert_int_eq(shmbus_reap(BUS, NULL), 0);
    struct shmbus_snapshot *snapshot = support_look(BUS);
    ck_assert_uint_eq(shmbus_snapshot_bus(snapshot)->consumer_count, 0);
    shmbus_snapshot_close(snapshot);
    rig_all_slabs(producer, &bus);
    shmbus_producer_close(producer);
}
END_TEST

/* A producer that waits for the dead is killed while it does, and the next one too. */
static void publishes_for_ever(int line, void *context)
{
    struct shmbus_producer *producer;
    (void)context;
    int result = rig_try_create(&bus, &producer);
    ck_assert_msg(result == 0, "%d: %s", result, shmbus_error_text());
    child_tell(line, shmbus_producer_next_sequence(producer));
    for (uint32_t i = 0;; i++)
        rig_publish_many(producer, 1, i % 3 ? 8 : 4096);
}

START_TEST(producers_that_repair_die_too)
{
    uint64_t random = support_seed("repairing producers");
    uint64_t next = 0;
    shmbus_producer_close(begin(0));
    for (int round = 0; round < 60; round++) {
        struct child producer = child_start(publishes_for_ever, NULL);
        uint64_t begun_at = child_hear(producer.line);
        ck_assert_uint_ge(begun_at, next);
        next = begun_at;
        struct child mayflies[2];
        for (uint32_t i = 0; i < 2; i++)
            mayflies[i] = child_start(lives_for_a_while, &(uint32_t){SHMBUS_REQUIRED});
        rig_sleep((int64_t)support_below(&random, 4000000));
        child_kill(&mayflies[0]);
        rig_sleep((int64_t)support_below(&random, 1500000));
        child_kill(&mayflies[1]);
        rig_sleep((int64_t)support_below(&random, 1500000));
        ck_assert(!child_has_said(producer.line));
        child_kill(&producer);
    }
    struct shmbus_producer *producer;
    ck_assert_int_eq(rig_try_create(&bus, &producer), 0);
    ck_assert_int_eq(shmbus_producer_required(producer, NULL), 0);
    rig_all_slabs(producer, &bus);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("death reap");
    TCase *tcase = support_case(suite, "reap", 120);
    tcase_add_loop_test(tcase, by_the_producer_that_is_full, 0, 2);
    tcase_add_test(tcase, by_a_producer_that_flushes);
    tcase_add_test(tcase, by_one_that_joins);
    tcase_add_test(tcase, by_one_that_takes_over);
    tcase_add_test(tcase, by_hand);
    tcase_add_loop_test(tcase, by_whoever_may_consume, 0, 3);
    tcase_add_test(tcase, repairers_die_too);
    tcase_add_test(tcase, producers_that_repair_die_too);
    return support_run(suite);
}
