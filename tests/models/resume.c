/* SPDX-License-Identifier: MIT */
/*
 * A required consumer with a grace time reads a slab, holds it and dies; somebody repairs its
 * entry, and one of its name goes on at its cursor, all of which the locks put one after the other.
 * The producer raises its floor, reclaims and overwrites at the same time: the place gates all the
 * time, and the slab is not used again before the dead one's last read of it.
 */
#include "slabs.h"

#include "calls.h"

#include "consumer/resume.c"
#include "recovery/reap.c"

int64_t wait_now(void)
{
    return 1;
}

int after_enter_again(struct shmbus_consumer *unused, struct control_entry *entry)
{
    (void)unused;
    (void)entry;
    return 0;
}

void after_latch(struct shmbus_consumer *unused)
{
    (void)unused;
}

void consumer_wake_all(struct shmbus_consumer *unused)
{
    (void)unused;
}

static void *produce(void *unused)
{
    (void)unused;
    uint64_t floor = gate_raise(&producer.gate, 1, 2);
    slabs_reuse(floor);
    /* Over message 0. */
    writer_publish();
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

    result = recovery_repair(&segment, 0);
    assert(result == 1);

    memset(&consumer.holds, 0, sizeof consumer.holds);
    consumer.segment.control = segment.control;
    result = go_on(&consumer, 0);
    assert(result == 1 && consumer.next == 1);
    assert(consumer_look(&consumer) != NULL);
    assert(bus_slot(1)->plain == 1);
    return NULL;
}

static void begin(void)
{
    bus_begin();
    bus_join(0, SHMBUS_REQUIRED, 1, 0);
    bus_entry(0)->grace_ns = 1000;
    bus_publish(1, 0);
    writer_begin(2, 0);
    reader_begin(0, SHMBUS_REQUIRED, 0);
    slabs_begin();
}

static void end(void)
{
    assert(!gate_is_evicted(&producer.gate, 0, 1));
    assert(producer.gate.floor <= 1);
}

int main(void)
{
    static model_thread *const threads[] = {produce, consume};
    model_run(begin, threads, 2, end);
    return 0;
}
