/* SPDX-License-Identifier: MIT */
/*
 * Reaping: the entries of consumers that died. One that has a grace time keeps its place, and
 * gates, until that is over; its holds end at once, since nobody can release them.
 */
#include "error/error.h"
#include "liveness/liveness.h"
#include "recovery/recovery.h"
#include "wait/wait.h"

#include <sys/mman.h>
#include <unistd.h>

void recovery_clear_holds(struct control_entry *entry, uint64_t slab_total)
{
    for (uint64_t i = 0; i < layout_hold_words(slab_total); i++)
        /* ORDER(bits_end:A) pairs holds:B: every read of the slabs before their reuse, by a
         * producer that does not see the state that follows, too */
        atomic_store_explicit(&entry->holds[i], 0, memory_order_release);
    /* ORDER(holds_end:A) pairs holding:B: as above */
    atomic_store_explicit(&entry->holding, 0, memory_order_release);
}

void recovery_clear_entry(struct control_entry *entry, uint64_t slab_total)
{
    recovery_clear_holds(entry, slab_total);
    /* ORDER(leave:A) pairs state:B, holder_state:B, health_state:B, way_state:B, after_state:B: the
     * entry is empty before it is free */
    atomic_store_explicit(&entry->state, ENTRY_FREE, memory_order_seq_cst);
}

static void begin_grace(struct control_entry *entry, int64_t until_ns, uint64_t slab_total)
{
    recovery_clear_holds(entry, slab_total);
    /* relaxed: the state releases it */
    atomic_store_explicit(&entry->grace_until_ns, until_ns, memory_order_relaxed);
    /* ORDER(grace:A) pairs state:B, holder_state:B, resume_state:B, way_state:B, after_state:B: its
     * holds end, and its cursor still gates */
    atomic_store_explicit(&entry->state, ENTRY_GRACE, memory_order_seq_cst);
}

/* A producer that did not come to see the dead one in its entry can still tell by the epoch. */
static void bury(struct control_entry *entry, uint64_t epoch, uint64_t slab_total)
{
    /* relaxed: the state releases it */
    atomic_store_explicit(&entry->died_epoch, epoch, memory_order_relaxed);
    recovery_clear_entry(entry, slab_total);
}

int recovery_repair(const struct segment *segment, uint32_t index)
{
    struct control_entry *entry = layout_entry(segment->control, &segment->header, index);
    uint64_t slab_total = layout_slab_total(&segment->header);
    int64_t now = wait_now();
    int64_t grace_ns = entry->grace_ns;
    /* relaxed: the locks order them after what the dead stored; a producer that evicts it at this
     * moment does not heed its place either */
    uint64_t epoch = atomic_load_explicit(&entry->epoch, memory_order_relaxed);
    uint64_t evicted =
        atomic_load_explicit(&segment_verdicts(segment)[index].evicted, memory_order_relaxed);
    uint32_t state = atomic_load_explicit(&entry->state, memory_order_relaxed);
    uint32_t kind = atomic_load_explicit(&entry->kind, memory_order_relaxed);
    int64_t until_ns = atomic_load_explicit(&entry->grace_until_ns, memory_order_relaxed);
    if (state == ENTRY_FREE)
        return 0;
    if (state == ENTRY_GRACE && now < until_ns && epoch != evicted)
        return 0;
    if (state == ENTRY_ACTIVE && kind == SHMBUS_REQUIRED && epoch != evicted && grace_ns > 0 &&
        grace_ns <= INT64_MAX - now)
        begin_grace(entry, now + grace_ns, slab_total);
    else
        bury(entry, epoch, slab_total);
    return 1;
}

/* Repairs one entry under its repair byte, if it is still proven that its owner is dead. */
static int reap_one(struct segment *segment, uint32_t index)
{
    int descriptor = segment_open_control(segment);
    if (descriptor < 0)
        return segment_errno(errno, segment->name, "control");
    int reaped = 0;
    if (lock_take(descriptor, LOCK_REPAIR + (int64_t)index) == 0 &&
        lock_probe(descriptor, LOCK_LIFE + (int64_t)index) == 0)
        reaped = recovery_repair(segment, index);
    close(descriptor);
    return reaped;
}

int recovery_reap(struct segment *segment, uint32_t known)
{
    int reaped = 0;
    for (uint32_t i = 0; i < known; i++) {
        struct control_entry *entry = layout_entry(segment->control, &segment->header, i);
        /* relaxed: only says whether to ask the kernel */
        if (atomic_load_explicit(&entry->state, memory_order_relaxed) == ENTRY_FREE)
            continue;
        if (lock_probe(segment->probe_control, LOCK_LIFE + (int64_t)i) != 0)
            continue;
        process_hold();
        int result = reap_one(segment, i);
        process_release();
        if (result < 0)
            return result;
        reaped += result;
    }
    return reaped;
}

int recovery_reap_entry(const struct segment *segment, uint32_t index)
{
    struct segment repairer = *segment;
    int descriptor = segment_open_control(segment);
    int result = descriptor < 0 ? segment_errno(errno, segment->name, "control") : 0;
    if (result == 0) {
        result = segment_map(descriptor, segment->header.control_bytes, PROT_READ | PROT_WRITE, 0,
                             &repairer.control);
        close(descriptor);
        if (result < 0)
            result = segment_errno(-result, segment->name, "control");
    }
    if (result == 0) {
        result = reap_one(&repairer, index);
        munmap(repairer.control, segment->header.control_bytes);
    }
    return result;
}

int shmbus_reap(const char *name, const char *folder)
{
    struct segment segment;
    int result = layout_check_name("bus", name);
    if (result < 0)
        return result;
    segment_begin(&segment, name);
    result = segment_open(&segment, folder, SEGMENT_REPAIR);
    if (result == 0)
        result = recovery_reap(&segment, segment.header.max_consumers);
    segment_close(&segment);
    return result;
}
