/* SPDX-License-Identifier: MIT */
/*
 * The participants. A message's length and every word of it follow from its sequence; whoever gets
 * one checks all of it.
 */
#include "soak.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BATCH     64u
#define POLL_MOST 256u
#define KEEP_MAX  4u
#define SLICE_NS  INT64_C(20000000)
#define PATTERN   UINT64_C(0x9e3779b97f4a7c15)
#define LONG_STAY (UINT64_C(1) << 16) /* messages between two times that one opens anew */

uint64_t soak_random(uint64_t *state)
{
    /* splitmix64 */
    uint64_t mixed = (*state += PATTERN);
    mixed = (mixed ^ mixed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ mixed >> 31;
}

static uint32_t bytes_of(uint64_t sequence)
{
    if (sequence % 1024 == 1023)
        return LARGE_BYTES;
    return sequence % 64 == 63 ? MIDDLE_BYTES : SMALL_BYTES;
}

static void fill(void *data, uint64_t sequence)
{
    uint64_t *words = data;
    for (uint32_t i = 0; i < bytes_of(sequence) / 8; i++)
        words[i] = sequence * PATTERN + i;
}

static int is_whole(const struct shmbus_message *message, uint64_t sequence)
{
    const uint64_t *words = message->data;
    uint64_t wrong = message->length ^ bytes_of(sequence);
    for (uint32_t i = 0; wrong == 0 && i < message->length / 8; i++)
        wrong = words[i] ^ (sequence * PATTERN + i);
    return wrong == 0;
}

__attribute__((format(printf, 2, 3), noreturn)) static void fault(struct member *member,
                                                                  const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(member->fault, sizeof member->fault, format, list);
    va_end(list);
    atomic_store(&member->is_faulty, 1);
    _exit(1);
}

static void nap(void)
{
    const struct timespec time = {.tv_nsec = 1000000};
    nanosleep(&time, NULL);
}

/* ---- the producer ---- */

static struct shmbus_producer *open_producer(struct member *member)
{
    const struct shmbus_bus_options bus = {
        .struct_bytes = sizeof bus,
        .capacity = CAPACITY,
        .max_consumers = 16,
        .class_count = 2,
        .classes = {{256, 256}, {LARGE_BYTES + 96, 64}},
        .history = CAPACITY / 4,
    };
    const struct shmbus_producer_options options = {.struct_bytes = sizeof options,
                                                    .full_timeout_ns = SLICE_NS};
    struct shmbus_producer *producer = NULL;
    int result = shmbus_producer_create(BUS, &bus, &options, &producer);
    if (result < 0)
        fault(member, "create: %d: %s", result, shmbus_error_text());
    atomic_fetch_add(&member->opened, 1);
    return producer;
}

/* One way or another to publish a few. Returns how many, or an errno. */
static int publish_some(struct shmbus_producer *producer, uint64_t dice)
{
    static uint64_t data[BATCH][LARGE_BYTES / 8];
    struct shmbus_outgoing batch[BATCH];
    struct shmbus_claim claim;
    uint64_t next = shmbus_producer_next_sequence(producer);
    if (dice % 8 == 0) {
        int result = shmbus_producer_claim(producer, bytes_of(next), &claim);
        if (result < 0)
            return result;
        fill(claim.data, next);
        result = shmbus_producer_commit(producer, &claim, 1, 0);
        return result < 0 ? result : 1;
    }
    if (dice % 8 == 1) {
        fill(data[0], next);
        int result = shmbus_producer_publish(producer, 1, 0, data[0], bytes_of(next));
        return result < 0 ? result : 1;
    }
    for (uint32_t i = 0; i < BATCH; i++) {
        fill(data[i], next + i);
        batch[i] = (struct shmbus_outgoing){data[i], bytes_of(next + i), 1, 0};
    }
    return shmbus_producer_publish_batch(producer, batch, BATCH);
}

void soak_produce(struct shared *shared, uint64_t seed)
{
    struct member *member = &shared->members[PRODUCER];
    struct shmbus_producer *producer = open_producer(member);
    uint64_t left = LONG_STAY;
    while (!atomic_load(&shared->is_over)) {
        int result = publish_some(producer, soak_random(&seed));
        if (result < 0 && result != -EAGAIN && result != -ENOBUFS)
            fault(member, "publish: %d: %s", result, shmbus_error_text());
        if (result > 0) {
            atomic_fetch_add(&member->published, (uint64_t)result);
            left -= (uint64_t)result < left ? (uint64_t)result : left;
        }
        if (left == 0) {
            shmbus_producer_close(producer);
            producer = open_producer(member);
            left = 1 + soak_random(&seed) % (4 * LONG_STAY);
        }
    }
    shmbus_producer_close(producer);
}

/* ---- consumers ---- */

struct reader {
    struct member *member;
    struct shmbus_consumer *consumer;
    uint32_t kind;
    uint64_t next;
    uint64_t kept[KEEP_MAX];
    uint64_t kept_sequence[KEEP_MAX];
    uint32_t kept_count;
    uint64_t random;
};

static void on_event(void *context, const struct shmbus_event *event)
{
    struct reader *reader = context;
    if (event->kind != SHMBUS_EVENT_LOST)
        return;
    if (reader->kind == SHMBUS_REQUIRED || event->first != reader->next)
        fault(reader->member, "kind %u: %llu lost from %llu on, at %llu", reader->kind,
              (unsigned long long)event->count, (unsigned long long)event->first,
              (unsigned long long)reader->next);
    reader->next += event->count;
    atomic_fetch_add(&reader->member->lost, event->count);
}

static int on_message(const struct shmbus_message *message, void *context)
{
    struct reader *reader = context;
    if (message->sequence != reader->next || !is_whole(message, message->sequence))
        fault(reader->member, "kind %u: message %llu at %llu, of %u bytes: not what was published",
              reader->kind, (unsigned long long)message->sequence, (unsigned long long)reader->next,
              message->length);
    reader->next++;
    if (reader->kind != SHMBUS_OBSERVER && reader->kept_count < KEEP_MAX &&
        soak_random(&reader->random) % 256 == 0 &&
        shmbus_consumer_retain(reader->consumer, message, &reader->kept[reader->kept_count]) == 0)
        reader->kept_sequence[reader->kept_count++] = message->sequence;
    return 0;
}

/* One of those that it keeps is as it was, and is let go. */
static void let_go(struct reader *reader)
{
    struct shmbus_message message;
    if (reader->kept_count == 0)
        return;
    uint32_t last = --reader->kept_count;
    if (shmbus_consumer_held(reader->consumer, reader->kept[last], &message) < 0 ||
        !is_whole(&message, reader->kept_sequence[last]))
        fault(reader->member, "kind %u: kept message %llu has changed", reader->kind,
              (unsigned long long)reader->kept_sequence[last]);
    if (shmbus_consumer_release(reader->consumer, reader->kept[last]) < 0)
        fault(reader->member, "release: %s", shmbus_error_text());
    atomic_fetch_add(&reader->member->kept, 1);
}

static int open_reader(struct reader *reader)
{
    const struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options,
        .kind = reader->kind,
        .from = soak_random(&reader->random) % 2 ? SHMBUS_FROM_TAIL : SHMBUS_FROM_OLDEST,
        .on_event = on_event,
        .context = reader,
    };
    struct shmbus_consumer_stats stats;
    int result = shmbus_consumer_open(BUS, &options, &reader->consumer);
    /* Not there yet; a floor that is being raised right now. */
    if (result == -ENOENT || result == -ERANGE)
        return 0;
    if (result < 0)
        fault(reader->member, "kind %u: open: %d: %s", reader->kind, result, shmbus_error_text());
    if (shmbus_consumer_stats(reader->consumer, &stats) < 0)
        fault(reader->member, "stats: %s", shmbus_error_text());
    reader->next = stats.cursor;
    atomic_fetch_add(&reader->member->opened, 1);
    return 1;
}

/* Reads so many messages, or until it is over. */
static void read_on(struct reader *reader, const struct shared *shared, uint64_t count)
{
    while (count > 0 && !atomic_load(&shared->is_over)) {
        uint64_t before = reader->next;
        int result = shmbus_consumer_poll(reader->consumer, on_message, reader, POLL_MOST);
        if (result == 0)
            result = shmbus_consumer_wait(reader->consumer, SLICE_NS);
        else if (result > 0)
            atomic_fetch_add(&reader->member->received, (uint64_t)result);
        /* Its producer closed, or was killed: the next one goes on. */
        if (result == -EPIPE || result == -EOWNERDEAD)
            nap();
        else if (result < 0 && result != -ETIMEDOUT)
            fault(reader->member, "kind %u: %d: %s", reader->kind, result, shmbus_error_text());
        if (soak_random(&reader->random) % 4 == 0)
            let_go(reader);
        count -= reader->next - before < count ? reader->next - before : count;
    }
}

void soak_consume(struct shared *shared, enum place place, uint64_t seed)
{
    static const uint32_t kinds[] = {SHMBUS_REQUIRED, SHMBUS_REQUIRED, SHMBUS_OPTIONAL,
                                     SHMBUS_OBSERVER};
    struct reader reader = {.member = &shared->members[place], .random = seed};
    while (!atomic_load(&shared->is_over)) {
        reader.kind = place < GUEST ? kinds[place] : kinds[1 + soak_random(&reader.random) % 3];
        if (!open_reader(&reader)) {
            nap();
            continue;
        }
        read_on(&reader, shared, 1 + soak_random(&reader.random) % LONG_STAY);
        /* Of those that it keeps, some are let go by closing. */
        let_go(&reader);
        reader.kept_count = 0;
        shmbus_consumer_close(reader.consumer);
    }
}
