/* SPDX-License-Identifier: MIT */
/*
 * A consumer over the small bus: the library's own object, filled in by hand where opening it would
 * take files, and the library's own code for the rest.
 */
#ifndef SHMBUS_MODEL_READER_H
#define SHMBUS_MODEL_READER_H

#include "bus.h"

#include "consumer/consumer.h"

#include "consumer/among.c"
#include "consumer/look.c"
/* A model that has its own way to copy includes it by itself. */
#ifndef MODEL_COPIES
#include "consumer/lend.c"
#endif

static struct shmbus_consumer consumer;
static const _Atomic uint32_t nobody_behind;
static const _Atomic uint64_t nobody_waits;

/* It has this entry, and is at its cursor. */
static inline void reader_begin(uint32_t index, uint32_t kind, uint64_t next)
{
#ifndef MODEL_CHECKER
    memset(&consumer, 0, sizeof consumer);
#endif
    bus_open_ring(&consumer.ring);
    consumer.next = next;
    consumer.stored = next;
    consumer.store_every = 1;
    consumer.epoch = 1;
    consumer.entry = bus_entry(index);
    consumer.eviction = &feed.verdicts[index].evicted;
    consumer.feed = (unsigned char *)&feed;
    consumer.header = &segment.header;
    consumer.state = &feed.state;
    bus_open(&consumer.segment);
    consumer.parked_producers = &nobody_waits;
    consumer.parked_behind = &nobody_behind;
    consumer.options.kind = kind;
    consumer_watch_floor(&consumer);
    consumer.lent_slab = HOLD_COPIED;
    consumer.limit = UINT64_MAX;
    consumer.index = index;
}

#endif
