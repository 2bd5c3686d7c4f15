/* SPDX-License-Identifier: MIT */
/*
 * Walks over claims: for producers that go on among others, and for repair.
 */
#include "ring/claim.h"

uint64_t claim_find_free(const struct ring *ring, uint64_t sequence)
{
    /* Ends: others claim at a finite speed, and what they claimed is gone past at once: a stamp of
     * a later lap says that all before it is claimed. */
    for (;;) {
        uint64_t ahead = stamp_ahead(ring_poll(ring_slot(ring, sequence)), sequence);
        if (ahead == UINT64_MAX)
            return sequence;
        sequence += ahead + 1;
    }
}

void claim_abort_all_of(const struct ring *ring, uint32_t producer)
{
    for (uint64_t i = 0; i <= ring->mask; i++) {
        struct slot_header *slot = ring_slot(ring, i);
        uint64_t stamp = ring_poll(slot);
        if (stamp_is_writing(stamp) && stamp_writer(stamp) == producer)
            claim_abort_hole(slot, stamp);
    }
}
