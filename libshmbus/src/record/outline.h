/* SPDX-License-Identifier: MIT */
/* What is not records in a recording: the header before them, and the index behind them. */
#ifndef SHMBUS_SRC_RECORD_OUTLINE_H
#define SHMBUS_SRC_RECORD_OUTLINE_H

#include "record/format.h"

#include <shmbus/record.h>

/* Writes the header at the beginning of the file; *out_bytes receives how long it is. Returns 0, or
 * an errno with its text. */
int outline_write_header(int file, const struct shmbus_recorder_options *options,
                         uint64_t *out_bytes);

/* Forces the name of a new file to the disk: a folder is synced by itself. Returns 0, or an errno
 * with its text. */
int outline_sync_name(const char *path);

/* Writes index and footer at this place of the file, in one write; what fails is cut off there.
 * Returns 0 or an errno. */
int outline_write_index(int file, const struct format_head *heads, uint64_t count, uint64_t at);

#endif
