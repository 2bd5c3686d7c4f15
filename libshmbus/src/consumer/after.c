/* SPDX-License-Identifier: MIT */
/*
 * Running after others. See after.h for the protocol.
 */
#include "consumer/after.h"

#include "error/error.h"
#include "pipeline/pipeline.h"
#include "recovery/recovery.h"
#include "wait/wait.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How often one that is held back finds out whether those that it waits for live. */
#define WATCH_EVERY_NS 20000000

/* How long others that join at the same time are waited for, when only one of them can. */
#define RIVAL_WAIT_NS 2000000000

/* One whom it runs after, as it was found. */
struct latch {
    uint64_t epoch;
    uint64_t passed; /* everything below it, as far as was seen */
    uint32_t index;  /* of its entry */
    uint32_t name;   /* which name it has */
};

/* All those of one name. */
struct after_name {
    char name[SHMBUS_NAME_MAX + 1];
    uint64_t passed;  /* everything below it was passed by all of them */
    uint64_t slowest; /* in one look: the least that one of them passed */
    uint32_t there;   /* in one look: how many are there */
    uint32_t left;    /* in one look: how many are no longer */
    uint32_t is_new;  /* in one look: some were latched */
    uint32_t is_gone; /* none is there, and that was told */
};

/* Whom a consumer runs after, as an entry says it; unused bytes are 0. */
struct words {
    char names[SHMBUS_AFTER_MAX][SHMBUS_NAME_MAX + 1];
    uint32_t count;
    uint32_t gone;
};

struct after {
    struct after_name names[SHMBUS_AFTER_MAX];
    struct words words;
    uint32_t name_count;
    uint32_t latch_count;
    uint32_t latch_room;
    int64_t watch_ns; /* when lives are to be probed next; 0: the limit has just moved */
    struct latch *latches;
    struct pipeline_step *steps; /* max_consumers of them, as of way: for a walk */
    uint32_t *way;
};

int after_check(const struct shmbus_consumer_options *options, const char *name)
{
    if (options->after_gone > SHMBUS_AFTER_GO_ON)
        return error_set(-EINVAL, "after_gone: %" PRIu32 " is no policy", options->after_gone);
    if (options->after_count == 0)
        return 0;
    if (options->kind != SHMBUS_REQUIRED)
        return error_constant(-EINVAL, "after: only a required consumer runs after others");
    if (options->after == NULL)
        return error_constant(-EINVAL, "after: NULL with a count");
    if (options->after_count > SHMBUS_AFTER_MAX)
        return error_set(-EINVAL, "after_count: %" PRIu32 " is more than %d", options->after_count,
                         SHMBUS_AFTER_MAX);
    for (uint32_t i = 0; i < options->after_count; i++) {
        const char *other = options->after[i];
        int result = layout_check_name("after: consumer", other);
        if (result < 0)
            return result;
        if (strcmp(other, name) == 0)
            return error_set(-EINVAL, "after: %s is this consumer's own name", other);
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(other, options->after[j]) == 0)
                return error_set(-EINVAL, "after: %s is named twice", other);
    }
    return 0;
}

static int open_probe(struct segment *segment)
{
    segment->probe_control =
        openat(segment->folder, "control", O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    return segment->probe_control < 0 ? segment_errno(errno, segment->name, "control") : 0;
}

int after_make(struct shmbus_consumer *consumer)
{
    const struct shmbus_consumer_options *options = &consumer->options;
    size_t entries = consumer->header->max_consumers;
    if (options->after_count == 0)
        return 0;
    struct after *after = calloc(1, sizeof *after);
    if (after == NULL)
        return error_constant(-ENOMEM, "no memory left for a pipeline");
    consumer->after = after;
    after->name_count = options->after_count;
    for (uint32_t i = 0; i < after->name_count; i++) {
        memcpy(after->names[i].name, options->after[i], strlen(options->after[i]));
        memcpy(after->words.names[i], options->after[i], strlen(options->after[i]));
    }
    after->words.count = options->after_count;
    after->words.gone = options->after_gone;
    /* Each entry once for each name, and once more for the one that it was latched for before. */
    after->latch_room = consumer->header->max_consumers * (after->name_count + 1);
    after->latches = calloc(after->latch_room, sizeof *after->latches);
    after->steps = calloc(entries, sizeof *after->steps);
    after->way = calloc(entries, sizeof *after->way);
    if (after->latches == NULL || after->steps == NULL || after->way == NULL)
        return error_constant(-ENOMEM, "no memory left for a pipeline");
    return open_probe(&consumer->segment);
}

void after_end(struct after *after)
{
    if (after == NULL)
        return;
    free(after->latches);
    free(after->steps);
    free(after->way);
    free(after);
}

static struct pipeline pipeline_of(const struct shmbus_consumer *consumer)
{
    return (struct pipeline){
        .control = consumer->segment.control,
        .header = consumer->header,
        .verdicts = segment_verdicts(&consumer->segment),
    };
}

/* ---- joining ---- */

static void write_words(const struct words *words, struct control_entry *entry)
{
    /* ORDER(after_none:A) pairs after_count:B: no names while they change */
    atomic_store_explicit(&entry->after_count, 0, memory_order_seq_cst);
    entry->after_gone = words->gone;
    for (uint32_t i = 0; i < words->count; i++) {
        memset(entry->after[i].name, 0, sizeof entry->after[i].name);
        memcpy(entry->after[i].name, words->names[i], SHMBUS_NAME_MAX);
    }
    /* ORDER(after_count:A) pairs after_count:B: the names before their count, and that before
     * others' words are looked at */
    atomic_store_explicit(&entry->after_count, words->count, memory_order_seq_cst);
}

static const struct words *words_of(const struct shmbus_consumer *consumer)
{
    static const struct words nobody;
    return consumer->after != NULL ? &consumer->after->words : &nobody;
}

void after_write(const struct shmbus_consumer *consumer, struct control_entry *entry)
{
    write_words(words_of(consumer), entry);
}

/* Says which way leads back, as far as there is room for it. */
static int refuse_cycle(const struct shmbus_consumer *consumer, uint32_t length)
{
    const struct pipeline pipeline = pipeline_of(consumer);
    char text[320];
    size_t used = (size_t)snprintf(text, sizeof text, "%s", consumer->name);
    for (uint32_t i = 0; i < length && used < sizeof text; i++) {
        struct pipeline_entry entry = {.name = "?"};
        pipeline_read(&pipeline, consumer->after->way[i], &entry);
        used += (size_t)snprintf(text + used, sizeof text - used, " after %s", entry.name);
    }
    return error_set(-ELOOP, "%s: %s would run after itself: %s after %s (leave one of them out)",
                     consumer->segment.name, consumer->name, text, consumer->name);
}

/* Those on a way back, as they are now. What the dead left is repaired first. Returns 0 when one is
 * gone, so that there may be no way any more; out_rival receives the highest entry's index + 1 of
 * those that have not joined yet, 0 when all of them have. */
static int look_at_way(const struct shmbus_consumer *consumer, uint32_t length, uint32_t *out_rival)
{
    const struct pipeline pipeline = pipeline_of(consumer);
    *out_rival = 0;
    for (uint32_t i = 0; i < length; i++) {
        struct pipeline_entry entry;
        uint32_t index = consumer->after->way[i];
        if (lock_probe(consumer->segment.probe_control, LOCK_LIFE + (int64_t)index) == 0)
            recovery_reap_entry(&consumer->segment, index);
        if (!pipeline_read(&pipeline, index, &entry))
            return 0;
        if (entry.state == ENTRY_JOINING && index >= *out_rival)
            *out_rival = index + 1;
    }
    return 1;
}

/* Rank is the entry's index + 1, or 0 when the entry is resumed: of those on a way back that join
 * at once the highest refuses itself, and the others look again. A way back that two walks in a row
 * find is one: words that changed between two looks of one walk may have led astray. */
static int find_way(struct shmbus_consumer *consumer, uint32_t rank)
{
    struct after *after = consumer->after;
    const struct pipeline pipeline = pipeline_of(consumer);
    const char(*names)[SHMBUS_NAME_MAX + 1] =
        (const char(*)[SHMBUS_NAME_MAX + 1]) after->words.names;
    struct waiter waiter = wait_begin(RIVAL_WAIT_NS);
    for (uint32_t found = 0;;) {
        uint32_t rival;
        uint32_t length = pipeline_find_way(&pipeline, consumer->index, consumer->name, names,
                                            after->words.count, after->steps, after->way);
        if (length == 0)
            return 0;
        /* Who resumes has fork held off already. */
        if (rank > 0)
            process_hold();
        found = look_at_way(consumer, length, &rival) ? found + 1 : 0;
        if (rank > 0)
            process_release();
        if ((found > 1 && (rival == 0 || rival < rank)) || wait_step(&waiter) < 0)
            return refuse_cycle(consumer, length);
    }
}

int after_enter(struct shmbus_consumer *consumer)
{
    return consumer->after != NULL ? find_way(consumer, consumer->index + 1) : 0;
}

int after_enter_again(struct shmbus_consumer *consumer, struct control_entry *entry)
{
    const struct words *words = words_of(consumer);
    struct words before = {.gone = entry->after_gone};
    before.count = pipeline_read_after(entry, before.names);
    int is_other = before.count != words->count || before.gone != words->gone ||
                   memcmp(before.names, words->names, sizeof before.names) != 0;
    if (is_other)
        write_words(words, entry);
    int result = consumer->after != NULL ? find_way(consumer, 0) : 0;
    if (result < 0 && is_other)
        write_words(&before, entry);
    return result;
}

/* ---- the limit ---- */

/* Latches those of a name that are there and are not latched yet. */
static void latch_name(struct shmbus_consumer *consumer, uint32_t name)
{
    struct after *after = consumer->after;
    const struct pipeline pipeline = pipeline_of(consumer);
    for (uint32_t i = 0; i < consumer->header->max_consumers; i++) {
        uint64_t epoch;
        if (i == consumer->index ||
            !pipeline_is_there(&pipeline, i, after->names[name].name, &epoch))
            continue;
        uint32_t at = 0;
        while (at < after->latch_count &&
               (after->latches[at].index != i || after->latches[at].epoch != epoch))
            at++;
        if (at < after->latch_count || at == after->latch_room)
            continue;
        after->latches[at] = (struct latch){.epoch = epoch, .index = i, .name = name};
        after->latch_count++;
        after->names[name].there++;
        after->names[name].is_new = 1;
    }
}

void after_latch(struct shmbus_consumer *consumer)
{
    struct after *after = consumer->after;
    if (after == NULL)
        return;
    after->latch_count = 0;
    after->watch_ns = 0;
    for (uint32_t i = 0; i < after->name_count; i++) {
        after->names[i].passed = consumer->next;
        after->names[i].is_gone = 0;
        latch_name(consumer, i);
    }
    consumer->limit = consumer->next;
}

/* A cursor that is further off than a ring, but for a gap, is nobody's: then what is published is
 * the most that can have been passed. */
static uint64_t believe(const struct shmbus_consumer *consumer, uint64_t cursor)
{
    if (cursor <= consumer->next || cursor - consumer->next <= consumer->ring.mask + 1)
        return cursor;
    /* ORDER(after_tail:B) pairs tail:A, among_tail_up:A: the hint before the stamps below it */
    uint64_t hint = atomic_load_explicit(&consumer->state->tail, memory_order_acquire);
    uint64_t tail = ring_find_tail(&consumer->ring, hint);
    return cursor < tail ? cursor : tail;
}

/* Looks how far one is. Returns whether it is still there. */
static int look_at(const struct shmbus_consumer *consumer, struct latch *latch)
{
    const struct control_entry *entry =
        layout_entry(consumer->segment.control, consumer->header, latch->index);
    const struct layout_verdict *verdict = &segment_verdicts(&consumer->segment)[latch->index];
    /* ORDER(after_state:B) pairs leave:A, join_active:A, grace:A, resume:A: one that has left moves
     * its cursor no more */
    uint32_t state = atomic_load_explicit(&entry->state, memory_order_acquire);
    /* ORDER(after_cursor:B) pairs cursor:A, join_cursor:A, cursor_up:A: it has read all below its
     * cursor before that is read here */
    uint64_t cursor = atomic_load_explicit(&entry->cursor, memory_order_acquire);
    /* relaxed: after the cursor, which tells of the epoch that it belongs to */
    if (atomic_load_explicit(&entry->epoch, memory_order_relaxed) != latch->epoch)
        return 0;
    cursor = believe(consumer, cursor);
    if (cursor > latch->passed)
        latch->passed = cursor;
    /* relaxed: one that is evicted later is found out by the next look */
    if (atomic_load_explicit(&verdict->evicted, memory_order_relaxed) == latch->epoch)
        return 0;
    return state != ENTRY_FREE;
}

/* One look at all that are latched; forgets those that are gone. */
static void look_at_all(const struct shmbus_consumer *consumer)
{
    struct after *after = consumer->after;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < after->name_count; i++) {
        after->names[i].slowest = UINT64_MAX;
        after->names[i].there = 0;
        after->names[i].left = 0;
        after->names[i].is_new = 0;
    }
    for (uint32_t i = 0; i < after->latch_count; i++) {
        struct latch *latch = &after->latches[i];
        struct after_name *name = &after->names[latch->name];
        int is_there = look_at(consumer, latch);
        if (latch->passed < name->slowest)
            name->slowest = latch->passed;
        name->there += (uint32_t)is_there;
        name->left += (uint32_t)!is_there;
        if (is_there)
            after->latches[kept++] = *latch;
    }
    after->latch_count = kept;
}

/* What this look says of one name: up to where all of them have passed. */
static uint64_t settle(struct shmbus_consumer *consumer, uint32_t index)
{
    struct after_name *name = &consumer->after->names[index];
    int goes_on = consumer->options.after_gone == SHMBUS_AFTER_GO_ON;
    uint32_t was_gone = name->is_gone;
    if (was_gone && goes_on)
        return UINT64_MAX;
    if (name->slowest != UINT64_MAX && name->slowest > name->passed)
        name->passed = name->slowest;
    if (!goes_on && (name->left > 0 || name->there == 0))
        latch_name(consumer, index);
    name->is_gone = name->there == 0;
    uint64_t passed = name->is_gone && goes_on ? UINT64_MAX : name->passed;
    if (name->is_gone != was_gone)
        consumer_tell(consumer, name->is_gone ? SHMBUS_EVENT_AFTER_GONE : SHMBUS_EVENT_AFTER_BACK,
                      index, 0);
    return passed;
}

/* One look, and what follows from it. Returns whether another may find more: who was latched is
 * looked at by the next one, and who has left no longer holds anybody back. */
static int look(struct shmbus_consumer *consumer)
{
    struct after *after = consumer->after;
    uint64_t limit = UINT64_MAX;
    uint32_t changed = 0;
    look_at_all(consumer);
    for (uint32_t i = 0; i < after->name_count; i++) {
        uint64_t passed = settle(consumer, i);
        /* The callback forked, and this is the child, which has no mapping. */
        if (consumer->failed != 0)
            return 0;
        changed |= after->names[i].is_new | after->names[i].left;
        if (passed < limit)
            limit = passed;
    }
    if (limit > consumer->limit) {
        consumer->limit = limit;
        after->watch_ns = 0;
    }
    return changed != 0;
}

int after_raise(struct shmbus_consumer *consumer)
{
    /* A damaged feed may lead one that runs after nobody to the last number that there is. */
    if (consumer->after == NULL)
        return 1;
    if (look(consumer) && consumer->next >= consumer->limit)
        look(consumer);
    return consumer->failed == 0 && consumer->next < consumer->limit;
}

/* Is its place kept, with time left? Then nothing is to be done about its death. */
static int is_kept(const struct control_entry *entry, int64_t now)
{
    /* relaxed: only says whether to ask the kernel */
    uint32_t state = atomic_load_explicit(&entry->state, memory_order_relaxed);
    int64_t until_ns = atomic_load_explicit(&entry->grace_until_ns, memory_order_relaxed);
    return state == ENTRY_GRACE && now < until_ns;
}

void after_watch(struct shmbus_consumer *consumer)
{
    struct after *after = consumer->after;
    const struct segment *segment = &consumer->segment;
    int64_t now = wait_now();
    if (after->watch_ns == 0)
        after->watch_ns = now + WATCH_EVERY_NS;
    if (now < after->watch_ns)
        return;
    after->watch_ns = now + WATCH_EVERY_NS;
    for (uint32_t i = 0; i < after->latch_count; i++) {
        const struct latch *latch = &after->latches[i];
        if (latch->passed > consumer->next ||
            is_kept(layout_entry(segment->control, consumer->header, latch->index), now))
            continue;
        if (lock_probe(segment->probe_control, LOCK_LIFE + (int64_t)latch->index) != 0)
            continue;
        process_hold();
        recovery_reap_entry(segment, latch->index);
        process_release();
    }
}

const char *after_slowest(const struct shmbus_consumer *consumer)
{
    const struct after *after = consumer->after;
    const struct after_name *slowest = NULL;
    for (uint32_t i = 0; i < after->name_count; i++) {
        const struct after_name *name = &after->names[i];
        if (name->is_gone && consumer->options.after_gone == SHMBUS_AFTER_GO_ON)
            continue;
        if (slowest == NULL || name->passed < slowest->passed)
            slowest = name;
    }
    return slowest != NULL ? slowest->name : "nobody";
}
