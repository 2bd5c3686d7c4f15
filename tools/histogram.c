/* SPDX-License-Identifier: MIT */
/*
 * Counts of values in buckets of growing width: see histogram.h. A value is shifted right until it
 * is below 128; the shift and the seven bits that are left number its bucket. From the first shift
 * on the top one of them is always set, hence 64 buckets a shift.
 */
#include "histogram.h"

#define EXACT_BITS 7
#define STEP       (1u << (EXACT_BITS - 1))

static unsigned bucket_of(uint64_t value)
{
    const unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
    const unsigned shift = bits > EXACT_BITS ? bits - EXACT_BITS : 0;
    return shift * STEP + (unsigned)(value >> shift);
}

/* The greatest value that bucket_of() puts there. */
static uint64_t bucket_top(unsigned bucket)
{
    const unsigned shift = bucket < 2 * STEP ? 0 : bucket / STEP - 1;
    const uint64_t low = (uint64_t)(bucket - shift * STEP) << shift;
    return low + (((uint64_t)1 << shift) - 1);
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->counts[bucket_of(value)]++;
    histogram->total++;
    if (value > histogram->most) {
        histogram->most = value;
    }
}

uint64_t histogram_permille(const struct histogram *histogram, unsigned permille)
{
    const uint64_t total = histogram->total;
    /* Rounded up: of three values the median is the second. Split, so that nothing overflows. */
    const uint64_t wanted = total / 1000 * permille + (total % 1000 * permille + 999) / 1000;
    uint64_t seen = 0;
    for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        seen += histogram->counts[bucket];
        if (seen >= wanted && seen > 0) {
            const uint64_t top = bucket_top(bucket);
            return top < histogram->most ? top : histogram->most;
        }
    }
    return 0;
}
