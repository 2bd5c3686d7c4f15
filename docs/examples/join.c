/* SPDX-License-Identifier: MIT */
/* Joining late: at the tail, at the oldest message that is whole, or at a sequence. */
#include "example.h"

#include <errno.h>

static uint64_t first_seen(const struct shmbus_consumer_options *options)
{
    struct shmbus_consumer *consumer;
    struct shmbus_message message = {.sequence = UINT64_MAX};
    must(shmbus_consumer_open("example-join", options, &consumer), "open");
    must(shmbus_consumer_next(consumer, &message), "next");
    shmbus_consumer_close(consumer);
    return message.sequence;
}

int main(void)
{
    struct shmbus_bus_options bus = {
        .struct_bytes = sizeof(bus),
        .capacity = 64,
        .history = 32, /* the last 32 messages are kept for those that join late */
    };
    struct shmbus_consumer_options options = {.struct_bytes = sizeof(options)};
    struct shmbus_producer *producer;
    struct shmbus_consumer *consumer;

    must(shmbus_producer_create("example-join", &bus, NULL, &producer), "create");
    for (int i = 0; i < 1000; i++)
        must(shmbus_producer_publish(producer, 1, 0, "tick", 4), "publish");

    options.from = SHMBUS_FROM_OLDEST;
    expect(first_seen(&options) <= 968, "the last 32 are there for whoever joins late");
    options.from = SHMBUS_FROM_SEQUENCE;
    options.from_sequence = 990;
    expect(first_seen(&options) == 990, "a sequence that is still there can be asked for");
    options.from_sequence = 3;
    expect(shmbus_consumer_open("example-join", &options, &consumer) == -ERANGE,
           "one that is gone is an error that names the oldest");
    options.flags = SHMBUS_JOIN_MOVE_UP; /* or begin at the oldest, if that is asked */
    expect(first_seen(&options) > 3, "unless it may move up");

    shmbus_producer_close(producer);
    must(shmbus_unlink("example-join", NULL), "unlink");
    return 0;
}
