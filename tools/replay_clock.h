/* SPDX-License-Identifier: MIT */
/*
 * The recorded times on this machine's clock: what was received t after the first message is due
 * t / speed after the first one was sent. A pause moves all that is still to come. A replay that
 * was held up catches up: what is overdue is sent at once.
 */
#ifndef SHMBUS_TOOLS_REPLAY_CLOCK_H
#define SHMBUS_TOOLS_REPLAY_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "histogram.h"

struct replay_clock {
    double speed;        /* 0: everything is due at once */
    bool started;        /* the next two are set */
    int64_t recorded_ns; /* of the first message */
    int64_t origin_ns;   /* when that was due, CLOCK_MONOTONIC */
    struct histogram late_ns;
};

void replay_clock_begin(struct replay_clock *clock, double speed);

/* When a message is due, CLOCK_MONOTONIC; INT64_MIN without a pace. The first one is due now. */
int64_t replay_clock_due(struct replay_clock *clock, int64_t recorded_ns, int64_t now_ns);

/* Counts how late a message was that was due then. */
void replay_clock_sent(struct replay_clock *clock, int64_t due_ns, int64_t now_ns);

/* Moves all that is still to come. */
void replay_clock_shift(struct replay_clock *clock, int64_t by_ns);

/* Begins with the first message anew, which is due when it comes. */
void replay_clock_restart(struct replay_clock *clock);

/* Prints how late messages were, if there was a pace. */
void replay_clock_report(const struct replay_clock *clock);

#endif
