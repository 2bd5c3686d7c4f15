/* SPDX-License-Identifier: MIT */
/*
 * What a failing call says of itself: a negative errno and, for the calling thread, a text. Paths
 * that may fail often (a full ring) name a constant; nothing is formatted there.
 */
#ifndef SHMBUS_ERROR_H
#define SHMBUS_ERROR_H

#include <errno.h>

/* Keeps a formatted text for this thread and returns code, a negative errno. Leaves errno alone. */
int error_set(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Keeps a constant text for this thread and returns code. */
int error_constant(int code, const char *text);

#endif
