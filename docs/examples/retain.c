/* SPDX-License-Identifier: MIT */
/* Keeping a message beyond its callback without copying it. */
#include "example.h"

#include <errno.h>
#include <string.h>

int main(void)
{
    static const char large[2000] = "a payload that lies in a slab";
    struct shmbus_producer *producer = example_producer("example-retain");
    struct shmbus_consumer *consumer = example_consumer("example-retain");
    struct shmbus_message message, kept;
    uint64_t handle, other;

    must(shmbus_producer_publish(producer, 1, 0, large, sizeof(large)), "publish");
    must(shmbus_producer_publish(producer, 2, 0, "next", 4), "publish");

    must(shmbus_consumer_next(consumer, &message), "next");
    must(shmbus_consumer_retain(consumer, &message, &handle), "retain");
    must(shmbus_consumer_next(consumer, &message), "next"); /* the first would be gone now */

    must(shmbus_consumer_copy(consumer, handle, &other),
         "copy"); /* for another part of the program */
    must(shmbus_consumer_release(consumer, handle), "release");
    must(shmbus_consumer_held(consumer, other, &kept), "held");
    expect(kept.sequence == 0 && memcmp(kept.data, large, sizeof(large)) == 0,
           "the message is whole as long as one handle is out");
    must(shmbus_consumer_release(consumer, other), "release");
    expect(shmbus_consumer_release(consumer, other) == -ESTALE, "a handle is released once");

    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
    must(shmbus_unlink("example-retain", NULL), "unlink");
    return 0;
}
