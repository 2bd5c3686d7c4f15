/* SPDX-License-Identifier: MIT */
/*
 * On which CPUs the calling thread runs, and with what priority.
 *
 * What is wished is chosen out of what the host has (affinity_choose(), which asks nobody), set,
 * and read back: the report is what the kernel says afterwards. A real-time thread that spins
 * without end leaves nothing of its CPU to anybody else: that is for isolated CPUs, or by force.
 */
#ifndef SHMBUS_AFFINITY_H
#define SHMBUS_AFFINITY_H

#include "affinity/cpus.h"
#include "shmbus/shmbus.h"

/* Whose work the thread is to do. */
struct affinity_subject {
    const void *feed; /* mapped */
    uint64_t feed_bytes;
    int32_t asked_node;     /* that the bus was asked to be on, or -1 */
    uint32_t wait_strategy; /* enum shmbus_wait_strategy */
};

/* What a host has. */
struct affinity_host {
    struct cpus online;
    struct cpus possible;
    struct cpus isolated;
    struct cpus tickless;
    struct cpus nodes; /* the numbers of its NUMA nodes */
    struct cpus node;  /* the CPUs of the node that is asked for, or else of the bus's */
    int32_t bus_node;  /* that most of the bus's pages are on; -1: not known */
};

/* The CPUs that options wish for, out of what the host has. Returns 0, or -ENXIO or -ENOTSUP with
 * its text. */
int affinity_choose(const struct affinity_host *host, const struct shmbus_settle_options *options,
                    struct cpus *out_cpus);

/* May a thread of this policy wait so on these CPUs? Returns 0, or -EPERM with its text. */
int affinity_allow(const struct affinity_host *host, const struct cpus *cpus, int policy,
                   uint32_t wait_strategy);

/* Settles the calling thread. Returns 0, with the report; or a negative errno with its text, and
 * the thread is as it was. */
int affinity_settle(const struct affinity_subject *subject,
                    const struct shmbus_settle_options *options,
                    struct shmbus_settled *out_settled);

#endif
