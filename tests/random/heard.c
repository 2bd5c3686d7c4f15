/* SPDX-License-Identifier: MIT */
/*
 * What one consumer has to hear among many producers. An author numbers its messages without a gap,
 * so whoever has heard one of them and lost nothing since hears all that follow, once and in their
 * order, but for those whose type it does not want; and of one that began later, the first one too.
 */
#include "track.h"

#include <inttypes.h>
#include <string.h>

#define NUMBERS   ((UINT64_C(1) << NUMBER_BITS) - 1)
#define LOOK_BACK 65536 /* passed sequences that are looked up, at most */

static int is_wanted(const struct track *track, uint64_t key)
{
    return track->mask >> (body_type(track->world, key) - 1) & 1;
}

/* Does it know which number of this author comes next? */
static int is_exact(const struct track *track, const struct heard *heard)
{
    return heard->is_known && heard->losses == track->losses;
}

void heard_begin(struct track *track)
{
    memset(track->heard, 0, sizeof track->heard);
    track->losses = 0;
    for (uint32_t i = 1; i < CREW_KNOWN; i++)
        track->heard[i].is_known = atomic_load(&track->world->crew[i].begun) == 0;
}

void heard_lost(struct track *track)
{
    track->losses++;
}

/* All of the author's messages from what was heard up to here must be of types not wanted. */
static void expect_unwanted(struct track *track, uint32_t author, uint64_t to, const char *what)
{
    for (uint64_t number = track->heard[author].number; number < to; number++) {
        if (!is_wanted(track, body_key(author, number)))
            continue;
        violate(track->world,
                "kind %" PRIu32 ": %s %" PRIu64 " of producer %" PRIu32 ", and its %" PRIu64
                " was missed",
                track->kind, what, to, author, number);
        return;
    }
}

void heard_message(struct track *track, uint64_t sequence, uint64_t key)
{
    uint32_t author = (uint32_t)(key >> NUMBER_BITS);
    uint64_t number = key & NUMBERS;
    struct heard *heard = &track->heard[author];
    uint64_t other = known_tell(track->world, sequence, key);
    if (other != 0)
        violate(track->world,
                "kind %" PRIu32 ": %" PRIu64 " is 0x%" PRIx64 ", and others know it as 0x%" PRIx64,
                track->kind, sequence, key, other);
    if (number >= atomic_load(&track->world->crew[author].begun))
        violate(track->world,
                "%" PRIu64 " is number %" PRIu64 " of %" PRIu32 ", who did not begin it", sequence,
                number, author);
    if (heard->is_known && number < heard->number)
        violate(track->world,
                "kind %" PRIu32 ": %" PRIu64 " is number %" PRIu64 " of producer %" PRIu32
                ", after its %" PRIu64,
                track->kind, sequence, number, author, heard->number - 1);
    else if (is_exact(track, heard))
        expect_unwanted(track, author, number, "a message came,");
    *heard = (struct heard){.number = number + 1, .losses = track->losses, .is_known = 1};
}

void heard_passed(struct track *track, uint64_t to, const char *what)
{
    uint64_t from = track->expected;
    if (to <= from)
        return;
    if (track->mask == 0xff)
        violate(track->world, "kind %" PRIu32 ": %s %" PRIu64 ", and %" PRIu64 " was missed",
                track->kind, what, to, from);
    if (to - from > LOOK_BACK)
        from = to - LOOK_BACK;
    for (; from < to; from++) {
        uint64_t key = known_find(track->world, from);
        if (key == 0 || (key != KNOWN_ABORTED && !is_wanted(track, key)))
            continue;
        violate(track->world,
                "kind %" PRIu32 ": %s %" PRIu64 ", and nothing was told of %" PRIu64
                ", which is 0x%" PRIx64,
                track->kind, what, to, from, key);
        return;
    }
}

void heard_aborted(struct track *track, uint64_t first, uint64_t many)
{
    for (uint64_t i = 0; i < many && i < LOOK_BACK; i++) {
        uint64_t key = known_tell(track->world, first + i, KNOWN_ABORTED);
        if (key == 0)
            continue;
        violate(track->world,
                "kind %" PRIu32 ": told that %" PRIu64 " was aborted, which is 0x%" PRIx64,
                track->kind, first + i, key);
        return;
    }
    count(&track->world->counts.aborted, many);
}

void heard_all(struct track *track, uint64_t cursor)
{
    for (uint32_t i = 1; i < CREW_KNOWN; i++) {
        const struct author *author = &track->world->crew[i];
        uint64_t returned = atomic_load(&author->returned);
        /* Later than the number: it may be a later one's already. */
        if (returned > 0 && is_exact(track, &track->heard[i]) &&
            atomic_load(&author->last) < cursor)
            expect_unwanted(track, i, returned, "read beyond");
    }
}

/* ---- what the end of the stream means ---- */

static uint32_t living(const struct track *track, uint32_t i)
{
    const struct page *page = &track->root->pages[i];
    return page->role == ROLE_PRODUCER && page->pid != 0 && !page->killed &&
                   atomic_load(&page->joined)
               ? page->incarnation
               : 0;
}

void heard_before(struct track *track)
{
    if (!track->world->many)
        return;
    track->acked_before = atomic_load(&track->world->acked);
    for (uint32_t i = 0; i < WORKERS_MAX; i++)
        track->living_before[i] = living(track, i);
}

void heard_end(struct track *track, const char *what)
{
    struct shmbus_consumer_stats stats = {0};
    shmbus_consumer_stats(track->consumer, &stats);
    if (stats.cursor < track->acked_before)
        violate(track->world, "kind %" PRIu32 ": %s at %" PRIu64 ", and %" PRIu64 " was published",
                track->kind, what, stats.cursor, track->acked_before - 1);
    for (uint32_t i = 0; i < WORKERS_MAX; i++)
        if (track->living_before[i] != 0 && living(track, i) == track->living_before[i])
            violate(track->world, "kind %" PRIu32 ": %s, and producer %" PRIu32 " lives",
                    track->kind, what, track->living_before[i]);
}
