/* SPDX-License-Identifier: MIT */
/*
 * A consumer's descriptor for event loops: readable whenever there is something, for a message, the
 * end, a death, an eviction; not readable once all was read; and nobody pays who has none.
 */
#include "support/support.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUS "event"

static struct shmbus_producer *make(uint32_t flags, uint32_t producers)
{
    struct shmbus_bus_options bus = {.struct_bytes = sizeof bus,
                                     .capacity = 64,
                                     .flags = flags | SHMBUS_BUS_NO_POOL,
                                     .stall_ns = 20000000,
                                     .max_producers = producers};
    struct shmbus_producer_options options = {.struct_bytes = sizeof options,
                                              .full_timeout_ns = GUARD_NS};
    return support_create(BUS, &bus, &options);
}

static struct shmbus_consumer *join(uint32_t kind, const char *const *after)
{
    struct shmbus_consumer_options options = {.struct_bytes = sizeof options,
                                              .name = after != NULL ? "second" : "first",
                                              .kind = kind,
                                              .from = SHMBUS_FROM_OLDEST,
                                              .after = after,
                                              .after_count = after != NULL};
    struct shmbus_consumer *consumer;
    int result = shmbus_consumer_open(BUS, &options, &consumer);
    ck_assert_msg(result == 0, "%s", shmbus_error_text());
    return consumer;
}

static int descriptor_of(struct shmbus_consumer *consumer)
{
    int descriptor = -1;
    int again = -1;
    int result = shmbus_consumer_fd(consumer, &descriptor);
    ck_assert_msg(result == 0, "%s", shmbus_error_text());
    ck_assert_int_eq(shmbus_consumer_fd(consumer, &again), 0);
    ck_assert_int_eq(descriptor, again);
    return descriptor;
}

static int is_readable(int descriptor, int timeout_ms)
{
    struct pollfd one = {.fd = descriptor, .events = POLLIN};
    int result;
    do {
        result = poll(&one, 1, timeout_ms);
    } while (result < 0 && errno == EINTR);
    ck_assert_int_ge(result, 0);
    return result;
}

static void await_readable(int descriptor)
{
    ck_assert_int_eq(is_readable(descriptor, 50000), 1);
}

/* Reads until there is nothing: returns what the last call said, 0 or an error. */
static int drain(struct shmbus_consumer *consumer, uint64_t *next)
{
    struct shmbus_message message;
    int result;
    while ((result = shmbus_consumer_next(consumer, &message)) == 1)
        ck_assert_uint_eq(message.sequence, (*next)++);
    if (result == 0)
        result = shmbus_consumer_wait(consumer, 0);
    return result == -ETIMEDOUT ? 0 : result;
}

/* Reads and watches until this many were read. */
static void read_to(struct shmbus_consumer *consumer, int descriptor, uint64_t *next, uint64_t to)
{
    while (*next < to) {
        await_readable(descriptor);
        ck_assert_int_eq(drain(consumer, next), 0);
    }
}

static void publish(struct shmbus_producer *producer, uint64_t count)
{
    for (; count > 0; count--)
        ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, "x", 1), 0);
}

START_TEST(readable_while_there_is_something)
{
    static const uint32_t kinds[] = {SHMBUS_REQUIRED, SHMBUS_OPTIONAL, SHMBUS_OBSERVER};
    struct shmbus_producer *producer = make(_i / 3 ? SHMBUS_BUS_NO_PARK : 0, 1);
    struct shmbus_consumer *consumer = join(kinds[_i % 3], NULL);
    uint64_t next = 0;
    int descriptor = descriptor_of(consumer);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    ck_assert_int_ge(epoll, 0);
    ck_assert_int_eq(epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event), 0);
    await_readable(descriptor); /* at first, to be looked at once */
    ck_assert_int_eq(drain(consumer, &next), 0);
    ck_assert_int_eq(is_readable(descriptor, 60), 0);
    for (uint64_t round = 1; round <= 50; round++) {
        publish(producer, round % 5 + 1);
        ck_assert_int_eq(epoll_wait(epoll, &event, 1, 50000), 1);
        /* Level-triggered: it stays so until all was read. */
        ck_assert_int_eq(epoll_wait(epoll, &event, 1, 0), 1);
        read_to(consumer, descriptor, &next, shmbus_producer_next_sequence(producer));
    }
    while (is_readable(descriptor, 0))
        ck_assert_int_eq(drain(consumer, &next), 0);
    ck_assert_int_eq(is_readable(descriptor, 60), 0);
    shmbus_producer_close(producer);
    await_readable(descriptor);
    ck_assert_int_eq(drain(consumer, &next), -EPIPE);
    close(epoll);
    shmbus_consumer_close(consumer);
}
END_TEST

static void publishes_and_waits(int line, void *context)
{
    (void)context;
    struct shmbus_producer *producer = make(0, 1);
    child_tell(line, 0);
    for (;;) {
        child_hear(line);
        publish(producer, 1);
    }
}

START_TEST(a_death_makes_it_readable)
{
    struct child child = child_start(publishes_and_waits, NULL);
    uint64_t next = 0;
    child_hear(child.line);
    struct shmbus_consumer *consumer = join(SHMBUS_REQUIRED, NULL);
    int descriptor = descriptor_of(consumer);
    child_tell(child.line, 0);
    read_to(consumer, descriptor, &next, 1);
    child_stop(&child);
    while (is_readable(descriptor, 60))
        ck_assert_int_eq(drain(consumer, &next), 0);
    child_continue(&child);
    child_tell(child.line, 0);
    read_to(consumer, descriptor, &next, 2);
    child_kill(&child);
    int result;
    do {
        await_readable(descriptor);
        result = drain(consumer, &next);
    } while (result == 0);
    ck_assert_int_eq(result, -EOWNERDEAD);
    shmbus_consumer_close(consumer);
}
END_TEST

static void claims_and_waits(int line, void *context)
{
    (void)context;
    struct shmbus_producer *producer;
    struct shmbus_claim claim;
    ck_assert_int_eq(shmbus_producer_open(BUS, NULL, NULL, 0, &producer), 0);
    ck_assert_int_eq(shmbus_producer_claim(producer, 1, &claim), 0);
    child_tell(line, claim.sequence);
    child_hear(line);
}

START_TEST(a_hole_of_the_dead_makes_it_readable)
{
    struct shmbus_producer *producer = make(0, 2);
    struct shmbus_consumer *consumer = join(SHMBUS_REQUIRED, NULL);
    int descriptor = descriptor_of(consumer);
    struct shmbus_message message;
    struct child child = child_start(claims_and_waits, NULL);
    ck_assert_uint_eq(child_hear(child.line), 0);
    publish(producer, 1);
    uint64_t next = 1;
    ck_assert_int_eq(drain(consumer, &next), 0);
    ck_assert_int_eq(is_readable(descriptor, 60), 0);
    child_kill(&child);
    int result;
    do {
        await_readable(descriptor);
        ck_assert_int_eq(shmbus_consumer_wait(consumer, 0) % ETIMEDOUT, 0);
        result = shmbus_consumer_next(consumer, &message);
    } while (result == 0);
    ck_assert_int_eq(result, 1);
    ck_assert_uint_eq(message.sequence, 1);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

/* Evicted while it watches. */
START_TEST(an_eviction_makes_it_readable)
{
    struct shmbus_producer *producer = make(SHMBUS_BUS_EVICT, 1);
    struct shmbus_consumer *consumer = join(SHMBUS_REQUIRED, NULL);
    int descriptor = descriptor_of(consumer);
    uint64_t next = 0;
    ck_assert_int_eq(drain(consumer, &next), 0);
    publish(producer, 100); /* it is a ring behind, and stalled */
    await_readable(descriptor);
    ck_assert_int_eq(drain(consumer, &next), -ESTALE);
    ck_assert_int_eq(shmbus_consumer_rejoin(consumer, SHMBUS_FROM_OLDEST, 0), 0);
    struct shmbus_consumer_stats stats;
    ck_assert_int_eq(shmbus_consumer_stats(consumer, &stats), 0);
    next = stats.cursor;
    ck_assert_int_eq(drain(consumer, &next), 0);
    publish(producer, 1);
    read_to(consumer, descriptor, &next, 101);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

/* One that runs after another: readable when that one is past the message. */
START_TEST(behind_another)
{
    static const char *const names[] = {"first"};
    struct shmbus_producer *producer = make(0, 1);
    struct shmbus_consumer *first = join(SHMBUS_REQUIRED, NULL);
    struct shmbus_consumer *second = join(SHMBUS_REQUIRED, names);
    int descriptor = descriptor_of(second);
    uint64_t next = 0;
    uint64_t before = 0;
    for (uint64_t round = 1; round <= 20; round++) {
        publish(producer, 3);
        for (int i = 0; i < 3; i++)
            ck_assert_int_eq(drain(second, &before), 0);
        ck_assert_uint_eq(before, 3 * (round - 1));
        ck_assert_int_eq(drain(first, &next), 0);
        read_to(second, descriptor, &before, 3 * round);
    }
    shmbus_consumer_close(second);
    shmbus_consumer_close(first);
    shmbus_producer_close(producer);
}
END_TEST

/* The producer and the loop at full speed, many rounds: no wake-up is lost. */
static void publishes_unevenly(int line, void *context)
{
    uint64_t seed = *(const uint64_t *)context;
    struct shmbus_producer *producer = make(0, 1);
    child_tell(line, 0);
    child_hear(line);
    for (int i = 0; i < 20000; i++) {
        publish(producer, 1);
        if (support_below(&seed, 8) == 0)
            for (volatile uint64_t j = support_below(&seed, 3000); j > 0; j--)
                ;
    }
    shmbus_producer_close(producer);
}

START_TEST(none_is_lost_at_full_speed)
{
    uint64_t seed = support_seed("none_is_lost_at_full_speed");
    uint64_t next = 0;
    struct child child = child_start(publishes_unevenly, &seed);
    child_hear(child.line);
    struct shmbus_consumer *consumer = join(SHMBUS_REQUIRED, NULL);
    int descriptor = descriptor_of(consumer);
    int result = 0;
    child_tell(child.line, 0);
    while (result == 0) {
        await_readable(descriptor);
        result = drain(consumer, &next);
    }
    ck_assert_int_eq(result, -EPIPE);
    ck_assert_uint_eq(next, 20000);
    child_end(&child);
    shmbus_consumer_close(consumer);
}
END_TEST

static int count_of(const char *path)
{
    DIR *listing = opendir(path);
    int count = 0;
    ck_assert_ptr_nonnull(listing);
    while (readdir(listing) != NULL)
        count++;
    closedir(listing);
    return count;
}

START_TEST(it_goes_with_its_consumer_and_not_with_a_child)
{
    struct shmbus_producer *producer = make(0, 1);
    int descriptors = count_of("/proc/self/fd");
    int threads = count_of("/proc/self/task");
    for (int i = 0; i < 20; i++) {
        struct shmbus_consumer *consumer = join(SHMBUS_REQUIRED, NULL);
        int descriptor = descriptor_of(consumer);
        struct shmbus_consumer_stats stats;
        ck_assert_int_eq(shmbus_consumer_stats(consumer, &stats), 0);
        uint64_t next = stats.cursor;
        ck_assert_int_eq(count_of("/proc/self/task"), threads + 1);
        if (i % 2)
            ck_assert_int_eq(drain(consumer, &next), 0);
        pid_t pid = fork();
        if (pid == 0) {
            int wrong = shmbus_consumer_fd(consumer, &descriptor) != -ECHILD;
            shmbus_consumer_close(consumer);
            _exit(wrong);
        }
        struct child child = {pid, -1, -1};
        child_end(&child);
        publish(producer, 1);
        if (i % 2)
            read_to(consumer, descriptor, &next, shmbus_producer_next_sequence(producer));
        shmbus_consumer_close(consumer);
    }
    ck_assert_int_eq(count_of("/proc/self/fd"), descriptors);
    ck_assert_int_eq(count_of("/proc/self/task"), threads);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("event");
    TCase *tcase = support_case(suite, "event", 120);
    tcase_add_loop_test(tcase, readable_while_there_is_something, 0, 6);
    tcase_add_test(tcase, a_death_makes_it_readable);
    tcase_add_test(tcase, a_hole_of_the_dead_makes_it_readable);
    tcase_add_test(tcase, an_eviction_makes_it_readable);
    tcase_add_test(tcase, behind_another);
    tcase_add_test(tcase, none_is_lost_at_full_speed);
    tcase_add_test(tcase, it_goes_with_its_consumer_and_not_with_a_child);
    return support_run(suite);
}
