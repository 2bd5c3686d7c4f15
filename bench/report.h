/* SPDX-License-Identifier: MIT */
/*
 * Turns the runs into figures and shows them: a table for people, JSON for programs.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "bench.h"
#include "machine.h"

/* The figures of one runner over its runs that were ok, and its ratio to another, pair by pair. */
struct spread report_values(const struct result *result, int runner);
struct spread report_ratios(const struct result *result, int runner, int other);

/* The median of one of a run's figures, given by its offset in struct run. */
double report_median(const struct result *result, int runner, size_t offset);

/* The runner of that name, or -1. */
int report_find(const struct result *result, const char *name);

void report_machine(FILE *stream, const struct machine *machine);
void report_table(FILE *stream, const struct result *result);
void report_load(FILE *stream, const struct machine *machine);

/* Writes a list with one object for each runner of each test. Returns 0, or -1 with errno. */
int report_json(const char *path, const struct machine *machine, const struct result *results,
                int count);

#endif
