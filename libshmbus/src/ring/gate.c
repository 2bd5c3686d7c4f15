/* SPDX-License-Identifier: MIT */
/*
 * Raising the floor. See gate.h for the protocol.
 */
#include "ring/gate.h"

#include <string.h>

static uint32_t gate_known(struct gate *gate)
{
    /* ORDER(used:B) pairs entries_used:A: the floor is stored before the entries are counted */
    uint32_t used = atomic_load_explicit(gate->entries_used, memory_order_seq_cst);
    if (used > gate->max_consumers)
        used = gate->max_consumers;
    if (used > gate->known)
        gate->known = used;
    return gate->known;
}

int gate_is_evicted(const struct gate *gate, uint32_t index, uint64_t epoch)
{
    /* relaxed: the producer's own word */
    return atomic_load_explicit(&gate->verdicts[index].evicted, memory_order_relaxed) == epoch;
}

void gate_evict(struct gate *gate, uint32_t index, uint64_t epoch)
{
    /* relaxed: the fence below orders it before whatever is overwritten next */
    atomic_store_explicit(&gate->verdicts[index].evicted, epoch, memory_order_relaxed);
    /* ORDER(evict:A) pairs own_words:B: the eviction before a byte that it frees */
    atomic_thread_fence(memory_order_release);
}

/* Is this consumer one of those that may be required? Its name is a peer's word. */
static int may_require(const struct gate *gate, const struct control_entry *entry)
{
    char name[SHMBUS_NAME_MAX + 1] = "";
    if (gate->header->required_rule == SHMBUS_REQUIRED_ANYONE)
        return 1;
    memcpy(name, entry->name, SHMBUS_NAME_MAX);
    return layout_may_require(gate->header, gate->feed, name);
}

struct gate_scan gate_look_from(struct gate *gate, uint64_t next, uint64_t least)
{
    struct gate_scan scan = {.slowest = next};
    uint32_t known = gate_known(gate);
    for (uint32_t i = 0; i < known; i++) {
        struct control_entry *entry = gate_entry(gate, i);
        /* ORDER(scan_epoch:B) pairs join_epoch:A: the floor is stored before epochs are read */
        uint64_t epoch = atomic_load_explicit(&entry->epoch, memory_order_seq_cst);
        /* ORDER(state:B) pairs join_active:A, leave:A, grace:A, resume:A: the floor is stored
         * before states are read
         */
        uint32_t state = atomic_load_explicit(&entry->state, memory_order_seq_cst);
        if (state != ENTRY_ACTIVE && state != ENTRY_GRACE)
            continue;
        /* relaxed: stored before state, which was acquired */
        if (atomic_load_explicit(&entry->kind, memory_order_relaxed) != SHMBUS_REQUIRED)
            continue;
        if (gate_is_evicted(gate, i, epoch))
            continue;
        /* ORDER(gate_scan:B) pairs cursor:A, join_cursor:A, cursor_up:A: cursor before the slot is
         * overwritten
         */
        uint64_t cursor = atomic_load_explicit(&entry->cursor, memory_order_seq_cst);
        /* relaxed: only tells whether the entry changed hands between the two looks */
        int same = atomic_load_explicit(&entry->epoch, memory_order_relaxed) == epoch;
        struct gate_seen *seen = &gate->seen[i];
        /* The one before has left, and the one that comes will see the floor. No epoch is 0. */
        if (!same || epoch == 0)
            continue;
        int back = seen->epoch == epoch && cursor < seen->cursor;
        int may_not = seen->epoch != epoch && !may_require(gate, entry);
        if (cursor > next || back || may_not) {
            gate_evict(gate, i, epoch);
            continue;
        }
        *seen = (struct gate_seen){epoch, cursor};
        if (cursor < least)
            continue;
        if (scan.required++ == 0 || cursor < scan.slowest) {
            scan.slowest = cursor < next ? cursor : next;
            scan.slowest_entry = i;
        }
    }
    return scan;
}

struct gate_scan gate_look(struct gate *gate, uint64_t next)
{
    return gate_look_from(gate, next, 0);
}

uint64_t gate_raise(struct gate *gate, uint64_t wanted, uint64_t next)
{
    uint64_t before = gate->floor;
    if (wanted <= before)
        return before;
    /* ORDER(floor:A) pairs join_floor:B, lapped_floor:B: the floor is stored before the scan */
    atomic_store_explicit(gate->floor_word, wanted, memory_order_seq_cst);
    struct gate_scan scan = gate_look(gate, next);
    uint64_t floor = scan.slowest < wanted ? scan.slowest : wanted;
    if (floor < before)
        floor = before;
    if (floor != wanted) {
        /* ORDER(floor_down:A) pairs join_floor:B, lapped_floor:B: what the scan allows */
        atomic_store_explicit(gate->floor_word, floor, memory_order_seq_cst);
    }
    gate->floor = floor;
    return floor;
}
