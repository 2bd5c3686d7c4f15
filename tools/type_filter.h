/* SPDX-License-Identifier: MIT */
/*
 * The types of messages that a tool is to read, as they were given: numbers, and names that the
 * bus has to know. The same name may be another number on another bus, so names are looked up anew
 * for each bus that is attached to.
 */
#ifndef SHMBUS_TOOLS_TYPE_FILTER_H
#define SHMBUS_TOOLS_TYPE_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include <shmbus/shmbus.h>

#define TYPE_FILTER_MOST 1024

struct type_filter {
    uint32_t count;
    bool has_names;
    const char *words[TYPE_FILTER_MOST]; /* as given */
    uint16_t numbers[TYPE_FILTER_MOST];  /* right for words that are numbers, or once looked up */
};

/* Adds the parts of a list with commas, which is taken apart in place; CLI_OK or CLI_USAGE. */
int type_filter_add(struct type_filter *filter, char *list);

/* Looks the names up; CLI_OK, or CLI_FAILED with the names that there are. */
int type_filter_look_up(struct type_filter *filter, const struct shmbus_snapshot *snapshot);

/* The same with the types of something that an error calls `where`. */
int type_filter_look_up_in(struct type_filter *filter, const char *where,
                           const struct shmbus_type *types, uint32_t count);

/* Is that type wanted? All are where none was given. */
bool type_filter_wants(const struct type_filter *filter, uint16_t type);

#endif
