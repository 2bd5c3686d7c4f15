/* SPDX-License-Identifier: MIT */
/*
 * What the tests of messages say often: a small bus, a message that must be the next one, and a
 * handler that keeps what it was given.
 */
#ifndef SHMBUS_TESTS_EXPECT_H
#define SHMBUS_TESTS_EXPECT_H

#include "support/support.h"

/* 16 slots of 64 bytes (48 inline); classes 64:8, 128:8, 4096:4; nothing waits. */
struct shmbus_bus_options expect_bus(void);

/* Publishes a payload that follows from its sequence. */
int expect_publish(struct shmbus_producer *producer, uint32_t length);

/* The next message must have this sequence and length, and its payload be of its sequence. */
struct shmbus_message expect_next(struct shmbus_consumer *consumer, uint64_t sequence,
                                  uint32_t length);

/* There is none now, and the call says so with this: 0, -EPIPE, -ESTALE... */
void expect_none(struct shmbus_consumer *consumer, int result);

/* A handler's context: counts what it was given, in order from next on, and stops at stop_at. */
struct expect_run {
    uint64_t next;
    uint64_t count;
    uint64_t stop_at; /* messages in all, or 0 */
};

/* Each message must be the next one, with the payload of its sequence. */
int expect_in_order(const struct shmbus_message *message, void *run);

/* One handler that only counts, into a uint64_t. */
int expect_any(const struct shmbus_message *message, void *count);

#endif
