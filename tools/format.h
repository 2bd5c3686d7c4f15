/* SPDX-License-Identifier: MIT */
/*
 * The forms in which shmbus-sub writes a message: bytes as they are (lines, raw, len32) or as text
 * (hex, json).
 */
#ifndef SHMBUS_TOOLS_FORMAT_H
#define SHMBUS_TOOLS_FORMAT_H

#include <shmbus/shmbus.h>

#include "output.h"

enum format {
    FORMAT_LINES, /* the payload and a newline */
    FORMAT_RAW,   /* the payload and nothing else */
    FORMAT_LEN32, /* its length as 32 bits, little-endian, and the payload */
    FORMAT_HEX,   /* a line of two hex digits a byte */
    FORMAT_JSON,  /* a line with an object: sequence type length, and data or data_base64 */
};

/* Finds a format by name; 0, or -EINVAL when there is none of that name. */
int format_find(const char *name, enum format *out_format);

/* Writes one message; 0 or the output's negative errno. */
int format_message(enum format format, const struct shmbus_message *message, struct output *output);

#endif
