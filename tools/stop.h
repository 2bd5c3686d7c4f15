/* SPDX-License-Identifier: MIT */
/*
 * SIGINT and SIGTERM as a wish to end in good order. The handler only counts and writes to a pipe,
 * so that a tool that waits for input polls the pipe's end beside it and no signal falls into the
 * gap between a look at the count and the wait. Calls are interrupted (no SA_RESTART).
 */
#ifndef SHMBUS_TOOLS_STOP_H
#define SHMBUS_TOOLS_STOP_H

/* Catches SIGINT and SIGTERM, ignores SIGPIPE; 0 or a negative errno. Call it once. */
int stop_install(void);

/* How often one has come. */
int stop_count(void);

/* A descriptor that is readable once one has come. */
int stop_fd(void);

#endif
