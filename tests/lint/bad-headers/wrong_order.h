/* SPDX-License-Identifier: MIT */
/* expect: the field "Ownership:" is out of order */
/**
 * Does something.
 *
 * Ownership: none.
 * Returns: 0.
 * Errors: none.
 * Threads: any.
 * Blocks: never.
 */
SHMBUS_API int shmbus_sample(void);
