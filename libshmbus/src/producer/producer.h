/* SPDX-License-Identifier: MIT */
/*
 * The producer object: private memory of one thread, over the words of its segment.
 *
 * The fast path is next < limit, where limit is the floor plus the capacity. Everything that can
 * wait, fail or be refused is behind that comparison: after a fork limit is 0 and no claim is open,
 * so the child gets into the slow path and is refused there. So does, always, a producer among
 * many, whose limit is another (among.c): one that is alone has not an instruction more for it.
 */
#ifndef SHMBUS_PRODUCER_H
#define SHMBUS_PRODUCER_H

#include "liveness/guard.h"
#include "liveness/liveness.h"
#include "pool/pool.h"
#include "ring/gate.h"
#include "ring/ring.h"
#include "segment/segment.h"
#include "wait/wait.h"

#define CLAIM_NONE         0u
#define CLAIM_INLINE       1u
#define CLAIM_POOLED       2u
#define CLAIM_AMONG        3u /* among many: in the slot */
#define CLAIM_AMONG_POOLED 4u

#define READY_AMONG 1 /* what making room says to one among many: go that way */

/* What a producer knows of one consumer's progress. */
struct health {
    uint64_t epoch;
    uint64_t cursor;
    int64_t since_ns; /* when it was first seen there with something to read; 0: it has nothing */
    uint32_t state;   /* enum shmbus_health_state */
    char name[SHMBUS_NAME_MAX + 1];
};

/* What a producer among many has besides. */
struct among {
    uint64_t limit; /* first sequence that there is no room for */
    uint64_t tail;  /* all below it was final when it looked last */
    uint64_t ended; /* the sequence after its own last claim that it ended */
    struct pool *claim_pool;
    uint64_t parts_had; /* a bit for each part of the pool that it has */
    struct pool *parts[SHMBUS_PRODUCERS_MAX];
    unsigned char *part_locks[SHMBUS_PRODUCERS_MAX]; /* mappings of owner that keep LOCK_PART */
    int failed; /* its claim was taken from it: what every call returns */
};

struct shmbus_producer {
    struct ring ring;
    uint64_t next;      /* sequence of the next message */
    uint64_t limit;     /* first sequence that there is no room for */
    uint64_t tail_mask; /* the tail is stored when next & tail_mask is 0 */
    uint64_t ahead;     /* slots between the one written and the one prefetched */
    uint32_t word_room; /* payloads of 8 to word_room + 7 bytes go by the shortest path; 0: none */
    uint32_t claim;     /* CLAIM_... */
    uint32_t claim_length;
    uint32_t claim_class; /* of the claimed slab */
    uint32_t claim_slab;
    unsigned char *claim_data; /* what was lent, to tell the open claim from one given up */
    _Atomic uint64_t *tail_word;
    const _Atomic uint32_t *parked; /* says that consumers are parked; see wait/park.h */
    struct producer_entry *entry;
    struct guard guard;

    struct among *among;   /* NULL of one that is alone */
    uint32_t index;        /* its number: of its entry and its part of the pool */
    uint32_t must_fence;   /* the kernel refused: no fence of one that parks reaches it */
    struct wait_plan wait; /* how its calls wait */
    struct park_door door; /* where it parks; no word: nowhere */

    struct process_object object; /* not first: found by offset */
    struct segment segment;
    struct gate gate;
    struct pool pool;
    uint64_t published; /* by this entry's producers before this one */
    uint64_t begun_at;  /* next, when this one began */
    uint64_t gap_from;  /* the last long skipped range: no floor may stand inside it */
    uint64_t gap_to;
    uint64_t needed;  /* the floor that was needed when the producer was blocked last */
    uint32_t wanting; /* the class that slabs are waited for of, + 1; 0: none */
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
};

/* Brings the tail hint and the count up to date. */
void producer_store_tail(struct shmbus_producer *producer);

/* Finds out how to wake consumers that are parked, and where it parks itself. */
void producer_begin_parking(struct shmbus_producer *producer);

/* Wakes the consumers that are parked. */
void producer_wake(struct shmbus_producer *producer);

/* Among many: the end of the stream went on. Wakes the producers that wait for room in the ring. */
void producer_wake_others(struct shmbus_producer *producer);

/* What consumers may wait for was stored: wakes them if they are parked. */
static inline void producer_notify(struct shmbus_producer *producer)
{
    /* ORDER(publish_signal:A) pairs park_fence:A: the stamp before the flag, by the compiler; the
     * fence of the one that parks is this processor's, too */
    atomic_signal_fence(memory_order_seq_cst);
    /* relaxed: as above */
    if (__builtin_expect(atomic_load_explicit(producer->parked, memory_order_relaxed) != 0, 0))
        producer_wake(producer);
}

/* The end of the stream as this producer knows it: what it published itself or, among many, all
 * that is final. */
uint64_t producer_end(struct shmbus_producer *producer);

/* Waits for done() with the producer's timeout; full is what it costs when that is over. */
int producer_wait_until(struct shmbus_producer *producer,
                        int (*done)(struct shmbus_producer *producer, void *context), void *context,
                        int full, const char *text);

/* Raises the floor for what blocks, needed, and about a quarter ring more. */
void producer_raise_floor(struct shmbus_producer *producer, uint64_t needed);

/* Counts one time that the ring was full, or a class of the pool exhausted. */
void producer_count_blocked(struct shmbus_producer *producer);
void producer_count_exhausted(struct shmbus_producer *producer, uint32_t class_index,
                              uint64_t exhausted);

/* Makes next < limit. Returns 0, READY_AMONG, -EAGAIN or -ECHILD. */
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

/* No slab is as long as that. Returns -EMSGSIZE. */
int producer_too_long(const struct shmbus_producer *producer, uint64_t length);

/* Flags that are not the publisher's. Returns -EINVAL. */
int producer_bad_flags(uint16_t flags);

/* Refuses a call because a claim is open, or the object is another process's. */
int producer_refuse(const struct shmbus_producer *producer);

/* ---- among many: among.c and parts.c ---- */

int among_begin(struct shmbus_producer *producer);
void among_end(struct shmbus_producer *producer);

/* Room at the next sequence that nobody has claimed? Moves next there. */
int among_has_room(struct shmbus_producer *producer);

/* Stores the end of all that is final, and returns it. */
uint64_t among_store_tail(struct shmbus_producer *producer);

int among_publish(struct shmbus_producer *producer, uint16_t type, uint16_t flags, const void *data,
                  uint32_t length);
int among_claim(struct shmbus_producer *producer, uint32_t length, struct shmbus_claim *out_claim);
int among_commit(struct shmbus_producer *producer, uint32_t length, uint16_t type, uint16_t flags);
int among_abort(struct shmbus_producer *producer);
int among_publish_run(struct shmbus_producer *producer, const struct shmbus_outgoing *messages,
                      size_t count);
int among_publish_slab(struct shmbus_producer *producer, struct pool *pool, uint32_t class_index,
                       uint32_t index, uint64_t meta);

/* Takes a part of the pool, if nobody has it, and finds out what of it is free. Returns 1 if this
 * producer has it then, 0, or an errno. Call between process_hold() and process_release(). */
int parts_take(struct shmbus_producer *producer, uint32_t part);

/* Gives back the parts of others that are asked for. */
void parts_give_back(struct shmbus_producer *producer);

/* Sees to it that a part has count slabs of a class on its free list. Returns 0 or -ENOBUFS. */
int parts_need_slabs(struct shmbus_producer *producer, uint32_t class_index, uint32_t count,
                     struct pool **out_pool);

/* Gives all parts up. */
void parts_end(struct shmbus_producer *producer);

#endif
