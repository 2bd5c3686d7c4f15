/* SPDX-License-Identifier: MIT */
/*
 * The bus as shmbus-pub has it: made or taken over, which is said, and its consumers watched: who
 * stalls, dies or is evicted is named on standard error.
 */
#ifndef SHMBUS_TOOLS_PUB_BUS_H
#define SHMBUS_TOOLS_PUB_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include <shmbus/shmbus.h>

#include "progress.h"
#include "pub_options.h"

struct pub_bus {
    const struct pub_options *options;
    struct progress *progress; /* whose line is ended before anything is said */
    struct shmbus_producer *producer;
    int64_t looked_ns; /* when the consumers were last looked at */
    int64_t name_ns;   /* when the name was */
    int64_t made_ns;   /* when the bus was made, to know it by; 0: not known, or its end was said */
};

/* Makes the bus or takes it over, waiting at most full_timeout_ns in a call; an exit code. */
int pub_bus_create(struct pub_bus *bus, int64_t full_timeout_ns);

/* Looks at the consumers' health, if it was not done lately. */
void pub_bus_look(struct pub_bus *bus);

/*
 * At the end, on a bus that evicts: is nobody left to be waited for but stalled ones? They are
 * named. They can still read all of it, since nothing more is written.
 */
bool pub_bus_only_stalled(struct pub_bus *bus);

#endif
