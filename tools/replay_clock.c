/* SPDX-License-Identifier: MIT */
/* The recorded times on this machine's clock: see replay_clock.h. */
#include "replay_clock.h"

#include <stdio.h>

void replay_clock_begin(struct replay_clock *clock, double speed)
{
    *clock = (struct replay_clock){.speed = speed};
}

int64_t replay_clock_due(struct replay_clock *clock, int64_t recorded_ns, int64_t now_ns)
{
    if (clock->speed <= 0) {
        return INT64_MIN;
    }
    if (!clock->started) {
        clock->started = true;
        clock->recorded_ns = recorded_ns;
        clock->origin_ns = now_ns;
    }
    const double after_ns = (double)(recorded_ns - clock->recorded_ns) / clock->speed;
    /* At a thousandth of the pace a year is longer than the clock has room for. */
    return after_ns < (double)(INT64_MAX / 2) ? clock->origin_ns + (int64_t)after_ns
                                              : INT64_MAX / 2;
}

void replay_clock_sent(struct replay_clock *clock, int64_t due_ns, int64_t now_ns)
{
    if (clock->speed > 0) {
        histogram_add(&clock->late_ns, now_ns > due_ns ? (uint64_t)(now_ns - due_ns) : 0);
    }
}

void replay_clock_shift(struct replay_clock *clock, int64_t by_ns)
{
    clock->origin_ns += by_ns;
}

void replay_clock_restart(struct replay_clock *clock)
{
    clock->started = false;
}

void replay_clock_report(const struct replay_clock *clock)
{
    const struct histogram *late = &clock->late_ns;
    if (clock->speed <= 0) {
        return;
    }
    fprintf(stderr, "late_ns count=%llu p50=%llu p90=%llu p99=%llu p99.9=%llu max=%llu\n",
            (unsigned long long)late->total, (unsigned long long)histogram_permille(late, 500),
            (unsigned long long)histogram_permille(late, 900),
            (unsigned long long)histogram_permille(late, 990),
            (unsigned long long)histogram_permille(late, 999), (unsigned long long)late->most);
}
