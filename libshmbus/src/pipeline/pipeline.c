/* SPDX-License-Identifier: MIT */
/*
 * Reading who runs after whom out of control. See pipeline.h for the protocol.
 */
#include "pipeline/pipeline.h"

#include "layout/racing.h"

#include <string.h>

static struct control_entry *entry_of(const struct pipeline *pipeline, uint32_t index)
{
    return layout_entry(pipeline->control, pipeline->header, index);
}

static void copy_name(const char *word, char *out_name)
{
    racing_copy(out_name, word, SHMBUS_NAME_MAX);
    out_name[SHMBUS_NAME_MAX] = 0;
}

uint32_t pipeline_read_after(const struct control_entry *entry,
                             char (*out_after)[SHMBUS_NAME_MAX + 1])
{
    /* ORDER(after_count:B) pairs after_count:A, after_none:A: the count before the names */
    uint32_t count = atomic_load_explicit(&entry->after_count, memory_order_seq_cst);
    if (count > SHMBUS_AFTER_MAX)
        count = SHMBUS_AFTER_MAX;
    for (uint32_t i = 0; i < count; i++)
        copy_name(entry->after[i].name, out_after[i]);
    return count;
}

/* A required consumer's state, 0 of anything else. */
static uint32_t state_of(const struct control_entry *entry)
{
    /* ORDER(way_state:B) pairs join_words:A, join_active:A, grace:A, resume:A, leave:A: the
     * walker's own words are stored before others' states are loaded */
    uint32_t state = atomic_load_explicit(&entry->state, memory_order_seq_cst);
    /* relaxed: stored before the state */
    uint32_t kind = atomic_load_explicit(&entry->kind, memory_order_relaxed);
    if (state != ENTRY_JOINING && state != ENTRY_ACTIVE && state != ENTRY_GRACE)
        return ENTRY_FREE;
    return kind == SHMBUS_REQUIRED ? state : ENTRY_FREE;
}

static uint64_t epoch_of(const struct control_entry *entry)
{
    /* ORDER(way_epoch:B) pairs join_epoch:A: the epoch before the state, which then is not that of
     * the one before */
    return atomic_load_explicit(&entry->epoch, memory_order_acquire);
}

/* After the words were copied: were they those of this epoch? */
static int is_still(const struct control_entry *entry, uint64_t epoch)
{
    /* ORDER(way_words:B) pairs join_fill:A: the words before the second look at the epoch */
    atomic_thread_fence(memory_order_acquire);
    /* relaxed: the fence above orders it after the words */
    return atomic_load_explicit(&entry->epoch, memory_order_relaxed) == epoch;
}

int pipeline_read(const struct pipeline *pipeline, uint32_t index, struct pipeline_entry *out_entry)
{
    const struct control_entry *entry = entry_of(pipeline, index);
    uint64_t epoch = epoch_of(entry);
    uint32_t state = state_of(entry);
    if (state == ENTRY_FREE)
        return 0;
    out_entry->state = state;
    out_entry->epoch = epoch;
    /* relaxed: a peer's word, only compared with other cursors */
    out_entry->cursor = atomic_load_explicit(&entry->cursor, memory_order_relaxed);
    racing_copy(&out_entry->after_gone, &entry->after_gone, sizeof out_entry->after_gone);
    copy_name(entry->name, out_entry->name);
    out_entry->after_count = pipeline_read_after(entry, out_entry->after);
    return is_still(entry, epoch);
}

static int is_evicted(const struct pipeline *pipeline, uint32_t index, uint64_t epoch)
{
    /* relaxed: one that is evicted later is found out by the next look */
    return atomic_load_explicit(&pipeline->verdicts[index].evicted, memory_order_relaxed) == epoch;
}

int pipeline_is_there(const struct pipeline *pipeline, uint32_t index, const char *name,
                      uint64_t *out_epoch)
{
    const struct control_entry *entry = entry_of(pipeline, index);
    char found[SHMBUS_NAME_MAX + 1];
    uint64_t epoch = epoch_of(entry);
    uint32_t state = state_of(entry);
    if (state != ENTRY_ACTIVE && state != ENTRY_GRACE)
        return 0;
    copy_name(entry->name, found);
    if (strcmp(found, name) != 0 || is_evicted(pipeline, index, epoch) || !is_still(entry, epoch))
        return 0;
    *out_epoch = epoch;
    return 1;
}

static int is_named(const char *name, const char (*names)[SHMBUS_NAME_MAX + 1], uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return 1;
    return 0;
}

int pipeline_is_behind(const struct pipeline *pipeline, uint32_t index)
{
    struct pipeline_entry own;
    uint64_t epoch;
    if (!pipeline_read(pipeline, index, &own))
        return 0;
    for (uint32_t i = 0; own.after_count > 0 && i < pipeline->header->max_consumers; i++) {
        /* relaxed: as in pipeline_read() */
        uint64_t cursor =
            atomic_load_explicit(&entry_of(pipeline, i)->cursor, memory_order_relaxed);
        if (i == index || cursor > own.cursor)
            continue;
        for (uint32_t j = 0; j < own.after_count; j++)
            if (pipeline_is_there(pipeline, i, own.after[j], &epoch))
                return 1;
    }
    return 0;
}

/* Adds a step for each entry whose name is among those given and that was not seen yet. Returns how
 * many steps there are then. */
static uint32_t add_steps(const struct pipeline *pipeline, uint32_t own,
                          const char (*names)[SHMBUS_NAME_MAX + 1], uint32_t name_count,
                          uint32_t from, struct pipeline_step *steps, uint32_t count)
{
    for (uint32_t i = 0; i < pipeline->header->max_consumers; i++) {
        char found[SHMBUS_NAME_MAX + 1];
        if (i == own || steps[i].is_seen || state_of(entry_of(pipeline, i)) == ENTRY_FREE)
            continue;
        copy_name(entry_of(pipeline, i)->name, found);
        if (!is_named(found, names, name_count))
            continue;
        steps[i].is_seen = 1;
        steps[count].entry = i;
        steps[count++].from = from;
    }
    return count;
}

/* The way that ends with this step, from its beginning on. */
static uint32_t write_way(const struct pipeline_step *steps, uint32_t last, uint32_t *way)
{
    uint32_t length = 0;
    for (uint32_t at = last + 1; at > 0; at = steps[at - 1].from)
        length++;
    uint32_t left = length;
    for (uint32_t at = last + 1; at > 0; at = steps[at - 1].from)
        way[--left] = steps[at - 1].entry;
    return length;
}

uint32_t pipeline_find_way(const struct pipeline *pipeline, uint32_t own, const char *name,
                           const char (*after)[SHMBUS_NAME_MAX + 1], uint32_t after_count,
                           struct pipeline_step *steps, uint32_t *way)
{
    memset(steps, 0, pipeline->header->max_consumers * sizeof *steps);
    uint32_t count = add_steps(pipeline, own, after, after_count, 0, steps, 0);
    /* Ends: each entry is added at most once. */
    for (uint32_t at = 0; at < count; at++) {
        struct pipeline_entry entry;
        if (!pipeline_read(pipeline, steps[at].entry, &entry))
            continue;
        if (is_named(name, (const char(*)[SHMBUS_NAME_MAX + 1]) entry.after, entry.after_count))
            return write_way(steps, at, way);
        count = add_steps(pipeline, own, (const char(*)[SHMBUS_NAME_MAX + 1]) entry.after,
                          entry.after_count, at + 1, steps, count);
    }
    return 0;
}
