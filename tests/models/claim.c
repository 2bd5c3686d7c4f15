/* SPDX-License-Identifier: MIT */
/*
 * Two producers claim and commit, and a consumer reads; every sequence is had by one of them.
 *
 * With -DDIES the first dies with its claim open; the second finds that out and repairs; a third
 * claims the next lap's slot over the aborted hole. The payload is plain: one that is written over
 * what the dead one wrote, without order after it, is a race.
 */
#ifdef DIES
#define MODEL_CAPACITY 1
#endif
#define MODEL_PRODUCERS 2

#include "bus.h"

#include "kernel.h"

#include "ring/claim.c"
#include "ring/ring.c"

#define close(descriptor) kernel_close(descriptor)
#include "recovery/producers.c"
#undef close

/* Claims the next sequence, if nobody is faster and the slot's message of the last lap is final. */
static uint64_t claim_next(uint64_t from, uint32_t number)
{
    uint64_t next = claim_find_free(&ring, from);
    struct model_slot *slot = bus_slot(next);
    uint64_t stamp = ring_poll(&slot->header);
    int is_last = stamp == 0 || ring_is_final(stamp, next - MODEL_CAPACITY);
    if (!is_last || !claim_take(&slot->header, stamp, next, number))
        return UINT64_MAX;
    slot->plain = next + 100 * number;
    return next;
}

static int publish(uint32_t number)
{
    uint64_t next = claim_next(0, number);
    if (next == UINT64_MAX)
        return 0;
    int ended = claim_end(&bus_slot(next)->header, next, number, number, STAMP_PUBLISHED);
    assert(ended);
    return 1;
}

#ifdef DIES

static void *first(void *unused)
{
    (void)unused;
    uint64_t next = claim_next(0, 0);
    assert(next == 0);
    kernel_die(0);
    return NULL;
}

static void *second(void *unused)
{
    (void)unused;
    recovery_repair_producers(&segment, &ring);
    return NULL;
}

static void *third(void *unused)
{
    (void)unused;
    struct slot_header *slot = &bus_slot(0)->header;
    if (ring_is_final(ring_poll(slot), 0))
        publish(1);
    return NULL;
}

static void end(void)
{
    uint64_t stamp = ring_poll(&bus_slot(0)->header);
    assert(stamp != stamp_make(0, STAMP_PUBLISHED));
    /* Its number is free only without a hole. */
    if (state_of(&segment, 0) == PRODUCER_FREE)
        assert(stamp != stamp_make(0, STAMP_WRITING));
}

#else

static int done[2];

static void *first(void *unused)
{
    (void)unused;
    done[0] = publish(0);
    return NULL;
}

static void *second(void *unused)
{
    (void)unused;
    done[1] = publish(1);
    return NULL;
}

static void *third(void *unused)
{
    (void)unused;
    for (uint64_t i = 0; i < 2; i++) {
        struct model_slot *slot = bus_slot(i);
        if (ring_poll(&slot->header) != stamp_make(i, STAMP_PUBLISHED))
            return NULL;
        assert(slot->plain == i + 100 * ring_meta(&slot->header));
    }
    return NULL;
}

static void end(void)
{
    /* One that was overtaken at its first try goes on elsewhere. */
    assert(done[0] || done[1]);
    uint64_t tail = ring_find_tail(&ring, 0);
    assert(tail == (uint64_t)(done[0] + done[1]));
}

#endif

static void begin(void)
{
    bus_begin();
    kernel_begin();
    bus_set_state(&feed.producers[0].state, PRODUCER_ACTIVE);
    bus_set_state(&feed.producers[1].state, PRODUCER_ACTIVE);
    segment.producer = 1;
}

int main(void)
{
    static model_thread *const threads[] = {first, second, third};
    model_run(begin, threads, 3, end);
    return 0;
}
