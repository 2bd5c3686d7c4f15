/* SPDX-License-Identifier: MIT */
/*
 * Handing messages out: poll, next, and waiting for one. The first loop is the hot path of a
 * required consumer that wants every type and runs after nobody; the second is everybody else's.
 */
#include "consumer/after.h"
#include "consumer/lend.h"
#include "error/error.h"
#include "wait/wait.h"

#include <inttypes.h>

/* How far ahead of the message being read the next lines are fetched, in slots, and how often it is
 * looked whether the producer is ahead that far; docs/performance.md. */
#define FETCH_AHEAD 64

/* How long it leaves the ring alone when it stands off. */
#define REST_NS INT64_C(5000)

/* What a slot says cannot be: damage, unless it is being overwritten under a required consumer,
 * which only one who forged its cursor brings about. */
static int damaged(struct shmbus_consumer *consumer)
{
    int is_overwritten = consumer->options.kind == SHMBUS_REQUIRED &&
                         !ring_is_still(ring_slot(&consumer->ring, consumer->next), consumer->next);
    if (is_overwritten || consumer_words_changed(consumer))
        return consumer_evicted(consumer);
    return error_set(-EBADMSG,
                     "%s: damaged: message %" PRIu64 " has a length or handle that cannot be "
                     "(remove the bus)",
                     consumer->segment.name, consumer->next);
}

/* Is the very next message there? All else is consumer_look()'s to find out. */
static inline struct slot_header *peek(struct shmbus_consumer *consumer)
{
    struct slot_header *slot = ring_slot(&consumer->ring, consumer->next);
    if (__builtin_expect(ring_poll(slot) == stamp_make(consumer->next, STAMP_PUBLISHED), 1))
        return slot;
    if (consumer->stands_off)
        consumer->look_at = consumer->next;
    return consumer_look(consumer);
}

/* Once in FETCH_AHEAD messages: how far ahead is the producer? Near it nothing is fetched, since it
 * is writing there, and would lose the line; one that stands off does not even read what is there,
 * but once after it rested. The stamp is only a hint: nothing is believed for it. Returns 1 when it
 * is to stand off now. */
__attribute__((noinline)) static int is_near(struct shmbus_consumer *consumer)
{
    uint64_t far = consumer->next + UINT64_C(2) * FETCH_AHEAD;
    /* relaxed: a hint */
    uint64_t stamp =
        atomic_load_explicit(&ring_slot(&consumer->ring, far)->stamp, memory_order_relaxed);
    int is_far = stamp == stamp_make(far, STAMP_PUBLISHED);
    consumer->fetch = is_far ? FETCH_AHEAD : 0;
    consumer->look_at = consumer->next + FETCH_AHEAD;
    if (is_far || !consumer->stands_off || consumer->has_rested) {
        consumer->has_rested = 0;
        return 0;
    }
    consumer->has_rested = 1;
    consumer->look_at = consumer->next;
    return 1;
}

static inline int stands_off(struct shmbus_consumer *consumer)
{
    return __builtin_expect(consumer->next >= consumer->look_at, 0) && is_near(consumer);
}

/* Asks for the line of a slot some way ahead. Inline by force: a function that does nothing else is
 * taken for one without effect. */
__attribute__((always_inline)) static inline void fetch_ahead(
    const struct shmbus_consumer *consumer)
{
    __builtin_prefetch(ring_slot(&consumer->ring, consumer->next + consumer->fetch));
}

/* The messages of a poll were read: their count, unless they are not to be trusted. A look for one
 * more may have found that out already, and then there was none. */
static int finish_batch(struct shmbus_consumer *consumer, uint32_t count)
{
    if (consumer->failed != 0)
        return count > 0 ? consumer->failed : 0;
    int result = consumer->next != consumer->stored ? consumer_advance(consumer) : 0;
    return result < 0 ? result : (int)count;
}

static int poll_plain(struct shmbus_consumer *consumer, shmbus_handler *handler, void *context,
                      uint32_t most)
{
    uint32_t count = 0;
    int stop = 0;
    int result;
    while (count < most && !stop && !stands_off(consumer)) {
        struct slot_header *slot = peek(consumer);
        if (slot == NULL)
            break;
        if (consumer_lend(consumer, slot) < 0) {
            if (count == 0)
                return damaged(consumer);
            break;
        }
        fetch_ahead(consumer);
        consumer->is_lent = 1;
        stop = handler(&consumer->lent, context);
        count++;
        consumer->received++;
        consumer->next++;
        if (consumer->next - consumer->stored >= consumer->store_every &&
            (result = consumer_advance(consumer)) < 0)
            return result;
    }
    consumer->is_lent = 0;
    return finish_batch(consumer, count);
}

/* The next message as its kind reads it: 1 when it is lent, 0 when there is none. */
static int step(struct shmbus_consumer *consumer)
{
    for (;;) {
        struct slot_header *slot = consumer_look(consumer);
        if (slot == NULL) {
            if (consumer->stands_off)
                consumer->look_at = consumer->next;
            return 0;
        }
        int result = consumer->options.kind == SHMBUS_REQUIRED ? consumer_lend(consumer, slot)
                                                               : consumer_lend_copy(consumer, slot);
        if (result < 0)
            return damaged(consumer);
        /* Ends: a message that was overwritten is behind the floor, and the next look goes there.
         */
        if (result == CONSUMER_AGAIN)
            continue;
        consumer->is_lent = 1;
        consumer->received++;
        consumer->next++;
        return 1;
    }
}

static int poll_general(struct shmbus_consumer *consumer, shmbus_handler *handler, void *context,
                        uint32_t most)
{
    uint32_t count = 0;
    int stop = 0;
    int result;
    while (count < most && !stop && !stands_off(consumer)) {
        result = step(consumer);
        if (result < 0 && count == 0)
            return result;
        if (result <= 0)
            break;
        stop = handler(&consumer->lent, context);
        /* It forked, and this is the child. */
        if (consumer->orphaned)
            return consumer_nothing_there(consumer);
        consumer_finish(consumer);
        count++;
        if (consumer->next - consumer->stored >= consumer->store_every &&
            (result = consumer_advance(consumer)) < 0)
            return result;
    }
    return finish_batch(consumer, count);
}

static int poll(struct shmbus_consumer *consumer, shmbus_handler *handler, void *context,
                uint32_t most)
{
    if (handler == NULL)
        return error_constant(-EINVAL, "handler: NULL");
    if (most > INT32_MAX)
        most = INT32_MAX;
    for (;;) {
        int result = consumer->is_plain ? poll_plain(consumer, handler, context, most)
                                        : poll_general(consumer, handler, context, most);
        if (result != 0 || most == 0)
            return result;
        result = consumer_nothing_there(consumer);
        /* Ends: asked again only when a message came with the end of the stream. */
        if (result != CONSUMER_AGAIN)
            return result;
    }
}

int shmbus_consumer_poll(struct shmbus_consumer *consumer, shmbus_handler *handler, void *context,
                         uint32_t most)
{
    int result = guard_enter(&consumer->guard);
    if (result < 0)
        return result;
    if (__builtin_expect(consumer->is_lent, 0))
        consumer_finish(consumer);
    result = poll(consumer, handler, context, most);
    guard_leave(&consumer->guard);
    return result;
}

static int next_plain(struct shmbus_consumer *consumer)
{
    struct slot_header *slot = stands_off(consumer) ? NULL : peek(consumer);
    if (slot == NULL)
        return 0;
    if (consumer->next - consumer->stored >= consumer->store_every &&
        consumer_advance(consumer) < 0)
        return -ESTALE;
    if (consumer_lend(consumer, slot) < 0)
        return damaged(consumer);
    fetch_ahead(consumer);
    consumer->is_lent = 1;
    consumer->received++;
    consumer->next++;
    return 1;
}

static int next_general(struct shmbus_consumer *consumer)
{
    if (consumer->next - consumer->stored >= consumer->store_every &&
        consumer_advance(consumer) < 0)
        return -ESTALE;
    return stands_off(consumer) ? 0 : step(consumer);
}

static int next(struct shmbus_consumer *consumer)
{
    for (;;) {
        int result = consumer->is_plain ? next_plain(consumer) : next_general(consumer);
        if (result != 0)
            return result;
        result = consumer_nothing_there(consumer);
        /* Ends: asked again only when a message came with the end of the stream. */
        if (result != CONSUMER_AGAIN)
            return result;
    }
}

int shmbus_consumer_next(struct shmbus_consumer *consumer, struct shmbus_message *out_message)
{
    int result = guard_enter(&consumer->guard);
    if (result < 0)
        return result;
    if (consumer->is_lent)
        consumer_finish(consumer);
    result = next(consumer);
    if (result > 0)
        consumer_copy_lent(out_message, &consumer->lent);
    guard_leave(&consumer->guard);
    return result;
}

/* Has every producer died? The state is read again after the probe: one that closed in between has
 * said so before it let go. */
static int producer_died(struct shmbus_consumer *consumer)
{
    uint32_t producers = consumer->header->max_producers;
    if (producers > 1 && consumer_steps_over(consumer, 1))
        return 0;
    if (lock_probe_range(consumer->segment.probe_feed, LOCK_LIFE, producers) != 0)
        return 0;
    if (consumer_look(consumer) != NULL)
        return 0;
    int result = consumer_nothing_there(consumer);
    if (result != 0)
        return result == CONSUMER_AGAIN ? 0 : result;
    if (consumer_is_behind(consumer))
        return 0;
    return error_set(-EOWNERDEAD, "%s: its producer died; all that it published was read",
                     consumer->segment.name);
}

int consumer_peek(struct shmbus_consumer *consumer)
{
    if (consumer->is_lent)
        consumer_finish(consumer);
    return consumer_look(consumer) != NULL || consumer_nothing_there(consumer) != 0;
}

int consumer_probe(struct shmbus_consumer *consumer)
{
    int result = producer_died(consumer);
    return result < 0 ? result : consumer_look(consumer) != NULL;
}

/* The time is over. */
static int timed_out(const struct shmbus_consumer *consumer, int code)
{
    if (consumer_is_behind(consumer))
        return error_set(code,
                         "message %" PRIu64 " is there, and %s has not passed it (see shmbus-stat)",
                         consumer->next, after_slowest(consumer));
    return error_constant(code, "no message came in time");
}

/* When the deadline's event is due, if its clock runs. */
static int64_t event_due(const struct shmbus_consumer *consumer)
{
    int64_t from = consumer->deadline_from;
    int64_t ns = consumer->options.deadline_ns;
    return from == 0 || ns == 0 || from > INT64_MAX - ns ? INT64_MAX : from + ns;
}

static int wait_on(struct shmbus_consumer *consumer, struct waiter *waiter)
{
    for (;;) {
        if (consumer_look(consumer) != NULL)
            return 0;
        int result = consumer_nothing_there(consumer);
        if (result != 0)
            return result == CONSUMER_AGAIN ? 0 : result;
        waiter->door = consumer_door(consumer);
        waiter->until_ns = event_due(consumer);
        int slice = wait_step(waiter);
        if (slice == WAIT_PROBE || slice < 0) {
            result = producer_died(consumer);
            if (result < 0)
                return result;
        }
        if (slice < 0)
            return consumer_look(consumer) != NULL ? 0 : timed_out(consumer, slice);
    }
}

/* It left alone what is there, and is to read it after a rest. */
static void rest(int64_t timeout_ns)
{
    int64_t ns = timeout_ns >= 0 && timeout_ns < REST_NS ? timeout_ns : REST_NS;
    int64_t until = wait_now() + ns;
    while (wait_now() < until)
        wait_pause();
}

static int wait_for_message(struct shmbus_consumer *consumer, int64_t timeout_ns)
{
    if (consumer->has_rested)
        rest(timeout_ns);
    struct control_entry *entry = consumer->entry;
    struct waiter waiter =
        wait_begin_as(&consumer->wait, timeout_ns, entry != NULL ? &entry->waiting : NULL);
    int result = wait_on(consumer, &waiter);
    /* A callback may have forked, and this be the child, which has no mapping. */
    if (!consumer->orphaned)
        wait_end(&waiter);
    return result;
}

int shmbus_consumer_wait(struct shmbus_consumer *consumer, int64_t timeout_ns)
{
    int result = guard_enter(&consumer->guard);
    if (result < 0)
        return result;
    if (consumer->is_lent)
        consumer_finish(consumer);
    result = wait_for_message(consumer, timeout_ns);
    guard_leave(&consumer->guard);
    return result;
}
