/* SPDX-License-Identifier: MIT */
/*
 * The words that all of the benchmark shares. A test is what is measured; a runner is one way to do
 * it (a floor: the least that the machine allows; or a subject: shmbus); a role is one of the two
 * processes that a runner consists of; a run is what one execution of a runner gave. Floors and
 * subjects of a test take turns, and one round of them is a pair.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdint.h>

#include "stats.h"
#include "topology.h"

enum {
    ROLES = 2,
    RUNNERS_MAX = 24,
    CURVE_POINTS = 6,
    PAIRS_MAX = 200,
    WHY_MAX = 240,
    BUS_NAME_MAX = 64,
};

struct role;
typedef int runner_role(struct role *role); /* 0, or what role_fail gave */

struct test;

struct runner {
    const char *name;
    int is_floor;
    runner_role *act[ROLES];                    /* 0 produces or asks, 1 consumes or answers */
    uint64_t (*bytes)(const struct test *test); /* shared memory that it wants; or NULL */
    int is_peer;                                /* somebody else's: see peer.h */
    /* In place of the test's, or 0. */
    uint32_t size;
    uint32_t bus_flags;
    uint32_t kind;
    uint32_t consumers;
    uint32_t producers;
    uint64_t rate;
};

/* Which of a peer's pairs of roles a test has take part. */
enum peer_pattern {
    PEER_NONE = 0,
    PEER_TRIP,
    PEER_SINGLE,
    PEER_BATCH,
    PEER_PATTERNS,
};

struct test {
    const char *name;
    const char *title;
    const char *main_floor; /* the runner that the result's ratio is against */
    int is_latency;         /* nanoseconds, less is better; else messages a second */
    uint32_t size;          /* bytes of payload */
    uint32_t batch;         /* messages published together */
    uint32_t burst;         /* messages that a consumer takes at most before its cursor moves */
    uint32_t pause;         /* PAUSEs of a consumer that has caught up; not in round trips */
    uint32_t ahead;         /* floors: lines that are fetched ahead */
    uint32_t slabs;         /* buffers that payloads go through; 0: they are in the ring */
    uint32_t bus_flags;     /* SHMBUS_BUS_... of the subject's bus */
    uint32_t kind;          /* enum shmbus_kind of its consumers */
    uint32_t consumers;     /* in the consuming process; 0 is one */
    uint32_t producers;     /* in the producing one; 0 is one */
    uint64_t rate;          /* messages a second that are meant to be sent; 0: as fast as it goes */
    enum peer_pattern peers;
    uint64_t capacity;                         /* slots of the ring */
    uint64_t warm;                             /* messages before the measured ones */
    uint64_t messages;                         /* measured ones */
    const struct runner *runners[RUNNERS_MAX]; /* floors first; ends with NULL */
};

/* What one run gave. Figures are 0 where the run has none. */
struct run {
    int ok;
    char why[WHY_MAX]; /* of a run that failed */
    double value;      /* the figure: p50 in ns, or messages a second */
    double p50_ns;
    double p99_ns;
    double p999_ns;
    double max_ns;
    double curve_ns[CURVE_POINTS]; /* at curve_shares */
    double seconds;
    uint64_t messages;
    long preempted[ROLES]; /* involuntary context switches of each process */
    long faults[ROLES];    /* page faults of each process in the measured part and around it */
};

/* 0.5, 0.9, 0.99 and so on: the points of a latency curve on an axis of nines. */
extern const double curve_shares[CURVE_POINTS];

/* All runs of one test: runs[runner][pair]. */
struct result {
    struct test test; /* with the changes that the command line asked for */
    int runner_count;
    int pair_count;
    struct run *runs; /* runner_count * pair_count of them */
};

/* The test as one of its runners has it. */
struct test bench_own(const struct test *test, const struct runner *runner);

static inline uint32_t bench_size(const struct test *test, const struct runner *runner)
{
    return runner->size != 0 ? runner->size : test->size;
}

static inline struct run *result_run(const struct result *result, int runner, int pair)
{
    return &result->runs[runner * result->pair_count + pair];
}

/* The tests there are; ends with one whose name is NULL. */
extern const struct test bench_tests[];

#endif
