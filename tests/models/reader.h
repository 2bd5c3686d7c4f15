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

/* One has this entry, and is at its cursor. */
static inline void reader_begin_one(struct shmbus_consumer *one, uint32_t index, uint32_t kind,
                                    uint64_t next)
{
#ifndef MODEL_CHECKER
    memset(one, 0, sizeof *one);
#endif
    bus_open_ring(&one->ring);
    one->next = next;
    one->stored = next;
    one->store_every = 1;
    one->epoch = 1;
    one->entry = bus_entry(index);
    one->eviction = &feed.verdicts[index].evicted;
    one->feed = (unsigned char *)&feed;
    one->generations = feed.generations;
    one->header = &segment.header;
    one->state = &feed.state;
    bus_open(&one->segment);
    one->parked_producers = &nobody_waits;
    one->parked_behind = &nobody_behind;
    one->options.kind = kind;
    consumer_watch_floor(one);
    one->lent_slab = HOLD_COPIED;
    one->limit = UINT64_MAX;
    one->index = index;
}

static inline void reader_begin(uint32_t index, uint32_t kind, uint64_t next)
{
    reader_begin_one(&consumer, index, kind, next);
}

#endif
