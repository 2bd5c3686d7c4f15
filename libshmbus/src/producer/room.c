/* SPDX-License-Identifier: MIT */
/*
 * The producer's slow path: raising the floor when ring or pool is used up, and waiting when that
 * does not help. Dead consumers are found and repaired while it waits.
 */
#include "error/error.h"
#include "producer/producer.h"
#include "recovery/recovery.h"
#include "wait/wait.h"

void producer_store_tail(struct shmbus_producer *producer)
{
    /* A call that is going on in the child, if the fork was in its callback, stores nothing. */
    if (producer->orphaned)
        return;
    if (producer->among != NULL) {
        among_store_tail(producer);
        return;
    }
    producer->published += producer->next - producer->begun_at;
    producer->begun_at = producer->next;
    /* relaxed: a count for whoever looks on */
    atomic_store_explicit(&producer->entry->published, producer->published, memory_order_relaxed);
    /* ORDER(tail:A) pairs join_tail:B, look_tail:B, slack_tail:B, after_tail:B, among_tail:B,
     * join_producers:B: the stamps below the hint are there */
    atomic_store_explicit(producer->tail_word, producer->next, memory_order_release);
}

uint64_t producer_end(struct shmbus_producer *producer)
{
    return producer->among != NULL ? among_store_tail(producer) : producer->next;
}

void producer_count_blocked(struct shmbus_producer *producer)
{
    producer->blocked++;
    /* relaxed: a count for whoever looks on */
    atomic_store_explicit(&producer->entry->blocked, producer->blocked, memory_order_relaxed);
}

void producer_count_exhausted(struct shmbus_producer *producer, uint32_t class_index,
                              uint64_t exhausted)
{
    producer->exhausted++;
    /* relaxed: a count for whoever looks on */
    atomic_store_explicit(&producer->entry->exhausted, producer->exhausted, memory_order_relaxed);
    if (producer->on_exhausted != NULL)
        producer->on_exhausted(producer->context, class_index, exhausted);
}

int producer_refuse(const struct shmbus_producer *producer)
{
    if (producer->orphaned)
        return error_constant(-ECHILD, "the producer is another process's (open it again after "
                                       "fork)");
    if (producer->among != NULL && producer->among->failed != 0)
        return error_constant(producer->among->failed,
                              "this producer was taken for dead, and its claim aborted (close it "
                              "and open it again)");
    return error_constant(-EBUSY, "a claim is open (commit or abort it first)");
}

static void set_limit(struct shmbus_producer *producer, uint64_t floor)
{
    uint64_t capacity = producer->ring.mask + 1;
    if (producer->among != NULL)
        producer->among->limit = floor + capacity;
    else
        producer->limit = floor < producer->gap_to ? 0 : floor + capacity;
}

/* History is kept below the end unless what blocks needs it; no floor stands inside a long skipped
 * range. */
void producer_raise_floor(struct shmbus_producer *producer, uint64_t needed)
{
    uint64_t end = producer_end(producer);
    uint64_t capacity = producer->ring.mask + 1;
    uint64_t history = producer->segment.header.history;
    uint64_t wanted = needed + capacity / 4;
    uint64_t kept = end > history ? end - history : 0;
    if (wanted > kept)
        wanted = kept > needed ? kept : needed;
    if (wanted >= producer->gap_from && wanted < producer->gap_to)
        wanted = producer->gap_to;
    if (wanted > end)
        wanted = end;
    producer->needed = needed;
    uint64_t floor = gate_raise(&producer->gate, wanted, end);
    set_limit(producer, floor);
    if (history > 0 && floor > kept && floor >= needed) {
        producer->history_yielded++;
        /* relaxed: a count for whoever looks on */
        atomic_store_explicit(&producer->entry->history_yielded, producer->history_yielded,
                              memory_order_relaxed);
    }
}

static int has_room(struct shmbus_producer *producer, uint64_t count)
{
    uint64_t end = producer->next + count;
    if (end > producer->limit) {
        uint64_t capacity = producer->ring.mask + 1;
        uint64_t needed = end > capacity ? end - capacity : 0;
        producer_raise_floor(producer, needed > producer->gap_to ? needed : producer->gap_to);
    }
    return end <= producer->limit;
}

/* Finds out who died or is stalled, and repairs or evicts. */
static void look_around(struct shmbus_producer *producer, int blocked)
{
    /* Whoever joined since the last raise may be dead, and hold what is waited for. */
    gate_look(&producer->gate, producer_end(producer));
    producer_look_at_health(producer, blocked, NULL, 0);
    if (producer->orphaned)
        return;
    recovery_reap(&producer->segment, producer->gate.known);
    if (producer->among != NULL)
        recovery_repair_producers(&producer->segment, &producer->ring);
}

void producer_more_room(struct shmbus_producer *producer, uint64_t count)
{
    uint64_t capacity = producer->ring.mask + 1;
    uint64_t end = producer->next + (count < capacity ? count : capacity);
    if (end > producer->limit && end > capacity && producer->gap_to <= producer->gate.floor)
        producer_raise_floor(producer, end - capacity);
}

static struct waiter begin_to_wait(struct shmbus_producer *producer, int64_t timeout_ns)
{
    struct waiter waiter = wait_begin_as(&producer->wait, timeout_ns, &producer->entry->waiting);
    waiter.door = producer->door.word != NULL ? &producer->door : NULL;
    producer_store_tail(producer);
    return waiter;
}

/* A step of waiting until required consumers have a cursor of at least so much, or, when it is 0,
 * until any of them moves or releases. */
static int step_towards(struct shmbus_producer *producer, struct waiter *waiter, uint64_t target)
{
    _Atomic uint64_t *waits_for = &producer->entry->waits_for;
    /* relaxed: its own word; its bit releases it */
    if (atomic_load_explicit(waits_for, memory_order_relaxed) != target) {
        wait_anew(waiter);
        /* relaxed: as above */
        atomic_store_explicit(waits_for, target, memory_order_relaxed);
    }
    return wait_step(waiter);
}

/* A callback may fork, which in the child ends it. */
int producer_wait_until(struct shmbus_producer *producer,
                        int (*done)(struct shmbus_producer *producer, void *context), void *context,
                        int full, const char *text)
{
    if (producer->orphaned)
        return producer_refuse(producer);
    struct waiter waiter = begin_to_wait(producer, producer->full_timeout_ns);
    for (;;) {
        int step = step_towards(producer, &waiter, producer->wanting ? 0 : producer->needed);
        if (step == WAIT_PROBE || step < 0)
            look_around(producer, 1);
        if (producer->orphaned)
            return producer_refuse(producer);
        int is_done = done(producer, context);
        if (!is_done && step >= 0)
            continue;
        wait_end(&waiter);
        return is_done ? 0 : error_constant(full, text);
    }
}

static int ring_done(struct shmbus_producer *producer, void *context)
{
    const uint64_t *count = context;
    return has_room(producer, *count);
}

int producer_make_room(struct shmbus_producer *producer)
{
    return producer_make_room_for(producer, 1);
}

int producer_make_room_for(struct shmbus_producer *producer, uint64_t count)
{
    if (producer->orphaned || producer->claim != CLAIM_NONE)
        return producer_refuse(producer);
    if (producer->among != NULL)
        return producer->among->failed != 0 ? producer_refuse(producer) : READY_AMONG;
    if (has_room(producer, count))
        return 0;
    producer_count_blocked(producer);
    return producer_wait_until(producer, ring_done, &count, -EAGAIN,
                               "the ring is full: a required consumer is a whole ring behind (see "
                               "shmbus-stat for which)");
}

struct slab_wish {
    uint32_t class_index;
    uint32_t count;
};

static int slabs_done(struct shmbus_producer *producer, void *context)
{
    const struct slab_wish *wish = context;
    struct pool_class *from = &producer->pool.classes[wish->class_index];
    /* First with the floor as it is, then with one raised for the oldest slab in flight. Ends: each
     * round raises the floor, which is at most the tail. */
    for (;;) {
        pool_reclaim(&producer->pool, from, producer->gate.floor);
        if (from->free_count >= wish->count)
            return 1;
        uint64_t before = producer->gate.floor;
        uint64_t needed = pool_wanted_floor(from);
        if (needed > before)
            producer_raise_floor(producer, needed);
        if (producer->gate.floor == before)
            return 0;
    }
}

int producer_need_slabs(struct shmbus_producer *producer, uint32_t class_index, uint32_t count)
{
    struct slab_wish wish = {class_index, count};
    struct pool_class *from = &producer->pool.classes[class_index];
    if (from->free_count >= count || slabs_done(producer, &wish))
        return 0;
    pool_count_exhausted(from);
    producer_count_exhausted(producer, class_index, from->exhausted);
    producer->wanting = class_index + 1;
    int result =
        producer_wait_until(producer, slabs_done, &wish, -ENOBUFS,
                            "no slab is left in the class: consumers lag or hold, or the pool is "
                            "too small (see shmbus-stat)");
    producer->wanting = 0;
    return result;
}

/* Waits until no required consumer is below target. */
static int wait_passed(struct shmbus_producer *producer, uint64_t target, int64_t timeout_ns)
{
    struct waiter waiter = begin_to_wait(producer, timeout_ns);
    int step = WAIT_GO_ON;
    for (;;) {
        struct gate_scan scan = gate_look(&producer->gate, producer_end(producer));
        int is_done = scan.required == 0 || scan.slowest >= target;
        if (is_done || step < 0) {
            wait_end(&waiter);
            return is_done ? 0
                           : error_constant(-ETIMEDOUT, "a required consumer has not consumed it "
                                                        "yet (see shmbus-stat for which)");
        }
        step = step_towards(producer, &waiter, target);
        if (step == WAIT_PROBE || step < 0)
            look_around(producer, 0);
        if (producer->orphaned)
            return producer_refuse(producer);
    }
}

int shmbus_producer_flush(struct shmbus_producer *producer, int64_t timeout_ns)
{
    int result = guard_enter(&producer->guard);
    if (result < 0)
        return result;
    if (producer->orphaned || producer->claim != CLAIM_NONE)
        result = producer_refuse(producer);
    else
        result =
            wait_passed(producer, producer->among != NULL ? producer->among->ended : producer->next,
                        timeout_ns);
    guard_leave(&producer->guard);
    return result;
}

int shmbus_producer_wait_consumed(struct shmbus_producer *producer, uint64_t sequence,
                                  int64_t timeout_ns)
{
    int result = guard_enter(&producer->guard);
    if (result < 0)
        return result;
    if (producer->orphaned || producer->claim != CLAIM_NONE)
        result = producer_refuse(producer);
    else if (sequence >= producer->next)
        result = error_set(-EINVAL, "sequence %llu is not published yet; the next one is %llu",
                           (unsigned long long)sequence, (unsigned long long)producer->next);
    else
        result = wait_passed(producer, sequence + 1, timeout_ns);
    guard_leave(&producer->guard);
    return result;
}

int shmbus_producer_required(struct shmbus_producer *producer, uint64_t *out_lag)
{
    int result = guard_enter(&producer->guard);
    if (result < 0)
        return result;
    if (producer->orphaned) {
        result = producer_refuse(producer);
    } else {
        uint64_t end = producer_end(producer);
        struct gate_scan scan = gate_look(&producer->gate, end);
        if (out_lag != NULL)
            *out_lag = end - scan.slowest;
        result = (int)scan.required;
    }
    guard_leave(&producer->guard);
    return result;
}
