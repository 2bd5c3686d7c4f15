/* SPDX-License-Identifier: MIT */
/*
 * A required consumer reads in place while it is evicted, by a producer that is alone or one among
 * many (-DAMONG), which then overwrites what the consumer reads: whoever read a byte of the next
 * message is told -ESTALE.
 */
#define MODEL_CAPACITY 1

#include "writer.h"

#include "reader.h"

static void *produce(void *unused)
{
    (void)unused;
    struct model_slot *slot = bus_slot(1);
#ifdef AMONG
    producer.gate.ring = &ring;
    uint64_t verdict = gate_verdict(&producer.gate, 0);
    int done = gate_evict_after(&producer.gate, 0, verdict, 1);
    assert(done);
#else
    gate_evict(&producer.gate, 0, 1);
#endif
    uint64_t floor = gate_raise(&producer.gate, 1, 1);
    assert(floor == 1);
    bus_set(&slot->shared, 1);
    return NULL;
}

static void *consume(void *unused)
{
    (void)unused;
    struct slot_header *slot = consumer_look(&consumer);
    assert(slot != NULL);
    uint64_t payload = bus_get(&bus_slot(0)->shared);
    consumer.next++;
    if (!consumer_words_changed(&consumer))
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
}

static void end(void)
{
    assert(consumer_words_changed(&consumer));
}

int main(void)
{
    static model_thread *const threads[] = {produce, consume};
    model_run(begin, threads, 2, end);
    return 0;
}
