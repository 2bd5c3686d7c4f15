/* SPDX-License-Identifier: MIT */
/*
 * Publishing copies, one at a time and in batches. Everything here is the hot path until it calls
 * producer_make_room() or producer_need_slabs(). The usual case, 8 to COPY_WORDS_MAX bytes in the
 * slot on a bus without timestamps, is a short function that calls nothing; all else is behind a
 * call.
 */
#include "error/error.h"
#include "producer/copy.h"
#include "producer/release.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

int producer_too_long(const struct shmbus_producer *producer, uint64_t length)
{
    uint32_t classes = producer->pool.class_count;
    if (classes == 0)
        return error_set(-EMSGSIZE,
                         "%" PRIu64 " bytes: the bus has no pool, and a slot takes %" PRIu32
                         " (create the bus with a pool or larger slots)",
                         length, producer->ring.inline_bytes);
    return error_set(-EMSGSIZE,
                     "%" PRIu64 " bytes: the largest slab has %" PRIu64
                     " (create the bus with a class of larger slabs)",
                     length, producer->pool.classes[classes - 1].slab_bytes);
}

int producer_bad_flags(uint16_t flags)
{
    return error_set(-EINVAL, "flags: 0x%04x has bits that are the library's", (unsigned)flags);
}

/* Does a message go by the shortest path? */
static inline int is_short(uint32_t length, uint16_t flags, uint32_t word_room)
{
    return length - COPY_WORDS_MIN < word_room && flags <= SHMBUS_MESSAGE_USER_FLAGS;
}

/* Fills the slot of a sequence with a copy, marked and not yet published. Returns the meta word's
 * flags, or a negative errno. */
static inline int fill(struct shmbus_producer *producer, struct slot_header *slot,
                       uint64_t sequence, const void *data, uint32_t length)
{
    if (__builtin_expect(length <= producer->ring.inline_bytes, 1)) {
        ring_mark(slot, sequence, STAMP_WRITING);
        copy_inline(ring_payload(&producer->ring, slot), data, length);
        return 0;
    }
    uint32_t class_index = pool_class_for(&producer->pool, length);
    if (class_index == producer->pool.class_count)
        return producer_too_long(producer, length);
    int result = producer_need_slabs(producer, class_index, 1);
    if (result < 0)
        return result;
    struct pool_class *in = &producer->pool.classes[class_index];
    uint32_t index = pool_acquire(in);
    memcpy(pool_data(in, index), data, length);
    ring_mark(slot, sequence, STAMP_WRITING);
    result = refer(producer, slot, class_index, index, sequence);
    pool_disown(&producer->pool, in, index);
    return result;
}

/* All but the usual case. */
__attribute__((noinline)) static int publish_any(struct shmbus_producer *producer, uint16_t type,
                                                 uint16_t flags, const void *data, uint32_t length)
{
    int result =
        flags & ~SHMBUS_MESSAGE_USER_FLAGS ? producer_bad_flags(flags) : make_ready(producer);
    if (result != 0)
        return result < 0 ? result : among_publish(producer, type, flags, data, length);
    struct slot_header *slot = ring_slot(&producer->ring, producer->next);
    prefetch_ahead(producer, producer->next);
    result = fill(producer, slot, producer->next, data, length);
    if (result < 0)
        return result;
    release(producer, slot, meta_make(length, type, (uint16_t)(flags | result)));
    return 0;
}

int shmbus_producer_publish(struct shmbus_producer *producer, uint16_t type, uint16_t flags,
                            const void *data, uint32_t length)
{
    int result = guard_enter(&producer->guard);
    if (result < 0)
        return result;
    ring_prefetch(&producer->ring, producer->next);
    if (__builtin_expect(is_ready(producer) && is_short(length, flags, producer->word_room), 1)) {
        struct slot_header *slot = ring_slot(&producer->ring, producer->next);
        prefetch_ahead(producer, producer->next);
        ring_mark(slot, producer->next, STAMP_WRITING);
        copy_words(ring_payload(&producer->ring, slot), data, length);
        release_slot(producer, slot, meta_make(length, type, flags));
    } else {
        result = publish_any(producer, type, flags, data, length);
    }
    guard_leave(&producer->guard);
    return result;
}

/* Might a slab have to be waited for? What is written by then is released before that. */
static inline int would_wait(const struct shmbus_producer *producer, uint32_t length)
{
    if (length <= producer->ring.inline_bytes)
        return 0;
    uint32_t class_index = pool_class_for(&producer->pool, length);
    return class_index == producer->pool.class_count ||
           producer->pool.classes[class_index].free_count == 0;
}

/* Writes messages from one on for as long as they go by the shortest path, and releases them, but
 * for the batch's first, whose meta word it gives. Returns the first that it did not write. */
static inline uint64_t fill_short(struct shmbus_producer *producer,
                                  const struct shmbus_outgoing *messages, uint64_t from,
                                  uint64_t to, uint64_t *out_first_meta)
{
    const struct ring ring = producer->ring;
    uint64_t ahead = producer->ahead;
    uint64_t first = producer->next;
    uint32_t word_room = producer->word_room;
    for (; from < to && is_short(messages[from].length, messages[from].flags, word_room); from++) {
        const struct shmbus_outgoing *message = &messages[from];
        struct slot_header *slot = ring_slot(&ring, first + from);
        uint64_t meta = meta_make(message->length, message->type, message->flags);
        ring_prefetch(&ring, first + from + ahead);
        ring_mark(slot, first + from, STAMP_WRITING);
        copy_words(ring_payload(&ring, slot), message->data, message->length);
        if (from == 0)
            *out_first_meta = meta;
        else
            ring_publish(slot, first + from, meta);
    }
    return from;
}

/* Writes as many as there is room for and releases them together: the first stamp last. Returns how
 * many, or the error of the first. */
static int publish_run(struct shmbus_producer *producer, const struct shmbus_outgoing *messages,
                       size_t count)
{
    uint64_t room = producer->limit - producer->next;
    uint64_t first = producer->next;
    uint64_t first_meta = 0;
    uint64_t done = 0;
    int result = 0;
    if (count > room)
        count = (size_t)room;
    /* No slot from the hint on is written over, since a takeover walks from there; begun_at is
     * where the hint stands. */
    if (first + count > producer->begun_at + producer->ring.mask + 1)
        producer_store_tail(producer);
    for (; done < count; done++) {
        done = fill_short(producer, messages, done, count, &first_meta);
        if (done == count)
            break;
        const struct shmbus_outgoing *message = &messages[done];
        uint64_t sequence = first + done;
        struct slot_header *slot = ring_slot(&producer->ring, sequence);
        if (message->flags & ~SHMBUS_MESSAGE_USER_FLAGS)
            result = producer_bad_flags(message->flags);
        else if (done > 0 && would_wait(producer, message->length))
            break;
        else
            result = fill(producer, slot, sequence, message->data, message->length);
        if (result < 0)
            break;
        uint64_t meta =
            meta_make(message->length, message->type, (uint16_t)(message->flags | result));
        result = 0;
        if (producer->ring.timestamps)
            *ring_timestamp(slot) = wait_now();
        if (done == 0)
            first_meta = meta;
        else
            ring_publish(slot, sequence, meta);
        prefetch_ahead(producer, sequence);
    }
    if (done == 0)
        return result;
    ring_publish(ring_slot(&producer->ring, first), first, first_meta);
    producer->next = first + done;
    if ((first & ~producer->tail_mask) != (producer->next & ~producer->tail_mask))
        producer_store_tail(producer);
    producer_notify(producer);
    return (int)done;
}

int shmbus_producer_publish_batch(struct shmbus_producer *producer,
                                  const struct shmbus_outgoing *messages, size_t count)
{
    int result = guard_enter(&producer->guard);
    if (result < 0)
        return result;
    size_t done = 0;
    if (count > INT_MAX)
        result = error_set(-EINVAL, "count: %zu is more than %d", count, INT_MAX);
    while (result >= 0 && done < count) {
        result = make_ready(producer);
        if (result > 0) {
            result = among_publish_run(producer, messages + done, count - done);
        } else if (result == 0) {
            if (count - done > producer->limit - producer->next)
                producer_more_room(producer, count - done);
            result = publish_run(producer, messages + done, count - done);
        }
        if (result > 0)
            done += (size_t)result;
    }
    guard_leave(&producer->guard);
    return done > 0 ? (int)done : result;
}

/* Fills count slots that lead past a skipped range, the first one last: whoever reaches the range
 * finds all of it, and takeover finds all of it or nothing. */
static int publish_gap(struct shmbus_producer *producer, uint64_t count, uint64_t target)
{
    int result = producer_make_room_for(producer, count);
    if (result < 0)
        return result;
    while (count > 0) {
        uint64_t sequence = producer->next + --count;
        struct slot_header *slot = ring_slot(&producer->ring, sequence);
        ring_mark(slot, sequence, STAMP_WRITING);
        *ring_handle(&producer->ring, slot) = target;
        ring_publish_as(slot, sequence, 0, STAMP_SKIPPED);
    }
    producer_notify(producer);
    return 0;
}

/* A short range gets a slot for each sequence, so that a floor may stand on any of them. A long one
 * gets one, and nothing follows it until the floor is at its end. */
static int skip(struct shmbus_producer *producer, uint64_t count)
{
    uint64_t target = producer->next + count;
    if (count == 0)
        return 0;
    if (count > SHMBUS_SKIP_MAX)
        return error_set(-EINVAL, "count: %" PRIu64 " is more than %" PRIu64, count,
                         SHMBUS_SKIP_MAX);
    if (target > UINT64_MAX / 4 * 3)
        return error_set(-EINVAL, "count: %" PRIu64 " is beyond the last sequence", count);
    int is_long = count > ring_gap_limit(producer->ring.mask + 1);
    int result = publish_gap(producer, is_long ? 1 : count, target);
    if (result < 0)
        return result;
    if (is_long) {
        producer->gap_from = producer->next + 1;
        producer->gap_to = target;
        producer->limit = 0;
    }
    producer->next = target;
    producer->begun_at += count; /* these are no messages */
    producer_store_tail(producer);
    return 0;
}

int shmbus_producer_skip(struct shmbus_producer *producer, uint64_t count)
{
    int result = guard_enter(&producer->guard);
    if (result < 0)
        return result;
    uint64_t before = producer->next;
    if (producer->orphaned || producer->claim != CLAIM_NONE)
        result = producer_refuse(producer);
    else if (producer->among != NULL)
        result = error_constant(-ENOTSUP, "sequences of a bus of many producers are given in the "
                                          "order of claims: none are left out (create it with "
                                          "max_producers 1)");
    else
        result = skip(producer, count);
    uint64_t done = producer->orphaned ? 0 : producer->next - before;
    if (done > 0) {
        producer->skipped += done;
        /* relaxed: a count for whoever looks on */
        atomic_store_explicit(&producer->entry->skipped, producer->skipped, memory_order_relaxed);
    }
    guard_leave(&producer->guard);
    return result;
}

uint64_t shmbus_producer_next_sequence(const struct shmbus_producer *producer)
{
    return producer->next;
}
