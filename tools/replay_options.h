/* SPDX-License-Identifier: MIT */
/*
 * What shmbus-replay was told to do: its command line, checked. Recordings that go onto one bus are
 * a part of it, `FILE... BUS`, and parts are divided by a plus.
 */
#ifndef SHMBUS_TOOLS_REPLAY_OPTIONS_H
#define SHMBUS_TOOLS_REPLAY_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include <shmbus/shmbus.h>

#include "pub_options.h"
#include "span.h"
#include "type_filter.h"

#define REPLAY_PARTS_MOST 64

/* Recordings of one bus, in the order of their sequences, and the bus that they go onto. */
struct replay_part {
    char **files;
    uint32_t file_count;
    const char *bus_name;
};

struct replay_options {
    uint32_t part_count;
    struct replay_part parts[REPLAY_PARTS_MOST];
    struct span span;
    double speed;              /* times the recorded pace; 0: no pace at all */
    uint64_t loops;            /* how often all of it; 0: without end */
    struct pub_options common; /* of each bus, but for its name and its geometry */
    struct type_filter filter;
};

/*
 * Reads the command line. Returns true when there is something to do; else *out_exit receives the
 * exit code: help or the version was printed, or an error. The options point into arguments.
 */
bool replay_options_read(int count, char **arguments, struct replay_options *out_options,
                         int *out_exit);

#endif
