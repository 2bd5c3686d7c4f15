/* SPDX-License-Identifier: MIT */
/* Stamps, meta words and handles: every field comes back, and nothing is mistaken for another. */
#include "layout/stamp.h"
#include "support/support.h"

#define WRAP (UINT64_C(1) << 56)

static const uint64_t sequences[] = {0,        1,        255,  256,      UINT32_MAX,    WRAP - 3,
                                     WRAP - 2, WRAP - 1, WRAP, WRAP + 1, UINT64_MAX / 2};
#define SEQUENCES (sizeof sequences / sizeof sequences[0])
static const uint32_t states[] = {STAMP_WRITING, STAMP_WRITING + 63, STAMP_PUBLISHED,
                                  STAMP_ABORTED};

START_TEST(a_stamp_is_of_its_sequence_only)
{
    for (size_t i = 0; i < SEQUENCES; i++)
        for (size_t j = 0; j < sizeof states / sizeof states[0]; j++) {
            uint64_t stamp = stamp_make(sequences[i], states[j]);
            ck_assert_uint_eq(stamp_state(stamp), states[j]);
            ck_assert_uint_ne(stamp, 0);
            ck_assert(stamp_is_of(stamp, sequences[i]));
            for (uint64_t lap = 16; lap <= SHMBUS_CAPACITY_MAX; lap *= 2) {
                ck_assert(!stamp_is_of(stamp, sequences[i] + lap));
                ck_assert(!stamp_is_of(stamp, sequences[i] - lap));
            }
            ck_assert(!stamp_is_of(stamp, sequences[i] + 1));
            ck_assert(!stamp_is_of(stamp, sequences[i] - 1));
        }
}
END_TEST

START_TEST(a_slot_never_used_is_of_no_sequence_in_any_state)
{
    /* Sequence 2^56 - 1 has low bits of 0: only its state tells it from an empty slot. */
    ck_assert_uint_eq(stamp_make(WRAP - 1, STAMP_PUBLISHED), STAMP_PUBLISHED);
    for (size_t j = 0; j < sizeof states / sizeof states[0]; j++)
        ck_assert_uint_ne(stamp_make(WRAP - 1, states[j]), 0);
}
END_TEST

START_TEST(meta_fields_come_back)
{
    uint64_t state = support_seed("meta");
    for (int i = 0; i < 10000; i++) {
        uint64_t random = support_random(&state);
        uint32_t length = (uint32_t)random;
        uint16_t type = (uint16_t)(random >> 32);
        uint16_t flags = (uint16_t)(random >> 48);
        uint64_t meta = meta_make(length, type, flags);
        ck_assert_uint_eq(meta_length(meta), length);
        ck_assert_uint_eq(meta_type(meta), type);
        ck_assert_uint_eq(meta_flags(meta), flags);
    }
}
END_TEST

START_TEST(handle_fields_come_back)
{
    static const uint32_t generations[] = {0, 1, GENERATION_FIRST, UINT32_MAX};
    static const uint32_t indices[] = {0, 1, SHMBUS_SLABS_MAX - 1};
    for (uint32_t class_index = 0; class_index < SHMBUS_CLASSES_MAX; class_index++)
        for (size_t i = 0; i < sizeof generations / sizeof generations[0]; i++)
            for (size_t j = 0; j < sizeof indices / sizeof indices[0]; j++) {
                uint64_t handle = handle_make(class_index, generations[i], indices[j]);
                ck_assert_uint_ne(handle, 0);
                ck_assert_uint_eq(handle_class(handle), class_index);
                ck_assert_uint_eq(handle_generation(handle), generations[i]);
                ck_assert_uint_eq(handle_index(handle), indices[j]);
            }
    ck_assert_uint_ge(handle_class(0), SHMBUS_CLASSES_MAX);
}
END_TEST

START_TEST(generations_begin_below_their_wrap)
{
    ck_assert_uint_gt(GENERATION_FIRST, UINT32_MAX - 16);
    ck_assert(!generation_is_retired(GENERATION_FIRST));
}
END_TEST

/* Of a slab that is held the generation rises by one, and of one that is reused by two. */
START_TEST(a_slab_that_is_held_may_be_retired_and_no_more)
{
    static const uint32_t generations[] = {0, GENERATION_FIRST, UINT32_MAX - 1};
    for (size_t i = 0; i < sizeof generations / sizeof generations[0]; i++) {
        uint64_t handle = handle_make(3, generations[i], 9);
        ck_assert(!generation_is_beyond(generations[i], handle));
        ck_assert(!generation_is_beyond(generations[i] + 1, handle));
        ck_assert(generation_is_beyond(generations[i] + 2, handle));
        ck_assert(generation_is_beyond(generations[i] + 3, handle));
        ck_assert(generation_is_beyond(generations[i] - 1, handle));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("unit stamps");
    TCase *tcase = support_case(suite, "stamps", 60);
    tcase_add_test(tcase, a_stamp_is_of_its_sequence_only);
    tcase_add_test(tcase, a_slot_never_used_is_of_no_sequence_in_any_state);
    tcase_add_test(tcase, meta_fields_come_back);
    tcase_add_test(tcase, handle_fields_come_back);
    tcase_add_test(tcase, generations_begin_below_their_wrap);
    tcase_add_test(tcase, a_slab_that_is_held_may_be_retired_and_no_more);
    return support_run(suite);
}
