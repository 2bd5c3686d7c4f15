/* SPDX-License-Identifier: MIT */
/*
 * What shmbus-sub says about messages that it will never have: a line on standard error for each
 * range, an object among the messages where those are JSON, and the counts at the end. Ranges that
 * follow each other are told as one.
 */
#ifndef SHMBUS_TOOLS_SUB_REPORT_H
#define SHMBUS_TOOLS_SUB_REPORT_H

#include <stdint.h>

#include <shmbus/shmbus.h>

#include "format.h"
#include "output.h"

struct report {
    const char *bus_name;
    enum format format;
    struct output *output;
    uint64_t lost;
    uint64_t aborted;
    int64_t deadline_ns;         /* as given, to be named */
    const char *const *after;    /* names of those that it runs after, as given */
    struct shmbus_event pending; /* not told yet; count 0: none */
};

void report_begin(struct report *report, const char *bus_name, enum format format,
                  struct output *output);

/* Takes an event. It is told at once or with the next call of report_flush(). */
void report_event(struct report *report, const struct shmbus_event *event);

/* Tells what is not told yet: before the next message, before waiting, at the end. */
void report_flush(struct report *report);

/* Says how many were received and how many were not, if any were not. */
void report_end(struct report *report, uint64_t received);

#endif
