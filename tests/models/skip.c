/* SPDX-License-Identifier: MIT */
/*
 * The producer leaves out a long range of sequences, whose one slot names where it ends, and then
 * writes over that slot: a required consumer goes past the range and gets what follows; one that
 * does not gate (-DOPTIONAL) does too, or finds the slot overwritten. Neither ever stands inside
 * the range, and what each is told of as lost is the range.
 *
 * The name of the range's end is plain: with -DOPTIONAL it is read while it changes, by design.
 */
#include "writer.h"

#include "reader.h"

#include "producer/publish.c"

#define RANGE   2
#define PAYLOAD 1000

static uint64_t told_from;
static uint64_t told_count;

static void tell(void *context, const struct shmbus_event *event)
{
    (void)context;
    if (event->kind != SHMBUS_EVENT_LOST)
        return;
    told_from = event->first;
    told_count += event->count;
}

static void *produce(void *unused)
{
    (void)unused;
    struct shmbus_claim lent;
    int result = skip(&producer, RANGE);
    assert(result == 0 && producer.next == RANGE);
    if (!has_room(&producer, 1))
        return NULL;
    result = shmbus_producer_claim(&producer, sizeof(uint64_t), &lent);
    assert(result == 0);
    *ring_handle(&ring, &bus_slot(RANGE)->header) = PAYLOAD;
    result = shmbus_producer_commit(&producer, &lent, 1, 0);
    assert(result == 0);
    return NULL;
}

static void look(void)
{
    struct slot_header *slot = consumer_look(&consumer);
    assert(consumer.next == 0 || consumer.next == RANGE);
    assert(consumer.lost == consumer.next && told_count == consumer.lost && told_from == 0);
    if (slot == NULL)
        return;
    assert(consumer.next == RANGE);
#ifndef OPTIONAL
    assert(*ring_handle(&ring, slot) == PAYLOAD);
#endif
}

static void *consume(void *unused)
{
    (void)unused;
    look();
    look();
    return NULL;
}

static void begin(void)
{
#ifdef OPTIONAL
    const uint32_t kind = SHMBUS_OPTIONAL;
#else
    const uint32_t kind = SHMBUS_REQUIRED;
#endif
    bus_begin();
    bus_join(0, kind, 1, 0);
    writer_begin(0, 0);
    reader_begin(0, kind, 0);
    consumer.options.on_event = tell;
    told_from = 0;
    told_count = 0;
}

static void end(void)
{
    look();
    assert(consumer.next == RANGE);
}

int main(void)
{
    static model_thread *const threads[] = {produce, consume};
    model_run(begin, threads, 2, end);
    return 0;
}
