/* SPDX-License-Identifier: MIT */
/*
 * The next messages of a selector's consumers, as far as they are known, by timestamp: a binary
 * heap, so that the least of 128 costs 7 comparisons. Of equal ones the consumer that was added
 * first is less. Private to the selector's thread.
 */
#ifndef SHMBUS_SELECTOR_HEADS_H
#define SHMBUS_SELECTOR_HEADS_H

#include <shmbus/shmbus.h>

#include <stdint.h>

struct head {
    int64_t timestamp_ns;
    uint32_t member; /* index of its consumer */
};

struct heads {
    uint32_t count;
    struct head heap[SHMBUS_SELECTOR_MAX];
};

/* Each member may have one head at a time, so there is room. */
void heads_push(struct heads *heads, int64_t timestamp_ns, uint32_t member);

/* Takes the least one out, of which there must be one. Returns its member. */
uint32_t heads_pop(struct heads *heads);

/* The members above a removed one, which has no head, have moved down by one. */
void heads_renumber(struct heads *heads, uint32_t removed);

#endif
