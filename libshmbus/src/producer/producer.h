/* SPDX-License-Identifier: MIT */
/*
 * The producer object: private memory of one thread, over the words of its segment.
 *
 * The fast path is next < limit, where limit is the floor plus the capacity. Everything that can
 * wait, fail or be refused is behind that comparison: after a fork limit is 0 and no claim is open,
 * so the child gets into the slow path and is refused there.
 */
#ifndef SHMBUS_PRODUCER_H
#define SHMBUS_PRODUCER_H

#include "liveness/guard.h"
#include "liveness/liveness.h"
#include "pool/pool.h"
#include "ring/gate.h"
#include "ring/ring.h"
#include "segment/segment.h"

#define CLAIM_NONE   0u
#define CLAIM_INLINE 1u
#define CLAIM_POOLED 2u

/* What a producer knows of one consumer's progress. */
struct health {
    uint64_t epoch;
    uint64_t cursor;
    int64_t since_ns; /* when it was first seen there with something to read; 0: it has nothing */
    uint32_t state;   /* enum shmbus_health_state */
};

struct shmbus_producer {
    struct ring ring;
    uint64_t next;      /* sequence of the next message */
    uint64_t limit;     /* first sequence that there is no room for */
    uint64_t tail_mask; /* the tail is stored when next & tail_mask is 0 */
    uint64_t ahead;     /* slots between the one written and the one prefetched */
    uint32_t claim;     /* CLAIM_... */
    uint32_t claim_length;
    uint32_t claim_class; /* of the claimed slab */
    uint32_t claim_slab;
    const void *claim_data; /* what was lent, to tell the open claim from one given up */
    _Atomic uint64_t *tail_word;
    struct producer_entry *entry;
    struct guard guard;

    struct process_object object; /* not first: found by offset */
    struct segment segment;
    struct gate gate;
    struct pool pool;
    uint64_t published; /* by this entry's producers before this one */
    uint64_t begun_at;  /* next, when this one began */
    uint64_t gap_from;  /* the last long skipped range: no floor may stand inside it */
    uint64_t gap_to;
    uint64_t needed; /* the floor that was needed when the producer was blocked last */
    const struct pool_class *wanting; /* the class that slabs are waited for of, or NULL */
    uint64_t skipped;
    uint64_t evicted;
    uint64_t history_yielded;
    uint64_t blocked;
    uint64_t exhausted;
    int64_t full_timeout_ns;
    void (*on_exhausted)(void *context, uint32_t class_index, uint64_t exhausted);
    void *context;
    void (*on_health)(void *context, const struct shmbus_health *health);
    struct health *health; /* max_consumers of them */
    uint32_t orphaned;     /* by fork */
    uint32_t created;      /* the bus was not there before */
};

/* Brings the tail hint and the count up to date. */
void producer_store_tail(struct shmbus_producer *producer);

/* Makes next < limit. Returns 0, -EAGAIN or -ECHILD. */
int producer_make_room(struct shmbus_producer *producer);

/* Makes next + count <= limit; at most a quarter ring. Returns as producer_make_room(). */
int producer_make_room_for(struct shmbus_producer *producer, uint64_t count);

/* Makes room for count messages as far as it is to be had without waiting. */
void producer_more_room(struct shmbus_producer *producer, uint64_t count);

/* Sees to it that a class has count slabs on its free list. Returns 0 or -ENOBUFS. */
int producer_need_slabs(struct shmbus_producer *producer, uint32_t class_index, uint32_t count);

/* Looks at every required consumer's progress; evicts those that are stalled when blocked says that
 * the producer waits for them and the bus's policy is to evict. Tells on_health of changes. Returns
 * how many there are. */
int producer_look_at_health(struct shmbus_producer *producer, int blocked,
                            struct shmbus_health *out_health, uint32_t room);

/* Refuses a call because a claim is open, or the object is another process's. */
int producer_refuse(const struct shmbus_producer *producer);

#endif
