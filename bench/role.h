/* SPDX-License-Identifier: MIT */
/*
 * One process of a run: what it is given, and what it may do. The two of a run share one block of
 * memory for meeting before the start and for handing their figures to the parent; whatever is
 * measured has memory of its own.
 */
#ifndef BENCH_ROLE_H
#define BENCH_ROLE_H

#ifndef __cplusplus
#include <stdatomic.h>
#endif

#include "bench.h"
#include "cpu.h"

/* What a role leaves for the parent: one of the two has laps, or a span. */
struct outcome {
    char why[WHY_MAX];
    uint64_t messages; /* in the measured span */
    uint64_t ticks;    /* that it took */
    long preempted;
    long faults;
    struct histogram laps;
};

#ifndef __cplusplus /* a peer in C++ leaves it to the functions below */
struct meeting {
    _Alignas(128) _Atomic uint32_t ready[ROLES];
    _Alignas(
        128) _Atomic uint64_t taken; /* messages that the consumer of a paced test is done with */
    _Alignas(128) struct outcome outcome[ROLES];
};
#endif

struct role {
    const struct test *test;
    struct meeting *meeting;
    struct outcome *outcome; /* its own */
    unsigned char *memory;   /* a floor's shared memory, mapped by this process; or NULL */
    const char *bus[ROLES];  /* names: bus[i] is the one that role i publishes on */
    const char *folder;      /* of the buses */
    int index;
    const struct runner *runner;
    int event[ROLES]; /* eventfds: role i sleeps on event[i] */
    uint64_t started; /* ticks at the start of the measured span or lap */
};

enum {
    ROLE_OK = 0,
    ROLE_CHECK_FAILED = 1, /* a sequence or a content was wrong */
    ROLE_NOT_SET_UP = 2,   /* it could not be measured */
};

/* Notes why this role cannot go on and gives what its act is to return. */
int role_wrong(struct role *role, uint64_t expected, uint64_t got);
int role_fail(struct role *role, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Waits until both roles are set up. */
void role_meet(struct role *role);

/* The asker ends lap i, counted from 0: the first test->warm ones are not measured. */
static inline void role_lap(struct role *role, uint64_t i)
{
    uint64_t now = cpu_ticks();
    if (i >= role->test->warm)
        histogram_add(&role->outcome->laps, now - role->started);
    role->started = now;
}

/* Message i, counted from 0, took so many ticks. */
static inline void role_took(struct role *role, uint64_t i, uint64_t ticks)
{
    if (i >= role->test->warm)
        histogram_add(&role->outcome->laps, ticks);
}

/* The consumer has received so many, all told: begins the measured span once it is warm. */
static inline void role_span_begin(struct role *role, uint64_t received)
{
    if (role->started == 0 && received >= role->test->warm) {
        role->started = cpu_ticks();
        role->outcome->messages = received;
    }
}

static inline void role_span_end(struct role *role, uint64_t received)
{
    role->outcome->ticks = cpu_ticks() - role->started;
    role->outcome->messages = received - role->outcome->messages;
}

static inline uint64_t role_total(const struct role *role)
{
    return role->test->warm + role->test->messages;
}

#endif
