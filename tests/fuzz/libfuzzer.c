/* SPDX-License-Identifier: MIT */
/* The mutator as libFuzzer asks for it. */
#include "mutate.h"

size_t LLVMFuzzerMutate(uint8_t *bytes, size_t size, size_t room);
size_t LLVMFuzzerCustomMutator(uint8_t *input, size_t size, size_t room, unsigned int seed);

size_t LLVMFuzzerCustomMutator(uint8_t *input, size_t size, size_t room, unsigned int seed)
{
    return mutate_input(input, size, room, seed, LLVMFuzzerMutate);
}
