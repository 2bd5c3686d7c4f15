/* SPDX-License-Identifier: MIT */
/*
 * Which CPUs a wish comes to, and what a real-time thread may do there: see affinity.h. Nothing
 * here asks the host.
 */
#include "affinity/affinity.h"
#include "error/error.h"

#include <inttypes.h>
#include <string.h>

static int choose_one(const struct affinity_host *host, uint32_t cpu, struct cpus *out_cpus)
{
    char there[128];
    int is_known = cpus_count(&host->possible) > 0;
    if (cpu >= SHMBUS_CPUS_MAX || (is_known && !cpus_has(&host->possible, cpu))) {
        cpus_print(&host->possible, there, sizeof there);
        return error_set(-ENXIO, "CPU %" PRIu32 " is not there: this machine has %s", cpu, there);
    }
    if (cpus_count(&host->online) > 0 && !cpus_has(&host->online, cpu)) {
        cpus_print(&host->online, there, sizeof there);
        return error_set(-ENXIO, "CPU %" PRIu32 " is offline: online are %s", cpu, there);
    }
    cpus_add(out_cpus, cpu);
    return 0;
}

static int choose_node(const struct affinity_host *host, int64_t node, struct cpus *out_cpus)
{
    char there[128];
    if (node >= SHMBUS_CPUS_MAX || !cpus_has(&host->nodes, (uint32_t)node)) {
        cpus_print(&host->nodes, there, sizeof there);
        return error_set(-ENXIO, "NUMA node %" PRId64 " is not there: this machine has %s", node,
                         there);
    }
    cpus_both(&host->node, &host->online, out_cpus);
    if (cpus_count(out_cpus) == 0)
        return error_set(-ENXIO, "NUMA node %" PRId64 " has memory and no CPU (name a CPU)", node);
    return 0;
}

/* Without the scheduler's balancing a thread that may use several isolated CPUs would stay on
 * whichever it begins with, and so would the next one: each gets one by its number. */
static int choose_isolated(const struct affinity_host *host, uint32_t which, struct cpus *out_cpus)
{
    struct cpus isolated;
    struct cpus near;
    char there[128];
    cpus_both(&host->isolated, &host->online, &isolated);
    cpus_both(&isolated, &host->node, &near);
    uint32_t near_count = cpus_count(&near);
    int cpu = cpus_nth(&near, which);
    if (which >= near_count) {
        CPU_XOR_S(sizeof isolated.sets, isolated.sets, isolated.sets, near.sets);
        cpu = cpus_nth(&isolated, which - near_count);
    }
    if (cpu >= 0) {
        cpus_add(out_cpus, (uint32_t)cpu);
        return 0;
    }
    if (cpus_count(&host->isolated) == 0)
        return error_set(-ENXIO, "no CPU of this machine is isolated (boot it with isolcpus=)");
    cpus_print(&host->isolated, there, sizeof there);
    return error_set(-ENXIO,
                     "isolated CPU number %" PRIu32 ", counted from 0, is not there: isolated are "
                     "%s",
                     which, there);
}

int affinity_choose(const struct affinity_host *host, const struct shmbus_settle_options *options,
                    struct cpus *out_cpus)
{
    memset(out_cpus, 0, sizeof *out_cpus);
    switch (options->cpus) {
    case SHMBUS_CPUS_ONE:
        return choose_one(host, options->cpu, out_cpus);
    case SHMBUS_CPUS_NODE:
        return choose_node(host, options->node, out_cpus);
    case SHMBUS_CPUS_BUS:
        if (host->bus_node < 0)
            return error_set(-ENOTSUP, "the kernel does not say which NUMA node the bus is on "
                                       "(name a node or a CPU)");
        return choose_node(host, host->bus_node, out_cpus);
    default:
        return choose_isolated(host, options->cpu, out_cpus);
    }
}

int affinity_allow(const struct affinity_host *host, const struct cpus *cpus, int policy,
                   uint32_t wait_strategy)
{
    struct cpus isolated;
    char where[128];
    cpus_both(cpus, &host->isolated, &isolated);
    if ((policy != SCHED_FIFO && policy != SCHED_RR) || wait_strategy != SHMBUS_WAIT_SPIN ||
        cpus_count(&isolated) == cpus_count(cpus))
        return 0;
    cpus_print(cpus, where, sizeof where);
    return error_set(-EPERM,
                     "a real-time thread that waits by SHMBUS_WAIT_SPIN leaves nothing of CPU %s, "
                     "not isolated, to others (wait otherwise, take isolated CPUs, or force it)",
                     where);
}
