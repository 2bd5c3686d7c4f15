/* SPDX-License-Identifier: MIT */
/*
 * Taking over a stream out of constructed states: where it goes on, what is void, which slabs are
 * free, in flight or held, and what the counts say.
 */
#include "plain.h"
#include "recovery/recovery.h"

#include <errno.h>
#include <string.h>

#define CAPACITY 32
#define SLABS    24
#define FIRST    ((UINT64_C(1) << 56) - 50)

static struct plain plain;
static struct pool_class *in;
static struct recovery_stream stream;

static void begin(void)
{
    struct shmbus_bus_options options = {.capacity = CAPACITY,
                                         .max_consumers = 4,
                                         .class_count = 1,
                                         .classes = {{64, SLABS}},
                                         .first_sequence = FIRST};
    plain_begin(&plain, &options);
    in = &plain.pool.classes[0];
}

/* Another process opens it. The tail's hint is so much behind. */
static int take_over(uint64_t tail, uint64_t behind)
{
    PUT(segment_state(&plain.segment)->tail, tail - behind);
    plain_reopen(&plain);
    in = &plain.pool.classes[0];
    return recovery_take_over(&plain.segment, &plain.ring, &plain.gate, &plain.pool, &stream);
}

static uint32_t publish_slab(uint64_t sequence)
{
    uint32_t index = pool_acquire(in);
    plain_publish_slab(&plain, sequence, 0, index);
    pool_disown(&plain.pool, in, index);
    return index;
}

START_TEST(a_new_bus_begins_at_its_first_sequence)
{
    begin();
    ck_assert_int_eq(take_over(FIRST, 0), 0);
    ck_assert_uint_eq(stream.next, FIRST);
    ck_assert_uint_eq(stream.floor, FIRST);
    ck_assert_uint_eq(in->free_count, SLABS);
    ck_assert_uint_eq(pool_acquire(in), 0);
    plain_end(&plain);
}
END_TEST

START_TEST(it_goes_on_after_the_last_stamp_whatever_the_hint)
{
    for (uint64_t count = 0; count < 3 * CAPACITY; count++)
        for (uint64_t behind = 0; behind <= CAPACITY / 4 && behind <= count; behind++) {
            begin();
            for (uint64_t i = 0; i < count; i++)
                plain_publish(&plain, FIRST + i, STAMP_PUBLISHED);
            ck_assert_int_eq(take_over(FIRST + count, behind), 0);
            ck_assert_uint_eq(stream.next, FIRST + count);
            plain_end(&plain);
        }
}
END_TEST

START_TEST(a_batch_half_released_is_void_and_its_slabs_are_free)
{
    begin();
    publish_slab(FIRST);
    plain_publish(&plain, FIRST + 1, STAMP_WRITING);
    publish_slab(FIRST + 2);
    publish_slab(FIRST + 3);
    uint32_t claimed = pool_acquire(in); /* by an open claim */
    uint32_t generation = pool_generation(in, claimed);
    ck_assert_int_eq(take_over(FIRST + 1, 1), 0);
    ck_assert_uint_eq(stream.next, FIRST + 1);
    ck_assert_uint_eq(in->in_flight.count, 1);
    ck_assert_uint_eq(in->free_count, SLABS - 1);
    ck_assert_uint_eq(in->acquired - in->released, 1);
    ck_assert_uint_eq(GET(plain.producer->classes[0].released), in->released);
    ck_assert_uint_ne(pool_generation(in, claimed), generation);
    for (uint64_t i = 1; i < CAPACITY; i++)
        ck_assert(!ring_is_final(ring_poll(ring_slot(&plain.ring, FIRST + i)), FIRST + i));
    plain_end(&plain);
}
END_TEST

START_TEST(a_floor_in_the_middle_of_a_raise_comes_down_to_the_slowest)
{
    begin();
    for (uint64_t i = 0; i < 20; i++)
        publish_slab(FIRST + i);
    plain_join(&plain, 0, SHMBUS_REQUIRED, FIRST + 6);
    plain_join(&plain, 1, SHMBUS_REQUIRED, FIRST + 4);
    plain_join(&plain, 2, SHMBUS_OPTIONAL, FIRST + 1);
    PUT(plain.producer->floor, FIRST + 18);
    ck_assert_int_eq(take_over(FIRST + 20, 3), 0);
    ck_assert_uint_eq(stream.floor, FIRST + 4);
    ck_assert_uint_eq(GET(plain.producer->floor), FIRST + 4);
    ck_assert_uint_eq(plain.gate.floor, FIRST + 4);
    ck_assert_uint_eq(in->in_flight.count, 16);
    plain_end(&plain);
}
END_TEST

START_TEST(without_a_consumer_the_floor_stays)
{
    begin();
    for (uint64_t i = 0; i < 20; i++)
        plain_publish(&plain, FIRST + i, STAMP_PUBLISHED);
    PUT(plain.producer->floor, FIRST + 18);
    ck_assert_int_eq(take_over(FIRST + 20, 3), 0);
    ck_assert_uint_eq(stream.floor, FIRST + 18);
    /* A floor beyond the tail, as a damaged one would be, is the tail. */
    PUT(plain.producer->floor, UINT64_MAX);
    ck_assert_int_eq(take_over(FIRST + 20, 0), 0);
    ck_assert_uint_eq(stream.floor, FIRST + 20);
    plain_end(&plain);
}
END_TEST

START_TEST(the_floor_is_above_what_was_reclaimed)
{
    begin();
    for (uint64_t i = 0; i < 12; i++)
        publish_slab(FIRST + i);
    pool_reclaim(&plain.pool, in, FIRST + 5);
    PUT(plain.producer->floor, FIRST);
    ck_assert_int_eq(take_over(FIRST + 12, 2), 0);
    ck_assert_uint_eq(stream.floor, FIRST + 5);
    ck_assert_uint_eq(in->in_flight.count, 7);
    ck_assert_uint_eq(in->free_count, SLABS - 7);
    plain_end(&plain);
}
END_TEST

/* A joiner's cursor at what is gone, about to move up, and a reader in front of a long gap. */
START_TEST(the_floor_is_not_above_a_reader_in_front_of_a_gap)
{
    const uint64_t after = FIRST + 1000;
    begin();
    for (uint64_t i = 0; i < 10; i++)
        publish_slab(FIRST + i);
    pool_reclaim(&plain.pool, in, FIRST + 5);
    plain_publish(&plain, FIRST + 10, STAMP_SKIPPED);
    *ring_handle(&plain.ring, ring_slot(&plain.ring, FIRST + 10)) = after;
    plain_join(&plain, 0, SHMBUS_REQUIRED, FIRST + 6);
    plain_join(&plain, 1, SHMBUS_REQUIRED, FIRST);
    PUT(plain.producer->floor, FIRST + 5);
    ck_assert_int_eq(take_over(after, 0), 0);
    ck_assert_uint_eq(stream.next, after);
    ck_assert_uint_eq(stream.floor, FIRST + 6);
    ck_assert_uint_eq(stream.gap_from, FIRST + 11);
    ck_assert_uint_eq(stream.gap_to, after);
    ck_assert_uint_eq(in->in_flight.count, 4);
    plain_end(&plain);
}
END_TEST

START_TEST(the_floor_is_above_a_handle_that_cannot_be)
{
    static const uint64_t handles[] = {0, UINT64_MAX, UINT64_C(0x1000000000000000) | SLABS};
    begin();
    for (uint64_t i = 0; i < 12; i++)
        publish_slab(FIRST + i);
    *ring_handle(&plain.ring, ring_slot(&plain.ring, FIRST + 7)) = handles[_i];
    ck_assert_int_eq(take_over(FIRST + 12, 0), 0);
    ck_assert_uint_eq(stream.next, FIRST + 12);
    ck_assert_uint_ge(stream.floor, handles[_i] == 0 ? FIRST : FIRST + 8);
    ck_assert_uint_eq(in->in_flight.count + in->free_count, SLABS);
    plain_end(&plain);
}
END_TEST

START_TEST(one_slab_of_several_messages_is_in_flight_until_the_last)
{
    begin();
    uint32_t index = pool_acquire(in);
    plain_publish_slab(&plain, FIRST, 0, index);
    publish_slab(FIRST + 1);
    plain_publish_slab(&plain, FIRST + 2, 0, index);
    ck_assert_int_eq(take_over(FIRST + 3, 0), 0);
    ck_assert_uint_eq(in->in_flight.count, 2);
    ck_assert_uint_eq(pool_reclaim(&plain.pool, in, FIRST + 2), 1);
    /* The producer that acquired it is gone, so it is no longer owned. */
    ck_assert_uint_eq(pool_reclaim(&plain.pool, in, FIRST + 3), 1);
    ck_assert_uint_eq(in->free_count, SLABS);
    plain_end(&plain);
}
END_TEST

START_TEST(held_slabs_stay_held)
{
    begin();
    plain_join(&plain, 3, SHMBUS_REQUIRED, FIRST);
    for (uint64_t i = 0; i < 6; i++)
        publish_slab(FIRST + i);
    plain_hold(&plain, 3, 0, 1);
    plain_hold(&plain, 3, 2, 1);
    plain_hold(&plain, 3, 5, 1);
    PUT(gate_entry(&plain.gate, 3)->cursor, FIRST + 4);
    PUT(plain.producer->floor, FIRST + 4);
    ck_assert_int_eq(take_over(FIRST + 6, 0), 0);
    ck_assert_uint_eq(in->in_flight.count, 2);
    ck_assert_uint_eq(in->held.count, 2);
    ck_assert_uint_eq(in->free_count, SLABS - 4);
    ck_assert_uint_eq(in->acquired - in->released, 4);
    plain_hold(&plain, 3, 2, 0);
    ck_assert_uint_eq(pool_reclaim(&plain.pool, in, FIRST + 4), 1);
    ck_assert_uint_eq(pool_reclaim(&plain.pool, in, FIRST + 6), 1);
    plain_leave(&plain, 3);
    ck_assert_uint_eq(pool_reclaim(&plain.pool, in, FIRST + 6), 2);
    ck_assert_uint_eq(in->free_count, SLABS);
    plain_end(&plain);
}
END_TEST

START_TEST(a_tail_that_cannot_be_is_damage)
{
    static const uint64_t tails[] = {0, FIRST - 1, UINT64_MAX, UINT64_MAX - CAPACITY + 1};
    begin();
    ck_assert_int_eq(take_over(tails[_i], 0), -EBADMSG);
    ck_assert(support_says("damaged"));
    plain_end(&plain);
}
END_TEST

START_TEST(at_random)
{
    uint64_t random = support_seed("takeover");
    for (int round = 0; round < 3000; round++) {
        int refers[SLABS] = {0};
        begin();
        /* No floor moves in this world: slabs come from a counter, each message may repeat one. */
        uint64_t count = support_below(&random, CAPACITY);
        uint64_t cursor = support_below(&random, count + 1);
        plain_join(&plain, 0, SHMBUS_REQUIRED, FIRST + cursor);
        PUT(plain.producer->floor, FIRST + cursor);
        uint32_t taken = 0;
        for (uint64_t i = 0; i < count; i++) {
            if (taken > 0 && support_below(&random, 3) == 0) {
                uint32_t again = (uint32_t)support_below(&random, taken);
                plain_publish_slab(&plain, FIRST + i, 0, again);
                refers[again] |= i >= cursor;
            } else if (taken < SLABS && support_below(&random, 2)) {
                uint32_t index = pool_acquire(in);
                plain_publish_slab(&plain, FIRST + i, 0, index);
                refers[index] |= i >= cursor;
                taken = index + 1;
            } else {
                plain_publish(&plain, FIRST + i, STAMP_PUBLISHED);
            }
        }
        uint32_t in_flight = 0;
        uint32_t held = 0;
        for (uint32_t i = 0; i < SLABS; i++) {
            int hold = i < taken && support_below(&random, 4) == 0;
            if (hold)
                plain_hold(&plain, 0, i, 1);
            in_flight += (uint32_t)refers[i];
            held += (uint32_t)(hold && !refers[i]);
        }
        ck_assert_int_eq(take_over(FIRST + count, support_below(&random, count + 1)), 0);
        ck_assert_uint_eq(stream.next, FIRST + count);
        ck_assert_uint_eq(stream.floor, FIRST + cursor);
        ck_assert_uint_eq(in->in_flight.count, in_flight);
        ck_assert_uint_eq(in->held.count, held);
        ck_assert_uint_eq(in->free_count, SLABS - in_flight - held);
        plain_end(&plain);
    }
}
END_TEST

/* Sequences left out, each with a slot of its own that leads to their end, until the producer dies:
 * no floor may stand where no slot is. */
START_TEST(a_short_skip_half_written_is_a_gap)
{
    for (uint64_t written = 1; written <= 4; written++) {
        begin();
        for (uint64_t i = 0; i < 3; i++)
            plain_publish(&plain, FIRST + i, STAMP_PUBLISHED);
        for (uint64_t i = 3; i < 3 + written; i++) {
            *ring_handle(&plain.ring, ring_slot(&plain.ring, FIRST + i)) = FIRST + 7;
            plain_publish(&plain, FIRST + i, STAMP_SKIPPED);
        }
        ck_assert_int_eq(take_over(FIRST + 3, 2), 0);
        ck_assert_uint_eq(stream.next, FIRST + 7);
        ck_assert_uint_eq(stream.gap_from, written < 4 ? FIRST + 3 + written : 0);
        ck_assert_uint_eq(stream.gap_to, written < 4 ? FIRST + 7 : 0);
        plain_end(&plain);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("unit takeover");
    TCase *tcase = support_case(suite, "takeover", 60);
    tcase_add_test(tcase, a_new_bus_begins_at_its_first_sequence);
    tcase_add_test(tcase, it_goes_on_after_the_last_stamp_whatever_the_hint);
    tcase_add_test(tcase, a_batch_half_released_is_void_and_its_slabs_are_free);
    tcase_add_test(tcase, a_short_skip_half_written_is_a_gap);
    tcase_add_test(tcase, a_floor_in_the_middle_of_a_raise_comes_down_to_the_slowest);
    tcase_add_test(tcase, without_a_consumer_the_floor_stays);
    tcase_add_test(tcase, the_floor_is_above_what_was_reclaimed);
    tcase_add_test(tcase, the_floor_is_not_above_a_reader_in_front_of_a_gap);
    tcase_add_loop_test(tcase, the_floor_is_above_a_handle_that_cannot_be, 0, 3);
    tcase_add_test(tcase, one_slab_of_several_messages_is_in_flight_until_the_last);
    tcase_add_test(tcase, held_slabs_stay_held);
    tcase_add_loop_test(tcase, a_tail_that_cannot_be_is_damage, 0, 4);
    tcase_add_test(tcase, at_random);
    return support_run(suite);
}
