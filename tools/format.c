/* SPDX-License-Identifier: MIT */
/*
 * The forms in which shmbus-sub writes a message: see format.h. Text forms grow, so a payload goes
 * through them piece by piece, each piece straight into the output's block.
 */
#include "format.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

#define PIECE_BYTES 3072 /* a multiple of 3, for base64 */
#define HEAD_BYTES  128  /* more than a JSON object's text before its data */

typedef size_t encoder(const void *data, size_t length, char *out);

int format_find(const char *name, enum format *out_format)
{
    static const struct {
        const char *name;
        enum format format;
    } formats[] = {
        {"lines", FORMAT_LINES}, {"raw", FORMAT_RAW},   {"len32", FORMAT_LEN32},
        {"hex", FORMAT_HEX},     {"json", FORMAT_JSON},
    };
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        if (strcmp(name, formats[i].name) == 0) {
            *out_format = formats[i].format;
            return 0;
        }
    }
    return -EINVAL;
}

static int put_encoded(const struct shmbus_message *message, encoder *encode, size_t growth,
                       struct output *output)
{
    const unsigned char *data = message->data;
    for (size_t done = 0; done < message->length;) {
        const size_t left = message->length - done;
        const size_t piece = left < PIECE_BYTES ? left : PIECE_BYTES;
        char *room = output_room(output, PIECE_BYTES * growth);
        if (!room) {
            return output->error;
        }
        output_keep(output, encode(data + done, piece, room));
        done += piece;
    }
    return output->error;
}

static int put_json(const struct shmbus_message *message, struct output *output)
{
    const bool utf8 = text_is_utf8(message->data, message->length);
    char *room = output_room(output, HEAD_BYTES);
    if (!room) {
        return output->error;
    }
    const int head =
        snprintf(room, HEAD_BYTES, "{\"sequence\":%llu,\"type\":%u,\"length\":%u,\"%s\":\"",
                 (unsigned long long)message->sequence, message->type, message->length,
                 utf8 ? "data" : "data_base64");
    output_keep(output, (size_t)head);
    if (utf8) {
        put_encoded(message, text_json, TEXT_JSON_GROWTH, output);
    } else {
        put_encoded(message, text_base64, 2, output);
    }
    return output_put(output, "\"}\n", 3);
}

int format_message(enum format format, const struct shmbus_message *message, struct output *output)
{
    const uint32_t length = message->length;
    const unsigned char head[4] = {length & 0xff, length >> 8 & 0xff, length >> 16 & 0xff,
                                   length >> 24};
    switch (format) {
    case FORMAT_LINES:
        output_put(output, message->data, length);
        return output_put(output, "\n", 1);
    case FORMAT_LEN32:
        output_put(output, head, sizeof(head));
        return output_put(output, message->data, length);
    case FORMAT_HEX:
        put_encoded(message, text_hex, TEXT_HEX_GROWTH, output);
        return output_put(output, "\n", 1);
    case FORMAT_JSON:
        return put_json(message, output);
    case FORMAT_RAW:
        break;
    }
    return output_put(output, message->data, length);
}
