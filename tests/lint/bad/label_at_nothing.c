/* SPDX-License-Identifier: MIT */
/* expect: nothing:A: its label stands at no atomic access */
#include <stdatomic.h>

int label_at_nothing(int word)
{
    /* ORDER(nothing:A) pairs nothing:A: the access went away */
    return word;
}
