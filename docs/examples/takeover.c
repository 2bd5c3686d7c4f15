/* SPDX-License-Identifier: MIT */
/* A producer that dies, and the one that goes on: consumers that stayed notice nothing. */
#include "example.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void publish_and_die(void)
{
    struct shmbus_producer *producer = example_producer("example-takeover");
    struct shmbus_claim claim;
    must(shmbus_producer_publish(producer, 1, 0, "before", 6), "publish");
    must(shmbus_producer_claim(producer, 6, &claim), "claim"); /* never committed */
    kill(getpid(), SIGKILL);
}

int main(void)
{
    pid_t child = fork();
    if (child == 0)
        publish_and_die();
    waitpid(child, NULL, 0);

    struct shmbus_consumer *consumer = example_consumer("example-takeover");
    struct shmbus_message message;
    must(shmbus_consumer_next(consumer, &message), "next");
    expect(shmbus_consumer_wait(consumer, 1000000000) == -EOWNERDEAD,
           "all of it was read, and the producer is dead");

    struct shmbus_producer *producer = example_producer("example-takeover"); /* the same geometry */
    must(shmbus_producer_publish(producer, 1, 0, "after", 5), "publish");
    must(shmbus_consumer_next(consumer, &message), "next");
    expect(message.sequence == 1, "no gap, no repeat, and the consumer need do nothing");
    shmbus_producer_close(producer);

    struct shmbus_bus_options other = {.struct_bytes = sizeof(other), .capacity = 32};
    expect(shmbus_producer_create("example-takeover", &other, NULL, &producer) == -EEXIST,
           "another geometry is refused");
    other.flags = SHMBUS_BUS_REPLACE; /* unless it is to replace the bus */
    must(shmbus_producer_create("example-takeover", &other, NULL, &producer), "create");
    expect(shmbus_consumer_next(consumer, &message) == -ESTALE,
           "those of the old one are told to open it again");

    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
    must(shmbus_unlink("example-takeover", NULL), "unlink");
    return 0;
}
