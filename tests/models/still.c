/* SPDX-License-Identifier: MIT */
/*
 * Somebody forges the cursor of a required consumer that reads in place, and puts it back. The
 * producer overwrites what is being read, if it saw the forged one: whoever read a byte of the next
 * message finds that out when it looks again (docs/decisions/0004-look-again.md).
 *
 * What is overwritten is a slot, by a producer that is alone or one among many (-DCLAIM), or a slab
 * (-DSLAB). With -DADVANCE the consumer looks as it does whenever it moves its cursor on: at the
 * floor first; the other forms are for the one look at a slot or slab that follows.
 */
#ifndef SLAB
#define MODEL_CAPACITY 1
#endif

#include "slabs.h"

static void *forge(void *unused)
{
    (void)unused;
    bus_set(&bus_entry(0)->cursor, 1);
    bus_set(&bus_entry(0)->cursor, 0);
    return NULL;
}

static void *produce(void *unused)
{
    (void)unused;
    if (gate_raise(&producer.gate, 1, 1) < 1)
        return NULL;
#ifdef SLAB
    slabs_reuse(1);
#else
    struct model_slot *slot = bus_slot(1);
#ifdef CLAIM
    int claimed = claim_take(&slot->header, ring_poll(&slot->header), 1, 0);
    assert(claimed);
#else
    ring_mark(&slot->header, 1, STAMP_WRITING);
#endif
    bus_set(&slot->shared, 1);
#endif
    return NULL;
}

/* Is what was read in place still there? */
static int looks_still(struct slot_header *slot)
{
#ifdef ADVANCE
    (void)slot;
    consumer.next++;
    return consumer_advance(&consumer) == 0;
#elif defined(SLAB)
    return slab_is_still(&consumer, slot);
#else
    return ring_is_still(slot, 0);
#endif
}

static void *consume(void *unused)
{
    (void)unused;
    struct slot_header *slot = consumer_look(&consumer);
    if (slot == NULL)
        return NULL;
#ifdef SLAB
    uint64_t payload = bus_get(&feed.shared[0]);
#else
    uint64_t payload = bus_get(&bus_slot(0)->shared);
#endif
    if (looks_still(slot))
        assert(payload == 0);
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
    uint64_t cursor = bus_get(&bus_entry(0)->cursor);
    assert(cursor <= 1);
}

int main(void)
{
    static model_thread *const threads[] = {forge, produce, consume};
    model_run(begin, threads, 3, end);
    return 0;
}
