/* SPDX-License-Identifier: MIT */
/*
 * The picture of a bus in the forms in which shmbus-stat shows it: a line, a page, an object of
 * JSON. What stands in the segment is printed as text that no terminal obeys.
 */
#ifndef SHMBUS_TOOLS_STAT_H
#define SHMBUS_TOOLS_STAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <shmbus/shmbus.h>

#include "text.h"

#define STAT_TEXT_MOST  1024 /* more than any string in a segment */
#define STAT_TEXT_BYTES (STAT_TEXT_MOST * TEXT_PRINTABLE_GROWTH + 1)

/* One bus as it was looked at. */
struct stat_picture {
    struct shmbus_snapshot *snapshot;
    struct shmbus_placement placement;
    bool placed;        /* placement was to be had */
    double rate;        /* messages a second; negative: not measured */
    double interval_ns; /* over which the rate was measured */
};

/* Words for numbers out of the segment: but for the last never NULL, "unknown" for what this tool
 * does not know. */
const char *stat_state_word(uint32_t state);
const char *stat_kind_word(uint32_t kind);
const char *stat_life_word(uint32_t life);
const char *stat_pages_word(uint32_t pages);
const char *stat_rule_word(uint32_t rule);
const char *stat_gone_word(uint32_t gone);
const char *stat_waiting_word(uint32_t waiting); /* NULL when it does not wait */

/* What --numa was given, in the caller's buffer of 16 bytes or more. */
const char *stat_numa_word(const struct shmbus_bus_info *bus, char *buffer, size_t size);

/* A name or sentence of up to STAT_TEXT_MOST bytes out of the segment, fit to be printed. */
const char *stat_text(const char *string, char buffer[STAT_TEXT_BYTES]);

/* Does an entry's consumer live? -1 when that is not to be seen. */
int stat_is_alive(uint32_t life);

/* How many messages are whole, from the floor on, for one who joins late. */
uint64_t stat_kept(const struct shmbus_bus_info *bus);

/* Prints the head of the list of buses, a bus's line, and the line of one that cannot be read. */
void stat_print_head(void);
void stat_print_line(const struct stat_picture *picture);
void stat_print_unreadable(const char *name, const char *why);

/* Prints a bus's page. */
void stat_print_page(const struct stat_picture *picture);

/* Prints a bus's object, without a newline; and that of one that cannot be read. */
void stat_print_json(const struct stat_picture *picture);
void stat_print_json_unreadable(const char *name, const char *why);

/* Prints how many entries of a bus were repaired; negative: none could be, and why. */
void stat_print_reaped(const char *name, int reaped, const char *why);
void stat_print_json_reaped(const char *name, int reaped, const char *why);

#endif
