/* SPDX-License-Identifier: MIT */
/*
 * Percentiles out of the histogram, and medians. Nothing here runs while something is measured.
 */
#include "stats.h"

#include <stdlib.h>

static uint64_t bucket_value(uint32_t index)
{
    if (index < HISTOGRAM_STEPS)
        return index;
    uint32_t octave = index / HISTOGRAM_STEPS - 1;
    uint64_t step = index % HISTOGRAM_STEPS + HISTOGRAM_STEPS;
    uint64_t half = octave > 0 ? (uint64_t)1 << (octave - 1) : 0;
    return (step << octave) + half;
}

uint64_t histogram_at(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)histogram->count);
    uint64_t seen = 0;
    if (wanted >= histogram->count)
        return histogram->greatest;
    for (uint32_t i = 0; i < sizeof(histogram->bucket) / sizeof(histogram->bucket[0]); i++) {
        seen += histogram->bucket[i];
        if (seen > wanted)
            return bucket_value(i);
    }
    return histogram->greatest;
}

static int by_size(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

struct spread spread_of(double *figures, size_t count)
{
    if (count == 0)
        return (struct spread){0};
    qsort(figures, count, sizeof(*figures), by_size);
    double median = figures[count / 2];
    if (count % 2 == 0)
        median = (median + figures[count / 2 - 1]) / 2;
    return (struct spread){median, figures[0], figures[count - 1]};
}
