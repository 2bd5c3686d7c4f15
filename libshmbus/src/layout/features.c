/* SPDX-License-Identifier: MIT */
/*
 * The names of the features that a reader must understand: written by who makes a bus, so that a
 * library that does not know one can say which it is. What is read of them is a peer's: bounded,
 * and only letters, digits and dashes are shown.
 */
#include "layout/layout.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NAME_SHOWN 31 /* characters of a feature's name */

/* In the order of their bits. */
static const char *const names[] = {"timestamps", "pool", "producers"};

#define NAMED (sizeof names / sizeof names[0])

_Static_assert((UINT64_C(1) << NAMED) - 1 == LAYOUT_REQUIRES_KNOWN, "each feature has a name");

void layout_name_features(struct feed_header *header)
{
    size_t used = 0;
    memset(header->features, 0, sizeof header->features);
    for (size_t bit = 0; bit < NAMED; bit++)
        if (header->features_required >> bit & 1)
            used += (size_t)snprintf(header->features + used, sizeof header->features - used,
                                     "%s%s", used > 0 ? " " : "", names[bit]);
}

/* Copies the word at *at, made printable, and moves *at to the next one. */
static void take_word(const char *text, size_t *at, char *out_word)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    size_t length = 0;
    for (; *at < LAYOUT_FEATURES_BYTES && text[*at] != 0 && text[*at] != ' '; (*at)++) {
        char letter = '?';
        if (strchr(allowed, text[*at]) != NULL)
            letter = text[*at];
        if (length < NAME_SHOWN)
            out_word[length++] = letter;
    }
    out_word[length] = 0;
    *at += *at < LAYOUT_FEATURES_BYTES && text[*at] == ' ';
}

void layout_feature_names(const struct feed_header *header, uint64_t bits, char *out_text,
                          size_t room)
{
    char word[NAME_SHOWN + 1];
    size_t at = 0;
    size_t used = 0;
    out_text[0] = 0;
    for (int bit = 0; bit < 64; bit++) {
        uint64_t mask = UINT64_C(1) << bit;
        if ((header->features_required & mask) == 0)
            continue;
        take_word(header->features, &at, word);
        if ((bits & mask) == 0 || used >= room)
            continue;
        used += (size_t)snprintf(out_text + used, room - used, "%s%s%s0x%" PRIx64 "%s",
                                 used > 0 ? ", " : "", word, word[0] != 0 ? " (" : "", mask,
                                 word[0] != 0 ? ")" : "");
    }
}
