/* SPDX-License-Identifier: MIT */
/* A small strict reader of JSON (RFC 8259), to judge what the tools print by. */
#ifndef SHMBUS_TESTS_TOOLS_JSON_H
#define SHMBUS_TESTS_TOOLS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness.h"

/* Is this one JSON value and nothing else but white space? */
bool json_valid(const char *text, size_t length);

/*
 * The value at a path of keys and indices in parentheses-free form, "pools.0.count", as a pointer
 * into text, which must be valid; NULL if there is none.
 */
const char *json_at(const char *text, const char *path);

/* How many elements the array at the path has; -1 if there is no array. */
int json_count(const char *text, const char *path);

/* The number at the path; fails the test if there is none. */
uint64_t json_number(const char *text, const char *path);

/* Is the value at the path this word: true, false, null, or a string in its quotes? */
bool json_is(const char *text, const char *path, const char *word);

/* The string at the path, its escapes undone. */
struct bytes json_string(const char *text, const char *path);

/* Undoes base64. */
struct bytes base64_decode(const struct bytes *text);

#endif
