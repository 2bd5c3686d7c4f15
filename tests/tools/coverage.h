/* SPDX-License-Identifier: MIT */
/*
 * What shmbus-sub --format json printed, checked for gaps: each sequence is in it once, as a
 * message or in a range that was said to be lost, in order.
 */
#ifndef SHMBUS_TESTS_TOOLS_COVERAGE_H
#define SHMBUS_TESTS_TOOLS_COVERAGE_H

#include "harness.h"

struct coverage {
    uint64_t next;     /* the sequence to come */
    uint64_t received; /* messages */
    uint64_t lost;     /* sequences */
    uint64_t ranges;   /* events of lost ones */
    uint64_t again;    /* messages that came before already */
};

/*
 * Reads on from coverage->next. With may_repeat a message may go back, as after a resume; otherwise
 * a repeat fails the test, as a gap does. Objects of other events are gone over.
 */
void coverage_add(struct coverage *coverage, const struct bytes *out, bool may_repeat);

#endif
