/* SPDX-License-Identifier: MIT */
/*
 * A descriptor written to in large blocks. What is put into it is kept until the block is full or
 * output_flush() is called. After an error it takes no more, and says so each time.
 */
#ifndef SHMBUS_TOOLS_OUTPUT_H
#define SHMBUS_TOOLS_OUTPUT_H

#include <stddef.h>

#define OUTPUT_BLOCK_BYTES 262144

struct output {
    int fd;
    int error; /* 0, or the negative errno of the write that failed */
    size_t used;
    char block[OUTPUT_BLOCK_BYTES];
};

/* Begins with nothing kept. */
void output_begin(struct output *output, int fd);

/* Adds bytes; 0 or a negative errno. */
int output_put(struct output *output, const void *data, size_t length);

/* Lends a place for at most length (up to OUTPUT_BLOCK_BYTES) bytes; NULL after an error. */
char *output_room(struct output *output, size_t length);

/* Adds the first length bytes of the place that output_room() lent. */
void output_keep(struct output *output, size_t length);

/*
 * Writes out all that is kept; 0 or a negative errno. A write that blocks sits out the first signal
 * of stop_count(), so that what was consumed is not lost, and gives up at the second with -EINTR.
 */
int output_flush(struct output *output);

#endif
