/* SPDX-License-Identifier: MIT */
/*
 * A consumer parks while the producer publishes: it does not sleep through the message. The
 * producer is interrupted by the consumer's membarrier, or fences by itself (-DFENCE).
 *
 * With -DTWO one consumer parks for the first message and another for the second: the wake-up of
 * the one does not take away the flag of the other.
 */
#include "barrier.h"

#include "writer.h"

#include "producer/wake.c"

#ifdef TWO
#define PARKERS 2
#else
#define PARKERS 1
#endif

static struct park_door doors[PARKERS];
static uint32_t seen_word[PARKERS];
static int sleeps[PARKERS];

static void *produce(void *unused)
{
    (void)unused;
    for (int i = 0; i < PARKERS; i++) {
        barrier_interrupt();
        int done = writer_publish();
        assert(done);
    }
    barrier_rest(PARKERS);
    return NULL;
}

static void park(int which)
{
    int result = park_say(&doors[which], &seen_word[which]);
    assert(result == 0);
    uint64_t stamp = ring_poll(&bus_slot((uint64_t)which)->header);
    sleeps[which] = !ring_is_final(stamp, (uint64_t)which);
}

static void *park_first(void *unused)
{
    (void)unused;
    park(0);
    return NULL;
}

#ifdef TWO
static void *park_second(void *unused)
{
    (void)unused;
    park(1);
    return NULL;
}
#endif

static void begin(void)
{
    bus_begin();
    writer_begin(0, 0);
    producer.must_fence = !barrier_begin();
    producer.parked = producer.must_fence ? &park_always : &control.shared.parked;
    for (int i = 0; i < PARKERS; i++)
        doors[i] = (struct park_door){
            .word = &feed.state.wake_consumers,
            .flag = &control.shared.parked,
        };
}

static void end(void)
{
    uint32_t word = atomic_load_explicit(&feed.state.wake_consumers, memory_order_relaxed);
    for (int i = 0; i < PARKERS; i++)
        assert(!sleeps[i] || word != seen_word[i]);
}

int main(void)
{
#ifdef TWO
    static model_thread *const threads[] = {produce, park_first, park_second};
    model_run(begin, threads, 3, end);
#else
    static model_thread *const threads[] = {produce, park_first};
    model_run(begin, threads, 2, end);
#endif
    return 0;
}
