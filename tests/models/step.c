/* SPDX-License-Identifier: MIT */
/*
 * A consumer finds a hole whose producer is gone. If that one had committed before it left, the
 * consumer does not step over it; with -DDIES it died with its claim open, while another producer
 * aborts the hole: the consumer goes past it once.
 */
#define MODEL_PRODUCERS 2

#include "bus.h"

#include "kernel.h"

#include "reader.h"

#include "ring/claim.c"

#define close(descriptor) kernel_close(descriptor)
#include "recovery/producers.c"
#undef close

static void *produce(void *unused)
{
    (void)unused;
    struct model_slot *slot = bus_slot(0);
    int claimed = claim_take(&slot->header, ring_poll(&slot->header), 0, 0);
    assert(claimed);
    slot->plain = 100;
#ifndef DIES
    int ended = claim_end(&slot->header, 0, 0, 0, STAMP_PUBLISHED);
    assert(ended);
#endif
    kernel_die(0);
    return NULL;
}

static void *consume(void *unused)
{
    (void)unused;
    int stepped = consumer_steps_over(&consumer, 1);
    struct slot_header *slot = consumer_look(&consumer);
#ifdef DIES
    assert(slot == NULL);
#else
    assert(!stepped);
    assert(slot == NULL || bus_slot(0)->plain == 100);
#endif
    assert(consumer.aborted <= 1 && consumer.next == consumer.aborted);
    assert(!stepped || consumer.next == 1);
    return NULL;
}

#ifdef DIES
static void *repair(void *unused)
{
    (void)unused;
    recovery_repair_producers(&segment, &ring);
    return NULL;
}
#endif

static void begin(void)
{
    bus_begin();
    kernel_begin();
    bus_join(0, SHMBUS_REQUIRED, 1, 0);
    reader_begin(0, SHMBUS_REQUIRED, 0);
    bus_set_state(&feed.producers[0].state, PRODUCER_ACTIVE);
    bus_set_state(&feed.producers[1].state, PRODUCER_ACTIVE);
    segment.producer = 1;
}

static void end(void)
{
#ifdef DIES
    assert(ring_poll(&bus_slot(0)->header) != stamp_make(0, STAMP_PUBLISHED));
#endif
}

int main(void)
{
#ifdef DIES
    static model_thread *const threads[] = {produce, consume, repair};
    model_run(begin, threads, 3, end);
#else
    static model_thread *const threads[] = {produce, consume};
    model_run(begin, threads, 2, end);
#endif
    return 0;
}
