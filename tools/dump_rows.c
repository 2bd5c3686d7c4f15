/* SPDX-License-Identifier: MIT */
/*
 * A recording as a table or as objects: see dump_rows.h. A table has the columns of all types side
 * by side, so that every row has the same ones: those of other types are empty.
 */
#include "dump_rows.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define HEAD_BYTES  256  /* more than what stands before a message's content */
#define PIECE_BYTES 3072 /* a multiple of 3, for base64 */

static int put_text(struct output *output, const char *text)
{
    return output_put(output, text, strlen(text));
}

/* Writes bytes through an encoder, piece by piece. */
static int put_encoded(const struct shmbus_record *record,
                       size_t encode(const void *data, size_t length, char *out), size_t growth,
                       struct output *output)
{
    const unsigned char *data = record->data;
    for (uint32_t done = 0; done < record->length;) {
        const uint32_t left = record->length - done;
        const uint32_t piece = left < PIECE_BYTES ? left : PIECE_BYTES;
        char *room = output_room(output, PIECE_BYTES * growth);
        if (!room) {
            return output->error;
        }
        output_keep(output, encode(data + done, piece, room));
        done += piece;
    }
    return output->error;
}

/* Doubles quotes, as CSV has them. */
static size_t quote(const void *data, size_t length, char *out)
{
    const char *bytes = data;
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] == '"') {
            out[used++] = '"';
        }
        out[used++] = bytes[i];
    }
    return used;
}

static int put_heading(struct dump_rows *rows)
{
    struct output *output = rows->output;
    put_text(output, "event,sequence,count,publish_ns,receive_ns,type,flags,length");
    for (uint32_t i = 0; i < rows->type_count; i++) {
        const struct dump_type *known = &rows->types[i];
        for (uint32_t k = 0; known->shown && k < known->fields.count; k++) {
            const struct field *field = &known->fields.field[k];
            output_put(output, ",", 1);
            put_text(output, known->type->name);
            output_put(output, ".", 1);
            output_put(output, field->name, field->name_length);
        }
    }
    return put_text(output, ",data,data_hex\n");
}

int dump_rows_begin(struct dump_rows *rows, const struct shmbus_type *types, uint32_t count,
                    const bool *wanted, bool json, struct output *output)
{
    rows->json = json;
    rows->output = output;
    rows->type_count = count;
    memset(rows->index, 0, sizeof(rows->index));
    rows->types = calloc(count > 0 ? count : 1, sizeof(*rows->types));
    if (!rows->types) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct dump_type *known = &rows->types[i];
        known->type = &types[i];
        known->shown = !wanted || wanted[types[i].type];
        if (!types[i].fields || fields_parse(types[i].fields, &known->fields) != 0) {
            known->fields.count = 0;
        }
        rows->index[types[i].type] = (uint16_t)(i + 1);
    }
    return json ? 0 : put_heading(rows);
}

/* The registered type of a message whose fields are all in it, or NULL. */
static const struct dump_type *fields_of(const struct dump_rows *rows,
                                         const struct shmbus_record *record)
{
    const uint16_t index = rows->index[record->type];
    const struct dump_type *known = index > 0 ? &rows->types[index - 1] : NULL;
    return known && known->fields.count > 0 && known->fields.bytes == record->length ? known : NULL;
}

static int put_row(struct dump_rows *rows, const struct shmbus_record *record)
{
    struct output *output = rows->output;
    const struct dump_type *of = fields_of(rows, record);
    for (uint32_t i = 0; i < rows->type_count; i++) {
        const struct dump_type *known = &rows->types[i];
        for (uint32_t k = 0; known->shown && k < known->fields.count; k++) {
            const char *mark = of == known && field_is_text(&known->fields.field[k]) ? "\"" : "";
            output_put(output, ",", 1);
            put_text(output, mark);
            if (of == known) {
                field_put(&known->fields.field[k], record->data, false, output);
            }
            put_text(output, mark);
        }
    }
    if (of) {
        return put_text(output, ",,\n");
    }
    if (!text_is_utf8(record->data, record->length)) {
        put_text(output, ",,");
        put_encoded(record, text_hex, TEXT_HEX_GROWTH, output);
        return put_text(output, "\n");
    }
    put_text(output, ",\"");
    put_encoded(record, quote, 2, output);
    return put_text(output, "\",\n");
}

static int put_fields(const struct dump_type *known, const struct shmbus_record *record,
                      struct output *output)
{
    put_text(output, ",\"fields\":{");
    for (uint32_t k = 0; k < known->fields.count; k++) {
        const struct field *field = &known->fields.field[k];
        const char *mark = field_is_text(field) ? "\"" : "";
        char *room = NULL;
        put_text(output, k > 0 ? ",\"" : "\"");
        room = output_room(output, (size_t)field->name_length * TEXT_JSON_GROWTH);
        if (!room) {
            return output->error;
        }
        output_keep(output, text_json(field->name, field->name_length, room));
        put_text(output, "\":");
        put_text(output, mark);
        field_put(field, record->data, true, output);
        put_text(output, mark);
    }
    return put_text(output, "}}\n");
}

static int put_object(struct dump_rows *rows, const struct shmbus_record *record)
{
    struct output *output = rows->output;
    const struct dump_type *known = fields_of(rows, record);
    const uint16_t index = rows->index[record->type];
    if (index > 0) {
        put_text(output, ",\"name\":\"");
        put_text(output, rows->types[index - 1].type->name);
        put_text(output, "\"");
    }
    if (known && text_is_utf8(known->type->fields, strlen(known->type->fields))) {
        return put_fields(known, record, output);
    }
    if (text_is_utf8(record->data, record->length)) {
        put_text(output, ",\"data\":\"");
        put_encoded(record, text_json, TEXT_JSON_GROWTH, output);
    } else {
        put_text(output, ",\"data_base64\":\"");
        put_encoded(record, text_base64, 2, output);
    }
    return put_text(output, "\"}\n");
}

const char *dump_rows_word(uint32_t kind)
{
    switch (kind) {
    case SHMBUS_RECORD_MESSAGE:
        return "message";
    case SHMBUS_RECORD_LOST:
        return "lost";
    case SHMBUS_RECORD_ABORTED:
        return "aborted";
    default:
        return "skipped";
    }
}

/* What was not recorded. */
static int put_range(struct dump_rows *rows, const struct shmbus_record *record)
{
    char *room = output_room(rows->output, HEAD_BYTES);
    int used = 0;
    if (!room) {
        return rows->output->error;
    }
    if (rows->json) {
        used = snprintf(room, HEAD_BYTES,
                        "{\"event\":\"%s\",\"first\":%" PRIu64 ",\"count\":%" PRIu64 "}\n",
                        dump_rows_word(record->kind), record->sequence, record->count);
        output_keep(rows->output, (size_t)used);
        return rows->output->error;
    }
    used =
        snprintf(room, HEAD_BYTES, "%s,%" PRIu64 ",%" PRIu64 ",,%" PRId64 ",,,",
                 dump_rows_word(record->kind), record->sequence, record->count, record->receive_ns);
    output_keep(rows->output, (size_t)used);
    for (uint32_t i = 0; i < rows->type_count; i++) {
        for (uint32_t k = 0; rows->types[i].shown && k < rows->types[i].fields.count; k++) {
            output_put(rows->output, ",", 1);
        }
    }
    return put_text(rows->output, ",,\n");
}

int dump_rows_put(struct dump_rows *rows, const struct shmbus_record *record)
{
    char *room = NULL;
    int used = 0;
    if (record->kind != SHMBUS_RECORD_MESSAGE) {
        return put_range(rows, record);
    }
    room = output_room(rows->output, HEAD_BYTES);
    if (!room) {
        return rows->output->error;
    }
    used = snprintf(room, HEAD_BYTES,
                    rows->json ? "{\"sequence\":%" PRIu64 ",\"publish_ns\":%" PRId64
                                 ",\"receive_ns\":%" PRId64 ",\"type\":%u,\"flags\":%u,"
                                 "\"length\":%" PRIu32
                               : "message,%" PRIu64 ",1,%" PRId64 ",%" PRId64 ",%u,%u,%" PRIu32,
                    record->sequence, record->publish_ns, record->receive_ns,
                    (unsigned)record->type, (unsigned)record->flags, record->length);
    output_keep(rows->output, (size_t)used);
    return rows->json ? put_object(rows, record) : put_row(rows, record);
}

void dump_rows_end(struct dump_rows *rows)
{
    free(rows->types);
    rows->types = NULL;
}
