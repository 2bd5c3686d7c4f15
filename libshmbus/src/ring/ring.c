/* SPDX-License-Identifier: MIT */
/*
 * The parts of the ring that walk over it: for joiners, takeover and tools.
 */
#include "ring/ring.h"

struct ring ring_view(void *feed, const struct feed_header *header)
{
    int timestamps = (header->features_required & LAYOUT_REQUIRES_TIMESTAMPS) != 0;
    struct ring ring = {
        .slots = (unsigned char *)feed + header->ring.offset,
        .mask = header->capacity - 1,
        .slot_shift = (uint32_t)__builtin_ctz(header->slot_bytes),
        .payload_offset = LAYOUT_SLOT_HEADER + (timestamps ? LAYOUT_TIMESTAMP : 0),
        .inline_bytes = layout_inline_bytes(header),
        .timestamps = (uint32_t)timestamps,
    };
    return ring;
}

uint64_t ring_find_tail(const struct ring *ring, uint64_t hint)
{
    uint64_t tail = hint;
    /* Ends: a lap is finite, and a stamp of the next lap is not the one expected. A damaged hint is
     * not followed over the end of all numbers, back to below itself. */
    for (uint64_t i = 0; i <= ring->mask && tail <= RING_SEQUENCE_MOST; i++) {
        struct slot_header *slot = ring_slot(ring, tail);
        uint64_t stamp = ring_poll(slot);
        if (!ring_is_final(stamp, tail))
            break;
        tail = ring_after(ring, slot, stamp, tail);
    }
    return tail;
}

void ring_void_beyond(const struct ring *ring, uint64_t tail)
{
    for (uint64_t i = 0; i <= ring->mask; i++) {
        struct slot_header *slot = ring_slot(ring, tail + i);
        uint64_t stamp = ring_poll(slot);
        /* What is below the tail stays: of the lap before, or before a long skipped range. */
        if (stamp == 0 || !stamp_is_later(stamp, tail - 1))
            continue;
        /* relaxed: only the owner publishes, and it begins after this; consumers go by stamps */
        atomic_store_explicit(&slot->stamp, 0, memory_order_relaxed);
    }
}
