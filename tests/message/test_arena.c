/* SPDX-License-Identifier: MIT */
/* The bump arena, and the check of the offsets that it gave out. */
#include "expect.h"

#include <errno.h>
#include <stdalign.h>
#include <string.h>

static alignas(64) unsigned char memory[1024];

static struct shmbus_arena begin(uint32_t room)
{
    struct shmbus_arena arena;
    ck_assert_int_eq(shmbus_arena_begin(&arena, memory, room), 0);
    ck_assert_uint_eq(arena.used, 0);
    ck_assert_uint_eq(arena.room, room);
    return arena;
}

START_TEST(blocks_follow_each_other_aligned_and_padded)
{
    static const struct {
        uint32_t bytes;
        uint32_t alignment;
        uint32_t offset;
        uint32_t used;
    } blocks[] = {{3, 1, 0, 3},    {2, 2, 4, 6},   {8, 8, 8, 16},  {1, 64, 64, 65},
                  {0, 16, 80, 80}, {0, 1, 80, 80}, {5, 4, 80, 85}, {32, 32, 96, 128}};
    struct shmbus_arena arena = begin(1024);
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        uint32_t offset;
        ck_assert_int_eq(shmbus_arena_take(&arena, blocks[i].bytes, blocks[i].alignment, &offset),
                         0);
        ck_assert_uint_eq(offset, blocks[i].offset);
        ck_assert_uint_eq(arena.used, blocks[i].used);
    }
}
END_TEST

START_TEST(a_full_arena_can_still_be_used)
{
    struct shmbus_arena arena = begin(100);
    uint32_t offset;
    ck_assert_int_eq(shmbus_arena_take(&arena, 90, 1, &offset), 0);
    offset = 77;
    static const uint32_t too_much[] = {11, 100, UINT32_MAX};
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(shmbus_arena_take(&arena, too_much[i], 1, &offset), -ENOSPC);
    ck_assert(support_says("100"));
    /* Padding counts too. */
    ck_assert_int_eq(shmbus_arena_take(&arena, 5, 32, &offset), -ENOSPC);
    ck_assert_int_eq(shmbus_arena_take(&arena, 0, 64, &offset), -ENOSPC);
    ck_assert_uint_eq(offset, 77);
    ck_assert_uint_eq(arena.used, 90);
    ck_assert_int_eq(shmbus_arena_take(&arena, 4, 8, &offset), 0);
    ck_assert_uint_eq(offset, 96);
    ck_assert_int_eq(shmbus_arena_take(&arena, 0, 1, &offset), 0);
    ck_assert_uint_eq(offset, 100);
    ck_assert_int_eq(shmbus_arena_take(&arena, 1, 1, &offset), -ENOSPC);
}
END_TEST

START_TEST(an_arena_of_nothing_and_one_of_everything)
{
    struct shmbus_arena arena = begin(0);
    uint32_t offset = 77;
    ck_assert_int_eq(shmbus_arena_take(&arena, 1, 1, &offset), -ENOSPC);
    ck_assert_int_eq(shmbus_arena_take(&arena, 0, 64, &offset), 0);
    ck_assert_uint_eq(offset, 0);
    /* Nothing is written, so that a large room needs no memory here. */
    arena = begin(UINT32_MAX);
    ck_assert_int_eq(shmbus_arena_take(&arena, UINT32_MAX - 3, 1, &offset), 0);
    ck_assert_int_eq(shmbus_arena_take(&arena, 1, 8, &offset), -ENOSPC);
    ck_assert_int_eq(shmbus_arena_take(&arena, UINT32_MAX, 1, &offset), -ENOSPC);
    ck_assert_int_eq(shmbus_arena_take(&arena, 3, 1, &offset), 0);
    ck_assert_uint_eq(offset, UINT32_MAX - 3);
}
END_TEST

START_TEST(what_an_arena_does_not_take)
{
    static const uint32_t alignments[] = {0, 3, 6, 65, 128, UINT32_MAX};
    struct shmbus_arena arena = begin(1024);
    uint32_t offset = 77;
    for (size_t i = 0; i < sizeof alignments / sizeof alignments[0]; i++)
        ck_assert_int_eq(shmbus_arena_take(&arena, 1, alignments[i], &offset), -EINVAL);
    ck_assert_int_eq(shmbus_arena_begin(&arena, NULL, 10), -EINVAL);
    for (uint32_t off = 1; off < 8; off++)
        ck_assert_int_eq(shmbus_arena_begin(&arena, memory + off, 10), -EINVAL);
    /* Beyond 8, the arena's own start must have the alignment. */
    ck_assert_int_eq(shmbus_arena_begin(&arena, memory + 8, 100), 0);
    ck_assert_int_eq(shmbus_arena_take(&arena, 1, 16, &offset), -EINVAL);
    ck_assert_int_eq(shmbus_arena_take(&arena, 1, 64, &offset), -EINVAL);
    ck_assert_uint_eq(offset, 77);
    ck_assert_int_eq(shmbus_arena_take(&arena, 1, 8, &offset), 0);
}
END_TEST

START_TEST(at_random_blocks_do_not_overlap)
{
    uint64_t random = support_seed("arena");
    for (int round = 0; round < 200; round++) {
        uint32_t room = (uint32_t)support_below(&random, sizeof memory + 1);
        struct shmbus_arena arena = begin(room);
        memset(memory, 0, sizeof memory);
        for (int block = 1; block < 60; block++) {
            uint32_t bytes = (uint32_t)support_below(&random, 70);
            uint32_t alignment = 1u << support_below(&random, 7);
            uint32_t before = arena.used;
            uint32_t offset;
            int result = shmbus_arena_take(&arena, bytes, alignment, &offset);
            if (result == -ENOSPC) {
                ck_assert_uint_eq(arena.used, before);
                ck_assert_uint_gt((before + alignment - 1) / alignment * alignment + bytes, room);
                continue;
            }
            ck_assert_int_eq(result, 0);
            ck_assert_uint_eq(offset % alignment, 0);
            ck_assert_uint_lt(offset - before, alignment);
            ck_assert(support_all(memory + offset, bytes, 0));
            memset(memory + offset, block, bytes);
            ck_assert_uint_eq(arena.used, offset + bytes);
            ck_assert_uint_le(arena.used, room);
        }
    }
}
END_TEST

START_TEST(an_offset_is_checked_with_its_length)
{
    struct shmbus_message message = {.data = memory, .length = 100, .sequence = 12345};
    const void *at = NULL;
    for (uint32_t offset = 0; offset <= 100; offset++) {
        ck_assert_int_eq(shmbus_message_at(&message, offset, 100 - offset, 1, &at), 0);
        ck_assert_ptr_eq(at, memory + offset);
        ck_assert_int_eq(shmbus_message_at(&message, offset, 0, 1, &at), 0);
        ck_assert_int_eq(shmbus_message_at(&message, offset, 101 - offset, 1, &at), -EBADMSG);
        ck_assert_int_eq(shmbus_message_at(&message, offset, UINT64_MAX, 1, &at), -EBADMSG);
        /* Together they would wrap to 0. */
        if (offset > 0)
            ck_assert_int_eq(shmbus_message_at(&message, offset, UINT64_MAX - offset + 1, 1, &at),
                             -EBADMSG);
    }
    ck_assert(support_says("12345"));
    static const uint32_t beyond[] = {101, 200, UINT32_MAX};
    at = memory;
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(shmbus_message_at(&message, beyond[i], 0, 1, &at), -EBADMSG);
        ck_assert_int_eq(shmbus_message_at(&message, beyond[i], 1, 1, &at), -EBADMSG);
    }
    for (uint32_t alignment = 2; alignment <= 64; alignment *= 2)
        for (uint32_t offset = 0; offset < 64; offset++)
            ck_assert_int_eq(shmbus_message_at(&message, offset, 1, alignment, &at),
                             offset % alignment ? -EBADMSG : 0);
    static const uint32_t alignments[] = {0, 3, 96, 128, UINT32_MAX};
    at = memory;
    for (size_t i = 0; i < 5; i++)
        ck_assert_int_eq(shmbus_message_at(&message, 0, 1, alignments[i], &at), -EINVAL);
    ck_assert_ptr_eq(at, memory);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message arena");
    TCase *tcase = support_case(suite, "arena", 60);
    tcase_add_test(tcase, blocks_follow_each_other_aligned_and_padded);
    tcase_add_test(tcase, a_full_arena_can_still_be_used);
    tcase_add_test(tcase, an_arena_of_nothing_and_one_of_everything);
    tcase_add_test(tcase, what_an_arena_does_not_take);
    tcase_add_test(tcase, at_random_blocks_do_not_overlap);
    tcase_add_test(tcase, an_offset_is_checked_with_its_length);
    return support_run(suite);
}
