/* SPDX-License-Identifier: MIT */
/*
 * The floor: how a producer learns that slots and slabs may be used again, on plain pointers.
 *
 *   producer: raise to wanted          joiner
 *   -------------------------          ------
 *   floor = wanted      (floor:A)      entries_used = max(it, index + 1)   (entries_used:A)
 *   load entries_used   (used:B)       cursor = c                          (join_cursor:A)
 *   load states         (state:B)      state = ACTIVE                      (join_active:A)
 *   load cursors        (gate_scan:B)  load floor; cursor = max(c, floor)  (join_floor:B)
 *   floor = min(wanted, slowest), not below what it was
 *
 * All of these are seq_cst: either the scan sees the joiner, or the joiner sees the floor. The
 * floor is never stored below what it was before the raise, so that a joiner that is about to move
 * up cannot drag it down to what is already gone.
 *
 * A cursor is a peer's word: copied once, and judged. One beyond what is published, or that moved
 * back, evicts its owner: its epoch is written into feed, where only producers write.
 */
#ifndef SHMBUS_GATE_H
#define SHMBUS_GATE_H

#include "layout/layout.h"

/* What a producer last saw of an entry. */
struct gate_seen {
    uint64_t epoch;
    uint64_t cursor;
};

struct gate {
    _Atomic uint64_t *floor_word;
    struct layout_verdict *verdicts;
    _Atomic uint32_t *entries_used;
    unsigned char *entries;
    uint64_t entry_bytes;
    uint32_t max_consumers;
    uint32_t known;                   /* entries that were ever used, as far as this producer saw */
    uint64_t floor;                   /* private copy of the floor */
    struct gate_seen *seen;           /* max_consumers of them */
    const struct feed_header *header; /* the rule of who may be required, and its names */
    const unsigned char *feed;
};

/* What a scan found. */
struct gate_scan {
    uint64_t slowest;       /* the least cursor of a required consumer; next when there is none */
    uint32_t required;      /* how many required consumers gate */
    uint32_t slowest_entry; /* whose cursor it is, when required > 0 */
};

static inline struct control_entry *gate_entry(const struct gate *gate, uint32_t index)
{
    return (struct control_entry *)(void *)(gate->entries + (uint64_t)index * gate->entry_bytes);
}

/* Looks at every required consumer. next is the producer's next sequence. */
struct gate_scan gate_look(struct gate *gate, uint64_t next);

/* The same, but heeds no cursor below least. */
struct gate_scan gate_look_from(struct gate *gate, uint64_t next, uint64_t least);

/* Raises the floor towards wanted (at most next) as far as the required consumers allow, and
 * returns the floor. */
uint64_t gate_raise(struct gate *gate, uint64_t wanted, uint64_t next);

/* Takes the word of the consumer that has this epoch of this entry for nothing from now on. */
void gate_evict(struct gate *gate, uint32_t index, uint64_t epoch);

/* Is this epoch of this entry evicted? */
int gate_is_evicted(const struct gate *gate, uint32_t index, uint64_t epoch);

#endif
