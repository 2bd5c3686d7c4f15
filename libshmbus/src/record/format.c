/* SPDX-License-Identifier: MIT */
/* The bytes of a recording: see format.h. */
#include "record/format.h"

#include <errno.h>
#include <shmbus/record.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define SUM_BASIS 0xcbf29ce484222325u /* FNV-1a's */
#define SUM_PRIME 0x100000001b3u

static _Thread_local char error_text[512];

const char *shmbus_record_error_text(void)
{
    return error_text;
}

int format_failed(int error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error_text, sizeof error_text, format, arguments);
    va_end(arguments);
    return error;
}

uint64_t format_checksum(const void *data, size_t bytes)
{
    const unsigned char *at = data;
    uint64_t sum = SUM_BASIS;
    for (size_t i = 0; i < bytes; i++)
        sum = (sum ^ at[i]) * SUM_PRIME;
    return sum;
}

static inline uint64_t sum_word(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * SUM_PRIME;
    return sum << 29 | sum >> 35; /* so that the highest bits do not stay where they are */
}

uint64_t format_frame_checksum(const void *data, size_t bytes)
{
    const char *at = data;
    uint64_t first = SUM_BASIS, second = SUM_BASIS, third = SUM_BASIS, fourth = SUM_BASIS;
    uint64_t words[4];
    size_t left = bytes;
    for (;; left -= sizeof words, at += sizeof words) {
        if (left < sizeof words) {
            memset(words, 0, sizeof words);
            memcpy(words, at, left);
        } else {
            memcpy(words, at, sizeof words);
        }
        first = sum_word(first, words[0]);
        second = sum_word(second, words[1]);
        third = sum_word(third, words[2]);
        fourth = sum_word(fourth, words[3]);
        if (left < sizeof words)
            break;
    }
    const uint64_t all[] = {first, second, third, fourth, bytes};
    uint64_t total = SUM_BASIS;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        total = (total ^ all[i]) * SUM_PRIME;
    return total;
}

uint64_t format_own_checksum(const void *data, size_t bytes)
{
    return format_checksum((const char *)data + sizeof(uint64_t), bytes - sizeof(uint64_t));
}

int format_read(int file, void *data, size_t bytes, uint64_t offset)
{
    char *at = data;
    while (bytes > 0) {
        ssize_t count = pread(file, at, bytes, (off_t)offset);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count == 0 ? -EBADMSG : -errno;
        at += count;
        bytes -= (size_t)count;
        offset += (uint64_t)count;
    }
    return 0;
}

int format_write(int file, const void *data, size_t bytes, uint64_t offset)
{
    const char *at = data;
    while (bytes > 0) {
        ssize_t count = pwrite(file, at, bytes, (off_t)offset);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count == 0 ? -EIO : -errno;
        at += count;
        bytes -= (size_t)count;
        offset += (uint64_t)count;
    }
    return 0;
}

int format_keep_head(struct format_head **heads, uint64_t *count, const struct format_head *head)
{
    /* Doubled whenever the number is a power of two. */
    if ((*count & (*count - 1)) == 0) {
        const size_t room = *count == 0 ? 1 : *count * 2;
        struct format_head *larger = realloc(*heads, room * sizeof *larger);
        if (larger == NULL)
            return format_failed(-ENOMEM, "no memory left for an index");
        *heads = larger;
    }
    (*heads)[(*count)++] = *head;
    return 0;
}

int64_t format_now_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
