/* SPDX-License-Identifier: MIT */
/* Publishing copies: one at a time, and many that consumers see at once. */
#include "example.h"

static int count_bytes(const struct shmbus_message *message, void *context)
{
    *(unsigned *)context += message->length;
    return 0;
}

int main(void)
{
    struct shmbus_producer *producer = example_producer("example-batch");
    struct shmbus_consumer *consumer = example_consumer("example-batch");

    must(shmbus_producer_publish(producer, 1, 0, "one", 3), "publish");

    const struct shmbus_outgoing batch[] = {
        {.data = "two", .length = 3, .type = 1},
        {.data = "three", .length = 5, .type = 1},
        {.data = NULL, .length = 0, .type = 9},
    };
    expect(shmbus_producer_publish_batch(producer, batch, 3) == 3, "three went out as one batch");

    unsigned bytes = 0;
    expect(shmbus_consumer_poll(consumer, count_bytes, &bytes, 100) == 4 && bytes == 11,
           "four messages of 11 bytes in all arrived");

    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
    must(shmbus_unlink("example-batch", NULL), "unlink");
    return 0;
}
