/* SPDX-License-Identifier: MIT */
/*
 * The worker that consumes: joins somewhere, reads by every way there is, keeps messages for a
 * while, leaves and comes back, at random. What it must see is track.h's to judge.
 */
#include "track.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void show_kept(struct track *track)
{
    struct shmbus_message message;
    uint32_t slabs = 0;
    for (uint32_t i = 0; i < track->kept_count && track->kind != SHMBUS_OBSERVER; i++) {
        if (shmbus_consumer_held(track->consumer, track->kept[i].handle, &message) == 0 &&
            message.handle != 0)
            atomic_store(&track->page->handles[slabs++], message.handle);
    }
    atomic_store(&track->page->kept, slabs);
}

void consumer_keep(struct track *track, const struct shmbus_message *message)
{
    uint64_t handle = 0;
    int result = shmbus_consumer_retain(track->consumer, message, &handle);
    if (track->kept_count == track->quota) {
        if (result != -EDQUOT)
            violate(track->world, "retain beyond the quota gave %d", result);
        return;
    }
    if (result < 0) {
        violate(track->world, "retain: %d: %s", result, shmbus_error_text());
        return;
    }
    track->kept[track->kept_count++] = (struct kept){handle, message->sequence, track->last_key};
    count(&track->world->counts.kept, 1);
}

static void copy_one(struct track *track)
{
    uint64_t handle;
    if (track->kept_count == 0 || track->kept_count == track->quota)
        return;
    const struct kept *from = &track->kept[random_below(&track->state, track->kept_count)];
    int result = shmbus_consumer_copy(track->consumer, from->handle, &handle);
    if (result < 0)
        violate(track->world, "copy: %d: %s", result, shmbus_error_text());
    else
        track->kept[track->kept_count++] = (struct kept){handle, from->sequence, from->key};
}

void consumer_drop(struct track *track, uint32_t i)
{
    struct kept kept = track->kept[i];
    track_kept(track, &kept);
    int result = shmbus_consumer_release(track->consumer, kept.handle);
    if (result < 0)
        violate(track->world, "release: %d: %s", result, shmbus_error_text());
    if (shmbus_consumer_release(track->consumer, kept.handle) != -ESTALE)
        violate(track->world, "a handle could be released twice");
    track->kept[i] = track->kept[--track->kept_count];
}

static int handle_message(const struct shmbus_message *message, void *context)
{
    struct track *track = context;
    track_message(track, message);
    if (page_order(track->page) == ORDER_GO && random_chance(&track->state, track->keeps))
        consumer_keep(track, message);
    return random_chance(&track->state, 2);
}

static int says_replaced(void)
{
    return strstr(shmbus_error_text(), "was replaced") != NULL;
}

/* Told that its bus was replaced: then somebody has at least begun to, and all that was published
 * on it was read. */
static int replaced(struct track *track)
{
    struct shmbus_consumer_stats stats = {0};
    struct world *world = track->world;
    track_settle(track, 1);
    if (shmbus_consumer_stats(track->consumer, &stats) < 0)
        violate(world, "stats: %s", shmbus_error_text());
    if (world->number >= atomic_load(&track->root->wanted))
        violate(world, "told that bus %" PRIu32 " was replaced, and nobody did", world->number);
    if (stats.cursor < atomic_load(&world->acked))
        violate(world,
                "kind %" PRIu32 ": told of a replacement at %" PRIu64 ", and %" PRIu64
                " was published",
                track->kind, stats.cursor, atomic_load(&world->acked) - 1);
    return -ESTALE;
}

/* Told that it is evicted: that must be the bus's policy. It joins again, mostly. */
static int evicted(struct track *track)
{
    struct world *world = track->world;
    uint32_t from;
    uint64_t sequence;
    if (track->kind != SHMBUS_REQUIRED || !(world->bus.flags & SHMBUS_BUS_EVICT))
        violate(world, "kind %" PRIu32 ": -ESTALE: %s", track->kind, shmbus_error_text());
    count(&world->counts.evictions, 1);
    track->doubted = 0;
    if (track->place != NULL)
        atomic_store(&track->place->known, 0);
    atomic_store(&track->page->kept, 0);
    while (page_order(track->page) < ORDER_LEAVE && random_chance(&track->state, 80)) {
        join_where(track, world, &from, &sequence);
        uint64_t acked = atomic_load(&world->acked);
        page_does(track->page, "rejoin");
        track->kept_count = 0;
        int result = shmbus_consumer_rejoin(track->consumer, from, sequence);
        if (result == 0) {
            track_begin(track, from, sequence, track->flags, acked);
            return 0;
        }
        if (result == -ESTALE && says_replaced() &&
            world->number < atomic_load(&track->root->wanted))
            break;
        /* Among many the tail may be a claim, with what was published behind it. */
        if (result != -ERANGE || from != SHMBUS_FROM_SEQUENCE ||
            ((track->flags & SHMBUS_JOIN_MOVE_UP) && !world->many))
            violate(world, "rejoin: %d: %s", result, shmbus_error_text());
    }
    return -ESTALE;
}

int consumer_judge(struct track *track, const char *what, int result)
{
    if (result == -ESTALE)
        return says_replaced() ? replaced(track) : evicted(track);
    track_settle(track, 1);
    if ((result == -EPIPE || result == -EOWNERDEAD) && track->world->many && !track->is_selected)
        heard_end(track, result == -EPIPE ? "the stream has ended" : "the producers died");
    if (result < 0 && result != -EPIPE && result != -EOWNERDEAD && result != -ETIMEDOUT) {
        violate(track->world, "%s: %d: %s", what, result, shmbus_error_text());
        return result;
    }
    return 0;
}

static int by_poll(struct track *track)
{
    page_does(track->page, "poll");
    uint32_t most = 1 + (uint32_t)random_below(&track->state, 100);
    heard_before(track);
    int result = shmbus_consumer_poll(track->consumer, handle_message, track, most);
    if (result >= 0)
        track_acknowledged(track);
    if (result == 0 && page_order(track->page) == ORDER_GO)
        sleep_ns((int64_t)random_below(&track->state, 200) * 1000);
    return consumer_judge(track, "poll", result);
}

static int by_next(struct track *track)
{
    struct shmbus_message message;
    uint64_t most = 1 + random_below(&track->state, 40);
    int result = 1;
    page_does(track->page, "next");
    for (uint64_t i = 0; i < most && result > 0; i++) {
        heard_before(track);
        result = shmbus_consumer_next(track->consumer, &message);
        if (result <= 0)
            break;
        track_message(track, &message);
        if (page_order(track->page) == ORDER_GO && random_chance(&track->state, track->keeps))
            consumer_keep(track, &message);
        if (track->doubted)
            track_settle(track, 0);
    }
    if (result == 0)
        track_acknowledged(track);
    return consumer_judge(track, "next", result > 0 ? 0 : result);
}

static int by_wait(struct track *track)
{
    page_does(track->page, "wait");
    heard_before(track);
    int64_t most_ns = page_order(track->page) == ORDER_GO ? 30 * MS_NS : 5 * MS_NS;
    int result = shmbus_consumer_wait(track->consumer,
                                      (int64_t)random_below(&track->state, (uint64_t)most_ns));
    return consumer_judge(track, "wait", result);
}

/* One deed. Returns 0, or a negative errno when it is over with this consumer. */
static int deed(struct track *track)
{
    uint64_t what = random_below(&track->state, 100);
    if (what < 50)
        return by_poll(track);
    if (what < 75)
        return by_next(track);
    if (what < 85)
        return by_wait(track);
    page_does(track->page, "handles and pauses");
    if (what < 96 && track->kept_count > 0)
        consumer_drop(track, (uint32_t)random_below(&track->state, track->kept_count));
    else if (what < 98)
        copy_one(track);
    else if (random_chance(&track->state, 30))
        sleep_ns((int64_t)random_below(&track->state, 20) * MS_NS);
    return 0;
}

/* Brought to rest: reads all that comes, keeps or drops what it has. */
static int rest(struct track *track, uint32_t order)
{
    page_does(track->page, "resting");
    if (order == ORDER_DROP)
        while (track->kept_count > 0)
            consumer_drop(track, 0);
    int result = by_poll(track);
    if (result < 0)
        return result;
    show_kept(track);
    atomic_store(&track->page->obeyed, order);
    sleep_ns(MS_NS);
    return 0;
}

void consumer_leave(struct track *track)
{
    page_does(track->page, "consumer_close");
    while (track->kept_count > 0 && random_chance(&track->state, 70))
        consumer_drop(track, 0);
    atomic_store(&track->page->joined, 0);
    atomic_store(&track->page->kept, 0);
    if (track->place != NULL)
        atomic_store(&track->place->known, 0);
    shmbus_consumer_close(track->consumer);
    track->consumer = NULL;
    if (track->place != NULL)
        atomic_store(&track->place->left, 1);
}

int consumer_work(struct world *root, struct page *page, uint64_t seed)
{
    static struct track track;
    track = (struct track){
        .root = root, .world = root, .page = page, .seat = page->place, .state = seed};
    uint64_t *state = &track.state;
    int before = open_descriptors();
    track.kind = page->kind;
    track.slow = random_chance(state, 25) ? (uint32_t)random_below(state, 20) : 0;
    track.keeps = random_chance(state, 60) ? (uint32_t)random_below(state, 40) : 0;
    track.quota = 1 + (uint32_t)random_below(state, KEPT_MAX);
    track.mask = 0xff;
    if (track.seat != NULL) {
        track.mask = track.seat->mask;
        if (atomic_load(&track.seat->opening))
            join_forget(&track);
    } else if (random_chance(state, 40)) {
        track.mask = 1 + (uint32_t)random_below(state, 255);
    }
    do {
        if (join_somehow(&track) < 0)
            break;
        int over = 0;
        for (uint32_t order; over == 0 && (order = page_order(page)) != ORDER_LEAVE;) {
            over = order == ORDER_GO ? deed(&track) : rest(&track, order);
            if (order == ORDER_GO && random_below(state, 4000) == 0)
                break;
        }
        consumer_leave(&track);
        if (open_descriptors() != before || mapped_buses() != 0)
            violate(root, "a consumer that closed has %d descriptors and %d mappings more",
                    open_descriptors() - before, mapped_buses());
    } while (page_order(page) < ORDER_LEAVE && random_chance(state, 70));
    return 0;
}
