/* SPDX-License-Identifier: MIT */
/*
 * The consumer object: private memory of one thread, over its own entry in control and a read-only
 * view of feed.
 *
 * A required consumer that wants every type, and runs after nobody, reads by the shortest path
 * (poll.c). Everything else,
 * and everything that can fail, is behind "the expected stamp is not there" (look.c): after a fork,
 * and once the consumer has failed for good, its ring is a slot of zeros, so that every call gets
 * there and is refused.
 */
#ifndef SHMBUS_CONSUMER_H
#define SHMBUS_CONSUMER_H

#include "liveness/guard.h"
#include "liveness/liveness.h"
#include "ring/ring.h"
#include "segment/segment.h"
#include "wait/wait.h"

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
    unsigned char *copies; /* copy_bytes for each hold */
    uint32_t *uses;        /* handles out, for each slab */
    uint64_t copy_bytes;
    uint64_t salt; /* of handles: see holds.c */
    uint32_t quota;
    uint32_t first_free;
    uint32_t out;  /* handles */
    uint64_t bits; /* set in the bitmap */
};

struct consumer_event;

struct shmbus_consumer {
    struct ring ring;
    uint64_t next;        /* sequence of the next message */
    uint64_t stored;      /* cursor as it stands in the entry */
    uint64_t store_every; /* messages at most between two stores of it */
    uint64_t look_at;     /* where it looks next how far ahead the producer is: see poll.c */
    uint64_t fetch;       /* slots ahead of the one being read that are fetched; 0: none */
    uint64_t epoch;
    struct control_entry *entry; /* NULL of an observer */
    const _Atomic uint64_t *eviction;
    const _Atomic uint64_t *floor; /* while it is at most stored, nothing that it reads in place was
                                      overwritten: see consumer_watch_floor() */
    const unsigned char *feed;
    const struct feed_header *header;
    const struct feed_state *state;
    const _Atomic uint64_t *parked_producers; /* say that others are parked; see wait/park.h */
    const _Atomic uint32_t *parked_behind;
    struct shmbus_message lent; /* handed out last */
    uint32_t is_lent;
    uint32_t is_plain;   /* required, wants every type, and runs after nobody */
    uint32_t stands_off; /* SHMBUS_READ_STAND_OFF */
    uint32_t has_rested; /* it gave nothing because of that, and is to read when called again */
    uint64_t received;
    struct guard guard;

    uint64_t lost;
    uint64_t filtered;
    uint64_t aborted;
    uint64_t hole;       /* the last sequence that was found being written, among many */
    uint32_t hole_looks; /* how often nothing came there */
    const _Atomic uint32_t *generations; /* of all slabs */
    uint64_t lent_slab;     /* that an optional one holds while it is lent; HOLD_COPIED: none */
    uint64_t deadline_at;   /* messages received when the deadline's clock began */
    int64_t deadline_from;  /* when it began; 0: it does not run */
    const uint64_t *wanted; /* a bit for each type; NULL: all */
    unsigned char *copy;    /* of the payload that is lent, for those that do not gate */
    struct shmbus_consumer_options options; /* as taken; name below, pointers not kept */
    char name[SHMBUS_NAME_MAX + 1];
    struct wait_plan wait;         /* how its calls wait */
    struct park_door for_messages; /* where it parks; no word: nowhere */
    struct park_door behind;       /* the same, where those that it runs after call it */
    struct consumer_event *event;  /* behind its descriptor; NULL: it has none */
    uint32_t must_fence;           /* the kernel refused: no fence of one that parks reaches it */
    uint32_t index;                /* of the entry */
    uint32_t resumed;
    struct holds holds;
    struct process_object object;
    struct segment segment;
    int failed;       /* for good: what every call returns */
    uint64_t trusted; /* since then: messages below were read in time */
    const char *why;
    uint32_t orphaned;
    uint64_t limit;      /* it may read below this; UINT64_MAX of one that runs after nobody */
    struct after *after; /* whom it runs after; NULL: nobody */
};

/* Takes an entry in control and begins where the options say. Returns 0 or an errno with its
 * text. */
int consumer_join(struct shmbus_consumer *consumer);

/* The same with the entry that it has, after it failed. */
int consumer_join_again(struct shmbus_consumer *consumer);

/* Are this consumer's words not as it left them, was what it read in place overwritten, or is it
 * evicted? After every read of payloads. */
int consumer_words_changed(const struct shmbus_consumer *consumer);

/* They are: fails for good with -ESTALE, and says what not to trust. */
int consumer_evicted(struct shmbus_consumer *consumer);

/* Goes on at the place that one of this name left when it died. Returns 1, 0 when there is none, or
 * an errno: -EBUSY when one of this name lives. */
int consumer_resume(struct shmbus_consumer *consumer);

/* Empties the entry, if there is one, and gives it up. */
void consumer_leave(struct shmbus_consumer *consumer);

/* From here on every call fails with this code and, but for the one that found it, this constant
 * text. Returns the code. */
int consumer_fail(struct shmbus_consumer *consumer, int code, const char *why);

/* Everything below next was read: says so to the producer. Returns 0 or -ESTALE. */
int consumer_advance(struct shmbus_consumer *consumer);

/* Finds out how to wake those that are parked, before it has an entry, and where it parks itself,
 * once it has one. */
void consumer_begin_waking(struct shmbus_consumer *consumer);
void consumer_begin_parking(struct shmbus_consumer *consumer);

/* Wakes those that are parked: producers that wait for a cursor that is above from and at most to,
 * or for anything, and consumers behind this one. */
void consumer_wake(struct shmbus_consumer *consumer, uint64_t from, uint64_t to);

/* The same for all that it may keep back, since it keeps nothing back any more. */
void consumer_wake_all(struct shmbus_consumer *consumer);

/* Where it is to park now: for a message, or until those that it runs after are past the one that
 * is there. NULL: nowhere. */
struct park_door *consumer_door(struct shmbus_consumer *consumer);

/* What others may wait for was stored: is anybody parked, and to be woken? */
static inline int consumer_has_parked(const struct shmbus_consumer *consumer)
{
    /* ORDER(advance_signal:A) pairs park_fence:A: cursor or hold before the flags, by the compiler;
     * the fence of the one that parks is this processor's, too */
    atomic_signal_fence(memory_order_seq_cst);
    /* relaxed: as above */
    uint64_t producers = atomic_load_explicit(consumer->parked_producers, memory_order_relaxed);
    uint64_t behind = atomic_load_explicit(consumer->parked_behind, memory_order_relaxed);
    return __builtin_expect((producers | behind) != 0, 0) ? 1 : 0;
}

/* Is there a message, or something to be told? What next() gave last is finished with. */
int consumer_peek(struct shmbus_consumer *consumer);

/* The same of what only the kernel knows. Returns 1 when there is something to look at, 0, or what
 * wait() is to say. */
int consumer_probe(struct shmbus_consumer *consumer);

/* Nothing is there: its descriptor, if it has one, becomes readable when that changes. */
void consumer_event_arm(struct shmbus_consumer *consumer);

/* Ends its descriptor and the thread behind it. */
void consumer_event_end(struct shmbus_consumer *consumer);

/* Finds the next message that is wanted: goes past aborted, skipped and unwanted ones, and ahead
 * when it was lapped. Returns its slot, or NULL. */
struct slot_header *consumer_look(struct shmbus_consumer *consumer);

/* There is no message: is that for now, or for good? Returns 0, CONSUMER_AGAIN or an errno. */
#define CONSUMER_AGAIN 1
int consumer_nothing_there(struct shmbus_consumer *consumer);

/* Makes consumer->lent for those that do not gate the producer: by a copy, or a slab that is held.
 * Returns 0,
 * CONSUMER_AGAIN when it was overwritten meanwhile, or -EBADMSG. */
int consumer_lend_copy(struct shmbus_consumer *consumer, struct slot_header *slot);

/* Among many producers: is there a hole at next whose producer is proven dead? Then goes past it.
 * Asks the kernel if probe says so, else only once in so many times at the same place. Returns 1 if
 * it did. */
int consumer_steps_over(struct shmbus_consumer *consumer, int probe);

/* The greatest of all producers' floors: whoever joins goes by that. */
uint64_t consumer_floor(const struct shmbus_consumer *consumer);

/* Has the stream ended for good, when the bus says that it is closed? */
int consumer_stream_ended(const struct shmbus_consumer *consumer);

/* A claim that was never published is gone past. */
void consumer_go_past_aborted(struct shmbus_consumer *consumer);

/* Finds the floor that says whether a required one has to look again at what it read in place. */
void consumer_watch_floor(struct shmbus_consumer *consumer);

/* The same of a required consumer: looks at each slot and slab that it read since it stored its
 * cursor. Was one overwritten? */
int consumer_was_overwritten(const struct shmbus_consumer *consumer);

/* The message that was lent is finished with. */
void consumer_finish(struct shmbus_consumer *consumer);

/* Tells on_event. */
void consumer_tell(const struct shmbus_consumer *consumer, uint32_t kind, uint64_t first,
                   uint64_t count);

/* Is the next message there, and held back until another has passed it? As of the last look. */
int consumer_is_behind(const struct shmbus_consumer *consumer);

/* Sequences from first on will not be seen: counts them and says so. */
void consumer_tell_lost(struct shmbus_consumer *consumer, uint64_t first, uint64_t count);

/* The number among all classes of the slab of a handle that was checked. */
uint64_t consumer_slab_of(const struct shmbus_consumer *consumer, uint64_t handle);

int holds_begin(struct holds *holds, uint32_t quota, uint64_t copy_bytes, uint64_t slab_total);
void holds_end(struct holds *holds);

/* Takes all handles back. */
void holds_reset(struct holds *holds, uint64_t slab_total);

/* One more, and one fewer, reason to hold a slab. If it turns out with the last one that the hold
 * was not there any more, which only somebody else can have done, the consumer fails with -ESTALE.
 */
void hold_slab(struct shmbus_consumer *consumer, uint64_t slab);
int unhold_slab(struct shmbus_consumer *consumer, uint64_t slab);

/* The same of the slab of a message that was read, of this handle: also if the hold had ended
 * meanwhile, and the slab was another message's. */
int hold_end(struct shmbus_consumer *consumer, uint64_t slab, uint64_t handle);

/* Is the slab of this handle one that is held, whose hold is not there or was not all the time? */
int holds_lost(const struct shmbus_consumer *consumer, uint64_t handle);

#endif
