/* SPDX-License-Identifier: MIT */
/*
 * The worker that publishes: every way there is to publish, to leave out and to wait, at random.
 * The world is told before each call how far it may get, and after it how far it got.
 */
#include "random.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BATCH_MAX 40
#define SLABS_MAX 3

struct own {
    struct world *world;
    struct page *page;
    struct shmbus_producer *producer;
    uint64_t state;
    struct shmbus_slab slabs[SLABS_MAX]; /* acquired by hand */
    uint64_t keys[SLABS_MAX];            /* what each was filled for; UINT64_MAX: not yet */
    uint32_t slab_count;
    unsigned char bytes[BATCH_MAX][BYTES_MAX];
};

/* Where the stream goes on must be after all that a call had returned for or that a consumer saw,
 * and not after anything that nobody began. */
static void check_begin(struct world *world, uint64_t next, uint64_t acked, uint64_t intent)
{
    uint64_t seen = atomic_load(&world->seen);
    uint32_t gaps = atomic_load(&world->gap_count);
    if (next < acked)
        violate(world, "takeover at %" PRIu64 ", and %" PRIu64 " was published", next, acked - 1);
    if (next < seen)
        violate(world, "takeover at %" PRIu64 ", and %" PRIu64 " was seen", next, seen - 1);
    if (next > intent)
        violate(world, "takeover at %" PRIu64 ", and nothing beyond %" PRIu64 " was begun", next,
                intent);
    if (gaps > 0) {
        struct gap *gap = &world->gaps[gaps - 1];
        uint64_t first = atomic_load(&gap->first);
        uint64_t after = first + atomic_load(&gap->count);
        if (next > first && next < after)
            violate(world, "takeover at %" PRIu64 ", inside the skipped %" PRIu64 " to %" PRIu64,
                    next, first, after - 1);
        if (next <= first)
            atomic_store(&gap->count, 0);
    }
    atomic_store(&world->acked, next);
    atomic_store(&world->intent, next);
}

/* The inode of the bus's feed now; 0: there is none. */
static uint64_t named_inode(const struct world *root)
{
    char path[256];
    struct stat found;
    snprintf(path, sizeof path, "%s/shmbus.%s/feed", getenv("SHMBUS_DIR"), root->name);
    return stat(path, &found) == 0 ? found.st_ino : 0;
}

/* Which one the name leads to, as a picture has it. While this producer has it, it stays that. */
static struct world *world_of_name(struct world *root)
{
    struct shmbus_snapshot *snapshot;
    struct world *world = NULL;
    if (shmbus_snapshot_open(root->name, NULL, &snapshot) == 0) {
        world = world_of_entries(root, shmbus_snapshot_bus(snapshot)->max_consumers);
        shmbus_snapshot_close(snapshot);
    }
    if (world == NULL || world->number < atomic_load(&root->current) ||
        world->number > atomic_load(&root->wanted))
        violate(root, "a producer has a bus that it cannot have: %s", shmbus_error_text());
    return world != NULL ? world : root;
}

/* How it comes to its bus, and which that is to be. If one before died while it replaced, both are
 * possible. */
static int get(struct world *root, uint64_t *state, const struct shmbus_producer_options *options,
               struct shmbus_producer **out_producer)
{
    uint32_t current = atomic_load(&root->current);
    uint32_t wanted = atomic_load(&root->wanted);
    uint32_t made = atomic_load(&root->made);
    if (made && random_chance(state, 50))
        return shmbus_producer_open(root->name, NULL, options, PATIENCE_NS / 2, out_producer);
    if (made && wanted == current && wanted + 1 < root->streams && random_chance(state, 30))
        atomic_store(&root->wanted, ++wanted);
    if (wanted > current && random_chance(state, 20)) {
        struct shmbus_bus_options bus = root[current].bus;
        bus.flags &= ~SHMBUS_BUS_REPLACE;
        int result = shmbus_producer_create(root->name, &bus, options, out_producer);
        /* Refused when it is replaced already. */
        if (result != -EEXIST)
            return result;
    }
    return shmbus_producer_create(root->name, &root[wanted].bus, options, out_producer);
}

struct shmbus_producer *producer_begin(struct world *root, struct page *page, uint64_t *state,
                                       const struct shmbus_producer_options *options,
                                       struct world **out_world)
{
    struct shmbus_producer *producer = NULL;
    uint32_t made = atomic_load(&root->made);
    page_does(page, "producer_create or open");
    int result = get(root, state, options, &producer);
    if (result < 0) {
        violate(root, "a producer cannot begin: %d: %s", result, shmbus_error_text());
        return NULL;
    }
    struct world *world = world_of_name(root);
    check_begin(world, shmbus_producer_next_sequence(producer), atomic_load(&world->acked),
                atomic_load(&world->intent));
    atomic_store(&world->inode, named_inode(root));
    if (world->number > atomic_load(&root->current))
        count(&root->counts.replaced, 1);
    else
        count(&root->counts.takeovers, made);
    atomic_store(&root->current, world->number);
    atomic_store(&root->made, 1);
    *out_world = world;
    return producer;
}

static uint64_t next_of(const struct own *own)
{
    return shmbus_producer_next_sequence(own->producer);
}

/* After a call: what was published is there for good. */
static void note(struct own *own, const char *what, int result)
{
    uint64_t before = atomic_load(&own->world->acked);
    uint64_t next = next_of(own);
    if (result < 0 && result != -EAGAIN && result != -ENOBUFS && result != -ETIMEDOUT)
        violate(own->world, "%s: %d: %s", what, result, shmbus_error_text());
    if (next < before)
        violate(own->world, "%s: the next sequence went back to %" PRIu64, what, next);
    atomic_store(&own->world->acked, next);
}

static void published(struct own *own, const char *what, int result)
{
    uint64_t many = next_of(own) - atomic_load(&own->world->acked);
    count(&own->world->counts.published, many);
    note(own, what, result);
    if (many > 0)
        atomic_store(&own->world->last, next_of(own));
}

static void one(struct own *own)
{
    uint64_t key = next_of(own);
    atomic_store(&own->world->intent, key + 1);
    body_fill(own->world, own->bytes[0], key, own->page->incarnation);
    published(own, "publish",
              shmbus_producer_publish(own->producer, body_type(own->world, key), 0, own->bytes[0],
                                      body_bytes(own->world, key)));
}

static void batch(struct own *own)
{
    struct shmbus_outgoing out[BATCH_MAX];
    uint64_t first = next_of(own);
    uint32_t many = 1 + (uint32_t)random_below(&own->state, BATCH_MAX);
    for (uint32_t i = 0; i < many; i++) {
        body_fill(own->world, own->bytes[i], first + i, own->page->incarnation);
        out[i] = (struct shmbus_outgoing){.data = own->bytes[i],
                                          .length = body_bytes(own->world, first + i),
                                          .type = body_type(own->world, first + i)};
    }
    atomic_store(&own->world->intent, first + many);
    published(own, "publish_batch", shmbus_producer_publish_batch(own->producer, out, many));
}

static void claim(struct own *own)
{
    struct world *world = own->world;
    struct shmbus_claim claim;
    uint64_t key = next_of(own);
    uint32_t bytes = body_bytes(world, key);
    uint32_t more = (uint32_t)random_below(&own->state, world->bytes_most - bytes + 1);
    atomic_store(&world->intent, key + 1);
    int result = shmbus_producer_claim(own->producer,
                                       bytes + (random_chance(&own->state, 30) ? more : 0), &claim);
    if (result < 0) {
        note(own, "claim", result);
        return;
    }
    if (claim.sequence != key)
        violate(world, "claim of %" PRIu64 " is for %" PRIu64, key, claim.sequence);
    body_fill(world, claim.data, key, own->page->incarnation);
    if (random_chance(&own->state, 2))
        sleep_ns((int64_t)random_below(&own->state, 3) * MS_NS);
    claim.length = bytes;
    if (random_chance(&own->state, 20))
        note(own, "abort", shmbus_producer_abort(own->producer, &claim));
    else
        published(own, "commit",
                  shmbus_producer_commit(own->producer, &claim, body_type(world, key), 0));
}

static void drop_slab(struct own *own, uint32_t i)
{
    note(own, "slab_release", shmbus_producer_slab_release(own->producer, own->slabs[i].handle));
    own->slab_count--;
    own->slabs[i] = own->slabs[own->slab_count];
    own->keys[i] = own->keys[own->slab_count];
}

/* Acquires a slab, publishes one that is acquired, perhaps again, or gives one back. */
static void by_hand(struct own *own)
{
    struct world *world = own->world;
    uint64_t next = next_of(own);
    if (world->bus.class_count == 0)
        return;
    if (own->slab_count < SLABS_MAX && random_chance(&own->state, 40)) {
        uint64_t bytes = 1 + random_below(&own->state, world->bus.classes[0].slab_bytes);
        if (random_chance(&own->state, 50))
            bytes = world->bus.classes[world->bus.class_count - 1].slab_bytes;
        int result =
            shmbus_producer_slab_acquire(own->producer, bytes, 1, &own->slabs[own->slab_count]);
        note(own, "slab_acquire", result);
        if (result == 0)
            own->keys[own->slab_count++] = UINT64_MAX;
        return;
    }
    if (own->slab_count == 0)
        return;
    uint32_t i = (uint32_t)random_below(&own->state, own->slab_count);
    uint64_t *key = &own->keys[i];
    if (*key == UINT64_MAX && body_bytes(world, next) <= own->slabs[i].bytes) {
        *key = next;
        body_fill(world, own->slabs[i].data, next, own->page->incarnation);
    }
    if (*key == UINT64_MAX || next - *key > SHMBUS_MESSAGE_USER_FLAGS ||
        random_chance(&own->state, 15)) {
        drop_slab(own, i);
        return;
    }
    atomic_store(&world->intent, next + 1);
    published(own, "slab_publish",
              shmbus_producer_slab_publish(own->producer, own->slabs[i].handle,
                                           body_bytes(world, *key), body_type(world, next),
                                           (uint16_t)(next - *key)));
}

static void leave_out(struct own *own)
{
    struct world *world = own->world;
    uint32_t gaps = atomic_load(&world->gap_count);
    uint64_t first = next_of(own);
    uint64_t many = 1 + random_below(&own->state, world->bus.capacity / 4);
    if (random_chance(&own->state, 30))
        many = 1 + random_below(&own->state, world->bus.capacity * 3);
    if (random_chance(&own->state, 5))
        many = random_below(&own->state, UINT64_C(1) << 40);
    if (gaps == GAPS_MAX || many == 0)
        return;
    atomic_store(&world->gaps[gaps].first, first);
    atomic_store(&world->gaps[gaps].count, many);
    atomic_store(&world->gap_count, gaps + 1);
    atomic_store(&world->intent, first + many);
    int result = shmbus_producer_skip(own->producer, many);
    note(own, "skip", result);
    if (result == 0)
        count(&world->counts.gaps, 1);
    if (next_of(own) != (result == 0 ? first + many : first))
        violate(world, "skip of %" PRIu64 " from %" PRIu64 " gave %d and leads to %" PRIu64, many,
                first, result, next_of(own));
    if (result < 0)
        atomic_store(&world->gaps[gaps].count, 0);
}

static void look(struct own *own)
{
    struct shmbus_health health[4];
    struct shmbus_pool_stats stats;
    uint64_t lag;
    int64_t timeout_ns = (int64_t)random_below(&own->state, 20) * MS_NS;
    switch (random_below(&own->state, 5)) {
    case 0:
        note(own, "flush", shmbus_producer_flush(own->producer, timeout_ns));
        break;
    case 1:
        if (next_of(own) > own->world->bus.first_sequence)
            note(own, "wait_consumed",
                 shmbus_producer_wait_consumed(own->producer, next_of(own) - 1, timeout_ns));
        break;
    case 2:
        note(own, "health", shmbus_producer_health(own->producer, health, 4));
        break;
    case 3:
        note(own, "required", shmbus_producer_required(own->producer, &lag));
        break;
    default:
        for (uint32_t i = 0; i < own->world->bus.class_count; i++) {
            note(own, "pool_stats", shmbus_producer_pool_stats(own->producer, i, &stats));
            if (stats.in_use > stats.slab_count || stats.in_use > stats.high_water)
                violate(own->world, "%" PRIu64 " of %" PRIu64 " slabs in use", stats.in_use,
                        stats.slab_count);
        }
    }
}

static void deed(struct own *own)
{
    uint64_t what = random_below(&own->state, 100);
    if (what < 35) {
        page_does(own->page, "publish");
        one(own);
    } else if (what < 55) {
        page_does(own->page, "publish_batch");
        batch(own);
    } else if (what < 75) {
        page_does(own->page, "claim");
        claim(own);
    } else if (what < 90) {
        page_does(own->page, "slabs by hand");
        by_hand(own);
    } else if (what < 96) {
        page_does(own->page, "flush or look");
        look(own);
    } else {
        page_does(own->page, "skip");
        leave_out(own);
    }
}

int producer_work(struct world *root, struct page *page, uint64_t seed)
{
    static const int64_t timeouts[] = {0, MS_NS, 20 * MS_NS, 150 * MS_NS};
    static struct own own;
    own = (struct own){.page = page, .state = seed};
    struct shmbus_producer_options options = {.struct_bytes = sizeof options};
    options.full_timeout_ns = timeouts[random_below(&own.state, 4)];
    int before = open_descriptors();
    own.producer = producer_begin(root, page, &own.state, &options, &own.world);
    if (own.producer == NULL)
        return 1;
    atomic_store(&page->joined, 1);
    /* Some at full speed, some with pauses. */
    unsigned pauses = random_chance(&own.state, 50) ? 0 : (unsigned)random_below(&own.state, 30);
    while (page_order(page) == ORDER_GO) {
        deed(&own);
        if (random_chance(&own.state, pauses))
            sleep_ns((int64_t)random_below(&own.state, 2000) * 1000);
    }
    atomic_store(&page->joined, 0);
    page_does(page, "producer_close");
    shmbus_producer_close(own.producer);
    if (open_descriptors() != before || mapped_buses() != 0)
        violate(root, "a producer that closed has %d descriptors and %d mappings more",
                open_descriptors() - before, mapped_buses());
    return 0;
}

/* While a living owner is stopped: nobody takes the bus from it, and nobody removes it. */
int rival_work(struct world *root, struct page *page, uint64_t seed)
{
    struct shmbus_producer *producer = NULL;
    struct shmbus_bus_options bus = world_now(root)->bus;
    page_does(page, "a rival");
    if (root->many) {
        /* It may join; but not replace, and not remove it. */
        bus.slot_bytes = bus.slot_bytes == 32 ? 64 : 32;
        bus.flags |= SHMBUS_BUS_REPLACE;
        seed = 0;
    } else if (seed % 3 == 0) {
        bus.max_consumers++;
        bus.flags |= SHMBUS_BUS_REPLACE;
    }
    int result = seed % 2 == 0 ? shmbus_producer_create(root->name, &bus, NULL, &producer)
                               : shmbus_producer_open(root->name, NULL, NULL, 0, &producer);
    if (result != -EBUSY && !(root->many && result == -EUSERS))
        violate(root, "a rival of a stopped producer got %d", result);
    result = shmbus_unlink(root->name, NULL);
    if (result != -EBUSY)
        violate(root, "unlink of a stopped producer's bus gave %d", result);
    return 0;
}
