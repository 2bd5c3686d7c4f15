/* SPDX-License-Identifier: MIT */
/* Three kinds of consumers: one that gates the producer, one that is skipped ahead, one unseen. */
#include "example.h"

#include <inttypes.h>

static uint64_t told_lost;

static void note(void *context, const struct shmbus_event *event)
{
    (void)context;
    if (event->kind == SHMBUS_EVENT_LOST)
        told_lost += event->count;
}

static int nothing(const struct shmbus_message *message, void *context)
{
    (void)message;
    (void)context;
    return 0;
}

int main(void)
{
    struct shmbus_bus_options bus = {.struct_bytes = sizeof(bus), .capacity = 16};
    struct shmbus_consumer_options options = {
        .struct_bytes = sizeof(options), .name = "casual", .on_event = note};
    struct shmbus_consumer_options unseen = {.struct_bytes = sizeof(unseen),
                                             .kind = SHMBUS_OBSERVER};
    struct shmbus_producer *producer;
    struct shmbus_consumer *optional, *observer;
    struct shmbus_consumer_stats stats;

    must(shmbus_producer_create("example-kinds", &bus, NULL, &producer), "create");
    must(shmbus_consumer_open("example-kinds", &options, &optional), "open"); /* optional */
    must(shmbus_consumer_open("example-kinds", &unseen, &observer), "open");

    /* A hundred messages through sixteen slots: neither of them holds the producer up. */
    for (uint64_t i = 0; i < 100; i++)
        must(shmbus_producer_publish(producer, 1, 0, &i, sizeof(i)), "publish");
    must(shmbus_consumer_poll(optional, nothing, NULL, 1000), "poll");
    must(shmbus_consumer_stats(optional, &stats), "stats");
    expect(stats.lost > 0 && stats.lost == told_lost, "what it missed is told exactly");
    expect(stats.received + stats.lost == 100, "and the rest was received");
    must(shmbus_consumer_poll(observer, nothing, NULL, 1000), "poll");
    expect(shmbus_producer_required(producer, NULL) == 0, "nobody gates the producer");

    shmbus_consumer_close(optional);
    shmbus_consumer_close(observer);
    shmbus_producer_close(producer);
    must(shmbus_unlink("example-kinds", NULL), "unlink");
    return 0;
}
