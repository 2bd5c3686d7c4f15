/* SPDX-License-Identifier: MIT */
/*
 * What is done once: attaching to a bus, with and without filling page tables, and creating one.
 * Each lap is one call; what it made is closed again outside of the lap. The floor of attaching is
 * to open and map a file of that size, and nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runners.h"
#include "subject.h"

/* Makes the bus and keeps it until the other one is done. */
static int keep_bus(struct role *role)
{
    struct shmbus_producer *producer = NULL;
    int result = subject_producer(role, 0, &producer);
    if (result != ROLE_OK)
        return result;
    role_meet(role);
    /* acquire: pairs with attach */
    while (atomic_load_explicit(&role->meeting->taken, memory_order_acquire) == 0)
        usleep(1000);
    shmbus_producer_close(producer);
    return ROLE_OK;
}

static int attach(struct role *role, uint32_t flags)
{
    struct shmbus_consumer_options options = {.struct_bytes = sizeof(options),
                                              .folder = role->folder,
                                              .name = "bench",
                                              .kind = SHMBUS_REQUIRED,
                                              .flags = flags};
    uint64_t total = role_total(role);
    int result = ROLE_OK;
    role_meet(role);
    for (uint64_t i = 0; i < total && result == ROLE_OK; i++) {
        struct shmbus_consumer *consumer = NULL;
        role->started = cpu_ticks();
        int error = shmbus_consumer_open(role->bus[0], &options, &consumer);
        role_lap(role, i);
        if (error != 0)
            result = subject_failed(role, "open", error);
        shmbus_consumer_close(consumer);
    }
    /* release: pairs with keep_bus */
    atomic_store_explicit(&role->meeting->taken, 1, memory_order_release);
    return result;
}

static int attach_plain(struct role *role)
{
    return attach(role, 0);
}

static int attach_filled(struct role *role)
{
    return attach(role, SHMBUS_MAP_PREFAULT);
}

static int map_file(struct role *role)
{
    char path[600];
    uint64_t total = role_total(role);
    uint64_t bytes = (uint64_t)role->test->size * role->test->slabs;
    int result = ROLE_OK;
    snprintf(path, sizeof(path), "%s/shmbus.%s/feed", role->folder, role->bus[0]);
    role_meet(role);
    for (uint64_t i = 0; i < total && result == ROLE_OK; i++) {
        role->started = cpu_ticks();
        int file = open(path, O_RDONLY | O_CLOEXEC);
        void *memory = file >= 0 ? mmap(NULL, bytes, PROT_READ, MAP_SHARED, file, 0) : MAP_FAILED;
        role_lap(role, i);
        if (memory == MAP_FAILED)
            result = role_fail(role, "%.200s: %s", path, strerror(errno));
        else
            munmap(memory, bytes);
        close(file);
    }
    /* release: pairs with keep_bus */
    atomic_store_explicit(&role->meeting->taken, 1, memory_order_release);
    return result;
}

static int create(struct role *role)
{
    uint64_t total = role_total(role);
    int result = ROLE_OK;
    role_meet(role);
    for (uint64_t i = 0; i < total && result == ROLE_OK; i++) {
        struct shmbus_producer *producer = NULL;
        role->started = cpu_ticks();
        result = subject_producer(role, 0, &producer);
        role_lap(role, i);
        shmbus_producer_close(producer);
        shmbus_unlink(role->bus[0], role->folder);
    }
    return result;
}

static int stand_by(struct role *role)
{
    role_meet(role);
    return ROLE_OK;
}

const struct runner floor_map = {
    .name = "open-and-map", .is_floor = 1, .act = {keep_bus, map_file}};
const struct runner shmbus_attach = {.name = "shmbus-attach", .act = {keep_bus, attach_plain}};
const struct runner shmbus_attach_filled = {.name = "shmbus-attach-prefault",
                                            .act = {keep_bus, attach_filled}};
const struct runner shmbus_create = {.name = "shmbus-create", .act = {create, stand_by}};
