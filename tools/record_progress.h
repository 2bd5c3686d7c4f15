/* SPDX-License-Identifier: MIT */
/*
 * The line on a terminal that says how recording goes: messages, bytes, how far they were
 * compressed, the lag, and what was lost. Silent where standard error is no terminal.
 */
#ifndef SHMBUS_TOOLS_RECORD_PROGRESS_H
#define SHMBUS_TOOLS_RECORD_PROGRESS_H

#include <stdint.h>

#include <shmbus/shmbus.h>

#include "progress.h"
#include "record_file.h"

struct record_progress {
    struct progress line;
    struct shmbus_snapshot *snapshot; /* of the bus; NULL: not looked at */
};

/* Begins now. */
void record_progress_begin(struct record_progress *progress);

/* Shows the line if half a second has gone by since the last. */
void record_progress_tick(struct record_progress *progress, const struct record_file *file,
                          uint64_t messages, uint64_t lost, uint64_t cursor);

/* Shows what was recorded in all, and closes the snapshot. */
void record_progress_end(struct record_progress *progress, const struct record_file *file,
                         uint64_t messages, uint64_t lost);

#endif
