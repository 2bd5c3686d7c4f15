/* SPDX-License-Identifier: MIT */
/*
 * Joining and leaving: an entry of control with its life lock, then the handshake with a producer
 * that may be raising the floor (drawn in ring/gate.h).
 */
#include "consumer/after.h"
#include "error/error.h"
#include "recovery/recovery.h"
#include "wait/wait.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* How long an entry that is being repaired is waited for when there is no other. */
#define ENTRY_WAIT_NS 100000000

/* How often a producer that overtakes a joiner's walk to the tail is run after. */
#define TAIL_TRIES 16

/* How long a raise of the floor is waited for that may yet come down: as long as a scan of every
 * entry takes, with a producer that loses its core meanwhile. */
#define FLOOR_WAIT_NS 5000000

static int open_control(const struct segment *segment)
{
    int descriptor =
        openat(segment->folder, "control", O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    return descriptor < 0 ? segment_errno(errno, segment->name, "control") : descriptor;
}

/* Nobody lives in this entry: this consumer has its life and its repair byte now. What the dead
 * left is repaired first, and a place that is kept for one that may resume is not taken. Returns 1
 * with control mapped if the entry is free, 0, or an errno. */
static int take_if_free(struct shmbus_consumer *consumer, int life, uint32_t index)
{
    struct segment *segment = &consumer->segment;
    int result = segment_map_control(segment, life, index);
    if (result < 0)
        return result;
    recovery_repair(segment, index);
    struct control_entry *entry = layout_entry(segment->control, consumer->header, index);
    /* relaxed: nobody else may store it now */
    if (atomic_load_explicit(&entry->state, memory_order_relaxed) == ENTRY_FREE)
        return 1;
    segment_unmap_control(segment);
    lock_drop(life, LOCK_LIFE + (int64_t)index);
    return 0;
}

/* Tries each entry once. Returns 0, -EAGAIN when one was passed over because it is being repaired
 * or joined, or -EUSERS when somebody lives in each, or its place is kept. */
static int try_entries(struct shmbus_consumer *consumer, int life, int repair)
{
    int result = -EUSERS;
    for (uint32_t i = 0; i < consumer->header->max_consumers; i++) {
        /* One look at an entry that somebody lives in: among a thousand of them, joining is slow
         * enough. */
        if (lock_probe(repair, LOCK_LIFE + (int64_t)i) == 1)
            continue;
        /* Repair first: an entry that is being repaired is passed over, and never looks alive. */
        if (lock_take(repair, LOCK_REPAIR + (int64_t)i) < 0) {
            result = -EAGAIN;
            continue;
        }
        if (lock_take(life, LOCK_LIFE + (int64_t)i) == 0) {
            int taken = take_if_free(consumer, life, i);
            consumer->index = i;
            if (taken != 0)
                return taken < 0 ? taken : 0;
        }
        lock_drop(repair, LOCK_REPAIR + (int64_t)i);
    }
    return result;
}

/* Takes the first entry that nobody lives in. Its repair byte is held too until it is filled in, by
 * a description of its own that ends with that. Returns both descriptors. */
static int take_entry(struct shmbus_consumer *consumer, int *out_life, int *out_repair)
{
    const struct segment *segment = &consumer->segment;
    int life = open_control(segment);
    if (life < 0)
        return life;
    int repair = open_control(segment);
    if (repair < 0) {
        close(life);
        return repair;
    }
    struct waiter waiter = wait_begin(ENTRY_WAIT_NS);
    int result;
    do {
        result = try_entries(consumer, life, repair);
    } while (result == -EAGAIN && wait_step(&waiter) >= 0);
    if (result == 0) {
        *out_life = life;
        *out_repair = repair;
        return 0;
    }
    close(life);
    close(repair);
    if (result != -EAGAIN && result != -EUSERS)
        return result;
    return error_set(-EUSERS,
                     "%s: all %" PRIu32
                     " entries for consumers are taken (create the bus with more "
                     "max_consumers)",
                     segment->name, consumer->header->max_consumers);
}

static void fill_entry(struct shmbus_consumer *consumer)
{
    struct control_entry *entry = consumer->entry;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    /* The one before may have died: its holds end, and its words are written over. */
    recovery_clear_entry(entry, layout_slab_total(consumer->header));
    layout_clear_unknown(entry);
    /* relaxed: nobody believes them before the state is ACTIVE */
    uint64_t evicted = atomic_load_explicit(consumer->eviction, memory_order_relaxed);
    uint64_t epoch = atomic_load_explicit(&entry->epoch, memory_order_relaxed) + 1;
    consumer->epoch = epoch == evicted || epoch == 0 ? evicted + 1 : epoch;
    if (consumer->epoch == 0)
        consumer->epoch = 1;
    /* ORDER(join_epoch:A) pairs scan_epoch:B, scan_again:B, way_epoch:B: the one before has left,
     * and the floor is not loaded */
    atomic_store_explicit(&entry->epoch, consumer->epoch, memory_order_seq_cst);
    /* ORDER(join_fill:A) pairs way_words:B: another epoch before other words */
    atomic_thread_fence(memory_order_release);
    /* relaxed: the state releases them */
    atomic_store_explicit(&entry->kind, consumer->options.kind, memory_order_relaxed);
    atomic_store_explicit(&entry->received, 0, memory_order_relaxed);
    atomic_store_explicit(&entry->lost, 0, memory_order_relaxed);
    atomic_store_explicit(&entry->filtered, 0, memory_order_relaxed);
    atomic_store_explicit(&entry->aborted, 0, memory_order_relaxed);
    atomic_store_explicit(&entry->waiting, SHMBUS_WAITING_NOT, memory_order_relaxed);
    atomic_store_explicit(&entry->pid, (uint32_t)getpid(), memory_order_relaxed);
    entry->uid = (uint32_t)getuid();
    entry->joined_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    entry->grace_ns = consumer->options.grace_ns;
    memset(entry->name, 0, sizeof entry->name);
    memcpy(entry->name, consumer->name, strlen(consumer->name));
    after_write(consumer, entry);
    /* ORDER(join_words:A) pairs way_state:B: whom it runs after, before others' words are looked
     * at */
    atomic_store_explicit(&entry->state, ENTRY_JOINING, memory_order_seq_cst);
}

/* Raises the number of entries that producers look at. */
static void use_entry(struct shmbus_consumer *consumer)
{
    _Atomic uint32_t *used = &segment_shared(&consumer->segment)->entries_used;
    uint32_t wanted = consumer->index + 1;
    /* relaxed: the exchange below decides */
    uint32_t found = atomic_load_explicit(used, memory_order_relaxed);
    /* Ends: the word only rises, and each failed round found it higher. */
    while (found < wanted)
        /* ORDER(entries_used:A) pairs used:B, holders_used:B: the entry counts before it is active
         */
        if (atomic_compare_exchange_weak_explicit(used, &found, wanted, memory_order_seq_cst,
                                                  memory_order_relaxed))
            break;
}

/* The floor, or what comes of it: in the middle of a raise it stands at what is wanted, which may
 * be above a sequence that a required consumer still keeps on the bus. Once this consumer is
 * active, a floor at or below its cursor is safe whenever it is seen: a raise that ended above it
 * would have been stored before, and no floor goes back below that. */
static uint64_t floor_for(const struct shmbus_consumer *consumer, uint64_t wanted)
{
    struct waiter waiter = wait_begin(FLOOR_WAIT_NS);
    uint64_t floor = consumer_floor(consumer);
    while (floor > wanted && wait_step(&waiter) >= 0)
        floor = consumer_floor(consumer);
    return floor;
}

static uint64_t tail_now(const struct shmbus_consumer *consumer)
{
    uint64_t tail = 0;
    /* A walk that is overtaken ends in the middle of the stream: then there is a newer hint. */
    for (int i = 0; i < TAIL_TRIES; i++) {
        /* ORDER(join_tail:B) pairs tail:A, among_tail_up:A: the hint before the stamps below it */
        uint64_t hint = atomic_load_explicit(&consumer->state->tail, memory_order_acquire);
        if (i > 0 && hint <= tail)
            break;
        tail = ring_find_tail(&consumer->ring, hint);
    }
    return tail;
}

static int not_there(const struct shmbus_consumer *consumer, uint64_t wanted)
{
    return error_set(-ERANGE,
                     "%s: sequence %" PRIu64 " is not on the bus: the oldest is %" PRIu64
                     ", the next %" PRIu64,
                     consumer->segment.name, wanted, consumer_floor(consumer), tail_now(consumer));
}

/* A sequence inside a long skipped range has no slot: the range's end is where it leads to. */
static uint64_t past_gaps(const struct shmbus_consumer *consumer, uint64_t wanted, uint64_t tail)
{
    const struct ring *ring = &consumer->ring;
    uint64_t at = consumer_floor(consumer);
    /* Ends: at most a lap of slots stand between floor and tail. */
    for (uint64_t i = 0; i <= ring->mask && at < wanted && at < tail; i++) {
        struct slot_header *slot = ring_slot(ring, at);
        uint64_t stamp = ring_poll(slot);
        if (!ring_is_final(stamp, at))
            return wanted;
        uint64_t after = ring_after(ring, slot, stamp, at);
        if (after - at > ring_gap_limit(ring->mask + 1) && after > wanted)
            return after;
        at = after - at > ring_gap_limit(ring->mask + 1) ? after : at + 1;
    }
    return wanted;
}

/* Where the options want to begin, as things stand now. */
static int choose_begin(const struct shmbus_consumer *consumer, uint64_t *out_begin)
{
    const struct shmbus_consumer_options *options = &consumer->options;
    uint64_t tail = tail_now(consumer);
    uint64_t wanted = options->from_sequence;
    if (options->from == SHMBUS_FROM_TAIL) {
        *out_begin = tail;
    } else if (options->from == SHMBUS_FROM_OLDEST) {
        *out_begin = consumer_floor(consumer);
    } else {
        uint64_t floor = floor_for(consumer, wanted);
        if (wanted > tail || (wanted < floor && !(options->flags & SHMBUS_JOIN_MOVE_UP)))
            return not_there(consumer, wanted);
        *out_begin = wanted < floor ? floor : past_gaps(consumer, wanted, tail);
    }
    return 0;
}

/* The handshake. The cursor is where the consumer asked to begin, or the floor if that is above. */
static int begin_at(struct shmbus_consumer *consumer, uint64_t begin)
{
    struct control_entry *entry = consumer->entry;
    const struct shmbus_consumer_options *options = &consumer->options;
    use_entry(consumer);
    /* ORDER(join_cursor:A) pairs gate_scan:B, after_cursor:B: cursor before active */
    atomic_store_explicit(&entry->cursor, begin, memory_order_seq_cst);
    /* ORDER(join_active:A) pairs state:B, holder_state:B, look_entry:B, health_state:B,
     * resume_state:B, way_state:B, after_state:B: active before the floor is loaded */
    atomic_store_explicit(&entry->state, ENTRY_ACTIVE, memory_order_seq_cst);
    uint64_t floor = options->from == SHMBUS_FROM_SEQUENCE ? floor_for(consumer, begin)
                                                           : consumer_floor(consumer);
    if (floor > begin) {
        if (options->from == SHMBUS_FROM_SEQUENCE && !(options->flags & SHMBUS_JOIN_MOVE_UP))
            return not_there(consumer, begin);
        begin = floor;
        /* ORDER(cursor_up:A) pairs gate_scan:B, after_cursor:B: nothing below the floor is asked
         * for */
        atomic_store_explicit(&entry->cursor, begin, memory_order_release);
    }
    consumer->next = begin;
    consumer->stored = begin;
    return 0;
}

/* The entry is filled in. */
static int enter(struct shmbus_consumer *consumer, uint64_t begin)
{
    int result = after_enter(consumer);
    if (result == 0)
        result = begin_at(consumer, begin);
    if (result == 0)
        after_latch(consumer);
    return result;
}

static int map_entry(struct shmbus_consumer *consumer, int life)
{
    struct segment *segment = &consumer->segment;
    if (segment->control == NULL) {
        int result = segment_map_control(segment, life, consumer->index);
        if (result < 0)
            return result;
    }
    consumer->entry = layout_entry(segment->control, consumer->header, consumer->index);
    consumer->eviction = &segment_verdicts(segment)[consumer->index].evicted;
    return 0;
}

static int join_fresh(struct shmbus_consumer *consumer)
{
    int life = -1;
    int repair = -1;
    uint64_t begin;
    process_hold();
    int result = take_entry(consumer, &life, &repair);
    if (result == 0) {
        result = map_entry(consumer, life);
        if (result == 0)
            fill_entry(consumer);
        close(repair);
        close(life);
    }
    process_release();
    if (result == 0)
        result = choose_begin(consumer, &begin);
    if (result == 0)
        result = enter(consumer, begin);
    return result;
}

/* An observer leaves no trace: it begins where it likes, and is nobody's to heed. */
static void begin_unseen(struct shmbus_consumer *consumer, uint64_t begin)
{
    static const _Atomic uint64_t never;
    consumer->eviction = &never;
    consumer->epoch = 1;
    consumer->next = begin;
    consumer->stored = begin;
}

static int join_unseen(struct shmbus_consumer *consumer)
{
    uint64_t begin;
    int result = choose_begin(consumer, &begin);
    if (result == 0)
        begin_unseen(consumer, begin);
    return result;
}

int consumer_join(struct shmbus_consumer *consumer)
{
    const struct shmbus_consumer_options *options = &consumer->options;
    if (options->kind == SHMBUS_OBSERVER)
        return join_unseen(consumer);
    if (options->kind == SHMBUS_REQUIRED &&
        !layout_may_require(consumer->header, consumer->feed, consumer->name))
        return error_set(-EPERM,
                         "%s: %s may not be a required consumer of it (its producer lists who may; "
                         "join as an optional one)",
                         consumer->segment.name, consumer->name);
    int result = 0;
    if (options->kind == SHMBUS_REQUIRED && options->grace_ns > 0)
        result = consumer_resume(consumer);
    if (result == 0)
        result = join_fresh(consumer);
    else if (result > 0)
        result = 0;
    if (result < 0 && consumer->entry != NULL)
        consumer_leave(consumer);
    return result;
}

/* With the entry that it has, which its life byte keeps for it whatever stands in there. The floor
 * may rise above its place meanwhile, or it would run after itself: then it has none. */
static int join_with_entry(struct shmbus_consumer *consumer, uint64_t begin)
{
    fill_entry(consumer);
    int result = enter(consumer, begin);
    /* The place that it had before, and what it held, are free. */
    consumer_wake_all(consumer);
    if (result < 0) {
        consumer_leave(consumer);
        consumer_fail(consumer, -ESTALE, "its place was gone when it joined again (join again)");
    }
    return result;
}

int consumer_join_again(struct shmbus_consumer *consumer)
{
    uint64_t begin;
    int result = choose_begin(consumer, &begin);
    if (result < 0)
        return result;
    consumer->is_lent = 0;
    consumer->lent_slab = HOLD_COPIED;
    holds_reset(&consumer->holds, layout_slab_total(consumer->header));
    if (consumer->entry == NULL)
        begin_unseen(consumer, begin);
    else
        result = join_with_entry(consumer, begin);
    if (result < 0)
        return result;
    consumer->received = 0;
    consumer->lost = 0;
    consumer->filtered = 0;
    consumer->aborted = 0;
    consumer->resumed = 0;
    consumer->deadline_from = 0;
    return 0;
}

void consumer_leave(struct shmbus_consumer *consumer)
{
    if (consumer->entry == NULL)
        return;
    recovery_clear_entry(consumer->entry, layout_slab_total(consumer->header));
    consumer_wake_all(consumer);
}
