/* SPDX-License-Identifier: MIT */
/*
 * The few machine instructions that the measuring loops need: a clock that costs little, and the
 * spinner's pause. On x86 the clock is the time stamp counter, elsewhere the kernel's clock.
 */
#ifndef BENCH_CPU_H
#define BENCH_CPU_H

#include <stdint.h>
#include <time.h>

static inline uint64_t cpu_nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline uint64_t cpu_ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#else
    return cpu_nanoseconds();
#endif
}

/* The clock once everything before has been done, loads and what they were waited for included:
 * the processor reads the plain one ahead of a load that it still waits for. */
static inline uint64_t cpu_ticks_after(void)
{
#if defined(__x86_64__)
    __builtin_ia32_lfence();
#endif
    return cpu_ticks();
}

static inline void cpu_pause(uint32_t times)
{
    for (uint32_t i = 0; i < times; i++) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#else
        __asm__ volatile("");
#endif
    }
}

#endif
