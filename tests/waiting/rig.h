/* SPDX-License-Identifier: MIT */
/*
 * What the tests of waiting share: a small bus, participants in processes of their own that wait in
 * a given way, and a look at how they wait.
 */
#ifndef SHMBUS_TESTS_WAITING_RIG_H
#define SHMBUS_TESTS_WAITING_RIG_H

#include "support/support.h"

#include "consumer/consumer.h"
#include "producer/producer.h"

#define BUS         "waiting"
#define CAPACITY    16
#define LONGEST_NS  INT64_C(1000000000)          /* the longest slice that can be asked for */
#define NO_SLICE_NS (3600 * INT64_C(1000000000)) /* past the library: no slice ever ends */

/* 16 slots, a class 64:4 and one 4096:2. */
struct shmbus_bus_options rig_bus(void);

/* A new bus whose producer waits like that, for ever. */
struct shmbus_producer *rig_create(const struct shmbus_wait *wait, uint32_t bus_flags);

/* A consumer that joins at the tail, or at the oldest, and waits like that. */
struct shmbus_consumer *rig_join(uint32_t kind, uint32_t from, const struct shmbus_wait *wait);

/* Publishes one message of a sequence's number. */
void rig_publish(struct shmbus_producer *producer);

/* Takes the next message, which is there, or is waited for; it must be this one. */
void rig_take(struct shmbus_consumer *consumer, uint64_t sequence);

/* Looks until the bus's one consumer, or its producer, waits like that: enum shmbus_waiting. */
void rig_until_consumer(uint32_t waiting);
void rig_until_producer(uint32_t waiting);

/* Waits until a process sleeps in the kernel, in a futex or in a short sleep. */
void rig_until_asleep(pid_t pid, int in_futex);

/* ---- consumers in processes of their own ---- */

enum rig_order {
    RIG_WAIT = 1, /* waits for a message and takes it; answers its sequence, or the error */
    RIG_READ,     /* takes so many messages, which are there; answers the next sequence */
    RIG_KEEP,     /* takes one that is there and keeps it; answers its sequence */
    RIG_RELEASE,  /* releases what it keeps; answers 0 */
    RIG_REJOIN,   /* joins again at the tail; answers the result */
    RIG_LEAVE,    /* closes and ends; answers 0 */
};

/* How a child is to be. */
struct rig_child {
    uint32_t kind;
    struct shmbus_wait wait;
    int refuse_membarrier; /* errno that it gets, or 0 */
};

/* Starts one that has joined at the oldest when this returns. */
struct child rig_start(const struct rig_child *how);

/* Gives an order; and hears the answer. */
void rig_tell(const struct child *child, enum rig_order order, uint64_t argument);
int64_t rig_order(const struct child *child, enum rig_order order, uint64_t argument);

/* From here on membarrier fails with this errno in the calling process, for good. */
void rig_refuse_membarrier(int number);

#endif
