/* SPDX-License-Identifier: MIT */
/*
 * Producers and consumers over fork: an object belongs to the process that opened it, and to one
 * thread at a time. A child opens its own.
 */
#include "example.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the child does: 0 when all went as it has to. */
static int child(struct shmbus_producer *parents)
{
    if (shmbus_producer_publish(parents, 1, 0, "no", 2) != -ECHILD)
        return 1; /* the parent's producer is refused here, and not a crash */
    struct shmbus_consumer *consumer = example_consumer("example-fork");
    struct shmbus_message message;
    must(shmbus_consumer_wait(consumer, SHMBUS_FOREVER), "wait");
    must(shmbus_consumer_next(consumer, &message), "next");
    shmbus_consumer_close(consumer);
    return message.length == 5 ? 0 : 2;
}

int main(void)
{
    struct shmbus_producer *producer = example_producer("example-fork");
    int status;

    pid_t pid = fork();
    if (pid == 0)
        _exit(child(producer));
    expect(pid > 0, "a child was started");
    must(shmbus_producer_publish(producer, 1, 0, "hello", 5), "publish");
    expect(waitpid(pid, &status, 0) == pid && status == 0,
           "the child was refused its parent's producer, and read with its own consumer");

    shmbus_producer_close(producer);
    must(shmbus_unlink("example-fork", NULL), "unlink");
    return 0;
}
