/* SPDX-License-Identifier: MIT */
/*
 * A fork in a participant does not keep a dead one alive: what says that it lives is a lock that
 * ends with its mappings, and children have neither. So too for forks at any moment while other
 * threads of the participant join, leave, publish and repair.
 */
#include "rig.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

static struct shmbus_bus_options bus;

START_TEST(a_consumer_that_forked_is_dead)
{
    static const uint32_t kinds[] = {SHMBUS_REQUIRED, SHMBUS_OPTIONAL};
    bus = rig_bus();
    struct shmbus_producer *producer = rig_create(&bus, GUARD_NS);
    struct child child = rig_start("forker", kinds[_i], 0, NULL, NULL);
    rig_publish_many(producer, 4, 4096);
    ck_assert_uint_eq(rig_order(&child, RIG_HOLD, 4), 4);
    pid_t left = (pid_t)rig_order(&child, RIG_FORK, 0);
    ck_assert_uint_eq(rig_life("forker"), SHMBUS_LIFE_ALIVE);
    child_kill(&child);
    ck_assert_int_eq(kill(left, 0), 0);
    ck_assert_uint_eq(rig_life("forker"), SHMBUS_LIFE_DEAD);
    rig_publish_many(producer, 20, 8);
    rig_publish_many(producer, 4, 4096);
    ck_assert_int_eq(kill(left, 0), 0);
    ck_assert_int_eq(kill(left, SIGKILL), 0);
    rig_all_slabs(producer, &bus);
    shmbus_producer_close(producer);
}
END_TEST

/* A child of this process that ends when the test does, and can be told nothing. */
static void linger(pid_t tester)
{
    prctl(PR_SET_PDEATHSIG, 0);
    while (kill(tester, 0) == 0)
        rig_sleep(20 * MILLISECOND);
    _exit(0);
}

static void forking_producer(int line, void *context)
{
    struct shmbus_producer *producer;
    pid_t tester = getppid();
    (void)context;
    ck_assert_int_eq(rig_try_create(&bus, &producer), 0);
    rig_publish_many(producer, 3, 8);
    pid_t pid = fork();
    if (pid == 0)
        linger(tester);
    child_tell(line, (uint64_t)pid);
    pause();
}

START_TEST(a_producer_that_forked_is_dead)
{
    struct shmbus_producer *producer;
    bus = rig_bus();
    shmbus_producer_close(rig_create(&bus, 0));
    struct shmbus_consumer *consumer = rig_join("stays", SHMBUS_REQUIRED, 0);
    struct child child = child_start(forking_producer, NULL);
    pid_t left = (pid_t)child_hear(child.line);
    ck_assert_int_eq(rig_try_create(&bus, &producer), -EBUSY);
    child_kill(&child);
    ck_assert_int_eq(kill(left, 0), 0);
    for (uint64_t i = 0; i < 3; i++)
        rig_next(consumer, i);
    ck_assert_int_eq(shmbus_consumer_wait(consumer, GUARD_NS), -EOWNERDEAD);
    ck_assert_int_eq(rig_try_create(&bus, &producer), 0);
    rig_publish_many(producer, 1, 8);
    rig_next(consumer, 3);
    ck_assert_int_eq(kill(left, SIGKILL), 0);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

/* ---- forks at any moment ---- */

#define CHILDREN 24

/* Joins, reads and leaves, until the process is killed. */
static void *joins_and_leaves(void *context)
{
    const char *name = context;
    for (;;) {
        struct shmbus_consumer *consumer =
            rig_join(name, name[0] == 'r' ? SHMBUS_REQUIRED : SHMBUS_OPTIONAL, 0);
        struct shmbus_message message;
        for (int i = 0; i < 3 && shmbus_consumer_next(consumer, &message) == 1; i++)
            rig_check(&message);
        shmbus_consumer_close(consumer);
    }
    return NULL;
}

/* Opens a bus of its own for publishing, and closes it again. */
static void *opens_and_closes(void *context)
{
    (void)context;
    for (;;) {
        struct shmbus_bus_options own = rig_bus();
        struct shmbus_producer *producer;
        int result = shmbus_producer_create("own", &own, NULL, &producer);
        ck_assert_msg(result == 0, "%d: %s", result, shmbus_error_text());
        rig_publish_many(producer, 2, 8);
        shmbus_producer_close(producer);
        result = shmbus_reap(BUS, NULL);
        ck_assert_msg(result >= 0, "%d: %s", result, shmbus_error_text());
    }
    return NULL;
}

/* Forks while its threads work, and is killed in the middle of it all. */
static void forks_at_random(int line, void *context)
{
    uint64_t random = *(uint64_t *)context;
    pthread_t threads[3];
    pid_t tester = getppid();
    static char required[] = "required";
    static char optional[] = "optional";
    ck_assert_int_eq(pthread_create(&threads[0], NULL, joins_and_leaves, required), 0);
    ck_assert_int_eq(pthread_create(&threads[1], NULL, joins_and_leaves, optional), 0);
    ck_assert_int_eq(pthread_create(&threads[2], NULL, opens_and_closes, NULL), 0);
    for (int i = 0; i < CHILDREN; i++) {
        rig_sleep((int64_t)support_below(&random, 300000));
        pid_t pid = fork();
        if (pid == 0)
            linger(tester);
        child_tell(line, (uint64_t)pid);
    }
    child_hear(line);
}

/* A bus of that name can be taken over, and every entry is free after one repair. */
START_TEST(forks_at_any_moment)
{
    uint64_t random = support_seed("fork");
    bus = rig_bus();
    struct shmbus_producer *producer = rig_create(&bus, GUARD_NS);
    for (int round = 0; round < 8; round++) {
        uint64_t seed = support_random(&random);
        struct child child = child_start(forks_at_random, &seed);
        struct shmbus_producer *own;
        pid_t left[CHILDREN];
        for (int i = 0; i < CHILDREN; i++) {
            rig_publish_many(producer, 2, 8);
            left[i] = (pid_t)child_hear(child.line);
        }
        child_kill(&child);
        ck_assert_int_ge(shmbus_reap(BUS, NULL), 0);
        struct shmbus_snapshot *snapshot = support_look(BUS);
        ck_assert_uint_eq(shmbus_snapshot_bus(snapshot)->consumer_count, 0);
        shmbus_snapshot_close(snapshot);
        struct shmbus_bus_options other = rig_bus();
        int result = shmbus_producer_create("own", &other, NULL, &own);
        ck_assert_msg(result == 0, "%d: %s", result, shmbus_error_text());
        shmbus_producer_close(own);
        ck_assert_int_eq(shmbus_unlink("own", NULL), 0);
        rig_publish_many(producer, 20, 8);
        for (int i = 0; i < CHILDREN; i++)
            ck_assert_int_eq(kill(left[i], SIGKILL), 0);
    }
    rig_all_slabs(producer, &bus);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("death fork");
    TCase *tcase = support_case(suite, "fork", 60);
    tcase_add_loop_test(tcase, a_consumer_that_forked_is_dead, 0, 2);
    tcase_add_test(tcase, a_producer_that_forked_is_dead);
    tcase_add_test(tcase, forks_at_any_moment);
    return support_run(suite);
}
