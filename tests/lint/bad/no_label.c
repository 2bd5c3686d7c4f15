/* SPDX-License-Identifier: MIT */
/* expect: release, without a label */
#include <stdatomic.h>

void no_label(atomic_int *word)
{
    /* tells the other side */
    atomic_store_explicit(word, 1, memory_order_release);
}
