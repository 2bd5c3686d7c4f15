/* SPDX-License-Identifier: MIT */
/*
 * Opens the buses of the shmbus runners: the defaults, but for the capacity and pool that the test
 * names, with page tables filled at open, as the floors' are.
 */
#include "subject.h"

#include <stdio.h>

enum {
    SLAB_MIN = 64,            /* the least size of a slab */
    STAMPED_SLOT_BYTES = 128, /* 48 bytes and a time of publishing do not fit into 64 */
};

static const int64_t wait_ns = 20000000000; /* for the other process to make its bus */

int subject_failed(struct role *role, const char *call, int error)
{
    return role_fail(role, "%s: %s (%s)", call, shmbus_strerror(error), shmbus_error_text());
}

int subject_producer(struct role *role, int bus, struct shmbus_producer **out_producer)
{
    const struct test *test = role->test;
    struct shmbus_bus_options options = {.struct_bytes = sizeof(options),
                                         .folder = role->folder,
                                         .capacity = test->capacity,
                                         .max_consumers = test->consumers,
                                         .max_producers = test->producers,
                                         .flags = SHMBUS_MAP_PREFAULT | test->bus_flags};
    struct shmbus_producer_options behaviour = {.struct_bytes = sizeof(behaviour),
                                                .full_timeout_ns = SHMBUS_FOREVER};
    if ((test->bus_flags & SHMBUS_BUS_TIMESTAMPS) != 0)
        options.slot_bytes = STAMPED_SLOT_BYTES;
    if (test->slabs == 0) {
        options.flags |= SHMBUS_BUS_NO_POOL;
    } else {
        options.class_count = 1;
        options.classes[0] =
            (struct shmbus_pool_class){test->size < SLAB_MIN ? SLAB_MIN : test->size, test->slabs};
    }
    int result = shmbus_producer_create(role->bus[bus], &options, &behaviour, out_producer);
    return result == 0 ? ROLE_OK : subject_failed(role, "create", result);
}

int subject_consumer(struct role *role, int bus, struct shmbus_consumer **out_consumer)
{
    return subject_consumer_as(role, bus, 0, out_consumer);
}

int subject_consumer_as(struct role *role, int bus, uint32_t flags,
                        struct shmbus_consumer **out_consumer)
{
    struct shmbus_consumer_options options = {.struct_bytes = sizeof(options),
                                              .folder = role->folder,
                                              .name = "bench",
                                              .kind = role->test->kind,
                                              .from = SHMBUS_FROM_OLDEST,
                                              .wait_ns = wait_ns,
                                              .wait = {.strategy = SHMBUS_WAIT_PARK},
                                              .flags = SHMBUS_MAP_PREFAULT | flags};
    int result = shmbus_consumer_open(role->bus[bus], &options, out_consumer);
    return result == 0 ? ROLE_OK : subject_failed(role, "open", result);
}
