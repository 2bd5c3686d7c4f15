/* SPDX-License-Identifier: MIT */
/*
 * Who runs after whom, on plain pointers: what the entries of control say of it.
 *
 * A required consumer may name others, required as itself, that it runs after. The names stand in
 * its entry, so that everybody can see the pipeline: a joiner, which must not close a cycle, a
 * producer, which must not blame one that waits for another, and whoever looks on.
 *
 *   joiner                                      another joiner
 *   ------                                      --------------
 *   name, after, state = JOINING  (join_words:A)   the same
 *   look at the others' states    (way_state:B)    the same
 *   refuse itself, or go on                        the same
 *
 * Both are seq_cst, so of two that join at once at least one sees the other's words. All of the
 * words are peers': copied once, bounded, then used.
 */
#ifndef SHMBUS_PIPELINE_H
#define SHMBUS_PIPELINE_H

#include "layout/layout.h"

/* Where the entries are. */
struct pipeline {
    unsigned char *control;
    const struct feed_header *header;
    const struct layout_verdict *verdicts;
};

/* What a required consumer's entry says of it: a copy. */
struct pipeline_entry {
    char name[SHMBUS_NAME_MAX + 1];
    char after[SHMBUS_AFTER_MAX][SHMBUS_NAME_MAX + 1];
    uint32_t after_count; /* at most SHMBUS_AFTER_MAX */
    uint32_t after_gone;  /* enum shmbus_after_gone */
    uint32_t state;       /* JOINING, ACTIVE or GRACE */
    uint64_t epoch;
    uint64_t cursor;
};

/* One step of a walk, and, found by an entry's index, whether it was seen. */
struct pipeline_step {
    uint32_t entry; /* its index */
    uint32_t from;  /* the step that led to it, + 1; 0: the walk began with it */
    uint32_t is_seen;
};

/* Copies the names that an entry says it runs after. Returns how many. */
uint32_t pipeline_read_after(const struct control_entry *entry,
                             char (*out_after)[SHMBUS_NAME_MAX + 1]);

/* Copies an entry. Returns 0 when no required consumer has it, or it changed hands meanwhile. */
int pipeline_read(const struct pipeline *pipeline, uint32_t index,
                  struct pipeline_entry *out_entry);

/* Is this the entry of a required consumer of this name that is heeded: joined, and not evicted?
 * Gives its epoch. */
int pipeline_is_there(const struct pipeline *pipeline, uint32_t index, const char *name,
                      uint64_t *out_epoch);

/* Does one that this entry's consumer runs after stand at or below its cursor? Then it has nothing
 * that it may read. */
int pipeline_is_behind(const struct pipeline *pipeline, uint32_t index);

/* Looks for a way from the consumers that are named back to this name, over all entries but own.
 * Returns how many entries it leads through, 0 when there is none, with their indices in way, in
 * their order. steps and way have room for every entry. */
uint32_t pipeline_find_way(const struct pipeline *pipeline, uint32_t own, const char *name,
                           const char (*after)[SHMBUS_NAME_MAX + 1], uint32_t after_count,
                           struct pipeline_step *steps, uint32_t *way);

#endif
