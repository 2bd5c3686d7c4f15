/* SPDX-License-Identifier: MIT */
/*
 * What shmbus-pub is given as lists: the types to be registered with the bus, and the names of who
 * may be a required consumer. The strings are those of the command line, taken apart in place, or
 * of a file that is kept in memory.
 */
#ifndef SHMBUS_TOOLS_PUB_LISTS_H
#define SHMBUS_TOOLS_PUB_LISTS_H

#include <stdint.h>

#include <shmbus/shmbus.h>

struct pub_lists {
    uint32_t type_count;
    uint32_t name_count;
    struct shmbus_type types[SHMBUS_TYPES_MAX];
    const char *names[SHMBUS_REQUIRED_MAX];
};

/*
 * Adds one type, NUMBER:NAME:BYTES[:FIELDS]. `where` is what an error calls the place that it came
 * from. Returns CLI_OK or CLI_USAGE.
 */
int pub_lists_register(struct pub_lists *lists, const char *where, char *text);

/* Adds the types of a file, one a line; empty lines and those that begin with # are left out. */
int pub_lists_read_types(struct pub_lists *lists, const char *path);

/* Adds names, with commas between them. */
int pub_lists_add_names(struct pub_lists *lists, char *text);

/* Finds the number of a message's type: given as that, or as the name of a registered type. */
int pub_lists_find_type(const struct pub_lists *lists, const char *word, uint16_t *out_type);

#endif
