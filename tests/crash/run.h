/* SPDX-License-Identifier: MIT */
/*
 * One path, run for each of its points: what its process is told and hands back.
 */
#ifndef SHMBUS_CRASH_RUN_H
#define SHMBUS_CRASH_RUN_H

#include "crash.h"
#include "stepper.h"

#define TEXTS 3u /* of violations that are kept */

/* What a path's process hands back, in shared memory. */
struct outcome {
    uint64_t points, kills, freezes, pairs, repairs, violations, missed;
    int is_done;
    char text[TEXTS][720];
};

struct options {
    int is_long;
    int until_first; /* violation of a path */
    int pairs_alone;
    int points_alone;
    uint32_t part; /* of so many parts of the points and pairs: this one alone */
    uint32_t parts;
    uint64_t seed;
    const char *only;
};

/* One path's process. */
struct worker {
    const struct path *path;
    struct record *record;
    struct outcome *outcome;
    const char *folder;
    struct trace trace;
    struct trace repair; /* of a repairer, after the victim's death at one of its points */
    size_t repair_point; /* where that one is to be killed */
    uint64_t draw;
};

/* Runs the path at its points. In a process of its own, with SHMBUS_DIR set to worker->folder. */
void run_all(struct worker *worker, const struct options *options);

/* Empties a folder, and one that stands in it; world, if not NULL, is told of what was there. */
void run_empty_folder(const char *folder, const char *inner, struct world *world);

/* Has the bus's memory changed since this was last asked? Between two points with the same memory
 * and no call out of the library it makes no difference to others which of them one dies at. */
int run_memory_changed(void);

uint64_t run_random(uint64_t *state);

#endif
