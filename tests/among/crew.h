/* SPDX-License-Identifier: MIT */
/*
 * What the tests of many producers share: a small bus, producers in processes of their own that do
 * what they are told and can be killed or stopped at any time, and consumers that check what they
 * get. A message says who wrote it and the how manyeth of that one it is; its length and all of its
 * bytes follow from that.
 */
#ifndef SHMBUS_TESTS_AMONG_CREW_H
#define SHMBUS_TESTS_AMONG_CREW_H

#include "support/support.h"

#define BUS         "crew"
#define AUTHORS_MAX 80
#define LONGEST     1000 /* bytes of payload */
#define SMALL_COUNT 8    /* slabs of 128 bytes for each producer */
#define LARGE_COUNT 4    /* slabs of 1,024 bytes for each producer */

/* 64 slots of 64 bytes; classes 128:8 and 1024:4 for each of most producers. */
struct shmbus_bus_options crew_bus(uint32_t most);

/* A producer of the bus: creates or joins it. Fails the test if it cannot. */
struct shmbus_producer *crew_open(const struct shmbus_bus_options *bus, int64_t full_timeout_ns);

/* Publishes message number of author, in one of six ways that follow from the number. Returns the
 * first error, or 0. */
int crew_publish(struct shmbus_producer *producer, uint32_t author, uint64_t number);

/* What one consumer saw. */
struct crew_watch {
    struct shmbus_consumer *consumer;
    uint64_t next; /* the next sequence that must come */
    uint64_t received;
    uint64_t aborted;
    uint64_t lost;
    uint64_t numbers[AUTHORS_MAX]; /* of each author: the next that must come */
    uint32_t may_lose;             /* messages in between may be lost */
    uint64_t order;                /* a hash of who wrote what, in order */
};

/* Joins at the oldest. */
void crew_watch(struct crew_watch *watch, uint32_t kind);

/* Reads all that is there: returns the last call's result, 0 or an error. */
int crew_read(struct crew_watch *watch);

/* Waits and reads until the result is not 0 any more, which is returned. */
int crew_read_to_the_end(struct crew_watch *watch);

/* ---- producers in processes of their own ---- */

enum crew_order {
    CREW_PUBLISH = 1, /* so many; answers the first error as a word, or 0 */
    CREW_CLAIM,   /* claims room for its next message, and keeps the claim; answers the sequence */
    CREW_COMMIT,  /* publishes what is claimed; answers the result */
    CREW_ABORT,   /* aborts it; answers the result */
    CREW_SLABS,   /* acquires slabs of 1,000 bytes until there are none; answers how many */
    CREW_RELEASE, /* releases them; answers 0 */
    CREW_CLOSE,   /* closes and ends; answers 0 */
};

/* Starts one, which has opened the bus when this returns, and waits so long when it is full. */
struct child crew_start(const struct shmbus_bus_options *bus, uint32_t author,
                        int64_t full_timeout_ns);

/* Gives an order, and hears the answer. */
uint64_t crew_order(const struct child *child, enum crew_order order, uint64_t argument);

/* Tells it to close, and waits until it is gone. */
void crew_close(struct child *child);

/* The picture of the bus. */
struct shmbus_bus_info crew_look(void);

#endif
