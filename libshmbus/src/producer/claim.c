/* SPDX-License-Identifier: MIT */
/*
 * Claiming a slot or slab, filling it in place, and committing or aborting it. The usual case, a
 * claim in the slot on a bus without timestamps, is a short function that calls nothing and needs
 * no stack; all else is behind a call.
 */
#include "error/error.h"
#include "producer/release.h"

static int claim_slab(struct shmbus_producer *producer, uint32_t length,
                      struct shmbus_claim *out_claim)
{
    uint32_t class_index = pool_class_for(&producer->pool, length);
    if (class_index == producer->pool.class_count)
        return producer_too_long(producer, length);
    int result = producer_need_slabs(producer, class_index, 1);
    if (result < 0)
        return result;
    struct pool_class *from = &producer->pool.classes[class_index];
    uint32_t index = pool_acquire(from);
    producer->claim = CLAIM_POOLED;
    producer->claim_class = class_index;
    producer->claim_slab = index;
    out_claim->data = pool_data(from, index);
    out_claim->handle = pool_handle(from, class_index, index);
    out_claim->room = (uint32_t)from->slab_bytes;
    return 0;
}

/* Lends the slot of the next sequence; there is room. */
static inline int claim_slot(struct shmbus_producer *producer, uint32_t length,
                             struct shmbus_claim *out_claim)
{
    uint64_t next = producer->next;
    struct slot_header *slot = ring_slot(&producer->ring, next);
    unsigned char *data = ring_payload(&producer->ring, slot);
    uint32_t room = producer->ring.inline_bytes;
    prefetch_ahead(producer, next);
    ring_mark(slot, next, STAMP_WRITING);
    producer->claim = CLAIM_INLINE;
    producer->claim_length = length;
    producer->claim_data = data;
    *out_claim =
        (struct shmbus_claim){.data = data, .sequence = next, .length = length, .room = room};
    return 0;
}

/* All but the usual case. */
__attribute__((noinline)) static int claim_any(struct shmbus_producer *producer, uint32_t length,
                                               struct shmbus_claim *out_claim)
{
    int result = make_ready(producer);
    if (result != 0)
        return result < 0 ? result : among_claim(producer, length, out_claim);
    if (length <= producer->ring.inline_bytes)
        return claim_slot(producer, length, out_claim);
    prefetch_ahead(producer, producer->next);
    result = claim_slab(producer, length, out_claim);
    if (result < 0)
        return result;
    producer->claim_length = length;
    producer->claim_data = out_claim->data;
    out_claim->sequence = producer->next;
    out_claim->length = length;
    return 0;
}

int shmbus_producer_claim(struct shmbus_producer *producer, uint32_t length,
                          struct shmbus_claim *out_claim)
{
    int result = guard_enter(&producer->guard);
    if (result < 0)
        return result;
    ring_prefetch(&producer->ring, producer->next);
    if (__builtin_expect(is_ready(producer) && length <= producer->ring.inline_bytes, 1))
        result = claim_slot(producer, length, out_claim);
    else
        result = claim_any(producer, length, out_claim);
    guard_leave(&producer->guard);
    return result;
}

static int not_open(const struct shmbus_producer *producer)
{
    if (producer->orphaned)
        return producer_refuse(producer);
    return error_constant(-EINVAL, "not the claim that is open, or its length was raised");
}

static inline int is_open(const struct shmbus_producer *producer, const struct shmbus_claim *claim)
{
    return producer->claim != CLAIM_NONE && claim->sequence == producer->next &&
           claim->data == producer->claim_data;
}

/* All but the usual case. */
__attribute__((noinline)) static int commit_any(struct shmbus_producer *producer,
                                                const struct shmbus_claim *claim, uint16_t type,
                                                uint16_t flags)
{
    if (!is_open(producer, claim) || claim->length > producer->claim_length)
        return not_open(producer);
    if (flags & ~SHMBUS_MESSAGE_USER_FLAGS)
        return producer_bad_flags(flags);
    struct slot_header *slot = ring_slot(&producer->ring, producer->next);
    if (__builtin_expect(producer->claim != CLAIM_INLINE, 0)) {
        if (producer->claim != CLAIM_POOLED)
            return among_commit(producer, claim->length, type, flags);
        struct pool_class *in = &producer->pool.classes[producer->claim_class];
        ring_mark(slot, producer->next, STAMP_WRITING);
        flags |= refer(producer, slot, producer->claim_class, producer->claim_slab, producer->next);
        pool_disown(&producer->pool, in, producer->claim_slab);
    }
    producer->claim = CLAIM_NONE;
    release(producer, slot, meta_make(claim->length, type, flags));
    return 0;
}

int shmbus_producer_commit(struct shmbus_producer *producer, const struct shmbus_claim *claim,
                           uint16_t type, uint16_t flags)
{
    int result = guard_enter(&producer->guard);
    if (result < 0)
        return result;
    if (__builtin_expect(producer->claim == CLAIM_INLINE && is_open(producer, claim) &&
                             claim->length <= producer->claim_length &&
                             flags <= SHMBUS_MESSAGE_USER_FLAGS && !producer->ring.timestamps,
                         1)) {
        producer->claim = CLAIM_NONE;
        struct slot_header *slot =
            (struct slot_header *)(void *)(producer->claim_data - LAYOUT_SLOT_HEADER);
        release_slot(producer, slot, meta_make(claim->length, type, flags));
    } else {
        result = commit_any(producer, claim, type, flags);
    }
    guard_leave(&producer->guard);
    return result;
}

int shmbus_producer_abort(struct shmbus_producer *producer, const struct shmbus_claim *claim)
{
    int result = guard_enter(&producer->guard);
    if (result < 0)
        return result;
    if (!is_open(producer, claim)) {
        result = not_open(producer);
    } else if (producer->among != NULL) {
        result = among_abort(producer);
    } else {
        if (producer->claim == CLAIM_POOLED)
            pool_disown(&producer->pool, &producer->pool.classes[producer->claim_class],
                        producer->claim_slab);
        producer->claim = CLAIM_NONE;
    }
    guard_leave(&producer->guard);
    return result;
}
