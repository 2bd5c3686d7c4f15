/* SPDX-License-Identifier: MIT */
/* expect: atomic_load is not an atomic_..._explicit */
#include <stdatomic.h>

int plain_load(atomic_int *word)
{
    /* ORDER(plain:A) pairs plain:A: nothing */
    return atomic_load(word);
}
