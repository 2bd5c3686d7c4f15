/* SPDX-License-Identifier: MIT */
/*
 * Publishing among many producers: a claim is a compare-and-swap on the slot's own stamp (drawn in
 * ring/claim.h). A slab is filled before its slot is claimed, so that a copy leaves a hole for as
 * long as it takes to write a handle; only a claim that is lent to the caller stays open.
 *
 * next is the first sequence that this producer does not know to be claimed; while a claim is open
 * it is the claim's. The tail is stored by whoever finds it further on, only upwards; a floor is at
 * most the tail, so no slot from the hint on is written over.
 */
#include "error/error.h"
#include "producer/producer.h"
#include "recovery/recovery.h"
#include "ring/claim.h"
#include "wait/wait.h"

#include <stdlib.h>
#include <string.h>

int among_begin(struct shmbus_producer *producer)
{
    struct segment *segment = &producer->segment;
    struct among *among = calloc(1, sizeof *among);
    producer->among = among;
    if (among == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < segment->header.max_producers; i++) {
        struct pool *part = i == producer->index ? &producer->pool : calloc(1, sizeof *part);
        among->parts[i] = part;
        if (part == NULL || pool_prepare(part, segment->feed, segment->control, &segment->header,
                                         segment_producer(segment, i), i) < 0)
            return -ENOMEM;
    }
    return 0;
}

void among_end(struct shmbus_producer *producer)
{
    struct among *among = producer->among;
    if (among == NULL)
        return;
    parts_end(producer);
    for (uint32_t i = 0; i < SHMBUS_PRODUCERS_MAX; i++) {
        if (among->parts[i] == NULL || among->parts[i] == &producer->pool)
            continue;
        pool_end(among->parts[i]);
        free(among->parts[i]);
    }
    free(among);
    producer->among = NULL;
}

uint64_t among_store_tail(struct shmbus_producer *producer)
{
    _Atomic uint64_t *word = producer->tail_word;
    uint64_t tail = 0;
    uint64_t hint;
    /* A walk that is overtaken by a lap ends in the middle of the stream: then there is a newer
     * hint. Ends: others publish a lap at a finite speed. */
    for (int walked = 0;; walked = 1) {
        /* ORDER(among_tail:B) pairs among_tail_up:A, tail:A: the hint before the stamps below it */
        hint = atomic_load_explicit(word, memory_order_acquire);
        if (walked && hint <= tail)
            break;
        tail = ring_find_tail(&producer->ring, hint);
    }
    /* Ends: the word only rises, and each failed round found it higher. */
    while (hint < tail)
        /* ORDER(among_tail_up:A) pairs among_tail:B, join_producers:B, join_tail:B, look_tail:B,
         * after_tail:B, slack_tail:B: the stamps below the hint are there relaxed: the next round
         * decides */
        if (atomic_compare_exchange_weak_explicit(word, &hint, tail, memory_order_release,
                                                  memory_order_relaxed))
            break;
    producer->among->tail = hint < tail ? tail : hint;
    return producer->among->tail;
}

int among_has_room(struct shmbus_producer *producer)
{
    uint64_t capacity = producer->ring.mask + 1;
    producer->next = claim_find_free(&producer->ring, producer->next);
    if (producer->next < producer->among->limit)
        return 1;
    producer_raise_floor(producer,
                         producer->next + 1 > capacity ? producer->next + 1 - capacity : 0);
    return producer->next < producer->among->limit;
}

static int room_done(struct shmbus_producer *producer, void *context)
{
    (void)context;
    return among_has_room(producer);
}

/* Claims the next slot that nobody has. */
static int take_slot(struct shmbus_producer *producer, struct slot_header **out_slot)
{
    /* Ends: each round that fails found a slot that another producer claimed. */
    for (;;) {
        if (!among_has_room(producer)) {
            producer_count_blocked(producer);
            int result = producer_wait_until(
                producer, room_done, NULL, -EAGAIN,
                "the ring is full: a required consumer is a whole ring behind, or another producer "
                "has not ended its claim (see shmbus-stat for which)");
            if (result < 0)
                return result;
        }
        struct slot_header *slot = ring_slot(&producer->ring, producer->next);
        uint64_t stamp = ring_poll(slot);
        if (stamp_ahead(stamp, producer->next) == UINT64_MAX &&
            claim_take(slot, stamp, producer->next, producer->index)) {
            *out_slot = slot;
            return 0;
        }
    }
}

/* Ends the claim at next. That its claim is gone a producer can only find if the kernel said that
 * it is dead: then it must not go on. */
static int end_claim(struct shmbus_producer *producer, struct slot_header *slot, uint64_t meta,
                     uint32_t state)
{
    if (state == STAMP_PUBLISHED && producer->ring.timestamps)
        *ring_timestamp(slot) = wait_now();
    if (!claim_end(slot, producer->next, producer->index, meta, state)) {
        producer->among->failed = -ESTALE;
        return producer_refuse(producer);
    }
    producer->next++;
    producer->among->ended = producer->next;
    if (state == STAMP_PUBLISHED) {
        producer->published++;
        /* relaxed: a count for whoever looks on */
        atomic_store_explicit(&producer->entry->published, producer->published,
                              memory_order_relaxed);
    }
    if ((producer->next & producer->tail_mask) == 0)
        among_store_tail(producer);
    /* By its own count: it may be others that come by where the tail is stored. */
    if ((producer->published & producer->tail_mask) == 0)
        parts_give_back(producer);
    producer_notify(producer);
    producer_wake_others(producer);
    return 0;
}

int among_publish_slab(struct shmbus_producer *producer, struct pool *pool, uint32_t class_index,
                       uint32_t index, uint64_t meta)
{
    struct pool_class *in = &pool->classes[class_index];
    struct slot_header *slot;
    int result = take_slot(producer, &slot);
    if (result < 0)
        return result;
    *ring_handle(&producer->ring, slot) = pool_handle(in, class_index, index);
    pool_publish(in, index, producer->next);
    return end_claim(producer, slot, meta | (uint64_t)SHMBUS_MESSAGE_POOLED << 48, STAMP_PUBLISHED);
}

static int publish_pooled(struct shmbus_producer *producer, uint64_t meta, const void *data,
                          uint32_t length)
{
    struct pool *pool;
    uint32_t class_index = pool_class_for(&producer->pool, length);
    if (class_index == producer->pool.class_count)
        return producer_too_long(producer, length);
    int result = parts_need_slabs(producer, class_index, 1, &pool);
    if (result < 0)
        return result;
    struct pool_class *in = &pool->classes[class_index];
    uint32_t index = pool_acquire(in);
    memcpy(pool_data(in, index), data, length);
    result = among_publish_slab(producer, pool, class_index, index, meta);
    if (!producer->orphaned)
        pool_disown(pool, in, index);
    return result;
}

int among_publish(struct shmbus_producer *producer, uint16_t type, uint16_t flags, const void *data,
                  uint32_t length)
{
    uint64_t meta = meta_make(length, type, flags);
    struct slot_header *slot;
    if (length > producer->ring.inline_bytes)
        return publish_pooled(producer, meta, data, length);
    int result = take_slot(producer, &slot);
    if (result < 0)
        return result;
    if (length > 0)
        memcpy(ring_payload(&producer->ring, slot), data, length);
    return end_claim(producer, slot, meta, STAMP_PUBLISHED);
}

static int claim_pooled(struct shmbus_producer *producer, uint32_t length,
                        struct shmbus_claim *out_claim)
{
    struct slot_header *slot;
    struct pool *pool;
    uint32_t class_index = pool_class_for(&producer->pool, length);
    if (class_index == producer->pool.class_count)
        return producer_too_long(producer, length);
    int result = parts_need_slabs(producer, class_index, 1, &pool);
    if (result < 0)
        return result;
    struct pool_class *in = &pool->classes[class_index];
    uint32_t index = pool_acquire(in);
    result = take_slot(producer, &slot);
    if (result < 0) {
        if (!producer->orphaned)
            pool_disown(pool, in, index);
        return result;
    }
    producer->claim = CLAIM_AMONG_POOLED;
    producer->claim_class = class_index;
    producer->claim_slab = index;
    producer->among->claim_pool = pool;
    out_claim->data = pool_data(in, index);
    out_claim->handle = pool_handle(in, class_index, index);
    out_claim->room = (uint32_t)in->slab_bytes;
    return 0;
}

int among_claim(struct shmbus_producer *producer, uint32_t length, struct shmbus_claim *out_claim)
{
    struct slot_header *slot;
    int result;
    if (length > producer->ring.inline_bytes) {
        result = claim_pooled(producer, length, out_claim);
        if (result < 0)
            return result;
    } else {
        result = take_slot(producer, &slot);
        if (result < 0)
            return result;
        producer->claim = CLAIM_AMONG;
        out_claim->data = ring_payload(&producer->ring, slot);
        out_claim->handle = 0;
        out_claim->room = producer->ring.inline_bytes;
    }
    producer->claim_length = length;
    producer->claim_data = out_claim->data;
    out_claim->sequence = producer->next;
    out_claim->length = length;
    return 0;
}

int among_commit(struct shmbus_producer *producer, uint32_t length, uint16_t type, uint16_t flags)
{
    struct slot_header *slot = ring_slot(&producer->ring, producer->next);
    if (producer->claim == CLAIM_AMONG_POOLED) {
        struct pool *pool = producer->among->claim_pool;
        struct pool_class *in = &pool->classes[producer->claim_class];
        *ring_handle(&producer->ring, slot) =
            pool_handle(in, producer->claim_class, producer->claim_slab);
        pool_publish(in, producer->claim_slab, producer->next);
        pool_disown(pool, in, producer->claim_slab);
        flags |= SHMBUS_MESSAGE_POOLED;
    }
    producer->claim = CLAIM_NONE;
    return end_claim(producer, slot, meta_make(length, type, flags), STAMP_PUBLISHED);
}

int among_abort(struct shmbus_producer *producer)
{
    struct among *among = producer->among;
    if (producer->claim == CLAIM_AMONG_POOLED)
        pool_disown(among->claim_pool, &among->claim_pool->classes[producer->claim_class],
                    producer->claim_slab);
    producer->claim = CLAIM_NONE;
    return end_claim(producer, ring_slot(&producer->ring, producer->next), 0, STAMP_ABORTED);
}

int among_publish_run(struct shmbus_producer *producer, const struct shmbus_outgoing *messages,
                      size_t count)
{
    size_t done = 0;
    int result = 0;
    for (; done < count && result == 0; done += result == 0) {
        const struct shmbus_outgoing *message = &messages[done];
        result = message->flags & ~SHMBUS_MESSAGE_USER_FLAGS
                     ? producer_bad_flags(message->flags)
                     : among_publish(producer, message->type, message->flags, message->data,
                                     message->length);
    }
    return done > 0 ? (int)done : result;
}
