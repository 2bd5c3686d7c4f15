/* SPDX-License-Identifier: MIT */
/* expect: label not of the form */
#include <stdatomic.h>

int malformed(atomic_int *word)
{
    /* ORDER(malformed:A): pairs with nobody */
    return atomic_load_explicit(word, memory_order_acquire);
}
