/* SPDX-License-Identifier: MIT */
/*
 * Runs a child from its begin mark to its end mark by single steps, and to any one point between
 * them by a breakpoint.
 *
 * A point is an instruction of libshmbus.so about to be executed, and how often it was executed
 * since the begin mark. What the library calls (libc, a system call) is one step of its own. The
 * child is a fork of the tracer, so that both have the same addresses.
 */
#ifndef SHMBUS_CRASH_STEPPER_H
#define SHMBUS_CRASH_STEPPER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct point {
    uintptr_t at;    /* address of the instruction */
    uint32_t before; /* how often it was executed before, since the mark */
    uint32_t is_new; /* a seam, that is the first after a call out of the library, or the first
                        of all; or the first after what step_through() watches has changed */
};

struct trace {
    struct point *points;
    size_t count;
};

enum step_end {
    STEP_REACHED, /* stopped at the point */
    STEP_MARK,    /* stopped at the end mark */
    STEP_DIED,    /* ended, or was stopped by a signal of its own: *out_status says */
};

/* Finds where the code of this program and of the library is. Returns 0, or -1 without library. */
int step_prepare(void);

/* The marks, called by the child. The begin mark makes its caller traced. */
void step_mark_begin(void);
void step_mark_end(void);

/* Waits until a child that was just forked is at its begin mark. */
enum step_end step_await(pid_t child, int *out_status);

/* From the begin mark to the end mark by single steps; the points are appended to a trace. changed
 * is asked before each whether the memory that counts is another than when it was last asked. */
enum step_end step_through(pid_t child, struct trace *trace, int (*changed)(void), int *out_status);

/* From the begin mark to a point, or to the end mark when the child does not come by it. */
enum step_end step_to(pid_t child, const struct point *point, int *out_status);

/* From a point to the end mark. */
enum step_end step_on(pid_t child, int *out_status);

/* From the end mark, freely, to the end of the process. Returns its wait status. */
int step_release(pid_t child);

/* Kills with SIGKILL and waits until it is gone. */
void step_kill(pid_t child);

#endif
