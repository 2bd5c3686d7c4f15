/* SPDX-License-Identifier: MIT */
/* expect: relaxed_after_blank.c:10: atomic_load_explicit: relaxed, without */
#include <stdatomic.h>

int relaxed_after_blank(atomic_int *word)
{
    /* relaxed: covers the next line only, since a blank one follows it */
    int first = atomic_load_explicit(word, memory_order_relaxed);

    return first + atomic_load_explicit(word, memory_order_relaxed);
}
