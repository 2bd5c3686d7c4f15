/* SPDX-License-Identifier: MIT */
/*
 * Claims among many producers, on plain pointers: no system call, no segment.
 *
 *   producer P                                  producer Q                       consumer
 *   ----------                                  ----------                       --------
 *   wait until sequence - capacity < floor      P is proven dead:                stamp is writing
 *   stamp: last lap's -> writing by P           stamp: writing by P -> aborted   P is proven dead
 *     (claim:A)                                   (hole_abort:A)                 stamp is the same
 *   release fence          (claim_mark:A)                                        step over it
 *   payload, meta
 *   stamp: writing by P -> published
 *     (claim_commit:A)
 *
 * The owner of every hole is on record in the hole itself. A sequence is claimed once: a producer
 * goes past a slot only when it is claimed, so that below a claim all is claimed, and a stamp that
 * was aborted is never claimed again with the same sequence. All three exchanges are from one exact
 * stamp: of two only one succeeds.
 */
#ifndef SHMBUS_CLAIM_H
#define SHMBUS_CLAIM_H

#include "ring/ring.h"

/* Tries to claim a sequence whose slot has this stamp, of an earlier lap. Returns 1 if it did. */
static inline int claim_take(struct slot_header *slot, uint64_t stamp, uint64_t sequence,
                             uint32_t producer)
{
    uint64_t writing = stamp_make(sequence, STAMP_WRITING + producer);
    /* ORDER(claim:A) pairs claim_commit:A, hole_abort:A: the last lap's message is whole before it
     * is overwritten
     * relaxed: a claim that failed reads the slot anew */
    if (!atomic_compare_exchange_strong_explicit(&slot->stamp, &stamp, writing,
                                                 memory_order_acq_rel, memory_order_relaxed))
        return 0;
    /* ORDER(claim_mark:A) pairs ring_recheck:B, ring_still:B: claim before payload */
    atomic_thread_fence(memory_order_release);
    return 1;
}

/* Ends a claim: what is there is published, or the sequence aborted. Returns 0 when the claim is
 * gone, because this producer was taken for dead. */
static inline int claim_end(struct slot_header *slot, uint64_t sequence, uint32_t producer,
                            uint64_t meta, uint32_t state)
{
    uint64_t writing = stamp_make(sequence, STAMP_WRITING + producer);
    /* relaxed: the exchange below releases it */
    atomic_store_explicit(&slot->meta, meta, memory_order_relaxed);
    /* ORDER(claim_commit:A) pairs ring_poll:B, claim:A: payload and meta before stamp
     * relaxed: a claim that is gone is not looked at */
    return atomic_compare_exchange_strong_explicit(&slot->stamp, &writing,
                                                   stamp_make(sequence, state),
                                                   memory_order_release, memory_order_relaxed);
}

/* Aborts a hole whose producer is proven dead. */
static inline void claim_abort_hole(struct slot_header *slot, uint64_t stamp)
{
    uint64_t aborted = (stamp & ~UINT64_C(0xff)) | STAMP_ABORTED;
    /* ORDER(hole_abort:A) pairs ring_poll:B, claim:A: the proof before the stamp
     * relaxed: somebody else did it */
    atomic_compare_exchange_strong_explicit(&slot->stamp, &stamp, aborted, memory_order_acq_rel,
                                            memory_order_relaxed);
}

/* Was this sequence ever claimed by anybody? Asked of one that is within 2^55 of the stream. */
static inline int claim_is_known(const struct ring *ring, uint64_t sequence)
{
    return stamp_ahead(ring_poll(ring_slot(ring, sequence)), sequence) != UINT64_MAX;
}

/* The first sequence from this one on that nobody has claimed. */
uint64_t claim_find_free(const struct ring *ring, uint64_t sequence);

/* Aborts every hole of a producer's number, wherever in the ring; nobody with it lives. */
void claim_abort_all_of(const struct ring *ring, uint32_t producer);

#endif
