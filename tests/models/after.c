/* SPDX-License-Identifier: MIT */
/*
 * A required consumer runs after another: what that one did with a message is done when its
 * follower gets it. The mark that each leaves for the next is plain, so that a checker finds a race
 * in it.
 *
 * With -DLEAVES the predecessor passes one message and leaves: what it had passed counts, and the
 * follower waits there for another of that name or, with -DGO_ON, goes on alone. With -DTAKEN a
 * stranger takes its entry, and begins at the tail: that one's cursor is never taken for the
 * predecessor's. With -DLATCH the follower joins meanwhile: a stranger is not latched.
 */
#define MODEL_CONSUMERS 2

#include "reader.h"

#include "calls.h"

#include "recovery/reap.c"
#include "ring/ring.c"

/* A name is its first letter, which others read while it changes, by design: here in a word. */
static _Atomic uint32_t letter;

static void read_letter(void *to, const void *unused)
{
    (void)unused;
    *(char *)to = (char)atomic_load_explicit(&letter, memory_order_relaxed);
}

static void write_letter(const char *from)
{
    atomic_store_explicit(&letter, (uint32_t)from[0], memory_order_relaxed);
}

#define racing_copy(to, from, bytes) read_letter(to, from)
#define strcmp(left, right)          ((left)[0] != (right)[0])
#include "pipeline/pipeline.c"
#undef racing_copy

#include "consumer/after.c"
#undef strcmp

#undef memcpy
#define memcpy(to, from, bytes) write_letter(from)
#include "consumer/join.c"
#undef memcpy

#define MESSAGES 2

static struct shmbus_consumer predecessor;
static struct after after;
static struct latch latches[4];
static uint64_t marks[MESSAGES]; /* of the predecessor, for each message */
static uint32_t gone;

static void pass(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        assert(consumer_look(&predecessor) != NULL);
        marks[i] = 1;
        predecessor.next++;
        int result = consumer_advance(&predecessor);
        assert(result == 0);
    }
}

static void *run_before(void *unused)
{
    (void)unused;
#if defined(TAKEN) || defined(LATCH)
    pass(1);
    recovery_clear_entry(predecessor.entry, 0);
    predecessor.name[0] = 's';
    fill_entry(&predecessor);
    assert(predecessor.epoch == 2);
    int result = begin_at(&predecessor, MESSAGES);
    assert(result == 0);
#elif defined(LEAVES)
    pass(1);
    recovery_clear_entry(predecessor.entry, 0);
#else
    pass(MESSAGES);
#endif
    return NULL;
}

static void follow(void)
{
    while (consumer.next < MESSAGES) {
        if (consumer_look(&consumer) == NULL)
            return;
        /* Alone it gets what nobody marked, and only then. */
        if (gone == 0 || consumer.next == 0)
            assert(marks[consumer.next] == 1);
        consumer.next++;
        int result = consumer_advance(&consumer);
        assert(result == 0);
    }
}

static void *run_after(void *unused)
{
    (void)unused;
#ifdef LATCH
    after_latch(&consumer);
#endif
    follow();
    return NULL;
}

static void note(void *context, const struct shmbus_event *event)
{
    (void)context;
    gone += event->kind == SHMBUS_EVENT_AFTER_GONE;
}

static void begin(void)
{
    bus_begin();
    for (uint64_t i = 0; i < MESSAGES; i++) {
        bus_publish(i, 0);
        marks[i] = 0;
    }
    bus_join(0, SHMBUS_REQUIRED, 1, 0);
    bus_join(1, SHMBUS_REQUIRED, 1, 0);
    atomic_store_explicit(&letter, 'p', memory_order_relaxed);
    gone = 0;

    reader_begin_one(&predecessor, 0, SHMBUS_REQUIRED, 0);
    predecessor.name[0] = 'p';
    predecessor.options.from = SHMBUS_FROM_TAIL;
    reader_begin(1, SHMBUS_REQUIRED, 0);
    consumer.segment.control = (unsigned char *)&control;
    consumer.options.on_event = note;
#ifdef GO_ON
    consumer.options.after_gone = SHMBUS_AFTER_GO_ON;
#endif
    after.latches = latches;
    after.latch_room = 4;
    after.name_count = 1;
    after.names[0].name[0] = 'p';
    consumer.after = &after;
    after_latch(&consumer);
}

static void end(void)
{
    follow();
#if defined(TAKEN) || defined(LATCH)
    assert(consumer.next <= 1);
#elif defined(LEAVES) && !defined(GO_ON)
    assert(consumer.next == 1);
#else
    assert(consumer.next == MESSAGES);
#endif
}

int main(void)
{
    static model_thread *const threads[] = {run_before, run_after};
    model_run(begin, threads, 2, end);
    return 0;
}
