/* SPDX-License-Identifier: MIT */
/*
 * A steady rate of messages a second: see pace.h. The origin moves on by whole seconds, which hold
 * exactly `rate` messages: the products below stay small and no rounding adds up.
 */
#include "pace.h"

#include <time.h>

#include "cli.h"

#define SECOND_NS      1000000000
#define LEAST_SLEEP_NS 1000000

void pace_begin(struct pace *pace, uint64_t rate)
{
    pace->rate = rate;
    pace->origin_ns = cli_now_ns();
    pace->sent = 0;
}

static int64_t due_ns(const struct pace *pace)
{
    /* Rounded up, so that whatever is due by this measure is due by pace_due()'s too. */
    return pace->origin_ns + (int64_t)((pace->sent * SECOND_NS + pace->rate - 1) / pace->rate);
}

size_t pace_due(struct pace *pace, int64_t now_ns, size_t wanted, int64_t *out_wake_ns)
{
    if (pace->rate == 0) {
        return wanted;
    }
    const int64_t next_ns = due_ns(pace);
    if (next_ns > now_ns) {
        const int64_t least_ns = now_ns + LEAST_SLEEP_NS;
        *out_wake_ns = next_ns > least_ns ? next_ns : least_ns;
        return 0;
    }
    if (now_ns - next_ns > PACE_CATCH_UP_NS) {
        pace->origin_ns = now_ns - PACE_CATCH_UP_NS;
        pace->sent = 0;
    }
    const uint64_t elapsed_ns = (uint64_t)(now_ns - pace->origin_ns);
    const uint64_t due = elapsed_ns / SECOND_NS * pace->rate +
                         elapsed_ns % SECOND_NS * pace->rate / SECOND_NS + 1 - pace->sent;
    return due < wanted ? (size_t)due : wanted;
}

void pace_sent(struct pace *pace, size_t count)
{
    if (pace->rate == 0) {
        return;
    }
    pace->sent += count;
    pace->origin_ns += (int64_t)(pace->sent / pace->rate) * SECOND_NS;
    pace->sent %= pace->rate;
}

void pace_sleep(int64_t wake_ns)
{
    const struct timespec wake = {.tv_sec = wake_ns / SECOND_NS, .tv_nsec = wake_ns % SECOND_NS};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wake, NULL);
}
