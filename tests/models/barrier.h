/* SPDX-License-Identifier: MIT */
/*
 * The system calls of parking. Natively they are the kernel's own. A checker takes a membarrier for
 * what it is: who calls it has a full fence at its beginning and its end, and in between the kernel
 * interrupts each registered process at some place of its program for a full fence there. So one
 * that wakes is open to interrupts between any two of its steps, and takes those that are left at
 * its end, where it does not run any more.
 *
 * A futex is its word alone: who found it unmoved sleeps, and is lost if it never moves again.
 */
#ifndef SHMBUS_MODEL_BARRIER_H
#define SHMBUS_MODEL_BARRIER_H

#include "model.h"

#include <errno.h>
#include <unistd.h>

#ifdef MODEL_CHECKER

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>

#define BARRIERS_MAX 2

static _Atomic uint32_t barrier_asked[BARRIERS_MAX];
static _Atomic uint32_t barrier_served[BARRIERS_MAX];
static _Atomic uint32_t barriers; /* begun */
static int is_served[BARRIERS_MAX];
static int is_registered;

static void barrier_serve(int which)
{
    if (is_served[which])
        return;
    atomic_thread_fence(memory_order_seq_cst);
    atomic_store_explicit(&barrier_served[which], 1, memory_order_release);
    is_served[which] = 1;
}

/* Between two steps of the one that wakes: an interrupt comes, or not. */
static void barrier_interrupt(void)
{
    for (int i = 0; is_registered && i < BARRIERS_MAX; i++)
        if (atomic_load_explicit(&barrier_asked[i], memory_order_acquire))
            barrier_serve(i);
}

/* It runs no more: count processes still have their membarrier, or had it. */
static void barrier_rest(int count)
{
    for (int i = 0; is_registered && i < count; i++) {
        while (!atomic_load_explicit(&barrier_asked[i], memory_order_acquire))
            ;
        barrier_serve(i);
    }
}

static int barrier_call(int command)
{
    if (command != MEMBARRIER_CMD_GLOBAL_EXPEDITED) {
        is_registered = 1;
        return 0;
    }
    atomic_thread_fence(memory_order_seq_cst);
    if (is_registered) {
        uint32_t which = atomic_fetch_add_explicit(&barriers, 1, memory_order_relaxed);
        atomic_store_explicit(&barrier_asked[which], 1, memory_order_release);
        while (!atomic_load_explicit(&barrier_served[which], memory_order_acquire))
            ;
    }
    atomic_thread_fence(memory_order_seq_cst);
    return 0;
}

static _Thread_local int barrier_errno;

#undef errno
#define errno                                barrier_errno
#define syscall(number, ...)                 BARRIER_##number(__VA_ARGS__)
#define BARRIER_SYS_membarrier(command, ...) barrier_call(command)
#define BARRIER_SYS_futex(...)               0
#define BARRIER_SYS_futex_waitv(...)         0
/* Where the compiler must keep the order, and an interrupt may come. */
#undef atomic_signal_fence
#define atomic_signal_fence(order) barrier_interrupt()

#else

static void barrier_interrupt(void)
{
}

static void barrier_rest(int count)
{
    (void)count;
}

#endif

#include "wait/park.c"

/* The one that wakes: open to interrupts, or refused by the kernel (-DFENCE). */
static inline int barrier_begin(void)
{
#ifdef FENCE
    return 0;
#else
    return park_register();
#endif
}

#endif
