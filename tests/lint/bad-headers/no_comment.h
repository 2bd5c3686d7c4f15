/* SPDX-License-Identifier: MIT */
/* expect: a public function without a comment */
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

SHMBUS_API int shmbus_other(void);
