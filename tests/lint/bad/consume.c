/* SPDX-License-Identifier: MIT */
/* expect: memory_order_consume is not for use */
#include <stdatomic.h>

int consume(atomic_int *word)
{
    /* ORDER(consume:A) pairs consume:A: nothing */
    return atomic_load_explicit(word, memory_order_consume);
}
