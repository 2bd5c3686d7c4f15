/* SPDX-License-Identifier: MIT */
/* The walks over the ring: the true end, and voiding what is beyond. */
#include "plain.h"

#define CAPACITY 32
#define WRAP     (UINT64_C(1) << 56)

static const uint64_t firsts[] = {0, 5, WRAP - 40, WRAP - 1, UINT64_MAX / 2};
#define FIRSTS (int)(sizeof firsts / sizeof firsts[0])

static struct plain plain;

static void begin(uint64_t first)
{
    struct shmbus_bus_options options = {.capacity = CAPACITY,
                                         .slot_bytes = 32,
                                         .flags = SHMBUS_BUS_NO_POOL,
                                         .first_sequence = first};
    plain_begin(&plain, &options);
}

START_TEST(the_tail_is_found_from_any_hint_of_the_last_lap)
{
    uint64_t first = firsts[_i];
    begin(first);
    for (uint64_t count = 0; count < 3 * CAPACITY; count++) {
        uint64_t tail = first + count;
        uint64_t back = count < CAPACITY ? count : CAPACITY;
        for (uint64_t hint = tail - back; hint <= tail; hint++)
            ck_assert_uint_eq(ring_find_tail(&plain.ring, hint), tail);
        plain_publish(&plain, tail, count % 7 == 3 ? STAMP_ABORTED : STAMP_PUBLISHED);
    }
    plain_end(&plain);
}
END_TEST

START_TEST(a_hint_that_is_not_published_gives_itself)
{
    begin(firsts[_i]);
    for (uint64_t i = 0; i < CAPACITY; i++)
        plain_publish(&plain, firsts[_i] + i, STAMP_PUBLISHED);
    ck_assert_uint_eq(ring_find_tail(&plain.ring, firsts[_i] + 7 * CAPACITY),
                      firsts[_i] + 7 * CAPACITY);
    ck_assert_uint_eq(ring_find_tail(&plain.ring, firsts[_i] - 1), firsts[_i] - 1);
    plain_end(&plain);
}
END_TEST

/* A batch of count messages of which only the first is not released. */
static void half_release(uint64_t first, uint64_t count)
{
    plain_publish(&plain, first, STAMP_WRITING);
    for (uint64_t i = 1; i < count; i++)
        plain_publish(&plain, first + i, STAMP_PUBLISHED);
}

START_TEST(a_batch_half_released_is_beyond_the_tail)
{
    for (uint64_t before = 0; before < 2 * CAPACITY; before++)
        for (uint64_t count = 1; count <= CAPACITY; count += 3) {
            uint64_t tail = firsts[_i] + before;
            begin(firsts[_i]);
            for (uint64_t i = 0; i < before; i++)
                plain_publish(&plain, firsts[_i] + i, STAMP_PUBLISHED);
            half_release(tail, count);
            uint64_t behind = before < CAPACITY / 4 ? before : CAPACITY / 4;
            if (count + behind <= CAPACITY)
                ck_assert_uint_eq(ring_find_tail(&plain.ring, tail - behind), tail);

            ring_void_beyond(&plain.ring, tail);
            for (uint64_t i = 0; i < count; i++)
                ck_assert_uint_eq(ring_poll(ring_slot(&plain.ring, tail + i)), 0);
            /* What was published before it, and not overwritten by it, stands. */
            uint64_t kept = CAPACITY - count < before ? CAPACITY - count : before;
            for (uint64_t i = 1; i <= kept; i++)
                ck_assert(ring_is_final(ring_poll(ring_slot(&plain.ring, tail - i)), tail - i));
            /* The next message is the only one that comes. */
            plain_publish(&plain, tail, STAMP_PUBLISHED);
            ck_assert_uint_eq(ring_find_tail(&plain.ring, tail), tail + 1);
            plain_end(&plain);
        }
}
END_TEST

START_TEST(voiding_a_ring_that_is_whole_changes_nothing)
{
    begin(firsts[_i]);
    for (uint64_t count = 0; count < 2 * CAPACITY + 3; count++) {
        uint64_t tail = firsts[_i] + count;
        ring_void_beyond(&plain.ring, tail);
        uint64_t back = count < CAPACITY ? count : CAPACITY;
        ck_assert_uint_eq(ring_find_tail(&plain.ring, tail - back), tail);
        plain_publish(&plain, tail, STAMP_PUBLISHED);
    }
    plain_end(&plain);
}
END_TEST

START_TEST(the_views_of_a_slot_are_inside_it)
{
    for (uint32_t slot_bytes = 32; slot_bytes <= SHMBUS_SLOT_BYTES_MAX; slot_bytes *= 2)
        for (uint32_t timestamps = 0; timestamps < 2; timestamps++) {
            struct shmbus_bus_options options = {.capacity = 16,
                                                 .slot_bytes = slot_bytes,
                                                 .flags = timestamps ? SHMBUS_BUS_TIMESTAMPS : 0};
            plain_begin(&plain, &options);
            for (uint64_t sequence = 0; sequence < 40; sequence++) {
                unsigned char *slot = (unsigned char *)ring_slot(&plain.ring, sequence);
                ck_assert_uint_eq((uint64_t)(slot - plain.ring.slots), sequence % 16 * slot_bytes);
                unsigned char *payload =
                    ring_payload(&plain.ring, ring_slot(&plain.ring, sequence));
                ck_assert_ptr_eq(payload + plain.ring.inline_bytes, slot + slot_bytes);
                ck_assert_uint_eq((uintptr_t)payload % 8, 0);
                ck_assert_uint_ge(plain.ring.inline_bytes, sizeof(uint64_t));
            }
            plain_end(&plain);
        }
}
END_TEST

START_TEST(a_second_look_sees_that_a_slot_changed)
{
    begin(0);
    struct slot_header *slot = ring_slot(&plain.ring, 3);
    plain_publish(&plain, 3, STAMP_PUBLISHED);
    uint64_t stamp = ring_poll(slot);
    ck_assert(ring_recheck(slot, stamp));
    ring_mark(slot, 3 + CAPACITY, STAMP_WRITING);
    ck_assert(!ring_recheck(slot, stamp));
    plain_end(&plain);
}
END_TEST

START_TEST(the_hint_is_stored_at_least_that_often)
{
    for (uint64_t capacity = 16; capacity <= SHMBUS_CAPACITY_MAX; capacity *= 2) {
        uint64_t every = ring_tail_every(capacity);
        ck_assert_uint_le(every, 256);
        ck_assert_uint_le(every, capacity / 4);
        ck_assert_uint_eq(every & (every - 1), 0);
        ck_assert_uint_ge(every, 4);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("unit ring");
    TCase *tcase = support_case(suite, "ring", 60);
    tcase_add_loop_test(tcase, the_tail_is_found_from_any_hint_of_the_last_lap, 0, FIRSTS);
    tcase_add_loop_test(tcase, a_hint_that_is_not_published_gives_itself, 0, FIRSTS);
    tcase_add_loop_test(tcase, a_batch_half_released_is_beyond_the_tail, 0, FIRSTS);
    tcase_add_loop_test(tcase, voiding_a_ring_that_is_whole_changes_nothing, 0, FIRSTS);
    tcase_add_test(tcase, the_views_of_a_slot_are_inside_it);
    tcase_add_test(tcase, a_second_look_sees_that_a_slot_changed);
    tcase_add_test(tcase, the_hint_is_stored_at_least_that_often);
    return support_run(suite);
}
