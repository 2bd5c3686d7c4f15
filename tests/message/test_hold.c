/* SPDX-License-Identifier: MIT */
/*
 * What is held never changes: another process publishes as fast as it can through a ring and pool
 * that are gone through again and again, while this one keeps some slabs and looks at them.
 */
#include "expect.h"

#include <errno.h>

#define BUS      "hold"
#define MESSAGES 60000
#define KEPT     6

static void publish_all(int line, void *unused)
{
    (void)unused;
    struct shmbus_producer_options how = {.struct_bytes = sizeof how, .full_timeout_ns = GUARD_NS};
    struct shmbus_bus_options options = expect_bus();
    struct shmbus_producer *producer = support_create(BUS, &options, &how);
    child_tell(line, 0);
    child_hear(line);
    for (uint64_t i = 0; i < MESSAGES; i++)
        ck_assert_int_eq(expect_publish(producer, i % 3 ? 100 : 40), 0);
    ck_assert_int_eq(shmbus_producer_flush(producer, GUARD_NS), 0);
    child_tell(line, support_pool(producer, 1).acquired);
    child_hear(line);
    ck_assert_uint_eq(support_pool(producer, 1).held, KEPT);
    shmbus_producer_close(producer);
}

struct keeper {
    struct shmbus_consumer *consumer;
    uint64_t handles[KEPT];
    uint64_t kept; /* in all */
    uint64_t count;
};

static int keep_some(const struct shmbus_message *message, void *context)
{
    struct keeper *keeper = context;
    ck_assert_uint_eq(message->sequence, keeper->count);
    if (!support_is(message->data, message->length, message->sequence))
        ck_abort_msg("message %llu changed", (unsigned long long)message->sequence);
    keeper->count++;
    if (message->length != 100 || message->sequence % 7)
        return 0;
    uint64_t *handle = &keeper->handles[keeper->kept++ % KEPT];
    if (*handle != 0)
        ck_assert_int_eq(shmbus_consumer_release(keeper->consumer, *handle), 0);
    ck_assert_int_eq(shmbus_consumer_retain(keeper->consumer, message, handle), 0);
    return 0;
}

static void look_at_kept(const struct keeper *keeper)
{
    for (int i = 0; i < KEPT; i++) {
        struct shmbus_message message;
        if (keeper->handles[i] == 0)
            continue;
        ck_assert_int_eq(shmbus_consumer_held(keeper->consumer, keeper->handles[i], &message), 0);
        if (!support_is(message.data, message.length, message.sequence))
            ck_abort_msg("held message %llu changed", (unsigned long long)message.sequence);
    }
}

START_TEST(what_is_held_does_not_change)
{
    struct child producer = child_start(publish_all, NULL);
    struct keeper keeper = {0};
    child_hear(producer.line);
    keeper.consumer = support_join(BUS, SHMBUS_FROM_OLDEST);
    child_tell(producer.line, 0);
    while (keeper.count < MESSAGES) {
        ck_assert_int_eq(shmbus_consumer_wait(keeper.consumer, GUARD_NS), 0);
        ck_assert_int_gt(shmbus_consumer_poll(keeper.consumer, keep_some, &keeper, 16), 0);
        look_at_kept(&keeper);
    }
    expect_none(keeper.consumer, 0);
    ck_assert_uint_eq(child_hear(producer.line), MESSAGES / 3 * 2);
    look_at_kept(&keeper);
    child_tell(producer.line, 0);
    child_end(&producer);
    look_at_kept(&keeper);
    shmbus_consumer_close(keeper.consumer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message hold");
    TCase *tcase = support_case(suite, "hold", 60);
    tcase_add_test(tcase, what_is_held_does_not_change);
    return support_run(suite);
}
