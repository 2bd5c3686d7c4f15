/* SPDX-License-Identifier: MIT */
/*
 * Resuming: a required consumer with a name and a grace time goes on at the cursor that one of its
 * name left when it died. Its entry has gated the producer all the time, so nothing is lost.
 */
#include "consumer/after.h"
#include "error/error.h"
#include "recovery/recovery.h"
#include "ring/claim.h"
#include "wait/wait.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* How long an entry that is being repaired is waited for. */
#define REPAIR_WAIT_NS 100000000

/* Is this the place of one of our name? Its words are a peer's: only looked at. */
static int is_ours(const struct shmbus_consumer *consumer, const struct control_entry *entry)
{
    char name[SHMBUS_NAME_MAX + 1] = "";
    /* ORDER(resume_state:B) pairs join_active:A, grace:A: the entry is filled in before its state
     */
    uint32_t state = atomic_load_explicit(&entry->state, memory_order_acquire);
    /* relaxed: stored before the state */
    uint32_t kind = atomic_load_explicit(&entry->kind, memory_order_relaxed);
    if ((state != ENTRY_ACTIVE && state != ENTRY_GRACE) || kind != SHMBUS_REQUIRED)
        return 0;
    racing_copy(name, entry->name, SHMBUS_NAME_MAX);
    return strcmp(name, consumer->name) == 0;
}

/* Is its time over, or is it evicted? Then the place is nobody's. */
static int is_over(const struct shmbus_consumer *consumer, const struct control_entry *entry,
                   uint32_t index)
{
    /* relaxed: the locks order them after what the dead and its repairer stored */
    uint32_t state = atomic_load_explicit(&entry->state, memory_order_relaxed);
    int64_t until_ns = atomic_load_explicit(&entry->grace_until_ns, memory_order_relaxed);
    uint64_t epoch = atomic_load_explicit(&entry->epoch, memory_order_relaxed);
    const struct layout_verdict *verdict = &segment_verdicts(&consumer->segment)[index];
    if (state == ENTRY_GRACE && wait_now() >= until_ns)
        return 1;
    /* relaxed: a producer that evicts it later is found out as always */
    return atomic_load_explicit(&verdict->evicted, memory_order_relaxed) == epoch;
}

/* Among many producers a cursor may be beyond the tail, when it stepped over a hole that nobody has
 * aborted yet: all before it is claimed, and what is at it is still there or yet to come. */
static int is_among(const struct shmbus_consumer *consumer, uint64_t cursor)
{
    const struct ring *ring = &consumer->ring;
    uint64_t ahead = stamp_ahead(ring_poll(ring_slot(ring, cursor)), cursor);
    return consumer->header->max_producers > 1 && cursor > consumer->header->first_sequence &&
           claim_is_known(ring, cursor - 1) && (ahead == 0 || ahead == UINT64_MAX);
}

/* Is this where the stream can be read on: at its tail, or at what is still there? A cursor that
 * somebody forged is neither. */
static int can_go_on(const struct shmbus_consumer *consumer, uint64_t cursor)
{
    /* relaxed: the locks order it after what the dead stored */
    uint64_t hint = atomic_load_explicit(&consumer->state->tail, memory_order_relaxed);
    uint64_t tail = ring_find_tail(&consumer->ring, hint);
    return cursor == tail || is_among(consumer, cursor) ||
           (cursor < tail && ring_is_final(ring_poll(ring_slot(&consumer->ring, cursor)), cursor));
}

/* Takes the entry over, under its life and its repair byte. Returns 1, 0 when it is not to be had,
 * or -ELOOP. */
static int go_on(struct shmbus_consumer *consumer, uint32_t index)
{
    struct control_entry *entry = layout_entry(consumer->segment.control, consumer->header, index);

    /* relaxed: the locks order them after what the dead stored */
    uint64_t cursor = atomic_load_explicit(&entry->cursor, memory_order_relaxed);

    if (!can_go_on(consumer, cursor))
        return 0;
    consumer->index = index;
    int result = after_enter_again(consumer, entry);
    if (result < 0)
        return result;
    consumer->entry = entry;
    consumer->eviction = &segment_verdicts(&consumer->segment)[index].evicted;
    /* relaxed: as above */
    consumer->epoch = atomic_load_explicit(&entry->epoch, memory_order_relaxed);
    consumer->received = atomic_load_explicit(&entry->received, memory_order_relaxed);
    consumer->lost = atomic_load_explicit(&entry->lost, memory_order_relaxed);
    consumer->filtered = atomic_load_explicit(&entry->filtered, memory_order_relaxed);
    consumer->aborted = atomic_load_explicit(&entry->aborted, memory_order_relaxed);
    consumer->next = cursor;
    consumer->stored = cursor;
    consumer->resumed = 1;

    recovery_clear_holds(entry, layout_slab_total(consumer->header));
    /* relaxed: the state releases them */
    atomic_store_explicit(&entry->pid, (uint32_t)getpid(), memory_order_relaxed);
    atomic_store_explicit(&entry->waiting, SHMBUS_WAITING_NOT, memory_order_relaxed);
    layout_clear_unknown(entry);
    entry->uid = (uint32_t)getuid();
    entry->grace_ns = consumer->options.grace_ns;
    /* ORDER(resume:A) pairs state:B, holder_state:B, way_state:B, after_state:B: its holds have
     * ended before it goes on */
    atomic_store_explicit(&entry->state, ENTRY_ACTIVE, memory_order_seq_cst);
    after_latch(consumer);
    consumer_wake_all(consumer);
    return 1;
}

/* Takes repair and life byte of an entry. One that is being repaired is waited for: a repairer
 * needs no longer than it takes to clear it, unless it is stopped. */
static int take_bytes(int repair, int life, uint32_t index)
{
    struct waiter waiter = wait_begin(REPAIR_WAIT_NS);
    int result;
    do {
        result = lock_take(repair, LOCK_REPAIR + (int64_t)index);
    } while (result == -EAGAIN && lock_probe(repair, LOCK_LIFE + (int64_t)index) == 0 &&
             wait_step(&waiter) >= 0);
    return result < 0 ? result : lock_take(life, LOCK_LIFE + (int64_t)index);
}

/* Tries one entry whose words look like ours. */
static int try_entry(struct shmbus_consumer *consumer, uint32_t index)
{
    struct segment *segment = &consumer->segment;
    int life = openat(segment->folder, "control", O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    int repair = openat(segment->folder, "control", O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    int result = 0;
    if (life < 0 || repair < 0) {
        result = segment_errno(errno, segment->name, "control");
    } else if (take_bytes(repair, life, index) < 0) {
        result = error_set(-EBUSY,
                           "%s: a consumer named %s lives or is being repaired (choose "
                           "another name)",
                           segment->name, consumer->name);
    } else {
        result = segment_map_control(segment, life, index);
        if (result == 0) {
            const struct control_entry *entry =
                layout_entry(segment->control, consumer->header, index);
            if (is_ours(consumer, entry) && !is_over(consumer, entry, index))
                result = go_on(consumer, index);
            if (result <= 0)
                segment_unmap_control(segment);
        }
    }
    if (repair >= 0)
        close(repair);
    if (life >= 0)
        close(life);
    return result;
}

int consumer_resume(struct shmbus_consumer *consumer)
{
    struct segment *segment = &consumer->segment;
    unsigned char *control;
    process_hold();
    int result = segment_peek_control(segment, &control);
    if (result == 0) {
        for (uint32_t i = 0; result == 0 && i < consumer->header->max_consumers; i++)
            if (is_ours(consumer, layout_entry(control, consumer->header, i)))
                result = try_entry(consumer, i);
        segment_unpeek_control(segment, control);
    }
    process_release();
    return result;
}
