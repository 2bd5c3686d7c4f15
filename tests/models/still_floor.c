/* SPDX-License-Identifier: MIT */
/*
 * What docs/decisions/0004-look-again.md rests on: the floor of a producer that is alone is never
 * above what an honest consumer has stored, but for the moment of a raise. So one that reads in
 * place, and whose cursor somebody forges and puts back, asks after its reads whether the floor is
 * above its stored cursor: if it is not, nothing that it read was overwritten, neither a slot nor a
 * slab (-DSLAB). If it is, that says nothing yet, and slots and slabs are looked at.
 *
 * With -DHONEST nobody forges, and the producer raises its floor for what it wants and again for
 * what the consumer allows: then a floor that stays above the cursor would be a false alarm.
 */
#ifndef SLAB
#define MODEL_CAPACITY 1
#endif

#include "slabs.h"

/* After every read of payloads: may anything from the stored cursor on be overwritten? */
static int is_floor_above(uint64_t stored)
{
    atomic_thread_fence(memory_order_acquire);
    return bus_get(&feed.producers[0].floor) > stored;
}

#ifndef HONEST
static void *forge(void *unused)
{
    (void)unused;
    bus_set(&bus_entry(0)->cursor, 1);
    bus_set(&bus_entry(0)->cursor, 0);
    return NULL;
}
#endif

static void *produce(void *unused)
{
    (void)unused;
    if (gate_raise(&producer.gate, 1, 1) < 1)
        return NULL;
#ifdef SLAB
    slabs_reuse(1);
#else
    ring_mark(&bus_slot(1)->header, 1, STAMP_WRITING);
    bus_set(&bus_slot(1)->shared, 1);
#endif
    return NULL;
}

static void *consume(void *unused)
{
    (void)unused;
#ifdef SLAB
    uint64_t payload = bus_get(&feed.shared[0]);
#else
    uint64_t payload = bus_get(&bus_slot(0)->shared);
#endif
    if (!is_floor_above(consumer.stored))
        assert(payload == 0);
#ifdef HONEST
    assert(payload == 0);
    consumer.next++;
    int result = consumer_advance(&consumer);
    assert(result == 0);
#endif
    return NULL;
}

static void begin(void)
{
    bus_begin();
    bus_publish(0, 0);
    bus_join(0, SHMBUS_REQUIRED, 1, 0);
    writer_begin(1, 0);
    reader_begin(0, SHMBUS_REQUIRED, 0);
#ifdef SLAB
    slabs_begin();
#endif
}

static void end(void)
{
#ifdef HONEST
    assert(!is_floor_above(consumer.next));
#endif
}

int main(void)
{
#ifdef HONEST
    static model_thread *const threads[] = {produce, consume};
    model_run(begin, threads, 2, end);
#else
    static model_thread *const threads[] = {forge, produce, consume};
    model_run(begin, threads, 3, end);
#endif
    return 0;
}
