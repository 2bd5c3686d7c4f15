/* SPDX-License-Identifier: MIT */
/* Producers among many for the tests: see crew.h. */
#include "crew.h"

#include <errno.h>
#include <string.h>

struct shmbus_bus_options crew_bus(uint32_t most)
{
    struct shmbus_bus_options bus = {
        .struct_bytes = sizeof bus,
        .capacity = 64,
        .slot_bytes = 64,
        .max_consumers = 8,
        .class_count = 2,
        .classes = {{128, SMALL_COUNT}, {1024, LARGE_COUNT}},
        .max_producers = most,
        .stall_ns = 30000000,
    };
    return bus;
}

struct shmbus_producer *crew_open(const struct shmbus_bus_options *bus, int64_t full_timeout_ns)
{
    struct shmbus_producer_options options = {.struct_bytes = sizeof options,
                                              .full_timeout_ns = full_timeout_ns};
    struct shmbus_producer *producer = NULL;
    int result = shmbus_producer_create(BUS, bus, &options, &producer);
    ck_assert_msg(result == 0, "%d: %s", result, shmbus_error_text());
    return producer;
}

static uint32_t length_of(uint32_t author, uint64_t number)
{
    static const uint32_t lengths[] = {16, 48, 17, 49, 128, 129, 30, 1000};
    return lengths[(author * 3 + number * 5) % 8];
}

static uint64_t key_of(uint32_t author, uint64_t number)
{
    return (uint64_t)author << 40 | number;
}

static void fill(unsigned char *data, uint32_t author, uint64_t number, uint32_t length)
{
    uint64_t key = key_of(author, number);
    support_fill(data + 8, length - 8, key);
    memcpy(data, &key, 8);
}

static int by_claim(struct shmbus_producer *producer, uint32_t author, uint64_t number)
{
    uint32_t length = length_of(author, number);
    struct shmbus_claim claim;
    int result;
    /* Every now and then one that comes to nothing. */
    if (number % 7 == 0) {
        result = shmbus_producer_claim(producer, length, &claim);
        if (result == 0)
            result = shmbus_producer_abort(producer, &claim);
        if (result < 0)
            return result;
    }
    result = shmbus_producer_claim(producer, length, &claim);
    if (result < 0)
        return result;
    fill(claim.data, author, number, length);
    return shmbus_producer_commit(producer, &claim, (uint16_t)author, 0);
}

static int by_slab(struct shmbus_producer *producer, uint32_t author, uint64_t number)
{
    uint32_t length = length_of(author, number);
    struct shmbus_slab slab;
    int result = shmbus_producer_slab_acquire(producer, length, 1, &slab);
    if (result < 0)
        return result;
    fill(slab.data, author, number, length);
    result = shmbus_producer_slab_publish(producer, slab.handle, length, (uint16_t)author, 0);
    int released = shmbus_producer_slab_release(producer, slab.handle);
    return result < 0 ? result : released;
}

int crew_publish(struct shmbus_producer *producer, uint32_t author, uint64_t number)
{
    unsigned char data[LONGEST];
    uint32_t length = length_of(author, number);
    if (number % 3 == 1)
        return by_claim(producer, author, number);
    if (number % 6 == 2)
        return by_slab(producer, author, number);
    fill(data, author, number, length);
    if (number % 2 == 0)
        return shmbus_producer_publish(producer, (uint16_t)author, 0, data, length);
    struct shmbus_outgoing outgoing = {data, length, (uint16_t)author, 0};
    int result = shmbus_producer_publish_batch(producer, &outgoing, 1);
    return result == 1 ? 0 : result;
}

static void on_event(void *context, const struct shmbus_event *event)
{
    struct crew_watch *watch = context;
    ck_assert_uint_eq(event->first, watch->next);
    watch->next += event->count;
    if (event->kind == SHMBUS_EVENT_ABORTED)
        watch->aborted += event->count;
    else
        watch->lost += event->count;
    ck_assert(watch->lost == 0 || watch->may_lose);
}

static int on_message(const struct shmbus_message *message, void *context)
{
    struct crew_watch *watch = context;
    uint64_t key;
    ck_assert_uint_eq(message->sequence, watch->next);
    watch->next++;
    watch->received++;
    ck_assert_uint_ge(message->length, 16);
    memcpy(&key, message->data, 8);
    uint32_t author = (uint32_t)(key >> 40);
    uint64_t number = key & ((UINT64_C(1) << 40) - 1);
    ck_assert_uint_lt(author, AUTHORS_MAX);
    ck_assert_uint_eq(message->type, author);
    ck_assert_uint_eq(message->length, length_of(author, number));
    ck_assert_msg(support_is((const unsigned char *)message->data + 8, message->length - 8, key),
                  "message %llu is not whole", (unsigned long long)message->sequence);
    if (watch->may_lose)
        ck_assert_uint_ge(number, watch->numbers[author]);
    else
        ck_assert_uint_eq(number, watch->numbers[author]);
    watch->numbers[author] = number + 1;
    watch->order = (watch->order ^ key ^ message->sequence) * UINT64_C(0x100000001b3);
    return 0;
}

void crew_watch(struct crew_watch *watch, uint32_t kind)
{
    struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options,
        .kind = kind,
        .from = SHMBUS_FROM_OLDEST,
        .on_event = on_event,
        .context = watch,
    };
    memset(watch, 0, sizeof *watch);
    watch->may_lose = kind != SHMBUS_REQUIRED;
    int result = shmbus_consumer_open(BUS, &options, &watch->consumer);
    ck_assert_msg(result == 0, "%d: %s", result, shmbus_error_text());
    struct shmbus_consumer_stats stats;
    ck_assert_int_eq(shmbus_consumer_stats(watch->consumer, &stats), 0);
    watch->next = stats.cursor;
}

int crew_read(struct crew_watch *watch)
{
    int result;
    do {
        result = shmbus_consumer_poll(watch->consumer, on_message, watch, 17);
    } while (result > 0);
    return result;
}

int crew_read_to_the_end(struct crew_watch *watch)
{
    int result;
    do {
        result = crew_read(watch);
        if (result == 0)
            result = shmbus_consumer_wait(watch->consumer, GUARD_NS);
    } while (result == 0);
    return result;
}

struct job {
    const struct shmbus_bus_options *bus;
    uint32_t author;
    int64_t full_timeout_ns;
};

static uint64_t acquire_all(struct shmbus_producer *producer, struct shmbus_slab *slabs)
{
    uint64_t count = 0;
    while (count < 1024 && shmbus_producer_slab_acquire(producer, 1000, 1, &slabs[count]) == 0)
        count++;
    return count;
}

static void work(int line, void *context)
{
    static struct shmbus_slab slabs[1024];
    const struct job *job = context;
    struct shmbus_producer *producer = crew_open(job->bus, job->full_timeout_ns);
    struct shmbus_claim claim = {0};
    uint64_t number = 0;
    uint64_t slab_count = 0;
    child_tell(line, 0);
    for (;;) {
        uint64_t order = child_hear(line);
        uint64_t argument = child_hear(line);
        uint64_t answer = 0;
        if (order == CREW_PUBLISH) {
            for (; argument > 0 && answer == 0; argument--)
                answer = (uint64_t)crew_publish(producer, job->author, number++);
        } else if (order == CREW_CLAIM) {
            int result = shmbus_producer_claim(producer, length_of(job->author, number), &claim);
            answer = result < 0 ? (uint64_t)result : claim.sequence;
        } else if (order == CREW_COMMIT) {
            fill(claim.data, job->author, number, claim.length);
            number++;
            answer = (uint64_t)shmbus_producer_commit(producer, &claim, (uint16_t)job->author, 0);
        } else if (order == CREW_ABORT) {
            answer = (uint64_t)shmbus_producer_abort(producer, &claim);
        } else if (order == CREW_SLABS) {
            answer = slab_count = acquire_all(producer, slabs);
        } else if (order == CREW_RELEASE) {
            for (; slab_count > 0; slab_count--)
                shmbus_producer_slab_release(producer, slabs[slab_count - 1].handle);
        } else {
            shmbus_producer_close(producer);
            child_tell(line, 0);
            return;
        }
        child_tell(line, answer);
    }
}

struct child crew_start(const struct shmbus_bus_options *bus, uint32_t author,
                        int64_t full_timeout_ns)
{
    struct job job = {bus, author, full_timeout_ns};
    struct child child = child_start(work, &job);
    child_hear(child.line);
    return child;
}

uint64_t crew_order(const struct child *child, enum crew_order order, uint64_t argument)
{
    child_tell(child->line, order);
    child_tell(child->line, argument);
    return child_hear(child->line);
}

void crew_close(struct child *child)
{
    crew_order(child, CREW_CLOSE, 0);
    child_end(child);
}

struct shmbus_bus_info crew_look(void)
{
    struct shmbus_snapshot *snapshot = support_look(BUS);
    struct shmbus_bus_info bus = *shmbus_snapshot_bus(snapshot);
    shmbus_snapshot_close(snapshot);
    return bus;
}
