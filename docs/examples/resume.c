/* SPDX-License-Identifier: MIT */
/* A required consumer that dies and comes back to its place; and one that does not come back. */
#include "example.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static struct shmbus_consumer *join(void)
{
    struct shmbus_consumer_options options = {
        .struct_bytes = sizeof(options),
        .kind = SHMBUS_REQUIRED,
        .from = SHMBUS_FROM_OLDEST,
        .name = "strategy",
        .grace_ns = 60000000000, /* its place is kept for a minute if it dies */
    };
    struct shmbus_consumer *consumer;
    must(shmbus_consumer_open("example-resume", &options, &consumer), "open");
    return consumer;
}

/* Reads two messages, says so to the producer by asking for a third, and dies. */
static void read_two_and_die(void)
{
    struct shmbus_consumer *consumer = join();
    struct shmbus_message message;
    while (shmbus_consumer_next(consumer, &message) > 0)
        continue;
    kill(getpid(), SIGKILL);
}

int main(void)
{
    struct shmbus_producer *producer = example_producer("example-resume");
    struct shmbus_consumer_stats stats;
    struct shmbus_message message;
    must(shmbus_producer_publish(producer, 1, 0, "0", 1), "publish");
    must(shmbus_producer_publish(producer, 1, 0, "1", 1), "publish");
    pid_t child = fork();
    if (child == 0)
        read_two_and_die();
    waitpid(child, NULL, 0);
    must(shmbus_producer_publish(producer, 1, 0, "2", 1), "publish");
    must(shmbus_reap("example-resume", NULL), "reap"); /* or whoever needs its place does it */
    expect(shmbus_producer_required(producer, NULL) == 1, "the dead one still gates");

    struct shmbus_consumer *consumer = join();
    must(shmbus_consumer_stats(consumer, &stats), "stats");
    must(shmbus_consumer_next(consumer, &message), "next");
    expect(stats.resumed == 1 && message.sequence == 2, "it goes on where it was");

    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
    must(shmbus_unlink("example-resume", NULL), "unlink");
    return 0;
}
