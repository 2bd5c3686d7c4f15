/* SPDX-License-Identifier: MIT */
/*
 * The thread behind a consumer's descriptor parks in its place and makes it readable: no signal is
 * lost between the producer, the thread and the owner, who arms it anew whenever it finds nothing.
 * What the owner tells the thread to look at is plain, so that a checker finds a race in it.
 *
 * The producer fences by itself (-DFENCE), or is interrupted by the thread's membarrier. Whoever
 * goes to sleep ends there; at the end either what it slept on has moved, or there was nothing.
 */
#include "barrier.h"

#include "writer.h"

#include "reader.h"

#include "calls.h"

#include "consumer/wake.c"
#include "producer/wake.c"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

#ifdef FENCE
#define MESSAGES 2
#else
#define MESSAGES 1
#endif

/* A sleep is the end of the thread. */
#ifdef MODEL_CHECKER
#define end_thread() pthread_exit(NULL)
#else
#include <setjmp.h>
static jmp_buf asleep;
#define end_thread() longjmp(asleep, 1)
#endif

static _Atomic uint32_t readable; /* the eventfd */
static const _Atomic uint32_t *slept_on[2];
static uint32_t slept_at[2];

static void sleep_on(const _Atomic uint32_t *word, uint32_t value)
{
    slept_on[0] = word;
    slept_at[0] = value;
    end_thread();
}

static int sleep_on_both(const _Atomic uint32_t *const *words, const uint32_t *values)
{
    slept_on[1] = words[1];
    slept_at[1] = values[1];
    sleep_on(words[0], values[0]);
    return 0;
}

static int64_t make_readable(void)
{
    atomic_fetch_add_explicit(&readable, 1, memory_order_relaxed);
    return 8;
}

static int64_t make_empty(void)
{
    return atomic_exchange_explicit(&readable, 0, memory_order_relaxed) > 0 ? 8 : -1;
}

#define park_sleep(door, value, ns)              sleep_on((door)->word, value)
#define park_sleep_any(words, values, count, ns) sleep_on_both(words, values)
#define write(descriptor, from, bytes)           ((void)(from), make_readable())
#define read(descriptor, to, bytes)              ((void)(to), make_empty())
#include "consumer/event.c"
#undef write
#undef read

int64_t wait_now(void)
{
    return 1;
}

static struct consumer_event event;

static void *produce(void *unused)
{
    (void)unused;
    for (int i = 0; i < MESSAGES; i++) {
        barrier_interrupt();
        int done = writer_publish();
        assert(done);
    }
    barrier_rest(MESSAGES);
    return NULL;
}

/* A loop over events, as long as there are any. */
static void *own(void *unused)
{
    (void)unused;
    for (int i = 0; i <= MESSAGES; i++) {
        if (atomic_load_explicit(&readable, memory_order_relaxed) == 0)
            return NULL;
        while (consumer.next < MESSAGES && consumer_look(&consumer) != NULL)
            consumer.next++;
        if (consumer.next == MESSAGES)
            return NULL;
        int result = consumer_nothing_there(&consumer);
        assert(result == 0);
    }
    return NULL;
}

static void *watch_for_it(void *unused)
{
    (void)unused;
#ifndef MODEL_CHECKER
    if (setjmp(asleep) != 0)
        return NULL;
#endif
    run(&event);
    return NULL;
}

static void begin(void)
{
    bus_begin();
    bus_join(0, SHMBUS_REQUIRED, 1, 0);
    writer_begin(0, 0);
    reader_begin(0, SHMBUS_REQUIRED, 0);
    producer.must_fence = !barrier_begin();
    producer.parked = producer.must_fence ? &park_always : &control.shared.parked;
    consumer.for_messages = (struct park_door){
        .word = &feed.state.wake_consumers,
        .flag = &control.shared.parked,
    };
    consumer.wait.slice_ns = 1;
    consumer.event = &event;
    event.consumer = &consumer;
    bus_open_ring(&event.ring);
    atomic_store_explicit(&event.command, 0, memory_order_relaxed);
    atomic_store_explicit(&event.called, 1, memory_order_relaxed);
    atomic_store_explicit(&readable, 1, memory_order_relaxed);
    slept_on[0] = NULL;
    slept_on[1] = NULL;
}

static int has_moved(int which)
{
    return slept_on[which] != NULL &&
           atomic_load_explicit(slept_on[which], memory_order_relaxed) != slept_at[which];
}

static void end(void)
{
    uint32_t is_readable = atomic_load_explicit(&readable, memory_order_relaxed);
    assert(consumer.next == MESSAGES || is_readable || has_moved(0) || has_moved(1));
}

int main(void)
{
    static model_thread *const threads[] = {produce, own, watch_for_it};
    model_run(begin, threads, 3, end);
    return 0;
}
