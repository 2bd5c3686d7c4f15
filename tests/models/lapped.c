/* SPDX-License-Identifier: MIT */
/*
 * An optional consumer finds nothing at its place, and then a floor above it: what was published
 * there is either seen at a second look, or overwritten. The producer publishes one message and
 * raises its floor past it, and does not overwrite it: then nothing is lost.
 */
#include "writer.h"

#include "reader.h"

static void *produce(void *unused)
{
    (void)unused;
    int done = writer_publish();
    assert(done);
    uint64_t floor = gate_raise(&producer.gate, 1, 1);
    assert(floor == 1);
    return NULL;
}

static void *consume(void *unused)
{
    (void)unused;
    struct slot_header *slot = consumer_look(&consumer);
    assert(consumer.lost == 0);
    assert(slot == NULL || ring_is_final(ring_poll(slot), 0));
    return NULL;
}

static void begin(void)
{
    bus_begin();
    bus_join(0, SHMBUS_OPTIONAL, 1, 0);
    writer_begin(0, 0);
    reader_begin(0, SHMBUS_OPTIONAL, 0);
}

static void end(void)
{
    assert(consumer.next == 0);
}

int main(void)
{
    static model_thread *const threads[] = {produce, consume};
    model_run(begin, threads, 2, end);
    return 0;
}
