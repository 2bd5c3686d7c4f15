/* SPDX-License-Identifier: MIT */
/* What shmbus-stat was told to do: its command line, checked. */
#ifndef SHMBUS_TOOLS_STAT_OPTIONS_H
#define SHMBUS_TOOLS_STAT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct stat_options {
    const char *bus_name; /* NULL: all */
    const char *folder;   /* NULL: where buses are by default */
    int64_t interval_ns;  /* over which the rate is measured; 0: not at all */
    bool json;
    bool reap;
};

/*
 * Reads the command line. Returns true when there is something to do; else *out_exit receives the
 * exit code: help or the version was printed, or an error. The options point into arguments.
 */
bool stat_options_read(int count, char **arguments, struct stat_options *out_options,
                       int *out_exit);

#endif
