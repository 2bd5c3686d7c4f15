/* SPDX-License-Identifier: MIT */
/*
 * Nobody runs after itself: cycles of every length are refused when the consumer joins that would
 * close them, also when several join at once, come back, or join again; and nobody is refused for
 * what is no cycle.
 */
#include "rig.h"

#include <errno.h>
#include <stdio.h>

#define LONG_NS (3600 * SECOND_NS)

/* It may not join, and the way back is named. */
static void is_refused(const struct stage *stage, const char *way)
{
    struct staged staged;
    ck_assert_int_eq(rig_try(stage, &staged), -ELOOP);
    ck_assert_msg(support_says(way), "%s", shmbus_error_text());
    ck_assert_str_ne(shmbus_strerror(-ELOOP), "unknown error");
}

START_TEST(of_two)
{
    struct staged first;
    struct staged second;
    struct shmbus_producer *producer = rig_create(0, 0);
    rig_join(&(struct stage){.name = "b", .after = "a"}, &first);
    is_refused(&(struct stage){.name = "a", .after = "b"}, "a after b after a ");
    is_refused(&(struct stage){.name = "a", .after = "x b y"}, "a after b after a ");
    /* It is not there, so it holds nobody up and leaves no trace. */
    ck_assert(!rig_is_there("a"));
    ck_assert_int_eq(shmbus_producer_required(producer, NULL), 1);
    rig_join(&(struct stage){.name = "a", .after = "c"}, &second);
    is_refused(&(struct stage){.name = "c", .after = "b"}, "c after b after a after c ");
    rig_leave(&first);
    rig_join(&(struct stage){.name = "c", .after = "b"}, &first);
    rig_leave(&first);
    rig_leave(&second);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(of_three_and_more)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g"};
    struct staged stages[7];
    struct shmbus_producer *producer = rig_create(0, 0);
    for (int i = 1; i < 7; i++)
        rig_join(&(struct stage){.name = names[i], .after = names[i - 1]}, &stages[i]);
    is_refused(&(struct stage){.name = "a", .after = "g"},
               "a after g after f after e after d after c after b after a ");
    is_refused(&(struct stage){.name = "b", .after = "g"}, "b after g");
    rig_join(&(struct stage){.name = "a"}, &stages[0]);
    rig_publish(producer, 3);
    for (int i = 6; i > 0; i--)
        rig_takes(&stages[i], 0);
    for (int i = 0; i < 7; i++) {
        rig_takes(&stages[i], 3);
        rig_leave(&stages[i]);
    }
    shmbus_producer_close(producer);
}
END_TEST

/* A diamond is none, nor are namesakes in different places of one pipeline. */
START_TEST(no_cycle)
{
    struct staged stages[6];
    struct shmbus_producer *producer = rig_create(0, 0);
    rig_join(&(struct stage){.name = "a"}, &stages[0]);
    rig_join(&(struct stage){.name = "b", .after = "a"}, &stages[1]);
    rig_join(&(struct stage){.name = "c", .after = "a b"}, &stages[2]);
    rig_join(&(struct stage){.name = "d", .after = "c b a"}, &stages[3]);
    rig_join(&(struct stage){.name = "b", .after = "a"}, &stages[4]);
    rig_join(&(struct stage){.name = "e", .after = "b d"}, &stages[5]);
    for (int i = 0; i < 6; i++)
        rig_leave(&stages[i]);
    shmbus_producer_close(producer);
}
END_TEST

/* What the dead said does not count, repaired or not, unless their place is kept. */
START_TEST(with_the_dead)
{
    struct staged staged;
    struct staged another;
    struct shmbus_producer *producer = rig_create(0, 0);
    rig_join(&(struct stage){.name = "another"}, &another);
    struct child dead = stage_start(&(struct stage){.name = "b", .after = "a"});
    rig_leave(&another);
    child_kill(&dead);
    rig_join(&(struct stage){.name = "a", .after = "b"}, &staged);
    ck_assert(!rig_is_there("b"));
    rig_leave(&staged);
    dead = stage_start(&(struct stage){.name = "b", .after = "a", .grace_ns = LONG_NS});
    child_kill(&dead);
    is_refused(&(struct stage){.name = "a", .after = "b"}, "a after b after a ");
    ck_assert_uint_eq(rig_look("b").life, SHMBUS_LIFE_GRACE);
    is_refused(&(struct stage){.name = "a", .after = "b"}, "a after b after a ");
    shmbus_producer_close(producer);
}
END_TEST

/* One that comes back may run after others than before, and may not close a cycle by it; refused,
 * its place stays what it was. */
START_TEST(when_it_comes_back)
{
    struct staged second;
    struct staged back;
    struct shmbus_producer *producer = rig_create(0, 0);
    struct child first = stage_start(&(struct stage){.name = "a", .grace_ns = LONG_NS});
    rig_join(&(struct stage){.name = "b", .after = "a"}, &second);
    rig_publish(producer, 5);
    ck_assert_uint_eq(stage_order(&first, RIG_TAKE, 2), 2);
    child_kill(&first);
    for (int i = 0; i < 2; i++) {
        is_refused(&(struct stage){.name = "a", .after = "b", .grace_ns = LONG_NS},
                   "a after b after a ");
        ck_assert_uint_eq(rig_look("a").after_count, 0);
        if (i == 0)
            ck_assert_int_eq(shmbus_reap(BUS, NULL), 1);
    }
    rig_join(&(struct stage){.name = "a", .after = "c d", .gone = 1, .grace_ns = LONG_NS}, &back);
    struct shmbus_consumer_info info = rig_look("a");
    ck_assert_uint_eq(info.after_count, 2);
    ck_assert_uint_eq(info.after_gone, SHMBUS_AFTER_GO_ON);
    ck_assert_str_eq(info.after[0], "c");
    ck_assert_str_eq(info.after[1], "d");
    ck_assert_uint_eq(back.next, 2);
    is_refused(&(struct stage){.name = "d", .after = "b"}, "d after b after a after d ");
    rig_takes(&second, 2);
    rig_takes(&back, 3);
    ck_assert_uint_eq(back.gone, 2);
    rig_takes(&second, 3);
    rig_leave(&back);
    rig_leave(&second);
    shmbus_producer_close(producer);
}
END_TEST

/* Joins when it is told to, and says what came of it. */
static void contend(int line, void *context)
{
    struct staged staged;
    child_tell(line, 0);
    for (;;) {
        child_hear(line);
        int result = rig_try(context, &staged);
        child_tell(line, (uint64_t)result);
        child_hear(line);
        if (result == 0)
            rig_leave(&staged);
        child_tell(line, 0);
    }
}

/* Of those that would form a ring and join at once all but one can. */
static void contest(uint32_t count, int rounds)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    struct child children[4];
    uint32_t refused[4] = {0};
    struct shmbus_producer *producer = rig_create(0, 0);
    for (uint32_t i = 0; i < count; i++) {
        struct stage stage = {.name = names[i], .after = names[(i + 1) % count]};
        children[i] = child_start(contend, &stage);
        child_hear(children[i].line);
    }
    for (int round = 0; round < rounds; round++) {
        uint32_t joined = 0;
        for (uint32_t i = 0; i < count; i++)
            child_tell(children[i].line, 0);
        for (uint32_t i = 0; i < count; i++) {
            int result = (int)child_hear(children[i].line);
            ck_assert_msg(result == 0 || result == -ELOOP, "%d", result);
            joined += result == 0;
            refused[i] += result != 0;
        }
        ck_assert_uint_eq(joined, count - 1);
        for (uint32_t i = 0; i < count; i++)
            child_tell(children[i].line, 0);
        for (uint32_t i = 0; i < count; i++)
            child_hear(children[i].line);
    }
    for (uint32_t i = 0; i < count; i++) {
        printf("%s was refused %u times\n", names[i], refused[i]);
        child_kill(&children[i]);
    }
    shmbus_producer_close(producer);
}

START_TEST(two_at_once)
{
    contest(2, 2000);
}
END_TEST

START_TEST(three_at_once)
{
    contest(3, 1000);
}
END_TEST

/* Joining again is joining: the names are looked at anew. */
START_TEST(when_it_joins_again)
{
    struct staged staged;
    struct staged other;
    struct shmbus_producer *producer = rig_create(SHMBUS_BUS_EVICT, GUARD_NS);
    rig_join(&(struct stage){.name = "a", .after = "b"}, &staged);
    rig_publish(producer, CAPACITY + 1);
    ck_assert_int_eq(rig_take(&staged, 1), -ESTALE);
    is_refused(&(struct stage){.name = "b", .after = "a"}, "b after a after b ");
    rig_join(&(struct stage){.name = "b"}, &other);
    ck_assert_int_eq(shmbus_consumer_rejoin(staged.consumer, SHMBUS_FROM_TAIL, 0), 0);
    staged.next = UINT64_MAX;
    rig_publish(producer, 2);
    rig_takes(&staged, 0);
    rig_takes(&other, 2);
    rig_takes(&staged, 2);
    struct shmbus_consumer_info info = rig_look("a");
    ck_assert_uint_eq(info.after_count, 1);
    ck_assert_str_eq(info.after[0], "b");
    rig_leave(&other);
    rig_leave(&staged);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pipeline cycles");
    TCase *tcase = support_case(suite, "cycles", 120);
    tcase_add_test(tcase, of_two);
    tcase_add_test(tcase, of_three_and_more);
    tcase_add_test(tcase, no_cycle);
    tcase_add_test(tcase, with_the_dead);
    tcase_add_test(tcase, when_it_comes_back);
    tcase_add_test(tcase, two_at_once);
    tcase_add_test(tcase, three_at_once);
    tcase_add_test(tcase, when_it_joins_again);
    return support_run(suite);
}
