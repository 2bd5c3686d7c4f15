/* SPDX-License-Identifier: MIT */
/* A required consumer that stops reading: seen as stalled, then evicted, then back. */
#include "example.h"

#include <errno.h>

static void note(void *context, const struct shmbus_health *health)
{
    (void)context;
    printf("%s: %u, was %u, %llu messages behind\n", health->name, health->state, health->before,
           (unsigned long long)health->lag);
}

int main(void)
{
    struct shmbus_bus_options bus = {
        .struct_bytes = sizeof(bus),
        .capacity = 16,
        .stall_ns = 2000000,       /* two milliseconds without progress is stalled */
        .flags = SHMBUS_BUS_EVICT, /* and who is stalled and blocks is evicted */
    };
    struct shmbus_producer_options behaviour = {
        .struct_bytes = sizeof(behaviour),
        .full_timeout_ns = SHMBUS_FOREVER,
        .on_health = note,
    };
    struct shmbus_producer *producer;
    struct shmbus_message message;
    must(shmbus_producer_create("example-stall", &bus, &behaviour, &producer), "create");
    struct shmbus_consumer *consumer = example_consumer("example-stall");

    for (int i = 0; i < 100; i++) /* the seventeenth waits for the consumer, which is not coming */
        must(shmbus_producer_publish(producer, 1, 0, "tick", 4), "publish");
    expect(shmbus_producer_required(producer, NULL) == 0, "it was evicted, and nobody gates");

    expect(shmbus_consumer_next(consumer, &message) == -ESTALE, "it is told at its next call");
    printf("%s\n", shmbus_error_text()); /* and what not to trust */
    must(shmbus_consumer_rejoin(consumer, SHMBUS_FROM_OLDEST, 0), "rejoin");
    must(shmbus_consumer_next(consumer, &message), "next");
    expect(message.sequence >= 84, "it can join again");

    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
    must(shmbus_unlink("example-stall", NULL), "unlink");
    return 0;
}
