/* SPDX-License-Identifier: MIT */
/* The pool by hand: acquire, fill, publish, publish again, give back; and handles that are none. */
#include "expect.h"
#include "layout/stamp.h"

#include <errno.h>
#include <string.h>

#define BUS "slabs"

static struct shmbus_producer *producer;
static struct shmbus_consumer *consumer;
static struct shmbus_slab slabs[8];

static void begin(uint32_t flags)
{
    struct shmbus_bus_options options = expect_bus();
    options.flags = flags;
    producer = support_create(BUS, &options, NULL);
    consumer = support_join(BUS, SHMBUS_FROM_TAIL);
}

static void end(void)
{
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}

static void acquire(uint64_t bytes, uint32_t count)
{
    int result = shmbus_producer_slab_acquire(producer, bytes, count, slabs);
    ck_assert_msg(result == 0, "%d: %s", result, shmbus_error_text());
}

static int publish(const struct shmbus_slab *slab, uint32_t length)
{
    return shmbus_producer_slab_publish(producer, slab->handle, length, 9, 1);
}

static void release(const struct shmbus_slab *slab)
{
    ck_assert_int_eq(shmbus_producer_slab_release(producer, slab->handle), 0);
}

START_TEST(the_smallest_class_that_fits)
{
    static const struct {
        uint64_t bytes;
        uint64_t slab_bytes;
    } sizes[] = {{0, 64}, {1, 64}, {64, 64}, {65, 128}, {128, 128}, {129, 4096}, {4096, 4096}};
    begin(0);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        acquire(sizes[i].bytes, 1);
        ck_assert_uint_eq(slabs[0].bytes, sizes[i].slab_bytes);
        ck_assert_uint_eq((uintptr_t)slabs[0].data % (slabs[0].bytes == 4096 ? 4096 : 64), 0);
        memset(slabs[0].data, 0xcc, slabs[0].bytes);
        release(&slabs[0]);
    }
    slabs[0].bytes = 99;
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 4097, 1, slabs), -EMSGSIZE);
    ck_assert(support_says("4097"));
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, UINT64_MAX, 1, slabs), -EMSGSIZE);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 64, 0, slabs), -EINVAL);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 64, 9, slabs), -EINVAL);
    ck_assert_uint_eq(slabs[0].bytes, 99);
    end();
}
END_TEST

START_TEST(all_of_them_or_none)
{
    struct shmbus_slab more[8];
    begin(0);
    acquire(64, 5);
    for (int i = 0; i < 5; i++) {
        memset(slabs[i].data, i, 64);
        for (int j = 0; j < i; j++)
            ck_assert_uint_ne(slabs[i].handle, slabs[j].handle);
    }
    for (int i = 0; i < 5; i++)
        ck_assert(support_all(slabs[i].data, 64, (unsigned char)i));
    memset(more, 0xaa, sizeof more);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 64, 4, more), -ENOBUFS);
    ck_assert(support_all(more, sizeof more, 0xaa));
    ck_assert_uint_eq(support_pool(producer, 0).in_use, 5);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 64, 3, more), 0);
    ck_assert_uint_eq(support_pool(producer, 0).in_use, 8);
    end();
}
END_TEST

START_TEST(published_again_and_again)
{
    begin(0);
    acquire(4096, 1);
    support_fill(slabs[0].data, 3000, 1);
    for (uint64_t sequence = 0; sequence < 40; sequence++) {
        struct shmbus_message message;
        uint32_t length = sequence % 3 ? 3000 : (uint32_t)sequence;
        ck_assert_int_eq(publish(&slabs[0], length), 0);
        ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
        ck_assert_uint_eq(message.sequence, sequence);
        ck_assert_uint_eq(message.handle, slabs[0].handle);
        ck_assert_uint_eq(message.length, length);
        ck_assert_uint_eq(message.type, 9);
        ck_assert_uint_eq(message.flags, 1 | SHMBUS_MESSAGE_POOLED);
        ck_assert(length < 3000 || support_is(message.data, length, 1));
        expect_none(consumer, 0);
    }
    ck_assert_uint_eq(support_pool(producer, 2).in_use, 1);
    ck_assert_uint_eq(support_pool(producer, 2).acquired, 1);
    /* A whole slab, too. */
    ck_assert_int_eq(publish(&slabs[0], 4096), 0);
    end();
}
END_TEST

START_TEST(several_in_flight_in_any_order)
{
    struct shmbus_message message;
    begin(0);
    acquire(128, 4);
    for (int i = 0; i < 4; i++)
        support_fill(slabs[i].data, 128, (uint64_t)i);
    static const int order[] = {2, 0, 3, 3, 1, 0, 2, 2};
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(publish(&slabs[order[i]], 128), 0);
    release(&slabs[3]);
    release(&slabs[0]);
    for (int i = 0; i < 8; i++) {
        ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
        ck_assert_uint_eq(message.handle, slabs[order[i]].handle);
        ck_assert(support_is(message.data, 128, (uint64_t)order[i]));
    }
    end();
}
END_TEST

START_TEST(given_back_unpublished_it_is_free_at_once)
{
    struct shmbus_slab again;
    begin(0);
    acquire(64, 8);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 64, 1, &again), -ENOBUFS);
    release(&slabs[5]);
    ck_assert_uint_eq(support_pool(producer, 0).in_use, 7);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 64, 1, &again), 0);
    ck_assert_ptr_eq(again.data, slabs[5].data);
    expect_none(consumer, 0);
    end();
}
END_TEST

START_TEST(given_back_after_publication_it_stays_whole_until_it_was_read)
{
    struct shmbus_slab again;
    struct shmbus_message message;
    begin(0);
    acquire(64, 8);
    support_fill(slabs[2].data, 64, 5);
    ck_assert_int_eq(publish(&slabs[2], 64), 0);
    release(&slabs[2]);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 64, 1, &again), -ENOBUFS);
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 64, 1, &again), -ENOBUFS);
    ck_assert(support_is(message.data, 64, 5));
    expect_none(consumer, 0);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 64, 1, &again), 0);
    ck_assert_ptr_eq(again.data, slabs[2].data);
    end();
}
END_TEST

START_TEST(given_back_while_it_is_held_it_stays_whole)
{
    struct shmbus_slab again;
    struct shmbus_message message;
    uint64_t handle;
    int held_first = _i;
    begin(0);
    acquire(64, 8);
    support_fill(slabs[2].data, 64, 5);
    ck_assert_int_eq(publish(&slabs[2], 64), 0);
    if (!held_first)
        release(&slabs[2]);
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
    ck_assert_int_eq(shmbus_consumer_retain(consumer, &message, &handle), 0);
    expect_none(consumer, 0);
    for (int i = 0; i < 40; i++) {
        ck_assert_int_eq(expect_publish(producer, 100), 0);
        uint64_t count = 0;
        ck_assert_int_eq(shmbus_consumer_poll(consumer, expect_any, &count, 10), 1);
    }
    if (held_first)
        release(&slabs[2]);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 64, 1, &again), -ENOBUFS);
    ck_assert_uint_eq(support_pool(producer, 0).held, 1);
    ck_assert_int_eq(shmbus_consumer_held(consumer, handle, &message), 0);
    ck_assert(support_is(message.data, 64, 5));
    ck_assert_int_eq(shmbus_consumer_release(consumer, handle), 0);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 64, 1, &again), 0);
    ck_assert_ptr_eq(again.data, slabs[2].data);
    end();
}
END_TEST

static void refused(uint64_t handle)
{
    ck_assert_int_eq(shmbus_producer_slab_release(producer, handle), -ESTALE);
    ck_assert_int_eq(shmbus_producer_slab_publish(producer, handle, 1, 0, 0), -ESTALE);
    ck_assert_uint_eq(support_pool(producer, 0).in_use, 8);
}

START_TEST(a_handle_of_no_acquired_slab)
{
    begin(0);
    acquire(64, 8);
    uint64_t handle = slabs[3].handle;
    refused(0);
    refused(UINT64_MAX);
    for (int bit = 0; bit < 64; bit++) {
        uint64_t forged = handle ^ UINT64_C(1) << bit;
        int ours = 0;
        for (int i = 0; i < 8; i++)
            ours |= slabs[i].handle == forged;
        if (!ours)
            refused(forged);
    }
    refused(handle_make(0, handle_generation(handle) + 1, 3));
    refused(handle_make(1, handle_generation(handle), 3));
    ck_assert(support_says("handle"));

    /* Twice, and when somebody else has the slab since. */
    release(&slabs[3]);
    ck_assert_int_eq(shmbus_producer_slab_release(producer, handle), -ESTALE);
    ck_assert_int_eq(shmbus_producer_slab_publish(producer, handle, 1, 0, 0), -ESTALE);
    struct shmbus_slab again;
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 64, 1, &again), 0);
    ck_assert_ptr_eq(again.data, slabs[3].data);
    refused(handle);
    ck_assert_int_eq(publish(&again, 8), 0);
    release(&again);
    ck_assert_int_eq(shmbus_producer_slab_release(producer, again.handle), -ESTALE);
    end();
}
END_TEST

START_TEST(a_slab_of_a_message_is_not_the_producers)
{
    struct shmbus_message message;
    begin(0);
    ck_assert_int_eq(expect_publish(producer, 60), 0);
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
    ck_assert_int_eq(shmbus_producer_slab_release(producer, message.handle), -ESTALE);
    ck_assert_int_eq(shmbus_producer_slab_publish(producer, message.handle, 1, 0, 0), -ESTALE);
    ck_assert(support_is(message.data, 60, 0));
    end();
}
END_TEST

START_TEST(more_than_the_slab_has)
{
    begin(0);
    acquire(128, 1);
    ck_assert_int_eq(publish(&slabs[0], 129), -EINVAL);
    ck_assert(support_says("128"));
    ck_assert_int_eq(publish(&slabs[0], UINT32_MAX), -EINVAL);
    ck_assert_int_eq(shmbus_producer_slab_publish(producer, slabs[0].handle, 1, 0, 0x100), -EINVAL);
    expect_none(consumer, 0);
    ck_assert_int_eq(publish(&slabs[0], 128), 0);
    end();
}
END_TEST

START_TEST(what_comes_back_is_zeroed_if_that_was_asked_for)
{
    begin(_i ? SHMBUS_BUS_SCRUB : 0);
    acquire(4096, 4);
    for (int i = 0; i < 4; i++)
        memset(slabs[i].data, 0xee, 4096);
    ck_assert_int_eq(publish(&slabs[0], 4096), 0);
    release(&slabs[0]);
    release(&slabs[1]);
    uint64_t count = 0;
    ck_assert_int_eq(shmbus_consumer_poll(consumer, expect_any, &count, 10), 1);
    /* All four are taken again, so that the one that was read has come back. */
    release(&slabs[2]);
    release(&slabs[3]);
    acquire(4096, 4);
    for (int i = 0; i < 4; i++)
        ck_assert(support_all(slabs[i].data, 4096, _i ? 0 : 0xee));
    end();
}
END_TEST

START_TEST(closing_gives_back_what_was_acquired)
{
    begin(0);
    acquire(64, 5);
    ck_assert_int_eq(publish(&slabs[1], 64), 0);
    ck_assert_int_eq(expect_publish(producer, 100), 0);
    shmbus_producer_close(producer);
    struct shmbus_snapshot *snapshot = support_look(BUS);
    /* What is published and not yet read is in use still. */
    ck_assert_uint_eq(shmbus_snapshot_pool(snapshot, 0)->in_use, 1);
    ck_assert_uint_eq(shmbus_snapshot_pool(snapshot, 1)->in_use, 1);
    shmbus_snapshot_close(snapshot);
    shmbus_consumer_close(consumer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message slabs");
    TCase *tcase = support_case(suite, "slabs", 60);
    tcase_add_test(tcase, the_smallest_class_that_fits);
    tcase_add_test(tcase, all_of_them_or_none);
    tcase_add_test(tcase, published_again_and_again);
    tcase_add_test(tcase, several_in_flight_in_any_order);
    tcase_add_test(tcase, given_back_unpublished_it_is_free_at_once);
    tcase_add_test(tcase, given_back_after_publication_it_stays_whole_until_it_was_read);
    tcase_add_loop_test(tcase, given_back_while_it_is_held_it_stays_whole, 0, 2);
    tcase_add_test(tcase, a_handle_of_no_acquired_slab);
    tcase_add_test(tcase, a_slab_of_a_message_is_not_the_producers);
    tcase_add_test(tcase, more_than_the_slab_has);
    tcase_add_loop_test(tcase, what_comes_back_is_zeroed_if_that_was_asked_for, 0, 2);
    tcase_add_test(tcase, closing_gives_back_what_was_acquired);
    return support_run(suite);
}
