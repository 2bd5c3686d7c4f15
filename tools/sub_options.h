/* SPDX-License-Identifier: MIT */
/* What shmbus-sub was told to do: its command line, checked. */
#ifndef SHMBUS_TOOLS_SUB_OPTIONS_H
#define SHMBUS_TOOLS_SUB_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include <shmbus/shmbus.h>

#include "format.h"
#include "settle.h"
#include "type_filter.h"

struct sub_options {
    const char *bus_name;
    struct shmbus_consumer_options consumer;
    enum format format;
    int64_t wait_ns; /* for the bus to appear */
    uint64_t count;  /* messages to read; 0: all */
    bool latency;    /* print percentiles at the end */
    bool follow;     /* read on after a takeover, a replacement, an eviction */
    struct type_filter filter;
    const char *after[SHMBUS_AFTER_MAX]; /* consumer.after_count of them */
    struct settle settle;                /* the CPUs and the priority to have */
};

/*
 * Reads the command line. Returns true when there is something to do; else *out_exit receives the
 * exit code: help or the version was printed, or an error. The options point into arguments.
 */
bool sub_options_read(int count, char **arguments, struct sub_options *out_options, int *out_exit);

#endif
