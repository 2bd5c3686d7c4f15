/* SPDX-License-Identifier: MIT */
/*
 * One producer and a required consumer, over more than a lap: payload before stamp, stamp before
 * payload, payload read before the slot is overwritten.
 */
#include "writer.h"

#include "reader.h"

#define MESSAGES 4

static void *produce(void *unused)
{
    (void)unused;
    for (int i = 0; i < MESSAGES; i++)
        if (!writer_publish())
            return NULL;
    return NULL;
}

static void *consume(void *unused)
{
    (void)unused;
    for (uint64_t i = 0; i < MESSAGES; i++) {
        struct slot_header *slot = consumer_look(&consumer);
        if (slot == NULL)
            return NULL;
        assert(consumer.next == i);
        assert(bus_slot(i)->plain == i);
        assert(ring_meta(slot) == meta_make(sizeof(uint64_t), 1, 0));
        consumer.next++;
        int result = consumer_advance(&consumer);
        assert(result == 0);
    }
    return NULL;
}

static void begin(void)
{
    bus_begin();
    bus_join(0, SHMBUS_REQUIRED, 1, 0);
    writer_begin(0, 0);
    reader_begin(0, SHMBUS_REQUIRED, 0);
}

static void end(void)
{
    assert(bus_get(&bus_entry(0)->cursor) <= producer.next);
    assert(!gate_is_evicted(&producer.gate, 0, 1));
}

int main(void)
{
    static model_thread *const threads[] = {produce, consume};
    model_run(begin, threads, 2, end);
    return 0;
}
