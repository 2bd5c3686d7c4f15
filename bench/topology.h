/* SPDX-License-Identifier: MIT */
/*
 * Which two processors to measure between, asked from the kernel's description of the machine.
 */
#ifndef BENCH_TOPOLOGY_H
#define BENCH_TOPOLOGY_H

/* How near two processors are to each other. */
enum nearness {
    NEAR_ONE_CPU,  /* there is only one: the figures mean nothing */
    NEAR_SIBLINGS, /* SMT siblings: two threads of one core */
    NEAR_CORES,    /* two cores of one package */
    NEAR_PACKAGES, /* cores of two packages */
};

struct pinning {
    int cpu[2];
    int node[2];       /* NUMA nodes, or -1 where the kernel names none */
    int shared_cache;  /* the lowest level of cache that both are on, or 0 */
    int allowed_count; /* processors that this process may run on */
    enum nearness nearness;
};

/* Chooses two cores of one package where that is possible. */
struct pinning topology_choose(void);

/* Takes the two that the user named. Returns 0, or -1 if this process may not run on one. */
int topology_take(int first, int second, struct pinning *out_pinning);

/* Binds the calling process to one processor. Returns 0 or a negative errno. */
int topology_pin(int cpu);

const char *topology_words(enum nearness nearness);

#endif
