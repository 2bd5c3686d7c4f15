/* SPDX-License-Identifier: MIT */
/* expect: for each of 2 in this statement */
#include <stdatomic.h>

int one_label_for_two(atomic_int *word, atomic_int *other)
{
    /* ORDER(two:A) pairs two:A: only one of them */
    return atomic_load_explicit(word, memory_order_acquire) +
           atomic_load_explicit(other, memory_order_acquire);
}
