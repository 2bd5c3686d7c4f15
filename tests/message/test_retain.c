/* SPDX-License-Identifier: MIT */
/* Keeping messages beyond their callback: handles, their copies, their end, and those that are
 * none. */
#include "expect.h"

#include <errno.h>
#include <string.h>

#define BUS "retain"

static struct shmbus_producer *producer;
static struct shmbus_consumer *consumer;

static void begin(uint32_t quota)
{
    struct shmbus_bus_options options = expect_bus();
    struct shmbus_consumer_options how = {
        .struct_bytes = sizeof how, .kind = SHMBUS_REQUIRED, .hold_quota = quota};
    producer = support_create(BUS, &options, NULL);
    ck_assert_int_eq(shmbus_consumer_open(BUS, &how, &consumer), 0);
}

static void end(void)
{
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}

/* In the slot, and in a slab. */
static const uint32_t lengths[] = {40, 100};

/* Publishes a message, and keeps it. */
static uint64_t keep(uint32_t length)
{
    uint64_t sequence = shmbus_producer_next_sequence(producer);
    uint64_t handle = 0;
    ck_assert_int_eq(expect_publish(producer, length), 0);
    struct shmbus_message message = expect_next(consumer, sequence, length);
    ck_assert_int_eq(shmbus_consumer_retain(consumer, &message, &handle), 0);
    ck_assert_uint_ne(handle, 0);
    return handle;
}

static void is_kept(uint64_t handle, uint64_t sequence, uint32_t length)
{
    struct shmbus_message message;
    ck_assert_int_eq(shmbus_consumer_held(consumer, handle, &message), 0);
    ck_assert_uint_eq(message.sequence, sequence);
    ck_assert_uint_eq(message.length, length);
    ck_assert_uint_eq(message.type, sequence);
    ck_assert_int_eq((message.flags & SHMBUS_MESSAGE_POOLED) != 0, length > 48);
    ck_assert_uint_eq((uintptr_t)message.data % (length > 48 ? 64 : 8), 0);
    ck_assert(support_is(message.data, length, sequence));
}

static void refused(uint64_t handle)
{
    struct shmbus_message message = {.sequence = 99};
    struct shmbus_consumer_stats before;
    struct shmbus_consumer_stats after;
    uint64_t other = 1;
    ck_assert_int_eq(shmbus_consumer_stats(consumer, &before), 0);
    ck_assert_int_eq(shmbus_consumer_held(consumer, handle, &message), -ESTALE);
    ck_assert_int_eq(shmbus_consumer_copy(consumer, handle, &other), -ESTALE);
    ck_assert_int_eq(shmbus_consumer_release(consumer, handle), -ESTALE);
    ck_assert(support_says("handle"));
    ck_assert_int_eq(shmbus_consumer_stats(consumer, &after), 0);
    ck_assert_mem_eq(&before, &after, sizeof before);
    ck_assert_uint_eq(message.sequence, 99);
    ck_assert_uint_eq(other, 1);
}

/* Publishes and reads so much that ring and pool are gone through several times. */
static void lap(uint32_t length)
{
    for (int i = 0; i < 50; i++) {
        uint64_t count = 0;
        ck_assert_int_eq(expect_publish(producer, length), 0);
        ck_assert_int_eq(shmbus_consumer_poll(consumer, expect_any, &count, 10), 1);
    }
}

START_TEST(a_kept_message_outlives_many_laps)
{
    begin(0);
    uint64_t handle = keep(lengths[_i]);
    lap(lengths[_i]);
    is_kept(handle, 0, lengths[_i]);
    ck_assert_uint_eq(support_pool(producer, 1).held, _i ? 1 : 0);
    ck_assert_int_eq(shmbus_consumer_release(consumer, handle), 0);
    ck_assert_uint_eq(support_pool(producer, 1).held, 0);
    refused(handle);
    lap(lengths[_i]);
    end();
}
END_TEST

START_TEST(every_copy_has_to_be_released)
{
    uint64_t handles[5];
    begin(0);
    handles[0] = keep(lengths[_i]);
    for (int i = 1; i < 5; i++) {
        ck_assert_int_eq(shmbus_consumer_copy(consumer, handles[i / 2], &handles[i]), 0);
        for (int j = 0; j < i; j++)
            ck_assert_uint_ne(handles[i], handles[j]);
    }
    static const int order[] = {0, 3, 1, 4, 2};
    for (int i = 0; i < 5; i++) {
        ck_assert_uint_eq(support_pool(producer, 1).held, _i ? 1 : 0);
        ck_assert_int_eq(shmbus_consumer_release(consumer, handles[order[i]]), 0);
        refused(handles[order[i]]);
        lap(lengths[_i]);
        for (int j = i + 1; j < 5; j++)
            is_kept(handles[order[j]], 0, lengths[_i]);
    }
    ck_assert_uint_eq(support_pool(producer, 1).held, 0);
    end();
}
END_TEST

START_TEST(one_message_may_be_kept_twice)
{
    uint64_t first = 0;
    uint64_t second = 0;
    begin(0);
    ck_assert_int_eq(expect_publish(producer, lengths[_i]), 0);
    struct shmbus_message message = expect_next(consumer, 0, lengths[_i]);
    ck_assert_int_eq(shmbus_consumer_retain(consumer, &message, &first), 0);
    ck_assert_int_eq(shmbus_consumer_retain(consumer, &message, &second), 0);
    ck_assert_uint_ne(first, second);
    ck_assert_int_eq(shmbus_consumer_release(consumer, first), 0);
    lap(lengths[_i]);
    is_kept(second, 0, lengths[_i]);
    end();
}
END_TEST

START_TEST(handles_that_are_none)
{
    begin(0);
    uint64_t random = support_seed("forged handles");
    uint64_t handle = keep(lengths[_i]);
    refused(0);
    refused(UINT64_MAX);
    for (int bit = 0; bit < 64; bit++)
        refused(handle ^ UINT64_C(1) << bit);
    for (int i = 0; i < 1000; i++)
        refused(support_random(&random));
    /* The slab's own handle is not one of these. */
    struct shmbus_message message;
    ck_assert_int_eq(shmbus_consumer_held(consumer, handle, &message), 0);
    if (message.handle != 0)
        refused(message.handle);
    is_kept(handle, 0, lengths[_i]);
    ck_assert_int_eq(shmbus_consumer_release(consumer, handle), 0);
    refused(handle);
    /* Stale: its place is another message's now. */
    uint64_t second = keep(lengths[_i]);
    refused(handle);
    is_kept(second, 1, lengths[_i]);
    end();
}
END_TEST

START_TEST(a_handle_of_another_consumer)
{
    begin(0);
    struct shmbus_consumer *ours = consumer;
    struct shmbus_consumer *theirs = support_join(BUS, SHMBUS_FROM_TAIL);
    uint64_t handles[2];
    for (int i = 0; i < 8; i++) {
        uint64_t sequence = shmbus_producer_next_sequence(producer);
        ck_assert_int_eq(expect_publish(producer, lengths[_i]), 0);
        for (int j = 0; j < 2; j++) {
            consumer = j ? theirs : ours;
            struct shmbus_message message = expect_next(consumer, sequence, lengths[_i]);
            ck_assert_int_eq(shmbus_consumer_retain(consumer, &message, &handles[j]), 0);
        }
        for (int j = 0; j < 2; j++) {
            consumer = j ? theirs : ours;
            refused(handles[!j]);
            is_kept(handles[j], sequence, lengths[_i]);
        }
    }
    shmbus_consumer_close(theirs);
    consumer = ours;
    ck_assert_uint_eq(support_pool(producer, 1).held, _i ? 8 : 0);
    end();
}
END_TEST

START_TEST(a_quota_of_handles)
{
    uint64_t handles[6];
    uint64_t more = 1;
    begin(6);
    for (int i = 0; i < 3; i++)
        handles[i] = keep(lengths[_i]);
    for (int i = 3; i < 6; i++)
        ck_assert_int_eq(shmbus_consumer_copy(consumer, handles[0], &handles[i]), 0);
    ck_assert_int_eq(shmbus_consumer_copy(consumer, handles[0], &more), -EDQUOT);
    ck_assert(support_says("hold_quota"));
    ck_assert_int_eq(expect_publish(producer, lengths[_i]), 0);
    struct shmbus_message message = expect_next(consumer, 3, lengths[_i]);
    ck_assert_int_eq(shmbus_consumer_retain(consumer, &message, &more), -EDQUOT);
    ck_assert_uint_eq(more, 1);
    /* It is still lent, and can be kept once there is room. */
    ck_assert_int_eq(shmbus_consumer_release(consumer, handles[4]), 0);
    ck_assert_int_eq(shmbus_consumer_retain(consumer, &message, &more), 0);
    is_kept(more, 3, lengths[_i]);
    struct shmbus_consumer_stats stats;
    ck_assert_int_eq(shmbus_consumer_stats(consumer, &stats), 0);
    ck_assert_uint_eq(stats.held, 6);
    end();
}
END_TEST

START_TEST(only_the_message_that_is_lent)
{
    uint64_t handle = 1;
    begin(0);
    ck_assert_int_eq(expect_publish(producer, lengths[_i]), 0);
    ck_assert_int_eq(expect_publish(producer, lengths[_i]), 0);
    struct shmbus_message first = expect_next(consumer, 0, lengths[_i]);
    struct shmbus_message second = expect_next(consumer, 1, lengths[_i]);
    ck_assert_int_eq(shmbus_consumer_retain(consumer, &first, &handle), -EINVAL);
    ck_assert_int_eq(shmbus_consumer_wait(consumer, 0), -ETIMEDOUT);
    ck_assert_int_eq(shmbus_consumer_retain(consumer, &second, &handle), -EINVAL);
    ck_assert_int_eq(expect_publish(producer, lengths[_i]), 0);
    struct shmbus_message third = expect_next(consumer, 2, lengths[_i]);
    expect_none(consumer, 0);
    ck_assert_int_eq(shmbus_consumer_retain(consumer, &third, &handle), -EINVAL);
    ck_assert_uint_eq(handle, 1);
    end();
}
END_TEST

/* Keeps each message, its copy, and gives one of the two back, all inside the callback. */
static int keep_inside(const struct shmbus_message *message, void *context)
{
    uint64_t *kept = context;
    uint64_t copy = 0;
    struct shmbus_message found;
    ck_assert_int_eq(shmbus_consumer_retain(consumer, message, &kept[message->sequence]), 0);
    ck_assert_int_eq(shmbus_consumer_copy(consumer, kept[message->sequence], &copy), 0);
    ck_assert_int_eq(shmbus_consumer_held(consumer, copy, &found), 0);
    ck_assert_uint_eq(found.sequence, message->sequence);
    ck_assert_int_eq(shmbus_consumer_release(consumer, copy), 0);
    if (message->sequence >= 4)
        ck_assert_int_eq(shmbus_consumer_release(consumer, kept[message->sequence - 4]), 0);
    return 0;
}

START_TEST(inside_a_callback)
{
    uint64_t kept[400];
    begin(0);
    for (uint64_t sequence = 0; sequence < 400; sequence += 4) {
        for (int i = 0; i < 4; i++)
            ck_assert_int_eq(expect_publish(producer, lengths[(sequence / 4 + _i) % 2]), 0);
        ck_assert_int_eq(shmbus_consumer_poll(consumer, keep_inside, kept, 10), 4);
    }
    for (uint64_t sequence = 396; sequence < 400; sequence++)
        is_kept(kept[sequence], sequence, lengths[(396 / 4 + _i) % 2]);
    end();
}
END_TEST

START_TEST(closing_ends_every_hold)
{
    struct shmbus_slab slabs[8];
    begin(0);
    for (int i = 0; i < 6; i++)
        keep(100);
    ck_assert_uint_eq(support_pool(producer, 1).held, 6);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 100, 8, slabs), -ENOBUFS);
    shmbus_consumer_close(consumer);
    ck_assert_uint_eq(support_pool(producer, 1).held, 0);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 100, 8, slabs), 0);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message retain");
    TCase *tcase = support_case(suite, "retain", 60);
    tcase_add_loop_test(tcase, a_kept_message_outlives_many_laps, 0, 2);
    tcase_add_loop_test(tcase, every_copy_has_to_be_released, 0, 2);
    tcase_add_loop_test(tcase, one_message_may_be_kept_twice, 0, 2);
    tcase_add_loop_test(tcase, handles_that_are_none, 0, 2);
    tcase_add_loop_test(tcase, a_handle_of_another_consumer, 0, 2);
    tcase_add_loop_test(tcase, a_quota_of_handles, 0, 2);
    tcase_add_loop_test(tcase, only_the_message_that_is_lent, 0, 2);
    tcase_add_loop_test(tcase, inside_a_callback, 0, 2);
    tcase_add_test(tcase, closing_ends_every_hold);
    return support_run(suite);
}
