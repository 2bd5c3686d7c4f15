/* SPDX-License-Identifier: MIT */
/* Buses and stages: see rig.h. */
#include "rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LONGEST 600

struct shmbus_bus_options rig_bus(void)
{
    return (struct shmbus_bus_options){
        .struct_bytes = sizeof(struct shmbus_bus_options),
        .capacity = CAPACITY,
        .slot_bytes = 64,
        .max_consumers = 8,
        .class_count = 2,
        .classes = {{256, 16}, {1024, 8}},
        .stall_ns = STALL_NS,
    };
}

struct shmbus_producer *rig_create(uint32_t flags, int64_t full_timeout_ns)
{
    struct shmbus_bus_options bus = rig_bus();
    struct shmbus_producer_options options = {.struct_bytes = sizeof options,
                                              .full_timeout_ns = full_timeout_ns};
    bus.flags = flags;
    return support_create(BUS, &bus, &options);
}

static uint32_t length_of(uint64_t sequence)
{
    return sequence % 16 == 7 ? LONGEST : (uint32_t)(sequence % 41);
}

void rig_publish(struct shmbus_producer *producer, uint64_t count)
{
    unsigned char data[LONGEST];
    for (uint64_t i = 0; i < count; i++) {
        uint64_t sequence = shmbus_producer_next_sequence(producer);
        support_fill(data, length_of(sequence), sequence);
        int result = shmbus_producer_publish(producer, 0, 0, data, length_of(sequence));
        ck_assert_msg(result == 0, "publish: %d: %s", result, shmbus_error_text());
    }
}

static void on_event(void *context, const struct shmbus_event *event)
{
    struct staged *staged = context;
    switch (event->kind) {
    case SHMBUS_EVENT_AFTER_GONE:
        staged->gone++;
        staged->last = event->first;
        ck_assert_uint_eq(event->count, 0);
        break;
    case SHMBUS_EVENT_AFTER_BACK:
        staged->back++;
        staged->last = event->first;
        ck_assert_uint_eq(event->count, 0);
        break;
    default:
        if (staged->next != UINT64_MAX)
            ck_assert_uint_eq(event->first, staged->next);
        staged->next = event->first + event->count;
        staged->passed_over += event->count;
    }
}

int rig_try(const struct stage *stage, struct staged *out_staged)
{
    char names[256] = "";
    const char *after[SHMBUS_AFTER_MAX + 1];
    uint32_t count = 0;
    if (stage->after != NULL)
        strncpy(names, stage->after, sizeof names - 1);
    char *rest = NULL;
    for (char *name = strtok_r(names, " ", &rest); name != NULL; name = strtok_r(NULL, " ", &rest))
        after[count++] = name;
    struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options,
        .name = stage->name,
        .kind = SHMBUS_REQUIRED,
        .from = stage->from,
        .grace_ns = stage->grace_ns,
        .after = after,
        .after_count = count,
        .after_gone = stage->gone,
        .on_event = on_event,
        .context = out_staged,
    };
    struct shmbus_consumer_stats stats;
    *out_staged = (struct staged){.last = UINT64_MAX};
    int result = shmbus_consumer_open(BUS, &options, &out_staged->consumer);
    if (result == 0) {
        ck_assert_int_eq(shmbus_consumer_stats(out_staged->consumer, &stats), 0);
        out_staged->next = stats.cursor;
    }
    return result;
}

void rig_join(const struct stage *stage, struct staged *out_staged)
{
    int result = rig_try(stage, out_staged);
    ck_assert_msg(result == 0, "%s: %d: %s", stage->name, result, shmbus_error_text());
}

static int take_one(const struct shmbus_message *message, void *context)
{
    struct staged *staged = context;
    if (staged->next != UINT64_MAX)
        ck_assert_uint_eq(message->sequence, staged->next);
    ck_assert_uint_eq(message->length, length_of(message->sequence));
    if (!support_is(message->data, message->length, message->sequence))
        ck_abort_msg("message %llu is torn", (unsigned long long)message->sequence);
    staged->next = message->sequence + 1;
    return 0;
}

int rig_take(struct staged *staged, uint32_t most)
{
    uint32_t count = 0;
    while (count < most) {
        int result = shmbus_consumer_poll(staged->consumer, take_one, staged, most - count);
        if (result < 0)
            return result;
        if (result == 0)
            break;
        count += (uint32_t)result;
    }
    return (int)count;
}

void rig_takes(struct staged *staged, uint32_t count)
{
    int result = count > 0 ? rig_take(staged, count) : 0;
    ck_assert_msg(result == (int)count, "%d, not %u: %s", result, count, shmbus_error_text());
    result = rig_take(staged, 1);
    ck_assert_msg(result == 0 || (result == -EPIPE && count > 0), "%d more: %s", result,
                  shmbus_error_text());
}

void rig_gets(struct staged *staged, uint32_t count)
{
    while (count > 0) {
        int result = rig_take(staged, count);
        ck_assert_msg(result >= 0, "poll: %d: %s", result, shmbus_error_text());
        count -= (uint32_t)result;
    }
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * SECOND_NS + time.tv_nsec;
}

void rig_gets_nothing(struct staged *staged, int64_t time_ns)
{
    int64_t until = now() + time_ns;
    do {
        rig_takes(staged, 0);
    } while (now() < until);
}

void rig_leave(struct staged *staged)
{
    shmbus_consumer_close(staged->consumer);
    staged->consumer = NULL;
}

void rig_sleep(int64_t time_ns)
{
    struct timespec time = {time_ns / SECOND_NS, time_ns % SECOND_NS};
    while (nanosleep(&time, &time) != 0)
        continue;
}

static int find(const char *name, struct shmbus_consumer_info *out_info)
{
    struct shmbus_snapshot *snapshot = support_look(BUS);
    const struct shmbus_consumer_info *consumer;
    int found = 0;
    for (uint32_t i = 0; (consumer = shmbus_snapshot_consumer(snapshot, i)) != NULL; i++)
        if (strcmp(consumer->name, name) == 0) {
            *out_info = *consumer;
            found = 1;
        }
    shmbus_snapshot_close(snapshot);
    return found;
}

int rig_is_there(const char *name)
{
    struct shmbus_consumer_info info;
    return find(name, &info);
}

struct shmbus_consumer_info rig_look(const char *name)
{
    struct shmbus_consumer_info info;
    ck_assert_msg(find(name, &info), "%s is not there", name);
    return info;
}

/* ---- stages in processes of their own ---- */

static uint64_t until_it_fails(struct staged *staged)
{
    int result;
    do {
        result = rig_take(staged, CAPACITY);
    } while (result >= 0);
    return (uint64_t)result;
}

static uint64_t obey(struct staged *staged, uint64_t order, uint64_t argument)
{
    switch (order) {
    case RIG_TAKE:
        rig_gets(staged, (uint32_t)argument);
        return staged->next;
    case RIG_WAIT:
        return (uint64_t)shmbus_consumer_wait(staged->consumer, (int64_t)argument * MILLISECOND);
    case RIG_FAIL:
        return until_it_fails(staged);
    default:
        rig_leave(staged);
        return 0;
    }
}

static void stage_body(int line, void *context)
{
    struct staged staged;
    int result = rig_try(context, &staged);
    child_tell(line, (uint64_t)result);
    if (result < 0)
        return;
    for (uint64_t order = 0; order != RIG_LEAVE;) {
        order = child_hear(line);
        child_tell(line, obey(&staged, order, child_hear(line)));
    }
}

int stage_try(const struct stage *stage, struct child *out_child)
{
    struct stage kept = *stage;
    *out_child = child_start(stage_body, &kept);
    int result = (int)child_hear(out_child->line);
    if (result < 0)
        child_end(out_child);
    return result;
}

struct child stage_start(const struct stage *stage)
{
    struct child child;
    ck_assert_int_eq(stage_try(stage, &child), 0);
    return child;
}

uint64_t stage_order(const struct child *child, enum rig_order order, uint64_t argument)
{
    child_tell(child->line, (uint64_t)order);
    child_tell(child->line, argument);
    return child_hear(child->line);
}

void stage_leave(struct child *child)
{
    ck_assert_uint_eq(stage_order(child, RIG_LEAVE, 0), 0);
    child_end(child);
}
