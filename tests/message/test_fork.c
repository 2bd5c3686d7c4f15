/* SPDX-License-Identifier: MIT */
/*
 * After a fork the child's use of both objects is refused, wherever it happened, and the parent
 * goes on; a child that lives on does not make its dead parent look alive.
 */
#include "expect.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUS "fork"

static struct shmbus_producer *producer;
static struct shmbus_consumer *consumer;
static struct shmbus_message message;
static struct shmbus_slab slab;
static struct shmbus_claim claim;
static uint64_t handle;

static void begin(void)
{
    struct shmbus_bus_options options = expect_bus();
    producer = support_create(BUS, &options, NULL);
    consumer = support_join(BUS, SHMBUS_FROM_TAIL);
    ck_assert_int_eq(expect_publish(producer, 100), 0);
    ck_assert_int_eq(expect_publish(producer, 8), 0);
    message = expect_next(consumer, 0, 100);
    ck_assert_int_eq(shmbus_consumer_retain(consumer, &message, &handle), 0);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 64, 1, &slab), 0);
}

static void end(void)
{
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}

#define REFUSED(call)                                                                              \
    do {                                                                                           \
        ck_assert_int_eq(call, -ECHILD);                                                           \
        ck_assert_msg(support_says("another process"), "%s", shmbus_error_text());                 \
    } while (0)

static void producer_is_refused(void)
{
    struct shmbus_outgoing one = {"x", 1, 0, 0};
    struct shmbus_claim other;
    struct shmbus_pool_stats pool;
    struct shmbus_placement placement;
    struct shmbus_slab more;
    uint64_t lag;
    /* Those of an open claim first: a call that is refused must not open it again. */
    for (int i = 0; i < 2; i++) {
        REFUSED(shmbus_producer_commit(producer, &claim, 0, 0));
        REFUSED(shmbus_producer_abort(producer, &claim));
        REFUSED(shmbus_producer_claim(producer, 8, &other));
        REFUSED(shmbus_producer_claim(producer, 100, &other));
        REFUSED(shmbus_producer_publish(producer, 0, 0, "x", 1));
        REFUSED(shmbus_producer_publish_batch(producer, &one, 1));
        REFUSED(shmbus_producer_slab_acquire(producer, 64, 1, &more));
        REFUSED(shmbus_producer_slab_publish(producer, slab.handle, 1, 0, 0));
        REFUSED(shmbus_producer_slab_release(producer, slab.handle));
        REFUSED(shmbus_producer_flush(producer, SHMBUS_FOREVER));
        REFUSED(shmbus_producer_wait_consumed(producer, 0, SHMBUS_FOREVER));
        REFUSED(shmbus_producer_required(producer, &lag));
        REFUSED(shmbus_producer_pool_stats(producer, 0, &pool));
        REFUSED(shmbus_producer_placement(producer, &placement));
        REFUSED(shmbus_producer_skip(producer, 1));
        REFUSED(shmbus_producer_health(producer, NULL, 0));
        shmbus_producer_next_sequence(producer);
    }
}

static void consumer_is_refused(void)
{
    struct shmbus_message other;
    struct shmbus_consumer_stats stats;
    uint64_t count = 0;
    uint64_t copy;
    for (int i = 0; i < 2; i++) {
        REFUSED(shmbus_consumer_poll(consumer, expect_any, &count, 10));
        REFUSED(shmbus_consumer_next(consumer, &other));
        REFUSED(shmbus_consumer_wait(consumer, SHMBUS_FOREVER));
        REFUSED(shmbus_consumer_retain(consumer, &message, &copy));
        REFUSED(shmbus_consumer_copy(consumer, handle, &copy));
        REFUSED(shmbus_consumer_held(consumer, handle, &other));
        REFUSED(shmbus_consumer_release(consumer, handle));
        REFUSED(shmbus_consumer_stats(consumer, &stats));
        REFUSED(shmbus_consumer_valid(consumer, &message));
        REFUSED(shmbus_consumer_rejoin(consumer, SHMBUS_FROM_TAIL, 0));
    }
    ck_assert_uint_eq(count, 0);
}

/* Everything is refused; closing what is not the child's own does nothing to it. */
static void use_all(int line, void *unused)
{
    (void)line;
    (void)unused;
    producer_is_refused();
    consumer_is_refused();
    shmbus_producer_close(producer);
    shmbus_consumer_close(consumer);
}

static const uint32_t claimed[] = {8, 100};

START_TEST(every_call_of_the_child_is_refused)
{
    begin();
    ck_assert_int_eq(shmbus_producer_claim(producer, claimed[_i], &claim), 0);
    struct child child = child_start(use_all, NULL);
    child_end(&child);
    /* The parent goes on as if nothing had been. */
    support_fill(claim.data, claimed[_i], 2);
    ck_assert_int_eq(shmbus_producer_commit(producer, &claim, 0, 0), 0);
    expect_next(consumer, 1, 8);
    expect_next(consumer, 2, claimed[_i]);
    expect_none(consumer, 0);
    ck_assert_int_eq(shmbus_producer_flush(producer, 0), 0);
    ck_assert_int_eq(shmbus_consumer_held(consumer, handle, &message), 0);
    ck_assert(support_is(message.data, 100, 0));
    ck_assert_int_eq(shmbus_producer_slab_publish(producer, slab.handle, 1, 0, 0), 0);
    ck_assert_int_eq(shmbus_producer_slab_release(producer, slab.handle), 0);
    struct shmbus_snapshot *snapshot = support_look(BUS);
    ck_assert_uint_eq(shmbus_snapshot_bus(snapshot)->state, SHMBUS_STATE_OPEN);
    ck_assert_uint_eq(shmbus_snapshot_consumer(snapshot, 0)->life, SHMBUS_LIFE_ALIVE);
    shmbus_snapshot_close(snapshot);
    end();
}
END_TEST

/* Forks, and in the child says so; the parent waits for it and goes on. */
static int fork_inside(void)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        return 1;
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child ended with 0x%x",
                  (unsigned)status);
    return 0;
}

static int in_child;

static int fork_in_handler(const struct shmbus_message *given, void *unused)
{
    (void)given;
    (void)unused;
    if (fork_inside()) {
        in_child = 1;
        consumer_is_refused();
        producer_is_refused();
    }
    return 0;
}

START_TEST(forked_inside_a_callback_of_poll)
{
    begin();
    /* With few messages and with so many that the cursor is stored in between. */
    for (int i = 0; i < _i; i++)
        ck_assert_int_eq(expect_publish(producer, 8), 0);
    int result = shmbus_consumer_poll(consumer, fork_in_handler, NULL, 100);
    if (in_child) {
        ck_assert_int_eq(result, -ECHILD);
        use_all(-1, NULL);
        _exit(0);
    }
    ck_assert_int_eq(result, 1 + _i);
    expect_none(consumer, 0);
    ck_assert_int_eq(shmbus_producer_flush(producer, 0), 0);
    end();
}
END_TEST

START_TEST(forked_inside_a_callback_of_an_optional_one)
{
    struct shmbus_consumer_options how = {.struct_bytes = sizeof how, .kind = (uint32_t)_i};
    begin();
    shmbus_consumer_close(consumer);
    ck_assert_int_eq(shmbus_consumer_open(BUS, &how, &consumer), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(expect_publish(producer, i % 2 ? 100 : 8), 0);
    int result = shmbus_consumer_poll(consumer, fork_in_handler, NULL, 100);
    if (in_child) {
        ck_assert_int_eq(result, -ECHILD);
        use_all(-1, NULL);
        _exit(0);
    }
    ck_assert_int_eq(result, 4);
    expect_none(consumer, 0);
    end();
}
END_TEST

static void fork_when_exhausted(void *context, uint32_t class_index, uint64_t exhausted)
{
    (void)context;
    (void)class_index;
    (void)exhausted;
    in_child = fork_inside();
}

START_TEST(forked_inside_the_producers_callback)
{
    struct shmbus_producer_options how = {.struct_bytes = sizeof how,
                                          .full_timeout_ns = 1000000,
                                          .on_exhausted = fork_when_exhausted};
    struct shmbus_bus_options options = expect_bus();
    struct shmbus_slab slabs[8];
    producer = support_create(BUS, &options, &how);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 64, 8, slabs), 0);
    slab = slabs[0];
    int result = _i == 0   ? shmbus_producer_claim(producer, 60, &claim)
                 : _i == 1 ? expect_publish(producer, 60)
                           : shmbus_producer_slab_acquire(producer, 60, 1, slabs);
    if (in_child) {
        ck_assert_int_eq(result, -ECHILD);
        producer_is_refused();
        shmbus_producer_close(producer);
        _exit(0);
    }
    ck_assert_int_eq(result, -ENOBUFS);
    ck_assert_int_eq(shmbus_producer_slab_release(producer, slab.handle), 0);
    ck_assert_int_eq(expect_publish(producer, 60), 0);
    shmbus_producer_close(producer);
}
END_TEST

static void fork_when_unwell(void *context, const struct shmbus_health *health)
{
    (void)context;
    ck_assert_uint_eq(health->state, SHMBUS_HEALTH_EVICTED);
    in_child = fork_inside();
}

START_TEST(forked_inside_the_callback_for_health)
{
    struct shmbus_producer_options how = {
        .struct_bytes = sizeof how, .full_timeout_ns = GUARD_NS, .on_health = fork_when_unwell};
    struct shmbus_bus_options options = expect_bus();
    options.stall_ns = 1000000;
    options.flags = SHMBUS_BUS_EVICT;
    producer = support_create(BUS, &options, &how);
    consumer = support_join(BUS, SHMBUS_FROM_TAIL);
    int result = 0;
    /* It does not read: the wait for room finds it stalled. */
    for (int i = 0; i < 17 && result == 0; i++)
        result = expect_publish(producer, 8);
    if (in_child) {
        ck_assert_int_eq(result, -ECHILD);
        producer_is_refused();
        shmbus_producer_close(producer);
        _exit(0);
    }
    ck_assert_int_eq(result, 0);
    end();
}
END_TEST

/* The child's own objects, on the parent's bus and on one of its own. */
static void open_own(int line, void *unused)
{
    (void)unused;
    struct shmbus_producer *own = NULL;
    struct shmbus_bus_options options = expect_bus();
    ck_assert_int_eq(shmbus_producer_open(BUS, NULL, NULL, 0, &own), -EBUSY);
    struct shmbus_consumer *reader = support_join(BUS, SHMBUS_FROM_TAIL);
    own = support_create("own", &options, NULL);
    struct shmbus_consumer *second = support_join("own", SHMBUS_FROM_TAIL);
    child_tell(line, 0);
    ck_assert_int_eq(shmbus_consumer_wait(reader, GUARD_NS), 0);
    expect_next(reader, 2, 100);
    ck_assert_int_eq(expect_publish(own, 100), 0);
    expect_next(second, 0, 100);
    consumer_is_refused();
    producer_is_refused();
    shmbus_consumer_close(reader);
    shmbus_consumer_close(second);
    shmbus_producer_close(own);
    ck_assert_int_eq(shmbus_unlink("own", NULL), 0);
}

START_TEST(a_child_may_open_its_own)
{
    begin();
    struct child child = child_start(open_own, NULL);
    child_hear(child.line);
    ck_assert_int_eq(shmbus_producer_required(producer, NULL), 2);
    ck_assert_int_eq(expect_publish(producer, 100), 0);
    child_end(&child);
    ck_assert_int_eq(shmbus_producer_required(producer, NULL), 1);
    end();
}
END_TEST

/* Lives until the test's end of the line is closed, whatever becomes of its parent. */
static void linger(int line)
{
    char byte;
    while (recv(line, &byte, 1, 0) > 0)
        ;
    _exit(0);
}

static _Atomic int enough;

/* Forks children all the time, which linger. */
static void *fork_all_the_time(void *line)
{
    for (int i = 0; i < 200 && !atomic_load_explicit(&enough, memory_order_seq_cst); i++) {
        pid_t pid = fork();
        if (pid == 0)
            linger(*(int *)line);
    }
    return NULL;
}

/* Opens both objects while another thread forks, and forks once more. */
static void open_and_fork(int line, void *unused)
{
    (void)unused;
    pthread_t thread;
    struct shmbus_bus_options options = expect_bus();
    ck_assert_int_eq(pthread_create(&thread, NULL, fork_all_the_time, &line), 0);
    for (int i = 0; i < 20; i++) {
        producer = support_create(BUS, &options, NULL);
        consumer = support_join(BUS, SHMBUS_FROM_TAIL);
        if (i < 19)
            end();
    }
    atomic_store_explicit(&enough, 1, memory_order_seq_cst);
    pthread_join(thread, NULL);
    ck_assert_int_eq(expect_publish(producer, 8), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        linger(line);
    child_tell(line, (uint64_t)pid);
    child_hear(line);
}

START_TEST(a_child_does_not_keep_its_dead_parent_alive)
{
    struct child parent = child_start(open_and_fork, NULL);
    pid_t grandchild = (pid_t)child_hear(parent.line);
    struct shmbus_consumer *witness = support_join(BUS, SHMBUS_FROM_TAIL);
    ck_assert_int_eq(shmbus_consumer_wait(witness, 0), -ETIMEDOUT);
    int line = dup(parent.line);
    child_kill(&parent);
    ck_assert_int_eq(kill(grandchild, 0), 0);
    ck_assert_int_eq(shmbus_consumer_wait(witness, 0), -EOWNERDEAD);
    struct shmbus_snapshot *snapshot = support_look(BUS);
    ck_assert_uint_eq(shmbus_snapshot_bus(snapshot)->state, SHMBUS_STATE_DEAD);
    ck_assert_uint_eq(shmbus_snapshot_consumer(snapshot, 0)->life, SHMBUS_LIFE_DEAD);
    shmbus_snapshot_close(snapshot);
    ck_assert_int_eq(shmbus_producer_open(BUS, NULL, NULL, 0, &producer), 0);
    ck_assert_int_eq(shmbus_producer_required(producer, NULL), 1);
    shmbus_consumer_close(witness);
    shmbus_producer_close(producer);
    close(line);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message fork");
    TCase *tcase = support_case(suite, "fork", 60);
    tcase_add_loop_test(tcase, every_call_of_the_child_is_refused, 0, 2);
    tcase_add_loop_test(tcase, forked_inside_a_callback_of_poll, 0, 10);
    tcase_add_loop_test(tcase, forked_inside_a_callback_of_an_optional_one, SHMBUS_OPTIONAL,
                        SHMBUS_OBSERVER + 1);
    tcase_add_test(tcase, forked_inside_the_callback_for_health);
    tcase_add_loop_test(tcase, forked_inside_the_producers_callback, 0, 3);
    tcase_add_test(tcase, a_child_may_open_its_own);
    tcase_add_test(tcase, a_child_does_not_keep_its_dead_parent_alive);
    return support_run(suite);
}
