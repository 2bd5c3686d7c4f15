/* SPDX-License-Identifier: MIT */
/*
 * The heir of a bus, which takes over when all but some consumers are gone, and counts: what is in
 * use is what the living hold, all else can be acquired, every entry joined, every slot filled.
 */
#include "random.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define SLABS_MOST 2048 /* of a class, of all producers */

struct heir {
    struct world *root;
    struct world *world; /* of the bus that it has */
    struct shmbus_producer *producer;
    uint64_t said; /* of its own messages among many */
};

static int until_true(struct heir *heir, int (*is_true)(struct heir *heir), const char *what)
{
    int64_t until = now_ns() + PATIENCE_NS;
    while (!is_true(heir)) {
        if (now_ns() > until) {
            violate(heir->world, "at the end: %s (%s)", what, shmbus_error_text());
            return 0;
        }
        sleep_ns(MS_NS);
    }
    return 1;
}

/* Has it joined the heir's bus? One of the bus that was replaced goes when it comes to know. */
static int is_on(const struct heir *heir, struct page *page)
{
    return atomic_load(&page->joined) && atomic_load(&page->number) == heir->world->number;
}

static int only_the_living(struct heir *heir)
{
    struct shmbus_snapshot *snapshot;
    uint32_t living = 0;
    uint32_t entries;
    for (uint32_t i = 0; i < WORKERS_MAX; i++) {
        struct page *page = &heir->root->pages[i];
        living += page->pid != 0 && page->kind != SHMBUS_OBSERVER && is_on(heir, page);
    }
    if (shmbus_reap(heir->world->name, NULL) < 0 ||
        shmbus_snapshot_open(heir->world->name, NULL, &snapshot) < 0)
        return 0;
    entries = shmbus_snapshot_bus(snapshot)->consumer_count;
    shmbus_snapshot_close(snapshot);
    return entries == living;
}

static int all_caught_up(struct heir *heir)
{
    uint64_t next = shmbus_producer_next_sequence(heir->producer);
    for (uint32_t i = 0; i < WORKERS_MAX; i++) {
        struct page *page = &heir->root->pages[i];
        if (page->pid != 0 && atomic_load(&page->joined) &&
            (!is_on(heir, page) || atomic_load(&page->cursor) != next))
            return 0;
    }
    return 1;
}

static int nothing_kept(struct heir *heir)
{
    for (uint32_t i = 0; i < WORKERS_MAX; i++) {
        struct page *page = &heir->root->pages[i];
        if (page->pid != 0 && atomic_load(&page->joined) &&
            (atomic_load(&page->obeyed) < ORDER_DROP || atomic_load(&page->kept) != 0))
            return 0;
    }
    return 1;
}

static int nobody_joined(struct heir *heir)
{
    for (uint32_t i = 0; i < WORKERS_MAX; i++)
        if (heir->root->pages[i].pid != 0 && atomic_load(&heir->root->pages[i].joined))
            return 0;
    return 1;
}

static void tell_all(struct world *world, uint32_t order)
{
    for (uint32_t i = 0; i < WORKERS_MAX; i++)
        atomic_store(&world->pages[i].order, order);
}

/* Says who is in the entries that is not to be there, or not there. */
static void say_entries(struct heir *heir)
{
    struct shmbus_snapshot *snapshot;
    if (shmbus_snapshot_open(heir->world->name, NULL, &snapshot) < 0)
        return;
    for (uint32_t i = 0; i < shmbus_snapshot_bus(snapshot)->consumer_count; i++) {
        const struct shmbus_consumer_info *info = shmbus_snapshot_consumer(snapshot, i);
        violate(heir->world,
                "at the end: entry %" PRIu32 " has %s, process %" PRIu32 ", kind %" PRIu32
                ", life %" PRIu32,
                info->entry, info->name, info->pid, info->kind, info->life);
    }
    shmbus_snapshot_close(snapshot);
}

/* Slabs of a class that the living say they keep, each once: a handle's index is its low part. */
static uint64_t count_kept(struct world *root, uint32_t class_index)
{
    static unsigned char is_kept[SLABS_MOST];
    uint64_t kept = 0;
    memset(is_kept, 0, sizeof is_kept);
    for (uint32_t i = 0; i < WORKERS_MAX; i++) {
        struct page *page = &root->pages[i];
        uint32_t many = page->pid != 0 ? atomic_load(&page->kept) : 0;
        for (uint32_t j = 0; j < many; j++) {
            uint64_t handle = atomic_load(&page->handles[j]);
            if (handle >> 60 != class_index + 1)
                continue;
            kept += is_kept[handle % SLABS_MOST] == 0;
            is_kept[handle % SLABS_MOST] = 1;
        }
    }
    return kept;
}

/* Acquires so many of a class, one by one among many, where each part has some of them. */
static int acquire(struct heir *heir, uint64_t bytes, uint32_t many, struct shmbus_slab *slabs)
{
    uint32_t each = heir->world->many ? 1 : many;
    int result = 0;
    for (uint32_t i = 0; i < many && result == 0; i += each)
        result = shmbus_producer_slab_acquire(heir->producer, bytes, each, &slabs[i]);
    return result;
}

/* All slabs of a class but those that are kept can be had, and given back. */
static void check_class(struct heir *heir, uint32_t class_index)
{
    static struct shmbus_slab slabs[SLABS_MOST];
    const struct shmbus_pool_class *class = &heir->world->bus.classes[class_index];
    struct world *world = heir->world;
    struct shmbus_pool_stats stats;
    uint64_t kept = count_kept(heir->root, class_index);
    uint64_t all = class->slab_count * (world->many ? world->bus.max_producers : 1);
    uint32_t free_count = (uint32_t)(all - kept);
    int result = acquire(heir, class->slab_bytes, free_count, slabs);
    if (result < 0) {
        shmbus_producer_pool_stats(heir->producer, class_index, &stats);
        violate(world,
                "at the end: class %" PRIu32 ": %" PRIu32 " slabs cannot be had: %s "
                "(%" PRIu64 " in use, %" PRIu64 " held, %" PRIu64 " kept)",
                class_index, free_count, shmbus_error_text(), stats.in_use, stats.held, kept);
        return;
    }
    if (acquire(heir, class->slab_bytes, 1, &slabs[free_count]) != -ENOBUFS)
        violate(world, "at the end: class %" PRIu32 " has more slabs than it has", class_index);
    shmbus_producer_pool_stats(heir->producer, class_index, &stats);
    if (stats.slab_count != all || stats.in_use != all || stats.held != kept)
        violate(world,
                "at the end: class %" PRIu32 ": %" PRIu64 " of %" PRIu64 " in use, %" PRIu64
                " held, and %" PRIu64 " are kept",
                class_index, stats.in_use, stats.slab_count, stats.held, kept);
    for (uint32_t i = 0; i < free_count; i++)
        if (shmbus_producer_slab_release(heir->producer, slabs[i].handle) < 0)
            violate(world, "at the end: release: %s", shmbus_error_text());
    shmbus_producer_pool_stats(heir->producer, class_index, &stats);
    if (stats.in_use != kept)
        violate(world,
                "at the end: class %" PRIu32 ": %" PRIu64 " in use, and %" PRIu64 " are kept",
                class_index, stats.in_use, kept);
}

static void check_pool(struct heir *heir)
{
    for (uint32_t i = 0; i < heir->world->bus.class_count; i++)
        check_class(heir, i);
}

/* Joins as one that gates if anybody may, as another if not. */
static int join_any(struct heir *heir, struct shmbus_consumer **out_consumer, uint32_t *gating)
{
    const struct shmbus_bus_options *bus = &heir->world->bus;
    struct shmbus_consumer_options options = {.struct_bytes = sizeof options};
    int may = bus->required_rule == SHMBUS_REQUIRED_ANYONE || bus->required_count > 0;
    if (may)
        options.kind = SHMBUS_REQUIRED;
    if (bus->required_count > 0)
        options.name = bus->required_names[0];
    int result = shmbus_consumer_open(heir->world->name, &options, out_consumer);
    *gating += result == 0 && may;
    return result;
}

/* From now on it publishes what is only counted. Who observes the bus from beside another one may
 * be there still. */
static void begin_filler(struct heir *heir)
{
    struct world *world = heir->world;
    atomic_fetch_add(&world->intent, world->bus.capacity + 1 + CREW_MAX);
    atomic_store(&world->filler, shmbus_producer_next_sequence(heir->producer));
}

/* Every entry can be joined, and the ring takes exactly its capacity, or any number if nobody
 * gates. */
static void check_room(struct heir *heir)
{
    struct world *world = heir->world;
    struct shmbus_consumer *consumers[16];
    uint32_t joined = 0;
    uint32_t gating = 0;
    uint64_t filled = 0;
    int result = 0;
    int64_t until = now_ns() + PATIENCE_NS;
    while (joined < world->bus.max_consumers && result == 0) {
        result = join_any(heir, &consumers[joined], &gating);
        joined += result == 0;
        /* One that has left may not have come to unmap its entry yet. */
        if (result == -EUSERS && now_ns() < until)
            result = 0;
    }
    if (result < 0)
        violate(world, "at the end: only %" PRIu32 " entries can be joined: %s", joined,
                shmbus_error_text());
    while (filled <= world->bus.capacity &&
           (result = shmbus_producer_publish(heir->producer, 0, 0, NULL, 0)) == 0)
        filled++;
    uint64_t wanted = gating > 0 ? world->bus.capacity : world->bus.capacity + 1;
    if (result != (gating > 0 ? -EAGAIN : 0) || filled != wanted)
        violate(world, "at the end: the ring takes %" PRIu64 " of %" PRIu64 " messages: %d", filled,
                wanted, result);
    while (joined > 0)
        shmbus_consumer_close(consumers[--joined]);
}

/* Something to read for those that saw the end of the stream. */
static void publish_some(struct heir *heir)
{
    static unsigned char bytes[BYTES_MAX];
    struct world *world = heir->world;
    for (uint64_t i = 0; i < 3 && world->many; i++) {
        int result = crew_publish(world, heir->producer, heir->root->incarnations + 1, heir->said);
        heir->said += result == 0;
        if (result < 0 && result != -EAGAIN && result != -ENOBUFS)
            violate(world, "at the end: publish: %s", shmbus_error_text());
    }
    for (int i = 0; i < 3 && !world->many; i++) {
        uint64_t key = shmbus_producer_next_sequence(heir->producer);
        body_fill(world, bytes, key, heir->root->incarnations + 1);
        atomic_store(&world->intent, key + 1);
        int result = shmbus_producer_publish(heir->producer, body_type(world, key), 0, bytes,
                                             body_bytes(world, key));
        if (result < 0 && result != -EAGAIN && result != -ENOBUFS)
            violate(world, "at the end: publish: %s", shmbus_error_text());
        atomic_store(&world->acked, shmbus_producer_next_sequence(heir->producer));
    }
}

/* What one that looks on is told: 0 if it reads all that there is and the stream goes on. */
static int read_all(struct shmbus_consumer *consumer)
{
    struct shmbus_message message;
    int result = 1;
    while (result > 0)
        result = shmbus_consumer_next(consumer, &message);
    if (result == 0)
        result = shmbus_consumer_wait(consumer, 0);
    return result == -ETIMEDOUT ? 0 : result;
}

/* Each number of a producer can be had, and no other; each of them publishes; and the stream ends
 * with the last one that closes, not before. */
static void check_crew(struct heir *heir)
{
    struct world *world = heir->world;
    struct shmbus_producer *crew[CREW_MAX + 1] = {heir->producer};
    struct shmbus_consumer *consumer = NULL;
    uint32_t most = world->bus.max_producers;
    int result = shmbus_consumer_open(world->name, NULL, &consumer);
    for (uint32_t i = 1; i < most && result == 0; i++)
        result = shmbus_producer_open(world->name, NULL, NULL, 0, &crew[i]);
    if (result < 0) {
        violate(world, "at the end: not all can join: %s", shmbus_error_text());
        return;
    }
    result = shmbus_producer_open(world->name, NULL, NULL, 0, &crew[most]);
    if (result != -EUSERS)
        violate(world, "at the end: one producer more than there are numbers got %d", result);
    for (uint32_t i = 0; i < most; i++) {
        result = read_all(consumer);
        if (result != 0)
            violate(world, "at the end: %" PRIu32 " producers live, and reading gives %d", most - i,
                    result);
        if (shmbus_producer_publish(crew[i], 0, 0, NULL, 0) < 0)
            violate(world, "at the end: publish: %s", shmbus_error_text());
        shmbus_producer_close(crew[i]);
    }
    result = read_all(consumer);
    if (result != -EPIPE)
        violate(world, "at the end: all producers closed, and reading gives %d", result);
    shmbus_consumer_close(consumer);
}

void heir_work(struct world *world, uint64_t *state)
{
    struct shmbus_producer_options options = {.struct_bytes = sizeof options};
    struct heir heir = {.root = world};
    struct page page = {.incarnation = world->incarnations + 1};
    heir.world = world;
    heir.producer = world->many ? crew_begin(world, &page, state, &options)
                                : producer_begin(world, &page, state, &options, &heir.world);
    if (heir.producer == NULL)
        return;
    if (!until_true(&heir, only_the_living, "the entries are not those of the living")) {
        say_entries(&heir);
        return;
    }
    publish_some(&heir);
    int result = shmbus_producer_flush(heir.producer, PATIENCE_NS);
    if (result < 0)
        violate(world, "at the end: flush: %d: %s", result, shmbus_error_text());
    if (!until_true(&heir, all_caught_up, "somebody has not read all"))
        return;
    check_pool(&heir);
    tell_all(world, ORDER_DROP);
    if (!until_true(&heir, nothing_kept, "somebody did not let go"))
        return;
    check_pool(&heir);
    tell_all(world, ORDER_LEAVE);
    if (!until_true(&heir, nobody_joined, "somebody did not leave"))
        return;
    begin_filler(&heir);
    if (until_true(&heir, only_the_living, "an entry is left"))
        check_room(&heir);
    if (world->many)
        check_crew(&heir);
    else
        shmbus_producer_close(heir.producer);
    if (shmbus_unlink(world->name, NULL) < 0)
        violate(world, "at the end: unlink: %s", shmbus_error_text());
}
