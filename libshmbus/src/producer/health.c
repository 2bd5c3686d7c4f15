/* SPDX-License-Identifier: MIT */
/*
 * How required consumers are doing: who has something to read and does not go on. A stopped
 * consumer is not a dead one; what to do about it is the bus's policy, applied only by a producer
 * that waits.
 */
#include "liveness/liveness.h"
#include "producer/producer.h"
#include "wait/wait.h"

#include <string.h>

/* What is known of one entry at one time, copied out of words that its consumer writes. */
struct look {
    struct control_entry *entry;
    uint32_t state;
    uint64_t epoch;
    uint64_t cursor;
};

static int look_at(const struct shmbus_producer *producer, uint32_t index, struct look *out_look)
{
    struct control_entry *entry = gate_entry(&producer->gate, index);
    /* ORDER(health_state:B) pairs join_active:A: the entry is filled in before it is active */
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

/* Judges progress since the last look. */
static uint32_t judge(const struct shmbus_producer *producer, uint32_t index,
                      const struct look *look, struct health *health, int64_t now)
{
    const struct segment *segment = &producer->segment;
    if (gate_is_evicted(&producer->gate, index, look->epoch))
        return SHMBUS_HEALTH_EVICTED;
    if (lock_probe(segment->probe_control, LOCK_LIFE + (int64_t)index) == 0) {
        /* relaxed: stored before the state, which was acquired */
        int64_t until_ns = atomic_load_explicit(&look->entry->grace_until_ns, memory_order_relaxed);
        int is_kept = look->state == ENTRY_GRACE ? now < until_ns : look->entry->grace_ns > 0;
        return is_kept ? SHMBUS_HEALTH_GRACE : SHMBUS_HEALTH_DEAD;
    }
    if (health->epoch != look->epoch || health->cursor != look->cursor ||
        look->cursor >= producer->next) {
        health->since_ns = look->cursor < producer->next ? now : 0;
        return SHMBUS_HEALTH_WELL;
    }
    if (health->since_ns == 0)
        health->since_ns = now;
    return now - health->since_ns >= segment->header.stall_ns ? SHMBUS_HEALTH_STALLED
                                                              : SHMBUS_HEALTH_WELL;
}

static void describe(const struct shmbus_producer *producer, uint32_t index,
                     const struct look *look, const struct health *health, uint32_t before,
                     int64_t now, struct shmbus_health *out_health)
{
    memset(out_health, 0, sizeof *out_health);
    memcpy(out_health->name, look->entry->name, SHMBUS_NAME_MAX);
    out_health->entry = index;
    out_health->state = health->state;
    out_health->before = before;
    out_health->cursor = look->cursor;
    out_health->lag = look->cursor < producer->next ? producer->next - look->cursor : 0;
    out_health->since_ns = health->since_ns > 0 ? now - health->since_ns : 0;
}

static void evict(struct shmbus_producer *producer, uint32_t index, struct health *health)
{
    gate_evict(&producer->gate, index, health->epoch);
    health->state = SHMBUS_HEALTH_EVICTED;
    producer->evicted++;
    /* relaxed: a count for whoever looks on */
    atomic_store_explicit(&producer->entry->evicted, producer->evicted, memory_order_relaxed);
}

/* Does it keep back what the producer waits for: by its cursor, or by holds on slabs of the class?
 */
static int blocks(const struct shmbus_producer *producer, uint32_t index, const struct look *look)
{
    return look->cursor < producer->needed ||
           (producer->wanting != NULL && pool_is_holder(&producer->pool, producer->wanting, index));
}

int producer_look_at_health(struct shmbus_producer *producer, int blocked,
                            struct shmbus_health *out_health, uint32_t room)
{
    const struct feed_header *header = &producer->segment.header;
    int64_t now = wait_now();
    uint32_t count = 0;
    for (uint32_t i = 0; i < producer->gate.known; i++) {
        struct health *health = &producer->health[i];
        struct shmbus_health described;
        struct look look;
        if (!look_at(producer, i, &look))
            continue;
        uint32_t before = health->epoch == look.epoch ? health->state : SHMBUS_HEALTH_WELL;
        uint32_t state = judge(producer, i, &look, health, now);
        health->epoch = look.epoch;
        health->cursor = look.cursor;
        health->state = state;
        if (state == SHMBUS_HEALTH_STALLED && blocked && (header->flags & SHMBUS_BUS_EVICT) &&
            blocks(producer, i, &look))
            evict(producer, i, health);
        /* relaxed: for whoever looks on */
        atomic_store_explicit(&segment_verdicts(&producer->segment)[i].stalled_epoch,
                              state == SHMBUS_HEALTH_STALLED ? look.epoch : 0,
                              memory_order_relaxed);
        describe(producer, i, &look, health, before, now, &described);
        if (health->state != before && producer->on_health != NULL)
            producer->on_health(producer->context, &described);
        /* The callback forked, and this is the child, which has no mapping. */
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
        gate_look(&producer->gate, producer->next);
        result = producer_look_at_health(producer, 0, out_health, room);
    }
    guard_leave(&producer->guard);
    return result;
}
