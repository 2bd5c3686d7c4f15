/* SPDX-License-Identifier: MIT */
/* Ways to wait: a consumer that spins, yields and parks, and a producer that parks at once. */
#include "example.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

/* Another process, which waits for each message. */
static int read_all(void)
{
    struct shmbus_consumer_options options = {
        .struct_bytes = sizeof(options),
        .kind = SHMBUS_REQUIRED,
        .from = SHMBUS_FROM_OLDEST,
        .wait = {.strategy = SHMBUS_WAIT_ADAPTIVE, /* spin, then yield, then park */
                 .spins = 1000,                    /* looks, before it gives the core away */
                 .slice_ns = 50000000},            /* asleep, it looks every 50 ms who lives */
    };
    struct shmbus_consumer *consumer;
    struct shmbus_message message;
    int count = 0;
    int result;
    must(shmbus_consumer_open("example-waiting", &options, &consumer), "open");
    while ((result = shmbus_consumer_wait(consumer, SHMBUS_FOREVER)) == 0) {
        count += must(shmbus_consumer_next(consumer, &message), "next");
    }
    shmbus_consumer_close(consumer);
    return result == -EPIPE && count == 100 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(void)
{
    struct shmbus_bus_options bus = {.struct_bytes = sizeof(bus), .capacity = 16};
    struct shmbus_producer_options options = {
        .struct_bytes = sizeof(options),
        .full_timeout_ns = SHMBUS_FOREVER,
        .wait = {.strategy = SHMBUS_WAIT_PARK}, /* of a full ring, and at the end */
    };
    struct shmbus_producer *producer;
    int status = 0;
    must(shmbus_producer_create("example-waiting", &bus, &options, &producer), "create");
    pid_t reader = fork();
    if (reader == 0)
        _exit(read_all());

    while (must(shmbus_producer_required(producer, NULL), "required") == 0)
        usleep(1000);
    for (int i = 0; i < 100; i++) /* the ring has 16: it waits for the reader now and then */
        must(shmbus_producer_publish(producer, 1, 0, &i, sizeof(i)), "publish");
    must(shmbus_producer_flush(producer, SHMBUS_FOREVER), "flush");
    shmbus_producer_close(producer); /* the reader is called, and told of the end */

    waitpid(reader, &status, 0);
    expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the other process read all of it");
    must(shmbus_unlink("example-waiting", NULL), "unlink");
    return 0;
}
