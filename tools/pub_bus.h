/* SPDX-License-Identifier: MIT */
/*
 * The bus as shmbus-pub and shmbus-replay have it: made or taken over, which is said; its consumers
 * waited for before the first message and after the last, and watched in between: who stalls, dies
 * or is evicted is named on standard error.
 */
#ifndef SHMBUS_TOOLS_PUB_BUS_H
#define SHMBUS_TOOLS_PUB_BUS_H

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

/*
 * Makes the bus or takes it over; an exit code. Its calls then wait for a fifth of a second at
 * most, so that a signal is heeded.
 */
int pub_bus_create(struct pub_bus *bus);

/* Ends the progress line and says what a call of the library said; an exit code. */
int pub_bus_failed(struct pub_bus *bus, int error);

/* Waits until as many required consumers are there as the options say, or until a signal comes. */
int pub_bus_wait_consumers(struct pub_bus *bus);

/* Looks at the consumers' health, if it was not done lately. */
void pub_bus_look(struct pub_bus *bus);

/*
 * Ends the stream as the options say: waits until consumers have read all, or until a second signal
 * says not to, closes the bus, and removes it unless it is kept. `sent` is for the progress line.
 */
int pub_bus_finish(struct pub_bus *bus, uint64_t sent);

#endif
