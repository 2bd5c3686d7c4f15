/* SPDX-License-Identifier: MIT */
/* expect: only_listed:B is not in the code */
#include <stdatomic.h>

int only_listed(atomic_int *word)
{
    /* ORDER(only_listed:A) pairs only_listed:A: the page has one more */
    return atomic_load_explicit(word, memory_order_acquire);
}
