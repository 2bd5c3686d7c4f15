/* SPDX-License-Identifier: MIT */
/* expect: relaxed, without a comment */
#include <stdatomic.h>

int relaxed_empty_reason(atomic_int *word)
{
    /* relaxed: */
    return atomic_load_explicit(word, memory_order_relaxed);
}
