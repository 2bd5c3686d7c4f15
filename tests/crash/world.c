/* SPDX-License-Identifier: MIT */
/*
 * The survivors: a consumer that stays from the beginning to the end, and whoever publishes after
 * the victim. What they find is judged here.
 */
#include "crash.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PRELUDE "ipiPiiipiiPiiiipiiii" /* more than a lap */
#define BEYOND  7u                     /* more than a batch of the dead */
#define KEEP_AT 7u                     /* of these, the one in a slab that stays held */

void world_fail(struct world *world, const char *format, ...)
{
    va_list list;
    if (world->failure[0] != 0)
        return;
    va_start(list, format);
    vsnprintf(world->failure, sizeof world->failure, format, list);
    va_end(list);
}

static struct shmbus_bus_options world_options = {
    .struct_bytes = sizeof world_options,
    .capacity = CAPACITY,
    .max_consumers = CONSUMERS,
    .class_count = 2,
    .classes = {{SMALL_BYTES, SMALL_COUNT}, {LARGE_BYTES, LARGE_COUNT}},
    .first_sequence = FIRST_SEQUENCE,
};

const struct shmbus_bus_options *world_bus(void)
{
    return &world_options;
}

/* Each worker is a process that runs one path. */
static void choose_bus(const struct path *path)
{
    world_options.flags = path->is_untimed ? 0 : SHMBUS_BUS_TIMESTAMPS;
    body_expect_timestamps(!path->is_untimed);
}

/* The only ones that a consumer that keeps up ever loses. */
static void on_event(void *context, const struct shmbus_event *event)
{
    struct world *world = context;
    if (event->kind != SHMBUS_EVENT_LOST || event->first != world->stays_next ||
        !record_has_gap(world->record, event->first, event->count))
        world_fail(world, "event %u at %lld: %llu from %lld on", event->kind,
                   (long long)(world->stays_next - FIRST_SEQUENCE),
                   (unsigned long long)event->count, (long long)(event->first - FIRST_SEQUENCE));
    world->stays_next += event->count;
}

static struct shmbus_consumer *join(struct world *world, const char *name, enum shmbus_from from)
{
    struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options, .name = name, .kind = SHMBUS_REQUIRED, .from = from};
    struct shmbus_consumer *consumer = NULL;
    if (world->stays == NULL) {
        options.on_event = on_event;
        options.context = world;
    }
    int result = shmbus_consumer_open(BUS, &options, &consumer);
    if (result < 0)
        world_fail(world, "%s cannot join: %s", name, shmbus_error_text());
    return result < 0 ? NULL : consumer;
}

static enum author author_of(const struct world *world, uint64_t sequence)
{
    if (sequence >= world->heir_from)
        return AUTHOR_HEIR;
    return sequence >= world->record->author_from ? AUTHOR_VICTIM : AUTHOR_BEFORE;
}

static int take(const struct shmbus_message *message, void *context)
{
    struct world *world = context;
    uint64_t sequence = world->stays_next;
    const char *fault = body_fault(message, sequence, author_of(world, sequence));
    if (fault == NULL && message->timestamp_ns < world->last_ns)
        fault = "an older timestamp than the one before";
    if (fault != NULL)
        world_fail(world, "message %lld (sequence %lld): %s",
                   (long long)(sequence - FIRST_SEQUENCE),
                   (long long)(message->sequence - FIRST_SEQUENCE), fault);
    if (world->kept == 0 && sequence == FIRST_SEQUENCE + KEEP_AT) {
        world->kept_sequence = sequence;
        if (shmbus_consumer_retain(world->stays, message, &world->kept) < 0)
            world_fail(world, "cannot retain: %s", shmbus_error_text());
    }
    world->last_ns = message->timestamp_ns;
    world->stays_next++;
    return 0;
}

/* What stays held must be as it was. */
static void check_kept(struct world *world)
{
    struct shmbus_message message;
    if (world->kept == 0)
        return;
    if (shmbus_consumer_held(world->stays, world->kept, &message) < 0) {
        world_fail(world, "the hold is gone: %s", shmbus_error_text());
        return;
    }
    const char *fault =
        body_fault(&message, world->kept_sequence, author_of(world, world->kept_sequence));
    if (fault != NULL)
        world_fail(world, "a held slab is %s", fault);
}

void world_drain(struct world *world)
{
    int result;
    if (world->stays == NULL)
        return;
    do
        result = shmbus_consumer_poll(world->stays, take, world, CAPACITY);
    while (result > 0 && world->failure[0] == 0);
    if (result < 0 && result != -EPIPE)
        world_fail(world, "the consumer that stays: %s", shmbus_error_text());
    check_kept(world);
    for (uint32_t i = 0; i < 2; i++)
        if (world->others[i].consumer != NULL && world->others[i].may_lag)
            world_read(world, &world->others[i]);
}

void world_join(struct world *world, struct reader *reader,
                const struct shmbus_consumer_options *options)
{
    reader->record = world->record;
    reader->heir_from = world->heir_from;
    if (reader_open(reader, *options) < 0)
        world_fail(world, "%s cannot join: %s", options->name, shmbus_error_text());
}

int world_read(struct world *world, struct reader *reader)
{
    reader->heir_from = world->heir_from;
    int result = reader_drain(reader);
    reader_check(reader);
    if (result != -ESTALE && reader->fault[0] != 0)
        world_fail(world, "another consumer: %s", reader->fault);
    if (result < 0 && result != -ESTALE && result != -EPIPE)
        world_fail(world, "another consumer: %s", shmbus_error_text());
    return result;
}

int world_life_of(struct world *world, const char *name, uint32_t *out_count)
{
    struct shmbus_snapshot *snapshot;
    int life = -1;
    if (shmbus_snapshot_open(BUS, NULL, &snapshot) < 0) {
        world_fail(world, "cannot look: %s", shmbus_error_text());
        return -1;
    }
    *out_count = shmbus_snapshot_bus(snapshot)->consumer_count;
    for (uint32_t i = 0; i < *out_count; i++)
        if (strcmp(shmbus_snapshot_consumer(snapshot, i)->name, name) == 0)
            life = (int)shmbus_snapshot_consumer(snapshot, i)->life;
    shmbus_snapshot_close(snapshot);
    return life;
}

void world_begin(struct world *world, const struct path *path, struct record *record)
{
    struct shmbus_bus_options bus;
    *world = (struct world){.path = path,
                            .record = record,
                            .heir_from = UINT64_MAX,
                            .draw = world->draw,
                            .turn = world->turn};
    memset(record, 0, sizeof *record);
    record->author_from = UINT64_MAX;
    choose_bus(path);
    if (path->is_bare)
        return;
    bus = *world_bus();
    world->stays_next = FIRST_SEQUENCE;
    bus.flags |= path->flags;
    bus.stall_ns = path->flags & SHMBUS_BUS_EVICT ? 1 : 0;
    if (shmbus_producer_create(BUS, &bus, NULL, &world->producer) < 0) {
        world_fail(world, "cannot create: %s", shmbus_error_text());
        return;
    }
    world->stays = join(world, "stays", SHMBUS_FROM_TAIL);
    for (const char *kind = PRELUDE; *kind != 0; kind++) {
        if (body_send(world->producer, *kind, AUTHOR_BEFORE) < 0)
            world_fail(world, "prelude: %s", shmbus_error_text());
        world_drain(world);
    }
}

void world_end(struct world *world)
{
    shmbus_consumer_close(world->stays);
    reader_close(&world->others[0]);
    reader_close(&world->others[1]);
    shmbus_producer_close(world->producer);
    world->stays = NULL;
    world->producer = NULL;
    shmbus_unlink(BUS, NULL);
}

static enum author author_now(const struct world *world)
{
    return world->heir_from != UINT64_MAX ? AUTHOR_HEIR : AUTHOR_BEFORE;
}

/* Takes every free slab of a class, one by one, writes over them and gives them back. */
static void scribble(struct world *world, uint64_t bytes)
{
    struct shmbus_slab slabs[SMALL_COUNT + LARGE_COUNT];
    uint32_t count = 0;
    while (count < SMALL_COUNT + LARGE_COUNT &&
           shmbus_producer_slab_acquire(world->producer, bytes, 1, &slabs[count]) == 0) {
        memset(slabs[count].data, 0xee, slabs[count].bytes);
        count++;
    }
    while (count > 0)
        if (shmbus_producer_slab_release(world->producer, slabs[--count].handle) < 0)
            world_fail(world, "cannot give a slab back: %s", shmbus_error_text());
}

void world_press(struct world *world)
{
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 2 * CAPACITY; i++)
            if (body_send(world->producer, "ipP"[i % 3], author_now(world)) < 0 &&
                body_send(world->producer, 'i', author_now(world)) < 0)
                break;
        world_drain(world);
        scribble(world, SMALL_BYTES);
        scribble(world, LARGE_BYTES);
    }
    check_kept(world);
}

void world_check_published(struct world *world)
{
    const struct record *record = world->record;
    world_drain(world);
    if (world->stays_next != record->returned && world->stays_next != record->started)
        world_fail(world, "%lld messages are visible, %lld were published, and up to %lld begun",
                   (long long)(world->stays_next - FIRST_SEQUENCE),
                   (long long)(record->returned - FIRST_SEQUENCE),
                   (long long)(record->started - FIRST_SEQUENCE));
}

/* What onlookers see: a bus that is not damaged, whose words are within each other's bounds. */
static void look(struct world *world)
{
    struct shmbus_snapshot *snapshot;
    if (shmbus_snapshot_open(BUS, NULL, &snapshot) < 0) {
        world_fail(world, "cannot look: %s", shmbus_error_text());
        return;
    }
    const struct shmbus_bus_info *bus = shmbus_snapshot_bus(snapshot);
    if (bus->state == SHMBUS_STATE_DAMAGED)
        world_fail(world, "damaged: %s", shmbus_snapshot_why(snapshot));
    if (bus->floor > bus->tail || bus->tail - bus->first_sequence > 1000)
        world_fail(world, "floor %llu, tail %llu", (unsigned long long)bus->floor,
                   (unsigned long long)bus->tail);
    world->repairs += bus->state == SHMBUS_STATE_DEAD;
    for (uint32_t i = 0; i < bus->consumer_count; i++) {
        const struct shmbus_consumer_info *info = shmbus_snapshot_consumer(snapshot, i);
        world->repairs += info->life == SHMBUS_LIFE_DEAD;
        if (info->life == SHMBUS_LIFE_EVICTED && !(world->path->flags & SHMBUS_BUS_EVICT))
            world_fail(world, "%s is evicted", info->name);
        if (info->life == SHMBUS_LIFE_ALIVE && info->cursor > bus->tail)
            world_fail(world, "%s is beyond the tail", info->name);
    }
    for (uint32_t i = 0; i < bus->class_count; i++) {
        const struct shmbus_pool_stats *pool = shmbus_snapshot_pool(snapshot, i);
        if (pool->in_use > pool->slab_count)
            world_fail(world, "class %u: %llu slabs in use", i, (unsigned long long)pool->in_use);
    }
    shmbus_snapshot_close(snapshot);
}

/* Every entry can be joined, and the oldest message is not above the slowest consumer's next. */
static void use_entries(struct world *world)
{
    struct shmbus_consumer *joined[CONSUMERS] = {0};
    struct shmbus_consumer_stats stats;
    for (uint32_t i = 0; i + 1 + world->entries < CONSUMERS; i++) {
        joined[i] = join(world, "joined", SHMBUS_FROM_OLDEST);
        if (joined[i] != NULL && shmbus_consumer_stats(joined[i], &stats) == 0 &&
            stats.cursor > world->stays_next)
            world_fail(world, "the oldest is above what a consumer has still to read");
    }
    for (uint32_t i = 0; i < CONSUMERS; i++)
        shmbus_consumer_close(joined[i]);
}

/* The whole ring can be filled, and not a slot more. */
static void use_ring(struct world *world)
{
    world_drain(world);
    for (uint32_t i = 0; i < CAPACITY; i++)
        if (body_send(world->producer, 'i', author_now(world)) < 0) {
            world_fail(world, "the ring is full after %u of %u: %s", i, CAPACITY,
                       shmbus_error_text());
            return;
        }
    /* Where who does not go on is evicted, that could be the one that stays. */
    if (!(world->path->flags & SHMBUS_BUS_EVICT) &&
        body_send(world->producer, 'i', author_now(world)) != -EAGAIN)
        world_fail(world, "the ring takes more than its capacity");
    use_entries(world);
    uint64_t before = world->stays_next;
    world_drain(world);
    if (world->stays_next - before != CAPACITY)
        world_fail(world, "of %u messages %lld came", CAPACITY,
                   (long long)(world->stays_next - before));
}

/* Every slab of a class that nobody holds can be had at once. */
static void use_class(struct world *world, uint32_t class_index, uint32_t count, uint64_t bytes)
{
    struct shmbus_slab slabs[SMALL_COUNT + LARGE_COUNT];
    struct shmbus_pool_stats stats;
    int result = shmbus_producer_slab_acquire(world->producer, bytes, count, slabs);
    if (result < 0) {
        world_fail(world, "class %u: not %u slabs to be had: %s", class_index, count,
                   shmbus_error_text());
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        memset(slabs[i].data, 0xdd, slabs[i].bytes);
    check_kept(world);
    for (uint32_t i = 0; i < count; i++)
        if (shmbus_producer_slab_release(world->producer, slabs[i].handle) < 0)
            world_fail(world, "cannot give a slab back: %s", shmbus_error_text());
    if (shmbus_producer_pool_stats(world->producer, class_index, &stats) == 0 &&
        stats.in_use != stats.slab_count - count)
        world_fail(world, "class %u: %llu in use, where %llu are kept", class_index,
                   (unsigned long long)stats.in_use,
                   (unsigned long long)(stats.slab_count - count));
}

void world_use_all(struct world *world)
{
    uint32_t kept = world->kept != 0;
    if (world->producer == NULL || world->stays == NULL)
        return;
    use_ring(world);
    use_class(world, 0, SMALL_COUNT - kept, SMALL_BYTES);
    use_class(world, 1, LARGE_COUNT, LARGE_BYTES);
    for (const char *kind = "pPiiPppip"; *kind != 0; kind++) {
        if (body_send(world->producer, *kind, author_now(world)) < 0)
            world_fail(world, "cannot go on: %s", shmbus_error_text());
        world_drain(world);
    }
    if (kept && shmbus_consumer_release(world->stays, world->kept) < 0)
        world_fail(world, "cannot release: %s", shmbus_error_text());
    world->kept = 0;
    use_class(world, 0, SMALL_COUNT, SMALL_BYTES);
    look(world);
}

/* Somebody goes on where the victim ended, or where it was before. */
static void inherit(struct world *world)
{
    int result = shmbus_producer_open(BUS, NULL, NULL, 0, &world->producer);
    if (result < 0) {
        world_fail(world, "cannot take over: %s", shmbus_error_text());
        world->producer = NULL;
        return;
    }
    world->heir_from = shmbus_producer_next_sequence(world->producer);
    if (world->heir_from != world->stays_next)
        world_fail(world, "the heir goes on at %lld, the consumer at %lld",
                   (long long)(world->heir_from - FIRST_SEQUENCE),
                   (long long)(world->stays_next - FIRST_SEQUENCE));
    /* One by one: what stood beyond must not come with any of them. */
    for (uint32_t i = 0; i < BEYOND && world->failure[0] == 0; i++) {
        if (body_send(world->producer, 'i', AUTHOR_HEIR) < 0)
            world_fail(world, "the heir cannot publish: %s", shmbus_error_text());
        world_drain(world);
        if (world->stays_next != shmbus_producer_next_sequence(world->producer))
            world_fail(world, "the heir published its %uth, and the consumer is at %lld", i + 1,
                       (long long)(world->stays_next - FIRST_SEQUENCE));
    }
}

void world_after_producer(struct world *world)
{
    look(world);
    world_check_published(world);
    if (world->stays != NULL && !world->is_frozen) {
        int result = shmbus_consumer_wait(world->stays, 0);
        if (result != -EOWNERDEAD && result != -EPIPE)
            world_fail(world, "waiting for the dead gives %d", result);
    }
    inherit(world);
    world_use_all(world);
}

void world_after_consumer(struct world *world)
{
    look(world);
    world_drain(world);
    world_use_all(world);
}
