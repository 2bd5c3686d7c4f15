/* SPDX-License-Identifier: MIT */
/* What shmbus-record was told to do: its command line, checked. */
#ifndef SHMBUS_TOOLS_RECORD_OPTIONS_H
#define SHMBUS_TOOLS_RECORD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include <shmbus/shmbus.h>

#include "settle.h"
#include "type_filter.h"

/* When what was written is forced to the disk. */
enum record_sync {
    RECORD_SYNC_NONE,  /* when the kernel likes */
    RECORD_SYNC_BLOCK, /* with each block */
    RECORD_SYNC_TIME,  /* every sync_ns */
};

struct record_options {
    const char *bus_name;
    const char *path; /* of the recording */
    struct shmbus_consumer_options consumer;
    int64_t wait_ns;       /* for the bus to appear */
    uint64_t count;        /* messages to record; 0: all */
    bool append;           /* go on with what is there */
    int32_t level;         /* negative: fast, with that acceleration; from 3 on HC */
    uint64_t block_bytes;  /* 0: the library's default */
    uint32_t queue_blocks; /* the same */
    uint32_t sync;         /* enum record_sync */
    int64_t sync_ns;
    uint64_t rotate_bytes; /* begin another file then; 0: never */
    int64_t rotate_ns;
    struct type_filter filter;
    struct settle settle; /* the CPUs and the priority to have */
};

/*
 * Reads the command line. Returns true when there is something to do; else *out_exit receives the
 * exit code: help or the version was printed, or an error. The options point into arguments.
 */
bool record_options_read(int count, char **arguments, struct record_options *out_options,
                         int *out_exit);

#endif
