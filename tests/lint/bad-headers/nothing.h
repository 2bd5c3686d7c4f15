/* SPDX-License-Identifier: MIT */
/* expect: no public function found */
int nothing;
