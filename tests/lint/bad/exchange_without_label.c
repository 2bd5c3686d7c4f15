/* SPDX-License-Identifier: MIT */
/* expect: acq_rel/relaxed, without a label */
#include <stdatomic.h>

int exchange_without_label(atomic_int *word, int *expected)
{
    return atomic_compare_exchange_strong_explicit(word, expected, 1, memory_order_acq_rel,
                                                   memory_order_relaxed);
}
