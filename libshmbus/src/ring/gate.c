/* SPDX-License-Identifier: MIT */
/*
 * Raising the floor. See gate.h for the protocol.
 */
#include "ring/gate.h"

#include "ring/claim.h"

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

uint64_t gate_verdict(const struct gate *gate, uint32_t index)
{
    /* relaxed: the producers' own word; what another one evicted, that one judged */
    return atomic_load_explicit(&gate->verdicts[index].evicted, memory_order_relaxed);
}

int gate_is_evicted(const struct gate *gate, uint32_t index, uint64_t epoch)
{
    return gate_verdict(gate, index) == epoch;
}

int gate_evict_after(struct gate *gate, uint32_t index, uint64_t verdict, uint64_t epoch)
{
    _Atomic uint64_t *word = &gate->verdicts[index].evicted;
    int done = 1;
    if (gate->ring != NULL)
        /* relaxed: the fence below orders it. Not over a verdict on a later epoch, which another
         * producer may already have acted on. */
        done = atomic_compare_exchange_strong_explicit(word, &verdict, epoch, memory_order_relaxed,
                                                       memory_order_relaxed);
    else
        /* relaxed: the fence below orders it before whatever is overwritten next */
        atomic_store_explicit(word, epoch, memory_order_relaxed);
    /* ORDER(evict:A) pairs own_words:B: the eviction before a byte that it frees */
    atomic_thread_fence(memory_order_release);
    return done;
}

void gate_evict(struct gate *gate, uint32_t index, uint64_t epoch)
{
    gate_evict_after(gate, index, 0, epoch);
}

/* Is a cursor beyond all that is published? What another producer has published, or only claimed,
 * this one may not know of yet: a consumer may have stepped over the hole of one that died. */
static int is_beyond(const struct gate *gate, uint64_t cursor, uint64_t next)
{
    return cursor > next && (gate->ring == NULL || cursor - next > UINT64_MAX >> 10 ||
                             !claim_is_known(gate->ring, cursor - 1));
}

/* Is this consumer one of those that may be required? Its name is a peer's word. */
static int may_require(const struct gate *gate, const struct control_entry *entry)
{
    char name[SHMBUS_NAME_MAX + 1] = "";
    if (gate->header->required_rule == SHMBUS_REQUIRED_ANYONE)
        return 1;
    racing_copy(name, entry->name, SHMBUS_NAME_MAX);
    return layout_may_require(gate->header, gate->feed, name);
}

/* What was found of one entry: a required consumer that is heeded, with its cursor. */
#define LOOK_NONE  0
#define LOOK_HEED  1
#define LOOK_DOUBT 2 /* to be evicted, but another producer judged the entry at the same time */

static int look_at(struct gate *gate, uint32_t index, uint64_t next, uint64_t *out_cursor)
{
    struct control_entry *entry = gate_entry(gate, index);
    uint64_t verdict = gate_verdict(gate, index);
    /* ORDER(scan_epoch:B) pairs join_epoch:A: the floor is stored before epochs are read */
    uint64_t epoch = atomic_load_explicit(&entry->epoch, memory_order_seq_cst);
    /* ORDER(state:B) pairs join_active:A, leave:A, grace:A, resume:A: the floor is stored
     * before states are read
     */
    uint32_t state = atomic_load_explicit(&entry->state, memory_order_seq_cst);
    if (state != ENTRY_ACTIVE && state != ENTRY_GRACE)
        return LOOK_NONE;
    /* relaxed: stored before state, which was acquired */
    if (atomic_load_explicit(&entry->kind, memory_order_relaxed) != SHMBUS_REQUIRED)
        return LOOK_NONE;
    if (verdict == epoch)
        return LOOK_NONE;
    /* ORDER(gate_scan:B) pairs cursor:A, join_cursor:A, cursor_up:A: cursor before the slot is
     * overwritten
     */
    uint64_t cursor = atomic_load_explicit(&entry->cursor, memory_order_seq_cst);
    /* ORDER(scan_again:B) pairs join_epoch:A: if the entry changed hands between the two looks, its
     * former consumer has read all that it will */
    int same = atomic_load_explicit(&entry->epoch, memory_order_acquire) == epoch;
    struct gate_seen *seen = &gate->seen[index];
    /* The one before has left, and the one that comes will see the floor. No epoch is 0. */
    if (!same || epoch == 0)
        return LOOK_NONE;
    int back = seen->epoch == epoch && cursor < seen->cursor;
    int may_not = seen->epoch != epoch && !may_require(gate, entry);
    if (is_beyond(gate, cursor, next) || back || may_not)
        return gate_evict_after(gate, index, verdict, epoch) ? LOOK_NONE : LOOK_DOUBT;
    *seen = (struct gate_seen){epoch, cursor};
    *out_cursor = cursor;
    return LOOK_HEED;
}

struct gate_scan gate_look_from(struct gate *gate, uint64_t next, uint64_t least)
{
    struct gate_scan scan = {.slowest = next};
    uint32_t known = gate_known(gate);
    for (uint32_t i = 0; i < known; i++) {
        uint64_t cursor = gate->floor;
        /* In doubt the floor stays where it is; the next look knows more. */
        if (look_at(gate, i, next, &cursor) == LOOK_NONE || cursor < least)
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
    uint64_t shown = gate->shown;
    if (wanted <= before)
        return before;
    if (wanted > shown) {
        /* ORDER(floor:A) pairs join_floor:B: the floor is stored before the scan */
        atomic_store_explicit(gate->floor_word, wanted, memory_order_seq_cst);
    }
    struct gate_scan scan = gate_look(gate, next);
    uint64_t floor = scan.slowest < wanted ? scan.slowest : wanted;
    if (floor < before)
        floor = before;
    gate->shown = floor > shown ? floor : shown;
    if (wanted > shown && gate->shown != wanted) {
        /* ORDER(floor_down:A) pairs join_floor:B: what the scan allows */
        atomic_store_explicit(gate->floor_word, gate->shown, memory_order_seq_cst);
    }
    gate->floor = floor;
    return floor;
}
