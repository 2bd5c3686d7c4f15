/* SPDX-License-Identifier: MIT */
/* expect: one_way:A pairs one_way:B, which does not name it back */
#include <stdatomic.h>

int one_way(atomic_int *word)
{
    /* ORDER(one_way:A) pairs one_way:B: with one that looks elsewhere */
    int first = atomic_load_explicit(word, memory_order_acquire);
    /* ORDER(one_way:B) pairs one_way:B: with itself alone */
    return first + atomic_load_explicit(word, memory_order_acquire);
}
