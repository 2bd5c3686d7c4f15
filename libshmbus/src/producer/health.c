/* SPDX-License-Identifier: MIT */
/*
 * How required consumers are doing: who has something to read and does not go on. A stopped
 * consumer is not a dead one; what to do about it is the bus's policy, applied only by a producer
 * that waits.
 */
#include "liveness/liveness.h"
#include "pipeline/pipeline.h"
#include "producer/producer.h"
#include "wait/wait.h"

#include <string.h>

/* What is known of one entry at one time, copied out of words that its consumer writes. */
struct look {
    struct control_entry *entry;
    uint32_t state;
    uint64_t verdict; /* of the entry, before its epoch was read */
    uint64_t epoch;
    uint64_t cursor;
};

/* When all of them are looked at: against which end of the stream, and at what time. */
struct moment {
    uint64_t end;
    int64_t now;
};

static int look_at(const struct shmbus_producer *producer, uint32_t index, struct look *out_look)
{
    struct control_entry *entry = gate_entry(&producer->gate, index);
    out_look->verdict = gate_verdict(&producer->gate, index);
    /* ORDER(health_state:B) pairs join_active:A, leave:A: the entry is filled in before it is
     * active, and says who died in it before it is free */
    uint32_t state = atomic_load_explicit(&entry->state, memory_order_acquire);
    /* relaxed: stored before the state, or told apart by the epoch */
    uint32_t kind = atomic_load_explicit(&entry->kind, memory_order_relaxed);
    if ((state != ENTRY_ACTIVE && state != ENTRY_GRACE) || kind != SHMBUS_REQUIRED)
        return 0;
    out_look->entry = entry;
    out_look->state = state;
    /* relaxed: as above */
    out_look->epoch = atomic_load_explicit(&entry->epoch, memory_order_relaxed);
    out_look->cursor = atomic_load_explicit(&entry->cursor, memory_order_relaxed);
    return 1;
}

/* Does it run after one that stands where it does, or further back? Then it has nothing that it may
 * read, and it is the other that is to be judged. */
static int is_behind(const struct shmbus_producer *producer, uint32_t index)
{
    const struct segment *segment = &producer->segment;
    const struct pipeline pipeline = {
        .control = segment->control,
        .header = &segment->header,
        .verdicts = segment_verdicts(segment),
    };
    return pipeline_is_behind(&pipeline, index);
}

/* Judges progress since the last look. */
static uint32_t judge(const struct shmbus_producer *producer, uint32_t index,
                      const struct look *look, struct health *health, const struct moment *moment)
{
    int64_t now = moment->now;
    uint64_t end = moment->end;
    const struct segment *segment = &producer->segment;
    if (look->verdict == look->epoch)
        return SHMBUS_HEALTH_EVICTED;
    if (lock_probe(segment->probe_control, LOCK_LIFE + (int64_t)index) == 0) {
        /* relaxed: stored before the state, which was acquired */
        int64_t until_ns = atomic_load_explicit(&look->entry->grace_until_ns, memory_order_relaxed);
        int64_t grace_ns;
        racing_copy(&grace_ns, &look->entry->grace_ns, sizeof grace_ns);
        int is_kept = look->state == ENTRY_GRACE ? now < until_ns : grace_ns > 0;
        return is_kept ? SHMBUS_HEALTH_GRACE : SHMBUS_HEALTH_DEAD;
    }
    if (health->epoch != look->epoch || health->cursor != look->cursor || look->cursor >= end) {
        health->since_ns = look->cursor < end ? now : 0;
        return SHMBUS_HEALTH_WELL;
    }
    if (is_behind(producer, index)) {
        health->since_ns = 0;
        return SHMBUS_HEALTH_WELL;
    }
    if (health->since_ns == 0)
        health->since_ns = now;
    return now - health->since_ns >= segment->header.stall_ns ? SHMBUS_HEALTH_STALLED
                                                              : SHMBUS_HEALTH_WELL;
}

static void describe(const struct shmbus_producer *producer, uint32_t index, uint32_t before,
                     const struct moment *moment, struct shmbus_health *out_health)
{
    const struct health *health = &producer->health[index];
    memset(out_health, 0, sizeof *out_health);
    memcpy(out_health->name, health->name, sizeof out_health->name);
    out_health->entry = index;
    out_health->state = health->state;
    out_health->before = before;
    out_health->cursor = health->cursor;
    out_health->lag = health->cursor < moment->end ? moment->end - health->cursor : 0;
    out_health->since_ns = health->since_ns > 0 ? moment->now - health->since_ns : 0;
}

static void tell(struct shmbus_producer *producer, const struct shmbus_health *described)
{
    if (described->state != described->before && producer->on_health != NULL)
        producer->on_health(producer->context, described);
}

/* The one that was seen here last is not here any more. If it died, and somebody else repaired its
 * entry before this producer looked, that is told now. */
static void tell_if_died(struct shmbus_producer *producer, uint32_t index,
                         const struct moment *moment)
{
    struct health *health = &producer->health[index];
    uint32_t before = health->state;
    struct shmbus_health described;
    if (health->epoch == 0 || before == SHMBUS_HEALTH_DEAD || before == SHMBUS_HEALTH_EVICTED)
        return;
    /* relaxed: stored before the state, which was acquired */
    if (atomic_load_explicit(&gate_entry(&producer->gate, index)->died_epoch,
                             memory_order_relaxed) != health->epoch)
        return;
    health->state = SHMBUS_HEALTH_DEAD;
    describe(producer, index, before, moment, &described);
    tell(producer, &described);
}

/* Another producer may be judging the same entry: then it is looked at again next time. */
static void evict(struct shmbus_producer *producer, uint32_t index, const struct look *look,
                  struct health *health)
{
    if (!gate_evict_after(&producer->gate, index, look->verdict, look->epoch))
        return;
    health->state = SHMBUS_HEALTH_EVICTED;
    producer->evicted++;
    /* relaxed: a count for whoever looks on */
    atomic_store_explicit(&producer->entry->evicted, producer->evicted, memory_order_relaxed);
}

/* Does it keep back what the producer waits for: by its cursor, or by holds on slabs of the class?
 */
static int blocks(const struct shmbus_producer *producer, uint32_t index, const struct look *look)
{
    if (look->cursor < producer->needed)
        return 1;
    if (producer->wanting == 0)
        return 0;
    const struct among *among = producer->among;
    if (among == NULL)
        return pool_is_holder(&producer->pool, &producer->pool.classes[producer->wanting - 1],
                              index);
    for (uint64_t left = among->parts_had; left != 0; left &= left - 1) {
        const struct pool *part = among->parts[__builtin_ctzll(left)];
        if (pool_is_holder(part, &part->classes[producer->wanting - 1], index))
            return 1;
    }
    return 0;
}

/* Looks at one of them that is here; keeps what it is seen as. */
static void look_at_one(struct shmbus_producer *producer, uint32_t index, const struct look *look,
                        int blocked, const struct moment *moment, struct shmbus_health *out_health)
{
    const struct segment *segment = &producer->segment;
    struct health *health = &producer->health[index];
    uint32_t before = health->epoch == look->epoch ? health->state : SHMBUS_HEALTH_WELL;
    uint32_t state = judge(producer, index, look, health, moment);
    health->epoch = look->epoch;
    health->cursor = look->cursor;
    health->state = state;
    racing_copy(health->name, look->entry->name, SHMBUS_NAME_MAX);
    if (state == SHMBUS_HEALTH_STALLED && blocked && (segment->header.flags & SHMBUS_BUS_EVICT) &&
        blocks(producer, index, look))
        evict(producer, index, look, health);
    /* relaxed: for whoever looks on */
    atomic_store_explicit(&segment_verdicts(segment)[index].stalled_epoch,
                          state == SHMBUS_HEALTH_STALLED ? look->epoch : 0, memory_order_relaxed);
    describe(producer, index, before, moment, out_health);
}

int producer_look_at_health(struct shmbus_producer *producer, int blocked,
                            struct shmbus_health *out_health, uint32_t room)
{
    struct moment moment = {.end = producer_end(producer), .now = wait_now()};
    uint32_t count = 0;
    for (uint32_t i = 0; i < producer->gate.known; i++) {
        struct shmbus_health described;
        struct look look = {0};
        int is_here = look_at(producer, i, &look);
        if (!is_here || look.epoch != producer->health[i].epoch)
            tell_if_died(producer, i, &moment);
        /* A callback forked, and this is the child, which has no mapping. */
        if (producer->orphaned)
            return producer_refuse(producer);
        if (!is_here)
            continue;
        look_at_one(producer, i, &look, blocked, &moment, &described);
        tell(producer, &described);
        if (producer->orphaned)
            return producer_refuse(producer);
        if (count < room)
            out_health[count] = described;
        count++;
    }
    return (int)count;
}

int shmbus_producer_health(struct shmbus_producer *producer, struct shmbus_health *out_health,
                           uint32_t room)
{
    int result = guard_enter(&producer->guard);
    if (result < 0)
        return result;
    if (producer->orphaned) {
        result = producer_refuse(producer);
    } else {
        gate_look(&producer->gate, producer_end(producer));
        result = producer_look_at_health(producer, 0, out_health, room);
    }
    guard_leave(&producer->guard);
    return result;
}
