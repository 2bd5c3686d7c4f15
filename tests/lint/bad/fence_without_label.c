/* SPDX-License-Identifier: MIT */
/* expect: atomic_thread_fence: release, without a label */
#include <stdatomic.h>

void fence_without_label(void)
{
    /* relaxed: a reason does not do for a fence */
    atomic_thread_fence(memory_order_release);
}
