/* SPDX-License-Identifier: MIT */
/* Reading: poll and next, what they say of a message, and how the shared cursor follows. */
#include "consumer/consumer.h"
#include "expect.h"
#include "producer/producer.h"

#include <errno.h>

#define BUS "poll"

static struct shmbus_producer *producer;
static struct shmbus_consumer *consumer;

static void begin(uint64_t capacity, uint32_t flags)
{
    struct shmbus_bus_options options = expect_bus();
    options.capacity = capacity;
    options.flags = flags;
    producer = support_create(BUS, &options, NULL);
    consumer = support_join(BUS, SHMBUS_FROM_TAIL);
}

static void end(void)
{
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}

static void publish(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        ck_assert_int_eq(expect_publish(producer, i % 3 ? 8 : 60), 0);
}

/* The cursor as others see it. */
static uint64_t shared_cursor(void)
{
    return atomic_load_explicit(&consumer->entry->cursor, memory_order_seq_cst);
}

START_TEST(at_most_so_many)
{
    struct expect_run run = {0};
    begin(64, 0);
    publish(12);
    ck_assert_int_eq(shmbus_consumer_poll(consumer, expect_in_order, &run, 0), 0);
    ck_assert_int_eq(shmbus_consumer_poll(consumer, expect_in_order, &run, 1), 1);
    ck_assert_int_eq(shmbus_consumer_poll(consumer, expect_in_order, &run, 4), 4);
    ck_assert_uint_eq(run.next, 5);
    ck_assert_uint_eq(shared_cursor(), 5);
    ck_assert_int_eq(shmbus_consumer_poll(consumer, expect_in_order, &run, UINT32_MAX), 7);
    ck_assert_uint_eq(shared_cursor(), 12);
    ck_assert_int_eq(shmbus_consumer_poll(consumer, expect_in_order, &run, 5), 0);
    ck_assert_int_eq(shmbus_consumer_poll(consumer, NULL, NULL, 5), -EINVAL);
    ck_assert(support_says("handler"));
    end();
}
END_TEST

START_TEST(a_callback_can_stop)
{
    begin(64, 0);
    publish(12);
    for (uint64_t first = 0; first < 12; first += 3) {
        struct expect_run run = {.next = first, .stop_at = 3};
        ck_assert_int_eq(shmbus_consumer_poll(consumer, expect_in_order, &run, 100), 3);
        ck_assert_uint_eq(shared_cursor(), first + 3);
    }
    end();
}
END_TEST

/* During the callback the message is not consumed: the cursor is at it, or before. */
static int cursor_is_not_beyond(const struct shmbus_message *message, void *unused)
{
    (void)unused;
    ck_assert_uint_le(shared_cursor(), message->sequence);
    /* Nor more than an eighth of the ring before. */
    ck_assert_uint_ge(shared_cursor() + 8, message->sequence);
    return 0;
}

START_TEST(the_cursor_follows_during_a_long_poll)
{
    begin(64, 0);
    publish(12);
    for (int i = 0; i < 20; i++) {
        for (int j = 0; j < 52; j++)
            ck_assert_int_eq(expect_publish(producer, 8), 0);
        ck_assert_int_eq(shmbus_consumer_poll(consumer, cursor_is_not_beyond, NULL, 1000),
                         i ? 52 : 64);
    }
    end();
}
END_TEST

START_TEST(next_lends_one_message_until_it_is_called_again)
{
    begin(16, 0);
    struct shmbus_message message;
    const void *last = NULL;
    uint32_t lag_most = 0;
    for (uint64_t sequence = 0; sequence < 200; sequence++) {
        /* The ring is kept full, so that the slot of a message given up would be overwritten. */
        while (expect_publish(producer, 8) == 0)
            ;
        if (sequence > 0)
            ck_assert(support_is(last, 8, sequence - 1));
        message = expect_next(consumer, sequence, 8);
        last = message.data;
        ck_assert_uint_le(shared_cursor(), sequence);
        if (sequence - shared_cursor() > lag_most)
            lag_most = (uint32_t)(sequence - shared_cursor());
    }
    ck_assert_uint_le(lag_most, 2);
    /* The last one is kept until next says that there is none. */
    while (shmbus_consumer_next(consumer, &message) == 1)
        ck_assert_uint_le(shared_cursor(), message.sequence);
    ck_assert_uint_eq(shared_cursor(), shmbus_producer_next_sequence(producer));
    end();
}
END_TEST

START_TEST(next_and_poll_take_turns)
{
    begin(64, 0);
    uint64_t sequence = 0;
    for (int i = 0; i < 30; i++) {
        publish(6);
        expect_next(consumer, sequence, 60);
        struct expect_run run = {.next = sequence + 1};
        ck_assert_int_eq(shmbus_consumer_poll(consumer, expect_in_order, &run, 2), 2);
        expect_next(consumer, sequence + 3, 60);
        ck_assert_int_eq(shmbus_consumer_wait(consumer, 0), 0);
        ck_assert_int_eq(shmbus_consumer_poll(consumer, expect_in_order, &run, 0), 0);
        expect_next(consumer, sequence + 4, 8);
        expect_next(consumer, sequence + 5, 8);
        expect_none(consumer, 0);
        sequence += 6;
    }
    end();
}
END_TEST

START_TEST(a_message_says_what_it_is)
{
    static const uint32_t lengths[] = {0, 1, 40, 41, 48, 49, 64, 4096};
    int64_t before = 0;
    begin(64, _i ? SHMBUS_BUS_TIMESTAMPS : 0);
    unsigned char payload[4096];
    for (uint64_t sequence = 0; sequence < 200; sequence++) {
        uint32_t length = lengths[sequence % 8];
        uint16_t type = (uint16_t)(sequence * 331);
        support_fill(payload, length, sequence);
        ck_assert_int_eq(shmbus_producer_publish(producer, type, sequence & 0xff, payload, length),
                         0);
        struct shmbus_message message = expect_next(consumer, sequence, length);
        uint32_t inline_bytes = _i ? 40 : 48;
        int pooled = length > inline_bytes;
        ck_assert_uint_eq(message.type, type);
        ck_assert_uint_eq(message.flags, (sequence & 0xff) | (pooled ? SHMBUS_MESSAGE_POOLED : 0));
        ck_assert_int_eq(message.handle != 0, pooled);
        ck_assert_uint_eq((uintptr_t)message.data % (pooled ? 64 : 8), 0);
        if (_i) {
            ck_assert_int_gt(message.timestamp_ns, 0);
            ck_assert_int_ge(message.timestamp_ns, before);
            before = message.timestamp_ns;
        } else {
            ck_assert_int_eq(message.timestamp_ns, 0);
        }
    }
    end();
}
END_TEST

START_TEST(a_pointer_leads_into_the_mapping)
{
    begin(64, 0);
    const unsigned char *feed = consumer->segment.feed;
    for (uint64_t sequence = 0; sequence < 100; sequence++) {
        ck_assert_int_eq(expect_publish(producer, sequence % 2 ? 48 : 100), 0);
        struct shmbus_message message = expect_next(consumer, sequence, sequence % 2 ? 48 : 100);
        const unsigned char *data = message.data;
        ck_assert(data >= feed && data + message.length <= feed + consumer->segment.feed_mapped);
    }
    end();
}
END_TEST

START_TEST(counts_of_a_consumer)
{
    struct shmbus_consumer_stats stats;
    begin(64, 0);
    publish(10);
    expect_next(consumer, 0, 60);
    expect_next(consumer, 1, 8);
    ck_assert_int_eq(shmbus_consumer_stats(consumer, &stats), 0);
    ck_assert_uint_eq(stats.cursor, 2);
    ck_assert_uint_eq(stats.received, 2);
    struct expect_run run = {.next = 2};
    ck_assert_int_eq(shmbus_consumer_poll(consumer, expect_in_order, &run, 100), 8);
    ck_assert_int_eq(shmbus_consumer_stats(consumer, &stats), 0);
    ck_assert_uint_eq(stats.cursor, 10);
    ck_assert_uint_eq(stats.received, 10);
    ck_assert_uint_eq(stats.lost, 0);
    ck_assert_uint_eq(stats.aborted, 0);
    ck_assert_uint_eq(stats.held, 0);
    struct shmbus_snapshot *snapshot = support_look(BUS);
    const struct shmbus_consumer_info *info = shmbus_snapshot_consumer(snapshot, 0);
    ck_assert_uint_eq(info->received, 10);
    ck_assert_uint_eq(info->cursor, 10);
    ck_assert_uint_eq(info->lag, 0);
    shmbus_snapshot_close(snapshot);
    end();
}
END_TEST

START_TEST(wait_says_when_there_is_one)
{
    begin(64, 0);
    ck_assert_int_eq(shmbus_consumer_wait(consumer, 0), -ETIMEDOUT);
    ck_assert_int_eq(shmbus_consumer_wait(consumer, 3000000), -ETIMEDOUT);
    publish(1);
    ck_assert_int_eq(shmbus_consumer_wait(consumer, 0), 0);
    ck_assert_int_eq(shmbus_consumer_wait(consumer, SHMBUS_FOREVER), 0);
    expect_next(consumer, 0, 60);
    ck_assert_int_eq(shmbus_consumer_wait(consumer, 0), -ETIMEDOUT);
    ck_assert_uint_eq(shared_cursor(), 1);
    end();
}
END_TEST

START_TEST(a_damaged_slot_is_an_error_and_never_a_fault)
{
    static const struct {
        uint32_t length;
        uint16_t flags;
        uint64_t handle;
    } damages[] = {{49, 0, 0},
                   {UINT32_MAX, 0, 0},
                   {8, SHMBUS_MESSAGE_POOLED, 0},
                   {8, SHMBUS_MESSAGE_POOLED, UINT64_MAX},
                   {65, SHMBUS_MESSAGE_POOLED, UINT64_C(1) << 60},
                   {8, SHMBUS_MESSAGE_POOLED, UINT64_C(1) << 60 | 8},
                   {8, SHMBUS_MESSAGE_POOLED, UINT64_C(4) << 60}};
    begin(64, 0);
    publish(3);
    expect_next(consumer, 0, 60);
    /* The producer's mapping is the one that can be written. */
    struct slot_header *slot = ring_slot(&producer->ring, 1);
    atomic_store_explicit(&slot->meta, meta_make(damages[_i].length, 0, damages[_i].flags),
                          memory_order_seq_cst);
    *ring_handle(&producer->ring, slot) = damages[_i].handle;
    expect_none(consumer, -EBADMSG);
    ck_assert(support_says("message 1"));
    expect_none(consumer, -EBADMSG);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message poll");
    TCase *tcase = support_case(suite, "poll", 60);
    tcase_add_test(tcase, at_most_so_many);
    tcase_add_test(tcase, a_callback_can_stop);
    tcase_add_test(tcase, the_cursor_follows_during_a_long_poll);
    tcase_add_test(tcase, next_lends_one_message_until_it_is_called_again);
    tcase_add_test(tcase, next_and_poll_take_turns);
    tcase_add_loop_test(tcase, a_message_says_what_it_is, 0, 2);
    tcase_add_test(tcase, a_pointer_leads_into_the_mapping);
    tcase_add_test(tcase, counts_of_a_consumer);
    tcase_add_test(tcase, wait_says_when_there_is_one);
    tcase_add_loop_test(tcase, a_damaged_slot_is_an_error_and_never_a_fault, 0, 7);
    return support_run(suite);
}
