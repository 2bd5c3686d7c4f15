/* SPDX-License-Identifier: MIT */
/* Inputs of the target `segment` as bytes: see case.h. */
#include "case.h"

#include <string.h>

#define HEAD_BYTES  12u
#define PIECE_BYTES 6u
#define PIECE_MOST  UINT16_MAX
#define IN_CONTROL  UINT32_C(0x80000000)
#define GAP         8u /* so many zeros end a piece */

static size_t least(size_t one, size_t other)
{
    return one < other ? one : other;
}

static uint32_t bounded(uint32_t value, uint32_t most)
{
    return value <= most ? value : value % (most + 1);
}

void case_read(const uint8_t *input, size_t size, struct fuzz_case *out_case)
{
    uint32_t sizes[2] = {0, 0};
    uint16_t steps = 0;
    memset(out_case, 0, sizeof *out_case);
    if (size < HEAD_BYTES)
        return;
    memcpy(sizes, input, sizeof sizes);
    memcpy(&steps, input + sizeof sizes, sizeof steps);
    out_case->feed_bytes = bounded(sizes[0], CASE_FEED_MOST);
    out_case->control_bytes = bounded(sizes[1], CASE_CONTROL_MOST);
    size_t at = HEAD_BYTES;
    out_case->step_bytes = (uint32_t)least(bounded(steps, CASE_STEPS_MOST), size - at);
    memcpy(out_case->steps, input + at, out_case->step_bytes);
    at += out_case->step_bytes;
    while (size - at > PIECE_BYTES) {
        uint32_t place;
        uint16_t given;
        memcpy(&place, input + at, sizeof place);
        memcpy(&given, input + at + sizeof place, sizeof given);
        at += PIECE_BYTES;
        size_t length = least(given, size - at);
        unsigned char *file = place & IN_CONTROL ? out_case->control : out_case->feed;
        uint32_t bytes = place & IN_CONTROL ? out_case->control_bytes : out_case->feed_bytes;
        place &= ~IN_CONTROL;
        if (place < bytes)
            memcpy(file + place, input + at, least(length, bytes - place));
        at += length;
    }
}

/* Where the next byte that is not 0 is. */
static uint32_t next_set(const unsigned char *file, uint32_t at, uint32_t bytes)
{
    static const unsigned char none[64];
    while (at < bytes && file[at] == 0) {
        if (bytes - at >= sizeof none && memcmp(file + at, none, sizeof none) == 0)
            at += sizeof none;
        else
            at++;
    }
    return at;
}

/* Where a piece that begins here ends: before a run of zeros, or when it is long enough. */
static uint32_t piece_end(const unsigned char *file, uint32_t at, uint32_t bytes)
{
    uint32_t most = bytes - at < PIECE_MOST ? bytes : at + PIECE_MOST;
    uint32_t end = at;
    for (uint32_t i = at; i < most && i - end < GAP; i++)
        if (file[i] != 0)
            end = i + 1;
    return end;
}

static size_t write_pieces(const unsigned char *file, uint32_t bytes, uint32_t bit,
                           uint8_t *out_input, size_t at, size_t room)
{
    uint32_t place = next_set(file, 0, bytes);
    while (place < bytes && room - at > PIECE_BYTES) {
        uint32_t end = piece_end(file, place, bytes);
        uint32_t named = place | bit;
        uint16_t length = (uint16_t)least(end - place, room - at - PIECE_BYTES);
        memcpy(out_input + at, &named, sizeof named);
        memcpy(out_input + at + sizeof named, &length, sizeof length);
        memcpy(out_input + at + PIECE_BYTES, file + place, length);
        at += PIECE_BYTES + length;
        place = next_set(file, end, bytes);
    }
    return at;
}

size_t case_write(const struct fuzz_case *from, uint8_t *out_input, size_t room)
{
    const uint32_t sizes[2] = {from->feed_bytes, from->control_bytes};
    if (room < HEAD_BYTES)
        return 0;
    uint16_t steps = (uint16_t)least(from->step_bytes, room - HEAD_BYTES);
    memset(out_input, 0, HEAD_BYTES);
    memcpy(out_input, sizes, sizeof sizes);
    memcpy(out_input + sizeof sizes, &steps, sizeof steps);
    memcpy(out_input + HEAD_BYTES, from->steps, steps);
    size_t at = HEAD_BYTES + steps;
    at = write_pieces(from->feed, from->feed_bytes, 0, out_input, at, room);
    return write_pieces(from->control, from->control_bytes, IN_CONTROL, out_input, at, room);
}
