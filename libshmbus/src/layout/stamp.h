/* SPDX-License-Identifier: MIT */
/*
 * The two words of a slot's header, and handles.
 *
 *   stamp   63..8 low 56 bits of sequence + 1 | 7..0 state
 *   meta    63..48 flags | 47..32 type | 31..0 length
 *   handle  63..60 size class + 1 | 59..28 generation | 27..0 index within the class
 *
 * A slot that was never used is all zero, which is no stamp of any sequence: every state is not 0.
 * A handle of 0 is none.
 */
#ifndef SHMBUS_LAYOUT_STAMP_H
#define SHMBUS_LAYOUT_STAMP_H

#include "shmbus/shmbus.h"

#include <stdint.h>

#define STAMP_WRITING   0x40u /* + the producer's number: it is being written */
#define STAMP_PUBLISHED 0x80u
#define STAMP_ABORTED   0x81u
#define STAMP_SKIPPED   0x82u /* the stream goes on at the sequence that is in the payload */

static inline uint64_t stamp_make(uint64_t sequence, uint32_t state)
{
    return (sequence + 1) << 8 | state;
}

static inline uint32_t stamp_state(uint64_t stamp)
{
    return (uint32_t)(stamp & 0xff);
}

/* Is this the stamp of that sequence, whatever its state? */
static inline int stamp_is_of(uint64_t stamp, uint64_t sequence)
{
    return stamp >> 8 == ((sequence + 1) << 8) >> 8;
}

/* Is this the stamp of a later sequence than that one, whatever its state? */
static inline int stamp_is_later(uint64_t stamp, uint64_t sequence)
{
    uint64_t ahead = ((stamp >> 8) - (sequence + 1)) << 8;
    return stamp != 0 && ahead != 0 && ahead >> 63 == 0;
}

/* How far the sequence of a stamp, whatever its state, is beyond that one; UINT64_MAX when it is
 * before it, or the stamp is of none. Both are within 2^55 of each other. */
static inline uint64_t stamp_ahead(uint64_t stamp, uint64_t sequence)
{
    uint64_t ahead = (((stamp >> 8) - (sequence + 1)) << 8) >> 8;
    return stamp != 0 && ahead < UINT64_C(1) << 55 ? ahead : UINT64_MAX;
}

/* Is a slot of this stamp being written, and by whom? */
static inline int stamp_is_writing(uint64_t stamp)
{
    return stamp_state(stamp) >= STAMP_WRITING &&
           stamp_state(stamp) < STAMP_WRITING + SHMBUS_PRODUCERS_MAX;
}

static inline uint32_t stamp_writer(uint64_t stamp)
{
    return stamp_state(stamp) - STAMP_WRITING;
}

static inline uint64_t meta_make(uint32_t length, uint16_t type, uint16_t flags)
{
    return (uint64_t)flags << 48 | (uint64_t)type << 32 | length;
}

static inline uint32_t meta_length(uint64_t meta)
{
    return (uint32_t)meta;
}

static inline uint16_t meta_type(uint64_t meta)
{
    return (uint16_t)(meta >> 32);
}

static inline uint16_t meta_flags(uint64_t meta)
{
    return (uint16_t)(meta >> 48);
}

#define HANDLE_INDEX_BITS 28

static inline uint64_t handle_make(uint32_t class_index, uint32_t generation, uint32_t index)
{
    return (uint64_t)(class_index + 1) << 60 | (uint64_t)generation << HANDLE_INDEX_BITS | index;
}

/* The class of a handle; 0xffffffff, which no bus has, for a handle of 0. */
static inline uint32_t handle_class(uint64_t handle)
{
    return (uint32_t)(handle >> 60) - 1;
}

static inline uint32_t handle_generation(uint64_t handle)
{
    return (uint32_t)(handle >> HANDLE_INDEX_BITS);
}

static inline uint32_t handle_index(uint64_t handle)
{
    return (uint32_t)handle & ((UINT32_C(1) << HANDLE_INDEX_BITS) - 1);
}

/* Generations begin just below their wrap, so that every use of a bus goes through it. They are
 * even but for that of a slab that is retired, and odd until it is known that nobody holds it. */
#define GENERATION_FIRST (UINT32_MAX - 7)

static inline int generation_is_retired(uint32_t generation)
{
    return (int)(generation & 1);
}

/* May a slab of this generation be another message's than that of a handle? For one who held it: it
 * may be retired, and still is what it was. */
static inline int generation_is_beyond(uint32_t generation, uint64_t handle)
{
    return generation - handle_generation(handle) > 1;
}

#endif
