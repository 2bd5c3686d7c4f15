/* SPDX-License-Identifier: MIT */
/* What shmbus-dump was told to do: its command line, checked. */
#ifndef SHMBUS_TOOLS_DUMP_OPTIONS_H
#define SHMBUS_TOOLS_DUMP_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "format.h"
#include "span.h"
#include "type_filter.h"

/* What to do with the recording. */
enum dump_task {
    DUMP_MESSAGES, /* print them, in `format` */
    DUMP_CSV,      /* print all as a table */
    DUMP_JSON,     /* print all as objects, with fields */
    DUMP_STATS,
    DUMP_VERIFY,
};

struct dump_options {
    char *path;
    uint32_t task;      /* enum dump_task */
    enum format format; /* with DUMP_MESSAGES */
    uint64_t count;     /* messages to print; 0: all */
    struct span span;
    struct type_filter filter;
};

/*
 * Reads the command line. Returns true when there is something to do; else *out_exit receives the
 * exit code: help or the version was printed, or an error. The options point into arguments.
 */
bool dump_options_read(int count, char **arguments, struct dump_options *out_options,
                       int *out_exit);

#endif
