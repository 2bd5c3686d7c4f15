/* SPDX-License-Identifier: MIT */
/*
 * Sets of CPUs, and the kernel's lists of them ("0-3,8").
 */
#ifndef SHMBUS_CPUS_H
#define SHMBUS_CPUS_H

#include "shmbus/shmbus.h"

#include <sched.h>
#include <stddef.h>
#include <stdint.h>

/* As the kernel takes it: cpu_set_t has room for 1,024 only. */
struct cpus {
    cpu_set_t sets[SHMBUS_CPUS_MAX / CPU_SETSIZE];
};

/* Reads a list as the kernel writes it; an empty one is an empty set. Returns 0, or -EINVAL for
 * what is none, or names a CPU beyond SHMBUS_CPUS_MAX. */
int cpus_parse(const char *text, struct cpus *out_cpus);

/* Reads a file of the kernel that holds one list. Returns 0, or a negative errno. */
int cpus_read(const char *path, struct cpus *out_cpus);

/* Writes the list of a set; one that is longer than room ends in "...". "none" for an empty set. */
void cpus_print(const struct cpus *cpus, char *out_text, size_t room);

/* What there is in both. */
void cpus_both(const struct cpus *one, const struct cpus *other, struct cpus *out_cpus);

/* The CPU that has so many others of its set before it, or -1. */
int cpus_nth(const struct cpus *cpus, uint32_t before);

static inline uint32_t cpus_count(const struct cpus *cpus)
{
    return (uint32_t)CPU_COUNT_S(sizeof cpus->sets, cpus->sets);
}

static inline int cpus_has(const struct cpus *cpus, uint32_t cpu)
{
    return cpu < SHMBUS_CPUS_MAX && CPU_ISSET_S(cpu, sizeof cpus->sets, cpus->sets);
}

static inline void cpus_add(struct cpus *cpus, uint32_t cpu)
{
    CPU_SET_S(cpu, sizeof cpus->sets, cpus->sets);
}

#endif
