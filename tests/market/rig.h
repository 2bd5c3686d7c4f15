/* SPDX-License-Identifier: MIT */
/*
 * What a test of whole programs stands on: a folder of its own in /dev/shm, in which the programs
 * make their buses and leave their output, and processes to start and wait for. The folder is made
 * and removed by an unchecked fixture, that is, outside the test's own process, so it goes also
 * when a test fails; the processes die with the test's process.
 */
#ifndef TESTS_MARKET_RIG_H
#define TESTS_MARKET_RIG_H

#include <stddef.h>
#include <sys/types.h>

/* The unchecked fixture: makes the folder and names it in SHMBUS_DIR; removes it with all in it. */
void rig_setup(void);
void rig_teardown(void);

/* A file of that name in the folder. The string is good for 31 further calls. */
const char *rig_path(const char *name);

/*
 * Starts a program. Its output goes to the files NAME.out and NAME.err in the folder, its input is
 * empty. The arguments end with NULL; the first is the program's path.
 */
pid_t rig_start(const char *name, const char *const *arguments);

/*
 * Waits for a process and fails the test, with the program's own words, unless it ends with that
 * code: its exit code, or 128 and its signal.
 */
void rig_ends(pid_t process, const char *name, int code);

/* Starts a program and waits for it as rig_ends() does. */
void rig_run(const char *name, const char *const *arguments, int code);

/* A file's content, with a NUL behind it; free it. */
char *rig_read(const char *path, size_t *out_bytes);

/* Writes a file in the folder and returns its path. */
const char *rig_write(const char *name, const char *text);

/* Fails the test unless both files hold the same bytes. */
void rig_same(const char *path, const char *other);

/* Fails the test unless a file contains that text. */
void rig_contains(const char *path, const char *text);

/* Fails the test unless the folder holds no bus any more. */
void rig_no_bus(void);

#endif
