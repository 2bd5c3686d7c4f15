/* SPDX-License-Identifier: MIT */
/*
 * Bytes as text: see text.h. The check of UTF-8 follows table 3-7 of the Unicode standard: the lead
 * byte fixes the length and the range of the second byte, which is what shuts out overlong forms,
 * surrogates and everything above U+10FFFF.
 */
#include "text.h"

#include <stdint.h>
#include <string.h>

#define HIGH_BITS 0x8080808080808080u

static const char hex_digits[] = "0123456789abcdef";

/* The length of the well-formed sequence at `at`, or 0. */
static size_t sequence_length(const unsigned char *at, size_t left)
{
    const unsigned char lead = at[0];
    unsigned char low = 0x80;
    unsigned char high = 0xbf;
    size_t length = 0;
    if (lead < 0x80) {
        return 1;
    }
    if (lead >= 0xc2 && lead <= 0xdf) {
        length = 2;
    } else if (lead >= 0xe0 && lead <= 0xef) {
        length = 3;
        low = lead == 0xe0 ? 0xa0 : low;
        high = lead == 0xed ? 0x9f : high;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
        length = 4;
        low = lead == 0xf0 ? 0x90 : low;
        high = lead == 0xf4 ? 0x8f : high;
    }
    if (length == 0 || left < length || at[1] < low || at[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return length;
}

bool text_is_utf8(const void *data, size_t length)
{
    const unsigned char *bytes = data;
    size_t at = 0;
    while (at < length) {
        uint64_t word;
        if (length - at >= sizeof(word)) {
            memcpy(&word, bytes + at, sizeof(word));
            if ((word & HIGH_BITS) == 0) {
                at += sizeof(word);
                continue;
            }
        }
        const size_t step = sequence_length(bytes + at, length - at);
        if (step == 0) {
            return false;
        }
        at += step;
    }
    return true;
}

/* The letter of JSON's short escape for a byte, or 0. */
static char short_escape(unsigned char byte)
{
    switch (byte) {
    case '"':
    case '\\':
        return (char)byte;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

size_t text_json(const void *data, size_t length, char *out)
{
    const unsigned char *bytes = data;
    char *at = out;
    for (size_t i = 0; i < length; i++) {
        const unsigned char byte = bytes[i];
        const char letter = short_escape(byte);
        if (letter) {
            *at++ = '\\';
            *at++ = letter;
        } else if (byte < 0x20 || byte == 0x7f) {
            *at++ = '\\';
            *at++ = 'u';
            *at++ = '0';
            *at++ = '0';
            at += text_hex(&byte, 1, at);
        } else {
            *at++ = (char)byte;
        }
    }
    return (size_t)(at - out);
}

size_t text_base64(const void *data, size_t length, char *out)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    const uint32_t padding = 64;
    const unsigned char *bytes = data;
    char *at = out;
    for (size_t i = 0; i < length; i += 3) {
        const size_t left = length - i;
        const uint32_t group = (uint32_t)bytes[i] << 16 |
                               (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                               (left > 2 ? bytes[i + 2] : 0);
        *at++ = digits[group >> 18];
        *at++ = digits[group >> 12 & 63];
        *at++ = digits[left > 1 ? group >> 6 & 63 : padding];
        *at++ = digits[left > 2 ? group & 63 : padding];
    }
    return (size_t)(at - out);
}

size_t text_hex(const void *data, size_t length, char *out)
{
    const unsigned char *bytes = data;
    for (size_t i = 0; i < length; i++) {
        out[2 * i] = hex_digits[bytes[i] >> 4];
        out[2 * i + 1] = hex_digits[bytes[i] & 15];
    }
    return 2 * length;
}

/* U+0080 to U+009F, which some terminals obey like the ones below 32. */
static bool is_high_control(const unsigned char *at)
{
    return at[0] == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f;
}

char *text_printable(const char *string, char *out)
{
    const size_t length = strlen(string);
    const bool utf8 = text_is_utf8(string, length);
    const unsigned char *bytes = (const unsigned char *)string;
    char *at = out;
    for (size_t i = 0; i < length; i++) {
        const bool second = i > 0 && is_high_control(bytes + i - 1);
        const bool escape = bytes[i] < 0x20 || bytes[i] == 0x7f || (bytes[i] > 0x7f && !utf8) ||
                            second || is_high_control(bytes + i);
        if (escape) {
            *at++ = '\\';
            *at++ = 'x';
            at += text_hex(bytes + i, 1, at);
            continue;
        }
        if (bytes[i] == '\\') {
            *at++ = '\\';
        }
        *at++ = (char)bytes[i];
    }
    *at = '\0';
    return out;
}
