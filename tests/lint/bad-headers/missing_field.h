/* SPDX-License-Identifier: MIT */
/* expect: shmbus_sample: no field "Threads:" */
/**
 * Does something.
 *
 * Returns: 0.
 * Errors: none.
 * Ownership: none.
 * Blocks: never.
 */
SHMBUS_API int shmbus_sample(void);
