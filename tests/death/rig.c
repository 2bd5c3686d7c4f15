/* SPDX-License-Identifier: MIT */
/* Buses, messages, and consumers that are told what to do: see rig.h. */
#include "rig.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

struct shmbus_bus_options rig_bus(void)
{
    return (struct shmbus_bus_options){
        .struct_bytes = sizeof(struct shmbus_bus_options),
        .capacity = 16,
        .slot_bytes = 64,
        .max_consumers = 8,
        .class_count = 3,
        .classes = {{64, 8}, {256, 8}, {4096, 4}},
        .stall_ns = STALL_NS,
    };
}

struct shmbus_producer *rig_create(const struct shmbus_bus_options *bus, int64_t full_timeout_ns)
{
    struct shmbus_producer_options options = {.struct_bytes = sizeof options,
                                              .full_timeout_ns = full_timeout_ns};
    return support_create(BUS, bus, &options);
}

int rig_try_create(const struct shmbus_bus_options *bus, struct shmbus_producer **out_producer)
{
    struct shmbus_producer_options options = {.struct_bytes = sizeof options,
                                              .full_timeout_ns = GUARD_NS};
    return shmbus_producer_create(BUS, bus, &options, out_producer);
}

/* Creates the bus, and waits to be killed: nobody closes it. */
static void creator(int line, void *context)
{
    struct shmbus_producer *producer;
    shmbus_unlink(BUS, NULL);
    ck_assert_int_eq(rig_try_create(context, &producer), 0);
    child_tell(line, 0);
    pause();
}

void rig_create_and_die(struct shmbus_bus_options *bus)
{
    struct child child = child_start(creator, bus);
    child_hear(child.line);
    child_kill(&child);
}

int rig_publish(struct shmbus_producer *producer, uint32_t length)
{
    unsigned char data[4096];
    uint64_t sequence = shmbus_producer_next_sequence(producer);
    support_fill(data, length, sequence);
    return shmbus_producer_publish(producer, (uint16_t)sequence, 0, data, length);
}

void rig_publish_many(struct shmbus_producer *producer, uint32_t count, uint32_t length)
{
    for (uint32_t i = 0; i < count; i++) {
        int result = rig_publish(producer, length);
        ck_assert_msg(result == 0, "%d: %s", result, shmbus_error_text());
    }
}

void rig_check(const struct shmbus_message *message)
{
    if (!support_is(message->data, message->length, message->sequence))
        ck_abort_msg("message %llu of %u bytes is torn", (unsigned long long)message->sequence,
                     message->length);
}

struct shmbus_consumer_options rig_options(const char *name, uint32_t kind, int64_t grace_ns)
{
    return (struct shmbus_consumer_options){
        .struct_bytes = sizeof(struct shmbus_consumer_options),
        .name = name,
        .kind = kind,
        .grace_ns = grace_ns,
    };
}

struct shmbus_consumer *rig_join(const char *name, uint32_t kind, int64_t grace_ns)
{
    struct shmbus_consumer_options options = rig_options(name, kind, grace_ns);
    struct shmbus_consumer *consumer;
    int result = shmbus_consumer_open(BUS, &options, &consumer);
    ck_assert_msg(result == 0, "%s: %d: %s", name, result, shmbus_error_text());
    return consumer;
}

struct shmbus_message rig_next(struct shmbus_consumer *consumer, uint64_t sequence)
{
    struct shmbus_message message;
    int result = shmbus_consumer_next(consumer, &message);
    ck_assert_msg(result == 1, "next: %d: %s", result, shmbus_error_text());
    ck_assert_uint_eq(message.sequence, sequence);
    rig_check(&message);
    return message;
}

void rig_sleep(int64_t time_ns)
{
    struct timespec time = {time_ns / SECOND_NS, time_ns % SECOND_NS};
    while (nanosleep(&time, &time) != 0)
        continue;
}

int rig_look(const char *name, struct shmbus_consumer_info *out_consumer)
{
    struct shmbus_snapshot *snapshot = support_look(BUS);
    const struct shmbus_consumer_info *consumer;
    int found = 0;
    for (uint32_t i = 0; (consumer = shmbus_snapshot_consumer(snapshot, i)) != NULL; i++)
        if (strcmp(consumer->name, name) == 0) {
            *out_consumer = *consumer;
            found++;
        }
    shmbus_snapshot_close(snapshot);
    ck_assert_int_le(found, 1);
    return found;
}

uint32_t rig_life(const char *name)
{
    struct shmbus_consumer_info consumer;
    ck_assert_msg(rig_look(name, &consumer), "%s is not there", name);
    return consumer.life;
}

void rig_all_slabs(struct shmbus_producer *producer, const struct shmbus_bus_options *bus)
{
    struct shmbus_slab slabs[64];
    for (uint32_t i = 0; i < bus->class_count; i++) {
        uint32_t count = (uint32_t)bus->classes[i].slab_count;
        ck_assert_uint_le(count, 64);
        int result =
            shmbus_producer_slab_acquire(producer, bus->classes[i].slab_bytes, count, slabs);
        ck_assert_msg(result == 0, "class %u: %d: %s", i, result, shmbus_error_text());
        ck_assert_uint_eq(support_pool(producer, i).in_use, count);
        for (uint32_t j = 0; j < count; j++)
            ck_assert_int_eq(shmbus_producer_slab_release(producer, slabs[j].handle), 0);
        ck_assert_uint_eq(support_pool(producer, i).in_use, 0);
    }
}

/* ---- consumers in processes of their own ---- */

struct role {
    const char *name;
    uint32_t kind;
    int64_t grace_ns;
};

struct reading {
    struct shmbus_consumer *consumer;
    int line;
    int keep;
    uint64_t left; /* in RIG_TAKE: messages until the one to stay in; else 0 */
    uint64_t next; /* sequence that must come next; 0: any */
};

static int read_one(const struct shmbus_message *message, void *context)
{
    struct reading *reading = context;
    uint64_t handle;
    rig_check(message);
    if (reading->next != 0)
        ck_assert_uint_eq(message->sequence, reading->next);
    reading->next = message->sequence + 1;
    if (reading->keep)
        ck_assert_int_eq(shmbus_consumer_retain(reading->consumer, message, &handle), 0);
    if (reading->left > 0 && --reading->left == 0) {
        child_tell(reading->line, reading->next);
        for (;;)
            pause();
    }
    return 0;
}

static uint64_t read_some(struct reading *reading, uint64_t count)
{
    struct shmbus_consumer_stats stats;
    while (count > 0) {
        int result = shmbus_consumer_poll(reading->consumer, read_one, reading, 1);
        ck_assert_msg(result >= 0, "poll: %d: %s", result, shmbus_error_text());
        count -= (uint64_t)result;
        if (result == 0)
            shmbus_consumer_wait(reading->consumer, MILLISECOND);
    }
    ck_assert_int_eq(shmbus_consumer_stats(reading->consumer, &stats), 0);
    return stats.cursor;
}

/* A child that is nobody's participant and lives on; it ends with its parent's parent. */
static uint64_t fork_one(void)
{
    pid_t tester = getppid();
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid > 0)
        return (uint64_t)pid;
    prctl(PR_SET_PDEATHSIG, 0);
    while (kill(tester, 0) == 0)
        rig_sleep(20 * MILLISECOND);
    _exit(0);
}

static uint64_t obey(struct reading *reading, uint64_t order, uint64_t argument)
{
    switch (order) {
    case RIG_READ:
    case RIG_HOLD:
        reading->keep = order == RIG_HOLD;
        return read_some(reading, argument);
    case RIG_TAKE:
        reading->left = argument;
        reading->keep = 0;
        for (;;)
            shmbus_consumer_poll(reading->consumer, read_one, reading, 1000);
    case RIG_POLL:
        reading->keep = 0;
        return (uint64_t)shmbus_consumer_poll(reading->consumer, read_one, reading,
                                              (uint32_t)argument);
    case RIG_REJOIN:
        reading->next = 0;
        return (uint64_t)shmbus_consumer_rejoin(reading->consumer, SHMBUS_FROM_TAIL, 0);
    case RIG_FORK:
        return fork_one();
    default:
        shmbus_consumer_close(reading->consumer);
        return 0;
    }
}

static void consumer_body(int line, void *context)
{
    const struct role *role = context;
    struct shmbus_consumer_options options = rig_options(role->name, role->kind, role->grace_ns);
    struct reading reading = {.line = line};
    struct shmbus_consumer_stats stats;
    int result = shmbus_consumer_open(BUS, &options, &reading.consumer);
    child_tell(line, (uint64_t)result);
    if (result < 0)
        return;
    ck_assert_int_eq(shmbus_consumer_stats(reading.consumer, &stats), 0);
    child_tell(line, stats.cursor);
    child_tell(line, stats.resumed);
    for (uint64_t order = 0; order != RIG_LEAVE;) {
        order = child_hear(line);
        child_tell(line, obey(&reading, order, child_hear(line)));
    }
}

static int start(const struct role *role, struct child *out_child, uint64_t *out_cursor,
                 uint64_t *out_resumed)
{
    struct role kept = *role;
    *out_child = child_start(consumer_body, &kept);
    int result = (int)child_hear(out_child->line);
    if (result < 0) {
        child_end(out_child);
        return result;
    }
    *out_cursor = child_hear(out_child->line);
    *out_resumed = child_hear(out_child->line);
    return 0;
}

struct child rig_start(const char *name, uint32_t kind, int64_t grace_ns, uint64_t *out_cursor,
                       uint64_t *out_resumed)
{
    struct role role = {name, kind, grace_ns};
    struct child child;
    uint64_t cursor;
    uint64_t resumed;
    int result = start(&role, &child, out_cursor != NULL ? out_cursor : &cursor,
                       out_resumed != NULL ? out_resumed : &resumed);
    ck_assert_msg(result == 0, "%s: %d", name, result);
    return child;
}

int rig_try_start(const char *name, int64_t grace_ns, struct child *out_child, uint64_t *out_cursor)
{
    struct role role = {name, SHMBUS_REQUIRED, grace_ns};
    uint64_t resumed;
    return start(&role, out_child, out_cursor, &resumed);
}

uint64_t rig_order(const struct child *child, enum rig_order order, uint64_t argument)
{
    child_tell(child->line, (uint64_t)order);
    child_tell(child->line, argument);
    return child_hear(child->line);
}

void rig_leave(struct child *child)
{
    ck_assert_uint_eq(rig_order(child, RIG_LEAVE, 0), 0);
    child_end(child);
}
