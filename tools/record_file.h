/* SPDX-License-Identifier: MIT */
/*
 * The files that shmbus-record writes: one, or one after the other, each named by the sequence that
 * it begins with. A file that is done is closed by a thread of its own, so that the reading of the
 * bus does not wait for the disk. Errors are said here, and return an exit code.
 */
#ifndef SHMBUS_TOOLS_RECORD_FILE_H
#define SHMBUS_TOOLS_RECORD_FILE_H

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <shmbus/record.h>
#include <shmbus/shmbus.h>

#include "record_options.h"

#define RECORD_FILE_STALE (-1)

struct record_file {
    const struct record_options *options;
    struct shmbus_consumer *consumer; /* that read what is put: nothing is written before it is
                                       * known that it was read in time */
    struct shmbus_recorder_options how;
    struct shmbus_recorder *recorder; /* NULL: none is open */
    char path[PATH_MAX];
    int64_t opened_ns;
    uint32_t number;      /* of files so far */
    uint64_t plain_bytes; /* of those that are done */
    uint64_t file_bytes;
    uint64_t waits;  /* times that the queue was full */
    int64_t wait_ns; /* spent waiting for it */
    bool closing;    /* the next four are set */
    pthread_t closer;
    struct shmbus_recorder *done;
    char done_path[PATH_MAX];
    int done_error;
};

/*
 * Goes on with the last file that there is; *out_next receives the sequence after its last record,
 * and *out_created_ns of which bus it is. Without a file, *out_next is UINT64_MAX.
 */
int record_file_append(struct record_file *file, uint64_t *out_next, int64_t *out_created_ns);

/* Begins a file with that sequence as its first one. */
int record_file_begin(struct record_file *file, uint64_t sequence);

/* Begins another one if that is due and all so far was read in time: `sequence` is the next one to
 * come. */
int record_file_turn(struct record_file *file, uint64_t sequence);

/*
 * Adds a record, waiting for the queue; a second signal ends the waiting. RECORD_FILE_STALE, and
 * nothing was taken, if what was put before may not have been read in time: the consumer's next
 * call says so.
 */
int record_file_put(struct record_file *file, const struct shmbus_record *record);

/* Takes back what the consumer did not read in time, and says so. Returns how many messages. */
uint64_t record_file_drop(struct record_file *file);

/* Hands over what there is, so that it is soon in the file. */
void record_file_flush(struct record_file *file);

/* What was written in all files. */
void record_file_bytes(const struct record_file *file, uint64_t *out_plain, uint64_t *out_file);

/* Writes the rest and ends. */
int record_file_end(struct record_file *file);

#endif
