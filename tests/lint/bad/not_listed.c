/* SPDX-License-Identifier: MIT */
/* expect: not_listed:A is not listed in */
#include <stdatomic.h>

int not_listed(atomic_int *word)
{
    /* ORDER(not_listed:A) pairs not_listed:A: the page does not have it */
    return atomic_load_explicit(word, memory_order_acquire);
}
