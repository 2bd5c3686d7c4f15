/* SPDX-License-Identifier: MIT */
/* What is in a recording, counted and printed: by type, over time, what is missing, what it takes.
 */
#ifndef SHMBUS_TOOLS_DUMP_STATS_H
#define SHMBUS_TOOLS_DUMP_STATS_H

#include <stdint.h>

#include <shmbus/record.h>

struct dump_stats {
    uint64_t messages;
    uint64_t bytes; /* of their payloads */
    uint64_t lost;
    uint64_t lost_ranges;
    uint64_t aborted;
    uint64_t left_out;        /* sequences that neither came nor were lost: of other types */
    uint64_t next;            /* sequence after the last record */
    uint64_t first;           /* sequence of the first record */
    int64_t first_receive_ns; /* of a message */
    int64_t last_receive_ns;
    uint64_t records;
    uint64_t type_messages[UINT16_MAX + 1];
    uint64_t type_bytes[UINT16_MAX + 1];
};

/* Counts one record. */
void dump_stats_add(struct dump_stats *stats, const struct shmbus_record *record);

/* Prints all of it to standard output. */
void dump_stats_print(const struct dump_stats *stats, const struct shmbus_recording_info *info);

#endif
