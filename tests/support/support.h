/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the library share: a private folder for a whole program, child processes that
 * are told what to do and asked what they saw, random numbers whose seed is printed, and payloads
 * that say by themselves whether they are whole.
 */
#ifndef SHMBUS_TESTS_SUPPORT_H
#define SHMBUS_TESTS_SUPPORT_H

#include "shmbus/shmbus.h"

#include <check.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SECOND_NS INT64_C(1000000000)
#define GUARD_NS  (50 * SECOND_NS) /* a wait that ends in any run that is not wedged */

/* Makes a private folder below /dev/shm, points SHMBUS_DIR at it, runs the suite and removes the
 * folder again, whatever became of the tests. Returns main's status. */
int support_run(Suite *suite);

/* Adds a case of tests, each with a guard of so many seconds. */
TCase *support_case(Suite *suite, const char *name, int seconds);

/* ---- random numbers ---- */

/* A seed out of SHMBUS_TEST_SEED, or a new one; it is printed. */
uint64_t support_seed(const char *test);

/* The next number. */
uint64_t support_random(uint64_t *state);

/* One of 0 to limit - 1. */
static inline uint64_t support_below(uint64_t *state, uint64_t limit)
{
    return support_random(state) % limit;
}

/* ---- payloads ---- */

/* Fills a payload with bytes that follow from key and length. */
void support_fill(void *data, size_t length, uint64_t key);

/* Has the payload the bytes that follow from key and length? */
int support_is(const void *data, size_t length, uint64_t key);

/* Says whether every byte is this one. */
int support_all(const void *data, size_t length, unsigned char byte);

/* ---- buses ---- */

/* Does shmbus_error_text() contain this? */
int support_says(const char *what);

/* A producer of a new bus; one of that name that an earlier test left is removed first. */
struct shmbus_producer *support_create(const char *name, const struct shmbus_bus_options *bus,
                                       const struct shmbus_producer_options *options);

/* A required consumer of a bus; from as enum shmbus_from. */
struct shmbus_consumer *support_join(const char *name, uint32_t from);

/* The picture of a bus now; to be closed. */
struct shmbus_snapshot *support_look(const char *name);

/* The counts of one size class. */
struct shmbus_pool_stats support_pool(struct shmbus_producer *producer, uint32_t class_index);

/* ---- locks (locks.c) ---- */

/* What the kernel lists of locks on a file: their lines, without the numbers in front, sorted.
 * Returns how many. */
int support_locks(const char *path, char *text, size_t text_size);

/* ---- processes ---- */

struct child {
    pid_t pid;
    int line; /* what is told and heard */
    int life; /* a file whose first two bytes its mappings keep locked */
};

/* What a child does; it ends with exit status 0 when this returns. */
typedef void child_body(int line, void *context);

/* Starts a child, which ends with its parent. */
struct child child_start(child_body *body, void *context);

/* Says a number to the other side, and hears one. A side that is gone fails the test. */
void child_tell(int line, uint64_t word);
uint64_t child_hear(int line);

/* Is there something to hear, or has the other side gone? Does not wait. */
int child_has_said(int line);

/* Waits until a child has ended by itself, with status 0. */
void child_end(struct child *child);

/* Kills a child with SIGKILL and waits until it is gone. */
void child_kill(struct child *child);

/* Stops a child with SIGSTOP, and waits until it has stopped. */
void child_stop(const struct child *child);
void child_continue(const struct child *child);

#endif
