/* SPDX-License-Identifier: MIT */
/* expect: dangling:A pairs missing:B, which is nowhere */
#include <stdatomic.h>

int dangling(atomic_int *word)
{
    /* ORDER(dangling:A) pairs missing:B: with what is not there */
    return atomic_load_explicit(word, memory_order_acquire);
}
