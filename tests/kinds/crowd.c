/* SPDX-License-Identifier: MIT */
/* Messages that follow from their sequences, and who watches them: see crowd.h. */
#include "crowd.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

struct shmbus_bus_options crowd_bus(void)
{
    return (struct shmbus_bus_options){
        .struct_bytes = sizeof(struct shmbus_bus_options),
        .capacity = CROWD_CAPACITY,
        .slot_bytes = 64,
        .max_consumers = 8,
        .class_count = 2,
        .classes = {{128, 16}, {1024, 16}},
    };
}

uint32_t crowd_length(uint64_t sequence)
{
    uint64_t state = sequence;
    uint64_t random = support_random(&state);
    uint32_t size = (uint32_t)(random >> 32);
    if (random % 6 < 4)
        return size % 49;
    return random % 6 == 4 ? 49 + size % 79 : 129 + size % (CROWD_LONGEST - 128);
}

uint16_t crowd_type(uint64_t sequence)
{
    uint64_t state = ~sequence;
    return (uint16_t)(support_random(&state) % CROWD_TYPES);
}

int crowd_publish(struct shmbus_producer *producer, uint64_t count)
{
    unsigned char payload[CROWD_LONGEST];
    int result = 0;
    for (uint64_t i = 0; result == 0 && i < count; i++) {
        uint64_t sequence = shmbus_producer_next_sequence(producer);
        uint32_t length = crowd_length(sequence);
        support_fill(payload, length, sequence);
        result = shmbus_producer_publish(producer, crowd_type(sequence), (uint16_t)sequence & 0xff,
                                         payload, length);
    }
    return result;
}

int crowd_is_whole(const struct shmbus_message *message)
{
    uint64_t sequence = message->sequence;
    uint32_t length = crowd_length(sequence);
    return message->length == length && message->type == crowd_type(sequence) &&
           (message->flags & SHMBUS_MESSAGE_USER_FLAGS) == (sequence & 0xff) &&
           ((message->flags & SHMBUS_MESSAGE_POOLED) != 0) == (length > 48) &&
           support_is(message->data, length, sequence);
}

struct shmbus_consumer_options watch_options(uint32_t kind, uint32_t from)
{
    return (struct shmbus_consumer_options){
        .struct_bytes = sizeof(struct shmbus_consumer_options),
        .kind = kind,
        .from = from,
        .hold_quota = 8,
    };
}

/* What goes by in silence: nothing, but for a watch that filters. */
static void go_to(struct watch *watch, uint64_t sequence)
{
    ck_assert_uint_ge(sequence, watch->next);
    if (!watch->filters)
        ck_assert_uint_eq(sequence, watch->next);
    watch->unwanted += sequence - watch->next;
}

static void watch_event(void *context, const struct shmbus_event *event)
{
    struct watch *watch = context;
    ck_assert_uint_eq(event->unused, 0);
    if (watch->event_count < CROWD_EVENTS)
        watch->events[watch->event_count] = *event;
    watch->event_count++;
    go_to(watch, event->first);
    watch->next = event->first + event->count;
    if (event->kind == SHMBUS_EVENT_DEADLINE) {
        ck_assert_uint_eq(event->count, 0);
        watch->deadlines++;
        return;
    }
    ck_assert_uint_gt(event->count, 0);
    if (event->kind == SHMBUS_EVENT_LOST)
        watch->lost += event->count;
    else if (event->kind == SHMBUS_EVENT_ABORTED)
        watch->aborted += event->count;
    else
        ck_abort_msg("event of kind %u", event->kind);
}

int watch_try(struct watch *watch, const struct shmbus_consumer_options *options)
{
    struct shmbus_consumer_options own = *options;
    struct shmbus_consumer_stats stats;
    memset(watch, 0, sizeof *watch);
    watch->filters = options->types != NULL;
    own.on_event = watch_event;
    own.context = watch;
    int result = shmbus_consumer_open(CROWD_BUS, &own, &watch->consumer);
    if (result < 0)
        return result;
    ck_assert_int_eq(shmbus_consumer_stats(watch->consumer, &stats), 0);
    watch->from = stats.cursor;
    watch->next = stats.cursor;
    return 0;
}

void watch_join(struct watch *watch, uint32_t kind, uint32_t from)
{
    struct shmbus_consumer_options options = watch_options(kind, from);
    int result = watch_try(watch, &options);
    ck_assert_msg(result == 0, "%d: %s", result, shmbus_error_text());
}

int watch_message(const struct shmbus_message *message, void *context)
{
    struct watch *watch = context;
    go_to(watch, message->sequence);
    ck_assert_msg(crowd_is_whole(message), "message %llu is not whole",
                  (unsigned long long)message->sequence);
    watch->next = message->sequence + 1;
    watch->received++;
    return 0;
}

int watch_drain(struct watch *watch)
{
    int result;
    do {
        result = shmbus_consumer_poll(watch->consumer, watch_message, watch, 1000);
    } while (result > 0);
    return result;
}

#define KEPT 4

/* Keeps a message in place of another, which must still be whole. */
static void keep(struct watch *watch, const struct shmbus_message *message, uint64_t *kept)
{
    struct shmbus_message held;
    if (*kept != 0) {
        ck_assert_int_eq(shmbus_consumer_held(watch->consumer, *kept, &held), 0);
        ck_assert(crowd_is_whole(&held));
        ck_assert_int_eq(shmbus_consumer_release(watch->consumer, *kept), 0);
        *kept = 0;
    }
    if (message != NULL)
        ck_assert_int_eq(shmbus_consumer_retain(watch->consumer, message, kept), 0);
}

void watch_to_the_end(struct watch *watch, uint64_t seed)
{
    struct shmbus_message message;
    uint64_t kept[KEPT] = {0};
    int result;
    do {
        uint32_t how = (uint32_t)support_below(&seed, 4);
        if (how == 0) {
            result = shmbus_consumer_wait(watch->consumer, GUARD_NS);
        } else if (how == 1) {
            uint32_t most = 1 + (uint32_t)support_below(&seed, 20);
            result = shmbus_consumer_poll(watch->consumer, watch_message, watch, most);
        } else {
            result = shmbus_consumer_next(watch->consumer, &message);
            if (result > 0)
                watch_message(&message, watch);
            if (result > 0 && how == 3)
                keep(watch, &message, &kept[support_below(&seed, KEPT)]);
            /* Lent in place: it must not change before the next call either. */
            if (result > 0 && support_below(&seed, 50) == 0)
                sched_yield();
            if (result > 0)
                ck_assert(crowd_is_whole(&message));
        }
    } while (result >= 0);
    ck_assert_msg(result == -EPIPE, "%d: %s", result, shmbus_error_text());
    for (int i = 0; i < KEPT; i++)
        keep(watch, NULL, &kept[i]);
}

void crowd_publish_unevenly(struct shmbus_producer *producer, uint64_t count, uint64_t *random)
{
    for (uint64_t done = 0; done < count;) {
        uint64_t run = 1 + support_below(random, 200);
        int result = crowd_publish(producer, run);
        ck_assert_msg(result == 0, "%d: %s", result, shmbus_error_text());
        done += run;
        if (support_below(random, 3) == 0)
            sched_yield();
    }
}

void watch_expect(const struct watch *watch, uint32_t index, uint32_t kind, uint64_t first,
                  uint64_t count)
{
    ck_assert_uint_lt(index, watch->event_count);
    ck_assert_uint_eq(watch->events[index].kind, kind);
    ck_assert_uint_eq(watch->events[index].first, first);
    ck_assert_uint_eq(watch->events[index].count, count);
}

void watch_settle(struct watch *watch)
{
    struct shmbus_consumer_stats stats;
    ck_assert_int_eq(shmbus_consumer_stats(watch->consumer, &stats), 0);
    /* What was passed over last is told by nothing. */
    if (watch->filters) {
        ck_assert_uint_ge(stats.cursor, watch->next);
        watch->unwanted += stats.cursor - watch->next;
        watch->next = stats.cursor;
    }
    ck_assert_uint_eq(stats.cursor, watch->next);
    ck_assert_uint_eq(stats.received, watch->received);
    ck_assert_uint_eq(stats.lost, watch->lost);
    ck_assert_uint_eq(stats.aborted, watch->aborted);
    ck_assert_uint_eq(stats.filtered, watch->unwanted);
    ck_assert_uint_eq(stats.received + stats.lost + stats.aborted + stats.filtered,
                      stats.cursor - watch->from);
}

void watch_end(struct watch *watch)
{
    watch_settle(watch);
    shmbus_consumer_close(watch->consumer);
    watch->consumer = NULL;
}

uint64_t crowd_floor(void)
{
    struct shmbus_snapshot *snapshot = support_look(CROWD_BUS);
    uint64_t floor = shmbus_snapshot_bus(snapshot)->floor;
    shmbus_snapshot_close(snapshot);
    return floor;
}

struct shmbus_producer_info crowd_producer(void)
{
    struct shmbus_snapshot *snapshot = support_look(CROWD_BUS);
    ck_assert_ptr_nonnull(shmbus_snapshot_producer(snapshot, 0));
    struct shmbus_producer_info info = *shmbus_snapshot_producer(snapshot, 0);
    shmbus_snapshot_close(snapshot);
    return info;
}
