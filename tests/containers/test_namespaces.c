/* SPDX-License-Identifier: MIT */
/*
 * Participants in PID, mount and user namespaces of their own: messages, liveness and repair are as
 * on one host without them. Nothing goes by a PID, so one that is used again, and every container's
 * PID 1, misleads nobody.
 */
#include "box.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ALL   (CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUSER)
#define OTHER 65534

static struct box_kind contained(void)
{
    struct box_kind kind = {.namespaces = ALL, .uid = geteuid(), .maps = 1};
    return kind;
}

/* Starts a box with a worker, whose PID inside is handed back. */
static int start(struct box *box, const struct box_kind *kind, const char *test, uint64_t *out_pid)
{
    if (!box_start(box, kind, test))
        return 0;
    *out_pid = box_order(box, BOX_START, 0);
    ck_assert_uint_gt(*out_pid, 0);
    return 1;
}

/* Two boxes with a producer and a required consumer; 0 when they cannot be had. */
static int start_two(struct box *one, struct box *other, const char *test)
{
    struct box_kind kind = contained();
    uint64_t pid;
    if (!start(one, &kind, test, &pid) || !start(other, &kind, test, &pid))
        return 0;
    ck_assert_uint_eq(box_order(one, BOX_CREATE, 0), 0);
    ck_assert_uint_eq(box_order(other, BOX_JOIN, SHMBUS_REQUIRED), 0);
    return 1;
}

static void end_two(struct box *one, struct box *other)
{
    box_end(one);
    box_end(other);
    ck_assert_int_eq(shmbus_unlink("bus", NULL), 0);
}

/* The life of the one consumer, as seen from outside; and its PID. */
static uint32_t life(uint32_t *out_pid)
{
    struct shmbus_snapshot *snapshot = support_look("bus");
    const struct shmbus_consumer_info *consumer = shmbus_snapshot_consumer(snapshot, 0);
    uint32_t found = consumer != NULL ? consumer->life : SHMBUS_LIFE_UNKNOWN;
    if (consumer != NULL)
        *out_pid = consumer->pid;
    shmbus_snapshot_close(snapshot);
    return found;
}

START_TEST(messages_from_one_to_another)
{
    struct box_kind kind = contained();
    struct box one = {.first = 0};
    struct box other = {.first = 0};
    uint64_t producer_pid;
    uint64_t consumer_pid;
    uint32_t shown = 0;
    if (!start(&one, &kind, "messages_from_one_to_another", &producer_pid) ||
        !start(&other, &kind, "messages_from_one_to_another", &consumer_pid))
        return;
    ck_assert_uint_eq(box_order(&one, BOX_CREATE, 0), 0);
    ck_assert_uint_eq(box_order(&other, BOX_JOIN, SHMBUS_REQUIRED), 0);
    box_tell(&one, BOX_PUBLISH, 1000);
    ck_assert_uint_eq(box_order(&other, BOX_READ, 1000), 1000);
    ck_assert_uint_eq(box_hear(&one), 1000);
    /* Seen from outside: both live, and are shown by the PIDs that they have inside. */
    struct shmbus_snapshot *snapshot = support_look("bus");
    ck_assert_uint_eq(shmbus_snapshot_bus(snapshot)->state, SHMBUS_STATE_OPEN);
    ck_assert_uint_eq(shmbus_snapshot_producer(snapshot, 0)->alive, 1);
    ck_assert_uint_eq(shmbus_snapshot_producer(snapshot, 0)->pid, producer_pid);
    shmbus_snapshot_close(snapshot);
    ck_assert_uint_eq(life(&shown), SHMBUS_LIFE_ALIVE);
    ck_assert_uint_eq(shown, consumer_pid);
    ck_assert_uint_lt(consumer_pid, 100);
    end_two(&one, &other);
}
END_TEST

/* Killed from inside: a producer in another container, which waits for it, goes on. */
START_TEST(a_consumer_is_killed)
{
    struct box one = {.first = 0};
    struct box other = {.first = 0};
    uint32_t pid;
    if (!start_two(&one, &other, "a_consumer_is_killed"))
        return;
    ck_assert_uint_eq(box_order(&one, BOX_PUBLISH, 16), 16);
    ck_assert_uint_eq(box_order(&one, BOX_TRY, 0), EAGAIN);
    box_tell(&one, BOX_PUBLISH, 100);
    ck_assert_uint_eq(life(&pid), SHMBUS_LIFE_ALIVE);
    ck_assert_uint_eq(box_order(&other, BOX_KILL, 0), 0);
    ck_assert_uint_eq(box_hear(&one), 100);
    end_two(&one, &other);
}
END_TEST

/* With its first process a whole container dies, and so does what it had on the bus. */
START_TEST(a_container_is_killed)
{
    struct box one = {.first = 0};
    struct box other = {.first = 0};
    if (!start_two(&one, &other, "a_container_is_killed"))
        return;
    ck_assert_uint_eq(box_order(&one, BOX_PUBLISH, 16), 16);
    box_tell(&one, BOX_PUBLISH, 100);
    box_end(&other);
    ck_assert_uint_eq(box_hear(&one), 100);
    end_two(&one, &other);
}
END_TEST

/* A stopped one is not a dead one, wherever it is. */
START_TEST(a_consumer_is_stopped)
{
    struct box one = {.first = 0};
    struct box other = {.first = 0};
    uint32_t pid;
    if (!start_two(&one, &other, "a_consumer_is_stopped"))
        return;
    box_order(&other, BOX_STOP, 0);
    ck_assert_uint_eq(box_order(&one, BOX_PUBLISH, 16), 16);
    for (int i = 0; i < 10; i++)
        ck_assert_uint_eq(box_order(&one, BOX_TRY, 0), EAGAIN);
    ck_assert_uint_ne(life(&pid), SHMBUS_LIFE_DEAD);
    box_order(&other, BOX_CONTINUE, 0);
    ck_assert_uint_eq(box_order(&other, BOX_READ, 16), 16);
    ck_assert_uint_eq(box_order(&one, BOX_TRY, 0), 0);
    end_two(&one, &other);
}
END_TEST

/* The producer dies in its container; a third one takes over, and the consumer sees no gap. */
START_TEST(a_producer_is_killed)
{
    struct box_kind kind = contained();
    struct box one = {.first = 0};
    struct box other = {.first = 0};
    struct box third = {.first = 0};
    uint64_t pid;
    if (!start_two(&one, &other, "a_producer_is_killed") ||
        !start(&third, &kind, "a_producer_is_killed", &pid))
        return;
    ck_assert_uint_eq(box_order(&third, BOX_CREATE, 0), EBUSY);
    ck_assert_uint_eq(box_order(&one, BOX_PUBLISH, 10), 10);
    ck_assert_uint_eq(box_order(&one, BOX_KILL, 0), 0);
    ck_assert_uint_eq(box_order(&other, BOX_READ, 10), 10);
    ck_assert_uint_eq(box_order(&other, BOX_WAIT, 0), EOWNERDEAD);
    ck_assert_uint_eq(box_order(&third, BOX_CREATE, 0), 0);
    ck_assert_uint_eq(box_order(&third, BOX_NEXT, 0), 10);
    ck_assert_uint_eq(box_order(&third, BOX_PUBLISH, 10), 10);
    ck_assert_uint_eq(box_order(&other, BOX_READ, 10), 20);
    box_end(&third);
    end_two(&one, &other);
}
END_TEST

/* The dead one's PID is somebody else's by now, in the same namespace: it is dead all the same. */
START_TEST(a_pid_is_used_again)
{
    struct box one = {.first = 0};
    struct box other = {.first = 0};
    uint32_t pid = 0;
    if (!start_two(&one, &other, "a_pid_is_used_again"))
        return;
    ck_assert_uint_eq(life(&pid), SHMBUS_LIFE_ALIVE);
    ck_assert_uint_eq(box_order(&one, BOX_PUBLISH, 16), 16);
    ck_assert_uint_eq(box_order(&other, BOX_KILL, 0), 0);
    ck_assert_uint_eq(box_order(&other, BOX_START, pid), pid);
    uint32_t again = 0;
    ck_assert_uint_eq(life(&again), SHMBUS_LIFE_DEAD);
    ck_assert_uint_eq(again, pid);
    ck_assert_uint_eq(box_order(&one, BOX_PUBLISH, 100), 100);
    /* The new one is a consumer of its own, under the same PID. */
    ck_assert_uint_eq(box_order(&other, BOX_JOIN, SHMBUS_REQUIRED), 0);
    ck_assert_uint_eq(life(&again), SHMBUS_LIFE_ALIVE);
    ck_assert_uint_eq(again, pid);
    end_two(&one, &other);
}
END_TEST

/* Nothing in /proc: neither the boot's id nor a cgroup nor a mapping's pages can be asked for. */
START_TEST(without_proc)
{
    struct box_kind kind = contained();
    struct box one = {.first = 0};
    struct box other = {.first = 0};
    uint64_t pid;
    kind.hides_proc = 1;
    if (!start(&one, &kind, "without_proc", &pid) || !start(&other, &kind, "without_proc", &pid))
        return;
    ck_assert_uint_eq(box_order(&one, BOX_CREATE, 0), 0);
    ck_assert_uint_eq(box_order(&other, BOX_JOIN, SHMBUS_REQUIRED), 0);
    ck_assert_uint_eq(box_order(&one, BOX_PUBLISH, 16), 16);
    ck_assert_uint_eq(box_order(&other, BOX_READ, 16), 16);
    ck_assert_uint_eq(box_order(&one, BOX_PUBLISH, 16), 16);
    box_tell(&one, BOX_PUBLISH, 10);
    ck_assert_uint_eq(box_order(&other, BOX_KILL, 0), 0);
    ck_assert_uint_eq(box_hear(&one), 10);
    end_two(&one, &other);
}
END_TEST

/* With a /dev/shm of its own a container does not see the bus, and makes one beside it. */
START_TEST(another_shm)
{
    struct box_kind kind = contained();
    struct box one = {.first = 0};
    struct box other = {.first = 0};
    uint64_t pid;
    if (!start(&one, &kind, "another_shm", &pid))
        return;
    kind.has_own_shm = 1;
    if (!start(&other, &kind, "another_shm", &pid))
        return;
    ck_assert_uint_eq(box_order(&one, BOX_CREATE, 0), 0);
    ck_assert_uint_eq(box_order(&other, BOX_JOIN, SHMBUS_REQUIRED), ENOENT);
    ck_assert_uint_eq(box_order(&other, BOX_CREATE, 0), 0);
    ck_assert_uint_eq(box_order(&other, BOX_PUBLISH, 5), 5);
    ck_assert_uint_eq(box_order(&one, BOX_NEXT, 0), 0);
    end_two(&one, &other);
}
END_TEST

/* Another user's, from a user namespace, mapped there or not: the mode decides, by the user that it
 * is outside. Root inside is not root. */
START_TEST(other_users)
{
    struct box_kind kind = contained();
    struct box one = {.first = 0};
    uint64_t pid;
    if (geteuid() != 0) {
        printf("SKIP other_users: needs root, for processes of other users\n");
        return;
    }
    ck_assert_int_eq(chmod(getenv("SHMBUS_DIR"), 0755), 0);
    struct shmbus_producer *producer = support_create("bus", &box_bus, NULL);
    kind.uid = OTHER;
    kind.maps = _i;
    if (!box_start(&one, &kind, "other_users"))
        return;
    pid = box_order(&one, BOX_START, 0);
    ck_assert_uint_gt(pid, 0);
    ck_assert_uint_eq(box_order(&one, BOX_CREATE, 0), EACCES);
    ck_assert_uint_eq(box_order(&one, BOX_JOIN, SHMBUS_REQUIRED), 0);
    uint32_t shown = 0;
    ck_assert_uint_eq(life(&shown), SHMBUS_LIFE_ALIVE);
    ck_assert_uint_eq(shown, pid);
    for (uint64_t i = 0; i < 16; i++)
        ck_assert_int_eq(shmbus_producer_publish(producer, 1, 0, &i, sizeof i), 0);
    ck_assert_uint_eq(box_order(&one, BOX_READ, 16), 16);
    for (uint64_t i = 0; i < 16; i++)
        ck_assert_int_eq(shmbus_producer_publish(producer, 1, 0, &i, sizeof i), 0);
    ck_assert_int_eq(shmbus_producer_publish(producer, 1, 0, "", 1), -EAGAIN);
    ck_assert_uint_eq(box_order(&one, BOX_KILL, 0), 0);
    ck_assert_int_eq(shmbus_producer_publish(producer, 1, 0, "", 1), 0);
    shmbus_producer_close(producer);
    box_end(&one);
    ck_assert_int_eq(shmbus_unlink("bus", NULL), 0);
}
END_TEST

/* A bus that root of a user namespace made is that user's outside: those may take it over, and
 * root outside may not. */
START_TEST(made_by_root_inside)
{
    struct box_kind kind = contained();
    struct box one = {.first = 0};
    struct box other = {.first = 0};
    struct shmbus_producer *producer;
    struct stat found;
    char path[512];
    uint64_t pid;
    if (geteuid() != 0) {
        printf("SKIP made_by_root_inside: needs root, for processes of other users\n");
        return;
    }
    ck_assert_int_eq(chmod(getenv("SHMBUS_DIR"), 01777), 0);
    kind.uid = OTHER;
    if (!start(&one, &kind, "made_by_root_inside", &pid) ||
        !start(&other, &kind, "made_by_root_inside", &pid))
        return;
    ck_assert_uint_eq(box_order(&one, BOX_CREATE, 0), 0);
    snprintf(path, sizeof path, "%s/shmbus.bus", getenv("SHMBUS_DIR"));
    ck_assert_int_eq(stat(path, &found), 0);
    ck_assert_uint_eq(found.st_uid, OTHER);
    ck_assert_uint_eq(box_order(&one, BOX_PUBLISH, 3), 3);
    struct shmbus_consumer *consumer = support_join("bus", SHMBUS_FROM_OLDEST);
    ck_assert_int_eq(shmbus_producer_open("bus", NULL, NULL, 0, &producer), -EACCES);
    ck_assert_uint_eq(box_order(&one, BOX_KILL, 0), 0);
    ck_assert_uint_eq(box_order(&other, BOX_CREATE, 0), 0);
    ck_assert_uint_eq(box_order(&other, BOX_PUBLISH, 3), 3);
    struct shmbus_message message;
    for (uint64_t i = 0; i < 6; i++) {
        ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
        ck_assert_uint_eq(message.sequence, i);
    }
    shmbus_consumer_close(consumer);
    end_two(&one, &other);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("containers namespaces");
    TCase *tcase = support_case(suite, "namespaces", 60);
    tcase_add_test(tcase, messages_from_one_to_another);
    tcase_add_test(tcase, a_consumer_is_killed);
    tcase_add_test(tcase, a_container_is_killed);
    tcase_add_test(tcase, a_consumer_is_stopped);
    tcase_add_test(tcase, a_producer_is_killed);
    tcase_add_test(tcase, a_pid_is_used_again);
    tcase_add_test(tcase, without_proc);
    tcase_add_test(tcase, another_shm);
    tcase_add_loop_test(tcase, other_users, 0, 2);
    tcase_add_test(tcase, made_by_root_inside);
    return support_run(suite);
}
