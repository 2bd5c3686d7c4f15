/* SPDX-License-Identifier: MIT */
/*
 * A steady rate of messages a second, without burning a core: what is due is sent at once, and then
 * the caller sleeps to the time of the next, but at least a millisecond, so that a high rate costs
 * a thousand sleeps a second and no more. After a delay at most PACE_CATCH_UP_NS are made up for.
 */
#ifndef SHMBUS_TOOLS_PACE_H
#define SHMBUS_TOOLS_PACE_H

#include <stddef.h>
#include <stdint.h>

#define PACE_CATCH_UP_NS 50000000

/* Message number k since the origin is due at origin_ns + k seconds / rate. */
struct pace {
    uint64_t rate; /* a second; 0: no limit */
    int64_t origin_ns;
    uint64_t sent; /* since the origin; below rate */
};

/* Begins now. */
void pace_begin(struct pace *pace, uint64_t rate);

/*
 * How many of `wanted` messages may be sent at now_ns; when it is none, *out_wake_ns (CLOCK_
 * MONOTONIC) receives when to ask again.
 */
size_t pace_due(struct pace *pace, int64_t now_ns, size_t wanted, int64_t *out_wake_ns);

/* Says that so many were sent. */
void pace_sent(struct pace *pace, size_t count);

/* Sleeps until then, or until a signal comes. */
void pace_sleep(int64_t wake_ns);

#endif
