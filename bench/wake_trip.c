/* SPDX-License-Identifier: MIT */
/*
 * Round trips in which each side sleeps in the kernel until the other one wakes it: by a futex
 * alone, by an eventfd alone, and shmbus with both consumers parked. Half of it is what a wake-up
 * takes.
 */
#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runners.h"
#include "subject.h"

/* One word for each direction: how many messages were sent on it. */
struct words {
    _Alignas(128) _Atomic uint32_t sent[ROLES][32];
};

static uint64_t words_bytes(const struct test *test)
{
    (void)test;
    return sizeof(struct words);
}

static void futex_send(struct role *role, uint64_t number)
{
    _Atomic uint32_t *word = &((struct words *)(void *)role->memory)->sent[role->index][0];
    /* release: as a message would need */
    atomic_store_explicit(word, (uint32_t)number + 1, memory_order_release);
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void futex_receive(struct role *role, uint64_t number)
{
    _Atomic uint32_t *word = &((struct words *)(void *)role->memory)->sent[1 - role->index][0];
    /* acquire: pairs with futex_send */
    while (atomic_load_explicit(word, memory_order_acquire) != (uint32_t)number + 1)
        syscall(SYS_futex, word, FUTEX_WAIT, (uint32_t)number, NULL, NULL, 0);
}

static int trip_futex(struct role *role)
{
    uint64_t total = role_total(role);
    role_meet(role);
    role->started = cpu_ticks();
    for (uint64_t i = 0; i < total; i++) {
        if (role->index == 0)
            futex_send(role, i);
        futex_receive(role, i);
        if (role->index == 1)
            futex_send(role, i);
        else
            role_lap(role, i);
    }
    return ROLE_OK;
}

static int trip_eventfd(struct role *role)
{
    uint64_t total = role_total(role), one = 1, got;
    int mine = role->event[role->index], other = role->event[1 - role->index];
    role_meet(role);
    role->started = cpu_ticks();
    for (uint64_t i = 0; i < total; i++) {
        if ((role->index == 0 && write(other, &one, sizeof(one)) != sizeof(one)) ||
            read(mine, &got, sizeof(got)) != sizeof(got) || got != 1 ||
            (role->index == 1 && write(other, &one, sizeof(one)) != sizeof(one)))
            return role_fail(role, "eventfd: %s", strerror(errno));
        if (role->index == 0)
            role_lap(role, i);
    }
    return ROLE_OK;
}

static int park_receive(struct role *role, struct shmbus_consumer *consumer, struct seen *seen)
{
    struct shmbus_message message;
    int got;
    while ((got = shmbus_consumer_next(consumer, &message)) == 0) {
        int error = shmbus_consumer_wait(consumer, SHMBUS_FOREVER);
        if (error != 0)
            return subject_failed(role, "wait", error);
    }
    if (got < 0)
        return subject_failed(role, "next", got);
    return subject_small(&message, seen) == 0 ? ROLE_OK : role_wrong(role, seen->next, seen->got);
}

static int park_send(struct role *role, struct shmbus_producer *producer, uint64_t number)
{
    uint64_t words[SMALL_WORDS];
    small_fill(words, number);
    int error = shmbus_producer_publish(producer, SUBJECT_TYPE, 0, words, SMALL_BYTES);
    return error == 0 ? ROLE_OK : subject_failed(role, "publish", error);
}

static int trip_park(struct role *role)
{
    struct shmbus_producer *producer = NULL;
    struct shmbus_consumer *consumer = NULL;
    struct seen seen = {0};
    uint64_t total = role_total(role);
    int result = subject_producer(role, role->index, &producer);
    if (result == ROLE_OK)
        result = subject_consumer(role, 1 - role->index, &consumer);
    if (result == ROLE_OK)
        role_meet(role);
    role->started = cpu_ticks();
    for (uint64_t i = 0; i < total && result == ROLE_OK; i++) {
        if (role->index == 0)
            result = park_send(role, producer, i);
        if (result == ROLE_OK)
            result = park_receive(role, consumer, &seen);
        if (result == ROLE_OK && role->index == 1)
            result = park_send(role, producer, i);
        else
            role_lap(role, i);
    }
    if (result == ROLE_OK && role->index == 1)
        shmbus_producer_flush(producer, SHMBUS_FOREVER);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
    return result;
}

const struct runner floor_futex = {
    .name = "futex", .is_floor = 1, .act = {trip_futex, trip_futex}, .bytes = words_bytes};
const struct runner floor_eventfd = {
    .name = "eventfd", .is_floor = 1, .act = {trip_eventfd, trip_eventfd}};
const struct runner shmbus_park = {.name = "shmbus-park", .act = {trip_park, trip_park}};
