/* SPDX-License-Identifier: MIT */
/* A consumer in an event loop, beside whatever else that waits for. */
#include "example.h"

#include <errno.h>
#include <poll.h>

int main(void)
{
    struct shmbus_producer *producer = example_producer("example-loop");
    struct shmbus_consumer *consumer = example_consumer("example-loop");
    struct shmbus_message message;
    struct pollfd watched = {.events = POLLIN};
    int seen = 0;
    int result = 0;

    must(shmbus_consumer_fd(consumer, &watched.fd), "fd"); /* epoll and io_uring take it as well */
    must(shmbus_producer_publish(producer, 1, 0, "one", 3), "publish");
    must(shmbus_producer_publish(producer, 1, 0, "two", 3), "publish");
    shmbus_producer_close(producer);

    while (result == 0) {
        poll(&watched, 1, -1); /* readable: there is something to read, or to be told */
        while ((result = shmbus_consumer_next(consumer, &message)) == 1)
            seen++;
        if (result == 0) /* nothing more: this says whether its producer died */
            result = shmbus_consumer_wait(consumer, 0);
        if (result == -ETIMEDOUT)
            result = 0;
    }
    expect(result == -EPIPE && seen == 2, "all of it was read, to the end");
    shmbus_consumer_close(consumer);
    must(shmbus_unlink("example-loop", NULL), "unlink");
    return 0;
}
