/* SPDX-License-Identifier: MIT */
/* Three producers on one ordered bus; one of them dies in the middle of a message. */
#include "example.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct shmbus_bus_options bus = {
    .struct_bytes = sizeof(bus),
    .max_producers = 3, /* each has 16 slabs of its own */
    .class_count = 1,
    .classes = {{4096, 16}},
};

static struct shmbus_producer *join(void)
{
    struct shmbus_producer *producer; /* the first one makes the bus, the others join it */
    must(shmbus_producer_create("example-producers", &bus, NULL, &producer), "create");
    return producer;
}

static void publish_and_die(void)
{
    struct shmbus_producer *producer = join();
    struct shmbus_claim claim;
    must(shmbus_producer_publish(producer, 3, 0, "third", 5), "publish");
    must(shmbus_producer_claim(producer, 6, &claim), "claim"); /* never committed: a hole */
    kill(getpid(), SIGKILL);
}

int main(void)
{
    struct shmbus_producer *first = join();
    struct shmbus_producer *second = join();
    struct shmbus_consumer *consumer = example_consumer("example-producers");
    struct shmbus_consumer_stats stats;
    struct shmbus_message message;

    must(shmbus_producer_publish(first, 1, 0, "first", 5), "publish");
    must(shmbus_producer_publish(second, 2, 0, "second", 6), "publish");
    pid_t child = fork();
    if (child == 0)
        publish_and_die();
    waitpid(child, NULL, 0);
    must(shmbus_producer_publish(first, 1, 0, "behind the hole", 15), "publish");

    for (uint64_t i = 0; i < 4; i++) {
        must(shmbus_consumer_wait(consumer, SHMBUS_FOREVER), "wait");
        expect(shmbus_consumer_next(consumer, &message) == 1, "one order for all");
    }
    must(shmbus_consumer_stats(consumer, &stats), "stats");
    expect(message.sequence == 4 && stats.aborted == 1, "the dead one's hole was stepped over");

    shmbus_producer_close(first);
    expect(shmbus_consumer_next(consumer, &message) == 0, "the other one still lives");
    shmbus_producer_close(second);
    expect(shmbus_consumer_next(consumer, &message) == -EPIPE, "the last one ends the stream");
    shmbus_consumer_close(consumer);
    must(shmbus_unlink("example-producers", NULL), "unlink");
    return 0;
}
