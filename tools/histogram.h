/* SPDX-License-Identifier: MIT */
/*
 * Counts of 64-bit values in buckets that grow with the value: exact below 128, then 64 buckets to
 * each power of two, so that a percentile is at most 1/64 too high. Fixed size, no allocation.
 */
#ifndef SHMBUS_TOOLS_HISTOGRAM_H
#define SHMBUS_TOOLS_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS (64 * 59)

/* All zero is an empty one. */
struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total; /* values in all */
    uint64_t most;  /* the greatest of them, exact */
};

/* Counts one value. */
void histogram_add(struct histogram *histogram, uint64_t value);

/* The value that `permille` thousandths of all values do not exceed; 0 when there are none. */
uint64_t histogram_permille(const struct histogram *histogram, unsigned permille);

#endif
