/* SPDX-License-Identifier: MIT */
/*
 * Changes an input of the target `segment` knowing what it means: fields of the header and of all
 * other structs, a whole geometry, stamps, lengths, handles, cursors, holds, lengths of files,
 * steps; and then mostly makes the header's checksums right again, without which nothing behind
 * their check would ever be reached.
 */
#ifndef SHMBUS_TESTS_FUZZ_MUTATE_H
#define SHMBUS_TESTS_FUZZ_MUTATE_H

#include <stddef.h>
#include <stdint.h>

/* Changes bytes without knowing what they mean: size of them, in room. Returns their new number. */
typedef size_t mutate_bytes(uint8_t *bytes, size_t size, size_t room);

/* Changes an input of size bytes in room bytes. Returns its new length. */
size_t mutate_input(uint8_t *input, size_t size, size_t room, uint64_t seed, mutate_bytes *bytes);

#endif
