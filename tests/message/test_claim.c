/* SPDX-License-Identifier: MIT */
/* Claim, fill, and commit or abort: one interface for payloads in the slot and in a slab. */
#include "expect.h"

#include <errno.h>
#include <string.h>

#define BUS "claim"

static struct shmbus_producer *producer;
static struct shmbus_consumer *consumer;

static void begin(uint32_t flags)
{
    struct shmbus_bus_options options = expect_bus();
    options.flags = flags;
    if (flags & SHMBUS_BUS_NO_POOL)
        options.class_count = 0;
    producer = support_create(BUS, &options, NULL);
    consumer = support_join(BUS, SHMBUS_FROM_TAIL);
}

static void end(void)
{
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}

static struct shmbus_claim claim(uint32_t length)
{
    struct shmbus_claim lent;
    int result = shmbus_producer_claim(producer, length, &lent);
    ck_assert_msg(result == 0, "%u: %s", length, shmbus_error_text());
    ck_assert_uint_eq(lent.length, length);
    ck_assert_uint_eq(lent.sequence, shmbus_producer_next_sequence(producer));
    return lent;
}

static void fill_and_commit(const struct shmbus_claim *lent)
{
    support_fill(lent->data, lent->length, lent->sequence);
    ck_assert_int_eq(shmbus_producer_commit(producer, lent, 0, 0), 0);
}

/* A length, and where it must be put: slab_bytes of the smallest that fits, or 0 for the slot. */
static const struct {
    uint32_t length;
    uint32_t slab_bytes;
} sizes[] = {{0, 0},      {1, 0},       {47, 0},      {48, 0},     {49, 64},
             {63, 64},    {64, 64},     {65, 128},    {127, 128},  {128, 128},
             {129, 4096}, {1000, 4096}, {4095, 4096}, {4096, 4096}};

START_TEST(the_slot_or_the_smallest_slab_that_fits)
{
    uint32_t length = sizes[_i].length;
    uint32_t slab_bytes = sizes[_i].slab_bytes;
    begin(0);
    /* More often than there are slots and slabs. */
    for (uint64_t sequence = 0; sequence < 40; sequence++) {
        struct shmbus_claim lent = claim(length);
        ck_assert_uint_eq(lent.room, slab_bytes ? slab_bytes : 48);
        ck_assert_int_eq(lent.handle != 0, slab_bytes != 0);
        ck_assert_uint_eq((uintptr_t)lent.data % (slab_bytes == 4096 ? 4096
                                                  : slab_bytes       ? 64
                                                                     : 8),
                          0);
        /* All of the room may be written. */
        memset(lent.data, 0xaa, lent.room);
        fill_and_commit(&lent);
        struct shmbus_message message = expect_next(consumer, sequence, length);
        ck_assert_uint_eq(message.handle, lent.handle);
        ck_assert_uint_eq(message.flags, slab_bytes ? SHMBUS_MESSAGE_POOLED : 0);
        expect_none(consumer, 0);
    }
    end();
}
END_TEST

START_TEST(a_timestamp_takes_eight_bytes_of_the_slot)
{
    begin(SHMBUS_BUS_TIMESTAMPS);
    struct shmbus_claim lent = claim(40);
    ck_assert_uint_eq(lent.room, 40);
    ck_assert_uint_eq(lent.handle, 0);
    fill_and_commit(&lent);
    expect_next(consumer, 0, 40);
    lent = claim(41);
    ck_assert_uint_eq(lent.room, 64);
    fill_and_commit(&lent);
    expect_next(consumer, 1, 41);
    end();
}
END_TEST

START_TEST(longer_than_the_largest_slab)
{
    static const uint32_t lengths[] = {4097, 65536, UINT32_MAX};
    struct shmbus_claim lent = {.room = 99};
    begin(0);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(shmbus_producer_claim(producer, lengths[i], &lent), -EMSGSIZE);
        ck_assert(support_says("4096"));
        ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, "", lengths[i]), -EMSGSIZE);
        ck_assert(support_says("4096"));
    }
    ck_assert_uint_eq(lent.room, 99);
    ck_assert_uint_eq(shmbus_producer_next_sequence(producer), 0);
    expect_none(consumer, 0);
    end();

    begin(SHMBUS_BUS_NO_POOL);
    ck_assert_int_eq(shmbus_producer_claim(producer, 49, &lent), -EMSGSIZE);
    ck_assert(support_says("48"));
    ck_assert(support_says("no pool"));
    lent = claim(48);
    fill_and_commit(&lent);
    expect_next(consumer, 0, 48);
    end();
}
END_TEST

/* A length in the slot, and one in a slab. */
static const uint32_t both[] = {32, 100};

START_TEST(a_length_may_be_lowered)
{
    uint32_t length = both[_i];
    begin(0);
    for (uint32_t sequence = 0; sequence <= length; sequence++) {
        struct shmbus_claim lent = claim(length);
        lent.length = length - sequence;
        fill_and_commit(&lent);
        expect_next(consumer, sequence, length - sequence);
    }
    end();
}
END_TEST

START_TEST(what_cannot_be_committed_leaves_the_claim_open)
{
    begin(0);
    struct shmbus_claim lent = claim(both[_i]);
    support_fill(lent.data, lent.length, lent.sequence);
    struct shmbus_claim other = lent;
    other.length++;
    ck_assert_int_eq(shmbus_producer_commit(producer, &other, 0, 0), -EINVAL);
    other = lent;
    other.sequence++;
    ck_assert_int_eq(shmbus_producer_commit(producer, &other, 0, 0), -EINVAL);
    ck_assert_int_eq(shmbus_producer_abort(producer, &other), -EINVAL);
    ck_assert_int_eq(shmbus_producer_commit(producer, &lent, 0, 0x100), -EINVAL);
    ck_assert(support_says("flags"));
    ck_assert_int_eq(shmbus_producer_commit(producer, &lent, 0, 0x8000), -EINVAL);
    expect_none(consumer, 0);
    ck_assert_int_eq(shmbus_producer_commit(producer, &lent, 0, 0xff), 0);
    ck_assert_uint_eq(expect_next(consumer, 0, both[_i]).flags & SHMBUS_MESSAGE_USER_FLAGS, 0xff);
    end();
}
END_TEST

START_TEST(a_claim_ends_once)
{
    begin(0);
    struct shmbus_claim lent = claim(both[_i]);
    fill_and_commit(&lent);
    ck_assert_int_eq(shmbus_producer_commit(producer, &lent, 0, 0), -EINVAL);
    ck_assert_int_eq(shmbus_producer_abort(producer, &lent), -EINVAL);
    expect_next(consumer, 0, both[_i]);
    expect_none(consumer, 0);

    struct shmbus_claim given_up = claim(both[_i]);
    ck_assert_int_eq(shmbus_producer_abort(producer, &given_up), 0);
    ck_assert_int_eq(shmbus_producer_abort(producer, &given_up), -EINVAL);
    ck_assert_int_eq(shmbus_producer_commit(producer, &given_up, 0, 0), -EINVAL);
    expect_none(consumer, 0);
    end();
}
END_TEST

START_TEST(a_claim_given_up_is_not_the_next_one)
{
    static const uint32_t lengths[][2] = {{32, 100}, {100, 32}, {64, 128}};
    begin(0);
    struct shmbus_claim old = claim(lengths[_i][0]);
    ck_assert_int_eq(shmbus_producer_abort(producer, &old), 0);
    struct shmbus_claim lent = claim(lengths[_i][1]);
    ck_assert_uint_eq(lent.sequence, old.sequence);
    old.length = 0;
    ck_assert_int_eq(shmbus_producer_commit(producer, &old, 0, 0), -EINVAL);
    ck_assert_int_eq(shmbus_producer_abort(producer, &old), -EINVAL);
    fill_and_commit(&lent);
    expect_next(consumer, 0, lengths[_i][1]);
    end();
}
END_TEST

START_TEST(while_a_claim_is_open_nothing_else_is_published)
{
    struct shmbus_outgoing one = {"x", 1, 0, 0};
    struct shmbus_slab slab;
    begin(0);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 64, 1, &slab), 0);
    struct shmbus_claim lent = claim(both[_i]);
    struct shmbus_claim second = {.room = 99};
    ck_assert_int_eq(shmbus_producer_claim(producer, 1, &second), -EBUSY);
    ck_assert(support_says("claim"));
    ck_assert_uint_eq(second.room, 99);
    ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, "x", 1), -EBUSY);
    ck_assert_int_eq(shmbus_producer_publish_batch(producer, &one, 1), -EBUSY);
    ck_assert_int_eq(shmbus_producer_slab_publish(producer, slab.handle, 1, 0, 0), -EBUSY);
    ck_assert_int_eq(shmbus_producer_flush(producer, 0), -EBUSY);
    ck_assert_int_eq(shmbus_producer_wait_consumed(producer, 0, 0), -EBUSY);
    /* A claim's slab is not one that was acquired by hand. */
    if (lent.handle != 0)
        ck_assert_int_eq(shmbus_producer_slab_release(producer, lent.handle), -ESTALE);
    ck_assert_int_eq(shmbus_producer_slab_release(producer, slab.handle), 0);
    expect_none(consumer, 0);
    fill_and_commit(&lent);
    expect_next(consumer, 0, both[_i]);
    end();
}
END_TEST

START_TEST(an_aborted_claim_leaves_nothing_and_its_sequence_to_the_next)
{
    begin(0);
    for (uint64_t sequence = 0; sequence < 40; sequence++) {
        struct shmbus_claim lent = claim(both[_i]);
        memset(lent.data, 0xee, lent.room);
        ck_assert_int_eq(shmbus_producer_abort(producer, &lent), 0);
        ck_assert_uint_eq(shmbus_producer_next_sequence(producer), sequence);
        ck_assert_uint_eq(support_pool(producer, 1).in_use, 0);
        expect_none(consumer, 0);
        ck_assert_int_eq(expect_publish(producer, 20), 0);
        expect_next(consumer, sequence, 20);
        expect_none(consumer, 0);
    }
    struct shmbus_consumer_stats stats;
    ck_assert_int_eq(shmbus_consumer_stats(consumer, &stats), 0);
    ck_assert_uint_eq(stats.aborted, 0);
    ck_assert_uint_eq(stats.received, 40);
    end();
}
END_TEST

START_TEST(closing_aborts_an_open_claim)
{
    begin(0);
    ck_assert_int_eq(expect_publish(producer, 5), 0);
    claim(both[_i]);
    shmbus_producer_close(producer);
    expect_next(consumer, 0, 5);
    expect_none(consumer, -EPIPE);
    struct shmbus_snapshot *snapshot = support_look(BUS);
    ck_assert_uint_eq(shmbus_snapshot_bus(snapshot)->tail, 1);
    for (uint32_t i = 0; i < 3; i++)
        ck_assert_uint_eq(shmbus_snapshot_pool(snapshot, i)->in_use, 0);
    shmbus_snapshot_close(snapshot);
    shmbus_consumer_close(consumer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message claim");
    TCase *tcase = support_case(suite, "claim", 60);
    tcase_add_loop_test(tcase, the_slot_or_the_smallest_slab_that_fits, 0,
                        (int)(sizeof sizes / sizeof sizes[0]));
    tcase_add_test(tcase, a_timestamp_takes_eight_bytes_of_the_slot);
    tcase_add_test(tcase, longer_than_the_largest_slab);
    tcase_add_loop_test(tcase, a_length_may_be_lowered, 0, 2);
    tcase_add_loop_test(tcase, what_cannot_be_committed_leaves_the_claim_open, 0, 2);
    tcase_add_loop_test(tcase, a_claim_ends_once, 0, 2);
    tcase_add_loop_test(tcase, a_claim_given_up_is_not_the_next_one, 0, 3);
    tcase_add_loop_test(tcase, while_a_claim_is_open_nothing_else_is_published, 0, 2);
    tcase_add_loop_test(tcase, an_aborted_claim_leaves_nothing_and_its_sequence_to_the_next, 0, 2);
    tcase_add_loop_test(tcase, closing_aborts_an_open_claim, 0, 2);
    return support_run(suite);
}
