/* SPDX-License-Identifier: MIT */
/*
 * What the tests of kinds say often: a small bus whose messages follow from their sequences, and a
 * watch: what one consumer was handed and told, each sequence once and in order.
 */
#ifndef SHMBUS_TESTS_CROWD_H
#define SHMBUS_TESTS_CROWD_H

#include "support/support.h"

#define CROWD_BUS      "crowd"
#define CROWD_CAPACITY 64
#define CROWD_LONGEST  600 /* bytes of payload */
#define CROWD_TYPES    5   /* types 0 to 4 */
#define CROWD_EVENTS   32  /* that a watch keeps; it counts all */

/* 64 slots of 64 bytes; classes 128:16 and 1024:16; nothing waits. */
struct shmbus_bus_options crowd_bus(void);

/* Of a message with this sequence: two of three inline, the others in both classes. */
uint32_t crowd_length(uint64_t sequence);
uint16_t crowd_type(uint64_t sequence);

/* Publishes count messages that follow from their sequences. Returns the first error, or 0. */
int crowd_publish(struct shmbus_producer *producer, uint64_t count);

/* Is the message what its sequence says? */
int crowd_is_whole(const struct shmbus_message *message);

/* What one consumer saw. */
struct watch {
    uint64_t from; /* where it joined */
    uint64_t next; /* what must come next */
    uint64_t received;
    uint64_t lost;
    uint64_t aborted;
    uint64_t unwanted; /* of a watch that filters: what was passed over in silence */
    uint32_t filters;
    uint32_t deadlines;
    uint32_t event_count;
    struct shmbus_event events[CROWD_EVENTS];
    struct shmbus_consumer *consumer;
};

/* Default options of a consumer of this kind. */
struct shmbus_consumer_options watch_options(uint32_t kind, uint32_t from);

/* Joins the bus; the options' callback becomes the watch. */
int watch_try(struct watch *watch, const struct shmbus_consumer_options *options);
void watch_join(struct watch *watch, uint32_t kind, uint32_t from);

/* A handler: the message must be whole, and the one after what was told before. */
int watch_message(const struct shmbus_message *message, void *watch);

/* Polls until there is nothing now. Returns the last call's result: 0 or an error. */
int watch_drain(struct watch *watch);

/* Reads in every way, keeping some messages for a while, until the stream has ended. */
void watch_to_the_end(struct watch *watch, uint64_t seed);

/* Publishes count messages, with pauses of every length for others between them. */
void crowd_publish_unevenly(struct shmbus_producer *producer, uint64_t count, uint64_t *random);

/* Its event number index must be this one. */
void watch_expect(const struct watch *watch, uint32_t index, uint32_t kind, uint64_t first,
                  uint64_t count);

/* The consumer's own counts must be those of the watch, and add up to what went by. */
void watch_settle(struct watch *watch);

/* Settles and leaves. */
void watch_end(struct watch *watch);

/* The floor, and the counts of the producer, as anybody sees them. */
uint64_t crowd_floor(void);
struct shmbus_producer_info crowd_producer(void);

#endif
