/* SPDX-License-Identifier: MIT */
/* Runs the tools as somebody without privileges: another user where this one is root. */
#ifndef SHMBUS_TESTS_TOOLS_OTHER_USER_H
#define SHMBUS_TESTS_TOOLS_OTHER_USER_H

#include "harness.h"

/*
 * Fixtures of a test case: the folder of buses, which everybody may enter, and beside it a folder
 * of copies of the tools and the library that everybody may run.
 */
void other_user_make(void);
void other_user_remove(void);

/* As tool_start() and tool_run(), as that user; arguments[0] is one of PUB, SUB, STAT. */
struct tool tool_start_as_other(const char *const *arguments);
struct ending tool_run_as_other(const char *const *arguments);

#endif
