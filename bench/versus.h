/* SPDX-License-Identifier: MIT */
/*
 * A against B: this binary and another shmbus-bench, built from other sources, in turn.
 */
#ifndef BENCH_VERSUS_H
#define BENCH_VERSUS_H

#include "options.h"

/* The line that --single prints and --vs reads. */
void versus_print(const struct run *run);

/* Compares, and returns what to exit with. */
int versus_compare(const struct options *options);

#endif
