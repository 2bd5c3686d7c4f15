/* SPDX-License-Identifier: MIT */
/*
 * Makes the pattern of bulk payloads and the sum that each of its windows must have.
 */
#include "payload.h"

#include <stdlib.h>

int bulk_begin(struct bulk *bulk, uint64_t bytes)
{
    uint64_t state = payload_factor, words = bytes / 8;
    uint64_t all = words + (uint64_t)BULK_WINDOWS * BULK_STEP;
    bulk->words = words;
    bulk->pattern = aligned_alloc(4096, (all * 8 + 4095) / 4096 * 4096);
    if (bulk->pattern == NULL)
        return -1;
    for (uint64_t i = 0; i < all; i++) {
        state = (state ^ (state >> 29)) * payload_factor + i;
        bulk->pattern[i] = state;
    }
    for (uint64_t window = 0; window < BULK_WINDOWS; window++) {
        bulk->sums[window] = 0;
        for (uint64_t i = 0; i < words; i++)
            bulk->sums[window] += bulk->pattern[window * BULK_STEP + i];
    }
    return 0;
}

void bulk_end(struct bulk *bulk)
{
    free(bulk->pattern);
    bulk->pattern = NULL;
}
