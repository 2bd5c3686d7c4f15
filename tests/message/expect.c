/* SPDX-License-Identifier: MIT */
/* Small words of the tests of messages: see expect.h. */
#include "expect.h"

#include <stdlib.h>

struct shmbus_bus_options expect_bus(void)
{
    return (struct shmbus_bus_options){
        .struct_bytes = sizeof(struct shmbus_bus_options),
        .capacity = 16,
        .slot_bytes = 64,
        .max_consumers = 8,
        .class_count = 3,
        .classes = {{64, 8}, {128, 8}, {4096, 4}},
    };
}

int expect_publish(struct shmbus_producer *producer, uint32_t length)
{
    uint64_t sequence = shmbus_producer_next_sequence(producer);
    unsigned char *data = malloc((size_t)length + 1);
    ck_assert_ptr_nonnull(data);
    support_fill(data, length, sequence);
    int result = shmbus_producer_publish(producer, (uint16_t)sequence, 0, data, length);
    free(data);
    return result;
}

struct shmbus_message expect_next(struct shmbus_consumer *consumer, uint64_t sequence,
                                  uint32_t length)
{
    struct shmbus_message message;
    int result = shmbus_consumer_next(consumer, &message);
    ck_assert_msg(result == 1, "next: %d: %s", result, shmbus_error_text());
    ck_assert_uint_eq(message.sequence, sequence);
    ck_assert_uint_eq(message.length, length);
    ck_assert(support_is(message.data, length, sequence));
    return message;
}

void expect_none(struct shmbus_consumer *consumer, int result)
{
    struct shmbus_message message = {.sequence = 77};
    uint64_t count = 0;
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), result);
    ck_assert_uint_eq(message.sequence, 77);
    ck_assert_int_eq(shmbus_consumer_poll(consumer, expect_any, &count, 100), result);
    ck_assert_uint_eq(count, 0);
}

int expect_in_order(const struct shmbus_message *message, void *context)
{
    struct expect_run *run = context;
    if (message->sequence != run->next ||
        !support_is(message->data, message->length, message->sequence))
        ck_abort_msg("message %llu where %llu was expected, or its payload is not its own",
                     (unsigned long long)message->sequence, (unsigned long long)run->next);
    run->next++;
    run->count++;
    return run->count == run->stop_at;
}

int expect_any(const struct shmbus_message *message, void *count)
{
    (void)message;
    ++*(uint64_t *)count;
    return 0;
}
