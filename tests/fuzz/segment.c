/* SPDX-License-Identifier: MIT */
/* Target: a feed and a control of any content and length, and everything that attaches to them. */
#include "bed.h"
#include "case.h"
#include "steps.h"

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count;
    (void)arguments;
    bed_begin();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static struct fuzz_case fuzz_case;
    case_read(input, size, &fuzz_case);
    steps_run(bed_begin(), &fuzz_case);
    return 0;
}
