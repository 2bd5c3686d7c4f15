/* SPDX-License-Identifier: MIT */
/*
 * Repair: what the living do with what the dead leave.
 *
 * Proof of death is a life byte that is free under an entry that is in use. Who repairs takes the
 * entry's repair byte, through a description of its own, and looks at the life byte once more: a
 * stopped repairer then does not look like a living owner, and two never repair at once.
 */
#ifndef SHMBUS_RECOVERY_H
#define SHMBUS_RECOVERY_H

#include "pool/pool.h"
#include "ring/gate.h"
#include "ring/ring.h"
#include "segment/segment.h"

/* Repairs the entries of consumers that died, of the first known ones: frees them, or begins the
 * grace that they have. Returns how many, or a negative errno. */
int recovery_reap(struct segment *segment, uint32_t known);

/* Repairs one entry, if its consumer is dead, for a participant that has not mapped it writable.
 * Call between process_hold() and process_release(). Returns 1 if that changed something, 0, or an
 * errno. */
int recovery_reap_entry(const struct segment *segment, uint32_t index);

/* Repairs an entry that is proven dead: frees it, or begins its grace; one in grace stays until
 * that is over. The caller has its repair byte. Returns 1 if that changed something. */
int recovery_repair(const struct segment *segment, uint32_t index);

/* Ends all holds of an entry. The caller has its life or its repair byte. */
void recovery_clear_holds(struct control_entry *entry, uint64_t slab_total);

/* Empties an entry that nobody lives in. The caller has its life or its repair byte. */
void recovery_clear_entry(struct control_entry *entry, uint64_t slab_total);

/* Where the stream that a segment holds goes on. */
struct recovery_stream {
    uint64_t next;
    uint64_t floor;
    uint64_t gap_from; /* the last skipped range whose slots are not stamped: empty if both are 0 */
    uint64_t gap_to;
};

/* Finds again what of a part of the pool is in flight and held, out of the ring up to end and the
 * bitmaps; all else is free. Others may publish meanwhile; nobody else has the part. */
void recovery_rebuild_part(const struct ring *ring, struct pool *part, uint64_t end);

/* A producer among many, whose number is its own now, waits until nobody repairs that number any
 * longer and keeps it so: returns a descriptor to be closed when its entry says who it is, or an
 * errno with its text. */
int recovery_hold_number(const struct segment *segment);

/* It aborts the holes that the ones before it with its number left, and finds where it goes on. */
int recovery_join_producers(const struct segment *segment, const struct ring *ring,
                            struct gate *gate, struct recovery_stream *out_stream);

/* Aborts the holes of producers that are proven dead, and empties their entries. */
void recovery_repair_producers(const struct segment *segment, const struct ring *ring);

/* It leaves: the last one that lives ends the stream. */
void recovery_leave_producers(const struct segment *segment, const struct ring *ring);

/* A producer that has the owner's lock finds where the stream goes on, voids what was half
 * released, and rebuilds its pool. Returns 0 or -EBADMSG with its text. */
int recovery_take_over(const struct segment *segment, const struct ring *ring, struct gate *gate,
                       struct pool *pool, struct recovery_stream *out_stream);

#endif
