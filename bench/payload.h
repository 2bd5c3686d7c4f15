/* SPDX-License-Identifier: MIT */
/*
 * What messages consist of. Every payload is written in full and read in full, and both follow from
 * the message's number, so that a lost, doubled, torn or stale message is found. Floors and
 * subjects fill and check by the same code.
 *
 * A small payload is 48 bytes: the number and five words made from it. A bulk payload is a window
 * of a pattern that moves by 64 bytes with every message, its first word replaced by the number;
 * the reader adds all of its words up.
 */
#ifndef BENCH_PAYLOAD_H
#define BENCH_PAYLOAD_H

#include <stdint.h>
#include <string.h>

enum {
    SMALL_WORDS = 6,
    SMALL_BYTES = SMALL_WORDS * 8,
    BULK_WINDOWS = 16, /* places in the pattern that a payload may begin at */
    BULK_STEP = 8,     /* words between them */
};

static const uint64_t payload_factor = UINT64_C(0x9e3779b97f4a7c15);

static inline void small_fill(uint64_t *words, uint64_t number)
{
    uint64_t mixed = (number + 1) * payload_factor;
    words[0] = number;
    words[1] = mixed;
    words[2] = mixed ^ 2;
    words[3] = mixed + 3;
    words[4] = mixed ^ 4;
    words[5] = mixed + 5;
}

/* 0 if the payload is that of the number. */
static inline uint64_t small_differs(const uint64_t *words, uint64_t number)
{
    uint64_t mixed = (number + 1) * payload_factor;
    return (words[0] ^ number) | (words[1] ^ mixed) | (words[2] ^ mixed ^ 2) |
           (words[3] ^ (mixed + 3)) | (words[4] ^ mixed ^ 4) | (words[5] ^ (mixed + 5));
}

/* A process's private copy of the pattern. */
struct bulk {
    uint64_t *pattern;
    uint64_t words; /* of a payload */
    uint64_t sums[BULK_WINDOWS];
};

/* Makes the pattern for payloads of so many bytes, a multiple of 64. Returns 0 or -1. */
int bulk_begin(struct bulk *bulk, uint64_t bytes);
void bulk_end(struct bulk *bulk);

static inline void bulk_fill(const struct bulk *bulk, void *place, uint64_t number)
{
    const uint64_t *window = bulk->pattern + number % BULK_WINDOWS * BULK_STEP;
    memcpy(place, window, bulk->words * 8);
    memcpy(place, &number, sizeof(number));
}

typedef uint64_t bulk_vector __attribute__((vector_size(32), may_alias));

/* 0 if the payload, 64-byte aligned, is that of the number. */
static inline uint64_t bulk_differs(const struct bulk *bulk, const void *place, uint64_t number)
{
    const bulk_vector *at = (const bulk_vector *)place;
    bulk_vector sum[4] = {{0}, {0}, {0}, {0}};
    uint64_t total = 0, first;
    uint64_t vectors = bulk->words / 4;
    for (uint64_t i = 0; i + 4 <= vectors; i += 4)
        for (unsigned j = 0; j < 4; j++)
            sum[j] += at[i + j];
    for (uint64_t i = vectors / 4 * 4; i < vectors; i++)
        sum[0] += at[i];
    sum[0] += sum[1] + sum[2] + sum[3];
    for (unsigned j = 0; j < 4; j++)
        total += sum[0][j];
    memcpy(&first, place, sizeof(first));
    total += bulk->pattern[number % BULK_WINDOWS * BULK_STEP] - first;
    return (first ^ number) | (total ^ bulk->sums[number % BULK_WINDOWS]);
}

#endif
