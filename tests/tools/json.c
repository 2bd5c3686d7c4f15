/* SPDX-License-Identifier: MIT */
/*
 * A small strict reader of JSON: see json.h. skip_...() functions return where the value ends, or
 * NULL when it is no such value; all text ends with a NUL, which is in no value.
 */
#include "json.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

static const char *skip_value(const char *at, unsigned depth);

static const char *skip_space(const char *at)
{
    return at + strspn(at, " \t\r\n");
}

static const char *skip_string(const char *at)
{
    if (*at++ != '"') {
        return NULL;
    }
    for (; *at != '"'; at++) {
        if ((unsigned char)*at < 0x20) {
            return NULL;
        }
        if (*at != '\\') {
            continue;
        }
        at++;
        if (*at == 'u') {
            for (int i = 0; i < 4; i++) {
                if (!isxdigit((unsigned char)*++at)) {
                    return NULL;
                }
            }
        } else if (*at == '\0' || !strchr("\"\\/bfnrt", *at)) {
            return NULL;
        }
    }
    return at + 1;
}

static const char *skip_digits(const char *at)
{
    const char *end = at + strspn(at, "0123456789");
    return end > at ? end : NULL;
}

static const char *skip_number(const char *at)
{
    at += *at == '-';
    at = *at == '0' ? at + 1 : skip_digits(at);
    if (at && *at == '.') {
        at = skip_digits(at + 1);
    }
    if (at && (*at == 'e' || *at == 'E')) {
        at++;
        at = skip_digits(at + (*at == '+' || *at == '-'));
    }
    return at;
}

/* An object (with keys) or an array (without), from its opening bracket on. */
static const char *skip_members(const char *at, char close, bool keys, unsigned depth)
{
    at = skip_space(at + 1);
    if (*at == close) {
        return at + 1;
    }
    for (;;) {
        if (keys) {
            at = skip_string(at);
            at = at ? skip_space(at) : NULL;
            if (!at || *at != ':') {
                return NULL;
            }
            at = skip_space(at + 1);
        }
        at = skip_value(at, depth + 1);
        at = at ? skip_space(at) : NULL;
        if (!at || (*at != ',' && *at != close)) {
            return NULL;
        }
        if (*at++ == close) {
            return at;
        }
        at = skip_space(at);
    }
}

static const char *skip_value(const char *at, unsigned depth)
{
    static const char *const words[] = {"true", "false", "null"};
    if (depth > 32) {
        return NULL;
    }
    if (*at == '{') {
        return skip_members(at, '}', true, depth);
    }
    if (*at == '[') {
        return skip_members(at, ']', false, depth);
    }
    if (*at == '"') {
        return skip_string(at);
    }
    for (int i = 0; i < 3; i++) {
        if (strncmp(at, words[i], strlen(words[i])) == 0) {
            return at + strlen(words[i]);
        }
    }
    return skip_number(at);
}

bool json_valid(const char *text, size_t length)
{
    const char *end = skip_value(skip_space(text), 0);
    return text_is_utf8(text, length) && end && skip_space(end) == text + length;
}

/* The value of this key (index for an array) of the object or array at `at`. */
static const char *member(const char *at, const char *key, size_t key_length)
{
    const bool keys = *at == '{';
    size_t index = keys ? 0 : strtoul(key, NULL, 10);
    if (!keys && *at != '[') {
        return NULL;
    }
    at = skip_space(at + 1);
    while (*at != '}' && *at != ']') {
        bool found = !keys && index-- == 0;
        if (keys) {
            const char *end = skip_string(at);
            found = (size_t)(end - at) == key_length + 2 && memcmp(at + 1, key, key_length) == 0;
            at = skip_space(skip_space(end) + 1);
        }
        if (found) {
            return at;
        }
        at = skip_space(skip_value(at, 0));
        at = skip_space(at + (*at == ','));
    }
    return NULL;
}

const char *json_at(const char *text, const char *path)
{
    const char *at = skip_space(text);
    while (at && *path != '\0') {
        const size_t length = strcspn(path, ".");
        at = member(at, path, length);
        path += length + (path[length] == '.');
    }
    return at;
}

int json_count(const char *text, const char *path)
{
    const char *array = json_at(text, path);
    int count = 0;
    char index[16] = "0";
    if (!array || *array != '[') {
        return -1;
    }
    while (member(array, index, strlen(index))) {
        snprintf(index, sizeof(index), "%d", ++count);
    }
    return count;
}

uint64_t json_number(const char *text, const char *path)
{
    const char *at = json_at(text, path);
    ck_assert_msg(at && isdigit((unsigned char)*at), "no number %s in %s", path, text);
    return strtoull(at, NULL, 10);
}

bool json_is(const char *text, const char *path, const char *word)
{
    const char *at = json_at(text, path);
    const char *end = at ? skip_value(at, 0) : NULL;
    return end && (size_t)(end - at) == strlen(word) && memcmp(at, word, strlen(word)) == 0;
}

struct bytes json_string(const char *text, const char *path)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meant[] = "\"\\/\b\f\n\r\t";
    struct bytes bytes = {0};
    const char *at = json_at(text, path);
    ck_assert_msg(at && *at == '"', "no string %s", path);
    bytes_add(&bytes, "", 0);
    for (at++; *at != '"'; at++) {
        if (*at != '\\') {
            bytes_add(&bytes, at, 1);
        } else if (*++at != 'u') {
            bytes_add(&bytes, &meant[strchr(letters, *at) - letters], 1);
        } else {
            const char digits[5] = {at[1], at[2], at[3], at[4]};
            const char byte = (char)strtoul(digits, NULL, 16);
            /* The tools write UTF-8 as it is, and escape only what is one byte. */
            if ((unsigned char)byte >= 0x80 || digits[0] != '0' || digits[1] != '0') {
                ck_abort_msg("\\u%s", digits);
            }
            bytes_add(&bytes, &byte, 1);
            at += 4;
        }
    }
    return bytes;
}

struct bytes base64_decode(const struct bytes *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct bytes bytes = {0};
    bytes_add(&bytes, "", 0);
    ck_assert_uint_eq(text->length % 4, 0);
    for (size_t i = 0; i < text->length; i += 4) {
        uint32_t group = 0;
        unsigned padding = 0;
        for (size_t k = i; k < i + 4; k++) {
            const char *digit = text->data[k] == '=' ? digits : strchr(digits, text->data[k]);
            if (!digit) {
                ck_abort_msg("no base64: %c", text->data[k]);
            }
            padding += text->data[k] == '=';
            group = group << 6 | (uint32_t)(digit - digits);
        }
        const char decoded[3] = {(char)(group >> 16), (char)(group >> 8), (char)group};
        bytes_add(&bytes, decoded, 3 - padding);
    }
    return bytes;
}
