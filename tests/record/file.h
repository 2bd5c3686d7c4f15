/* SPDX-License-Identifier: MIT */
/* Files that the tests of the recording library write: each payload says its sequence. */
#ifndef SHMBUS_TESTS_RECORD_FILE_H
#define SHMBUS_TESTS_RECORD_FILE_H

#include "shmbus/record.h"
#include "support/support.h"

/* The path of a file in the private folder; good until the next call but three. */
const char *file_path(const char *name);

/* A recorder of a new file, whose first message is that one. */
struct shmbus_recorder *file_record(const char *path, const char *bus, int64_t bus_created_ns,
                                    uint64_t first, uint64_t block_bytes);

/* Records the messages first to end - 1, waiting for the disk where it has to. */
void file_put(struct shmbus_recorder *recorder, uint64_t first, uint64_t end);

/* Is it the message that file_put() makes of its sequence? */
int file_is(const struct shmbus_record *record);

#endif
