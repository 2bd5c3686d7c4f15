/* SPDX-License-Identifier: MIT */
/*
 * Joining and leaving: an entry of control with its life lock, then the handshake with a producer
 * that may be raising the floor (drawn in ring/gate.h).
 */
#include "consumer/consumer.h"
#include "error/error.h"
#include "recovery/recovery.h"
#include "wait/wait.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

/* How long an entry that is being repaired is waited for when there is no other. */
#define ENTRY_WAIT_NS 100000000

static int open_control(const struct segment *segment)
{
    int descriptor =
        openat(segment->folder, "control", O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    return descriptor < 0 ? segment_errno(errno, segment->name, "control") : descriptor;
}

/* Tries each entry once. Returns 0, -EAGAIN when one was passed over because it is being repaired
 * or joined, or -EUSERS when somebody lives in each. */
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
            consumer->index = i;
            return 0;
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
    return error_set(-EUSERS,
                     "%s: all %" PRIu32
                     " entries for consumers are taken (create the bus with more "
                     "max_consumers)",
                     segment->name, consumer->header->max_consumers);
}

static void fill_entry(struct shmbus_consumer *consumer, uint32_t kind, const char *name)
{
    struct control_entry *entry = consumer->entry;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    /* The one before may have died: its holds end, and its words are written over. */
    recovery_clear_entry(entry, layout_slab_total(consumer->header));
    /* relaxed: nobody believes them before the state is ACTIVE */
    uint64_t evicted = atomic_load_explicit(consumer->eviction, memory_order_relaxed);
    uint64_t epoch = atomic_load_explicit(&entry->epoch, memory_order_relaxed) + 1;
    consumer->epoch = epoch == evicted || epoch == 0 ? evicted + 1 : epoch;
    atomic_store_explicit(&entry->state, ENTRY_JOINING, memory_order_relaxed);
    atomic_store_explicit(&entry->epoch, consumer->epoch, memory_order_relaxed);
    atomic_store_explicit(&entry->kind, kind, memory_order_relaxed);
    atomic_store_explicit(&entry->received, 0, memory_order_relaxed);
    atomic_store_explicit(&entry->lost, 0, memory_order_relaxed);
    atomic_store_explicit(&entry->filtered, 0, memory_order_relaxed);
    atomic_store_explicit(&entry->aborted, 0, memory_order_relaxed);
    atomic_store_explicit(&entry->pid, (uint32_t)getpid(), memory_order_relaxed);
    entry->uid = (uint32_t)getuid();
    entry->joined_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    memset(entry->name, 0, sizeof entry->name);
    memcpy(entry->name, name, strlen(name));
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

static uint64_t floor_now(const struct shmbus_consumer *consumer)
{
    /* ORDER(join_floor:B) pairs floor:A, floor_down:A, takeover_floor:A: active before the floor */
    return atomic_load_explicit(&segment_producer(&consumer->segment, 0)->floor,
                                memory_order_seq_cst);
}

static uint64_t tail_now(const struct shmbus_consumer *consumer)
{
    /* ORDER(join_tail:B) pairs tail:A: the hint before the stamps below it */
    uint64_t hint = atomic_load_explicit(&consumer->state->tail, memory_order_acquire);
    return ring_find_tail(&consumer->ring, hint);
}

static int not_there(const struct shmbus_consumer *consumer, uint64_t wanted)
{
    return error_set(-ERANGE,
                     "%s: sequence %" PRIu64 " is not on the bus: the oldest is %" PRIu64
                     ", the next %" PRIu64,
                     consumer->segment.name, wanted, floor_now(consumer), tail_now(consumer));
}

/* The handshake. The cursor is where the consumer asked to begin, or the floor if that is above. */
static int begin_at(struct shmbus_consumer *consumer, const struct shmbus_consumer_options *options)
{
    struct control_entry *entry = consumer->entry;
    uint64_t begin = tail_now(consumer);
    if (options->from == SHMBUS_FROM_OLDEST)
        begin = floor_now(consumer);
    if (options->from == SHMBUS_FROM_SEQUENCE) {
        if (options->from_sequence > begin || options->from_sequence < floor_now(consumer))
            return not_there(consumer, options->from_sequence);
        begin = options->from_sequence;
    }
    use_entry(consumer);
    /* ORDER(join_cursor:A) pairs gate_scan:B: cursor before active */
    atomic_store_explicit(&entry->cursor, begin, memory_order_seq_cst);
    /* ORDER(join_active:A) pairs state:B, holder_state:B, look_entry:B: active before the floor is
     * loaded */
    atomic_store_explicit(&entry->state, ENTRY_ACTIVE, memory_order_seq_cst);
    uint64_t floor = floor_now(consumer);
    if (floor > begin) {
        if (options->from == SHMBUS_FROM_SEQUENCE)
            return not_there(consumer, begin);
        begin = floor;
        /* ORDER(cursor_up:A) pairs gate_scan:B: nothing below the floor is asked for */
        atomic_store_explicit(&entry->cursor, begin, memory_order_release);
    }
    consumer->next = begin;
    consumer->stored = begin;
    return 0;
}

/* The name that shmbus-stat shows: the one given, or the process's, made fit. */
static void choose_name(const char *given, char *out_name)
{
    char process[17] = "";
    if (given != NULL) {
        snprintf(out_name, SHMBUS_NAME_MAX + 1, "%s", given);
        return;
    }
    prctl(PR_GET_NAME, process);
    for (char *at = process; *at != 0; at++) {
        char one[2] = {*at, 0};
        if (segment_check_name("", one) < 0)
            *at = '_';
    }
    snprintf(out_name, SHMBUS_NAME_MAX + 1, "%s", process[0] != 0 ? process : "consumer");
}

int consumer_join(struct shmbus_consumer *consumer, const struct shmbus_consumer_options *options)
{
    char name[SHMBUS_NAME_MAX + 1];
    int life = -1;
    int repair = -1;
    choose_name(options->name, name);
    process_hold();
    int result = take_entry(consumer, &life, &repair);
    if (result == 0) {
        result = segment_map_control(&consumer->segment, life, consumer->index);
        if (result == 0) {
            consumer->entry =
                layout_entry(consumer->segment.control, consumer->header, consumer->index);
            consumer->eviction = segment_evictions(&consumer->segment) + consumer->index;
            fill_entry(consumer, options->kind, name);
        }
        close(repair);
        close(life);
    }
    process_release();
    if (result == 0)
        result = begin_at(consumer, options);
    if (result < 0 && consumer->entry != NULL)
        consumer_leave(consumer);
    return result;
}

void consumer_leave(struct shmbus_consumer *consumer)
{
    recovery_clear_entry(consumer->entry, layout_slab_total(consumer->header));
}
