/* SPDX-License-Identifier: MIT */
/* Making a bus with options, attaching to it by name, and removing it. */
#include "example.h"

#include <errno.h>

int main(void)
{
    struct shmbus_bus_options bus = {
        .struct_bytes = sizeof(bus),
        .capacity = 4096,  /* messages in the ring */
        .slot_bytes = 128, /* 16 of header, 112 of payload */
        .class_count = 2,
        .classes = {{1024, 512}, {65536, 16}}, /* slab bytes, how many */
        .flags = SHMBUS_BUS_TIMESTAMPS,
    };
    struct shmbus_producer_options behaviour = {
        .struct_bytes = sizeof(behaviour),
        .full_timeout_ns = SHMBUS_FOREVER, /* wait for slow consumers */
    };
    struct shmbus_producer *producer, *second;
    must(shmbus_producer_create("example-create", &bus, &behaviour, &producer), "create");
    expect(shmbus_producer_create("example-create", &bus, &behaviour, &second) == -EBUSY,
           "a bus has one living producer");

    struct shmbus_consumer_options attach = {
        .struct_bytes = sizeof(attach),
        .name = "guide",
        .kind = SHMBUS_REQUIRED,
        .wait_ns = 5000000000, /* for a bus that is not there yet */
    };
    struct shmbus_consumer *consumer;
    must(shmbus_consumer_open("example-create", &attach, &consumer), "open");
    expect(shmbus_producer_required(producer, NULL) == 1, "one required consumer is attached");

    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
    must(shmbus_unlink("example-create", NULL), "unlink");
    return 0;
}
