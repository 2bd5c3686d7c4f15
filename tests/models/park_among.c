/* SPDX-License-Identifier: MIT */
/*
 * Among many producers one parks until the stream goes on, since no floor is above its end, while
 * another one ends the claim that it stops at: it does not sleep through that. The other one is
 * interrupted by its membarrier, or fences by itself (-DFENCE).
 */
#define MODEL_PRODUCERS 2

#include "barrier.h"

#include "writer.h"

#include "producer/wake.c"

static struct park_door door;
static uint32_t seen_word;
static int sleeps;

static void *commit_claim(void *unused)
{
    (void)unused;
    barrier_interrupt();
    int ended = claim_end(&bus_slot(0)->header, 0, 0, 0, STAMP_PUBLISHED);
    assert(ended);
    producer_wake_others(&producer);
    barrier_rest(1);
    return NULL;
}

static void *park(void *unused)
{
    (void)unused;
    atomic_store_explicit(&feed.producers[1].waits_for, 1, memory_order_relaxed);
    int result = park_say(&door, &seen_word);
    assert(result == 0);
    sleeps = ring_find_tail(&ring, 0) < 1;
    return NULL;
}

static void begin(void)
{
    bus_begin();
    writer_begin(0, 0);
    int claimed = claim_take(&bus_slot(0)->header, 0, 0, 0);
    assert(claimed);
    producer.must_fence = !barrier_begin();
    door = (struct park_door){
        .word = &control.shared.wake_producers,
        .bits = &feed.state.parked_producers,
        .bit = 2,
    };
}

static void end(void)
{
    uint32_t word = atomic_load_explicit(&control.shared.wake_producers, memory_order_relaxed);
    assert(!sleeps || word != seen_word);
}

int main(void)
{
    static model_thread *const threads[] = {commit_claim, park};
    model_run(begin, threads, 2, end);
    return 0;
}
