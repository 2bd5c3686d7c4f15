/* SPDX-License-Identifier: MIT */
/*
 * Settling the threads of a producer and of every kind of consumer on this machine, with what the
 * kernel then says: each test is a process of its own, so that what it sets ends with it.
 */
#include "affinity/cpus.h"
#include "support/support.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

static const struct shmbus_bus_options small = {
    .struct_bytes = sizeof small, .capacity = 64, .class_count = 1, .classes = {{1024, 16}}};

/* One participant of each kind: 0 to 2 as enum shmbus_kind, 3 the producer. */
#define PRODUCER 3
#define KINDS    4

struct one {
    struct shmbus_producer *producer;
    struct shmbus_consumer *consumer[PRODUCER];
};

static struct one make(void)
{
    struct one one = {.producer = support_create("bus", &small, NULL)};
    for (uint32_t kind = 0; kind < PRODUCER; kind++) {
        struct shmbus_consumer_options options = {.struct_bytes = sizeof options, .kind = kind};
        ck_assert_int_eq(shmbus_consumer_open("bus", &options, &one.consumer[kind]), 0);
    }
    return one;
}

static void end(struct one *one)
{
    for (uint32_t kind = 0; kind < PRODUCER; kind++)
        shmbus_consumer_close(one->consumer[kind]);
    shmbus_producer_close(one->producer);
}

static int settle(struct one *one, int who, const struct shmbus_settle_options *options,
                  struct shmbus_settled *out_settled)
{
    return who == PRODUCER ? shmbus_producer_settle(one->producer, options, out_settled)
                           : shmbus_consumer_settle(one->consumer[who], options, out_settled);
}

static struct shmbus_settle_options wish(uint32_t cpus, uint32_t number)
{
    struct shmbus_settle_options options = {
        .struct_bytes = sizeof options, .cpus = cpus, .cpu = number, .node = number};
    return options;
}

/* The CPUs that the kernel lets this thread use, as a list. */
static const char *mine(void)
{
    static char text[512];
    struct cpus cpus;
    ck_assert_int_eq(sched_getaffinity(0, sizeof cpus.sets, cpus.sets), 0);
    cpus_print(&cpus, text, sizeof text);
    return text;
}

static struct cpus allowed(void)
{
    struct cpus cpus;
    ck_assert_int_eq(cpus_parse(mine(), &cpus), 0);
    return cpus;
}

START_TEST(to_each_cpu)
{
    struct one one = make();
    struct cpus cpus = allowed();
    for (uint32_t i = 0; i < cpus_count(&cpus); i++) {
        struct shmbus_settle_options options = wish(SHMBUS_CPUS_ONE, (uint32_t)cpus_nth(&cpus, i));
        struct shmbus_settled settled;
        char number[16];
        snprintf(number, sizeof number, "%u", options.cpu);
        errno = ENOTTY;
        ck_assert_msg(settle(&one, _i, &options, &settled) == 0, "%s", shmbus_error_text());
        ck_assert_int_eq(errno, ENOTTY);
        ck_assert_str_eq(mine(), number);
        ck_assert_int_eq(sched_getcpu(), (int)options.cpu);
        ck_assert_str_eq(settled.cpus, number);
        ck_assert_uint_eq(settled.cpu_count, 1);
        ck_assert_uint_eq(settled.missed, 0);
        ck_assert_str_eq(settled.why, "");
        ck_assert_uint_eq(settled.policy, (uint32_t)sched_getscheduler(0));
        ck_assert_uint_eq(settled.priority, 0);
        /* The report is wanted or not. */
        ck_assert_int_eq(settle(&one, _i, &options, NULL), 0);
    }
    end(&one);
}
END_TEST

START_TEST(nothing_is_asked)
{
    struct one one = make();
    struct shmbus_settled settled;
    char before[512];
    snprintf(before, sizeof before, "%s", mine());
    ck_assert_int_eq(settle(&one, _i, NULL, &settled), 0);
    ck_assert_str_eq(settled.cpus, before);
    ck_assert_str_eq(mine(), before);
    struct cpus cpus = allowed();
    ck_assert_uint_eq(settled.cpu_count, cpus_count(&cpus));
    end(&one);
}
END_TEST

/* What is not there is an error that names what is, and changes nothing; or it is reported. */
START_TEST(cpus_that_are_not_there)
{
    static const uint32_t absent[] = {1024, 8191, 8192, UINT32_MAX};
    struct one one = make();
    char before[512];
    snprintf(before, sizeof before, "%s", mine());
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++) {
        struct shmbus_settle_options options = wish(SHMBUS_CPUS_ONE, absent[i]);
        struct shmbus_settled settled;
        char text[64];
        snprintf(text, sizeof text, "CPU %u is not there: this machine has 0", absent[i]);
        ck_assert_int_eq(settle(&one, _i, &options, NULL), -ENXIO);
        ck_assert_msg(support_says(text), "%s", shmbus_error_text());
        ck_assert_str_eq(mine(), before);
        options.flags = SHMBUS_SETTLE_BEST_EFFORT;
        ck_assert_int_eq(settle(&one, _i, &options, &settled), 0);
        ck_assert_uint_eq(settled.missed, SHMBUS_MISSED_CPUS);
        ck_assert_ptr_nonnull(strstr(settled.why, text));
        ck_assert_str_eq(settled.cpus, before);
        ck_assert_str_eq(mine(), before);
    }
    struct shmbus_settle_options options = wish(SHMBUS_CPUS_NODE, 4000);
    ck_assert_int_eq(settle(&one, _i, &options, NULL), -ENXIO);
    ck_assert(support_says("NUMA node 4000 is not there"));
    end(&one);
}
END_TEST

/* A thread whose mask was narrowed before gets what it asks for, not what its mask left. */
START_TEST(a_narrow_mask)
{
    struct one one = make();
    struct cpus cpus = allowed();
    struct cpus first;
    struct shmbus_settled settled;
    char all[512];
    snprintf(all, sizeof all, "%s", mine());
    memset(&first, 0, sizeof first);
    cpus_add(&first, (uint32_t)cpus_nth(&cpus, 0));
    ck_assert_int_eq(sched_setaffinity(0, sizeof first.sets, first.sets), 0);
    ck_assert_int_eq(settle(&one, _i, NULL, &settled), 0);
    ck_assert_uint_eq(settled.cpu_count, 1);
    struct shmbus_settle_options options =
        wish(SHMBUS_CPUS_ONE, (uint32_t)cpus_nth(&cpus, cpus_count(&cpus) - 1));
    ck_assert_int_eq(settle(&one, _i, &options, &settled), 0);
    ck_assert_uint_eq(settled.missed, 0);
    ck_assert_uint_eq((uint32_t)sched_getcpu(), options.cpu);
    end(&one);
}
END_TEST

/* The node is the one that the kernel says the pages are on, and the CPUs are that node's. */
START_TEST(the_node_of_the_bus)
{
    struct one one = make();
    struct shmbus_settle_options options = wish(SHMBUS_CPUS_BUS, 0);
    struct shmbus_placement placement;
    struct shmbus_settled settled;
    struct cpus node;
    struct cpus online;
    char path[96];
    char list[256];
    ck_assert_int_eq(shmbus_producer_placement(one.producer, &placement), 0);
    int result = settle(&one, _i, &options, &settled);
    if (!placement.numa_known) {
        ck_assert_int_eq(result, -ENOTSUP);
        ck_assert(support_says("does not say"));
        end(&one);
        return;
    }
    ck_assert_msg(result == 0, "%s", shmbus_error_text());
    ck_assert_int_ge(settled.bus_node, 0);
    ck_assert_uint_gt(placement.pages_by_node[settled.bus_node], 0);
    snprintf(path, sizeof path, "/sys/devices/system/node/node%d/cpulist", settled.bus_node);
    ck_assert_int_eq(cpus_read(path, &node), 0);
    ck_assert_int_eq(cpus_read("/sys/devices/system/cpu/online", &online), 0);
    cpus_both(&node, &online, &node);
    cpus_print(&node, list, sizeof list);
    if (settled.missed == 0)
        ck_assert_str_eq(mine(), list);
    else
        ck_assert_uint_eq(settled.missed, SHMBUS_MISSED_SOME_CPUS);
    ck_assert_int_eq(settled.node, settled.bus_node);
    options = wish(SHMBUS_CPUS_NODE, (uint32_t)settled.bus_node);
    ck_assert_int_eq(settle(&one, _i, &options, &settled), 0);
    ck_assert_int_eq(settled.node, settled.bus_node);
    end(&one);
}
END_TEST

/* This host has isolated CPUs, and the thread is on one of them; or it has none, which is said. */
START_TEST(an_isolated_cpu)
{
    struct one one = make();
    struct shmbus_settle_options options = wish(SHMBUS_CPUS_ISOLATED, 0);
    struct shmbus_settled settled;
    struct cpus isolated;
    memset(&isolated, 0, sizeof isolated);
    cpus_read("/sys/devices/system/cpu/isolated", &isolated);
    int result = settle(&one, _i, &options, &settled);
    if (cpus_count(&isolated) > 0) {
        ck_assert_msg(result == 0, "%s", shmbus_error_text());
        ck_assert_uint_eq(settled.cpu_count, 1);
        ck_assert_uint_eq(settled.isolated, 1);
        ck_assert(cpus_has(&isolated, (uint32_t)sched_getcpu()));
    } else {
        ck_assert_int_eq(result, -ENXIO);
        ck_assert(support_says("no CPU of this machine is isolated"));
        options.flags = SHMBUS_SETTLE_BEST_EFFORT;
        ck_assert_int_eq(settle(&one, _i, &options, &settled), 0);
        ck_assert_uint_eq(settled.missed, SHMBUS_MISSED_CPUS);
        ck_assert_uint_eq(settled.isolated, 0);
    }
    end(&one);
}
END_TEST

START_TEST(options_that_are_wrong)
{
    struct one one = make();
    struct {
        struct shmbus_settle_options options;
        uint64_t more;
    } newer = {.options = {.struct_bytes = sizeof newer}};
    struct shmbus_settle_options options = wish(SHMBUS_CPUS_ISOLATED + 1, 0);
    char before[512];
    snprintf(before, sizeof before, "%s", mine());
    ck_assert_int_eq(settle(&one, _i, &options, NULL), -EINVAL);
    ck_assert(support_says("cpus: 5"));
    options = wish(SHMBUS_CPUS_AS_IS, 0);
    options.flags = 4;
    ck_assert_int_eq(settle(&one, _i, &options, NULL), -EINVAL);
    ck_assert(support_says("flags: 0x4"));
    options.flags = SHMBUS_SETTLE_BEST_EFFORT;
    options.fifo_priority = 100;
    ck_assert_int_eq(settle(&one, _i, &options, NULL), -EINVAL);
    ck_assert(support_says("fifo_priority: 100 is not 1 to 99"));
    options.struct_bytes = 0;
    ck_assert_int_eq(settle(&one, _i, &options, NULL), -EINVAL);
    ck_assert_int_eq(settle(&one, _i, &newer.options, NULL), 0);
    newer.more = 1;
    ck_assert_int_eq(settle(&one, _i, &newer.options, NULL), -E2BIG);
    ck_assert_str_eq(mine(), before);
    ck_assert_int_eq(sched_getscheduler(0), SCHED_OTHER);
    end(&one);
}
END_TEST

static void try_in_child(int line, void *context)
{
    struct one *one = context;
    for (int who = 0; who < KINDS; who++) {
        ck_assert_int_eq(settle(one, who, NULL, NULL), -ECHILD);
        ck_assert(support_says("another process's"));
    }
    child_tell(line, 1);
}

START_TEST(in_a_child_of_fork)
{
    struct one one = make();
    struct child child = child_start(try_in_child, &one);
    ck_assert_uint_eq(child_hear(child.line), 1);
    child_end(&child);
    end(&one);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("affinity settle");
    TCase *tcase = support_case(suite, "settle", 60);
    tcase_add_loop_test(tcase, to_each_cpu, 0, KINDS);
    tcase_add_loop_test(tcase, nothing_is_asked, 0, KINDS);
    tcase_add_loop_test(tcase, cpus_that_are_not_there, 0, KINDS);
    tcase_add_loop_test(tcase, a_narrow_mask, 0, KINDS);
    tcase_add_loop_test(tcase, the_node_of_the_bus, 0, KINDS);
    tcase_add_loop_test(tcase, an_isolated_cpu, 0, KINDS);
    tcase_add_loop_test(tcase, options_that_are_wrong, 0, KINDS);
    tcase_add_test(tcase, in_a_child_of_fork);
    return support_run(suite);
}
