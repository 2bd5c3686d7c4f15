/* SPDX-License-Identifier: MIT */
/* expect: its memory order is not written out */
#include <stdatomic.h>

int order_in_variable(atomic_int *word, memory_order order)
{
    /* ORDER(variable:A) pairs variable:A: nothing */
    return atomic_load_explicit(word, order);
}
