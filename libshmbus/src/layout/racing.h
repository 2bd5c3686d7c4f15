/* SPDX-License-Identifier: MIT */
/*
 * Reading bytes that another process may be writing over at that moment: the one race that is there
 * by design. Who reads so looks afterwards, behind a fence, at the word that tells whether they
 * changed (a stamp, a generation, an epoch, an eviction), and throws away what it read if they did:
 *
 *   what is read                                 by whom                   what tells
 *   ------------                                 -------                   ----------
 *   a slot's payload, handle, timestamp, target  who does not gate         the slot's stamp
 *   a slot's handle and timestamp                a required one, which     the evicted epoch
 *                                                may be evicted
 *   a slab                                       an observer               the slab's generation
 *   names and numbers of a consumer's entry      whoever looks at others   the entry's epoch, or
 *                                                                          nobody: then any will do
 *
 * Bytes stay plain, so that a copy of them is one and not a loop of atomic loads. A race detector
 * is told here, and nowhere else, that this is meant.
 */
#ifndef SHMBUS_LAYOUT_RACING_H
#define SHMBUS_LAYOUT_RACING_H

#include <stdint.h>
#include <string.h>

#if defined(__SANITIZE_THREAD__)
#define RACING_IS_WATCHED
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RACING_IS_WATCHED
#endif
#endif

#ifdef RACING_IS_WATCHED

/* By hand: the detector sees every memcpy(), whoever calls it. Words whole, as the processor would.
 */
__attribute__((no_sanitize("thread"), noinline, unused)) static void racing_copy(void *to,
                                                                                 const void *from,
                                                                                 size_t bytes)
{
    size_t done = 0;
    if (((uintptr_t)to | (uintptr_t)from) % 8 == 0)
        for (; done + 8 <= bytes; done += 8)
            *(volatile uint64_t *)((char *)to + done) =
                *(const volatile uint64_t *)((const char *)from + done);
    for (; done < bytes; done++)
        ((volatile char *)to)[done] = ((const volatile char *)from)[done];
}

#else

static inline void racing_copy(void *to, const void *from, size_t bytes)
{
    memcpy(to, from, bytes);
}

#endif

/* A word, read once. */
static inline uint64_t racing_word(const void *from)
{
#ifdef RACING_IS_WATCHED
    uint64_t word;
    racing_copy(&word, from, sizeof word);
    return word;
#else
    return *(const volatile uint64_t *)from;
#endif
}

#endif
