/* SPDX-License-Identifier: MIT */
/*
 * A required consumer joins at the oldest message, or at the tail (-DAT_TAIL), while the producer
 * raises its floor: from the end of its handshake on, nothing at or above its cursor is
 * overwritten.
 */
#define MODEL_CAPACITY 2

#include "writer.h"

#include "reader.h"

#include "consumer/join.c"

#define PUBLISHED 2 /* when it begins */
#ifdef AT_TAIL
#define MESSAGES 2 /* that follow */
#else
#define MESSAGES 3
#endif

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
#ifdef AT_TAIL
    uint64_t begin = tail_now(&consumer);
#else
    uint64_t begin = consumer_floor(&consumer);
#endif
    int result = begin_at(&consumer, begin);
    assert(result == 0 && consumer.next >= begin);
    for (int i = 0; i < 2; i++) {
        struct slot_header *slot = ring_slot(&ring, consumer.next);
        assert(!stamp_is_later(ring_poll(slot), consumer.next));
        if (consumer_look(&consumer) == NULL)
            return NULL;
        assert(bus_slot(consumer.next)->plain == consumer.next);
        consumer.next++;
        result = consumer_advance(&consumer);
        assert(result == 0);
    }
    return NULL;
}

static void begin(void)
{
    bus_begin();
    for (uint64_t i = 0; i < PUBLISHED; i++)
        bus_publish(i, 0);
    writer_begin(PUBLISHED, 0);
    producer.tail_mask = 0;
    reader_begin(0, SHMBUS_REQUIRED, 0);
    consumer.options.from = SHMBUS_FROM_OLDEST;
    bus_set_state(&bus_entry(0)->kind, SHMBUS_REQUIRED);
    bus_set(&bus_entry(0)->epoch, 1);
}

static void end(void)
{
    assert(!gate_is_evicted(&producer.gate, 0, 1));
    assert(producer.next - consumer.next <= MODEL_CAPACITY);
}

int main(void)
{
    static model_thread *const threads[] = {produce, consume};
    model_run(begin, threads, 2, end);
    return 0;
}
