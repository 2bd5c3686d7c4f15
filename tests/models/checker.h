/* SPDX-License-Identifier: MIT */
/*
 * Included before all else for a checker, whose own few system headers have only what it models:
 * the rest that the library's headers name.
 */
#ifndef SHMBUS_MODEL_CHECKER_H
#define SHMBUS_MODEL_CHECKER_H

#define MODEL_CHECKER 1

#include <asm/errno.h>
#include <bits/types.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#ifndef ENOTSUP
#define ENOTSUP EOPNOTSUPP
#endif

/* Fetches a line early, which no memory model knows of. */
#define __builtin_prefetch(...) ((void)0)

/* A checker takes apart what is copied by its type, which what is copied as bytes has not. */
static inline void checker_copy(void *to, const void *from, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        ((unsigned char *)to)[i] = ((const unsigned char *)from)[i];
}

static inline void checker_set(void *to, int value, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        ((unsigned char *)to)[i] = (unsigned char)value;
}

/* What is put in place of a struct that is copied: of four words, or of four and a half and the
 * rest unused, as a door to park at. */
void checker_copy_words(unsigned char *to, unsigned char *from, uint64_t count)
{
    const uint64_t words = 4 * sizeof(uint64_t);
    for (uint64_t i = 0; i < words; i += sizeof(uint64_t))
        *(uint64_t *)(void *)(to + i) = *(uint64_t *)(void *)(from + i);
    if (count > words)
        *(uint32_t *)(void *)(to + words) = *(uint32_t *)(void *)(from + words);
}

/* The same of a producer's words of a slab: one of 64 bits, two of 32 and three of 8. */
void checker_copy_slab(unsigned char *to, unsigned char *from)
{
    *(uint64_t *)(void *)to = *(uint64_t *)(void *)from;
    for (uint64_t i = 8; i < 16; i += sizeof(uint32_t))
        *(uint32_t *)(void *)(to + i) = *(uint32_t *)(void *)(from + i);
    for (uint64_t i = 16; i < 19; i++)
        to[i] = from[i];
}

#define memcpy(to, from, count)  checker_copy(to, from, count)
#define memset(to, value, count) checker_set(to, value, count)

/* It would be taken for a full fence, and is none but to a compiler. */
#undef atomic_signal_fence
#define atomic_signal_fence(order) ((void)0)

/* What the system's headers would say of threads once more. */
#define _BITS_PTHREADTYPES_COMMON_H 1
#define __have_pthread_attr_t       1

typedef __uid_t uid_t;
typedef __gid_t gid_t;

#endif
