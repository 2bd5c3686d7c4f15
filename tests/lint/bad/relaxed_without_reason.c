/* SPDX-License-Identifier: MIT */
/* expect: relaxed, without a comment */
#include <stdatomic.h>

int relaxed_without_reason(atomic_int *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}
