/* SPDX-License-Identifier: MIT */
/*
 * A recording as a table (CSV) or as objects (JSON). Messages of a registered type whose fields are
 * known are taken apart; the others, and those that are shorter or longer than their type says, are
 * given whole.
 */
#ifndef SHMBUS_TOOLS_DUMP_ROWS_H
#define SHMBUS_TOOLS_DUMP_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include <shmbus/record.h>
#include <shmbus/shmbus.h>

#include "fields.h"
#include "output.h"

/* A registered type, and its fields as far as they are known. */
struct dump_type {
    const struct shmbus_type *type;
    bool shown; /* in the heading of a table */
    struct fields fields;
};

struct dump_rows {
    bool json;
    uint32_t type_count;
    struct dump_type *types;
    struct output *output;
    uint16_t index[UINT16_MAX + 1]; /* in types, by a message's type, + 1; 0: not registered */
};

/*
 * Begins with the types of a recording; of a table only those that `wanted` says are shown (NULL:
 * all), and the heading is written. 0, -ENOMEM or the output's error.
 */
int dump_rows_begin(struct dump_rows *rows, const struct shmbus_type *types, uint32_t count,
                    const bool *wanted, bool json, struct output *output);

/* Writes one record, a message or a range that was not recorded; 0 or the output's error. */
int dump_rows_put(struct dump_rows *rows, const struct shmbus_record *record);

/* Frees the memory. */
void dump_rows_end(struct dump_rows *rows);

/* The word for a kind of record: message, lost, aborted... */
const char *dump_rows_word(uint32_t kind);

#endif
