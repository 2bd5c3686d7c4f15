/* SPDX-License-Identifier: MIT */
/* expect: acquire, without a label */
#include <stdatomic.h>

int label_too_far(atomic_int *word)
{
    /* ORDER(far:A) pairs far:A: a line of code stands in between */
    int result = 0;
    result += atomic_load_explicit(word, memory_order_acquire);
    return result;
}
