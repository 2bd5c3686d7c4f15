/* SPDX-License-Identifier: MIT */
/*
 * An entry changes hands while the producer scans it: a consumer that was far ahead leaves, and one
 * that begins at the oldest message joins. The old one's cursor is never taken for the new one's,
 * which would raise the floor above it, or evict it for having moved back.
 */
#define MODEL_CAPACITY 4

#include "writer.h"

#include "reader.h"

#include "calls.h"

#include "consumer/join.c"
#include "recovery/reap.c"

#define PUBLISHED 2

void after_write(const struct shmbus_consumer *unused, struct control_entry *entry)
{
    (void)unused;
    (void)entry;
}

static void *produce(void *unused)
{
    (void)unused;
    gate_raise(&producer.gate, 1, PUBLISHED);
    gate_raise(&producer.gate, 2, PUBLISHED);
    return NULL;
}

static void *change_hands(void *unused)
{
    (void)unused;
    recovery_clear_entry(consumer.entry, 0);
    fill_entry(&consumer);
    assert(consumer.epoch == 2);
    int result = begin_at(&consumer, 0);
    assert(result == 0);
    return NULL;
}

static void begin(void)
{
    bus_begin();
    for (uint64_t i = 0; i < PUBLISHED; i++)
        bus_publish(i, 0);
    writer_begin(PUBLISHED, 0);
    bus_join(0, SHMBUS_REQUIRED, 1, PUBLISHED);
    seen[0] = (struct gate_seen){1, PUBLISHED};
    reader_begin(0, SHMBUS_REQUIRED, 0);
    consumer.options.from = SHMBUS_FROM_OLDEST;
}

static void end(void)
{
    assert(!gate_is_evicted(&producer.gate, 0, consumer.epoch));
    assert(producer.gate.floor <= consumer.next);
    gate_look(&producer.gate, PUBLISHED);
    assert(!gate_is_evicted(&producer.gate, 0, consumer.epoch));
}

int main(void)
{
    static model_thread *const threads[] = {produce, change_hands};
    model_run(begin, threads, 2, end);
    return 0;
}
