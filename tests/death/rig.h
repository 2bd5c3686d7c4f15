/* SPDX-License-Identifier: MIT */
/*
 * What the tests of death share: a small bus, consumers in processes of their own that do what they
 * are told and can be killed or stopped at any time, and pictures of the bus. Payloads follow from
 * their sequence, so that whoever reads one can say whether it is whole.
 */
#ifndef SHMBUS_TESTS_DEATH_RIG_H
#define SHMBUS_TESTS_DEATH_RIG_H

#include "support/support.h"

#define BUS         "death"
#define MILLISECOND INT64_C(1000000)
#define STALL_NS    (30 * MILLISECOND)

/* 16 slots of 64 bytes (48 inline), 8 consumers, classes 64:8, 256:8, 4096:4; stalled after
 * STALL_NS. */
struct shmbus_bus_options rig_bus(void);

/* A new bus, whose producer waits so long when it is full. */
struct shmbus_producer *rig_create(const struct shmbus_bus_options *bus, int64_t full_timeout_ns);

/* Creates, which may fail: the result is returned. */
int rig_try_create(const struct shmbus_bus_options *bus, struct shmbus_producer **out_producer);

/* A new bus whose producer is dead, and did not close it. */
void rig_create_and_die(struct shmbus_bus_options *bus);

/* Publishes a payload that follows from its sequence; and so many, which must succeed. */
int rig_publish(struct shmbus_producer *producer, uint32_t length);
void rig_publish_many(struct shmbus_producer *producer, uint32_t count, uint32_t length);

/* Is the payload that of its sequence? Fails the test if not. */
void rig_check(const struct shmbus_message *message);

/* Consumer options by the name of whoever asks; grace_ns 0: no place is kept. */
struct shmbus_consumer_options rig_options(const char *name, uint32_t kind, int64_t grace_ns);
struct shmbus_consumer *rig_join(const char *name, uint32_t kind, int64_t grace_ns);

/* The next message must be this one. */
struct shmbus_message rig_next(struct shmbus_consumer *consumer, uint64_t sequence);

/* Lives until this much time has gone by. */
void rig_sleep(int64_t time_ns);

/* The picture of one consumer by its name: 1 if it is there. */
int rig_look(const char *name, struct shmbus_consumer_info *out_consumer);

/* How it lives, by its name: fails the test if it is not there. */
uint32_t rig_life(const char *name);

/* Every slab of every class can be acquired: nobody holds one and none is lost. */
void rig_all_slabs(struct shmbus_producer *producer, const struct shmbus_bus_options *bus);

/* ---- consumers in processes of their own ---- */

enum rig_order {
    RIG_READ = 1, /* reads so many by poll, one by one; answers the cursor */
    RIG_HOLD,     /* reads and keeps so many; answers the cursor */
    RIG_TAKE, /* reads so many by one poll that stops in the last one's callback: not acknowledged;
                 answers the sequence after it, and stays in there for good */
    RIG_POLL, /* polls once, for so many; answers its result, as a word */
    RIG_REJOIN, /* joins again at the tail; answers the result */
    RIG_FORK,   /* forks a child that lives on until it is killed; answers its pid */
    RIG_LEAVE,  /* closes and ends; answers 0 */
};

/* Starts one, which has joined when this returns; its cursor, and whether it resumed. */
struct child rig_start(const char *name, uint32_t kind, int64_t grace_ns, uint64_t *out_cursor,
                       uint64_t *out_resumed);

/* The same with a result of opening that may be an error, which is returned; the child is over
 * then. */
int rig_try_start(const char *name, int64_t grace_ns, struct child *out_child,
                  uint64_t *out_cursor);

/* Gives an order, and hears the answer. */
uint64_t rig_order(const struct child *child, enum rig_order order, uint64_t argument);

/* Tells it to leave, and waits until it is gone. */
void rig_leave(struct child *child);

#endif
