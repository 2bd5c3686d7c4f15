/* SPDX-License-Identifier: MIT */
/*
 * What this process may not do: real-time priority without the right to it, an endless spin with
 * one, CPUs outside of its cpuset. Refused with the limit named, or reported; and the thread is as
 * it was.
 */
#include "affinity/cpus.h"
#include "support/cgroup.h"
#include "support/support.h"

#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define OTHER 65534

static const struct shmbus_bus_options small = {
    .struct_bytes = sizeof small, .capacity = 64, .flags = SHMBUS_BUS_NO_POOL, .mode = 0666};

static int skip(const char *test, const char *why)
{
    printf("SKIP %s: %s\n", test, why);
    fflush(stdout);
    return 0;
}

static int needs_root(const char *test)
{
    return geteuid() == 0 || skip(test, "needs root, for other users and their limits");
}

static const char *mine(void)
{
    static char text[512];
    struct cpus cpus;
    ck_assert_int_eq(sched_getaffinity(0, sizeof cpus.sets, cpus.sets), 0);
    cpus_print(&cpus, text, sizeof text);
    return text;
}

static struct shmbus_consumer *open_waiting(uint32_t strategy)
{
    struct shmbus_consumer_options options = {.struct_bytes = sizeof options,
                                              .wait = {.strategy = strategy}};
    struct shmbus_consumer *consumer;
    int result = shmbus_consumer_open("bus", &options, &consumer);
    ck_assert_msg(result == 0, "%s", shmbus_error_text());
    return consumer;
}

static struct shmbus_settle_options fifo(uint32_t priority, uint32_t flags)
{
    struct shmbus_settle_options options = {
        .struct_bytes = sizeof options, .fifo_priority = priority, .flags = flags};
    return options;
}

/* Becomes another user, who has a limit for real-time priorities. */
static void become_other(rlim_t priority)
{
    const struct rlimit limit = {priority, priority};
    ck_assert_int_eq(chmod(getenv("SHMBUS_DIR"), 0755), 0);
    ck_assert_int_eq(setrlimit(RLIMIT_RTPRIO, &limit), 0);
    ck_assert_int_eq(setgroups(0, NULL), 0);
    ck_assert_int_eq(setgid(OTHER), 0);
    ck_assert_int_eq(setuid(OTHER), 0);
}

static void is_plain(void)
{
    ck_assert_int_eq(sched_getscheduler(0), SCHED_OTHER);
}

static void is_fifo(uint32_t priority, const struct shmbus_settled *settled)
{
    struct sched_param parameter;
    ck_assert_int_eq(sched_getparam(0, &parameter), 0);
    ck_assert_int_eq(sched_getscheduler(0), SCHED_FIFO);
    ck_assert_int_eq(parameter.sched_priority, (int)priority);
    ck_assert_uint_eq(settled->policy, SCHED_FIFO);
    ck_assert_uint_eq(settled->priority, priority);
    ck_assert_uint_eq(settled->missed, 0);
}

static void attach_here(int line, void *context)
{
    (void)context;
    child_tell(line, 1);
    child_hear(line);
}

/* With the right to it, both roles get it, and no other process is touched. */
START_TEST(fifo_with_the_right)
{
    struct shmbus_settled settled;
    struct shmbus_settle_options options = fifo(7, 0);
    if (!needs_root("fifo_with_the_right"))
        return;
    struct child other = child_start(attach_here, NULL);
    child_hear(other.line);
    struct shmbus_producer *producer = support_create("bus", &small, NULL);
    struct shmbus_consumer *consumer = open_waiting(SHMBUS_WAIT_ADAPTIVE);
    ck_assert_msg(shmbus_producer_settle(producer, &options, &settled) == 0, "%s",
                  shmbus_error_text());
    is_fifo(7, &settled);
    options.fifo_priority = 1;
    ck_assert_int_eq(shmbus_consumer_settle(consumer, &options, &settled), 0);
    is_fifo(1, &settled);
    /* Nothing more is asked: it stays, and is reported. */
    ck_assert_int_eq(shmbus_consumer_settle(consumer, NULL, &settled), 0);
    is_fifo(1, &settled);
    ck_assert_int_eq(sched_getscheduler(other.pid), SCHED_OTHER);
    child_tell(other.line, 1);
    child_end(&other);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(fifo_without_the_right)
{
    struct shmbus_settled settled;
    struct shmbus_settle_options options = fifo(5, 0);
    char before[512];
    if (!needs_root("fifo_without_the_right"))
        return;
    struct shmbus_producer *producer = support_create("bus", &small, NULL);
    become_other(0);
    struct shmbus_consumer *consumer = open_waiting(SHMBUS_WAIT_ADAPTIVE);
    snprintf(before, sizeof before, "%s", mine());
    options.cpus = SHMBUS_CPUS_ONE;
    options.cpu = (uint32_t)sched_getcpu();
    ck_assert_int_eq(shmbus_consumer_settle(consumer, &options, &settled), -EPERM);
    ck_assert_msg(support_says("SCHED_FIFO 5") && support_says("RLIMIT_RTPRIO is 0") &&
                      support_says("ulimit -r"),
                  "%s", shmbus_error_text());
    is_plain();
    ck_assert_str_eq(mine(), before);
    /* The rest is had, and what is not is reported. */
    options.flags = SHMBUS_SETTLE_BEST_EFFORT;
    ck_assert_int_eq(shmbus_consumer_settle(consumer, &options, &settled), 0);
    ck_assert_uint_eq(settled.missed, SHMBUS_MISSED_FIFO);
    ck_assert_ptr_nonnull(strstr(settled.why, "RLIMIT_RTPRIO is 0"));
    ck_assert_uint_eq(settled.cpu_count, 1);
    ck_assert_uint_eq(settled.policy, SCHED_OTHER);
    is_plain();
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(fifo_up_to_the_limit)
{
    struct shmbus_settled settled;
    struct shmbus_settle_options options = fifo(11, 0);
    const struct rlimit enough = {10, 10};
    if (!needs_root("fifo_up_to_the_limit"))
        return;
    if (setrlimit(RLIMIT_RTPRIO, &enough) < 0) {
        skip("fifo_up_to_the_limit", "needs the right to raise its limits");
        return;
    }
    struct shmbus_producer *producer = support_create("bus", &small, NULL);
    become_other(10);
    ck_assert_int_eq(shmbus_producer_settle(producer, &options, &settled), -EPERM);
    ck_assert_msg(support_says("RLIMIT_RTPRIO is 10"), "%s", shmbus_error_text());
    is_plain();
    options.fifo_priority = 10;
    ck_assert_msg(shmbus_producer_settle(producer, &options, &settled) == 0, "%s",
                  shmbus_error_text());
    is_fifo(10, &settled);
    shmbus_producer_close(producer);
}
END_TEST

/* How many of the CPUs that this thread may use are not isolated; the rule is about those. */
static int all_isolated(void)
{
    struct cpus isolated;
    struct cpus both;
    struct cpus now;
    memset(&isolated, 0, sizeof isolated);
    cpus_read("/sys/devices/system/cpu/isolated", &isolated);
    ck_assert_int_eq(cpus_parse(mine(), &now), 0);
    cpus_both(&now, &isolated, &both);
    return cpus_count(&both) == cpus_count(&now);
}

START_TEST(fifo_and_an_endless_spin)
{
    struct shmbus_settled settled;
    struct shmbus_settle_options options = fifo(3, 0);
    struct shmbus_producer_options spins = {.struct_bytes = sizeof spins,
                                            .wait = {.strategy = SHMBUS_WAIT_SPIN}};
    if (!needs_root("fifo_and_an_endless_spin"))
        return;
    if (all_isolated()) {
        skip("fifo_and_an_endless_spin", "every CPU that it may use is isolated");
        return;
    }
    struct shmbus_producer *producer = support_create("bus", &small, &spins);
    struct shmbus_consumer *consumer = open_waiting(SHMBUS_WAIT_SPIN);
    ck_assert_int_eq(shmbus_consumer_settle(consumer, &options, &settled), -EPERM);
    ck_assert_msg(support_says("SHMBUS_WAIT_SPIN") && support_says(mine()), "%s",
                  shmbus_error_text());
    ck_assert_int_eq(shmbus_producer_settle(producer, &options, &settled), -EPERM);
    is_plain();
    options.flags = SHMBUS_SETTLE_BEST_EFFORT;
    ck_assert_int_eq(shmbus_producer_settle(producer, &options, &settled), 0);
    ck_assert_uint_eq(settled.missed, SHMBUS_MISSED_FIFO);
    ck_assert_ptr_nonnull(strstr(settled.why, "SHMBUS_WAIT_SPIN"));
    is_plain();
    options.flags = SHMBUS_SETTLE_FORCE;
    ck_assert_int_eq(shmbus_consumer_settle(consumer, &options, &settled), 0);
    is_fifo(3, &settled);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

/* A thread that was real-time before is not pinned to where its spin would starve the rest. */
START_TEST(a_real_time_thread_that_spins)
{
    struct shmbus_settled settled;
    const struct sched_param two = {.sched_priority = 2};
    struct shmbus_settle_options options = fifo(0, 0);
    char before[512];
    if (!needs_root("a_real_time_thread_that_spins"))
        return;
    if (all_isolated()) {
        skip("a_real_time_thread_that_spins", "every CPU that it may use is isolated");
        return;
    }
    struct shmbus_producer *producer = support_create("bus", &small, NULL);
    struct shmbus_consumer *consumer = open_waiting(SHMBUS_WAIT_SPIN);
    snprintf(before, sizeof before, "%s", mine());
    ck_assert_int_eq(sched_setscheduler(0, SCHED_RR, &two), 0);
    options.cpus = SHMBUS_CPUS_ONE;
    options.cpu = (uint32_t)sched_getcpu();
    ck_assert_int_eq(shmbus_consumer_settle(consumer, &options, &settled), -EPERM);
    ck_assert_str_eq(mine(), before);
    options.flags = SHMBUS_SETTLE_BEST_EFFORT;
    ck_assert_int_eq(shmbus_consumer_settle(consumer, &options, &settled), 0);
    ck_assert_uint_eq(settled.missed, SHMBUS_MISSED_CPUS);
    ck_assert_uint_eq(settled.policy, SCHED_RR);
    ck_assert_str_eq(mine(), before);
    options.flags |= SHMBUS_SETTLE_FORCE;
    ck_assert_int_eq(shmbus_consumer_settle(consumer, &options, &settled), 0);
    ck_assert_uint_eq(settled.missed, 0);
    ck_assert_uint_eq(settled.cpu_count, 1);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

/* In a cpuset with CPU 0 alone: another one is refused, of a node the rest is had. */
static void live_in_a_cpuset(int line, void *context)
{
    struct shmbus_settled settled;
    struct shmbus_settle_options options = fifo(0, 0);
    (void)context;
    child_hear(line);
    ck_assert_str_eq(mine(), "0");
    struct shmbus_consumer *consumer = open_waiting(SHMBUS_WAIT_ADAPTIVE);
    options.cpus = SHMBUS_CPUS_ONE;
    options.cpu = 1;
    ck_assert_int_eq(shmbus_consumer_settle(consumer, &options, &settled), -EPERM);
    ck_assert_msg(support_says("CPU 1: outside of this process's cpuset, which has 0 ("), "%s",
                  shmbus_error_text());
    ck_assert_str_eq(mine(), "0");
    options.flags = SHMBUS_SETTLE_BEST_EFFORT;
    ck_assert_int_eq(shmbus_consumer_settle(consumer, &options, &settled), 0);
    ck_assert_uint_eq(settled.missed, SHMBUS_MISSED_CPUS);
    options = fifo(0, 0);
    options.cpus = SHMBUS_CPUS_NODE;
    ck_assert_msg(shmbus_consumer_settle(consumer, &options, &settled) == 0, "%s",
                  shmbus_error_text());
    ck_assert_uint_eq(settled.missed, SHMBUS_MISSED_SOME_CPUS);
    ck_assert_msg(strstr(settled.why, "the cpuset leaves 0 of them") != NULL, "%s", settled.why);
    ck_assert_str_eq(settled.cpus, "0");
    shmbus_consumer_close(consumer);
    child_tell(line, 1);
}

START_TEST(a_cpuset)
{
    struct cgroup cgroup;
    struct cpus node;
    char why[700] = "";
    memset(&node, 0, sizeof node);
    cpus_read("/sys/devices/system/node/node0/cpulist", &node);
    if (geteuid() != 0 || !cpus_has(&node, 0) || !cpus_has(&node, 1) ||
        cgroup_make("cpuset", &cgroup, why, sizeof why) < 0) {
        skip("a_cpuset", why[0] != 0 ? why : "needs root and two CPUs on one NUMA node");
        return;
    }
    struct shmbus_producer *producer = support_create("bus", &small, NULL);
    struct child child = child_start(live_in_a_cpuset, NULL);
    int made = cgroup_set(&cgroup, "cpuset.cpus", "0") == 0 &&
               cgroup_set(&cgroup, "cpuset.mems", "0") == 0 &&
               cgroup_enter(&cgroup, child.pid) == 0;
    int number = errno;
    uint64_t said = 0;
    if (made) {
        child_tell(child.line, 1);
        /* Whatever becomes of it, the cgroup is removed before that is judged. */
        recv(child.line, &said, sizeof said, MSG_WAITALL);
    }
    kill(child.pid, SIGKILL);
    waitpid(child.pid, NULL, 0);
    cgroup_remove(&cgroup);
    if (!made)
        skip("a_cpuset", strerror(number));
    ck_assert_uint_eq(said, (uint64_t)made);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("affinity limits");
    TCase *tcase = support_case(suite, "limits", 60);
    tcase_add_test(tcase, fifo_with_the_right);
    tcase_add_test(tcase, fifo_without_the_right);
    tcase_add_test(tcase, fifo_up_to_the_limit);
    tcase_add_test(tcase, fifo_and_an_endless_spin);
    tcase_add_test(tcase, a_real_time_thread_that_spins);
    tcase_add_test(tcase, a_cpuset);
    return support_run(suite);
}
