/* SPDX-License-Identifier: MIT */
/*
 * The consumer object: private memory of one thread, over its own entry in control and a read-only
 * view of feed.
 *
 * What can fail is behind "the expected stamp is not there": after a fork, and once the consumer
 * has failed for good, its ring is a slot of zeros, so that every call gets there and is refused.
 */
#ifndef SHMBUS_CONSUMER_H
#define SHMBUS_CONSUMER_H

#include "liveness/guard.h"
#include "liveness/liveness.h"
#include "ring/ring.h"
#include "segment/segment.h"

/* One handle that is out, or free. */
struct hold {
    struct shmbus_message message;
    uint64_t slab;       /* its number among all classes; HOLD_COPIED for a copied payload */
    uint32_t generation; /* odd while the handle is out */
    uint32_t next;       /* on the free list */
};

#define HOLD_COPIED UINT64_MAX

/* The handles of one consumer: private, but for the bits in its entry. */
struct holds {
    struct hold *hold;
    unsigned char *copies; /* inline_bytes for each hold */
    uint32_t *uses;        /* handles out, for each slab */
    uint64_t salt;         /* of handles: see holds.c */
    uint32_t quota;
    uint32_t first_free;
    uint32_t out;  /* handles */
    uint64_t bits; /* set in the bitmap */
};

struct shmbus_consumer {
    struct ring ring;
    uint64_t next;        /* sequence of the next message */
    uint64_t stored;      /* cursor as it stands in the entry */
    uint64_t store_every; /* messages at most between two stores of it */
    uint64_t epoch;
    struct control_entry *entry;
    const _Atomic uint64_t *eviction;
    const unsigned char *feed;
    const struct feed_header *header;
    const struct feed_state *state;
    struct shmbus_message lent; /* handed out last */
    uint32_t is_lent;
    uint32_t index; /* of the entry */
    uint64_t received;
    uint64_t aborted;
    struct guard guard;

    struct holds holds;
    struct process_object object;
    struct segment segment;
    int failed; /* for good: what every call returns */
    uint32_t orphaned;
};

/* Takes an entry in control and begins at a sequence. Returns 0 or an errno with its text. */
int consumer_join(struct shmbus_consumer *consumer, const struct shmbus_consumer_options *options);

/* Empties the entry and gives it up. */
void consumer_leave(struct shmbus_consumer *consumer);

/* From here on every call fails with this code. */
int consumer_fail(struct shmbus_consumer *consumer, int code);

int holds_begin(struct holds *holds, uint32_t quota, uint32_t inline_bytes, uint64_t slab_total);
void holds_end(struct holds *holds);

#endif
