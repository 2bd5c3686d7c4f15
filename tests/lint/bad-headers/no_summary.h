/* SPDX-License-Identifier: MIT */
/* expect: shmbus_sample: no summary */
/**
 * Returns: 0.
 * Errors: none.
 * Ownership: none.
 * Threads: any.
 * Blocks: never.
 */
SHMBUS_API int shmbus_sample(void);
