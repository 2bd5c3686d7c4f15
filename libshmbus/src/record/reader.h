/* SPDX-License-Identifier: MIT */
/* What a recorder that goes on with a file takes from the one that reads it. */
#ifndef SHMBUS_SRC_RECORD_READER_H
#define SHMBUS_SRC_RECORD_READER_H

#include "record/format.h"

#include <shmbus/record.h>

/* Reads an open file, which stays the caller's. */
int reader_open(int file, struct shmbus_recording **out_recording);

/* The heads of its whole blocks, and where the last of these ends. */
const struct format_head *reader_heads(const struct shmbus_recording *recording,
                                       uint64_t *out_count, uint64_t *out_end);

#endif
