/* SPDX-License-Identifier: MIT */
/*
 * What the kernel does for the library, as a memory model knows it.
 *
 * Locks: a life byte is a word that its owner's death releases, once no instruction of that one
 * runs any more, and a probe acquires. A repair byte is taken and let go.
 */
#ifndef SHMBUS_MODEL_KERNEL_H
#define SHMBUS_MODEL_KERNEL_H

#include "model.h"

#include "liveness/liveness.h"
#include "segment/segment.h"

#include <fcntl.h>
#include <unistd.h>

/* Some have it as a macro. */
#undef close

#define KERNEL_LIVES 4

static _Atomic uint32_t is_dead[KERNEL_LIVES];
static _Atomic uint32_t is_repaired[KERNEL_LIVES];

static inline void kernel_begin(void)
{
    for (int i = 0; i < KERNEL_LIVES; i++) {
        atomic_store_explicit(&is_dead[i], 0, memory_order_relaxed);
        atomic_store_explicit(&is_repaired[i], 0, memory_order_relaxed);
    }
}

/* The last that one does. */
static inline void kernel_die(uint32_t index)
{
    atomic_store_explicit(&is_dead[index], 1, memory_order_release);
}

int lock_probe(int descriptor, int64_t byte)
{
    (void)descriptor;
    return !atomic_load_explicit(&is_dead[byte % LOCK_REPAIR], memory_order_acquire);
}

/* A descriptor's number says which lock it has, once it has one. */
static int repair_lock = -1;

int lock_take(int descriptor, int64_t byte)
{
    (void)descriptor;
    uint32_t none = 0;
    if (!atomic_compare_exchange_strong_explicit(&is_repaired[byte % LOCK_REPAIR], &none, 1,
                                                 memory_order_acq_rel, memory_order_relaxed))
        return -1;
    repair_lock = (int)(byte % LOCK_REPAIR);
    return 0;
}

static inline int kernel_close(int descriptor)
{
    (void)descriptor;
    if (repair_lock >= 0)
        atomic_store_explicit(&is_repaired[repair_lock], 0, memory_order_release);
    repair_lock = -1;
    return 0;
}

int segment_open_owner(const struct segment *unused)
{
    (void)unused;
    return 0;
}

void segment_wake(const struct segment *unused)
{
    (void)unused;
}

void process_hold(void)
{
}

void process_release(void)
{
}

#endif
