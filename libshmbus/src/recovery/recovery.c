/* SPDX-License-Identifier: MIT */
/*
 * Reaping dead consumers, and taking over a stream. See recovery.h.
 */
#include "recovery/recovery.h"

#include "error/error.h"
#include "liveness/liveness.h"

#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

void recovery_clear_entry(struct control_entry *entry, uint64_t slab_total)
{
    /* relaxed: nobody reads them before the state is ACTIVE again */
    for (uint64_t i = 0; i < layout_hold_words(slab_total); i++)
        atomic_store_explicit(&entry->holds[i], 0, memory_order_relaxed);
    atomic_store_explicit(&entry->holding, 0, memory_order_relaxed);
    /* ORDER(leave:A) pairs state:B, holder_state:B: the entry is empty before it is free */
    atomic_store_explicit(&entry->state, ENTRY_FREE, memory_order_seq_cst);
}

/* Repairs one entry under its repair byte, if it is still proven that its owner is dead. */
static int reap_one(struct segment *segment, uint32_t index)
{
    int descriptor =
        openat(segment->folder, "control", O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return segment_errno(errno, segment->name, "control");
    int reaped = 0;
    struct control_entry *entry = layout_entry(segment->control, &segment->header, index);
    if (lock_take(descriptor, LOCK_REPAIR + (int64_t)index) == 0 &&
        lock_probe(descriptor, LOCK_LIFE + (int64_t)index) == 0) {
        /* relaxed: the locks order it after what its owner stored */
        uint32_t state = atomic_load_explicit(&entry->state, memory_order_relaxed);
        if (state != ENTRY_FREE) {
            recovery_clear_entry(entry, layout_slab_total(&segment->header));
            reaped = 1;
        }
    }
    close(descriptor);
    return reaped;
}

int recovery_reap(struct segment *segment, struct gate *gate)
{
    int reaped = 0;
    for (uint32_t i = 0; i < gate->known; i++) {
        struct control_entry *entry = gate_entry(gate, i);
        /* relaxed: only says whether to ask the kernel */
        if (atomic_load_explicit(&entry->state, memory_order_relaxed) == ENTRY_FREE)
            continue;
        if (lock_probe(segment->probe_control, LOCK_LIFE + (int64_t)i) != 0)
            continue;
        process_hold();
        int result = reap_one(segment, i);
        process_release();
        if (result < 0)
            return result;
        reaped += result;
    }
    return reaped;
}

/* The handle of a published message that has one, else 0. */
static uint64_t handle_of(const struct ring *ring, uint64_t sequence)
{
    struct slot_header *slot = ring_slot(ring, sequence);
    if (!(meta_flags(ring_meta(slot)) & SHMBUS_MESSAGE_POOLED) ||
        ring_poll(slot) != stamp_make(sequence, STAMP_PUBLISHED))
        return 0;
    return *ring_handle(ring, slot);
}

/* The oldest sequence from which every stamp and every slab's generation is whole. A slab that was
 * reclaimed has another generation than the slot that refers to it. */
static uint64_t find_whole(const struct ring *ring, const struct pool *pool, uint64_t tail,
                           uint64_t first)
{
    uint64_t oldest = ring_find_oldest(ring, tail, first);
    for (uint64_t sequence = tail; sequence > oldest; sequence--) {
        uint64_t handle = handle_of(ring, sequence - 1);
        uint32_t class_index;
        uint32_t index;
        if (handle == 0)
            continue;
        if (pool_resolve(pool, handle, &class_index, &index) < 0 ||
            pool_generation(&pool->classes[class_index], index) != handle_generation(handle))
            return sequence;
    }
    return oldest;
}

int recovery_take_over(const struct segment *segment, const struct ring *ring, struct gate *gate,
                       struct pool *pool, struct recovery_stream *out_stream)
{
    struct feed_state *state = segment_state(segment);
    /* relaxed: the lock on owner orders it after what the producer before stored */
    uint64_t hint = atomic_load_explicit(&state->tail, memory_order_relaxed);
    uint64_t floor = atomic_load_explicit(gate->floor_word, memory_order_relaxed);
    if (hint < segment->header.first_sequence || hint > UINT64_MAX - segment->header.capacity)
        return error_set(-EBADMSG, "%s: damaged: its tail is %" PRIu64 " (remove the bus)",
                         segment->name, hint);
    uint64_t tail = ring_find_tail(ring, hint);
    ring_void_beyond(ring, tail);

    /* The floor may be higher than what the slowest consumer allows, if its producer died in the
     * middle of a raise; what is not whole any more is below it in any case. */
    struct gate_scan scan = gate_look(gate, tail);
    uint64_t whole = find_whole(ring, pool, tail, segment->header.first_sequence);
    if (scan.required > 0 && scan.slowest < floor)
        floor = scan.slowest;
    if (floor < whole)
        floor = whole;
    if (floor > tail)
        floor = tail;
    gate->floor = floor;
    /* ORDER(takeover_floor:A) pairs join_floor:B: where the stream is whole from */
    atomic_store_explicit(gate->floor_word, floor, memory_order_seq_cst);

    for (uint64_t sequence = floor; sequence < tail; sequence++) {
        uint64_t handle = handle_of(ring, sequence);
        if (handle != 0 && pool_refer(pool, handle, sequence) < 0)
            return error_set(-EBADMSG, "%s: damaged: message %" PRIu64 " names no slab (remove it)",
                             segment->name, sequence);
    }
    pool_settle(pool);
    *out_stream = (struct recovery_stream){tail, floor};
    return 0;
}
