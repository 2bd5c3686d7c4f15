/* SPDX-License-Identifier: MIT */
/* The end of a stream, and a bus that is kept and goes on. */
#include "example.h"

#include <errno.h>

int main(void)
{
    struct shmbus_producer *producer = example_producer("example-end");
    struct shmbus_consumer *consumer = example_consumer("example-end");
    struct shmbus_message message;

    must(shmbus_producer_publish(producer, 1, 0, "last", 4), "publish");
    shmbus_producer_close(producer); /* the bus stays until it is unlinked */

    expect(shmbus_consumer_next(consumer, &message) == 1, "what was published can still be read");
    expect(shmbus_consumer_next(consumer, &message) == -EPIPE, "then the stream is at its end");

    must(shmbus_producer_open("example-end", NULL, NULL, 0, &producer), "open");
    expect(shmbus_producer_next_sequence(producer) == 1, "a kept bus goes on at its next sequence");
    must(shmbus_producer_publish(producer, 1, 0, "more", 4), "publish");
    expect(shmbus_consumer_next(consumer, &message) == 1 && message.sequence == 1,
           "a consumer that stayed reads on");

    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
    must(shmbus_unlink("example-end", NULL), "unlink");
    return 0;
}
