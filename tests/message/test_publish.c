/* SPDX-License-Identifier: MIT */
/* Publishing copies: every length whole, and nothing taken from the caller but the bytes. */
#include "expect.h"

#include <errno.h>
#include <string.h>

#define BUS "publish"

/* A slot size, with and without timestamps, each with its limit between slot and slab. */
static const struct {
    uint32_t slot_bytes;
    uint32_t flags;
} shapes[] = {{32, 0},  {32, SHMBUS_BUS_TIMESTAMPS},  {64, 0},   {64, SHMBUS_BUS_TIMESTAMPS},
              {128, 0}, {128, SHMBUS_BUS_TIMESTAMPS}, {4096, 0}, {4096, SHMBUS_BUS_TIMESTAMPS}};

START_TEST(every_length_comes_whole)
{
    struct shmbus_bus_options options = expect_bus();
    unsigned char payload[301];
    options.slot_bytes = shapes[_i].slot_bytes;
    options.flags = shapes[_i].flags;
    struct shmbus_producer *producer = support_create(BUS, &options, NULL);
    struct shmbus_consumer *consumer = support_join(BUS, SHMBUS_FROM_TAIL);
    uint32_t inline_bytes = options.slot_bytes - 16 - (options.flags ? 8 : 0);
    for (uint32_t length = 0; length <= 300; length++) {
        support_fill(payload, length, length);
        ck_assert_int_eq(shmbus_producer_publish(producer, (uint16_t)length, 3, payload, length),
                         0);
        /* The caller's bytes are the caller's again. */
        memset(payload, 0xee, sizeof payload);
        struct shmbus_message message = expect_next(consumer, length, length);
        ck_assert_uint_eq(message.type, length);
        ck_assert_int_eq((message.flags & SHMBUS_MESSAGE_POOLED) != 0, length > inline_bytes);
        ck_assert_int_eq(message.timestamp_ns != 0, options.flags != 0);
    }
    ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, NULL, 0), 0);
    expect_next(consumer, 301, 0);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(a_payload_at_any_address)
{
    struct shmbus_bus_options options = expect_bus();
    unsigned char payload[200];
    struct shmbus_producer *producer = support_create(BUS, &options, NULL);
    struct shmbus_consumer *consumer = support_join(BUS, SHMBUS_FROM_TAIL);
    uint64_t sequence = 0;
    for (uint32_t offset = 0; offset < 17; offset++)
        for (uint32_t length = 1; length < 100; length += 7) {
            support_fill(payload + offset, length, sequence);
            ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, payload + offset, length), 0);
            expect_next(consumer, sequence++, length);
        }
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(only_the_publishers_flags)
{
    struct shmbus_bus_options options = expect_bus();
    struct shmbus_producer *producer = support_create(BUS, &options, NULL);
    struct shmbus_consumer *consumer = support_join(BUS, SHMBUS_FROM_TAIL);
    for (uint32_t flags = 0; flags <= UINT16_MAX; flags = flags * 2 + 1) {
        int fits = (flags & ~SHMBUS_MESSAGE_USER_FLAGS) == 0;
        uint64_t sequence = shmbus_producer_next_sequence(producer);
        ck_assert_int_eq(shmbus_producer_publish(producer, UINT16_MAX, (uint16_t)flags, NULL, 0),
                         fits ? 0 : -EINVAL);
        if (!fits)
            continue;
        struct shmbus_message message = expect_next(consumer, sequence, 0);
        ck_assert_uint_eq(message.flags, flags);
        ck_assert_uint_eq(message.type, UINT16_MAX);
    }
    expect_none(consumer, 0);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(nobody_listens)
{
    struct shmbus_bus_options options = expect_bus();
    struct shmbus_producer *producer = support_create(BUS, &options, NULL);
    for (uint32_t i = 0; i < 1000; i++)
        ck_assert_int_eq(expect_publish(producer, i % 200), 0);
    /* Slabs come back without anybody to read them. */
    for (uint32_t i = 0; i < 3; i++)
        ck_assert_uint_le(support_pool(producer, i).in_use, 16);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message publish");
    TCase *tcase = support_case(suite, "publish", 60);
    tcase_add_loop_test(tcase, every_length_comes_whole, 0,
                        (int)(sizeof shapes / sizeof shapes[0]));
    tcase_add_test(tcase, a_payload_at_any_address);
    tcase_add_test(tcase, only_the_publishers_flags);
    tcase_add_test(tcase, nobody_listens);
    return support_run(suite);
}
