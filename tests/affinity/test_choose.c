/* SPDX-License-Identifier: MIT */
/* Lists of CPUs as the kernel writes them, and what is chosen out of a host's, without the host. */
#include "affinity/affinity.h"
#include "support/support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct cpus parse(const char *text)
{
    struct cpus cpus;
    ck_assert_msg(cpus_parse(text, &cpus) == 0, "'%s'", text);
    return cpus;
}

static void is(const struct cpus *cpus, const char *list)
{
    char text[4096];
    cpus_print(cpus, text, sizeof text);
    ck_assert_str_eq(text, list);
}

START_TEST(lists)
{
    static const char *const good[][2] = {
        {"", "none"},         {"\n", "none"},
        {"0", "0"},           {"0-1\n", "0-1"},
        {"0,1", "0-1"},       {"0-3,8\n", "0-3,8"},
        {"8191", "8191"},     {"63-64,1023-1024", "63-64,1023-1024"},
        {"5,3-4,4", "3-5"},   {"7-7", "7"},
        {"0-8191", "0-8191"},
    };
    static const char *const bad[] = {"a",
                                      "-",
                                      "1-",
                                      "3-1",
                                      "8192",
                                      "1,,2",
                                      " 1",
                                      "1 ",
                                      "1,",
                                      ",1",
                                      "(null)",
                                      " (null)\n",
                                      "0-8192",
                                      "1-2-3",
                                      "0x1",
                                      "1\n2",
                                      "99999999999999999999"};
    struct cpus cpus;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        cpus = parse(good[i][0]);
        is(&cpus, good[i][1]);
    }
    cpus = parse("17");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(cpus_parse(bad[i], &cpus) == -EINVAL, "'%s'", bad[i]);
        is(&cpus, "17");
    }
}
END_TEST

/* Whatever the room, what is printed fits and is a part of the list that says that it is one. */
START_TEST(lists_that_are_cut)
{
    uint64_t random = support_seed("lists_that_are_cut");
    for (int i = 0; i < 300; i++) {
        char whole[65536];
        char cut[300];
        struct cpus cpus = parse("");
        struct cpus again;
        uint64_t count = support_below(&random, 60);
        for (uint64_t j = 0; j < count; j++)
            cpus_add(&cpus, (uint32_t)support_below(&random, SHMBUS_CPUS_MAX));
        cpus_print(&cpus, whole, sizeof whole);
        size_t room = 16 + support_below(&random, sizeof cut - 16);
        memset(cut, '#', sizeof cut);
        cpus_print(&cpus, cut, room);
        size_t length = strnlen(cut, room);
        ck_assert_uint_lt(length, room);
        ck_assert(support_all(cut + room, sizeof cut - room, '#'));
        if (strcmp(cut, whole) != 0) {
            ck_assert_str_eq(cut + length - 3, "...");
            ck_assert_int_eq(strncmp(cut, whole, length - 3), 0);
        }
        if (count > 0) {
            ck_assert_int_eq(cpus_parse(whole, &again), 0);
            ck_assert(CPU_EQUAL_S(sizeof cpus.sets, cpus.sets, again.sets));
        }
    }
}
END_TEST

/* Two nodes of four; one CPU is offline, one may still come; three are isolated, one of each kind
 * on the other node. The bus is on node 1. */
static struct affinity_host make_host(void)
{
    struct affinity_host host = {
        .online = parse("0-5,7"),
        .possible = parse("0-8"),
        .isolated = parse("2-3,5,6"),
        .nodes = parse("0-2"),
        .node = parse("4-7"),
        .bus_node = 1,
    };
    return host;
}

static int choose(const struct affinity_host *host, uint32_t cpus, uint32_t number,
                  const char *list)
{
    struct shmbus_settle_options options = {.cpus = cpus, .cpu = number, .node = number};
    struct cpus chosen;
    int result = affinity_choose(host, &options, &chosen);
    if (result == 0)
        is(&chosen, list);
    return result;
}

START_TEST(one_cpu)
{
    struct affinity_host host = make_host();
    ck_assert_int_eq(choose(&host, SHMBUS_CPUS_ONE, 0, "0"), 0);
    ck_assert_int_eq(choose(&host, SHMBUS_CPUS_ONE, 7, "7"), 0);
    ck_assert_int_eq(choose(&host, SHMBUS_CPUS_ONE, 6, ""), -ENXIO);
    ck_assert(support_says("CPU 6 is offline: online are 0-5,7"));
    ck_assert_int_eq(choose(&host, SHMBUS_CPUS_ONE, 9, ""), -ENXIO);
    ck_assert(support_says("CPU 9 is not there: this machine has 0-8"));
    ck_assert_int_eq(choose(&host, SHMBUS_CPUS_ONE, UINT32_MAX, ""), -ENXIO);
    /* A host that does not say: the kernel has the word. */
    host.online = parse("");
    host.possible = parse("");
    ck_assert_int_eq(choose(&host, SHMBUS_CPUS_ONE, 99, "99"), 0);
    ck_assert_int_eq(choose(&host, SHMBUS_CPUS_ONE, SHMBUS_CPUS_MAX, ""), -ENXIO);
}
END_TEST

START_TEST(a_node)
{
    struct affinity_host host = make_host();
    ck_assert_int_eq(choose(&host, SHMBUS_CPUS_NODE, 1, "4-5,7"), 0);
    ck_assert_int_eq(choose(&host, SHMBUS_CPUS_BUS, 0, "4-5,7"), 0);
    ck_assert_int_eq(choose(&host, SHMBUS_CPUS_NODE, 3, ""), -ENXIO);
    ck_assert(support_says("NUMA node 3 is not there: this machine has 0-2"));
    ck_assert_int_eq(choose(&host, SHMBUS_CPUS_NODE, UINT32_MAX, ""), -ENXIO);
    host.node = parse("6");
    ck_assert_int_eq(choose(&host, SHMBUS_CPUS_NODE, 2, ""), -ENXIO);
    ck_assert(support_says("NUMA node 2 has memory and no CPU"));
    host.bus_node = -1;
    ck_assert_int_eq(choose(&host, SHMBUS_CPUS_BUS, 0, ""), -ENOTSUP);
    ck_assert(support_says("does not say which NUMA node"));
}
END_TEST

/* Those of the bus's node first, then the rest; never one that is offline, never two at once. */
START_TEST(isolated_cpus)
{
    struct affinity_host host = make_host();
    ck_assert_int_eq(choose(&host, SHMBUS_CPUS_ISOLATED, 0, "5"), 0);
    ck_assert_int_eq(choose(&host, SHMBUS_CPUS_ISOLATED, 1, "2"), 0);
    ck_assert_int_eq(choose(&host, SHMBUS_CPUS_ISOLATED, 2, "3"), 0);
    ck_assert_int_eq(choose(&host, SHMBUS_CPUS_ISOLATED, 3, ""), -ENXIO);
    ck_assert(support_says("isolated CPU number 3"));
    ck_assert(support_says("isolated are 2-3,5-6"));
    ck_assert_int_eq(choose(&host, SHMBUS_CPUS_ISOLATED, UINT32_MAX, ""), -ENXIO);
    host.isolated = parse("");
    ck_assert_int_eq(choose(&host, SHMBUS_CPUS_ISOLATED, 0, ""), -ENXIO);
    ck_assert(support_says("isolcpus="));
}
END_TEST

/* Refused is only: real-time, spinning without end, and a CPU that is not isolated. */
START_TEST(who_may_spin)
{
    static const int policies[] = {SCHED_OTHER, SCHED_BATCH, SCHED_IDLE, SCHED_FIFO, SCHED_RR};
    struct affinity_host host = make_host();
    const struct cpus free = parse("2-3,5");
    const struct cpus shared = parse("1-2");
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++)
        for (uint32_t strategy = SHMBUS_WAIT_ADAPTIVE; strategy <= SHMBUS_WAIT_PARK; strategy++) {
            int starves = i >= 3 && strategy == SHMBUS_WAIT_SPIN;
            ck_assert_int_eq(affinity_allow(&host, &free, policies[i], strategy), 0);
            ck_assert_int_eq(affinity_allow(&host, &shared, policies[i], strategy),
                             starves ? -EPERM : 0);
        }
    ck_assert(support_says("CPU 1-2"));
    ck_assert(support_says("SHMBUS_WAIT_SPIN"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("affinity choose");
    TCase *tcase = support_case(suite, "choose", 60);
    tcase_add_test(tcase, lists);
    tcase_add_test(tcase, lists_that_are_cut);
    tcase_add_test(tcase, one_cpu);
    tcase_add_test(tcase, a_node);
    tcase_add_test(tcase, isolated_cpus);
    tcase_add_test(tcase, who_may_spin);
    return support_run(suite);
}
