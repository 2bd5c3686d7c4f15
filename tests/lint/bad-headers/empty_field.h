/* SPDX-License-Identifier: MIT */
/* expect: the field "Ownership:" is empty */
/**
 * Does something.
 *
 * Returns: 0.
 * Errors: none.
 * Ownership:
 * Threads: any.
 * Blocks: never.
 */
SHMBUS_API int shmbus_sample(void);
