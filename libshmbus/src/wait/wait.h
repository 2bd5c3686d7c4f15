/* SPDX-License-Identifier: MIT */
/*
 * Waiting with a deadline: spin, then yield, then park or, where that is not to be had, sleep in
 * short slices. Whoever waits looks for what it waits for between two steps, and probes who lives
 * whenever a step says that it is time.
 */
#ifndef SHMBUS_WAIT_H
#define SHMBUS_WAIT_H

#include "wait/park.h"

#include "shmbus/shmbus.h"

#include <stdint.h>

/* How to wait: struct shmbus_wait with its defaults filled in. */
struct wait_plan {
    uint32_t strategy; /* enum shmbus_wait_strategy */
    uint32_t spins;
    uint32_t yields;
    int64_t slice_ns; /* between two probes, and the longest sleep */
};

struct waiter {
    int64_t deadline_ns; /* CLOCK_MONOTONIC; INT64_MAX for ever; set at the first slow step */
    int64_t timeout_ns;
    int64_t probe_ns; /* when lives are to be probed next */
    int64_t until_ns; /* no sleep goes on beyond this; INT64_MAX: nothing */
    uint64_t steps;
    uint32_t sleep_ns; /* the next sleep where nobody may park */
    uint32_t shown;    /* what the word says */
    struct wait_plan plan;
    struct park_door *door;                  /* where to park, or NULL */
    const struct park_door *at_door;         /* the one where it said that it parks, or NULL */
    uint32_t seen;                           /* the door's word before that */
    void (*park)(void *context, int64_t ns); /* what parking is here, in place of a door; or NULL */
    void *context;
    _Atomic uint32_t *waiting; /* its own shared word, or NULL */
};

#define WAIT_GO_ON 0
#define WAIT_PROBE 1 /* go on, and find out who lives first */

/* CLOCK_MONOTONIC in nanoseconds. */
int64_t wait_now(void);

/* Fills in the defaults of options. Returns 0, or -EINVAL naming what is out of range. */
int wait_take_options(const struct shmbus_wait *options, struct wait_plan *out_plan);

/* Begins to wait for up to timeout_ns, below 0 for ever: adaptively, and without parking. */
struct waiter wait_begin(int64_t timeout_ns);

/* The same as planned, showing in a word of its own how it waits. */
struct waiter wait_begin_as(const struct wait_plan *plan, int64_t timeout_ns,
                            _Atomic uint32_t *waiting);

/* Waits a little, longer each time. Before it parks at waiter->door there is one step that only
 * says so, for one more look. Returns WAIT_GO_ON, WAIT_PROBE or -ETIMEDOUT. */
int wait_step(struct waiter *waiter);

/* What it waits for is another from here on: it has to say anew that it parks. */
void wait_anew(struct waiter *waiter);

/* The wait is over, whatever came of it. Not to be called, nor another step, once a fork took the
 * mappings away. */
void wait_end(struct waiter *waiter);

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
