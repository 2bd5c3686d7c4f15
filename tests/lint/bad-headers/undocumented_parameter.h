/* SPDX-License-Identifier: MIT */
/* expect: the parameter second is not described */
/**
 * Does something.
 *
 * @param first  one of two.
 *
 * Returns: 0.
 * Errors: none.
 * Ownership: none.
 * Threads: any.
 * Blocks: never.
 */
SHMBUS_API int shmbus_sample(const int *first, int second[2]);
