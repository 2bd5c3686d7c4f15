/* SPDX-License-Identifier: MIT */
/*
 * Input cut into records, as shmbus-pub publishes them: lines, records of one size, or records with
 * their length before them. Reads large blocks; hands out every whole record of what has been read
 * before it reads again, in place; grows its memory for a record that does not fit, up to a limit.
 */
#ifndef SHMBUS_TOOLS_FRAMING_H
#define SHMBUS_TOOLS_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAMING_READ_BYTES  262144     /* asked for at once */
#define FRAMING_RECORD_MOST 1073741824 /* the greatest limit */

enum framing_kind {
    FRAMING_LINES, /* a newline ends a record, and at the end of input it may be missing */
    FRAMING_RAW,   /* record_bytes each */
    FRAMING_LEN32, /* 32 bits of length, little-endian, before each */
};

enum framing_result {
    FRAMING_RECORD,   /* here is one */
    FRAMING_MORE,     /* read on with framing_fill() */
    FRAMING_END,      /* the input ended where a record ends */
    FRAMING_CUT,      /* the input ended inside a record, of which `part` of `size` bytes came */
    FRAMING_TOO_LONG, /* the record of `size` bytes is longer than the limit */
};

struct framing_record {
    const unsigned char *data; /* good until the next framing_fill() */
    uint64_t size;             /* bytes; of a line that is too long at least so many, see `whole` */
    uint64_t part;             /* FRAMING_CUT: bytes that there are of it */
    uint64_t number;           /* of the record or line, from 1 */
    bool whole;                /* FRAMING_TOO_LONG: size is all of it */
    bool in_length; /* FRAMING_CUT: it is the four length bytes that are cut, size and part count
                       them */
};

struct framing {
    enum framing_kind kind;
    uint64_t record_bytes; /* FRAMING_RAW */
    uint64_t limit;        /* bytes of the longest record, at most FRAMING_RECORD_MOST */
    unsigned char *buffer;
    size_t room;      /* of buffer */
    size_t begin;     /* of the record to come */
    size_t scanned;   /* no newline between begin and here */
    size_t end;       /* of what has been read */
    uint64_t count;   /* records handed out */
    uint64_t skipped; /* bytes of a line that is too long, already dropped */
    bool ended;       /* end of input was seen */
};

/* Begins; 0 or -ENOMEM. */
int framing_begin(struct framing *framing, enum framing_kind kind, uint64_t record_bytes,
                  uint64_t limit);

/* Frees the memory. */
void framing_end(struct framing *framing);

/* Takes the next record, or says what to do or what is wrong with it. */
enum framing_result framing_next(struct framing *framing, struct framing_record *out_record);

/*
 * Reads once from fd, when framing_next() asked for more. Returns the bytes read, 0 at the end of
 * input, -EINTR or -EAGAIN when nothing came, -ENOMEM, or another negative errno of read().
 */
long framing_fill(struct framing *framing, int fd);

#endif
