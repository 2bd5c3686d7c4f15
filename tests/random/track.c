/* SPDX-License-Identifier: MIT */
/*
 * The checks of a consumer: track.h.
 */
#include "track.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int is_wanted(const struct track *track, uint64_t key)
{
    return track->mask >> (body_type(track->world, key) - 1) & 1;
}

/* Everything from what is expected up to here must be of types that it does not want. */
static void pass_unwanted(struct track *track, uint64_t to, const char *what)
{
    if (to < track->expected)
        violate(track->world, "kind %" PRIu32 ": %s %" PRIu64 " after %" PRIu64, track->kind, what,
                to, track->expected - 1);
    if (track->world->many)
        heard_passed(track, to, what);
    uint64_t filler = atomic_load(&track->world->filler);
    for (uint64_t at = track->expected; at < to && at < filler && !track->world->many; at++) {
        if (is_wanted(track, at)) {
            violate(track->world,
                    "kind %" PRIu32 ": %s %" PRIu64 ", and %" PRIu64
                    " was missed (expected %" PRIu64 ")",
                    track->kind, what, to, at, track->expected);
            break;
        }
    }
    track->expected = to;
}

/* Was this range left out on purpose, as far as the producer wrote down before it did? */
static int was_skipped(struct world *world, uint64_t first, uint64_t many)
{
    for (uint32_t i = atomic_load(&world->gap_count); i > 0; i--) {
        uint64_t from = atomic_load(&world->gaps[i - 1].first);
        uint64_t length = atomic_load(&world->gaps[i - 1].count);
        if (first >= from && first - from < length && many <= length - (first - from))
            return 1;
    }
    return 0;
}

/* Are the counts those of what was handed out and told? */
static void check_counts(struct track *track, const struct shmbus_consumer_stats *now)
{
    const struct shmbus_consumer_stats *then = &track->begun_with;
    uint64_t received = now->received - then->received;
    uint64_t aborted = now->aborted - then->aborted;
    uint64_t lost = now->lost - then->lost;
    uint64_t filtered = now->filtered - then->filtered;
    if (received + aborted + lost + filtered != now->cursor - then->cursor)
        violate(track->world,
                "kind %" PRIu32 ": from %" PRIu64 " to %" PRIu64 " accounts for %" PRIu64,
                track->kind, then->cursor, now->cursor, received + aborted + lost + filtered);
    if (received != track->received || aborted != track->aborted || lost != track->lost)
        violate(track->world,
                "kind %" PRIu32 ": counts %" PRIu64 " received, %" PRIu64 " aborted, %" PRIu64
                " lost, and was handed %" PRIu64 " and told of %" PRIu64 " and %" PRIu64,
                track->kind, received, aborted, lost, track->received, track->aborted, track->lost);
    if (track->mask == 0xff && filtered != 0)
        violate(track->world, "kind %" PRIu32 ": wants all, and %" PRIu64 " were filtered",
                track->kind, filtered);
}

static void check_resumed(struct track *track, uint64_t cursor)
{
    struct place *place = track->place;
    uint64_t acked = atomic_load(&place->acked);
    uint64_t read = atomic_load(&place->read);
    count(&track->world->counts.resumes, 1);
    if (atomic_load(&place->left))
        violate(track->world, "%s was resumed after it had left", place->name);
    if (!atomic_load(&place->known))
        return;
    if (cursor < acked)
        violate(track->world, "%s resumed at %" PRIu64 ", and had acknowledged to %" PRIu64,
                place->name, cursor, acked);
    track->expected = read < cursor ? read : cursor;
    pass_unwanted(track, cursor, "a resumed cursor");
}

/* Beginning anew, at the place that was asked for. */
static void check_joined(struct track *track, uint32_t from, uint64_t wanted, uint32_t flags,
                         uint64_t acked, uint64_t cursor)
{
    struct world *world = track->world;
    uint64_t intent = atomic_load(&world->intent);
    if (track->place != NULL && atomic_load(&track->place->known) &&
        !atomic_load(&track->place->left) && track->place->grace_ns == LONG_GRACE &&
        !(world->bus.flags & SHMBUS_BUS_EVICT))
        violate(world, "%s died in its grace and was not resumed", track->place->name);
    /* Among many a claim that is not ended is the tail, whatever is behind it. */
    if (from == SHMBUS_FROM_TAIL && cursor < acked && !world->many)
        violate(world, "joined the tail at %" PRIu64 ", and %" PRIu64 " was published", cursor,
                acked - 1);
    if (cursor > intent)
        violate(world, "joined at %" PRIu64 ", and nothing beyond %" PRIu64 " was begun", cursor,
                intent);
    if (from == SHMBUS_FROM_SEQUENCE && cursor != wanted && !(flags & SHMBUS_JOIN_MOVE_UP) &&
        (cursor < wanted || !was_skipped(world, wanted, cursor - wanted)))
        violate(world, "joined at %" PRIu64 " instead of %" PRIu64, cursor, wanted);
}

void track_begin(struct track *track, uint32_t from, uint64_t from_sequence, uint32_t flags,
                 uint64_t acked)
{
    struct shmbus_consumer_stats stats = {0};
    struct place *place = track->place;
    if (shmbus_consumer_stats(track->consumer, &stats) < 0)
        violate(track->world, "stats: %s", shmbus_error_text());
    track->kept_count = 0;
    track->doubted = 0;
    track->begun_with = stats;
    track->received = track->aborted = track->lost = 0;
    if (track->world->many)
        heard_begin(track);
    track->expected = stats.cursor;
    if (stats.resumed)
        check_resumed(track, stats.cursor);
    else
        check_joined(track, from, from_sequence, flags, acked, stats.cursor);
    track->expected = stats.cursor;
    atomic_store(&track->page->cursor, stats.cursor);
    if (place != NULL) {
        if (!stats.resumed)
            atomic_fetch_add(&place->joins, 1);
        atomic_store(&track->seat->opening, 0);
        atomic_store(&place->left, 0);
        atomic_store(&place->acked, stats.cursor);
        atomic_store(&place->read, stats.cursor);
        atomic_store(&place->known, 1);
    }
    pipeline_begin(track);
    count(&track->world->counts.joined, 1);
}

/* Whoever sees a sequence first says who wrote it; all others must see the same. */
static void check_author(struct track *track, uint64_t sequence, uint32_t incarnation)
{
    _Atomic uint64_t *author = &track->world->authors[sequence % AUTHORS];
    uint64_t mine = sequence << 24 | (incarnation & 0xffffff);
    uint64_t found = atomic_load(author);
    int is_new = (found & 0xffffff) == 0 || found >> 24 != mine >> 24;
    if (is_new && atomic_compare_exchange_strong(author, &found, mine))
        return;
    if (found >> 24 == mine >> 24 && found != mine)
        violate(track->world, "%" PRIu64 " was seen of producer %u, and now of %u", sequence,
                (unsigned)(found & 0xffffff), (unsigned)incarnation);
}

static int is_evicted(struct track *track)
{
    struct shmbus_message any = {.handle = 1};
    return track->kind == SHMBUS_REQUIRED && shmbus_consumer_valid(track->consumer, &any) == 0;
}

/* Is it whole, and the one with the key last_key if that is not 0? */
static const char *check_body(struct track *track, const struct shmbus_message *message,
                              int is_first)
{
    uint32_t incarnation;
    uint64_t key;
    const char *fault = body_fault(track->world, message, &incarnation, &key);
    if (fault == NULL && !is_first && track->last_key != 0 && key != track->last_key)
        fault = "another message";
    if (fault == NULL && is_first && !is_wanted(track, key))
        fault = "a type that is not wanted";
    /* Whole, it may still be of a later lap: its content does not say which sequence it is. */
    if (fault == NULL && is_first && track->world->many && is_evicted(track))
        fault = "one that is not to be trusted";
    if (fault != NULL && !track->doubted) {
        uint64_t words[3] = {0};
        memcpy(words, message->data, message->length < 24 ? message->length : 24);
        snprintf(track->doubted_how, sizeof track->doubted_how,
                 "%s look, in %s, %" PRIu32 " bytes, handle 0x%" PRIx64
                 ", flags 0x%x, begins 0x%" PRIx64 " 0x%" PRIx64 ", joined at %" PRIu64
                 ", place %s",
                 is_first ? "first" : "second", atomic_load(&track->page->doing), message->length,
                 message->handle, (unsigned)message->flags, words[0], words[1],
                 track->begun_with.cursor, track->place != NULL ? track->place->name : "none");
    }
    if (is_first)
        track->last_key = fault == NULL ? key : 0;
    if (fault == NULL && is_first) {
        if (incarnation != 0)
            check_author(track, message->sequence, incarnation);
        raise_to(&track->world->seen, message->sequence + 1);
    }
    return fault;
}

static void doubt(struct track *track, uint64_t sequence, const char *why)
{
    if (!track->doubted) {
        track->doubted_sequence = sequence;
        track->doubted_why = why;
    }
    track->doubted = 1;
}

/* Now and then for so long that it may be evicted over the message. */
static void dawdle(struct track *track)
{
    const struct shmbus_bus_options *bus = &track->world->bus;
    int is_long = (bus->flags & SHMBUS_BUS_EVICT) && random_chance(&track->state, 4);
    uint64_t most_ns = is_long ? (uint64_t)bus->stall_ns * 4 : 3000000;
    sleep_ns((int64_t)random_below(&track->state, most_ns));
}

static int is_filler(const struct track *track, const struct shmbus_message *message)
{
    return message->sequence >= atomic_load(&track->world->filler);
}

void track_message(struct track *track, const struct shmbus_message *message)
{
    struct place *place = track->place;
    struct world *world = track->world;
    pass_unwanted(track, message->sequence, "a message");
    if (is_filler(track, message)) {
        track->expected = message->sequence + 1;
        track->received++;
        track->last_key = 0;
        if (message->length != 0 || message->type != 0 || track->mask != 0xff)
            violate(world, "%" PRIu64 " is not as empty as the heir published it",
                    message->sequence);
        return;
    }
    if (!world->many)
        pipeline_message(track, message->sequence, body_type(world, message->sequence));
    track->expected = message->sequence + 1;
    track->received++;
    if (place != NULL)
        atomic_store(&place->read, track->expected);
    const char *fault = check_body(track, message, 1);
    if (fault == NULL && world->many) {
        pipeline_message(track, message->sequence, message->type);
        heard_message(track, message->sequence, track->last_key);
        count(&world->counts.among, 1);
    }
    if (fault == NULL && random_chance(&track->state, track->slow)) {
        dawdle(track);
        fault = check_body(track, message, 0);
    }
    if (fault != NULL)
        doubt(track, message->sequence, fault);
    count(&world->counts.received, 1);
}

static void lost(struct track *track, const struct shmbus_event *event)
{
    if (track->kind == SHMBUS_REQUIRED && !was_skipped(track->world, event->first, event->count))
        violate(track->world, "a required consumer lost %" PRIu64 " from %" PRIu64, event->count,
                event->first);
    track->lost += event->count;
    if (track->world->many)
        heard_lost(track);
    count(&track->world->counts.lost, event->count < UINT32_MAX ? event->count : 1);
}

void track_event(void *context, const struct shmbus_event *event)
{
    struct track *track = context;
    int is_aborted = event->kind == SHMBUS_EVENT_ABORTED && track->world->many;
    if (event->kind == SHMBUS_EVENT_DEADLINE || pipeline_event(track, event))
        return;
    pass_unwanted(track, event->first, "an event");
    if ((event->kind != SHMBUS_EVENT_LOST && !is_aborted) || event->count == 0)
        violate(track->world, "event %" PRIu32 " of %" PRIu64 " at %" PRIu64, event->kind,
                event->count, event->first);
    if (is_aborted) {
        heard_aborted(track, event->first, event->count);
        track->aborted += event->count;
    } else {
        lost(track, event);
    }
    track->expected = event->first + event->count;
    if (track->place != NULL)
        atomic_store(&track->place->read, track->expected);
}

void track_settle(struct track *track, int is_vouched)
{
    if (track->doubted && (is_vouched || !is_evicted(track)))
        violate(track->world, "kind %" PRIu32 ": message %" PRIu64 ": %s (%s)", track->kind,
                track->doubted_sequence, track->doubted_why, track->doubted_how);
    track->doubted = 0;
}

void track_acknowledged(struct track *track)
{
    struct shmbus_consumer_stats stats = {0};
    if (shmbus_consumer_stats(track->consumer, &stats) < 0)
        violate(track->world, "stats: %s", shmbus_error_text());
    pass_unwanted(track, stats.cursor, "a cursor");
    check_counts(track, &stats);
    if (track->world->many &&
        (track->page->role != ROLE_CONSUMER || page_order(track->page) != ORDER_GO ||
         random_chance(&track->state, 5)))
        heard_all(track, stats.cursor);
    if (track->place != NULL) {
        atomic_store(&track->place->acked, stats.cursor);
        raise_to(&track->place->read, stats.cursor);
    }
    atomic_store(&track->page->cursor, stats.cursor);
}

void track_kept(struct track *track, const struct kept *kept)
{
    struct shmbus_message message;
    int result = shmbus_consumer_held(track->consumer, kept->handle, &message);
    if (result < 0) {
        violate(track->world, "held: %d: %s", result, shmbus_error_text());
        return;
    }
    if (message.sequence != kept->sequence)
        violate(track->world, "%" PRIu64 " was kept, and is %" PRIu64 " now", kept->sequence,
                message.sequence);
    if (is_filler(track, &message))
        return;
    track->last_key = kept->key;
    const char *fault = check_body(track, &message, 0);
    track->last_key = 0;
    if (fault != NULL && !is_evicted(track))
        violate(track->world, "kind %" PRIu32 ": kept message %" PRIu64 ": %s (%s)", track->kind,
                kept->sequence, fault, track->doubted_how);
}
