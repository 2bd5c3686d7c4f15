/* SPDX-License-Identifier: MIT */
/* The pool's lists and counts, one behaviour a test; test_pool_model.c drives them at random. */
#include "plain.h"

#include <errno.h>
#include <string.h>

static struct plain plain;
static struct pool_class *small;
static struct pool_class *large;

static void begin_with(uint32_t flags)
{
    struct shmbus_bus_options options = {.capacity = 64,
                                         .max_consumers = 4,
                                         .class_count = 2,
                                         .classes = {{64, 4}, {256, 70}},
                                         .flags = flags};
    plain_begin(&plain, &options);
    small = &plain.pool.classes[0];
    large = &plain.pool.classes[1];
}

static uint32_t take(struct pool_class *from, uint64_t sequence)
{
    uint32_t index = pool_acquire(from);
    pool_publish(from, index, sequence);
    pool_disown(&plain.pool, from, index);
    return index;
}

START_TEST(the_smallest_class_that_fits)
{
    begin_with(0);
    ck_assert_uint_eq(pool_class_for(&plain.pool, 0), 0);
    ck_assert_uint_eq(pool_class_for(&plain.pool, 64), 0);
    ck_assert_uint_eq(pool_class_for(&plain.pool, 65), 1);
    ck_assert_uint_eq(pool_class_for(&plain.pool, 256), 1);
    ck_assert_uint_eq(pool_class_for(&plain.pool, 257), 2);
    ck_assert_uint_eq(pool_class_for(&plain.pool, UINT64_MAX), 2);
    plain_end(&plain);
}
END_TEST

START_TEST(first_slab_first_and_then_the_one_given_back_last)
{
    begin_with(0);
    for (uint32_t i = 0; i < 4; i++)
        ck_assert_uint_eq(pool_acquire(small), i);
    ck_assert_uint_eq(small->free_count, 0);
    pool_disown(&plain.pool, small, 2);
    pool_disown(&plain.pool, small, 0);
    ck_assert_uint_eq(pool_acquire(small), 0);
    ck_assert_uint_eq(pool_acquire(small), 2);
    plain_end(&plain);
}
END_TEST

START_TEST(a_published_slab_is_free_once_below_the_floor)
{
    begin_with(0);
    uint32_t first = take(large, 10);
    uint32_t second = take(large, 11);
    uint32_t generation = pool_generation(large, first);
    ck_assert_uint_eq(pool_wanted_floor(large), 11);
    ck_assert_uint_eq(pool_reclaim(&plain.pool, large, 10), 0);
    ck_assert_uint_eq(pool_generation(large, first), generation);
    ck_assert_uint_eq(pool_reclaim(&plain.pool, large, 11), 1);
    ck_assert_uint_eq(pool_generation(large, first), generation + 2);
    ck_assert_uint_eq(pool_generation(large, second), generation);
    ck_assert_uint_eq(pool_acquire(large), first);
    ck_assert_uint_eq(pool_reclaim(&plain.pool, large, 12), 1);
    ck_assert_uint_eq(pool_wanted_floor(large), 0);
    plain_end(&plain);
}
END_TEST

START_TEST(a_slab_published_again_counts_from_its_last_message)
{
    begin_with(0);
    uint32_t index = pool_acquire(large);
    uint32_t other = take(large, 5);
    pool_publish(large, index, 6);
    pool_publish(large, index, 9);
    pool_disown(&plain.pool, large, index);
    ck_assert_uint_eq(pool_reclaim(&plain.pool, large, 9), 1);
    ck_assert_uint_eq(pool_acquire(large), other);
    ck_assert_uint_eq(pool_reclaim(&plain.pool, large, 10), 1);
    ck_assert_uint_eq(pool_acquire(large), index);
    plain_end(&plain);
}
END_TEST

START_TEST(an_owned_slab_is_never_freed)
{
    begin_with(0);
    uint32_t index = pool_acquire(large);
    uint32_t generation = pool_generation(large, index);
    pool_publish(large, index, 5);
    ck_assert_uint_eq(pool_reclaim(&plain.pool, large, 100), 0);
    ck_assert_uint_eq(pool_generation(large, index), generation);
    pool_publish(large, index, 100);
    ck_assert_uint_eq(pool_reclaim(&plain.pool, large, 200), 0);
    /* All of its messages are gone, but somebody may hold it: retired as any other. */
    pool_disown(&plain.pool, large, index);
    ck_assert_uint_eq(pool_reclaim(&plain.pool, large, 200), 1);
    ck_assert_uint_eq(pool_generation(large, index), generation + 2);
    plain_end(&plain);
}
END_TEST

START_TEST(one_never_published_is_free_at_once_and_its_handle_is_stale)
{
    begin_with(0);
    uint32_t index = pool_acquire(large);
    uint32_t generation = pool_generation(large, index);
    pool_disown(&plain.pool, large, index);
    ck_assert_uint_eq(large->free_count, large->slab_count);
    ck_assert_uint_eq(pool_acquire(large), index);
    ck_assert_uint_eq(pool_generation(large, index), generation + 2);
    plain_end(&plain);
}
END_TEST

START_TEST(a_held_slab_waits_for_the_last_hold)
{
    begin_with(0);
    plain_join(&plain, 0, SHMBUS_REQUIRED, 0);
    plain_join(&plain, 2, SHMBUS_OPTIONAL, 0);
    for (uint32_t i = 0; i < large->slab_count; i++)
        take(large, i);
    /* In words of the bitmap that are not the first, too: the classes have 4 and 70 slabs. */
    plain_hold(&plain, 0, large->first_slab + 69, 1);
    plain_hold(&plain, 2, large->first_slab + 69, 1);
    plain_hold(&plain, 2, large->first_slab + 0, 1);
    ck_assert_uint_eq(pool_count_held(&plain.pool, large), 2);
    ck_assert_uint_eq(pool_count_held(&plain.pool, small), 0);
    ck_assert_uint_eq(pool_reclaim(&plain.pool, large, 70), 68);
    ck_assert_uint_eq(large->held.count, 2);
    /* A holder can tell: that of a slab that is held is one up, and that of one that is free two.
     */
    ck_assert_uint_eq(pool_generation(large, 69), GENERATION_FIRST + 1);
    ck_assert_uint_eq(pool_generation(large, 68), GENERATION_FIRST + 2);
    plain_hold(&plain, 0, large->first_slab + 69, 0);
    ck_assert_uint_eq(pool_reclaim(&plain.pool, large, 70), 0);
    plain_hold(&plain, 2, large->first_slab + 69, 0);
    ck_assert_uint_eq(pool_reclaim(&plain.pool, large, 70), 1);
    ck_assert_uint_eq(pool_acquire(large), 69);
    plain_leave(&plain, 2);
    ck_assert_uint_eq(pool_reclaim(&plain.pool, large, 70), 1);
    ck_assert_uint_eq(pool_acquire(large), 0);
    plain_end(&plain);
}
END_TEST

START_TEST(the_holds_of_the_evicted_and_the_gone_are_nothing)
{
    begin_with(0);
    struct control_entry *entry = plain_join(&plain, 1, SHMBUS_REQUIRED, 0);
    plain_hold(&plain, 1, 0, 1);
    ck_assert_uint_eq(pool_count_held(&plain.pool, small), 1);
    PUT(entry->state, ENTRY_JOINING);
    ck_assert_uint_eq(pool_count_held(&plain.pool, small), 0);
    PUT(entry->state, ENTRY_ACTIVE);
    gate_evict(&plain.gate, 1, GET(entry->epoch));
    ck_assert_uint_eq(pool_count_held(&plain.pool, small), 0);
    /* A forged count of entries reaches no further than there are. */
    PUT(*plain.pool.entries_used, UINT32_MAX);
    ck_assert_uint_eq(pool_count_held(&plain.pool, small), 0);
    plain_end(&plain);
}
END_TEST

START_TEST(counts)
{
    begin_with(0);
    uint32_t kept[4];
    for (int i = 0; i < 4; i++)
        kept[i] = pool_acquire(small);
    for (int i = 0; i < 4; i++)
        pool_disown(&plain.pool, small, kept[i]);
    take(small, 1);
    pool_count_exhausted(small);
    pool_count_exhausted(small);
    struct producer_class *shared = &plain.producer->classes[0];
    ck_assert_uint_eq(GET(shared->acquired), 5);
    ck_assert_uint_eq(GET(shared->released), 4);
    ck_assert_uint_eq(GET(shared->high_water), 4);
    ck_assert_uint_eq(GET(shared->exhausted), 2);
    ck_assert_uint_eq(GET(plain.producer->classes[1].acquired), 0);
    plain_end(&plain);
}
END_TEST

START_TEST(scrub_zeroes_what_comes_back_and_nothing_else)
{
    begin_with(_i ? SHMBUS_BUS_SCRUB : 0);
    for (uint32_t i = 0; i < 4; i++)
        memset(pool_data(small, i), 0xee, 64);
    take(small, 1);
    uint32_t unpublished = pool_acquire(small);
    pool_disown(&plain.pool, small, unpublished);
    pool_reclaim(&plain.pool, small, 2);
    for (uint32_t i = 0; i < 4; i++)
        ck_assert(support_all(pool_data(small, i), 64, _i && i < 2 ? 0 : 0xee));
    plain_end(&plain);
}
END_TEST

START_TEST(generations_go_through_their_wrap)
{
    begin_with(0);
    uint32_t generation = GENERATION_FIRST;
    uint64_t before = 0;
    for (uint64_t sequence = 0; sequence < 40; sequence++) {
        uint32_t index = take(small, sequence);
        uint64_t handle = handle_make(0, pool_generation(small, index), index);
        ck_assert_uint_eq(index, 0);
        ck_assert_uint_eq(pool_generation(small, index), generation);
        generation += 2;
        ck_assert_uint_ne(handle, before);
        before = handle;
        ck_assert_uint_eq(pool_reclaim(&plain.pool, small, sequence + 1), 1);
    }
    ck_assert_uint_lt(generation, 80);
    plain_end(&plain);
}
END_TEST

START_TEST(only_handles_of_slabs_that_there_are_resolve)
{
    begin_with(0);
    uint64_t random = support_seed("handles");
    for (int i = 0; i < 100000; i++) {
        uint64_t handle = support_random(&random);
        if (i % 2)
            handle = handle_make((uint32_t)support_below(&random, 3), (uint32_t)handle,
                                 (uint32_t)support_below(&random, 80));
        uint32_t class_index = 99;
        uint32_t index = 99;
        int result = pool_resolve(&plain.pool, handle, &class_index, &index);
        int there = (handle_class(handle) == 0 && handle_index(handle) < 4) ||
                    (handle_class(handle) == 1 && handle_index(handle) < 70);
        ck_assert_int_eq(result, there ? 0 : -EBADMSG);
        ck_assert_uint_eq(class_index, there ? handle_class(handle) : 99);
        ck_assert_uint_eq(index, there ? handle_index(handle) : 99);
    }
    ck_assert_int_eq(pool_refer(&plain.pool, handle_make(0, 5, 0), 1), -ESTALE);
    ck_assert_int_eq(pool_refer(&plain.pool, handle_make(2, 5, 0), 1), -EBADMSG);
    plain_end(&plain);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("unit pool");
    TCase *tcase = support_case(suite, "pool", 60);
    tcase_add_test(tcase, the_smallest_class_that_fits);
    tcase_add_test(tcase, first_slab_first_and_then_the_one_given_back_last);
    tcase_add_test(tcase, a_published_slab_is_free_once_below_the_floor);
    tcase_add_test(tcase, a_slab_published_again_counts_from_its_last_message);
    tcase_add_test(tcase, an_owned_slab_is_never_freed);
    tcase_add_test(tcase, one_never_published_is_free_at_once_and_its_handle_is_stale);
    tcase_add_test(tcase, a_held_slab_waits_for_the_last_hold);
    tcase_add_test(tcase, the_holds_of_the_evicted_and_the_gone_are_nothing);
    tcase_add_test(tcase, counts);
    tcase_add_loop_test(tcase, scrub_zeroes_what_comes_back_and_nothing_else, 0, 2);
    tcase_add_test(tcase, generations_go_through_their_wrap);
    tcase_add_test(tcase, only_handles_of_slabs_that_there_are_resolve);
    return support_run(suite);
}
