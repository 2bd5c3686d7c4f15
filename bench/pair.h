/* SPDX-License-Identifier: MIT */
/*
 * Executes one run: two processes, each forked before it opens anything, pinned, watched and
 * cleaned up after.
 */
#ifndef BENCH_PAIR_H
#define BENCH_PAIR_H

#include "bench.h"
#include "machine.h"

/* Prepares signals and the folder of the buses, and removes buses that a killed benchmark left. */
int pair_begin(void);

/* Executes a run and fills out_run, whatever happens in the two processes. Returns 0, or the
 * number of the signal that asked the benchmark to end. */
int pair_run(const struct test *given, const struct runner *runner, const struct machine *machine,
             struct run *out_run);

#endif
