/* SPDX-License-Identifier: MIT */
/*
 * What the small examples share: each call's result is looked at, and an example in which something
 * went otherwise than it says ends with exit code 1 and the reason.
 */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <shmbus/shmbus.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* For a call that has to succeed: hands its result on. */
static inline int must(int result, const char *call)
{
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", call, shmbus_error_text());
        exit(EXIT_FAILURE);
    }
    return result;
}

/* For what has to be true. */
static inline void expect(bool truth, const char *what)
{
    if (!truth) {
        fprintf(stderr, "expected otherwise: %s\n", what);
        exit(EXIT_FAILURE);
    }
    printf("%s\n", what);
}

/* A producer on a new bus with all defaults. */
static inline struct shmbus_producer *example_producer(const char *bus)
{
    struct shmbus_producer *producer;
    must(shmbus_producer_create(bus, NULL, NULL, &producer), "create");
    return producer;
}

/* A required consumer, from the oldest message on. */
static inline struct shmbus_consumer *example_consumer(const char *bus)
{
    struct shmbus_consumer_options options = {
        .struct_bytes = sizeof(options), .kind = SHMBUS_REQUIRED, .from = SHMBUS_FROM_OLDEST};
    struct shmbus_consumer *consumer;
    must(shmbus_consumer_open(bus, &options, &consumer), "open");
    return consumer;
}

#endif
