/* SPDX-License-Identifier: MIT */
/* The two ways to read, poll with a callback and next, and waiting when there is nothing. */
#include "example.h"

#include <errno.h>

static int on_message(const struct shmbus_message *message, void *context)
{
    printf("%llu: type %u, %u bytes\n", (unsigned long long)message->sequence,
           (unsigned)message->type, (unsigned)message->length);
    *(unsigned *)context += 1;
    return message->type == 7; /* anything but 0 ends the poll after this message */
}

int main(void)
{
    struct shmbus_producer *producer = example_producer("example-read");
    struct shmbus_consumer *consumer = example_consumer("example-read");
    struct shmbus_message message;
    unsigned seen = 0;

    expect(shmbus_consumer_wait(consumer, 1000000) == -ETIMEDOUT, "nothing came in a millisecond");
    for (unsigned i = 0; i < 5; i++)
        must(shmbus_producer_publish(producer, i == 1 ? 7 : 1, 0, &i, sizeof(i)), "publish");

    must(shmbus_consumer_wait(consumer, SHMBUS_FOREVER), "wait");
    expect(shmbus_consumer_poll(consumer, on_message, &seen, 100) == 2 && seen == 2,
           "poll handed out messages up to the one that ended it");
    expect(shmbus_consumer_next(consumer, &message) == 1 && message.sequence == 2,
           "next goes on where poll ended");
    expect(shmbus_consumer_poll(consumer, on_message, &seen, 1) == 1, "poll takes one at most");
    while (shmbus_consumer_next(consumer, &message) == 1)
        on_message(&message, &seen);

    struct shmbus_consumer_stats stats;
    must(shmbus_consumer_stats(consumer, &stats), "stats");
    expect(stats.received == 5 && stats.cursor == 5, "five messages were read");

    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
    must(shmbus_unlink("example-read", NULL), "unlink");
    return 0;
}
