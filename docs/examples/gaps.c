/* SPDX-License-Identifier: MIT */
/* Sequences left out on purpose, and silence: both are told as events. */
#include "example.h"

#include <errno.h>

static void note(void *context, const struct shmbus_event *event)
{
    *(struct shmbus_event *)context = *event;
}

int main(void)
{
    struct shmbus_event event = {0};
    struct shmbus_consumer_options options = {
        .struct_bytes = sizeof(options),
        .kind = SHMBUS_REQUIRED,
        .deadline_ns = 1000000, /* a millisecond without a message is worth knowing */
        .on_event = note,
        .context = &event,
    };
    struct shmbus_producer *producer = example_producer("example-gaps");
    struct shmbus_consumer *consumer;
    struct shmbus_message message;
    must(shmbus_consumer_open("example-gaps", &options, &consumer), "open");

    must(shmbus_producer_publish(producer, 1, 0, "a", 1), "publish");
    must(shmbus_producer_skip(producer, 1000), "skip"); /* a replay whose source had a gap */
    must(shmbus_producer_publish(producer, 1, 0, "b", 1), "publish");
    must(shmbus_consumer_next(consumer, &message), "next");
    must(shmbus_consumer_next(consumer, &message), "next");
    expect(message.sequence == 1001, "the stream goes on after the gap");
    expect(event.kind == SHMBUS_EVENT_LOST && event.first == 1 && event.count == 1000,
           "and the gap was told before");

    while (event.kind != SHMBUS_EVENT_DEADLINE)
        expect(shmbus_consumer_wait(consumer, 10000000) == -ETIMEDOUT, "no message came");
    expect(event.first == 1002, "the silence is told too, once");

    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
    must(shmbus_unlink("example-gaps", NULL), "unlink");
    return 0;
}
