/* SPDX-License-Identifier: MIT */
/*
 * Required consumers that run after those that have a place. None is handed a message before the
 * others were, as far as they are known to be the ones that it found when it joined; places run
 * only after places before them, so that nobody is ever refused for a cycle.
 */
#include "track.h"

#include <inttypes.h>

void pipeline_choose(struct track *track, struct shmbus_consumer_options *options)
{
    struct pipeline *pipeline = &track->pipeline;
    pipeline->count = 0;
    pipeline->watched = 0;
    if (track->kind != SHMBUS_REQUIRED || track->is_selected || random_chance(&track->state, 60))
        return;
    for (uint32_t i = 0; i < PLACES && &track->root->places[i] != track->seat; i++) {
        if (random_chance(&track->state, 50))
            continue;
        pipeline->after[pipeline->count] = i;
        pipeline->names[pipeline->count] = track->root->places[i].name;
        for (uint32_t j = 0; j < STREAMS; j++)
            pipeline->joins[j][pipeline->count] = atomic_load(&track->root[j].places[i].joins);
        pipeline->count++;
    }
    options->after = pipeline->names;
    options->after_count = pipeline->count;
    options->after_gone = SHMBUS_AFTER_GO_ON;
}

/* Is the place's consumer the one that was there when this one's options were chosen? */
static int is_same(const struct track *track, uint32_t i)
{
    const struct pipeline *pipeline = &track->pipeline;
    const struct place *seat = &track->root->places[pipeline->after[i]];
    const struct place *place = &track->world->places[pipeline->after[i]];
    return !atomic_load(&seat->opening) && atomic_load(&place->known) &&
           atomic_load(&place->joins) == pipeline->joins[track->world->number][i];
}

void pipeline_begin(struct track *track)
{
    struct pipeline *pipeline = &track->pipeline;
    pipeline->watched = 0;
    for (uint32_t i = 0; i < pipeline->count; i++)
        if (is_same(track, i))
            pipeline->watched |= 1u << i;
}

void pipeline_message(struct track *track, uint64_t sequence, uint16_t type)
{
    struct pipeline *pipeline = &track->pipeline;
    for (uint32_t i = 0; i < pipeline->count; i++) {
        const struct place *seat = &track->root->places[pipeline->after[i]];
        const struct place *place = &track->world->places[pipeline->after[i]];
        uint64_t read = atomic_load(&place->read);
        /* What it does not want is never handed to it. */
        if (!(pipeline->watched >> i & 1) || !is_same(track, i) || !(seat->mask >> (type - 1) & 1))
            continue;
        if (read <= sequence)
            violate(track->world,
                    "%" PRIu64 " came before %s had it, which this runs after and which is at "
                    "%" PRIu64,
                    sequence, seat->name, read);
        count(&track->world->counts.followed, 1);
    }
}

int pipeline_event(struct track *track, const struct shmbus_event *event)
{
    struct pipeline *pipeline = &track->pipeline;
    if (event->kind != SHMBUS_EVENT_AFTER_GONE)
        return 0;
    if (event->first >= pipeline->count || event->count != 0)
        violate(track->world, "somebody is gone, by the number %" PRIu64 " of %" PRIu32,
                event->first, pipeline->count);
    pipeline->watched &= ~(1u << event->first);
    return 1;
}
