/* SPDX-License-Identifier: MIT */
/*
 * Producers among many that join, leave and die. Nothing is voided: the holes of the dead are
 * aborted, by whoever is proven to live in their place or finds them dead, and the stream goes on
 * behind the highest claim.
 *
 * An entry's state is stored by its producer and, once that one is proven dead, by whoever holds
 * its repair byte. A number is used again only under that byte, and with all its holes aborted.
 *
 *   leaves                                    joins
 *   ------                                    -----
 *   own state = free     (producer_free:A)    own state = active    (producer_active:A)
 *   load all states      (producers_left:B)   bus state = open      (open:A)
 *   none active: bus state = closed (end:A)
 *
 * All are seq_cst. A late "closed" may stand over the "open" of one that joined in between: so the
 * stream has ended when the bus is closed and no entry is active (producers_active:B).
 */
#include "error/error.h"
#include "liveness/liveness.h"
#include "recovery/recovery.h"
#include "ring/claim.h"
#include "wait/wait.h"

#include <inttypes.h>
#include <unistd.h>

/* How long one that repairs this number is waited for. */
#define REPAIR_WAIT_NS 100000000

static uint32_t state_of(const struct segment *segment, uint32_t index)
{
    /* ORDER(producers_left:B) pairs producer_active:A, producer_free:A: own state before others' */
    return atomic_load_explicit(&segment_producer(segment, index)->state, memory_order_seq_cst);
}

static void empty_entry(const struct segment *segment, uint32_t index)
{
    struct producer_entry *entry = segment_producer(segment, index);
    /* relaxed: a bit that is of nobody costs consumers a look */
    atomic_fetch_and_explicit(&segment_state(segment)->parked_producers, ~(UINT64_C(1) << index),
                              memory_order_relaxed);
    /* relaxed: only who empties it stores it now */
    uint64_t epoch = atomic_load_explicit(&entry->epoch, memory_order_relaxed);
    /* ORDER(producer_gone:A) pairs producers_gone:B: it leaves before it is gone */
    atomic_store_explicit(&entry->epoch, epoch + 1, memory_order_seq_cst);
    /* ORDER(producer_free:A) pairs producers_left:B, producers_active:B: its messages and holes are
     * final before it is gone */
    atomic_store_explicit(&entry->state, PRODUCER_FREE, memory_order_seq_cst);
}

void recovery_rebuild_part(const struct ring *ring, struct pool *part, uint64_t end)
{
    uint64_t capacity = ring->mask + 1;
    end = claim_find_free(ring, end);
    for (uint64_t at = end > capacity ? end - capacity : 0; at < end; at++) {
        struct slot_header *slot = ring_slot(ring, at);
        uint64_t stamp = ring_poll(slot);
        uint64_t handle = racing_word(ring_handle(ring, slot));
        int is_pooled = (meta_flags(ring_meta(slot)) & SHMBUS_MESSAGE_POOLED) != 0;
        /* One that is overwritten meanwhile is below a floor: nobody may read it any more. */
        if (stamp == stamp_make(at, STAMP_PUBLISHED) && is_pooled && ring_recheck(slot, stamp))
            pool_refer(part, handle, at);
    }
    pool_settle(part);
}

int recovery_hold_number(const struct segment *segment)
{
    struct waiter waiter = wait_begin(REPAIR_WAIT_NS);
    int descriptor = segment_open_owner(segment);
    if (descriptor < 0)
        return descriptor;
    int result;
    do {
        result = lock_take(descriptor, LOCK_REPAIR + (int64_t)segment->producer);
    } while (result == -EAGAIN && wait_step(&waiter) >= 0);
    if (result == 0)
        return descriptor;
    close(descriptor);
    return result == -EAGAIN
               ? error_set(-EBUSY,
                           "%s: producer number %" PRIu32 " is being repaired by one that does not "
                           "go on (continue or end that one)",
                           segment->name, segment->producer)
               : segment_errno(-result, segment->name, "owner");
}

int recovery_join_producers(const struct segment *segment, const struct ring *ring,
                            struct gate *gate, struct recovery_stream *out_stream)
{
    uint64_t first = segment->header.first_sequence;
    /* ORDER(join_producers:B) pairs among_tail_up:A, tail:A: the hint before the stamps below it */
    uint64_t hint = atomic_load_explicit(&segment_state(segment)->tail, memory_order_acquire);
    if (hint < first || hint > UINT64_MAX / 4 * 3)
        return error_set(-EBADMSG, "%s: damaged: its tail is %" PRIu64 " (remove the bus)",
                         segment->name, hint);
    claim_abort_all_of(ring, segment->producer);
    segment_wake(segment);
    gate->floor = first;
    /* relaxed: the locks order it after what the one before with this number stored */
    gate->shown = atomic_load_explicit(gate->floor_word, memory_order_relaxed);
    *out_stream = (struct recovery_stream){.next = claim_find_free(ring, hint), .floor = first};
    return 0;
}

/* Somebody else has the repair byte, and may be stopped: the holes are aborted without it. The
 * proof comes after each stamp was read; who has the number by then never claims that sequence. */
static void abort_holes(const struct segment *segment, const struct ring *ring, uint32_t index)
{
    for (uint64_t i = 0; i <= ring->mask; i++) {
        struct slot_header *slot = ring_slot(ring, i);
        uint64_t stamp = ring_poll(slot);
        if (stamp_is_writing(stamp) && stamp_writer(stamp) == index &&
            lock_probe(segment->probe_owner, LOCK_LIFE + (int64_t)index) == 0)
            claim_abort_hole(slot, stamp);
    }
}

/* Repairs one under its repair byte, if it is still proven dead. */
static void repair_one(const struct segment *segment, const struct ring *ring, uint32_t index)
{
    process_hold();
    int descriptor = segment_open_owner(segment);
    if (descriptor >= 0 && lock_take(descriptor, LOCK_REPAIR + (int64_t)index) < 0) {
        abort_holes(segment, ring, index);
    } else if (descriptor >= 0 && lock_probe(descriptor, LOCK_LIFE + (int64_t)index) == 0) {
        claim_abort_all_of(ring, index);
        empty_entry(segment, index);
        segment_wake(segment);
    }
    if (descriptor >= 0)
        close(descriptor);
    process_release();
}

void recovery_repair_producers(const struct segment *segment, const struct ring *ring)
{
    for (uint32_t i = 0; i < segment->header.max_producers; i++)
        if (i != segment->producer && state_of(segment, i) == PRODUCER_ACTIVE &&
            lock_probe(segment->probe_owner, LOCK_LIFE + (int64_t)i) == 0)
            repair_one(segment, ring, i);
}

void recovery_leave_producers(const struct segment *segment, const struct ring *ring)
{
    int left = 0;
    empty_entry(segment, segment->producer);
    recovery_repair_producers(segment, ring);
    for (uint32_t i = 0; i < segment->header.max_producers; i++)
        left |= state_of(segment, i) == PRODUCER_ACTIVE;
    if (left)
        return;
    /* ORDER(end:A) pairs bus_state:B, look_state:B: every stamp before the end of the stream */
    atomic_store_explicit(&segment_state(segment)->bus_state, BUS_CLOSED, memory_order_seq_cst);
    segment_wake(segment);
}
