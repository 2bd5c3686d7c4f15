/* SPDX-License-Identifier: MIT */
/*
 * What the tests of pipelines share: a small bus, stages, which are required consumers that run
 * after others, in this process or in one of their own that does what it is told, and what each was
 * handed: every sequence once, in order and whole.
 */
#ifndef SHMBUS_TESTS_PIPELINE_RIG_H
#define SHMBUS_TESTS_PIPELINE_RIG_H

#include "support/support.h"

#define BUS         "pipeline"
#define CAPACITY    64
#define MILLISECOND INT64_C(1000000)
#define STALL_NS    (30 * MILLISECOND)
#define STAGES      4 /* whose progress is shared */

/* A stage: how it joins. */
struct stage {
    const char *name;
    const char *after; /* names with spaces between them; NULL: nobody */
    uint32_t gone;     /* enum shmbus_after_gone */
    uint32_t from;     /* enum shmbus_from */
    int64_t grace_ns;
};

/* A stage that has joined, and what it was handed and told. */
struct staged {
    struct shmbus_consumer *consumer;
    uint64_t next; /* sequence that must come next; UINT64_MAX: any */
    uint32_t gone; /* SHMBUS_EVENT_AFTER_GONE that were told */
    uint32_t back;
    uint64_t last;        /* name of the last one, by its index */
    uint64_t passed_over; /* lost and aborted */
};

/* 64 slots of 64 bytes, 8 consumers, classes 256:16 and 1024:8; stalled after STALL_NS. */
struct shmbus_bus_options rig_bus(void);

/* A new bus; a full ring is waited for that long. */
struct shmbus_producer *rig_create(uint32_t flags, int64_t full_timeout_ns);

/* Publishes so many messages that follow from their sequences, inline ones and pooled ones. */
void rig_publish(struct shmbus_producer *producer, uint64_t count);

/* Joins. */
int rig_try(const struct stage *stage, struct staged *out_staged);
void rig_join(const struct stage *stage, struct staged *out_staged);

/* Polls until nothing is handed out, or most were. Returns the last call's result if it is an
 * error, and how many there were else. */
int rig_take(struct staged *staged, uint32_t most);

/* Must be handed so many, and no more now. */
void rig_takes(struct staged *staged, uint32_t count);

/* Polls, without waiting, until so many were handed out. */
void rig_gets(struct staged *staged, uint32_t count);

/* Is handed nothing for so long, in which it polls all the time. */
void rig_gets_nothing(struct staged *staged, int64_t time_ns);

/* Leaves. */
void rig_leave(struct staged *staged);

/* Lives until this much time has gone by. */
void rig_sleep(int64_t time_ns);

/* The picture of one consumer by its name. */
struct shmbus_consumer_info rig_look(const char *name);

/* Is one of this name there, dead or alive? */
int rig_is_there(const char *name);

/* ---- stages in processes of their own ---- */

enum rig_order {
    RIG_TAKE = 1, /* reads until it has so many more; answers the sequence after them */
    RIG_WAIT,     /* waits so many milliseconds for a message; answers the result */
    RIG_FAIL,     /* polls until that fails; answers the error */
    RIG_LEAVE,    /* closes and ends; answers 0 */
};

/* Starts one, which has joined when this returns; and one whose joining may fail: the result is
 * returned, and a child that failed is over. */
struct child stage_start(const struct stage *stage);
int stage_try(const struct stage *stage, struct child *out_child);

/* Gives an order, and hears the answer. */
uint64_t stage_order(const struct child *child, enum rig_order order, uint64_t argument);

/* Tells it to leave, and waits until it is gone. */
void stage_leave(struct child *child);

#endif
