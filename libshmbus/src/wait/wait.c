/* SPDX-License-Identifier: MIT */
/*
 * The steps of waiting. The numbers: a spin of a few microseconds covers a peer that is running;
 * yielding covers one that shares the core; slices from 50 microseconds to 1 millisecond bound both
 * the time to notice and what an idle waiter costs.
 */
#include "wait/wait.h"

#include <errno.h>
#include <sched.h>
#include <time.h>

#define SPINS           400u
#define PAUSES_PER_SPIN 8u
#define YIELDS          16u
#define SLICE_FIRST_NS  50000u
#define SLICE_LAST_NS   1000000u
#define PROBE_EVERY_NS  20000000

int64_t wait_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

struct waiter wait_begin(int64_t timeout_ns)
{
    struct waiter waiter = {.timeout_ns = timeout_ns, .slice_ns = SLICE_FIRST_NS};
    return waiter;
}

static void sleep_slice(struct waiter *waiter, int64_t now)
{
    int64_t left = waiter->deadline_ns - now;
    int64_t slice = waiter->slice_ns < left ? waiter->slice_ns : left;
    struct timespec time = {.tv_sec = slice / 1000000000, .tv_nsec = slice % 1000000000};
    int saved = errno;
    nanosleep(&time, NULL);
    errno = saved;
    if (waiter->slice_ns < SLICE_LAST_NS)
        waiter->slice_ns *= 2;
}

int wait_step(struct waiter *waiter)
{
    if (waiter->timeout_ns == 0)
        return -ETIMEDOUT;
    if (waiter->steps++ < SPINS) {
        for (uint32_t i = 0; i < PAUSES_PER_SPIN; i++)
            wait_pause();
        return WAIT_GO_ON;
    }
    int64_t now = wait_now();
    if (waiter->deadline_ns == 0) {
        int endless = waiter->timeout_ns < 0 || waiter->timeout_ns > INT64_MAX - now;
        waiter->deadline_ns = endless ? INT64_MAX : now + waiter->timeout_ns;
        waiter->probe_ns = now + PROBE_EVERY_NS / 20;
    }
    if (now >= waiter->deadline_ns)
        return -ETIMEDOUT;
    if (now >= waiter->probe_ns) {
        waiter->probe_ns = now + PROBE_EVERY_NS;
        return WAIT_PROBE;
    }
    if (waiter->steps < SPINS + YIELDS)
        sched_yield();
    else
        sleep_slice(waiter, now);
    return WAIT_GO_ON;
}
