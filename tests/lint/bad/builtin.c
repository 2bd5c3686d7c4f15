/* SPDX-License-Identifier: MIT */
/* expect: __atomic_load_n is not an atomic_..._explicit */
#include <stdatomic.h>

int builtin(int *word)
{
    /* relaxed: a builtin in place of the standard call */
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}
