/* SPDX-License-Identifier: MIT */
/*
 * What a reader has to know about the machine before a figure means anything, and whether somebody
 * else was using it.
 */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include "topology.h"

struct machine {
    char kernel[200];
    char processor[128];
    char compiler[128];
    char started[32]; /* UTC */
    int hypervisor;   /* 1 under one */
    int steady_clock; /* 1 if the time stamp counter is constant and does not stop */
    int processors;
    long page_bytes;
    char huge_shmem[96]; /* the kernel's setting for huge pages in shared memory */
    struct pinning pinning;
    double ns_per_tick;
    double load_before; /* of the last minute */
    double load_after;
    double elsewhere_percent; /* of all processor time, spent by others while we measured */
    double stolen_percent;    /* of it, taken by the hypervisor */
    int realtime;             /* 1 if measured at a real-time priority */
    int loaded;               /* 1: do not trust the figures */
    /* for the difference between the two looks */
    double busy_before;
    double stolen_before;
    double all_before;
};

/* Looks before anything is measured; calibrates the clock, which takes a few milliseconds. */
void machine_begin(struct machine *machine, const struct pinning *pinning);

/* Waits until others use next to nothing of the processors, at most so many seconds. Returns
 * whether it got quiet. */
int machine_settle(int limit_s);

/* Looks again after everything was measured. */
void machine_end(struct machine *machine);

#endif
