/* SPDX-License-Identifier: MIT */
/*
 * One producer and three required consumers, all of them processes, with messages of every size
 * whose bytes are checked. Consumers read by poll, by next, or keep some of what they read; at
 * random one leaves and another comes, and one is killed and replaced. At the end the slabs in use
 * are those that the living hold, and all counts agree.
 */
#include "expect.h"
#include "layout/stamp.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#define BUS       "stress"
#define CONSUMERS 3
#define CLASSES   3
#define KEPT      5

/* What the producer says, when it has published everything. */
enum { SAY_READY, SAY_DONE };
/* What a consumer is told. */
enum { TELL_LEAVE = 1, TELL_REPORT };

static const struct {
    uint64_t capacity;
    uint64_t messages;
    uint32_t most_batch;
} shapes[] = {{16, 60000, 20}, {64, 120000, 40}, {65536, 120000, 300}};

static int shape;
static uint64_t slab_counts[CLASSES] = {24, 20, 12};

static uint32_t some_length(uint64_t *random)
{
    static const uint32_t limits[] = {49, 49, 49, 65, 129, 300};
    return (uint32_t)support_below(random, limits[support_below(random, 6)]);
}

/* Publishes one message or a batch, in one of the ways that there are. Returns how many. */
static uint64_t publish_some(struct shmbus_producer *producer, uint64_t *random, uint64_t left)
{
    static unsigned char payloads[300][300];
    static struct shmbus_outgoing batch[300];
    uint64_t sequence = shmbus_producer_next_sequence(producer);
    uint64_t way = support_below(random, 8);
    if (way == 0 && left > 1) {
        uint64_t count = 1 + support_below(random, shapes[shape].most_batch);
        if (count > left)
            count = left;
        for (uint64_t i = 0; i < count; i++) {
            batch[i] = (struct shmbus_outgoing){payloads[i], some_length(random), 1, 2};
            support_fill(payloads[i], batch[i].length, sequence + i);
        }
        ck_assert_int_eq(shmbus_producer_publish_batch(producer, batch, count), (int)count);
        return count;
    }
    uint32_t length = some_length(random);
    if (way == 1) {
        struct shmbus_slab slab;
        ck_assert_int_eq(shmbus_producer_slab_acquire(producer, length, 1, &slab), 0);
        support_fill(slab.data, length, sequence);
        ck_assert_int_eq(shmbus_producer_slab_publish(producer, slab.handle, length, 1, 2), 0);
        ck_assert_int_eq(shmbus_producer_slab_release(producer, slab.handle), 0);
        return 1;
    }
    if (way < 5) {
        ck_assert_int_eq(expect_publish(producer, length), 0);
        return 1;
    }
    struct shmbus_claim claim;
    ck_assert_int_eq(shmbus_producer_claim(producer, length + (uint32_t)way, &claim), 0);
    claim.length = length;
    support_fill(claim.data, length, sequence);
    if (way == 7 && length % 2) {
        ck_assert_int_eq(shmbus_producer_abort(producer, &claim), 0);
        return 0;
    }
    ck_assert_int_eq(shmbus_producer_commit(producer, &claim, 1, 2), 0);
    return 1;
}

/* Takes every slab of a class that nobody holds: exactly so many there are. */
static void count_slabs(struct shmbus_producer *producer, uint32_t class_index, uint64_t held)
{
    static const uint64_t bytes[] = {1, 65, 129};
    struct shmbus_slab slabs[32];
    uint32_t left = (uint32_t)(slab_counts[class_index] - held);
    if (left == 0)
        return;
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, bytes[class_index], left, slabs), 0);
    struct shmbus_pool_stats stats = support_pool(producer, class_index);
    ck_assert_uint_eq(stats.in_use, stats.slab_count);
    ck_assert_uint_eq(stats.held, held);
    for (uint32_t i = 0; i < left; i++)
        ck_assert_int_eq(shmbus_producer_slab_release(producer, slabs[i].handle), 0);
    ck_assert_uint_eq(support_pool(producer, class_index).in_use, held);
}

static void produce(int line, void *seed)
{
    struct shmbus_producer_options how = {.struct_bytes = sizeof how, .full_timeout_ns = GUARD_NS};
    struct shmbus_bus_options options = expect_bus();
    uint64_t random = *(uint64_t *)seed;
    options.capacity = shapes[shape].capacity;
    options.class_count = CLASSES;
    options.first_sequence = (UINT64_C(1) << 56) - 1 - shapes[shape].messages / 2;
    for (int i = 0; i < CLASSES; i++)
        options.classes[i].slab_count = slab_counts[i];
    struct shmbus_producer *producer = support_create(BUS, &options, &how);
    child_tell(line, SAY_READY);
    child_hear(line);
    for (uint64_t done = 0; done < shapes[shape].messages;)
        done += publish_some(producer, &random, shapes[shape].messages - done);
    ck_assert_int_eq(shmbus_producer_flush(producer, GUARD_NS), 0);
    child_tell(line, SAY_DONE);
    /* Nobody is replaced any more when this is heard; those that were killed last are reaped. */
    child_hear(line);
    ck_assert_int_ge(shmbus_reap(BUS, NULL), 0);
    ck_assert_int_eq(shmbus_producer_required(producer, NULL), CONSUMERS);
    for (uint32_t i = 0; i < CLASSES; i++)
        count_slabs(producer, i, child_hear(line));
    child_tell(line, shmbus_producer_next_sequence(producer));
    child_hear(line);
    shmbus_producer_close(producer);
}

struct reader {
    struct shmbus_consumer *consumer;
    uint64_t first;
    uint64_t next;
    uint64_t handles[KEPT];
    uint64_t kept;
    uint64_t random;
};

static int read_one(const struct shmbus_message *message, void *context)
{
    struct reader *reader = context;
    if (message->sequence != reader->next ||
        !support_is(message->data, message->length, message->sequence))
        ck_abort_msg("message %llu where %llu was expected, or not whole",
                     (unsigned long long)message->sequence, (unsigned long long)reader->next);
    reader->next++;
    if (reader->random == 0 || support_below(&reader->random, 9))
        return 0;
    uint64_t *handle = &reader->handles[reader->kept++ % KEPT];
    if (*handle != 0) {
        struct shmbus_message held;
        ck_assert_int_eq(shmbus_consumer_held(reader->consumer, *handle, &held), 0);
        if (!support_is(held.data, held.length, held.sequence))
            ck_abort_msg("held message %llu changed", (unsigned long long)held.sequence);
        ck_assert_int_eq(shmbus_consumer_release(reader->consumer, *handle), 0);
    }
    ck_assert_int_eq(shmbus_consumer_retain(reader->consumer, message, handle), 0);
    return 0;
}

/* Says the handles of the slabs that it holds, and a 0. */
static void report(int line, const struct reader *reader)
{
    struct shmbus_consumer_stats stats;
    struct shmbus_message held;
    ck_assert_int_eq(shmbus_consumer_stats(reader->consumer, &stats), 0);
    ck_assert_uint_eq(stats.cursor, reader->next);
    ck_assert_uint_eq(stats.received, reader->next - reader->first);
    ck_assert_uint_eq(stats.lost, 0);
    for (int i = 0; i < KEPT; i++)
        if (reader->handles[i] != 0) {
            ck_assert_int_eq(shmbus_consumer_held(reader->consumer, reader->handles[i], &held), 0);
            ck_assert(support_is(held.data, held.length, held.sequence));
            if (held.handle != 0)
                child_tell(line, held.handle);
        }
    child_tell(line, 0);
}

/* kind 0 polls, 1 goes by next, 2 polls and keeps. */
static void consume(int line, void *context)
{
    uint64_t seed = *(uint64_t *)context;
    uint64_t kind = seed % 3;
    struct reader reader = {.consumer = support_join(BUS, seed / 3 % 2), .random = seed};
    struct shmbus_consumer_stats stats;
    struct shmbus_message message;
    ck_assert_int_eq(shmbus_consumer_stats(reader.consumer, &stats), 0);
    reader.first = reader.next = stats.cursor;
    if (kind != 2)
        reader.random = 0;
    child_tell(line, stats.cursor);
    for (;;) {
        if (child_has_said(line)) {
            if (child_hear(line) == TELL_LEAVE)
                break;
            report(line, &reader);
        }
        int result = shmbus_consumer_wait(reader.consumer, 10000000);
        ck_assert_msg(result == 0 || result == -ETIMEDOUT || result == -EPIPE, "%d: %s", result,
                      shmbus_error_text());
        for (int i = 0; kind == 1 && i < 20; i++)
            if (shmbus_consumer_next(reader.consumer, &message) == 1)
                read_one(&message, &reader);
        if (kind != 1)
            shmbus_consumer_poll(reader.consumer, read_one, &reader, 1 + seed % 40);
    }
    shmbus_consumer_close(reader.consumer);
}

static struct child start_consumer(uint64_t *random, uint64_t kind)
{
    uint64_t seed = support_random(random) / 3 / 3 * 3 + kind;
    struct child child = child_start(consume, &seed);
    child_hear(child.line);
    return child;
}

/* Until the producer is done: one leaves or is killed, and another takes its place, before it goes
 * or after. */
static uint64_t disturb(struct child *producer, struct child *consumers, uint64_t *random)
{
    uint64_t replaced = 0;
    while (!child_has_said(producer->line)) {
        uint64_t which = support_below(random, CONSUMERS);
        struct child old = consumers[which];
        int first = support_below(random, 2) == 0;
        if (first)
            consumers[which] = start_consumer(random, which);
        if (support_below(random, 2)) {
            child_kill(&old);
        } else {
            child_tell(old.line, TELL_LEAVE);
            child_end(&old);
        }
        if (!first)
            consumers[which] = start_consumer(random, which);
        replaced++;
    }
    return replaced;
}

/* Counts by class the slabs that consumers say they hold, each once. */
static void collect_held(struct child *consumers, uint64_t *held)
{
    uint64_t seen[CONSUMERS * KEPT];
    uint32_t count = 0;
    for (int i = 0; i < CONSUMERS; i++) {
        uint64_t handle;
        child_tell(consumers[i].line, TELL_REPORT);
        while ((handle = child_hear(consumers[i].line)) != 0) {
            uint32_t j = 0;
            while (j < count && seen[j] != handle)
                j++;
            if (j < count)
                continue;
            ck_assert_uint_lt(count, CONSUMERS * KEPT);
            seen[count++] = handle;
            held[handle_class(handle)]++;
        }
    }
}

static void compare_counts(uint64_t tail, const uint64_t *held)
{
    struct shmbus_snapshot *snapshot = support_look(BUS);
    const struct shmbus_bus_info *bus = shmbus_snapshot_bus(snapshot);
    const struct shmbus_producer_info *producer = shmbus_snapshot_producer(snapshot, 0);
    uint64_t exhausted = 0;
    ck_assert_uint_eq(bus->tail, tail);
    ck_assert_uint_eq(bus->first_sequence + shapes[shape].messages, tail);
    ck_assert_uint_eq(bus->ring_used, 0);
    ck_assert_uint_eq(bus->consumer_count, CONSUMERS);
    ck_assert_uint_eq(producer->published, shapes[shape].messages);
    for (uint32_t i = 0; i < CONSUMERS; i++) {
        const struct shmbus_consumer_info *consumer = shmbus_snapshot_consumer(snapshot, i);
        ck_assert_uint_eq(consumer->life, SHMBUS_LIFE_ALIVE);
        ck_assert_uint_eq(consumer->cursor, tail);
        ck_assert_uint_eq(consumer->lag, 0);
        ck_assert_uint_eq(consumer->lost, 0);
    }
    for (uint32_t i = 0; i < CLASSES; i++) {
        const struct shmbus_pool_stats *pool = shmbus_snapshot_pool(snapshot, i);
        ck_assert_uint_eq(pool->in_use, held[i]);
        ck_assert_uint_eq(pool->held, held[i]);
        ck_assert_uint_eq(pool->high_water, pool->slab_count);
        exhausted += pool->exhausted;
    }
    ck_assert_uint_eq(producer->exhausted, exhausted);
    printf("stress: blocked %llu times, exhausted %llu times\n",
           (unsigned long long)producer->blocked, (unsigned long long)producer->exhausted);
    shmbus_snapshot_close(snapshot);
}

START_TEST(nothing_is_lost_broken_or_leaked)
{
    struct child consumers[CONSUMERS];
    uint64_t held[CLASSES] = {0};
    shape = _i;
    uint64_t random = support_seed("stress");
    uint64_t seed = random;
    struct child producer = child_start(produce, &seed);
    ck_assert_uint_eq(child_hear(producer.line), SAY_READY);
    for (uint64_t i = 0; i < CONSUMERS; i++)
        consumers[i] = start_consumer(&random, i);
    child_tell(producer.line, 0);
    uint64_t replaced = disturb(&producer, consumers, &random);
    ck_assert_uint_eq(child_hear(producer.line), SAY_DONE);
    printf("stress: capacity %llu: %llu consumers replaced\n",
           (unsigned long long)shapes[shape].capacity, (unsigned long long)replaced);
    child_tell(producer.line, 0);
    collect_held(consumers, held);
    for (int i = 0; i < CLASSES; i++)
        child_tell(producer.line, held[i]);
    uint64_t tail = child_hear(producer.line);
    compare_counts(tail, held);
    child_tell(producer.line, 0);
    child_end(&producer);
    for (int i = 0; i < CONSUMERS; i++) {
        child_tell(consumers[i].line, TELL_LEAVE);
        child_end(&consumers[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message stress");
    TCase *tcase = support_case(suite, "stress", 120);
    tcase_add_loop_test(tcase, nothing_is_lost_broken_or_leaked, 0,
                        (int)(sizeof shapes / sizeof shapes[0]));
    return support_run(suite);
}
