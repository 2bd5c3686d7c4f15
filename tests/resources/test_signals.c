/* SPDX-License-Identifier: MIT */
/*
 * A signal every 100 microseconds, whose handler does not ask for calls to be restarted, during
 * every call that waits: it neither ends before its time, nor with an error of its own, nor never;
 * and what comes meanwhile ends it as ever.
 */
#include "support/support.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#define BUS     "signals"
#define WAIT_NS INT64_C(30000000)

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    (void)number;
    caught++;
}

static void begin_signals(void)
{
    struct sigaction action;
    const struct itimerval every = {{0, 100}, {0, 100}};
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &every, NULL), 0);
}

static void end_signals(void)
{
    const struct itimerval never = {{0, 0}, {0, 0}};
    ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND_NS + now.tv_nsec;
}

/* All that can be waited with. */
struct bench {
    struct shmbus_producer *producer;
    struct shmbus_consumer *consumer;
    struct shmbus_selector *selector;
};

static const struct shmbus_wait waits[] = {
    {.strategy = SHMBUS_WAIT_SPIN},
    {.strategy = SHMBUS_WAIT_YIELD},
    {.strategy = SHMBUS_WAIT_ADAPTIVE},
    {.strategy = SHMBUS_WAIT_PARK},
};
#define STRATEGIES 4

static int call_wait(struct bench *bench)
{
    return shmbus_consumer_wait(bench->consumer, WAIT_NS);
}

static int call_select(struct bench *bench)
{
    return shmbus_selector_wait(bench->selector, WAIT_NS);
}

static int call_publish(struct bench *bench)
{
    return shmbus_producer_publish(bench->producer, 1, 0, "", 1);
}

static int call_claim(struct bench *bench)
{
    struct shmbus_claim claim;
    return shmbus_producer_claim(bench->producer, 1, &claim);
}

static int call_acquire(struct bench *bench)
{
    struct shmbus_slab slab;
    return shmbus_producer_slab_acquire(bench->producer, 1000, 1, &slab);
}

static int call_flush(struct bench *bench)
{
    return shmbus_producer_flush(bench->producer, WAIT_NS);
}

static int call_consumed(struct bench *bench)
{
    return shmbus_producer_wait_consumed(bench->producer, 1, WAIT_NS);
}

static int call_open_producer(struct bench *bench)
{
    return shmbus_producer_open("nobody", NULL, NULL, WAIT_NS, &bench->producer);
}

static int call_open_consumer(struct bench *bench)
{
    const struct shmbus_consumer_options options = {.struct_bytes = sizeof options,
                                                    .wait_ns = WAIT_NS};
    return shmbus_consumer_open("nobody", &options, &bench->consumer);
}

static const struct {
    int (*call)(struct bench *bench);
    int result;  /* when its time is over */
    int is_full; /* the ring and the pool are */
} calls[] = {
    {call_wait, -ETIMEDOUT, 0},       {call_select, -ETIMEDOUT, 0},
    {call_publish, -EAGAIN, 1},       {call_claim, -EAGAIN, 1},
    {call_acquire, -ENOBUFS, 1},      {call_flush, -ETIMEDOUT, 1},
    {call_consumed, -ETIMEDOUT, 1},   {call_open_producer, -ENOENT, 0},
    {call_open_consumer, -ENOENT, 0},
};
#define CALLS ((int)(sizeof calls / sizeof calls[0]))

static void set_up(struct bench *bench, const struct shmbus_wait *wait, int is_full)
{
    const struct shmbus_bus_options bus = {
        .struct_bytes = sizeof bus, .capacity = 16, .class_count = 1, .classes = {{1024, 2}}};
    const struct shmbus_producer_options producer = {
        .struct_bytes = sizeof producer, .full_timeout_ns = WAIT_NS, .wait = *wait};
    const struct shmbus_consumer_options consumer = {
        .struct_bytes = sizeof consumer, .kind = SHMBUS_REQUIRED, .wait = *wait};
    const struct shmbus_selector_options selector = {.struct_bytes = sizeof selector,
                                                     .wait = *wait};
    char large[1000] = "";
    bench->producer = support_create(BUS, &bus, &producer);
    ck_assert_int_eq(shmbus_consumer_open(BUS, &consumer, &bench->consumer), 0);
    ck_assert_int_eq(shmbus_selector_open(&selector, &bench->selector), 0);
    ck_assert_int_eq(shmbus_selector_add(bench->selector, bench->consumer, NULL), 0);
    for (int i = 0; i < 16 && is_full; i++)
        ck_assert_int_eq(
            shmbus_producer_publish(bench->producer, 1, 0, large, i < 2 ? sizeof large : 1), 0);
}

static void tear_down(struct bench *bench)
{
    shmbus_selector_close(bench->selector);
    shmbus_consumer_close(bench->consumer);
    shmbus_producer_close(bench->producer);
    shmbus_unlink(BUS, NULL);
}

START_TEST(not_before_its_time)
{
    struct bench bench = {NULL, NULL, NULL};
    struct bench kept;
    int number = _i / STRATEGIES;
    set_up(&bench, &waits[_i % STRATEGIES], calls[number].is_full);
    kept = bench;
    begin_signals();
    caught = 0;
    int64_t before = now_ns();
    int result = calls[number].call(&bench);
    int64_t took = now_ns() - before;
    end_signals();
    ck_assert_msg(result == calls[number].result, "call %d: %d", number, result);
    ck_assert_int_ge(took, WAIT_NS);
    ck_assert_int_gt(caught, 0);
    tear_down(&kept);
}
END_TEST

/* ---- what comes meanwhile ---- */

static void publish_when_told(int line, void *context)
{
    struct shmbus_producer *producer;
    (void)context;
    ck_assert_int_eq(shmbus_producer_open(BUS, NULL, NULL, SHMBUS_FOREVER, &producer), 0);
    child_tell(line, 0);
    for (uint64_t i = child_hear(line); i > 0; i--) {
        struct timespec pause = {.tv_nsec = 2000000};
        nanosleep(&pause, NULL);
        ck_assert_int_eq(shmbus_producer_publish(producer, 1, 0, &i, sizeof i), 0);
    }
    child_hear(line);
    shmbus_producer_close(producer);
}

static int ready(struct shmbus_consumer *consumer, struct shmbus_selector *selector, int descriptor)
{
    struct pollfd waited = {.fd = descriptor, .events = POLLIN};
    if (selector != NULL)
        return shmbus_selector_wait(selector, GUARD_NS);
    if (descriptor < 0)
        return shmbus_consumer_wait(consumer, GUARD_NS);
    int result = poll(&waited, 1, (int)(GUARD_NS / 1000000));
    return result == 1 || (result < 0 && errno == EINTR) ? 0 : -ETIMEDOUT;
}

/* In wait() by each strategy, in a selector, and in poll() on the descriptor, whose thread no
 * signal may go to. */
START_TEST(messages_come_all_the_same)
{
    const struct shmbus_bus_options bus = {.struct_bytes = sizeof bus, .capacity = 16};
    const struct shmbus_selector_options selected = {.struct_bytes = sizeof selected};
    const struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options, .kind = SHMBUS_REQUIRED, .wait = waits[_i % STRATEGIES]};
    struct shmbus_selector *selector = NULL;
    struct shmbus_consumer *consumer;
    struct shmbus_message message;
    int descriptor = -1;
    shmbus_producer_close(support_create(BUS, &bus, NULL));
    /* Before this process has a second thread: that fork() is safe then is up to sanitizers. */
    struct child child = child_start(publish_when_told, NULL);
    child_hear(child.line);
    ck_assert_int_eq(shmbus_consumer_open(BUS, &options, &consumer), 0);
    if (_i == STRATEGIES)
        ck_assert_int_eq(shmbus_consumer_fd(consumer, &descriptor), 0);
    if (_i == STRATEGIES + 1) {
        ck_assert_int_eq(shmbus_selector_open(&selected, &selector), 0);
        ck_assert_int_eq(shmbus_selector_add(selector, consumer, NULL), 0);
    }
    caught = 0;
    begin_signals();
    child_tell(child.line, 20);
    for (uint64_t left = 20; left > 0;) {
        struct shmbus_selected given = {.result = 0};
        ck_assert_int_eq(ready(consumer, selector, descriptor), 0);
        int got = selector != NULL ? shmbus_selector_next(selector, &given)
                                   : shmbus_consumer_next(consumer, &message);
        message = selector != NULL ? given.message : message;
        ck_assert_int_ge(got, 0);
        if (got == 0)
            continue;
        ck_assert_int_eq(given.result, 0);
        ck_assert_uint_eq(*(const uint64_t *)message.data, left--);
    }
    end_signals();
    ck_assert_int_gt(caught, 0);
    child_tell(child.line, 0);
    child_end(&child);
    shmbus_selector_close(selector);
    shmbus_consumer_close(consumer);
    shmbus_unlink(BUS, NULL);
}
END_TEST

/* A producer that is blocked, and one that flushes, while a consumer reads on. */
static void read_when_told(int line, void *context)
{
    struct shmbus_consumer *consumer = support_join(BUS, SHMBUS_FROM_OLDEST);
    struct shmbus_message message;
    (void)context;
    child_tell(line, 0);
    for (uint64_t i = 0; i < 200; i++) {
        ck_assert_int_eq(shmbus_consumer_wait(consumer, GUARD_NS), 0);
        ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
        ck_assert_uint_eq(message.sequence, i);
        ck_assert_int_eq(memcmp(message.data, &i, sizeof i), 0);
    }
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 0);
    child_hear(line);
    shmbus_consumer_close(consumer);
}

START_TEST(room_comes_all_the_same)
{
    const struct shmbus_bus_options bus = {
        .struct_bytes = sizeof bus, .capacity = 16, .class_count = 1, .classes = {{1024, 2}}};
    const struct shmbus_producer_options options = {
        .struct_bytes = sizeof options, .full_timeout_ns = GUARD_NS, .wait = waits[_i]};
    struct shmbus_producer *producer = support_create(BUS, &bus, &options);
    struct child child = child_start(read_when_told, NULL);
    char large[1000] = "";
    child_hear(child.line);
    begin_signals();
    for (uint64_t i = 0; i < 200; i++) {
        memcpy(large, &i, sizeof i);
        ck_assert_int_eq(
            shmbus_producer_publish(producer, 1, 0, large, i % 3 == 0 ? sizeof large : sizeof i),
            0);
    }
    ck_assert_int_eq(shmbus_producer_flush(producer, GUARD_NS), 0);
    end_signals();
    child_tell(child.line, 0);
    child_end(&child);
    shmbus_producer_close(producer);
    shmbus_unlink(BUS, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resources signals");
    TCase *tcase = support_case(suite, "signals", 120);
    tcase_add_loop_test(tcase, not_before_its_time, 0, CALLS * STRATEGIES);
    tcase_add_loop_test(tcase, messages_come_all_the_same, 0, STRATEGIES + 2);
    tcase_add_loop_test(tcase, room_comes_all_the_same, 0, STRATEGIES);
    return support_run(suite);
}
