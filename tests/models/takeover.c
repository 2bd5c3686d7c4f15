/* SPDX-License-Identifier: MIT */
/*
 * A producer died in the middle of a batch: its second message is stamped, its first is not. The
 * next one takes over, voids what is there of it, and publishes other messages with these
 * sequences; a required consumer that stayed reads on at the same time, and sees those and no
 * other.
 *
 * With -DJOIN a consumer joins at the oldest message instead. The dead one left its floor in the
 * middle of a raise.
 */
#ifdef JOIN
#define MODEL_CAPACITY 2
#else
#define MODEL_CAPACITY 4
#endif
#define PUBLISHED 2
#define VOID      100

#include "writer.h"

#include "reader.h"

#include "pool/pool.c"
#include "recovery/recovery.c"

#ifdef JOIN
#include "consumer/join.c"
#endif

static struct pool no_pool;

static void *take_over(void *unused)
{
    (void)unused;
    struct recovery_stream stream;
    int result = recovery_take_over(&segment, &ring, &producer.gate, &no_pool, &stream);
    assert(result == 0 && stream.next == PUBLISHED && stream.floor <= PUBLISHED);
    producer.next = stream.next;
    producer.begun_at = stream.next;
    producer.limit = stream.floor + MODEL_CAPACITY;
    for (int i = 0; i < 2; i++)
        if (!writer_publish())
            return NULL;
    return NULL;
}

static void *consume(void *unused)
{
    (void)unused;
#ifdef JOIN
    int result = begin_at(&consumer, consumer_floor(&consumer));
    assert(result == 0);
#endif
    for (int i = 0; i < 3; i++) {
        struct slot_header *slot = ring_slot(&ring, consumer.next);
        assert(!stamp_is_later(ring_poll(slot), consumer.next));
        if (consumer_look(&consumer) == NULL)
            return NULL;
        assert(bus_slot(consumer.next)->plain == consumer.next);
        consumer.next++;
        int moved = consumer_advance(&consumer);
        assert(moved == 0);
    }
    return NULL;
}

static void begin(void)
{
    bus_begin();
    for (uint64_t i = 0; i < PUBLISHED; i++)
        bus_publish(i, 0);
#ifdef JOIN
    bus_set_state(&bus_entry(0)->kind, SHMBUS_REQUIRED);
    bus_set(&bus_entry(0)->epoch, 1);
    writer_begin(PUBLISHED, 0);
    bus_set(&feed.producers[0].floor, 1);
#else
    bus_publish(PUBLISHED + 1, 0);
    bus_slot(PUBLISHED + 1)->plain = VOID;
    ring_mark(&bus_slot(PUBLISHED)->header, PUBLISHED, STAMP_WRITING);
    bus_slot(PUBLISHED)->plain = VOID;
    bus_join(0, SHMBUS_REQUIRED, 1, 1);
    writer_begin(PUBLISHED, 0);
    bus_set(&feed.producers[0].floor, PUBLISHED);
#endif
    reader_begin(0, SHMBUS_REQUIRED, 1);
    consumer.options.from = SHMBUS_FROM_OLDEST;
}

static void end(void)
{
    assert(!gate_is_evicted(&producer.gate, 0, 1));
    assert(producer.next - consumer.next <= MODEL_CAPACITY);
}

int main(void)
{
    static model_thread *const threads[] = {take_over, consume};
    model_run(begin, threads, 2, end);
    return 0;
}
