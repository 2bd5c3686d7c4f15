/* SPDX-License-Identifier: MIT */
/* What the targets share: a folder for their buses, a choice of numbers, and how to fail. */
#ifndef SHMBUS_TESTS_FUZZ_BED_H
#define SHMBUS_TESTS_FUZZ_BED_H

#include <stddef.h>
#include <stdint.h>

#define BED_BUS "fuzz" /* the name of the bus that targets look at */

/* libFuzzer's, and that of AFL++'s driver for the same targets. */
int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

/* Once: finds or makes the folder, points SHMBUS_DIR at it, gives up the rights that would let an
 * input harm the machine, and makes standard output lead nowhere. Returns the folder. */
const char *bed_begin(void);

/* Ends the process so that the fuzzer keeps the input, and says what was found. */
_Noreturn void bed_fail(const char *what);

/* Reads every byte, so that a sanitizer sees one that is not there to be read. */
void bed_touch(const void *data, size_t bytes);

/* Input taken piece by piece; 0 when it is over. */
struct bed_input {
    const uint8_t *at;
    size_t left;
};

uint64_t bed_take(struct bed_input *input, size_t bytes);

/* A string of it, up to its next byte of 0, in memory of its own. */
char *bed_string(struct bed_input *input);

#endif
