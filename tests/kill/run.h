/* SPDX-License-Identifier: MIT */
/*
 * One path, run for each of its points: what its process is told and hands back.
 */
#ifndef SHMBUS_KILL_RUN_H
#define SHMBUS_KILL_RUN_H

#include "kill.h"
#include "stepper.h"

#define TEXTS 3u /* of violations that are kept */

/* What a path's process hands back, in shared memory. */
struct outcome {
    uint64_t points, kills, freezes, repairs, violations, missed;
    int is_done;
    char text[TEXTS][720];
};

struct options {
    int is_long;
    int until_first; /* violation of a path */
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
    uint64_t draw;
};

/* Runs the path at its points. In a process of its own, with SHMBUS_DIR set to worker->folder. */
void run_all(struct worker *worker, const struct options *options);

/* Empties a folder, and one that stands in it; world, if not NULL, is told of what was there. */
void run_empty_folder(const char *folder, const char *inner, struct world *world);

uint64_t run_random(uint64_t *state);

#endif
