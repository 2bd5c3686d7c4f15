/* SPDX-License-Identifier: MIT */
/* expect: @param third: there is no such parameter */
/**
 * Does something.
 *
 * @param first  the only one.
 * @param third  was taken out.
 *
 * Returns: 0.
 * Errors: none.
 * Ownership: none.
 * Threads: any.
 * Blocks: never.
 */
SHMBUS_API int shmbus_sample(int first);
