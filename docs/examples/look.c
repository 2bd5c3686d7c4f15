/* SPDX-License-Identifier: MIT */
/* Looking on: every bus of a folder, and the picture of one, without leaving a trace. */
#include "example.h"

#include <string.h>

static int on_bus(const char *name, void *context)
{
    printf("there is a bus '%s'\n", name);
    if (strcmp(name, "example-look") == 0)
        *(bool *)context = true;
    return 0;
}

int main(void)
{
    struct shmbus_producer *producer = example_producer("example-look");
    struct shmbus_consumer *consumer = example_consumer("example-look");
    must(shmbus_producer_publish(producer, 1, 0, "unread", 6), "publish");

    bool found = false;
    must(shmbus_list(NULL, on_bus, &found), "list");
    expect(found, "the bus is listed");

    struct shmbus_snapshot *snapshot;
    must(shmbus_snapshot_open("example-look", NULL, &snapshot), "look");
    expect(shmbus_snapshot_bus(snapshot)->tail == 1, "one message was published");
    const struct shmbus_consumer_info *reader = shmbus_snapshot_consumer(snapshot, 0);
    expect(reader != NULL && reader->lag == 1 && reader->gates == 1,
           "one consumer is there, a message behind, and gates the producer");
    shmbus_snapshot_close(snapshot);

    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
    must(shmbus_unlink("example-look", NULL), "unlink");
    return 0;
}
