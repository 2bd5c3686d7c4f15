/* SPDX-License-Identifier: MIT */
/*
 * Read by the compiler before each source of the library, in the program of the race rig alone:
 * each atomic access is as it is written, but for the one place that the rig has named, which is
 * relaxed there. So one build has every mutant of an ordering in it.
 *
 * A place may also be late: its store is kept back until its thread's next store or exchange. That
 * is what a processor does with a store that is not seq_cst and has no fence behind it, only for
 * longer: a few hundred loads that follow pass it. So it is the mutant of a store that is followed
 * by a fence, too, without that fence.
 *
 * The two ways are two calls, each with constant orders: a detector has to see which they are.
 */
#ifndef SHMBUS_RACE_WEAKEN_H
#define SHMBUS_RACE_WEAKEN_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

extern const char *weaken_file; /* the source that the place is in; NULL: no place */
extern _Thread_local volatile void *weaken_kept; /* where the store that is kept back goes */

/* Is this the place? Counts how often it was come by. */
int weaken_is_here(const char *file, int line);

/* Is the place late, and a store of so many bytes kept back? */
int weaken_keep(volatile void *to, uint64_t value, size_t bytes);

/* Makes the store that is kept back; before a load of just that word, too. */
void weaken_let_go(void);
void weaken_look(const volatile void *from);

#define WEAKEN_HERE   (__builtin_expect(weaken_file != NULL, 0) && weaken_is_here(__FILE__, __LINE__))
#define WEAKEN_STORED ((void)(__builtin_expect(weaken_kept != NULL, 0) ? weaken_let_go() : (void)0))
#define WEAKEN_LOADED(at)                                                                          \
    ((void)(__builtin_expect(weaken_kept != NULL, 0) ? weaken_look(at) : (void)0))

#ifdef __clang__
#define WEAKEN_LOAD(at, order)              __c11_atomic_load(at, order)
#define WEAKEN_STORE(at, value, order)      __c11_atomic_store(at, value, order)
#define WEAKEN_FETCH(what, at, with, order) __c11_atomic_fetch_##what(at, with, order)
#define WEAKEN_SWAP(weak, at, from, to, order, otherwise)                                          \
    __c11_atomic_compare_exchange_##weak(at, from, to, order, otherwise)
#define WEAKEN_FENCE(order) __c11_atomic_thread_fence(order)
#else
#define WEAKEN_LOAD(at, order)              __atomic_load_n(at, order)
#define WEAKEN_STORE(at, value, order)      __atomic_store_n(at, value, order)
#define WEAKEN_FETCH(what, at, with, order) __atomic_fetch_##what(at, with, order)
#define WEAKEN_IS_weak                      1
#define WEAKEN_IS_strong                    0
#define WEAKEN_SWAP(weak, at, from, to, order, otherwise)                                          \
    __atomic_compare_exchange_n(at, from, to, WEAKEN_IS_##weak, order, otherwise)
#define WEAKEN_FENCE(order) __atomic_thread_fence(order)
#endif

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_or_explicit
#undef atomic_fetch_and_explicit
#undef atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_weak_explicit
#undef atomic_thread_fence

#define atomic_load_explicit(at, order)                                                            \
    (WEAKEN_LOADED(at),                                                                            \
     WEAKEN_HERE ? WEAKEN_LOAD(at, memory_order_relaxed) : WEAKEN_LOAD(at, order))
#define atomic_store_explicit(at, value, order)                                                    \
    (WEAKEN_STORED, !WEAKEN_HERE ? WEAKEN_STORE(at, value, order)                                  \
                    : weaken_keep(at, (uint64_t)(value), sizeof *(at))                             \
                        ? (void)0                                                                  \
                        : WEAKEN_STORE(at, value, memory_order_relaxed))
#define WEAKEN_FETCHED(what, at, with, order)                                                      \
    (WEAKEN_STORED, WEAKEN_HERE ? WEAKEN_FETCH(what, at, with, memory_order_relaxed)               \
                                : WEAKEN_FETCH(what, at, with, order))
#define atomic_fetch_add_explicit(at, with, order) WEAKEN_FETCHED(add, at, with, order)
#define atomic_fetch_or_explicit(at, with, order)  WEAKEN_FETCHED(or, at, with, order)
#define atomic_fetch_and_explicit(at, with, order) WEAKEN_FETCHED(and, at, with, order)
#define WEAKEN_SWAPPED(weak, at, from, to, order, otherwise)                                       \
    (WEAKEN_STORED,                                                                                \
     WEAKEN_HERE ? WEAKEN_SWAP(weak, at, from, to, memory_order_relaxed, memory_order_relaxed)     \
                 : WEAKEN_SWAP(weak, at, from, to, order, otherwise))
#define atomic_compare_exchange_strong_explicit(at, from, to, order, otherwise)                    \
    WEAKEN_SWAPPED(strong, at, from, to, order, otherwise)
#define atomic_compare_exchange_weak_explicit(at, from, to, order, otherwise)                      \
    WEAKEN_SWAPPED(weak, at, from, to, order, otherwise)
#define atomic_thread_fence(order) (WEAKEN_HERE ? (void)0 : WEAKEN_FENCE(order))

#endif
