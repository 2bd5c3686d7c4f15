/* SPDX-License-Identifier: MIT */
/*
 * The recordings of one bus, one behind the other, as a stream of the records that are to be
 * replayed: those of the wanted types within the wanted span. Errors are said here, and return an
 * exit code.
 */
#ifndef SHMBUS_TOOLS_REPLAY_SOURCE_H
#define SHMBUS_TOOLS_REPLAY_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include <shmbus/record.h>
#include <shmbus/shmbus.h>

#include "span.h"
#include "type_filter.h"

struct replay_source {
    char *const *files;
    uint32_t file_count;
    struct span span;
    struct type_filter *filter;
    int64_t begun_ns;                  /* what a span in seconds counts from */
    struct shmbus_recording *geometry; /* the first file, open as long as this is */
    struct shmbus_recording *now;      /* that is read; NULL: at the end */
    uint32_t index;                    /* of it, in files */
    struct shmbus_record record;       /* the next one, if `has` */
    bool has;
    bool cut_said; /* that a file has no end */
};

/* Opens the first file, and looks the names of types up in it. */
int replay_source_open(struct replay_source *source);

/* When its first record was received; INT64_MAX without one. */
int64_t replay_source_begun(const struct replay_source *source);

/* Goes to the first record of the span. */
int replay_source_rewind(struct replay_source *source);

/* Takes the next record, if there is one. */
int replay_source_next(struct replay_source *source);

/* Closes what is open. */
void replay_source_close(struct replay_source *source);

#endif
