/* SPDX-License-Identifier: MIT */
/*
 * Waiting with a deadline: spin, then yield, then sleep in growing slices. Whoever waits looks for
 * what it waits for between two steps, and probes who lives whenever a step says that it is time.
 */
#ifndef SHMBUS_WAIT_H
#define SHMBUS_WAIT_H

#include <stdint.h>

struct waiter {
    int64_t deadline_ns; /* CLOCK_MONOTONIC; INT64_MAX for ever; set at the first slow step */
    int64_t timeout_ns;
    int64_t probe_ns; /* when lives are to be probed next */
    uint32_t steps;
    uint32_t slice_ns;
};

#define WAIT_GO_ON 0
#define WAIT_PROBE 1 /* go on, and find out who lives first */

/* CLOCK_MONOTONIC in nanoseconds. */
int64_t wait_now(void);

/* Begins to wait for up to timeout_ns; below 0 is for ever. */
struct waiter wait_begin(int64_t timeout_ns);

/* Waits a little, longer each time. Returns WAIT_GO_ON, WAIT_PROBE or -ETIMEDOUT. */
int wait_step(struct waiter *waiter);

/* Tells the processor that this is a spin. */
static inline void wait_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
    __asm__ volatile("yield");
#endif
}

#endif
