/* SPDX-License-Identifier: MIT */
/*
 * What a consumer finds at its cursor: a message, a hole, a lap, the end, or its own death. What a
 * slot says is copied once and checked before it is used.
 */
#include "consumer/after.h"
#include "error/error.h"
#include "wait/wait.h"

#include <inttypes.h>
#include <string.h>

/* A ring of one slot that nothing is ever published in. */
static struct {
    alignas(SHMBUS_SLOT_BYTES_MAX) unsigned char bytes[SHMBUS_SLOT_BYTES_MAX];
} nothing;

int consumer_fail(struct shmbus_consumer *consumer, int code, const char *why)
{
    consumer->failed = code;
    consumer->why = why;
    consumer->trusted = consumer->next;
    consumer->stored = consumer->next;
    consumer->is_lent = 0;
    consumer->limit = UINT64_MAX;
    consumer->ring.slots = nothing.bytes;
    consumer->ring.mask = 0;
    return code;
}

static int orphaned(void)
{
    return error_constant(-ECHILD, "the consumer is another process's (open it again after fork)");
}

int consumer_evicted(struct shmbus_consumer *consumer)
{
    /* relaxed: only chooses the text */
    int by_producer =
        atomic_load_explicit(consumer->eviction, memory_order_relaxed) == consumer->epoch;
    const char *who =
        by_producer ? "evicted by the producer" : "somebody else changed this consumer's words";
    if (consumer->next > consumer->stored)
        error_set(-ESTALE,
                  "%s: do not trust messages from %" PRIu64 " to %" PRIu64
                  ", nor what is held (join again)",
                  who, consumer->stored, consumer->next - 1);
    else
        error_set(-ESTALE,
                  "%s: messages below %" PRIu64 " were read in time; do not trust what is held "
                  "(join again)",
                  who, consumer->next);
    uint64_t trusted = consumer->stored;
    consumer_fail(consumer, -ESTALE,
                  by_producer ? "evicted by the producer (join again)"
                              : "somebody else changed this consumer's words: do not trust what it "
                                "read last, nor what is held (join again)");
    consumer->trusted = trusted;
    return -ESTALE;
}

/* Are this consumer's words as it left them, and is it not evicted? Called after the payloads were
 * read and before the cursor moves on. */
static inline int own_words_changed(const struct shmbus_consumer *consumer)
{
    const struct control_entry *entry = consumer->entry;
    /* ORDER(own_words:B) pairs evict:A, ring_mark:A, reclaim:A, settle:A: payloads were read before
     * the eviction, and the floor, are looked at */
    atomic_thread_fence(memory_order_acquire);
    /* relaxed: the fence above orders the eviction; the others are this consumer's own */
    return atomic_load_explicit(consumer->eviction, memory_order_relaxed) == consumer->epoch ||
           atomic_load_explicit(&entry->cursor, memory_order_relaxed) != consumer->stored ||
           atomic_load_explicit(&entry->epoch, memory_order_relaxed) != consumer->epoch ||
           atomic_load_explicit(&entry->kind, memory_order_relaxed) != consumer->options.kind ||
           atomic_load_explicit(&entry->holding, memory_order_relaxed) != consumer->holds.bits ||
           atomic_load_explicit(&entry->state, memory_order_relaxed) != ENTRY_ACTIVE;
}

/* Was anything of what a required one read in place since it stored its cursor overwritten? That
 * may be though its words are as it left them: somebody forged its cursor, and put it back. Whoever
 * overwrites has raised the floor above that first, and no floor goes down again below what was
 * given away; above an honest one's cursor it is only in the middle of a raise. */
static inline int was_overwritten(const struct shmbus_consumer *consumer)
{
    /* relaxed: the fence of own_words_changed() orders it */
    uint64_t floor = atomic_load_explicit(consumer->floor, memory_order_relaxed);
    return __builtin_expect(floor > consumer->stored, 0) && consumer_was_overwritten(consumer);
}

int consumer_words_changed(const struct shmbus_consumer *consumer)
{
    return consumer->entry != NULL && (own_words_changed(consumer) || was_overwritten(consumer));
}

int consumer_advance(struct shmbus_consumer *consumer)
{
    struct control_entry *entry = consumer->entry;
    if (entry == NULL) {
        consumer->stored = consumer->next;
        return consumer->orphaned ? orphaned() : 0;
    }
    if (own_words_changed(consumer) || was_overwritten(consumer))
        return consumer_evicted(consumer);
    /* relaxed: a count for whoever looks on */
    atomic_store_explicit(&entry->received, consumer->received, memory_order_relaxed);
    /* ORDER(cursor:A) pairs gate_scan:B, after_cursor:B: payloads are read, and holds set, before
     * the cursor */
    atomic_store_explicit(&entry->cursor, consumer->next, memory_order_release);
    if (consumer_has_parked(consumer))
        consumer_wake(consumer, consumer->stored, consumer->next);
    consumer->stored = consumer->next;
    return 0;
}

void consumer_tell(const struct shmbus_consumer *consumer, uint32_t kind, uint64_t first,
                   uint64_t count)
{
    struct shmbus_event event = {.kind = kind, .first = first, .count = count};
    if (consumer->options.on_event != NULL)
        consumer->options.on_event(consumer->options.context, &event);
}

static void show(_Atomic uint64_t *word, uint64_t count)
{
    /* relaxed: a count for whoever looks on */
    atomic_store_explicit(word, count, memory_order_relaxed);
}

void consumer_tell_lost(struct shmbus_consumer *consumer, uint64_t first, uint64_t count)
{
    consumer->lost += count;
    if (consumer->entry != NULL)
        show(&consumer->entry->lost, consumer->lost);
    consumer->next = first + count;
    consumer_tell(consumer, SHMBUS_EVENT_LOST, first, count);
}

void consumer_go_past_aborted(struct shmbus_consumer *consumer)
{
    uint64_t first = consumer->next++;
    consumer->aborted++;
    if (consumer->entry != NULL)
        show(&consumer->entry->aborted, consumer->aborted);
    consumer_tell(consumer, SHMBUS_EVENT_ABORTED, first, 1);
}

static void go_past_unwanted(struct shmbus_consumer *consumer)
{
    consumer->next++;
    consumer->filtered++;
    if (consumer->entry != NULL)
        show(&consumer->entry->filtered, consumer->filtered);
}

/* Is this one of those that do not gate, and below the floor? */
static int is_below_floor(const struct shmbus_consumer *consumer, uint64_t *out_floor)
{
    /* One that failed has no stream any more, and after a fork no mapping. */
    if (consumer->options.kind == SHMBUS_REQUIRED || consumer->failed != 0)
        return 0;
    *out_floor = consumer_floor(consumer);
    return *out_floor > consumer->next;
}

/* Nothing is at next. Below the floor it never will be, since it was there: lapped, or voided by a
 * takeover. Then it goes on at the floor, and what was missed is counted exactly. Returns whether
 * there is something to look at. */
static int goes_to_floor(struct shmbus_consumer *consumer)
{
    uint64_t floor;
    if (!is_below_floor(consumer, &floor))
        return 0;
    uint64_t stamp = ring_poll(ring_slot(&consumer->ring, consumer->next));
    /* It may have come between the first look and the floor. */
    if (!ring_is_final(stamp, consumer->next))
        consumer_tell_lost(consumer, consumer->next, floor - consumer->next);
    return 1;
}

/* An optional consumer with a slack goes to the tail when it is further behind. The hint may lag
 * itself, so a stamp is looked at first, and the tail is found by walking. */
static int skips_ahead(struct shmbus_consumer *consumer)
{
    uint64_t slack = consumer->options.slack;
    if (slack == 0 || consumer->options.kind == SHMBUS_REQUIRED)
        return 0;
    /* ORDER(slack_tail:B) pairs tail:A, among_tail_up:A: the hint before the stamps below it */
    uint64_t hint = atomic_load_explicit(&consumer->state->tail, memory_order_acquire);
    uint64_t from = hint > consumer->next ? hint : consumer->next;
    if (from - consumer->next <= slack) {
        uint64_t limit = consumer->next + slack;
        if (slack > consumer->ring.mask ||
            !ring_is_final(ring_poll(ring_slot(&consumer->ring, limit)), limit))
            return 0;
    }
    uint64_t tail = ring_find_tail(&consumer->ring, from);
    if (tail - consumer->next <= slack)
        return 0;
    consumer_tell_lost(consumer, consumer->next, tail - consumer->next);
    return 1;
}

static int is_wanted(const struct shmbus_consumer *consumer, struct slot_header *slot)
{
    if (consumer->wanted == NULL)
        return 1;
    uint32_t type = meta_type(ring_meta(slot));
    return (consumer->wanted[type / 64] & UINT64_C(1) << (type % 64)) != 0;
}

/* The message at next is there. Returns 1 if it is to be read, 0 if it was gone past. */
static int take_or_go_past(struct shmbus_consumer *consumer, struct slot_header *slot,
                           uint64_t stamp)
{
    if (skips_ahead(consumer))
        return 0;
    if (is_wanted(consumer, slot))
        return 1;
    /* Of one that is being overwritten the type may be the next one's. */
    if (ring_recheck(slot, stamp))
        go_past_unwanted(consumer);
    return 0;
}

/* Is it at the limit that those that it runs after set? One that runs after nobody has none, though
 * a damaged feed may lead it to the last number that there is. */
static inline int is_at_limit(const struct shmbus_consumer *consumer)
{
    return consumer->next >= consumer->limit && consumer->after != NULL;
}

int consumer_is_behind(const struct shmbus_consumer *consumer)
{
    return is_at_limit(consumer) &&
           ring_is_final(ring_poll(ring_slot(&consumer->ring, consumer->next)), consumer->next);
}

/* At the limit, with something at next: a message, or among many producers a hole. */
static int waits_for_others(const struct shmbus_consumer *consumer)
{
    return is_at_limit(consumer) &&
           stamp_is_of(ring_poll(ring_slot(&consumer->ring, consumer->next)), consumer->next);
}

/* next is at the limit: is there a message, which those that it runs after have not passed? */
static int is_held_back(struct shmbus_consumer *consumer, uint64_t stamp)
{
    return ring_is_final(stamp, consumer->next) && !after_raise(consumer);
}

struct slot_header *consumer_look(struct shmbus_consumer *consumer)
{
    /* Ends: each round goes on in the stream, which the producer writes at a finite speed; a
     * required one moves its cursor, and others are told of laps, every so often in between. */
    for (;;) {
        struct slot_header *slot = ring_slot(&consumer->ring, consumer->next);
        uint64_t stamp = ring_poll(slot);
        if (consumer->next >= consumer->limit && is_held_back(consumer, stamp))
            return NULL;
        if (stamp == stamp_make(consumer->next, STAMP_PUBLISHED)) {
            if (take_or_go_past(consumer, slot, stamp))
                return slot;
        } else if (stamp == stamp_make(consumer->next, STAMP_ABORTED)) {
            consumer_go_past_aborted(consumer);
        } else if (stamp == stamp_make(consumer->next, STAMP_SKIPPED)) {
            uint64_t target = ring_after(&consumer->ring, slot, stamp, consumer->next);
            if (ring_recheck(slot, stamp))
                consumer_tell_lost(consumer, consumer->next, target - consumer->next);
        } else if (!goes_to_floor(consumer)) {
            return NULL;
        }
        if (consumer->next - consumer->stored >= consumer->store_every &&
            consumer_advance(consumer) < 0)
            return NULL;
    }
}

/* The clock of the deadline runs from the first time that nothing was there after a message. What
 * is lost or not wanted is no message. */
static void watch_deadline(struct shmbus_consumer *consumer)
{
    int64_t now = wait_now();
    if (consumer->deadline_at != consumer->received || consumer->deadline_from == 0) {
        consumer->deadline_at = consumer->received;
        consumer->deadline_from = now;
    } else if (consumer->deadline_from < INT64_MAX &&
               now - consumer->deadline_from >= consumer->options.deadline_ns) {
        consumer->deadline_from = INT64_MAX;
        consumer_tell(consumer, SHMBUS_EVENT_DEADLINE, consumer->next, 0);
    }
}

/* The stream has ended in this segment, unless a message came with the end. */
static int ended(struct shmbus_consumer *consumer, uint32_t state)
{
    uint64_t floor;
    if (state == BUS_CLOSED && !consumer_stream_ended(consumer))
        return 0;
    uint64_t stamp = ring_poll(ring_slot(&consumer->ring, consumer->next));
    if (ring_is_final(stamp, consumer->next) || is_below_floor(consumer, &floor))
        return is_at_limit(consumer) ? 0 : CONSUMER_AGAIN;
    if (state == BUS_CLOSED)
        return error_constant(-EPIPE, "the stream has ended and all of it was read");
    static const char why[] = "the bus was replaced by one of another geometry (open it again)";
    return consumer_fail(consumer, error_constant(-ESTALE, why), why);
}

int consumer_nothing_there(struct shmbus_consumer *consumer)
{
    if (consumer->orphaned)
        return orphaned();
    if (consumer->failed != 0)
        return error_constant(consumer->failed, consumer->why);
    int result = consumer->stored != consumer->next ? consumer_advance(consumer) : 0;
    if (result < 0)
        return result;
    if (consumer_words_changed(consumer))
        return consumer_evicted(consumer);
    if (waits_for_others(consumer))
        after_watch(consumer);
    if (consumer->header->max_producers > 1 && consumer_steps_over(consumer, 0))
        return CONSUMER_AGAIN;
    /* ORDER(bus_state:B) pairs close:A, end:A, open:A, replaced:A: the end before the last look at
     * the stamp */
    uint32_t state = atomic_load_explicit(&consumer->state->bus_state, memory_order_seq_cst);
    if (state == BUS_CLOSED || state == BUS_REPLACED)
        result = ended(consumer, state);
    if (result != 0)
        return result;
    if (consumer->options.deadline_ns > 0)
        watch_deadline(consumer);
    if (consumer->event != NULL)
        consumer_event_arm(consumer);
    return 0;
}
