/* SPDX-License-Identifier: MIT */
/*
 * What shmbus-pub was told to do: its command line, checked, in the form that the library and the
 * rest of the tool take it.
 */
#ifndef SHMBUS_TOOLS_PUB_OPTIONS_H
#define SHMBUS_TOOLS_PUB_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include <shmbus/shmbus.h>

#include "framing.h"
#include "pub_lists.h"
#include "settle.h"

struct pub_options {
    const char *bus_name;
    const char *file_name; /* NULL: standard input */
    struct shmbus_bus_options bus;
    enum framing_kind framing;
    uint64_t record_bytes;   /* with FRAMING_RAW */
    uint64_t rate;           /* messages a second; 0: no limit */
    uint64_t wait_consumers; /* required ones to wait for */
    bool keep;               /* leave the bus behind */
    bool join;               /* publish on what is there */
    uint32_t wait_strategy;  /* enum shmbus_wait_strategy */
    uint16_t type;           /* of the messages */
    const char *type_word;   /* as given; NULL: none */
    struct settle settle;    /* the CPUs and the priority to have */
    struct pub_lists lists;  /* that bus points into */
};

/*
 * Reads the command line. Returns true when there is something to do; else *out_exit receives the
 * exit code: help or the version was printed, or an error. The options point into arguments,
 * and into themselves: they stay where they are.
 */
bool pub_options_read(int count, char **arguments, struct pub_options *out_options, int *out_exit);

/* Reads what was given with --mode; CLI_OK or CLI_USAGE. */
int pub_options_read_mode(const char *text, struct shmbus_bus_options *bus);

#endif
