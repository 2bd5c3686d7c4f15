/* SPDX-License-Identifier: MIT */
/* expect: twice:A is defined twice */
#include <stdatomic.h>

int twice(atomic_int *word)
{
    /* ORDER(twice:A) pairs twice:A: once */
    int first = atomic_load_explicit(word, memory_order_acquire);
    /* ORDER(twice:A) pairs twice:A: and once more */
    return first + atomic_load_explicit(word, memory_order_acquire);
}
