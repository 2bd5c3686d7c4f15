/* SPDX-License-Identifier: MIT */
/*
 * Bytes as text: is it UTF-8, and how to write it in JSON, base64, hex, or on a terminal without
 * the terminal obeying it. Pure functions over the caller's buffers. What a message or a segment
 * holds was written by somebody else, so nothing here trusts it.
 */
#ifndef SHMBUS_TOOLS_TEXT_H
#define SHMBUS_TOOLS_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* The most bytes that one byte may become. */
#define TEXT_JSON_GROWTH      6 /* \u00XX */
#define TEXT_PRINTABLE_GROWTH 4 /* \xXX */
#define TEXT_HEX_GROWTH       2

/* The size of base64 text for so many bytes, padding included. */
#define TEXT_BASE64_BYTES(length) (((length) + 2) / 3 * 4)

/* Is it valid UTF-8: no overlong form, no surrogate, nothing above U+10FFFF, nothing cut off? */
bool text_is_utf8(const void *data, size_t length);

/*
 * Writes valid UTF-8 as the inside of a JSON string; returns the bytes written, at most
 * TEXT_JSON_GROWTH times length. May be called piece by piece, wherever the text is cut.
 */
size_t text_json(const void *data, size_t length, char *out);

/* Writes base64 with padding; all pieces but the last must be a multiple of 3 long. */
size_t text_base64(const void *data, size_t length, char *out);

/* Writes two lower-case hex digits for each byte. */
size_t text_hex(const void *data, size_t length, char *out);

/*
 * Writes a string so that it can be printed: a backslash doubled, every control character and,
 * unless all is valid UTF-8, every byte above 126 as \xXX. Ends it with a NUL; out has room for
 * TEXT_PRINTABLE_GROWTH times the length and the NUL. Returns out.
 */
char *text_printable(const char *string, char *out);

#endif
