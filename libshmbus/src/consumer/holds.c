/* SPDX-License-Identifier: MIT */
/*
 * Keeping messages beyond their callback. A message in a slab is kept by this consumer's own bit
 * for that slab, set before its cursor moves on; one in a slot by a copy in private memory. Each
 * handle is one row of a private table and can be ended once; a count for each slab says when the
 * last one ends.
 *
 *   handle   (63..32 generation of the row, odd | 31..0 row + 1) ^ the object's salt
 *
 * Each consumer object of a process has another salt, so that a handle of one is none of another.
 */
#include "consumer/consumer.h"
#include "error/error.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A salt that no other object of this process has. Bit 31, which no row has, keeps handles from
 * being 0. */
static uint64_t new_salt(void)
{
    static _Atomic uint64_t objects;
    /* relaxed: only has to be another each time */
    uint64_t number = atomic_fetch_add_explicit(&objects, 1, memory_order_relaxed);
    return (number + 1) * UINT64_C(0x9e3779b97f4a7c15) | UINT64_C(1) << 31;
}

int holds_begin(struct holds *holds, uint32_t quota, uint64_t copy_bytes, uint64_t slab_total)
{
    memset(holds, 0, sizeof *holds);
    holds->quota = quota;
    holds->copy_bytes = copy_bytes;
    holds->salt = new_salt();
    holds->hold = calloc(quota, sizeof *holds->hold);
    holds->copies = calloc(quota, copy_bytes);
    holds->uses = calloc(slab_total + 1, sizeof *holds->uses);
    if (holds->hold == NULL || holds->copies == NULL || holds->uses == NULL) {
        holds_end(holds);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < quota; i++) {
        /* Just below the wrap, so that every use goes through it. */
        holds->hold[i].generation = UINT32_MAX - 5;
        holds->hold[i].next = i + 1;
    }
    return 0;
}

void holds_end(struct holds *holds)
{
    free(holds->hold);
    free(holds->copies);
    free(holds->uses);
    memset(holds, 0, sizeof *holds);
}

void holds_reset(struct holds *holds, uint64_t slab_total)
{
    for (uint32_t i = 0; i < holds->quota; i++) {
        struct hold *hold = &holds->hold[i];
        if (!(hold->generation & 1))
            continue;
        hold->generation++;
        hold->next = holds->first_free;
        holds->first_free = i;
    }
    memset(holds->uses, 0, slab_total * sizeof *holds->uses);
    holds->out = 0;
    holds->bits = 0;
}

static int refuse(const struct shmbus_consumer *consumer)
{
    if (consumer->orphaned)
        return error_constant(-ECHILD, "the consumer is another process's (open it again after "
                                       "fork)");
    return error_constant(-EDQUOT, "as many handles are out as hold_quota allows (release some)");
}

/* Takes a row that is free; there is one. */
static struct hold *take_row(struct holds *holds, uint64_t *out_handle)
{
    uint32_t row = holds->first_free;
    struct hold *hold = &holds->hold[row];
    holds->first_free = hold->next;
    holds->out++;
    hold->generation++;
    *out_handle = ((uint64_t)hold->generation << 32 | (row + 1)) ^ holds->salt;
    return hold;
}

void hold_slab(struct shmbus_consumer *consumer, uint64_t slab)
{
    struct control_entry *entry = consumer->entry;
    if (consumer->holds.uses[slab]++ > 0)
        return;
    /* relaxed: its own word */
    uint64_t word = atomic_load_explicit(&entry->holds[slab / 64], memory_order_relaxed);
    consumer->holds.bits++;
    /* ORDER(hold_set:A) pairs holding:B: the hold before the cursor */
    atomic_store_explicit(&entry->holding, consumer->holds.bits, memory_order_release);
    /* ORDER(bit_set:A) pairs holds:B: the hold before the cursor */
    atomic_store_explicit(&entry->holds[slab / 64], word | UINT64_C(1) << (slab % 64),
                          memory_order_release);
}

/* Does this consumer's bit for a slab stand as it set it? */
static int is_held(const struct shmbus_consumer *consumer, uint64_t slab)
{
    /* relaxed: its own word, and whether it is still that */
    uint64_t word = atomic_load_explicit(&consumer->entry->holds[slab / 64], memory_order_relaxed);
    return (int)(word >> (slab % 64) & 1);
}

/* Was a slab that was held for the message of this handle given to another since? What was read of
 * it before is not to be trusted then. */
static inline int was_reused(const struct shmbus_consumer *consumer, uint64_t slab, uint64_t handle)
{
    /* ORDER(kept:B) pairs reuse:A: the payload before the generation */
    atomic_thread_fence(memory_order_acquire);
    /* relaxed: the fence above orders it */
    return generation_is_beyond(
        atomic_load_explicit(&consumer->generations[slab], memory_order_relaxed), handle);
}

int holds_lost(const struct shmbus_consumer *consumer, uint64_t handle)
{
    const struct feed_header *header = consumer->header;
    uint32_t class_index = handle_class(handle);
    if (consumer->entry == NULL || class_index >= header->class_count ||
        handle_index(handle) >= header->classes[class_index].slab_count)
        return 0;
    uint64_t slab = consumer_slab_of(consumer, handle);
    return consumer->holds.uses[slab] > 0 &&
           (!is_held(consumer, slab) || was_reused(consumer, slab, handle));
}

int unhold_slab(struct shmbus_consumer *consumer, uint64_t slab)
{
    struct control_entry *entry = consumer->entry;
    if (--consumer->holds.uses[slab] > 0)
        return 0;
    int lost = !is_held(consumer, slab);
    /* relaxed: its own word */
    uint64_t word = atomic_load_explicit(&entry->holds[slab / 64], memory_order_relaxed);
    consumer->holds.bits--;
    /* ORDER(bit_clear:A) pairs holds:B: every read of the slab before its reuse */
    atomic_store_explicit(&entry->holds[slab / 64], word & ~(UINT64_C(1) << (slab % 64)),
                          memory_order_release);
    /* ORDER(hold_clear:A) pairs holding:B: every read of the slab before its reuse */
    atomic_store_explicit(&entry->holding, consumer->holds.bits, memory_order_release);
    if (consumer_has_parked(consumer))
        consumer_wake(consumer, 0, 0);
    return lost && consumer->failed == 0 ? consumer_evicted(consumer) : 0;
}

int hold_end(struct shmbus_consumer *consumer, uint64_t slab, uint64_t handle)
{
    int is_false = was_reused(consumer, slab, handle);
    int result = unhold_slab(consumer, slab);
    if (__builtin_expect(is_false, 0) && consumer->failed == 0)
        return consumer_evicted(consumer);
    return result;
}

/* Copies a payload into a row's own memory. */
static void keep_copy(struct holds *holds, struct hold *hold, const struct shmbus_message *from)
{
    unsigned char *copy = holds->copies + (size_t)(hold - holds->hold) * holds->copy_bytes;
    memcpy(copy, from->data, from->length);
    hold->message.data = copy;
    hold->slab = HOLD_COPIED;
}

static int retain(struct shmbus_consumer *consumer, const struct shmbus_message *message,
                  uint64_t *out_handle)
{
    struct holds *holds = &consumer->holds;
    if (consumer->orphaned || holds->out == holds->quota)
        return refuse(consumer);
    if (!consumer->is_lent || message->sequence != consumer->lent.sequence)
        return error_constant(-EINVAL, "not the message that is lent now (retain it in its "
                                       "callback, or before the next call of next)");
    struct hold *hold = take_row(holds, out_handle);
    hold->message = consumer->lent;
    if (consumer->lent.handle != 0 && consumer->options.kind != SHMBUS_OBSERVER) {
        hold->slab = consumer_slab_of(consumer, consumer->lent.handle);
        hold_slab(consumer, hold->slab);
    } else {
        keep_copy(holds, hold, &consumer->lent);
    }
    return 0;
}

int shmbus_consumer_retain(struct shmbus_consumer *consumer, const struct shmbus_message *message,
                           uint64_t *out_handle)
{
    int result = guard_enter(&consumer->guard);
    if (result < 0)
        return result;
    result = retain(consumer, message, out_handle);
    guard_leave(&consumer->guard);
    return result;
}

/* The row of a handle that is out. */
static int find(const struct shmbus_consumer *consumer, uint64_t handle, struct hold **out_hold)
{
    if (consumer->orphaned)
        return refuse(consumer);
    uint64_t plain = handle ^ consumer->holds.salt;
    uint32_t row = (uint32_t)plain - 1;
    uint32_t generation = (uint32_t)(plain >> 32);
    if (row >= consumer->holds.quota || !(generation & 1) ||
        consumer->holds.hold[row].generation != generation)
        return error_set(-ESTALE,
                         "handle 0x%016" PRIx64 ": released before, or never given out by this "
                         "consumer",
                         handle);
    *out_hold = &consumer->holds.hold[row];
    return 0;
}

static int copy(struct shmbus_consumer *consumer, uint64_t handle, uint64_t *out_handle)
{
    struct holds *holds = &consumer->holds;
    struct hold *from = NULL;
    int result = find(consumer, handle, &from);
    if (result < 0)
        return result;
    if (holds->out == holds->quota)
        return refuse(consumer);
    struct hold *hold = take_row(holds, out_handle);
    hold->message = from->message;
    hold->slab = from->slab;
    if (from->slab != HOLD_COPIED)
        hold_slab(consumer, from->slab);
    else
        keep_copy(holds, hold, &from->message);
    return 0;
}

int shmbus_consumer_copy(struct shmbus_consumer *consumer, uint64_t handle, uint64_t *out_handle)
{
    int result = guard_enter(&consumer->guard);
    if (result < 0)
        return result;
    result = copy(consumer, handle, out_handle);
    guard_leave(&consumer->guard);
    return result;
}

int shmbus_consumer_held(struct shmbus_consumer *consumer, uint64_t handle,
                         struct shmbus_message *out_message)
{
    struct hold *hold = NULL;
    int result = guard_enter(&consumer->guard);
    if (result < 0)
        return result;
    result = find(consumer, handle, &hold);
    if (result == 0)
        *out_message = hold->message;
    guard_leave(&consumer->guard);
    return result;
}

int shmbus_consumer_release(struct shmbus_consumer *consumer, uint64_t handle)
{
    struct holds *holds = &consumer->holds;
    struct hold *hold = NULL;
    int result = guard_enter(&consumer->guard);
    if (result < 0)
        return result;
    result = find(consumer, handle, &hold);
    if (result == 0) {
        if (hold->slab != HOLD_COPIED)
            result = hold_end(consumer, hold->slab, hold->message.handle);
        hold->generation++;
        hold->next = holds->first_free;
        holds->first_free = (uint32_t)(hold - holds->hold);
        holds->out--;
    }
    guard_leave(&consumer->guard);
    return result;
}
