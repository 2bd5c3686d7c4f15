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
 *
 * Among many producers each has a floor of its own, for what it overwrites and reclaims itself, and
 * the protocol is that of one: joiners go by the greatest of all floors. A floor's word may stand
 * higher than what its producer may count on, when one died in the middle of a raise: it is never
 * stored lower than it was, since slabs below it may be gone.
 */
#ifndef SHMBUS_GATE_H
#define SHMBUS_GATE_H

#include "ring/ring.h"

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
    uint64_t floor;                   /* what the last scan allowed */
    uint64_t shown;                   /* what the floor's word says: that, or more */
    const struct ring *ring;          /* among many producers: cursors are judged by its stamps */
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

/* The epoch of an entry that is evicted. Among many producers it has to be loaded before the epoch
 * that is judged. */
uint64_t gate_verdict(const struct gate *gate, uint32_t index);

/* Takes the word of the consumer that has this epoch of this entry for nothing from now on; verdict
 * is what gate_verdict() said before. Returns 0 when another producer evicted one of this entry
 * meanwhile. */
int gate_evict_after(struct gate *gate, uint32_t index, uint64_t verdict, uint64_t epoch);

/* The same, of a producer that is alone. */
void gate_evict(struct gate *gate, uint32_t index, uint64_t epoch);

/* Is this epoch of this entry evicted? */
int gate_is_evicted(const struct gate *gate, uint32_t index, uint64_t epoch);

#endif
