/* SPDX-License-Identifier: MIT */
/*
 * Input cut into records: see framing.h. The buffer holds the records [begin, end) that are still
 * to be handed out; only what is left of a cut record is ever moved, to the front, before the next
 * read. A line that is longer than the limit is read to its end without being kept, so that the
 * error can tell its size, but no further than FRAMING_RECORD_MOST: no option helps beyond that.
 */
#include "framing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LENGTH_BYTES 4

int framing_begin(struct framing *framing, enum framing_kind kind, uint64_t record_bytes,
                  uint64_t limit)
{
    *framing = (struct framing){
        .kind = kind,
        .record_bytes = record_bytes,
        .limit = limit,
        .room = FRAMING_READ_BYTES,
    };
    framing->buffer = malloc(framing->room);
    return framing->buffer ? 0 : -ENOMEM;
}

void framing_end(struct framing *framing)
{
    free(framing->buffer);
    framing->buffer = NULL;
}

/* Hands out size bytes that begin after `before` bytes, and drops `after` bytes behind them. */
static enum framing_result take(struct framing *framing, size_t before, size_t size, size_t after,
                                struct framing_record *out_record)
{
    framing->count++;
    out_record->data = framing->buffer + framing->begin + before;
    out_record->size = size;
    out_record->number = framing->count;
    framing->begin += before + size + after;
    framing->scanned = framing->begin;
    return FRAMING_RECORD;
}

static enum framing_result too_long(const struct framing *framing, uint64_t size, bool whole,
                                    struct framing_record *out_record)
{
    out_record->size = size;
    out_record->number = framing->count + 1;
    out_record->whole = whole;
    return FRAMING_TOO_LONG;
}

static enum framing_result next_line(struct framing *framing, struct framing_record *out_record)
{
    const unsigned char *newline = NULL;
    if (framing->end > framing->scanned) {
        newline = memchr(framing->buffer + framing->scanned, '\n', framing->end - framing->scanned);
    }
    const size_t stop = newline ? (size_t)(newline - framing->buffer) : framing->end;
    const size_t size = stop - framing->begin;
    const uint64_t whole_size = framing->skipped + size;
    const bool whole = newline || framing->ended;
    framing->scanned = stop;
    if (whole_size > framing->limit && (whole || whole_size >= FRAMING_RECORD_MOST)) {
        return too_long(framing, whole_size, whole, out_record);
    }
    if (newline) {
        return take(framing, 0, size, 1, out_record);
    }
    if (!framing->ended) {
        return FRAMING_MORE;
    }
    return size > 0 ? take(framing, 0, size, 0, out_record) : FRAMING_END;
}

static enum framing_result cut(const struct framing *framing, uint64_t size, uint64_t part,
                               bool in_length, struct framing_record *out_record)
{
    out_record->size = size;
    out_record->part = part;
    out_record->number = framing->count + 1;
    out_record->in_length = in_length;
    return FRAMING_CUT;
}

static enum framing_result next_sized(struct framing *framing, struct framing_record *out_record)
{
    const size_t there = framing->end - framing->begin;
    const unsigned char *at = framing->buffer + framing->begin;
    const size_t before = framing->kind == FRAMING_LEN32 ? LENGTH_BYTES : 0;
    uint64_t size = framing->record_bytes;
    if (there == 0) {
        return framing->ended ? FRAMING_END : FRAMING_MORE;
    }
    if (there < before) {
        return framing->ended ? cut(framing, before, there, true, out_record) : FRAMING_MORE;
    }
    if (framing->kind == FRAMING_LEN32) {
        size = at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24;
    }
    if (size > framing->limit) {
        return too_long(framing, size, true, out_record);
    }
    if (there - before >= size) {
        return take(framing, before, (size_t)size, 0, out_record);
    }
    return framing->ended ? cut(framing, size, there - before, false, out_record) : FRAMING_MORE;
}

enum framing_result framing_next(struct framing *framing, struct framing_record *out_record)
{
    *out_record = (struct framing_record){0};
    return framing->kind == FRAMING_LINES ? next_line(framing, out_record)
                                          : next_sized(framing, out_record);
}

/* Makes room behind what is kept; 0 or -ENOMEM. */
static int make_room(struct framing *framing)
{
    const size_t kept = framing->end - framing->begin;
    if (framing->kind == FRAMING_LINES && framing->skipped + kept > framing->limit) {
        framing->skipped += kept;
        framing->begin = framing->end;
    }
    const size_t left = framing->end - framing->begin;
    if (framing->begin > 0) {
        memmove(framing->buffer, framing->buffer + framing->begin, left);
        framing->scanned -= framing->begin;
        framing->begin = 0;
        framing->end = left;
    }
    if (framing->room - left >= FRAMING_READ_BYTES / 2) {
        return 0;
    }
    unsigned char *larger = realloc(framing->buffer, framing->room * 2);
    if (!larger) {
        return -ENOMEM;
    }
    framing->buffer = larger;
    framing->room *= 2;
    return 0;
}

long framing_fill(struct framing *framing, int fd)
{
    const int result = make_room(framing);
    if (result != 0) {
        return result;
    }
    const ssize_t count = read(fd, framing->buffer + framing->end, framing->room - framing->end);
    if (count < 0) {
        return -errno;
    }
    framing->ended = count == 0;
    framing->end += (size_t)count;
    return count;
}
