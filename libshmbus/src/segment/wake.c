/* SPDX-License-Identifier: MIT */
/*
 * Waking all that are parked on a bus, when something happened to it that no message says: rare, so
 * that nobody asks first whether there are any.
 */
#include "segment/segment.h"
#include "wait/park.h"

void segment_wake(const struct segment *segment)
{
    struct control_shared *shared = segment_shared(segment);
    if (segment->header.flags & SHMBUS_BUS_NO_PARK)
        return;
    park_wake_flagged(&shared->parked, &segment_state(segment)->wake_consumers);
    park_wake(&shared->wake_producers);
}
