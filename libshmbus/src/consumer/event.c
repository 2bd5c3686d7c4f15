/* SPDX-License-Identifier: MIT */
/*
 * A descriptor for event loops: an eventfd of this process alone, and a thread that parks in the
 * consumer's place and makes it readable. Nobody pays for it who did not ask for one.
 *
 *   owner, when nothing is there               thread
 *   ----------------------------               ------
 *   if it was called: empty the eventfd
 *   called = 0, next             (event_arm:A)  load command              (event_take:B)
 *   command + 1, wake the thread                park until something is at next
 *                                               called = 1                (event_call:A)
 *   load called                  (event_see:B)  write the eventfd
 *
 * The thread is armed for one sequence, calls once, and then sleeps until it is armed again: so the
 * owner changes what it looks at only after it was called. What it calls for may be gone by then:
 * the owner looks, finds nothing and arms it anew. It has only the read-only feed, the flags for
 * parking, and words of its own; the consumer object stays its owner's.
 */
#include "consumer/consumer.h"
#include "error/error.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVENT_STOP UINT32_MAX

struct consumer_event {
    const struct shmbus_consumer *consumer; /* what never changes of it */
    pthread_t thread;
    struct ring ring;
    int fd;
    _Atomic uint32_t command; /* a futex, of the owner: how often it armed; EVENT_STOP ends it */
    _Atomic uint32_t called;  /* of the thread, and of the owner once it is 1 */
    /* of the owner while called is 1, of the thread while it is 0 */
    uint64_t next;
    uint64_t epoch;
    struct park_door door; /* where the owner would park; no word: nowhere */
    int is_behind;         /* the message is there, and those that it runs after are not past it */
};

/* Is there something to tell the owner that shared memory says? */
static int is_something(const struct consumer_event *event)
{
    const struct shmbus_consumer *consumer = event->consumer;
    uint64_t stamp = ring_poll(ring_slot(&event->ring, event->next));
    /* relaxed: only says that the owner has to look, which does so in order */
    uint32_t state = atomic_load_explicit(&consumer->state->bus_state, memory_order_relaxed);
    uint64_t evicted = atomic_load_explicit(consumer->eviction, memory_order_relaxed);
    int ended = state == BUS_REPLACED || (state == BUS_CLOSED && consumer_stream_ended(consumer));
    return (ring_is_final(stamp, event->next) && !event->is_behind) || ended ||
           evicted == event->epoch ||
           (consumer->options.kind != SHMBUS_REQUIRED && consumer_floor(consumer) > event->next);
}

/* The same of what only the kernel knows: that all producers are dead, or the one whose hole it is.
 */
static int is_dead(const struct consumer_event *event)
{
    const struct shmbus_consumer *consumer = event->consumer;
    int feed = consumer->segment.probe_feed;
    uint64_t stamp = ring_poll(ring_slot(&event->ring, event->next));
    if (lock_probe_range(feed, LOCK_LIFE, consumer->header->max_producers) == 0)
        return 1;
    return stamp_is_of(stamp, event->next) && stamp_is_writing(stamp) &&
           lock_probe(feed, LOCK_LIFE + (int64_t)stamp_writer(stamp)) == 0;
}

static uint32_t command_of(const struct consumer_event *event)
{
    /* ORDER(event_take:B) pairs event_arm:A: what to look at */
    return atomic_load_explicit(&event->command, memory_order_acquire);
}

/* Sleeps until the door's word or the command moves on, or a slice is over. */
static void sleep_once(struct consumer_event *event, uint32_t command)
{
    const _Atomic uint32_t *words[2] = {&event->command, event->door.word};
    uint32_t seen[2] = {command, 0};
    int64_t slice_ns = event->consumer->wait.slice_ns;
    if (event->door.word == NULL || event->door.is_shut || park_say(&event->door, &seen[1]) < 0) {
        park_nap(slice_ns);
        return;
    }
    if (!is_something(event) && park_sleep_any(words, seen, 2, slice_ns) < 0)
        park_nap(slice_ns);
    park_take_back(&event->door);
}

/* Returns 1 when the owner has to look, 0 when there is another command. */
static int watch(struct consumer_event *event, uint32_t command)
{
    int64_t probe_ns = wait_now() + event->consumer->wait.slice_ns;
    for (;;) {
        if (is_something(event))
            return 1;
        sleep_once(event, command);
        if (command_of(event) != command)
            return 0;
        /* Whether those that it runs after are past it is the owner's to find out. */
        if (event->is_behind)
            return 1;
        int64_t now = wait_now();
        if (now < probe_ns)
            continue;
        if (is_dead(event))
            return 1;
        probe_ns = now + event->consumer->wait.slice_ns;
    }
}

static void *run(void *context)
{
    struct consumer_event *event = context;
    const uint64_t one = 1;
    uint32_t taken = 0;
    for (;;) {
        uint32_t command = command_of(event);
        if (command == EVENT_STOP)
            return NULL;
        if (command == taken) {
            const struct park_door idle = {.word = &event->command};
            park_sleep(&idle, command, INT64_C(3600) * 1000000000);
        } else if (watch(event, command)) {
            taken = command;
            /* ORDER(event_call:A) pairs event_see:B: the thread no longer looks at next */
            atomic_store_explicit(&event->called, 1, memory_order_release);
            /* It is empty, or says so already. */
            if (write(event->fd, &one, sizeof one) < 0)
                continue;
        }
    }
}

static void give_command(struct consumer_event *event, uint32_t command)
{
    /* ORDER(event_arm:A) pairs event_take:B: what to look at */
    atomic_store_explicit(&event->command, command, memory_order_release);
    park_call(&event->command);
}

void consumer_event_arm(struct shmbus_consumer *consumer)
{
    struct consumer_event *event = consumer->event;
    uint64_t count;
    /* ORDER(event_see:B) pairs event_call:A: the thread no longer looks at next */
    if (atomic_load_explicit(&event->called, memory_order_acquire) == 0)
        return;
    int saved = errno;
    /* It may not be written yet: then it is readable once too often. */
    if (read(event->fd, &count, sizeof count) < 0)
        errno = saved;
    const struct park_door *door = consumer_door(consumer);
    event->next = consumer->next;
    event->epoch = consumer->epoch;
    event->door = door != NULL ? *door : (struct park_door){.word = NULL};
    event->is_behind = consumer->entry != NULL && door == &consumer->behind;
    /* relaxed: the command releases it; only the owner reads 0 */
    atomic_store_explicit(&event->called, 0, memory_order_relaxed);
    /* relaxed: its own word */
    uint32_t command = atomic_load_explicit(&event->command, memory_order_relaxed) + 1;
    give_command(event, command == EVENT_STOP ? 1 : command);
}

static int start(struct consumer_event *event)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    /* The program's signals are for the program's threads. */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int number = pthread_create(&event->thread, NULL, run, event);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -number;
}

static int make(struct shmbus_consumer *consumer)
{
    struct consumer_event *event = calloc(1, sizeof *event);
    if (event == NULL)
        return error_constant(-ENOMEM, "no memory left for a descriptor's thread");
    event->consumer = consumer;
    event->ring = ring_view(consumer->segment.feed, consumer->header);
    /* relaxed: there is no thread yet */
    atomic_store_explicit(&event->called, 1, memory_order_relaxed);
    /* Readable at first: who begins to watch it looks once, and arms it so. */
    event->fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    int result = event->fd < 0 ? -errno : start(event);
    if (result == 0) {
        consumer->event = event;
        return 0;
    }
    if (event->fd >= 0)
        close(event->fd);
    free(event);
    return segment_errno(-result, consumer->segment.name, "a descriptor and its thread");
}

int shmbus_consumer_fd(struct shmbus_consumer *consumer, int *out_fd)
{
    int result = guard_enter(&consumer->guard);
    if (result < 0)
        return result;
    int saved = errno;
    if (consumer->orphaned)
        result = error_constant(-ECHILD, "the consumer is another process's (open it again after "
                                         "fork)");
    else if (consumer->event == NULL)
        result = make(consumer);
    errno = saved;
    if (result == 0)
        *out_fd = consumer->event->fd;
    guard_leave(&consumer->guard);
    return result;
}

void consumer_event_end(struct shmbus_consumer *consumer)
{
    struct consumer_event *event = consumer->event;
    if (event == NULL)
        return;
    /* After a fork the thread is the parent's. */
    if (!consumer->orphaned) {
        give_command(event, EVENT_STOP);
        pthread_join(event->thread, NULL);
    }
    close(event->fd);
    free(event);
    consumer->event = NULL;
}
