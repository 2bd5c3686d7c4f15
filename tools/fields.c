/* SPDX-License-Identifier: MIT */
/* The fields of a registered type: see fields.h. */
#include "fields.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

#define NUMBER_BYTES 40 /* more than a number's text */

/* Is that a size that values of this kind have? */
static bool size_fits(char kind, uint32_t bytes)
{
    switch (kind) {
    case 'i':
    case 'u':
        return bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8;
    case 'f':
        return bytes == 4 || bytes == 8;
    case 'b':
        return bytes == 1;
    case 'S':
    case 'V':
        return bytes >= 1 && bytes <= FIELD_BYTES_MOST;
    default:
        return false;
    }
}

/* Reads what stands behind the colon, up to the comma or the end; its end, or NULL. */
static const char *parse_type(const char *at, struct field *field)
{
    uint32_t bytes = 0;
    field->big = *at == '>' || (*at == '=' && BYTE_ORDER == BIG_ENDIAN);
    at += strchr("<>=|", *at) && *at != '\0';
    field->kind = *at;
    if (*at == '?') {
        field->kind = 'b';
    }
    if (*at == '?' && (at[1] == '\0' || at[1] == ',')) {
        field->bytes = 1;
        return at + 1;
    }
    if (*at == '\0') {
        return NULL;
    }
    for (at++; *at >= '0' && *at <= '9' && bytes <= FIELD_BYTES_MOST; at++) {
        bytes = bytes * 10 + (uint32_t)(*at - '0');
    }
    /* A time is a number of its unit. */
    if ((field->kind == 'M' || field->kind == 'm') && *at == '[') {
        const char *close = strchr(at, ']');
        at = close ? close + 1 : at;
        field->kind = 'i';
    }
    field->bytes = bytes;
    return (*at == '\0' || *at == ',') && size_fits(field->kind, bytes) ? at : NULL;
}

int fields_parse(const char *list, struct fields *out_fields)
{
    const char *at = list;
    out_fields->count = 0;
    out_fields->bytes = 0;
    while (*at != '\0') {
        struct field *field = &out_fields->field[out_fields->count];
        const char *colon = strchr(at, ':');
        if (!colon || colon == at || out_fields->count == FIELDS_MOST - 1) {
            return -EINVAL;
        }
        field->name = at;
        field->name_length = (uint32_t)(colon - at);
        at = parse_type(colon + 1, field);
        if (!at) {
            return -EINVAL;
        }
        field->offset = out_fields->bytes;
        out_fields->bytes += field->bytes;
        out_fields->count++;
        at += *at == ',';
    }
    return out_fields->count > 0 ? 0 : -EINVAL;
}

bool field_is_text(const struct field *field)
{
    return field->kind == 'S' || field->kind == 'V';
}

/* The value's bits, in this machine's order. */
static uint64_t load(const struct field *field, const unsigned char *at)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < field->bytes; i++) {
        const uint32_t from = field->big ? i : field->bytes - 1 - i;
        bits = bits << 8 | at[from];
    }
    return bits;
}

static int put_float(const struct field *field, uint64_t bits, bool json, char *room)
{
    double value = 0;
    if (field->bytes == 4) {
        const uint32_t half = (uint32_t)bits;
        float single = 0;
        memcpy(&single, &half, sizeof(single));
        value = (double)single;
    } else {
        memcpy(&value, &bits, sizeof(value));
    }
    if (json && !isfinite(value)) {
        return snprintf(room, NUMBER_BYTES, "null");
    }
    return snprintf(room, NUMBER_BYTES, "%.*g", field->bytes == 4 ? 9 : 17, value);
}

/* Text up to its first NUL, as it is with quotes doubled, or in JSON escaped; else hex digits. */
static int put_text(const struct field *field, const unsigned char *at, bool json,
                    struct output *output)
{
    char *room = output_room(output, (size_t)FIELD_BYTES_MOST * TEXT_JSON_GROWTH);
    const size_t length = field->kind == 'S' ? strnlen((const char *)at, field->bytes) : 0;
    if (!room) {
        return output->error;
    }
    if (field->kind == 'V' || !text_is_utf8(at, length)) {
        output_keep(output, text_hex(at, field->bytes, room));
        return output->error;
    }
    size_t used = json ? text_json(at, length, room) : 0;
    for (size_t i = 0; i < length && !json; i++) {
        if (at[i] == '"') {
            room[used++] = '"';
        }
        room[used++] = (char)at[i];
    }
    output_keep(output, used);
    return output->error;
}

int field_put(const struct field *field, const void *message, bool json, struct output *output)
{
    const unsigned char *at = (const unsigned char *)message + field->offset;
    if (field_is_text(field)) {
        return put_text(field, at, json, output);
    }
    const uint64_t bits = load(field, at);
    const unsigned unused = 64 - 8 * field->bytes;
    char *room = output_room(output, NUMBER_BYTES);
    int used = 0;
    if (!room) {
        return output->error;
    }
    if (field->kind == 'f') {
        used = put_float(field, bits, json, room);
    } else if (field->kind == 'b') {
        used = snprintf(room, NUMBER_BYTES, "%s", bits ? "true" : "false");
    } else if (field->kind == 'i') {
        used = snprintf(room, NUMBER_BYTES, "%" PRId64, (int64_t)(bits << unused) >> unused);
    } else {
        used = snprintf(room, NUMBER_BYTES, "%" PRIu64, bits);
    }
    output_keep(output, (size_t)used);
    return output->error;
}
