/* SPDX-License-Identifier: MIT */
/*
 * A reader that does not gate copies a message while it is overwritten, by a producer that is alone
 * or by one among many (-DCLAIM): if the stamp is the same afterwards, the copy is whole.
 */
#define MODEL_CAPACITY 1

#include "writer.h"

static void *produce(void *unused)
{
    (void)unused;
    struct model_slot *slot = bus_slot(1);
#ifdef CLAIM
    int claimed = claim_take(&slot->header, ring_poll(&slot->header), 1, 0);
    assert(claimed);
    bus_set(&slot->shared, 1);
    int ended = claim_end(&slot->header, 1, 0, 1, STAMP_PUBLISHED);
    assert(ended);
#else
    ring_mark(&slot->header, 1, STAMP_WRITING);
    bus_set(&slot->shared, 1);
    ring_publish(&slot->header, 1, 1);
#endif
    return NULL;
}

static void *look(void *unused)
{
    (void)unused;
    struct model_slot *slot = bus_slot(0);
    uint64_t stamp = ring_poll(&slot->header);
    uint64_t sequence = stamp == stamp_make(1, STAMP_PUBLISHED);
    if (!ring_is_final(stamp, sequence))
        return NULL;
    uint64_t meta = ring_meta(&slot->header);
    uint64_t copy = bus_get(&slot->shared);
    if (ring_recheck(&slot->header, stamp))
        assert(meta == sequence && copy == sequence);
    return NULL;
}

static void begin(void)
{
    bus_begin();
    bus_publish(0, 0);
}

static void end(void)
{
    assert(ring_is_final(ring_poll(&bus_slot(1)->header), 1));
}

int main(void)
{
    static model_thread *const threads[] = {produce, look};
    model_run(begin, threads, 2, end);
    return 0;
}
