/* SPDX-License-Identifier: MIT */
/*
 * Taking over a stream whose producer closed or died.
 */
#include "recovery/recovery.h"

#include "error/error.h"

#include <inttypes.h>

/* The handle of a published message that has one, else 0. */
static uint64_t handle_of(const struct ring *ring, uint64_t sequence)
{
    struct slot_header *slot = ring_slot(ring, sequence);
    if (!(meta_flags(ring_meta(slot)) & SHMBUS_MESSAGE_POOLED) ||
        ring_poll(slot) != stamp_make(sequence, STAMP_PUBLISHED))
        return 0;
    return *ring_handle(ring, slot);
}

/* Is the message of a slot whole: its stamp final and, if it is in a slab, the slab's generation
 * the one that its handle names? A slab that was reclaimed has another. */
static int is_whole(const struct ring *ring, const struct pool *pool, uint64_t sequence)
{
    uint32_t class_index;
    uint32_t index;
    if (!ring_is_final(ring_poll(ring_slot(ring, sequence)), sequence))
        return 0;
    uint64_t handle = handle_of(ring, sequence);
    if (handle == 0)
        return 1;
    return pool_resolve(pool, handle, &class_index, &index) == 0 &&
           pool_generation(&pool->classes[class_index], index) == handle_generation(handle);
}

/* What is tried after a message that is not whole. One more than a lap below the tail is gone, or
 * in front of a long skipped range: then a required cursor may stand there too, and that one's
 * message is tried first. */
static uint64_t next_to_try(struct gate *gate, uint64_t at, uint64_t tail, uint64_t capacity)
{
    if (tail - at <= capacity)
        return at;
    struct gate_scan scan = gate_look_from(gate, tail, at);
    return scan.required > 0 && scan.slowest < tail - capacity ? scan.slowest : tail - capacity;
}

/* Walks from where the floor may be to the tail, over skipped ranges, and moves the floor above
 * everything that is not whole. Ends: at most a lap of whole slots, a step for each required
 * consumer, then at most a lap up to tail.
 */
static void find_whole(const struct ring *ring, const struct pool *pool, struct gate *gate,
                       struct recovery_stream *stream)
{
    uint64_t capacity = ring->mask + 1;
    for (uint64_t at = stream->floor; at < stream->next;) {
        struct slot_header *slot = ring_slot(ring, at);
        if (!is_whole(ring, pool, at)) {
            at = next_to_try(gate, at + 1, stream->next, capacity);
            stream->floor = at;
            continue;
        }
        uint64_t after = ring_after(ring, slot, ring_poll(slot), at);
        /* A short range whose producer died in the middle of it has no slots from there on. */
        if (after > at + 1 && ring_is_final(ring_poll(ring_slot(ring, at + 1)), at + 1)) {
            after = at + 1;
        } else if (after > at + 1) {
            stream->gap_from = at + 1;
            stream->gap_to = after;
        }
        at = after;
    }
    if (stream->floor > stream->next)
        stream->floor = stream->next;
}

/* Where the floor may be. It may stand higher than what the slowest consumer allows, if its
 * producer died in the middle of a raise. */
static uint64_t lowest_floor(struct gate *gate, uint64_t tail, uint64_t first)
{
    /* relaxed: the lock on owner orders it after what the producer before stored */
    uint64_t floor = atomic_load_explicit(gate->floor_word, memory_order_relaxed);
    struct gate_scan scan = gate_look(gate, tail);
    if (scan.required > 0 && scan.slowest < floor)
        floor = scan.slowest;
    if (floor < first)
        floor = first;
    return floor < tail ? floor : tail;
}

int recovery_take_over(const struct segment *segment, const struct ring *ring, struct gate *gate,
                       struct pool *pool, struct recovery_stream *out_stream)
{
    uint64_t first = segment->header.first_sequence;
    /* relaxed: the lock on owner orders it after what the producer before stored */
    uint64_t hint = atomic_load_explicit(&segment_state(segment)->tail, memory_order_relaxed);
    if (hint < first || hint > UINT64_MAX / 4 * 3)
        return error_set(-EBADMSG, "%s: damaged: its tail is %" PRIu64 " (remove the bus)",
                         segment->name, hint);
    struct recovery_stream stream = {.next = ring_find_tail(ring, hint)};
    ring_void_beyond(ring, stream.next);
    stream.floor = lowest_floor(gate, stream.next, first);
    find_whole(ring, pool, gate, &stream);
    gate->floor = stream.floor;
    gate->shown = stream.floor;
    /* ORDER(takeover_floor:A) pairs join_floor:B: where the stream is whole from */
    atomic_store_explicit(gate->floor_word, stream.floor, memory_order_seq_cst);

    for (uint64_t at = stream.floor; at < stream.next;) {
        struct slot_header *slot = ring_slot(ring, at);
        uint64_t handle = handle_of(ring, at);
        if (handle != 0 && pool_refer(pool, handle, at) < 0)
            return error_set(-EBADMSG, "%s: damaged: message %" PRIu64 " names no slab (remove it)",
                             segment->name, at);
        at = ring_after(ring, slot, ring_poll(slot), at);
    }
    pool_settle(pool);
    *out_stream = stream;
    return 0;
}
