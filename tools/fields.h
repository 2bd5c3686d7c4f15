/* SPDX-License-Identifier: MIT */
/*
 * The fields of a registered type, as numpy names them ("price:<i8,qty:<i8,side:u1"), taken apart,
 * and their values as text. They lie one behind the other without padding. A list that has anything
 * else in it (a sub-array, a complex number) is not taken apart at all: its messages are bytes.
 */
#ifndef SHMBUS_TOOLS_FIELDS_H
#define SHMBUS_TOOLS_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "output.h"

#define FIELDS_MOST      320 /* more than fit the longest list */
#define FIELD_BYTES_MOST 512 /* of one field */

struct field {
    const char *name; /* in the list, not ended with a NUL */
    uint32_t name_length;
    char kind; /* i, u, f, b (truth), S (text) or V (bytes) */
    bool big;  /* the most significant byte comes first */
    uint32_t bytes;
    uint32_t offset; /* in the message */
};

struct fields {
    uint32_t count;
    uint32_t bytes; /* of all of them */
    struct field field[FIELDS_MOST];
};

/* Takes a list apart; 0, or -EINVAL when it is empty or has something in it that is not known. */
int fields_parse(const char *list, struct fields *out_fields);

/* Does its value need quotes? */
bool field_is_text(const struct field *field);

/*
 * Writes the value that lies in a message, text without quotes: in JSON with its escapes, and else
 * with quotes doubled, as CSV has them. A number that JSON cannot say is null there.
 */
int field_put(const struct field *field, const void *message, bool json, struct output *output);

#endif
