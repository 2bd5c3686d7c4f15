/* SPDX-License-Identifier: MIT */
/*
 * How a consumer comes to its bus: where it joins, what it asks for, and who is refused.
 */
#include "track.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

void join_where(struct track *track, const struct world *world, uint32_t *out_from,
                uint64_t *out_sequence)
{
    uint64_t acked = atomic_load(&world->acked);
    uint64_t back = random_below(&track->state, world->bus.capacity * 2);
    uint64_t first = world->bus.first_sequence;
    *out_from = (uint32_t)random_below(&track->state, 3);
    *out_sequence = acked - first > back ? acked - back : first;
}

void join_forget(struct track *track)
{
    for (uint32_t i = 0; i < track->root->streams; i++) {
        struct place *place = &track->root[i].places[track->seat - track->root->places];
        atomic_store(&place->known, 0);
        atomic_store(&place->left, 0);
    }
}

/* Which bus the feed is of that is mapped: a producer has written down its inode, or its successor
 * will. NULL: it is told to come to an end first. */
static struct world *world_of_feed(struct track *track)
{
    struct world *root = track->root;
    int64_t until = now_ns() + PATIENCE_NS;
    if (root->streams == 1)
        return root;
    page_does(track->page, "finding out which bus it has");
    for (uint64_t inode = mapped_inode(); now_ns() < until; sleep_ns(MS_NS)) {
        for (uint32_t i = 0; i < root->streams; i++)
            if (atomic_load(&root[i].inode) == inode)
                return &root[i];
        if (page_order(track->page) != ORDER_GO)
            return NULL;
    }
    violate(root, "a consumer has a feed that no producer had");
    return NULL;
}

/* On a bus that has types it may expect some: what is registered is there, anything else is
 * refused.
 */
static void expect_refusal(struct track *track, const struct shmbus_consumer_options *options)
{
    const struct shmbus_bus_options *bus = &track->root->bus;
    struct shmbus_consumer_options other = *options;
    struct shmbus_type wrong = {.type = TYPES + 1, .name = "none", .fields = "key:<u8"};
    struct shmbus_consumer *consumer = NULL;
    if (bus->type_count > 0 && random_chance(&track->state, 70)) {
        wrong = bus->types[random_below(&track->state, bus->type_count)];
        wrong.fields = "key:<u4";
    }
    other.expected = &wrong;
    other.expected_count = 1;
    int result = shmbus_consumer_open(track->root->name, &other, &consumer);
    if (result != -EPROTOTYPE)
        violate(track->root, "expecting another type than the bus has gave %d", result);
    shmbus_consumer_close(consumer);
    count(&track->root->counts.refused, 1);
}

static void choose_options(struct track *track, uint16_t *types,
                           struct shmbus_consumer_options *options)
{
    const struct shmbus_bus_options *bus = &track->root->bus;
    join_where(track, world_now(track->root), &options->from, &options->from_sequence);
    options->flags = random_chance(&track->state, 50) ? SHMBUS_JOIN_MOVE_UP : 0;
    options->deadline_ns = random_chance(&track->state, 30) ? MS_NS : 0;
    if (track->kind != SHMBUS_REQUIRED && random_chance(&track->state, 30))
        options->slack = 1 + random_below(&track->state, bus->capacity);
    for (uint16_t i = 0; i < TYPES; i++)
        if (track->mask >> i & 1)
            types[options->type_count++] = (uint16_t)(i + 1);
    if (track->mask != 0xff)
        options->types = types;
    else
        options->type_count = 0;
    if (bus->type_count > 0 && random_chance(&track->state, 40)) {
        options->expected = bus->types;
        options->expected_count = 1 + (uint32_t)random_below(&track->state, bus->type_count);
    }
    if (track->seat != NULL) {
        options->name = track->seat->name;
        options->grace_ns = track->seat->grace_ns;
    } else if (random_chance(&track->state, 50)) {
        options->name = "member";
    }
}

/* It is in: on which bus, and how that stood before. */
static int attached(struct track *track, const struct shmbus_consumer_options *options,
                    const uint64_t *acked)
{
    struct world *world = world_of_feed(track);
    if (world == NULL) {
        shmbus_consumer_close(track->consumer);
        track->consumer = NULL;
        return -EINTR;
    }
    track->world = world;
    track->place = track->seat != NULL ? &world->places[track->seat - track->root->places] : NULL;
    track_begin(track, options->from, options->from_sequence, options->flags, acked[world->number]);
    atomic_store(&track->page->number, world->number);
    atomic_store(&track->page->joined, 1);
    return 0;
}

static int open_once(struct track *track)
{
    struct world *root = track->root;
    uint16_t types[TYPES];
    uint64_t acked[STREAMS];
    struct shmbus_consumer_options options = {.struct_bytes = sizeof options,
                                              .kind = track->kind,
                                              .wait_ns = track->is_foreign ? 0 : PATIENCE_NS / 2,
                                              .hold_quota = track->quota,
                                              .on_event = track_event,
                                              .context = track};
    choose_options(track, types, &options);
    if (!track->is_foreign && random_chance(&track->state, 10))
        expect_refusal(track, &options);
    pipeline_choose(track, &options);
    int may = track->kind != SHMBUS_REQUIRED ||
              world_may_require(root, options.name != NULL ? options.name : "");
    if (track->seat != NULL && may)
        atomic_store(&track->seat->opening, 1);
    track->flags = options.flags;
    track->world = world_now(root);
    for (uint32_t i = 0; i < STREAMS; i++)
        acked[i] = atomic_load(&root[i].acked);
    page_does(track->page, "consumer_open");
    int result = shmbus_consumer_open(root->name, &options, &track->consumer);
    if (may)
        return result == 0 ? attached(track, &options, acked) : result;
    if (result != -EPERM)
        violate(root, "%s may not be required, and got %d",
                options.name != NULL ? options.name : "one without a name", result);
    count(&root->counts.refused, 1);
    return -EPERM;
}

/* Others may have every entry, repair ours, or have overwritten the sequence that we wanted. Who
 * may not be required asks to be an optional one. */
int join_somehow(struct track *track)
{
    int64_t until = now_ns() + PATIENCE_NS;
    int result;
    do {
        result = open_once(track);
        if (result == 0 || result == -EINTR || (result == -ENOENT && track->is_foreign))
            return result;
        if (result == -EPERM && track->seat == NULL)
            track->kind = SHMBUS_OPTIONAL;
        else if (result == -EPERM)
            return result;
        int is_usual = result == -EUSERS || result == -ERANGE || result == -EPERM ||
                       (result == -EBUSY && track->seat != NULL);
        if (!is_usual || now_ns() > until) {
            violate(track->root, "kind %" PRIu32 ": open: %d: %s", track->kind, result,
                    shmbus_error_text());
            return result;
        }
        sleep_ns(2 * MS_NS);
        /* Who has a place to leave does not find every entry taken. */
    } while (page_order(track->page) < ORDER_LEAVE || (track->seat != NULL && result != -EUSERS));
    return result;
}
