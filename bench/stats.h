/* SPDX-License-Identifier: MIT */
/*
 * A histogram of clock ticks that costs one increment a sample, and medians of a few figures.
 */
#ifndef BENCH_STATS_H
#define BENCH_STATS_H

#include <stddef.h>
#include <stdint.h>

enum {
    HISTOGRAM_BITS = 9, /* 512 steps an octave: values are off by less than 0.2 % */
    HISTOGRAM_STEPS = 1 << HISTOGRAM_BITS,
    HISTOGRAM_OCTAVES = 40 - HISTOGRAM_BITS,
};

/* Values below HISTOGRAM_STEPS are counted exactly; above, by octave and step in it. */
struct histogram {
    uint64_t count;
    uint64_t greatest;
    uint32_t bucket[HISTOGRAM_STEPS * (HISTOGRAM_OCTAVES + 1)];
};

static inline uint32_t histogram_index(uint64_t value)
{
    if (value < HISTOGRAM_STEPS)
        return (uint32_t)value;
    uint32_t octave = 63u - (uint32_t)__builtin_clzll(value) - HISTOGRAM_BITS;
    if (octave >= HISTOGRAM_OCTAVES)
        return HISTOGRAM_STEPS * (HISTOGRAM_OCTAVES + 1) - 1;
    uint32_t step = (uint32_t)(value >> octave) - HISTOGRAM_STEPS;
    return HISTOGRAM_STEPS * (octave + 1) + step;
}

static inline void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->bucket[histogram_index(value)]++;
    histogram->count++;
    if (value > histogram->greatest)
        histogram->greatest = value;
}

/* The value below or at which the share of samples lies, in ticks; 0 for an empty histogram. */
uint64_t histogram_at(const struct histogram *histogram, double share);

/* The middle and the ends of a few figures. */
struct spread {
    double median;
    double least;
    double most;
};

/* Sorts the figures in place. All zero for count 0. */
struct spread spread_of(double *figures, size_t count);

#endif
