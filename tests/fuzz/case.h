/* SPDX-License-Identifier: MIT */
/*
 * What a fuzzer's input for the target `segment` says: the bytes of feed and control, and what is
 * done with them. Both files are mostly zeros, so an input holds only what is not:
 *
 *   0   4  bytes of feed                    12      the steps: see segment.c
 *   4   4  bytes of control                 ...     pieces, to the end: 32 bits of place (bit 31:
 *   8   2  bytes of steps                           control), 16 bits of length, bytes
 *   10  2  unused
 *
 * Any bytes are an input: what is out of range is brought into it, what is cut off is left out.
 */
#ifndef SHMBUS_TESTS_FUZZ_CASE_H
#define SHMBUS_TESTS_FUZZ_CASE_H

#include <stddef.h>
#include <stdint.h>

#define CASE_FEED_MOST    (160u * 1024)
#define CASE_CONTROL_MOST (96u * 1024)
#define CASE_STEPS_MOST   256u

struct fuzz_case {
    uint32_t feed_bytes;
    uint32_t control_bytes;
    uint32_t step_bytes;
    uint8_t steps[CASE_STEPS_MOST];
    /* Zero beyond their lengths. Aligned as the mappings that they become. */
    _Alignas(128) unsigned char feed[CASE_FEED_MOST];
    _Alignas(128) unsigned char control[CASE_CONTROL_MOST];
};

/* Reads an input. */
void case_read(const uint8_t *input, size_t size, struct fuzz_case *out_case);

/* Writes one that reads as this, into room bytes, with what does not fit left out. Returns its
 * length. */
size_t case_write(const struct fuzz_case *from, uint8_t *out_input, size_t room);

#endif
