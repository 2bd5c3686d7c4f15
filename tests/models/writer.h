/* SPDX-License-Identifier: MIT */
/*
 * A producer that is alone, over the small bus: the library's own object, filled in by hand where
 * opening it would take files, and the library's own code for the rest.
 */
#ifndef SHMBUS_MODEL_WRITER_H
#define SHMBUS_MODEL_WRITER_H

#include "bus.h"

#include "producer/producer.h"

#include "producer/claim.c"
#include "producer/room.c"
#include "ring/claim.c"
#include "ring/gate.c"
#include "ring/ring.c"

static struct shmbus_producer producer;
static struct gate_seen seen[MODEL_CONSUMERS];
static const _Atomic uint32_t nobody_parked;

/* It goes on at next, with this floor. */
static inline void writer_begin(uint64_t next, uint64_t floor)
{
#ifndef MODEL_CHECKER
    memset(&producer, 0, sizeof producer);
    memset(seen, 0, sizeof seen);
#endif
    bus_open_ring(&producer.ring);
    producer.next = next;
    producer.begun_at = next;
    producer.limit = floor + MODEL_CAPACITY;
    producer.tail_mask = UINT64_MAX;
    producer.entry = &feed.producers[0];
    producer.tail_word = &feed.state.tail;
    producer.parked = &nobody_parked;
    bus_open(&producer.segment);
    struct gate *gate = &producer.gate;
    gate->floor_word = &feed.producers[0].floor;
    gate->verdicts = feed.verdicts;
    gate->entries_used = &control.shared.entries_used;
    gate->entries = (unsigned char *)control.entries;
    gate->entry_bytes = MODEL_ENTRY_BYTES;
    gate->max_consumers = MODEL_CONSUMERS;
    gate->floor = floor;
    gate->shown = floor;
    gate->seen = seen;
    gate->header = &segment.header;
    gate->feed = (unsigned char *)&feed;
    bus_set(&feed.producers[0].floor, floor);
    bus_set(&feed.state.tail, next);
}

/* Publishes one message by claim and commit, if there is room without waiting. */
static inline int writer_publish(void)
{
    struct shmbus_claim lent;
    if (producer.next >= producer.limit && !has_room(&producer, 1))
        return 0;
    if (shmbus_producer_claim(&producer, sizeof(uint64_t), &lent) < 0)
        return 0;
    struct model_slot *slot = bus_slot(producer.next);
    slot->plain = producer.next;
    return shmbus_producer_commit(&producer, &lent, 1, 0) == 0;
}

#endif
