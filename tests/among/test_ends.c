/* SPDX-License-Identifier: MIT */
/*
 * Joining and leaving: numbers, the end of the stream when the last living producer closes, and
 * what a dead one beside the living means.
 */
#include "crew.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct shmbus_bus_options bus;

/* How many files may still be opened before one descriptor too many; less than 0: no matter. */
static int opens_left = -1;

int openat(int folder, const char *path, int flags, ...);

int openat(int folder, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    unsigned mode = flags & O_CREAT ? va_arg(arguments, unsigned) : 0;
    va_end(arguments);
    if (opens_left == 0) {
        errno = EMFILE;
        return -1;
    }
    opens_left -= opens_left > 0;
    return (int)syscall(SYS_openat, folder, path, flags, mode);
}

START_TEST(sixty_four_and_no_more)
{
    struct child children[SHMBUS_PRODUCERS_MAX];
    struct shmbus_producer *producer;
    shmbus_unlink(BUS, NULL);
    bus = crew_bus(SHMBUS_PRODUCERS_MAX);
    for (uint32_t i = 0; i < SHMBUS_PRODUCERS_MAX; i++)
        children[i] = crew_start(&bus, i, GUARD_NS);
    ck_assert_int_eq(shmbus_producer_create(BUS, &bus, NULL, &producer), -EUSERS);
    ck_assert(support_says("all 64 entries for producers are taken"));
    ck_assert_int_eq(shmbus_producer_open(BUS, NULL, NULL, 0, &producer), -EUSERS);
    struct crew_watch watch;
    crew_watch(&watch, SHMBUS_REQUIRED);
    for (uint32_t i = 0; i < SHMBUS_PRODUCERS_MAX; i++) {
        ck_assert_int_eq((int)crew_order(&children[i], CREW_PUBLISH, 2), 0);
        ck_assert_int_eq(crew_read(&watch), 0);
        ck_assert_int_eq(shmbus_unlink(BUS, NULL), -EBUSY);
    }
    ck_assert_uint_eq(watch.received, 2 * SHMBUS_PRODUCERS_MAX);
    /* A number is used again. */
    crew_close(&children[17]);
    child_kill(&children[40]);
    children[17] = crew_start(&bus, 17, GUARD_NS);
    children[40] = crew_start(&bus, 40, GUARD_NS);
    ck_assert_int_eq(shmbus_producer_open(BUS, NULL, NULL, 0, &producer), -EUSERS);
    for (uint32_t i = 0; i < SHMBUS_PRODUCERS_MAX; i++) {
        ck_assert_int_eq(crew_read(&watch), 0);
        crew_close(&children[i]);
    }
    ck_assert_int_eq(crew_read_to_the_end(&watch), -EPIPE);
    ck_assert_int_eq(shmbus_unlink(BUS, NULL), 0);
    shmbus_consumer_close(watch.consumer);
}
END_TEST

START_TEST(the_last_one_ends_it)
{
    struct child children[3];
    shmbus_unlink(BUS, NULL);
    bus = crew_bus(3);
    for (uint32_t i = 0; i < 3; i++)
        children[i] = crew_start(&bus, i, 0);
    struct crew_watch watch;
    crew_watch(&watch, SHMBUS_OPTIONAL);
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(crew_look().state, SHMBUS_STATE_OPEN);
        ck_assert_int_eq(crew_read(&watch), 0);
        ck_assert_int_eq(shmbus_consumer_wait(watch.consumer, 0), -ETIMEDOUT);
        crew_close(&children[i]);
    }
    ck_assert_int_eq(crew_read(&watch), -EPIPE);
    ck_assert_uint_eq(crew_look().state, SHMBUS_STATE_CLOSED);
    /* A kept bus goes on. */
    struct shmbus_producer *producer;
    ck_assert_int_eq(shmbus_producer_open(BUS, NULL, NULL, 0, &producer), 0);
    ck_assert_int_eq(crew_publish(producer, 0, 0), 0);
    ck_assert_int_eq(crew_read(&watch), 0);
    ck_assert_uint_eq(watch.received, 1);
    shmbus_producer_close(producer);
    ck_assert_int_eq(crew_read(&watch), -EPIPE);
    shmbus_consumer_close(watch.consumer);
}
END_TEST

/* A dead one beside a living one is repaired, and no error for consumers. */
START_TEST(a_dead_one_beside_the_living)
{
    shmbus_unlink(BUS, NULL);
    bus = crew_bus(3);
    struct child dead = crew_start(&bus, 1, 0);
    struct shmbus_producer *producer = crew_open(&bus, 0);
    struct crew_watch watch;
    crew_watch(&watch, SHMBUS_REQUIRED);
    ck_assert_int_eq((int)crew_order(&dead, CREW_PUBLISH, 5), 0);
    child_kill(&dead);
    ck_assert_int_eq(crew_read(&watch), 0);
    ck_assert_int_eq(shmbus_consumer_wait(watch.consumer, 100000000), -ETIMEDOUT);
    ck_assert_int_eq(crew_publish(producer, 0, 0), 0);
    ck_assert_int_eq(crew_read(&watch), 0);
    ck_assert_uint_eq(crew_look().producer_count, 2);
    shmbus_producer_close(producer);
    ck_assert_int_eq(crew_read_to_the_end(&watch), -EPIPE);
    ck_assert_uint_eq(crew_look().producer_count, 0);
    ck_assert_uint_eq(crew_look().state, SHMBUS_STATE_CLOSED);
    shmbus_consumer_close(watch.consumer);
}
END_TEST

static void comes_and_goes(int line, void *context)
{
    uint32_t author = *(const uint32_t *)context;
    child_hear(line);
    for (uint64_t i = 0; i < 60; i++) {
        struct shmbus_producer *producer = crew_open(&bus, GUARD_NS);
        ck_assert_int_eq(crew_publish(producer, author, i), 0);
        shmbus_producer_close(producer);
    }
    child_tell(line, 0);
}

/* They join and close at the same time, again and again: an end that is said is an end. */
START_TEST(joins_and_ends_at_once)
{
    struct child children[4];
    shmbus_unlink(BUS, NULL);
    bus = crew_bus(4);
    struct shmbus_producer *producer = crew_open(&bus, 0);
    struct crew_watch watch;
    crew_watch(&watch, SHMBUS_REQUIRED);
    shmbus_producer_close(producer);
    for (uint32_t i = 0; i < 4; i++)
        children[i] = child_start(comes_and_goes, &i);
    for (int i = 0; i < 4; i++)
        child_tell(children[i].line, 0);
    while (watch.received < UINT64_C(4) * 60) {
        int result = crew_read(&watch);
        ck_assert(result == 0 || result == -EPIPE);
    }
    for (int i = 0; i < 4; i++) {
        child_hear(children[i].line);
        child_end(&children[i]);
    }
    ck_assert_int_eq(crew_read_to_the_end(&watch), -EPIPE);
    ck_assert_uint_eq(crew_look().state, SHMBUS_STATE_CLOSED);
    ck_assert_uint_eq(watch.received, 4 * 60);
    shmbus_consumer_close(watch.consumer);
}
END_TEST

/* Each file that a producer opens to join is the one too many, once: whoever could not join was
 * never there, and nobody takes it for one that died. */
START_TEST(joins_out_of_descriptors)
{
    struct shmbus_producer *second = NULL;
    int result = -EMFILE;
    int failed = 0;
    shmbus_unlink(BUS, NULL);
    bus = crew_bus(2);
    struct shmbus_producer *first = crew_open(&bus, 0);
    while (result != 0) {
        opens_left = failed;
        result = shmbus_producer_open(BUS, NULL, NULL, 0, &second);
        opens_left = -1;
        ck_assert_msg(result == 0 || result == -EMFILE, "after %d: %d", failed, result);
        ck_assert_uint_eq(crew_look().producer_count, result == 0 ? 2 : 1);
        failed += result != 0;
    }
    ck_assert_int_gt(failed, 3);
    shmbus_producer_close(second);
    ck_assert_uint_eq(crew_look().producer_count, 1);
    shmbus_producer_close(first);
}
END_TEST

START_TEST(forked)
{
    shmbus_unlink(BUS, NULL);
    bus = crew_bus(2);
    struct shmbus_producer *producer = crew_open(&bus, 0);
    struct shmbus_claim claim;
    ck_assert_int_eq(shmbus_producer_claim(producer, 1000, &claim), 0);
    pid_t pid = fork();
    if (pid == 0) {
        int wrong = shmbus_producer_commit(producer, &claim, 0, 0) != -ECHILD ||
                    shmbus_producer_publish(producer, 0, 0, "x", 1) != -ECHILD ||
                    shmbus_producer_claim(producer, 1, &claim) != -ECHILD;
        shmbus_producer_close(producer);
        _exit(wrong);
    }
    ck_assert_int_gt(pid, 0);
    struct child child = {pid, -1, -1};
    child_end(&child);
    claim.length = 0;
    ck_assert_int_eq(shmbus_producer_commit(producer, &claim, 0, 0), 0);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("among ends");
    TCase *tcase = support_case(suite, "ends", 120);
    tcase_add_test(tcase, sixty_four_and_no_more);
    tcase_add_test(tcase, the_last_one_ends_it);
    tcase_add_test(tcase, a_dead_one_beside_the_living);
    tcase_add_test(tcase, joins_and_ends_at_once);
    tcase_add_test(tcase, joins_out_of_descriptors);
    tcase_add_test(tcase, forked);
    return support_run(suite);
}
