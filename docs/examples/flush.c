/* SPDX-License-Identifier: MIT */
/* Knowing that the consumers have read: all of it, or up to one message. */
#include "example.h"

#include <errno.h>

int main(void)
{
    struct shmbus_producer *producer = example_producer("example-flush");
    struct shmbus_consumer *consumer = example_consumer("example-flush");
    struct shmbus_message message;

    uint64_t first = shmbus_producer_next_sequence(producer);
    must(shmbus_producer_publish(producer, 1, 0, "a", 1), "publish");
    must(shmbus_producer_publish(producer, 1, 0, "b", 1), "publish");
    expect(shmbus_producer_flush(producer, 1000000) == -ETIMEDOUT, "nobody has read yet");

    while (shmbus_consumer_next(consumer, &message) == 1)
        continue;
    must(shmbus_producer_wait_consumed(producer, first, SHMBUS_FOREVER), "wait consumed");
    must(shmbus_producer_flush(producer, SHMBUS_FOREVER), "flush");
    expect(shmbus_producer_wait_consumed(producer, first + 2, 0) == -EINVAL,
           "what was not published cannot be waited for");

    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
    must(shmbus_unlink("example-flush", NULL), "unlink");
    return 0;
}
