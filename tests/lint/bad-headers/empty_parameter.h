/* SPDX-License-Identifier: MIT */
/* expect: @param first: says nothing */
/**
 * Does something.
 *
 * @param first
 *
 * Returns: 0.
 * Errors: none.
 * Ownership: none.
 * Threads: any.
 * Blocks: never.
 */
SHMBUS_API int shmbus_sample(int first);
