/* SPDX-License-Identifier: MIT */
/* What tests of recordings have in common: making one, and reading a bus or a file back. */
#ifndef SHMBUS_TESTS_RECORDING_H
#define SHMBUS_TESTS_RECORDING_H

#include <check.h>

#include "harness.h"

/* The whole of main(): runs one case, whose tests are in a list that ends with NULL. */
int recording_run(const char *name, const TTest *const *tests);

/* Numbered lines, "line 0\n" and so on, each padded with fewer than `pad` dots. */
struct bytes numbered_lines(unsigned count, unsigned pad);

/* Leaves a closed bus behind, with that input and further options of shmbus-pub. */
void keep_bus(const char *bus, const struct bytes *input, const char *const *options);

/*
 * Records a bus that is kept, from its oldest message to its end, with further options of
 * shmbus-record; returns the path of the recording.
 */
const char *record_kept(const char *bus, const char *file, const char *const *options);

/* Both: lines into a bus, the bus into a file, the bus removed. */
const char *record_lines(const char *file, const struct bytes *input, const char *const *options);

/* What shmbus-dump prints of it; it has to end well. */
struct bytes dump(const char *path, const char *const *options);

/* What shmbus-sub --from oldest gives of a bus that is kept. */
struct bytes read_kept(const char *bus, const char *format);

#endif
