/* SPDX-License-Identifier: MIT */
/*
 * Copying a payload into its slot. A payload that was just filled field by field is still in the
 * store buffer; a load that is wider than the stores has to wait until all of them have left it,
 * which costs more than all the rest of a publish. So short ones are copied a word at a time.
 */
#ifndef SHMBUS_COPY_H
#define SHMBUS_COPY_H

#include <stdint.h>
#include <string.h>

#define COPY_WORDS_MIN 8u  /* bytes */
#define COPY_WORDS_MAX 64u /* bytes */

/* How many lengths, from COPY_WORDS_MIN on, a publish copies by words without a look at anything
 * else: none where it has a timestamp to store. */
static inline uint32_t copy_word_room(uint32_t inline_bytes, uint32_t timestamps)
{
    uint32_t most = inline_bytes < COPY_WORDS_MAX ? inline_bytes : COPY_WORDS_MAX;
    return timestamps || most < COPY_WORDS_MIN ? 0 : most - COPY_WORDS_MIN + 1;
}

/* Copies one word, by itself. */
static inline void copy_word(unsigned char *to, const unsigned char *from)
{
    uint64_t word;
    memcpy(&word, from, sizeof word);
    __asm__("" : "+r"(word)); /* or the compiler would join two of them to a wider load */
    memcpy(to, &word, sizeof word);
}

/* Copies COPY_WORDS_MIN to COPY_WORDS_MAX bytes. */
static inline void copy_words(unsigned char *to, const unsigned char *from, uint32_t length)
{
    switch ((length - 1) / 8) {
    case 7:
        copy_word(to + 48, from + 48);
        /* fall through */
    case 6:
        copy_word(to + 40, from + 40);
        /* fall through */
    case 5:
        copy_word(to + 32, from + 32);
        /* fall through */
    case 4:
        copy_word(to + 24, from + 24);
        /* fall through */
    case 3:
        copy_word(to + 16, from + 16);
        /* fall through */
    case 2:
        copy_word(to + 8, from + 8);
        /* fall through */
    case 1:
        copy_word(to, from);
        /* fall through */
    default:
        copy_word(to + length - 8, from + length - 8);
    }
}

/* Copies as many bytes as there are, without a call for those of a usual slot. */
static inline void copy_inline(unsigned char *to, const unsigned char *from, uint32_t length)
{
    if (length > COPY_WORDS_MAX)
        memcpy(to, from, length);
    else if (length >= COPY_WORDS_MIN)
        copy_words(to, from, length);
    else
        for (uint32_t i = 0; i < length; i++)
            to[i] = from[i];
}

#endif
