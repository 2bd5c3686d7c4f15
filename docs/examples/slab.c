/* SPDX-License-Identifier: MIT */
/* The pool by hand: acquire a slab, publish it more than once, give it back. */
#include "example.h"

#include <errno.h>
#include <string.h>

static void on_exhausted(void *context, uint32_t class_index, uint64_t exhausted)
{
    (void)class_index;
    *(uint64_t *)context = exhausted;
}

int main(void)
{
    uint64_t exhausted = 0;
    struct shmbus_bus_options bus = {
        .struct_bytes = sizeof(bus), .class_count = 1, .classes = {{4096, 4}}};
    struct shmbus_producer_options behaviour = {
        .struct_bytes = sizeof(behaviour), .on_exhausted = on_exhausted, .context = &exhausted};
    struct shmbus_producer *producer;
    must(shmbus_producer_create("example-slab", &bus, &behaviour, &producer), "create");
    struct shmbus_consumer *consumer = example_consumer("example-slab");

    struct shmbus_slab slabs[4];
    must(shmbus_producer_slab_acquire(producer, 4096, 4, slabs), "acquire");
    memset(slabs[0].data, 7, slabs[0].bytes);
    must(shmbus_producer_slab_publish(producer, slabs[0].handle, 4096, 1, 0), "publish");
    must(shmbus_producer_slab_publish(producer, slabs[0].handle, 100, 1, 0), "publish again");

    struct shmbus_slab fifth;
    expect(shmbus_producer_slab_acquire(producer, 4096, 1, &fifth) == -ENOBUFS && exhausted == 1,
           "a fifth slab is not to be had, and the callback was told");
    for (int i = 0; i < 4; i++)
        must(shmbus_producer_slab_release(producer, slabs[i].handle), "release");
    expect(shmbus_producer_slab_release(producer, slabs[3].handle) == -ESTALE,
           "a slab is given back once");

    struct shmbus_message message;
    expect(shmbus_consumer_next(consumer, &message) == 1 && message.length == 4096,
           "what was published of a slab given back is still whole");
    struct shmbus_pool_stats stats;
    must(shmbus_producer_pool_stats(producer, 0, &stats), "stats");
    expect(stats.high_water == 4 && stats.exhausted == 1, "the counts say so too");

    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
    must(shmbus_unlink("example-slab", NULL), "unlink");
    return 0;
}
