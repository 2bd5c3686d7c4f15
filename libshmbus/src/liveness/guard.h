/* SPDX-License-Identifier: MIT */
/*
 * Finds out that two threads are inside one object, in builds that check for it (Debug, or
 * SHMBUS_CHECK_THREADS). A thread may enter again from its own callback. Elsewhere it is nothing.
 */
#ifndef SHMBUS_GUARD_H
#define SHMBUS_GUARD_H

#include "error/error.h"

#include <stdatomic.h>
#include <stdint.h>

struct guard {
    _Atomic uintptr_t thread; /* inside, or 0 */
    uint32_t depth;
};

#ifdef SHMBUS_CHECK_THREADS

extern _Thread_local char guard_self; /* its address is the thread; one for all files */

static inline int guard_enter(struct guard *guard)
{
    uintptr_t self = (uintptr_t)&guard_self;
    uintptr_t nobody = 0;
    /* relaxed: equal to self only if this thread stored it */
    if (atomic_load_explicit(&guard->thread, memory_order_relaxed) != self &&
        /* ORDER(guard_enter:A) pairs guard_leave:B: the object's private words */
        !atomic_compare_exchange_strong_explicit(&guard->thread, &nobody, self,
                                                 memory_order_acquire, memory_order_relaxed))
        return error_constant(-EBUSY,
                              "two threads are inside one object at once (an object belongs "
                              "to one thread at a time)");
    guard->depth++;
    return 0;
}

static inline void guard_leave(struct guard *guard)
{
    if (--guard->depth == 0)
        /* ORDER(guard_leave:B) pairs guard_enter:A: the object's private words */
        atomic_store_explicit(&guard->thread, 0, memory_order_release);
}

#else

static inline int guard_enter(struct guard *guard)
{
    (void)guard;
    return 0;
}

static inline void guard_leave(struct guard *guard)
{
    (void)guard;
}

#endif

#endif
