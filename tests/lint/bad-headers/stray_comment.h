/* SPDX-License-Identifier: MIT */
/* expect: without a SHMBUS_API function right below */
/**
 * Does something.
 *
 * Returns: 0.
 * Errors: none.
 * Ownership: none.
 * Threads: any.
 * Blocks: never.
 */

SHMBUS_API int shmbus_sample(void);
