/* SPDX-License-Identifier: MIT */
/* All forms that the lint has to accept. A "word; {" in a comment or string is no code. */
#include <linux/membarrier.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Atomic uint64_t word;
static _Atomic uint64_t other;
static const char *text = "atomic_load(&word); /* ORDER(no:A) */";

/* Never called: a sample. */
uint64_t accepted(uint64_t *expected)
{
    atomic_init(&word, 0);
    /* ORDER(accepted_publish:A) pairs accepted_poll:B, accepted_park:B: a label
     * of two lines */
    atomic_store_explicit(&word, (uint64_t)text[0],
                          memory_order_release);
    atomic_store_explicit(&word, 1, memory_order_release); /* ORDER(accepted_publish:C) pairs
                                                              accepted_poll:B: on its line */
    /* relaxed: one reason for a run of lines, a plain one among them */
    uint64_t first = atomic_load_explicit(&word, memory_order_relaxed);
    first++;
    first += atomic_load_explicit(&other, memory_order_relaxed);
    atomic_store_explicit(&other, first, memory_order_relaxed);

    for (int i = 0; i < 2; i++)
        /* ORDER(accepted_poll:B) pairs accepted_publish:A, accepted_publish:C: inside a statement */
        first += atomic_load_explicit(&word, memory_order_acquire);
    atomic_store_explicit(&other, 2, memory_order_relaxed); /* relaxed: the fence follows */
    /* ORDER(accepted_fence:A) pairs accepted_fence:B: a fence */
    atomic_thread_fence(memory_order_release);
    // ORDER(accepted_fence:B) pairs accepted_fence:A: in a line comment
    atomic_thread_fence(memory_order_acquire);
    /*
     * Words before it do not matter.
     * ORDER(accepted_claim:A) pairs accepted_claim:A: both sides run this
     */
    if (atomic_compare_exchange_strong_explicit(&word, expected, 1, memory_order_acq_rel,
                                                memory_order_relaxed))
        first = 0;
    /* ORDER(accepted_park:B) pairs accepted_publish:A: the kernel's barrier */
    syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    return first;
}
