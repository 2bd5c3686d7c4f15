/* SPDX-License-Identifier: MIT */
/* Registered types: who expects another layout is refused, and who wants one type gets that one. */
#include "example.h"

#include <errno.h>
#include <stdint.h>

struct trade {
    int64_t price;
    int64_t quantity;
};

static const struct shmbus_type types[] = {
    {.type = 1, .bytes = sizeof(struct trade), .name = "trade", .fields = "price:<i8,quantity:<i8"},
    {.type = 2, .name = "note"}, /* of any length */
};

int main(void)
{
    struct shmbus_bus_options bus = {.struct_bytes = sizeof(bus), .types = types, .type_count = 2};
    const struct shmbus_type other = {
        .type = 1, .bytes = 8, .name = "trade", .fields = "price:<f8"};
    const uint16_t wanted[] = {1};
    struct shmbus_consumer_options options = {
        .struct_bytes = sizeof(options),
        .kind = SHMBUS_REQUIRED,
        .types = wanted, /* others cost it nothing but a look at the stamp */
        .type_count = 1,
        .expected = types, /* this layout or none */
        .expected_count = 1,
    };
    struct shmbus_producer *producer;
    struct shmbus_consumer *consumer;
    struct shmbus_message message;
    struct trade trade = {.price = 100, .quantity = 7};

    must(shmbus_producer_create("example-types", &bus, NULL, &producer), "create");
    must(shmbus_consumer_open("example-types", &options, &consumer), "open");
    must(shmbus_producer_publish(producer, 2, 0, "good morning", 12), "publish");
    must(shmbus_producer_publish(producer, 1, 0, &trade, sizeof(trade)), "publish");
    must(shmbus_consumer_next(consumer, &message), "next");
    expect(message.type == 1 && message.sequence == 1, "only the type that it wants is handed out");
    shmbus_consumer_close(consumer);

    options.expected = &other;
    expect(shmbus_consumer_open("example-types", &options, &consumer) == -EPROTOTYPE,
           "another layout is refused");
    printf("%s\n", shmbus_error_text()); /* which names both */

    shmbus_producer_close(producer);
    must(shmbus_unlink("example-types", NULL), "unlink");
    return 0;
}
