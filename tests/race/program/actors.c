/* SPDX-License-Identifier: MIT */
/* Publishing and reading, with every payload looked at: see race.h. */
#include "race.h"

#include "layout/racing.h"

#include <errno.h>
#include <string.h>

#define BATCH 6u

/* ---- payloads ---- */

static uint64_t word_of(uint64_t key, uint32_t index)
{
    return (key + index) * UINT64_C(0x9e3779b97f4a7c15) ^ key >> 7;
}

void race_fill(void *data, uint32_t length, uint64_t key)
{
    unsigned char *to = data;
    memcpy(to, &key, 8);
    for (uint32_t at = 8; at < length; at += 8) {
        uint64_t word = word_of(key, at);
        memcpy(to + at, &word, length - at < 8 ? length - at : 8);
    }
}

int race_is_whole(const void *data, uint32_t length, uint64_t *out_key)
{
    const unsigned char *from = data;
    if (length < 8)
        return 0;
    memcpy(out_key, from, 8);
    for (uint32_t at = 8; at < length; at += 8) {
        uint64_t word = word_of(*out_key, at);
        if (memcmp(from + at, &word, length - at < 8 ? length - at : 8) != 0)
            return 0;
    }
    return 1;
}

/* ---- publishing ---- */

static struct shmbus_producer_options producer_options(const struct publisher *publisher)
{
    return (struct shmbus_producer_options){
        .struct_bytes = sizeof(struct shmbus_producer_options),
        .full_timeout_ns = race_guard(),
        .wait = publisher->wait,
    };
}

static void publisher_begin(struct publisher *publisher)
{
    publisher->random = race_seed();
    if (publisher->bus == NULL)
        publisher->bus = RACE_BUS;
    if (publisher->longest == 0)
        publisher->longest = 24;
    if (publisher->ways == 0)
        publisher->ways = BY_COPY;
}

void publisher_create(struct publisher *publisher, const struct shmbus_bus_options *options)
{
    struct shmbus_producer_options own = producer_options(publisher);
    publisher_begin(publisher);
    int result = shmbus_producer_create(publisher->bus, options, &own, &publisher->producer);
    if (result < 0) {
        publisher->producer = NULL;
        race_fail("create: %s", shmbus_error_text());
    }
}

int publisher_open(struct publisher *publisher)
{
    struct shmbus_producer_options own = producer_options(publisher);
    publisher_begin(publisher);
    int result =
        shmbus_producer_open(publisher->bus, NULL, &own, race_guard(), &publisher->producer);
    if (result < 0)
        publisher->producer = NULL;
    return result;
}

void publisher_close(struct publisher *publisher)
{
    shmbus_producer_close(publisher->producer);
    publisher->producer = NULL;
}

void publisher_await(struct publisher *publisher, int required)
{
    uint64_t lag;
    while (race_goes_on() && shmbus_producer_required(publisher->producer, &lag) < required)
        ;
}

/* The key of the message that comes ahead more after the next one. */
static uint64_t key_of(const struct publisher *publisher, uint64_t ahead)
{
    if (publisher->number == 0)
        return shmbus_producer_next_sequence(publisher->producer) + ahead;
    return (uint64_t)publisher->number << 48 | (publisher->published + ahead + 1);
}

static uint32_t length_of(struct publisher *publisher)
{
    return 8 + (uint32_t)(race_random(&publisher->random) % (publisher->longest - 7));
}

static int by_copy(struct publisher *publisher)
{
    unsigned char data[RACE_LONGEST];
    uint32_t length = length_of(publisher);
    race_fill(data, length, key_of(publisher, 0));
    return shmbus_producer_publish(publisher->producer, (uint16_t)(length % 5), 0, data, length);
}

static int by_claim(struct publisher *publisher, int is_aborted)
{
    struct shmbus_claim claim;
    int result = shmbus_producer_claim(publisher->producer, length_of(publisher), &claim);
    if (result < 0)
        return result;
    race_fill(claim.data, claim.length,
              publisher->number == 0 ? claim.sequence : key_of(publisher, 0));
    if (is_aborted)
        return shmbus_producer_abort(publisher->producer, &claim);
    return shmbus_producer_commit(publisher->producer, &claim, (uint16_t)(claim.length % 5), 0);
}

static int by_batch(struct publisher *publisher)
{
    struct shmbus_outgoing messages[BATCH];
    static _Thread_local unsigned char data[BATCH][RACE_LONGEST];
    for (uint32_t i = 0; i < BATCH; i++) {
        uint32_t length = length_of(publisher);
        race_fill(data[i], length, key_of(publisher, i));
        messages[i] = (struct shmbus_outgoing){data[i], length, (uint16_t)(length % 5), 0};
    }
    return shmbus_producer_publish_batch(publisher->producer, messages, BATCH);
}

static int by_slab(struct publisher *publisher)
{
    struct shmbus_slab slab;
    uint32_t length = length_of(publisher);
    int result = shmbus_producer_slab_acquire(publisher->producer, length, 1, &slab);
    if (result < 0)
        return result;
    race_fill(slab.data, length, key_of(publisher, 0));
    result = shmbus_producer_slab_publish(publisher->producer, slab.handle, length,
                                          (uint16_t)(length % 5), 0);
    int released = shmbus_producer_slab_release(publisher->producer, slab.handle);
    return result < 0 ? result : released;
}

/* How many messages it made, or an error. */
static int publish_by(struct publisher *publisher, uint32_t way)
{
    int result = 0;
    switch (way) {
    case BY_CLAIM:
        result = by_claim(publisher, 0);
        break;
    case BY_BATCH:
        return by_batch(publisher);
    case BY_SLAB:
        result = by_slab(publisher);
        break;
    case BY_ABORT:
        result = by_claim(publisher, 1);
        return result;
    case BY_SKIP:
        return shmbus_producer_skip(publisher->producer, race_random(&publisher->random) % 40);
    default:
        result = by_copy(publisher);
    }
    return result < 0 ? result : 1;
}

void publisher_go(struct publisher *publisher, uint64_t messages)
{
    uint64_t until = publisher->published + messages;
    while (race_goes_on() && publisher->published < until) {
        uint32_t way = 1u << race_random(&publisher->random) % 6;
        /* What leads to no message is rare. */
        int is_rare = way == BY_ABORT || way == BY_SKIP;
        if (!(publisher->ways & way) || (is_rare && race_random(&publisher->random) % 16 != 0))
            continue;
        int result = publish_by(publisher, way);
        if (result < 0)
            race_fail("publishing by way %u: %d: %s", way, result, shmbus_error_text());
        else
            publisher->published += (uint64_t)result;
    }
}

/* ---- reading ---- */

static void on_event(void *context, const struct shmbus_event *event)
{
    struct reader *reader = context;
    if (event->kind != SHMBUS_EVENT_LOST && event->kind != SHMBUS_EVENT_ABORTED)
        return;
    if (event->first < reader->expected)
        race_fail("told of sequence %llu, which was before", (unsigned long long)event->first);
    reader->expected = event->first + event->count;
    reader->lost += event->count;
}

static void reader_begin(struct reader *reader)
{
    reader->kept = 0;
    reader->lost = 0;
    reader->received = 0;
    memset(reader->seen, 0, sizeof reader->seen);
    shmbus_consumer_stats(reader->consumer, &reader->begun);
    reader->expected = reader->begun.cursor;
}

int reader_open(struct reader *reader)
{
    reader->options.struct_bytes = sizeof reader->options;
    reader->options.on_event = on_event;
    reader->options.context = reader;
    reader->options.wait_ns = race_guard();
    reader->random = race_seed();
    if (reader->bus == NULL)
        reader->bus = RACE_BUS;
    reader->expected = 0;
    int result = shmbus_consumer_open(reader->bus, &reader->options, &reader->consumer);
    if (result < 0)
        reader->consumer = NULL;
    else
        reader_begin(reader);
    return result;
}

int reader_rejoin(struct reader *reader)
{
    reader->expected = 0;
    int result = shmbus_consumer_rejoin(reader->consumer, SHMBUS_FROM_TAIL, 0);
    if (result == 0)
        reader_begin(reader);
    return result;
}

/* Each producer's come in its order; one that is alone has the sequence for a key. */
static int is_in_order(struct reader *reader, uint64_t sequence, uint64_t key)
{
    uint64_t number = key >> 48;
    uint64_t count = key & UINT64_C(0xffffffffffff);
    if (number == 0)
        return key == sequence;
    if (number > RACE_OTHERS || count <= reader->seen[number])
        return 0;
    reader->seen[number] = count;
    return 1;
}

static void look_at(struct reader *reader, const struct shmbus_message *message)
{
    uint64_t key = 0;
    const void *data = message->data;
    if (reader->is_racing && message->length <= sizeof reader->copy) {
        racing_copy(reader->copy, data, message->length);
        data = reader->copy;
        /* Evicted: what it read is not to be trusted, and it is about to be told so. */
        if (!shmbus_consumer_valid(reader->consumer, message))
            return;
    }
    if (message->sequence < reader->expected)
        race_fail("sequence %llu came after %llu", (unsigned long long)message->sequence,
                  (unsigned long long)reader->expected);
    else if (!race_is_whole(data, message->length, &key))
        race_fail("message %llu is not whole", (unsigned long long)message->sequence);
    else if (!is_in_order(reader, message->sequence, key) || message->type != message->length % 5)
        race_fail("message %llu is another one: key 0x%llx", (unsigned long long)message->sequence,
                  (unsigned long long)key);
}

static void release_one(struct reader *reader, uint32_t at)
{
    struct shmbus_message held;
    uint64_t key;
    int result = shmbus_consumer_held(reader->consumer, reader->handles[at], &held);
    if (result < 0 || !race_is_whole(held.data, held.length, &key))
        race_fail("what was held is not whole: %d", result);
    result = shmbus_consumer_release(reader->consumer, reader->handles[at]);
    if (result < 0)
        race_fail("release: %s", shmbus_error_text());
    reader->handles[at] = reader->handles[--reader->kept];
}

void reader_release(struct reader *reader)
{
    while (reader->kept > 0)
        release_one(reader, reader->kept - 1);
}

static void keep(struct reader *reader, const struct shmbus_message *message)
{
    if (reader->keeps == 0 || race_random(&reader->random) % 3 != 0)
        return;
    if (reader->kept == reader->keeps)
        release_one(reader, (uint32_t)(race_random(&reader->random) % reader->kept));
    int result =
        shmbus_consumer_retain(reader->consumer, message, &reader->handles[reader->kept++]);
    if (result < 0) {
        reader->kept--;
        race_fail("retain: %s", shmbus_error_text());
    }
}

void reader_take(struct reader *reader, const struct shmbus_message *message)
{
    look_at(reader, message);
    keep(reader, message);
    if (reader->on_message != NULL)
        reader->on_message(reader->context, message);
    reader->expected = message->sequence + 1;
    reader->received++;
}

static int take(const struct shmbus_message *message, void *context)
{
    reader_take(context, message);
    return !race_goes_on();
}

/* Returns how many, or an error. */
static int read_some(struct reader *reader, uint64_t most)
{
    struct shmbus_message message;
    if (race_random(&reader->random) % 2 == 0)
        return shmbus_consumer_poll(reader->consumer, take, reader,
                                    most < 32 ? (uint32_t)most : 32);
    int result = shmbus_consumer_next(reader->consumer, &message);
    if (result > 0)
        reader_take(reader, &message);
    return result;
}

int reader_go(struct reader *reader, uint64_t messages)
{
    uint64_t before = reader->received;
    uint64_t until =
        messages < UINT64_MAX - reader->received ? reader->received + messages : UINT64_MAX;
    int result = 0;
    while (race_goes_on() && reader->received < until && result >= 0) {
        result = read_some(reader, until - reader->received);
        if (result != 0)
            continue;
        /* It is not there: all that it keeps may be what is waited for. */
        reader_release(reader);
        result = shmbus_consumer_wait(reader->consumer, race_guard());
        if (result == -ETIMEDOUT)
            race_fail("nothing came after %llu", (unsigned long long)reader->expected);
    }
    race_count(reader->received - before);
    return result < 0 ? result : 0;
}

/* Does what went by add up, and to what it was told? */
static int adds_up(const struct reader *reader, const struct shmbus_consumer_stats *now)
{
    const struct shmbus_consumer_stats *begun = &reader->begun;
    uint64_t received = now->received - begun->received;
    uint64_t lost = now->lost - begun->lost + now->aborted - begun->aborted;
    uint64_t filtered = now->filtered - begun->filtered;
    return received + lost + filtered == now->cursor - begun->cursor &&
           received == reader->received && lost == reader->lost;
}

void reader_close(struct reader *reader)
{
    struct shmbus_consumer_stats now;
    if (reader->consumer == NULL)
        return;
    if (race_goes_on()) {
        /* Or what it keeps ends with it. */
        if (race_random(&reader->random) % 2 == 0)
            reader_release(reader);
        shmbus_consumer_stats(reader->consumer, &now);
        if (!adds_up(reader, &now))
            race_fail("at %llu its counts do not add up: %llu received, %llu lost",
                      (unsigned long long)now.cursor, (unsigned long long)reader->received,
                      (unsigned long long)reader->lost);
    }
    shmbus_consumer_close(reader->consumer);
    reader->consumer = NULL;
}
