/* SPDX-License-Identifier: MIT */
/*
 * A producer parks while a required consumer moves its cursor on, or ends a hold (-DHOLD): it does
 * not sleep through that. The consumer is interrupted by the producer's membarrier, or fences by
 * itself (-DFENCE).
 */
#include "barrier.h"

#include "slabs.h"

#include "consumer/wake.c"

static struct park_door door;
static uint32_t seen_word;
static int sleeps;

static void *consume(void *unused)
{
    (void)unused;
    barrier_interrupt();
#ifdef HOLD
    int result = unhold_slab(&consumer, 0);
#else
    consumer.next = 1;
    int result = consumer_advance(&consumer);
#endif
    assert(result == 0);
    barrier_rest(1);
    return NULL;
}

static void *produce(void *unused)
{
    (void)unused;
#ifdef HOLD
    uint64_t target = 0;
#else
    uint64_t target = 1;
#endif
    atomic_store_explicit(&producer.entry->waits_for, target, memory_order_relaxed);
    int result = park_say(&door, &seen_word);
    assert(result == 0);
#ifdef HOLD
    sleeps = pool_reclaim(&pool, &pool.classes[0], 1) == 0;
#else
    sleeps = gate_look(&producer.gate, 1).slowest < target;
#endif
    return NULL;
}

static void begin(void)
{
    bus_begin();
    bus_join(0, SHMBUS_REQUIRED, 1, 0);
    writer_begin(1, 0);
    reader_begin(0, SHMBUS_REQUIRED, 0);
    slabs_begin();
#ifdef HOLD
    hold_slab(&consumer, 0);
#endif
    consumer.must_fence = !barrier_begin();
    consumer.parked_producers = consumer.must_fence ? &park_all_bits : &feed.state.parked_producers;
    /* What it waited for when it parked last. */
    bus_set(&producer.entry->waits_for, 5);
    door = (struct park_door){
        .word = &control.shared.wake_producers,
        .bits = &feed.state.parked_producers,
        .bit = 1,
    };
}

static void end(void)
{
    uint32_t word = atomic_load_explicit(&control.shared.wake_producers, memory_order_relaxed);
    assert(!sleeps || word != seen_word);
}

int main(void)
{
    static model_thread *const threads[] = {consume, produce};
    model_run(begin, threads, 2, end);
    return 0;
}
