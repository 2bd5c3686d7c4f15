/* SPDX-License-Identifier: MIT */
/*
 * A consumer's words that somebody else changed: the producer takes a cursor that cannot be for
 * nothing, and the consumer is told, once and for good.
 */
#include "consumer/consumer.h"
#include "expect.h"
#include "producer/producer.h"

#include <errno.h>

#define BUS "evict"

static struct shmbus_producer *producer;
static struct shmbus_consumer *consumer;
static struct shmbus_consumer *other;

static void begin(void)
{
    struct shmbus_bus_options options = expect_bus();
    producer = support_create(BUS, &options, NULL);
    consumer = support_join(BUS, SHMBUS_FROM_TAIL);
    other = support_join(BUS, SHMBUS_FROM_TAIL);
}

static void end(void)
{
    shmbus_consumer_close(consumer);
    shmbus_consumer_close(other);
    shmbus_producer_close(producer);
}

/* What a hostile member of the consuming group can do. */
static void forge_cursor(uint64_t cursor)
{
    atomic_store_explicit(&consumer->entry->cursor, cursor, memory_order_seq_cst);
}

static void publish(int count)
{
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(expect_publish(producer, i % 2 ? 100 : 8), 0);
}

static void both_read(int count)
{
    struct shmbus_consumer *readers[] = {consumer, other};
    for (int i = 0; i < 2; i++) {
        uint64_t seen = 0;
        ck_assert_int_eq(shmbus_consumer_poll(readers[i], expect_any, &seen, 100), count);
    }
}

/* Every call of an evicted consumer says so, with a text, however often. */
static void is_out(const char *text)
{
    struct shmbus_message message;
    uint64_t handle;
    for (int i = 0; i < 3; i++) {
        expect_none(consumer, -ESTALE);
        ck_assert_msg(support_says(text), "%s", shmbus_error_text());
        /* The text of another failure in between is not this one's. */
        ck_assert_int_eq(shmbus_message_at(&message, 0, 0, 3, NULL), -EINVAL);
        ck_assert_int_eq(shmbus_consumer_wait(consumer, 0), -ESTALE);
        ck_assert_msg(support_says(text), "%s", shmbus_error_text());
        ck_assert_msg(support_says("join again"), "%s", shmbus_error_text());
    }
    ck_assert_int_eq(shmbus_consumer_retain(consumer, &message, &handle), -EINVAL);
}

static uint32_t life(void)
{
    struct shmbus_snapshot *snapshot = support_look(BUS);
    uint32_t found = shmbus_snapshot_consumer(snapshot, 0)->life;
    shmbus_snapshot_close(snapshot);
    return found;
}

/* Cursors that cannot be, from 8 with a tail of 12. */
static const uint64_t forged[] = {13, 1000, UINT64_MAX, 7, 0};
#define FORGED (int)(sizeof forged / sizeof forged[0])

START_TEST(the_producer_finds_it_first)
{
    begin();
    publish(8);
    both_read(8);
    ck_assert_int_eq(shmbus_producer_flush(producer, 0), 0);
    publish(4);
    forge_cursor(forged[_i]);
    uint64_t lag;
    ck_assert_int_eq(shmbus_producer_required(producer, &lag), 1);
    ck_assert_uint_eq(lag, 4);
    ck_assert_uint_eq(life(), SHMBUS_LIFE_EVICTED);
    /* It gates nobody any more, and the other one loses nothing. */
    struct expect_run run = {.next = 8};
    for (int i = 0; i < 40; i++) {
        ck_assert_int_ge(shmbus_consumer_poll(other, expect_in_order, &run, 100), 0);
        ck_assert_int_eq(expect_publish(producer, 8), 0);
    }
    struct shmbus_message message;
    int result = shmbus_consumer_next(consumer, &message);
    ck_assert(result == -ESTALE || result == 0);
    is_out("evicted");
    end();
}
END_TEST

START_TEST(the_consumer_finds_it_first)
{
    begin();
    publish(8);
    both_read(8);
    publish(4);
    forge_cursor(forged[_i]);
    uint64_t count = 0;
    ck_assert_int_eq(shmbus_consumer_poll(consumer, expect_any, &count, 100), -ESTALE);
    ck_assert(support_says("8"));
    ck_assert(support_says("words"));
    is_out("words");
    end();
}
END_TEST

START_TEST(other_words_that_were_changed)
{
    begin();
    publish(4);
    struct control_entry *entry = consumer->entry;
    if (_i == 0)
        atomic_store_explicit(&entry->epoch, 99, memory_order_seq_cst);
    else
        atomic_store_explicit(&entry->state, ENTRY_FREE, memory_order_seq_cst);
    uint64_t count = 0;
    ck_assert_int_eq(shmbus_consumer_poll(consumer, expect_any, &count, 100), -ESTALE);
    ck_assert(support_says("words"));
    end();
}
END_TEST

START_TEST(an_evicted_consumer_notices_without_a_message)
{
    begin();
    publish(8);
    both_read(8);
    gate_evict(&producer->gate, consumer->index, consumer->epoch);
    expect_none(consumer, -ESTALE);
    ck_assert(support_says("evicted"));
    is_out("evicted");
    expect_none(other, 0);
    end();
}
END_TEST

START_TEST(it_can_come_back)
{
    begin();
    publish(8);
    gate_evict(&producer->gate, consumer->index, consumer->epoch);
    uint64_t count = 0;
    ck_assert_int_eq(shmbus_consumer_poll(consumer, expect_any, &count, 100), -ESTALE);
    shmbus_consumer_close(consumer);
    consumer = support_join(BUS, SHMBUS_FROM_TAIL);
    ck_assert_uint_eq(life(), SHMBUS_LIFE_ALIVE);
    ck_assert_int_eq(shmbus_producer_required(producer, NULL), 2);
    uint64_t seen = 0;
    ck_assert_int_eq(shmbus_consumer_poll(other, expect_any, &seen, 100), 8);
    publish(3);
    both_read(3);
    end();
}
END_TEST

START_TEST(the_slabs_that_it_held_come_back)
{
    uint64_t handles[4];
    struct shmbus_slab slabs[8];
    struct shmbus_message message;
    begin();
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(expect_publish(producer, 100), 0);
        message = expect_next(consumer, (uint64_t)i, 100);
        ck_assert_int_eq(shmbus_consumer_retain(consumer, &message, &handles[i]), 0);
    }
    uint64_t seen = 0;
    shmbus_consumer_poll(other, expect_any, &seen, 100);
    expect_none(consumer, 0);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 100, 8, slabs), -ENOBUFS);
    gate_evict(&producer->gate, consumer->index, consumer->epoch);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 100, 8, slabs), 0);
    /* Its handles can still be ended, and reach nothing else. */
    expect_none(consumer, -ESTALE);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(shmbus_consumer_release(consumer, handles[i]), 0);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message evict");
    TCase *tcase = support_case(suite, "evict", 60);
    tcase_add_loop_test(tcase, the_producer_finds_it_first, 0, FORGED);
    tcase_add_loop_test(tcase, the_consumer_finds_it_first, 0, FORGED);
    tcase_add_loop_test(tcase, other_words_that_were_changed, 0, 2);
    tcase_add_test(tcase, an_evicted_consumer_notices_without_a_message);
    tcase_add_test(tcase, it_can_come_back);
    tcase_add_test(tcase, the_slabs_that_it_held_come_back);
    return support_run(suite);
}
