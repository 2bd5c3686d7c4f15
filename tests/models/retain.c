/* SPDX-License-Identifier: MIT */
/*
 * A required consumer reads a slab in place, holds it before its cursor moves on, reads it again
 * and lets it go; the producer raises its floor and reclaims. The payload is plain: a slab that is
 * reused while it is read, or without order after that, is a race.
 *
 * With -DLEAVE it leaves with the hold, which ends that.
 */
#include "slabs.h"

#include "recovery/reap.c"

static void *produce(void *unused)
{
    (void)unused;
    uint64_t floor = gate_raise(&producer.gate, 1, 1);
    /* At once, and when it was held then, once more. */
    if (!slabs_reuse(floor))
        slabs_reuse(floor);
    return NULL;
}

static void *consume(void *unused)
{
    (void)unused;
    assert(consumer_look(&consumer) != NULL);
    assert(feed.plain[0] == 0);
    hold_slab(&consumer, 0);
    consumer.next++;
    int result = consumer_advance(&consumer);
    assert(result == 0);
    assert(feed.plain[0] == 0);
#ifdef LEAVE
    recovery_clear_entry(consumer.entry, MODEL_SLABS);
#else
    result = unhold_slab(&consumer, 0);
    assert(result == 0);
#endif
    return NULL;
}

static void begin(void)
{
    bus_begin();
    bus_join(0, SHMBUS_REQUIRED, 1, 0);
    writer_begin(1, 0);
    reader_begin(0, SHMBUS_REQUIRED, 0);
    slabs_begin();
}

static void end(void)
{
    assert(bus_get(&bus_entry(0)->holds[0]) == 0 && bus_get(&bus_entry(0)->holding) == 0);
}

int main(void)
{
    static model_thread *const threads[] = {produce, consume};
    model_run(begin, threads, 2, end);
    return 0;
}
