/* SPDX-License-Identifier: MIT */
/* Numbers that begin just below their wrap: sequences at 2^56, generations at 2^32. */
#include "expect.h"
#include "layout/stamp.h"

#include <errno.h>

#define BUS "wrap"

static const uint64_t firsts[] = {(UINT64_C(1) << 56) - 1 - 100, (UINT64_C(1) << 56) - 2,
                                  (UINT64_C(1) << 56) - 1,       UINT64_C(1) << 56,
                                  UINT32_MAX - UINT64_C(50),     SHMBUS_FIRST_SEQUENCE_MAX};
#define FIRSTS (int)(sizeof firsts / sizeof firsts[0])

START_TEST(sequences_go_through_the_stamps_wrap)
{
    struct shmbus_bus_options options = expect_bus();
    options.first_sequence = firsts[_i];
    options.flags = SHMBUS_BUS_TIMESTAMPS;
    struct shmbus_producer *producer = support_create(BUS, &options, NULL);
    struct shmbus_consumer *first = support_join(BUS, SHMBUS_FROM_OLDEST);
    struct shmbus_consumer *second = support_join(BUS, SHMBUS_FROM_TAIL);
    ck_assert_uint_eq(shmbus_producer_next_sequence(producer), firsts[_i]);
    uint64_t published = firsts[_i];
    struct expect_run run = {.next = firsts[_i]};
    int64_t before = 0;
    for (uint64_t sequence = firsts[_i]; sequence < firsts[_i] + 300; sequence++) {
        /* The ring is full at times, and empty at others. */
        if (sequence == published)
            while (published - sequence < 1 + sequence % 16) {
                ck_assert_int_eq(expect_publish(producer, published % 5 ? 8 : 100), 0);
                published++;
            }
        struct shmbus_message message = expect_next(first, sequence, sequence % 5 ? 8 : 100);
        ck_assert_int_ge(message.timestamp_ns, before);
        before = message.timestamp_ns;
        ck_assert_int_eq(shmbus_consumer_poll(second, expect_in_order, &run, 1), 1);
        if (sequence + 1 == published) {
            expect_none(first, 0);
            expect_none(second, 0);
            ck_assert_int_eq(shmbus_producer_flush(producer, 0), 0);
        }
    }
    shmbus_producer_close(producer);
    ck_assert_int_eq(shmbus_producer_open(BUS, NULL, NULL, 0, &producer), 0);
    ck_assert_uint_eq(shmbus_producer_next_sequence(producer), published);
    shmbus_consumer_close(first);
    shmbus_consumer_close(second);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(a_full_ring_across_the_wrap_is_full)
{
    struct shmbus_bus_options options = expect_bus();
    options.first_sequence = firsts[_i];
    struct shmbus_producer *producer = support_create(BUS, &options, NULL);
    struct shmbus_consumer *consumer = support_join(BUS, SHMBUS_FROM_TAIL);
    for (int lap = 0; lap < 12; lap++) {
        for (int i = 0; i < 16; i++)
            ck_assert_int_eq(expect_publish(producer, 8), 0);
        ck_assert_int_eq(expect_publish(producer, 8), -EAGAIN);
        struct expect_run run = {.next = firsts[_i] + (uint64_t)lap * 16};
        ck_assert_int_eq(shmbus_consumer_poll(consumer, expect_in_order, &run, 100), 16);
        expect_none(consumer, 0);
    }
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(one_slab_is_used_through_its_generations_wrap)
{
    struct shmbus_bus_options options = expect_bus();
    options.class_count = 1;
    options.classes[0] = (struct shmbus_pool_class){256, 1};
    struct shmbus_producer *producer = support_create(BUS, &options, NULL);
    struct shmbus_consumer *consumer = support_join(BUS, SHMBUS_FROM_TAIL);
    uint32_t generation = 0;
    uint64_t held = 0;
    for (uint64_t sequence = 0; sequence < 64; sequence++) {
        ck_assert_int_eq(expect_publish(producer, 200), 0);
        struct shmbus_message message = expect_next(consumer, sequence, 200);
        /* It was retired once when the bus was opened. */
        if (sequence == 0)
            generation = handle_generation(message.handle);
        ck_assert_uint_eq(handle_generation(message.handle), generation);
        ck_assert_int_eq(sequence > 0 || generation >= GENERATION_FIRST, 1);
        generation += 2;
        ck_assert_int_eq(shmbus_consumer_retain(consumer, &message, &held), 0);
        expect_none(consumer, 0);
        ck_assert_int_eq(expect_publish(producer, 200), -ENOBUFS);
        ck_assert_int_eq(shmbus_consumer_held(consumer, held, &message), 0);
        ck_assert(support_is(message.data, 200, sequence));
        ck_assert_int_eq(shmbus_producer_slab_release(producer, message.handle), -ESTALE);
        ck_assert_int_eq(shmbus_consumer_release(consumer, held), 0);
        ck_assert_int_eq(shmbus_consumer_release(consumer, held), -ESTALE);
    }
    ck_assert_uint_lt(generation, 128);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(acquired_by_hand_through_the_generations_wrap)
{
    struct shmbus_bus_options options = expect_bus();
    struct shmbus_slab slab;
    struct shmbus_slab old = {0};
    struct shmbus_message message;
    struct shmbus_producer *producer = support_create(BUS, &options, NULL);
    struct shmbus_consumer *consumer = support_join(BUS, SHMBUS_FROM_TAIL);
    for (int i = 0; i < 64; i++) {
        ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 4096, 1, &slab), 0);
        ck_assert_uint_ne(slab.handle, old.handle);
        if (i > 0)
            ck_assert_int_eq(shmbus_producer_slab_release(producer, old.handle), -ESTALE);
        if (i % 2) {
            ck_assert_int_eq(shmbus_producer_slab_publish(producer, slab.handle, 1, 0, 0), 0);
            ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
            expect_none(consumer, 0);
        }
        ck_assert_int_eq(shmbus_producer_slab_release(producer, slab.handle), 0);
        old = slab;
    }
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message wrap");
    TCase *tcase = support_case(suite, "wrap", 60);
    tcase_add_loop_test(tcase, sequences_go_through_the_stamps_wrap, 0, FIRSTS);
    tcase_add_loop_test(tcase, a_full_ring_across_the_wrap_is_full, 0, FIRSTS);
    tcase_add_test(tcase, one_slab_is_used_through_its_generations_wrap);
    tcase_add_test(tcase, acquired_by_hand_through_the_generations_wrap);
    return support_run(suite);
}
