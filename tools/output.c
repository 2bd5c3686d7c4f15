/* SPDX-License-Identifier: MIT */
/*
 * A descriptor written to in large blocks: see output.h. What is larger than a block goes from the
 * caller's memory, in place, without another copy.
 */
#include "output.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "stop.h"

void output_begin(struct output *output, int fd)
{
    output->fd = fd;
    output->error = 0;
    output->used = 0;
}

static int write_all(struct output *output, const char *data, size_t length)
{
    while (length > 0 && output->error == 0) {
        const ssize_t written = write(output->fd, data, length);
        if (written >= 0) {
            data += written;
            length -= (size_t)written;
        } else if (errno == EAGAIN) {
            /* Somebody made the descriptor non-blocking, e.g. a program that shares it. */
            struct pollfd writable = {.fd = output->fd, .events = POLLOUT};
            poll(&writable, 1, -1);
        } else if (errno != EINTR) {
            output->error = -errno;
        }
        if (length > 0 && output->error == 0 && stop_count() > 1) {
            output->error = -EINTR;
        }
    }
    return output->error;
}

int output_flush(struct output *output)
{
    const size_t used = output->used;
    output->used = 0;
    return write_all(output, output->block, used);
}

int output_put(struct output *output, const void *data, size_t length)
{
    if (length > OUTPUT_BLOCK_BYTES - output->used) {
        output_flush(output);
    }
    if (length >= OUTPUT_BLOCK_BYTES) {
        return write_all(output, data, length);
    }
    if (length > 0) {
        memcpy(output->block + output->used, data, length);
        output->used += length;
    }
    return output->error;
}

char *output_room(struct output *output, size_t length)
{
    if (length > OUTPUT_BLOCK_BYTES - output->used) {
        output_flush(output);
    }
    return output->error ? NULL : output->block + output->used;
}

void output_keep(struct output *output, size_t length)
{
    output->used += length;
}
