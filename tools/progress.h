/* SPDX-License-Identifier: MIT */
/*
 * The line on a terminal that says how publishing goes: sent, rate, the slowest consumer's lag.
 * Silent where standard error is no terminal.
 */
#ifndef SHMBUS_TOOLS_PROGRESS_H
#define SHMBUS_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include <shmbus/shmbus.h>

struct progress {
    bool shown;       /* standard error is a terminal */
    bool line_open;   /* the cursor stands behind a line without its newline */
    int64_t begun_ns; /* CLOCK_MONOTONIC */
    int64_t last_ns;
    uint64_t last_sent;
};

/* Begins now, with nothing sent. */
void progress_begin(struct progress *progress);

/* Is a line to be shown, half a second after the last? Then *out_rate receives messages a second.
 */
bool progress_due(struct progress *progress, uint64_t sent, double *out_rate);

/* Shows the line if half a second has gone by since the last; `doing` is a word in front of it. */
void progress_tick(struct progress *progress, const char *doing, struct shmbus_producer *producer,
                   uint64_t sent);

/* Ends the line, so that something else can be printed. */
void progress_break(struct progress *progress);

/* Shows what was sent in all, at what rate on average. */
void progress_end(struct progress *progress, uint64_t sent);

#endif
