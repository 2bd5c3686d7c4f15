/* SPDX-License-Identifier: MIT */
/*
 * The command line of shmbus-bench.
 */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include "bench.h"

/* 0 or NULL: as the test has it. */
struct options {
    int pairs;
    const char *only;   /* a test's name */
    const char *peer;   /* a runner's name; floors run as well unless single is set */
    const char *json;   /* a file, or "-" */
    const char *versus; /* another binary */
    int no_peers;       /* floors and subjects only */
    int single;         /* one run of one runner, in one line for another shmbus-bench */
    int realtime;       /* SCHED_FIFO while measuring */
    int settle_s;       /* how long to wait for a quiet machine before each pair */
    int cpus[2];        /* -1: asked from the topology */
    uint64_t messages;  /* measured ones */
    uint64_t capacity;  /* slots */
    uint32_t burst, ahead;
    int64_t pause;             /* -1: as the test has it */
    const char *const *passed; /* of argv, what --vs hands on; ends with NULL */
};

enum {
    OPTIONS_GO = -1, /* else: exit with this */
};

int options_read(int argc, char **argv, struct options *out_options);

/* The test as the command line wants it. */
struct test options_apply(const struct options *options, const struct test *test);

#endif
