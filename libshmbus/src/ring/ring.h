/* SPDX-License-Identifier: MIT */
/*
 * The ring on plain pointers: no system call, no segment.
 *
 *   producer                                   consumer
 *   --------                                   --------
 *   wait until sequence - capacity < floor     wait until the stamp of slot[cursor] is
 *   mark the stamp as being written              published(cursor)            (ring_poll:B)
 *   release fence          (ring_mark:A)       read meta and payload in place
 *   payload, meta                              store cursor                   (cursor:A)
 *   stamp = published      (ring_publish:A)
 *   load cursors           (gate_scan:B)
 *
 * The stamp is in the payload's own cache line, so a small message crosses as one line. A slot is
 * never cleaned: a stamp of another lap is simply not the one expected. The mark and its fence are
 * for readers that do not gate the producer: they read the payload, then the stamp again.
 *
 * The tail word is a hint, at most RING_TAIL_EVERY behind: the true end is found by walking the
 * stamps one by one from it, never by bisection, since a batch may be half released.
 */
#ifndef SHMBUS_RING_H
#define SHMBUS_RING_H

#include "layout/layout.h"
#include "layout/racing.h"
#include "layout/stamp.h"

struct ring {
    unsigned char *slots;
    uint64_t mask; /* capacity - 1 */
    uint32_t slot_shift;
    uint32_t payload_offset; /* of inline bytes or handle, from the slot's start */
    uint32_t inline_bytes;
    uint32_t timestamps; /* 1 or 0 */
};

/* Makes a view of the ring of a feed that is mapped at feed; the header was checked. */
struct ring ring_view(void *feed, const struct feed_header *header);

/* No sequence is beyond this. A word that says so is damaged. */
#define RING_SEQUENCE_MOST (UINT64_MAX / 4 * 3)

/* How often a producer stores the tail: every so many messages, a power of two. */
static inline uint64_t ring_tail_every(uint64_t capacity)
{
    return capacity / 4 < 256 ? capacity / 4 : 256;
}

static inline struct slot_header *ring_slot(const struct ring *ring, uint64_t sequence)
{
    return (struct slot_header *)(void *)(ring->slots +
                                          ((sequence & ring->mask) << ring->slot_shift));
}

static inline unsigned char *ring_payload(const struct ring *ring, struct slot_header *slot)
{
    return (unsigned char *)slot + ring->payload_offset;
}

/* The handle of a pooled message, in its slot. */
static inline uint64_t *ring_handle(const struct ring *ring, struct slot_header *slot)
{
    return (uint64_t *)(void *)ring_payload(ring, slot);
}

/* The timestamp of a message, in its slot, on a bus that has them. */
static inline int64_t *ring_timestamp(struct slot_header *slot)
{
    return (int64_t *)(void *)((unsigned char *)slot + LAYOUT_SLOT_HEADER);
}

/* Asks for the line of a slot some way ahead, to be written: the consumer has it, and fetching it
 * takes as long as tens of messages. Where the processor cannot, this is nothing. */
static inline void ring_prefetch(const struct ring *ring, uint64_t sequence)
{
    __builtin_prefetch(ring_slot(ring, sequence), 1);
}

/* Producer: marks a slot as being written, before any byte of it changes. */
static inline void ring_mark(struct slot_header *slot, uint64_t sequence, uint32_t state)
{
    /* relaxed: the fence below orders it before the payload */
    atomic_store_explicit(&slot->stamp, stamp_make(sequence, state), memory_order_relaxed);
    /* ORDER(ring_mark:A) pairs ring_recheck:B, ring_still:B, own_words:B: floor and mark before
     * payload */
    atomic_thread_fence(memory_order_release);
}

/* Producer: the payload is there; the message becomes visible. */
static inline void ring_publish_as(struct slot_header *slot, uint64_t sequence, uint64_t meta,
                                   uint32_t state)
{
    /* relaxed: the stamp below releases it */
    atomic_store_explicit(&slot->meta, meta, memory_order_relaxed);
    /* ORDER(ring_publish:A) pairs ring_poll:B: payload and meta before stamp */
    atomic_store_explicit(&slot->stamp, stamp_make(sequence, state), memory_order_release);
}

static inline void ring_publish(struct slot_header *slot, uint64_t sequence, uint64_t meta)
{
    ring_publish_as(slot, sequence, meta, STAMP_PUBLISHED);
}

/* Anybody: the stamp as it is now, with all that was stored before it. */
static inline uint64_t ring_poll(struct slot_header *slot)
{
    /* ORDER(ring_poll:B) pairs ring_publish:A, claim_commit:A, hole_abort:A: stamp before payload
     * and meta */
    return atomic_load_explicit(&slot->stamp, memory_order_acquire);
}

/* A reader that does not gate the producer, after it copied: is the stamp still the same? */
static inline int ring_recheck(struct slot_header *slot, uint64_t stamp)
{
    /* ORDER(ring_recheck:B) pairs ring_mark:A, claim_mark:A: payload before the second look at the
     * stamp */
    atomic_thread_fence(memory_order_acquire);
    /* relaxed: the fence above orders it after the payload */
    return atomic_load_explicit(&slot->stamp, memory_order_relaxed) == stamp;
}

/* Who reads in place, after it read: is the slot still that of this sequence? */
static inline int ring_is_still(struct slot_header *slot, uint64_t sequence)
{
    /* ORDER(ring_still:B) pairs ring_mark:A, claim_mark:A: payload before the second look at the
     * stamp */
    atomic_thread_fence(memory_order_acquire);
    /* relaxed: the fence above orders it after the payload */
    return stamp_is_of(atomic_load_explicit(&slot->stamp, memory_order_relaxed), sequence);
}

static inline uint64_t ring_meta(struct slot_header *slot)
{
    /* relaxed: the stamp was acquired first */
    return atomic_load_explicit(&slot->meta, memory_order_relaxed);
}

/* Is the stamp that of a message that consumers go past: published, aborted or skipped? */
static inline int ring_is_final(uint64_t stamp, uint64_t sequence)
{
    uint32_t state = stamp_state(stamp);
    return stamp_is_of(stamp, sequence) && state >= STAMP_PUBLISHED && state <= STAMP_SKIPPED;
}

/* Where the stream goes on after a message that goes past this one: the next sequence, but for a
 * skipped range the one that its slot names. A target that is not further on, or that may be of the
 * message that overwrites the slot, counts as the next. */
static inline uint64_t ring_after(const struct ring *ring, struct slot_header *slot, uint64_t stamp,
                                  uint64_t sequence)
{
    if (stamp_state(stamp) != STAMP_SKIPPED)
        return sequence + 1;
    uint64_t target = racing_word(ring_handle(ring, slot));
    return ring_recheck(slot, stamp) && target > sequence && target <= RING_SEQUENCE_MOST
               ? target
               : sequence + 1;
}

/* The true end: walks from hint, at most a lap. A hint outside what is published gives hint. */
uint64_t ring_find_tail(const struct ring *ring, uint64_t hint);

/* Takeover: voids each stamp at or beyond tail. Only the owner may. */
void ring_void_beyond(const struct ring *ring, uint64_t tail);

/* Skipped ranges longer than this have one slot, at their beginning; in shorter ones each sequence
 * has its own. */
static inline uint64_t ring_gap_limit(uint64_t capacity)
{
    return capacity / 4;
}

#endif
