/* SPDX-License-Identifier: MIT */
/*
 * The worker that publishes among others. Nobody knows before a claim which sequence it gets: what
 * is written down before a call is how many were begun, and after it the author's own numbers, with
 * the sequence where that is known.
 */
#include "random.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define BATCH_MAX 40
#define SLABS_MAX 4

struct own {
    struct world *world;
    struct page *page;
    struct shmbus_producer *producer;
    struct author *author;
    uint64_t state;
    uint64_t number;                     /* of its next message */
    struct shmbus_slab slabs[SLABS_MAX]; /* acquired by hand */
    uint64_t filled[SLABS_MAX];          /* with the message of this number; UINT64_MAX: not yet */
    uint32_t slab_count;
    unsigned char bytes[BATCH_MAX][BYTES_MAX];
};

uint32_t crew_living(const struct world *root, const struct page *self)
{
    uint32_t found = 0;
    for (const struct page *page = root->pages; page < root->pages + WORKERS_MAX; page++)
        found += page != self && page->pid != 0 &&
                 (page->role == ROLE_PRODUCER || page->role == ROLE_RIVAL);
    return found;
}

/* Whether one that wants a number may be told that there is none. A living producer has its own,
 * and may have that of another one that it repairs. */
static int is_usual(const struct world *root, const struct page *page, int result,
                    uint32_t incarnations, uint32_t living)
{
    if (result == -EBUSY)
        return strstr(shmbus_error_text(), "is being repaired") != NULL;
    return result == -EUSERS &&
           (incarnations != root->incarnations || 2 * living >= root->bus.max_producers ||
            2 * crew_living(root, page) >= root->bus.max_producers);
}

static void check_begin(struct world *world, uint64_t next, uint64_t acked, uint64_t seen)
{
    uint64_t intent = atomic_load(&world->intent);
    if (next < acked || next < seen)
        violate(world,
                "joined among producers at %" PRIu64 ", %" PRIu64 " was published and %" PRIu64
                " seen",
                next, acked - 1, seen - 1);
    if (next > intent)
        violate(world,
                "joined among producers at %" PRIu64 ", and nothing beyond %" PRIu64 " was begun",
                next, intent);
}

struct shmbus_producer *crew_begin(struct world *root, struct page *page, uint64_t *state,
                                   const struct shmbus_producer_options *options)
{
    struct shmbus_producer *producer = NULL;
    int64_t until = now_ns() + PATIENCE_NS;
    do {
        uint64_t acked = atomic_load(&root->acked);
        uint64_t seen = atomic_load(&root->seen);
        uint32_t incarnations = root->incarnations;
        uint32_t living = crew_living(root, page);
        page_does(page, "producer_create or open, among others");
        int result =
            atomic_load(&root->made) && random_chance(state, 60)
                ? shmbus_producer_open(root->name, NULL, options, PATIENCE_NS / 2, &producer)
                : shmbus_producer_create(root->name, &root->bus, options, &producer);
        if (result == 0) {
            check_begin(root, shmbus_producer_next_sequence(producer), acked, seen);
            count(&root->counts.crews, 1);
            atomic_store(&root->made, 1);
            return producer;
        }
        if (!is_usual(root, page, result, incarnations, living) || now_ns() > until) {
            violate(root, "a producer cannot join: %d: %s", result, shmbus_error_text());
            return NULL;
        }
        sleep_ns(2 * MS_NS);
    } while (page_order(page) < ORDER_LEAVE);
    return NULL;
}

/* So many claims may come now. */
static void begun(struct own *own, uint64_t many)
{
    atomic_fetch_add(&own->world->intent, many);
    atomic_store(&own->author->begun, own->number + many);
}

static void note(struct own *own, const char *what, int result)
{
    if (result < 0 && result != -EAGAIN && result != -ENOBUFS && result != -ETIMEDOUT)
        violate(own->world, "%s: %d: %s", what, result, shmbus_error_text());
}

/* Calls returned for all messages below this number. Where its producer goes on is behind them; and
 * right behind the last one, unless it looked for room for another one since. */
static void returned(struct world *world, struct author *author, uint32_t incarnation,
                     uint64_t number, uint64_t next, int is_behind_last)
{
    atomic_store(&author->last, next - 1);
    atomic_store(&author->returned, number);
    raise_to(&world->acked, next);
    if (!is_behind_last)
        return;
    uint64_t other = known_tell(world, next - 1, body_key(incarnation, number - 1));
    if (other != 0)
        violate(world,
                "producer %" PRIu32 " published its %" PRIu64 " as %" PRIu64
                ", which others know as 0x%" PRIx64,
                incarnation, number - 1, next - 1, other);
}

/* Of the claims that were begun some came to something, some of these as messages. */
static void ended(struct own *own, const char *what, int result, uint64_t many, uint64_t published)
{
    note(own, what, result);
    atomic_fetch_sub(&own->world->intent, many - published);
    if (published == 0)
        return;
    own->number += published;
    returned(own->world, own->author, own->page->incarnation, own->number,
             shmbus_producer_next_sequence(own->producer), published == many);
    count(&own->world->counts.published, published);
}

int crew_publish(struct world *world, struct shmbus_producer *producer, uint32_t incarnation,
                 uint64_t number)
{
    static unsigned char bytes[BYTES_MAX];
    struct author *author = &world->crew[incarnation];
    uint64_t key = body_key(incarnation, number);
    atomic_fetch_add(&world->intent, 1);
    atomic_store(&author->begun, number + 1);
    body_fill(world, bytes, key, 0);
    int result =
        shmbus_producer_publish(producer, body_type(world, key), 0, bytes, body_bytes(world, key));
    if (result == 0)
        returned(world, author, incarnation, number + 1, shmbus_producer_next_sequence(producer),
                 1);
    else
        atomic_fetch_sub(&world->intent, 1);
    return result;
}

static uint64_t key_of(const struct own *own, uint64_t number)
{
    return body_key(own->page->incarnation, number);
}

static void one(struct own *own)
{
    uint64_t key = key_of(own, own->number);
    begun(own, 1);
    body_fill(own->world, own->bytes[0], key, 0);
    int result = shmbus_producer_publish(own->producer, body_type(own->world, key), 0,
                                         own->bytes[0], body_bytes(own->world, key));
    ended(own, "publish", result, 1, result == 0);
}

static void batch(struct own *own)
{
    struct shmbus_outgoing out[BATCH_MAX];
    uint32_t many = 1 + (uint32_t)random_below(&own->state, BATCH_MAX);
    for (uint32_t i = 0; i < many; i++) {
        uint64_t key = key_of(own, own->number + i);
        body_fill(own->world, own->bytes[i], key, 0);
        out[i] = (struct shmbus_outgoing){.data = own->bytes[i],
                                          .length = body_bytes(own->world, key),
                                          .type = body_type(own->world, key)};
    }
    begun(own, many);
    int result = shmbus_producer_publish_batch(own->producer, out, many);
    ended(own, "publish_batch", result, many, result > 0 ? (uint64_t)result : 0);
}

/* Ends without a word: as if killed, with a claim or slabs. */
static void die(struct own *own)
{
    atomic_store(&own->page->joined, 0);
    count(&own->world->counts.kills, 1);
    _exit(0);
}

static void claim(struct own *own)
{
    struct world *world = own->world;
    struct shmbus_claim claim;
    uint64_t key = key_of(own, own->number);
    uint32_t bytes = body_bytes(world, key);
    uint32_t more = (uint32_t)random_below(&own->state, world->bytes_most - bytes + 1);
    begun(own, 1);
    int result = shmbus_producer_claim(own->producer,
                                       bytes + (random_chance(&own->state, 30) ? more : 0), &claim);
    if (result < 0) {
        ended(own, "claim", result, 1, 0);
        return;
    }
    if (random_below(&own->state, 400) == 0)
        die(own);
    uint64_t found = known_find(world, claim.sequence);
    if (found != 0)
        violate(world, "claimed %" PRIu64 ", which others know as 0x%" PRIx64, claim.sequence,
                found);
    body_fill(world, claim.data, key, 0);
    if (random_chance(&own->state, 2))
        sleep_ns((int64_t)random_below(&own->state, 4) * MS_NS);
    claim.length = bytes;
    if (!random_chance(&own->state, 20)) {
        result = shmbus_producer_commit(own->producer, &claim, body_type(world, key), 0);
        ended(own, "commit", result, 1, result == 0);
        return;
    }
    note(own, "abort", shmbus_producer_abort(own->producer, &claim));
    found = known_tell(world, claim.sequence, KNOWN_ABORTED);
    if (found != 0)
        violate(world, "aborted %" PRIu64 ", which others know as 0x%" PRIx64, claim.sequence,
                found);
}

static void drop_slab(struct own *own, uint32_t i)
{
    note(own, "slab_release", shmbus_producer_slab_release(own->producer, own->slabs[i].handle));
    own->slab_count--;
    own->slabs[i] = own->slabs[own->slab_count];
    own->filled[i] = own->filled[own->slab_count];
}

/* Acquires a slab, publishes one that is acquired, perhaps again, or gives one back. */
static void by_hand(struct own *own)
{
    struct world *world = own->world;
    const struct shmbus_bus_options *bus = &world->bus;
    if (bus->class_count == 0)
        return;
    if (own->slab_count < SLABS_MAX && random_chance(&own->state, 40)) {
        uint64_t class_index = random_below(&own->state, bus->class_count);
        int result = shmbus_producer_slab_acquire(
            own->producer, bus->classes[class_index].slab_bytes, 1, &own->slabs[own->slab_count]);
        note(own, "slab_acquire", result);
        if (result == 0)
            own->filled[own->slab_count++] = UINT64_MAX;
        return;
    }
    if (own->slab_count == 0)
        return;
    uint32_t i = (uint32_t)random_below(&own->state, own->slab_count);
    uint64_t *filled = &own->filled[i];
    uint64_t key = key_of(own, own->number);
    if (*filled == UINT64_MAX && body_bytes(world, key) <= own->slabs[i].bytes) {
        *filled = own->number;
        body_fill(world, own->slabs[i].data, key, 0);
    }
    if (*filled == UINT64_MAX || own->number - *filled > SHMBUS_MESSAGE_USER_FLAGS ||
        random_chance(&own->state, 15)) {
        drop_slab(own, i);
        return;
    }
    begun(own, 1);
    int result = shmbus_producer_slab_publish(
        own->producer, own->slabs[i].handle, body_bytes(world, key_of(own, *filled)),
        body_type(world, key), (uint16_t)(own->number - *filled));
    ended(own, "slab_publish", result, 1, result == 0);
}

static void look(struct own *own)
{
    struct shmbus_health health[4];
    struct shmbus_pool_stats stats;
    uint64_t lag;
    int64_t timeout_ns = (int64_t)random_below(&own->state, 20) * MS_NS;
    switch (random_below(&own->state, 6)) {
    case 0:
        note(own, "flush", shmbus_producer_flush(own->producer, timeout_ns));
        break;
    case 1:
        if (own->number > 0)
            note(own, "wait_consumed",
                 shmbus_producer_wait_consumed(own->producer, atomic_load(&own->author->last),
                                               timeout_ns));
        break;
    case 2:
        note(own, "health", shmbus_producer_health(own->producer, health, 4));
        break;
    case 3:
        note(own, "required", shmbus_producer_required(own->producer, &lag));
        break;
    case 4:
        if (shmbus_producer_skip(own->producer, 1) != -ENOTSUP)
            violate(own->world, "a sequence could be left out among many producers");
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
    if (what < 30) {
        page_does(own->page, "publish among others");
        one(own);
    } else if (what < 45) {
        page_does(own->page, "publish_batch among others");
        batch(own);
    } else if (what < 72) {
        page_does(own->page, "claim among others");
        claim(own);
    } else if (what < 95) {
        page_does(own->page, "slabs by hand among others");
        by_hand(own);
    } else {
        page_does(own->page, "flush or look among others");
        look(own);
    }
}

/* With a claim that is not ended, or slabs that are not given back, if it happens so. */
static void leave(struct own *own)
{
    struct shmbus_claim claim;
    atomic_store(&own->page->joined, 0);
    page_does(own->page, "producer_close among others");
    if (random_chance(&own->state, 20)) {
        atomic_fetch_add(&own->world->intent, 1);
        note(own, "claim", shmbus_producer_claim(own->producer, 8, &claim));
    }
    shmbus_producer_close(own->producer);
}

int crew_work(struct world *root, struct page *page, uint64_t seed)
{
    static const int64_t timeouts[] = {0, MS_NS, 20 * MS_NS, 150 * MS_NS};
    static struct own own;
    own = (struct own){
        .world = root, .page = page, .author = &root->crew[page->incarnation], .state = seed};
    struct shmbus_producer_options options = {.struct_bytes = sizeof options};
    options.full_timeout_ns = timeouts[random_below(&own.state, 4)];
    int before = open_descriptors();
    own.producer = crew_begin(root, page, &own.state, &options);
    if (own.producer == NULL)
        return 0;
    atomic_store(&page->joined, 1);
    /* Some at full speed, some with pauses. */
    unsigned pauses = random_chance(&own.state, 40) ? 0 : (unsigned)random_below(&own.state, 50);
    while (page_order(page) == ORDER_GO) {
        deed(&own);
        if (random_chance(&own.state, pauses))
            sleep_ns((int64_t)random_below(&own.state, 2000) * 1000);
    }
    leave(&own);
    if (open_descriptors() != before || mapped_buses() != 0)
        violate(root, "a producer that closed has %d descriptors and %d mappings more",
                open_descriptors() - before, mapped_buses());
    return 0;
}
