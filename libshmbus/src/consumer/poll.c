/* SPDX-License-Identifier: MIT */
/*
 * Reading in place: poll, next, and waiting for a message. What a message says of itself is copied
 * once and checked before it is used: a slot is a peer's word.
 */
#include "consumer/consumer.h"
#include "error/error.h"
#include "wait/wait.h"

#include <inttypes.h>

/* A ring of one slot that nothing is ever published in. */
static struct {
    alignas(SHMBUS_SLOT_BYTES_MAX) unsigned char bytes[SHMBUS_SLOT_BYTES_MAX];
} nothing;

#define EMPTY_AGAIN 1 /* there is something after all */

int consumer_fail(struct shmbus_consumer *consumer, int code)
{
    consumer->failed = code;
    consumer->stored = consumer->next;
    consumer->is_lent = 0;
    consumer->ring.slots = nothing.bytes;
    consumer->ring.mask = 0;
    return code;
}

/* Are this consumer's words as it left them, and is it not evicted? Called after the payloads were
 * read and before the cursor moves on. */
static inline int own_words_changed(const struct shmbus_consumer *consumer)
{
    const struct control_entry *entry = consumer->entry;
    /* ORDER(own_words:B) pairs evict:A: payloads were read before the eviction is looked for */
    atomic_thread_fence(memory_order_acquire);
    /* relaxed: the fence above orders the eviction; the others are this consumer's own */
    return atomic_load_explicit(consumer->eviction, memory_order_relaxed) == consumer->epoch ||
           atomic_load_explicit(&entry->cursor, memory_order_relaxed) != consumer->stored ||
           atomic_load_explicit(&entry->epoch, memory_order_relaxed) != consumer->epoch ||
           atomic_load_explicit(&entry->state, memory_order_relaxed) != ENTRY_ACTIVE;
}

static int evicted(struct shmbus_consumer *consumer)
{
    /* relaxed: only chooses the text */
    int by_producer =
        atomic_load_explicit(consumer->eviction, memory_order_relaxed) == consumer->epoch;
    error_set(-ESTALE,
              by_producer ? "evicted by the producer: do not trust messages from %" PRIu64
                            " to %" PRIu64 " (open the bus again)"
                          : "somebody else changed this consumer's words: do not trust messages "
                            "from %" PRIu64 " to %" PRIu64 " (open the bus again)",
              consumer->stored, consumer->next > 0 ? consumer->next - 1 : 0);
    return consumer_fail(consumer, -ESTALE);
}

/* Everything below next was read: says so to the producer. */
static inline int advance(struct shmbus_consumer *consumer)
{
    struct control_entry *entry = consumer->entry;
    if (own_words_changed(consumer))
        return evicted(consumer);
    /* relaxed: a count for whoever looks on */
    atomic_store_explicit(&entry->received, consumer->received, memory_order_relaxed);
    /* ORDER(cursor:A) pairs gate_scan:B: payloads are read, and holds set, before the cursor */
    atomic_store_explicit(&entry->cursor, consumer->next, memory_order_release);
    consumer->stored = consumer->next;
    return 0;
}

/* The payload of a message in a slab, or NULL when the handle is none of this bus. */
static const void *in_slab(const struct shmbus_consumer *consumer, uint64_t handle, uint32_t length)
{
    const struct feed_header *header = consumer->header;
    uint32_t class_index = handle_class(handle);
    if (class_index >= header->class_count)
        return NULL;
    const struct layout_class *from = &header->classes[class_index];
    uint32_t index = handle_index(handle);
    if (index >= from->slab_count || length > from->slab_bytes)
        return NULL;
    return consumer->feed + from->slabs_offset + (uint64_t)index * from->slab_bytes;
}

/* Makes consumer->lent out of a published slot. Returns 0 or -EBADMSG. */
static inline int lend(struct shmbus_consumer *consumer, struct slot_header *slot,
                       uint64_t sequence)
{
    struct shmbus_message *lent = &consumer->lent;
    uint64_t meta = ring_meta(slot);
    uint32_t length = meta_length(meta);
    uint16_t flags = meta_flags(meta);
    lent->sequence = sequence;
    lent->length = length;
    lent->type = meta_type(meta);
    lent->flags = flags;
    lent->timestamp_ns = consumer->ring.timestamps ? *ring_timestamp(slot) : 0;
    if (__builtin_expect(!(flags & SHMBUS_MESSAGE_POOLED), 1)) {
        lent->handle = 0;
        lent->data = ring_payload(&consumer->ring, slot);
        return length <= consumer->ring.inline_bytes ? 0 : -EBADMSG;
    }
    lent->handle = *(const volatile uint64_t *)ring_handle(&consumer->ring, slot);
    lent->data = in_slab(consumer, lent->handle, length);
    return lent->data != NULL ? 0 : -EBADMSG;
}

static int damaged(const struct shmbus_consumer *consumer)
{
    return error_set(-EBADMSG,
                     "%s: damaged: message %" PRIu64 " has a length or handle that cannot be "
                     "(remove the bus)",
                     consumer->segment.name, consumer->next);
}

/* There is no message: is that for now, or for good? */
static int nothing_there(struct shmbus_consumer *consumer)
{
    if (consumer->orphaned)
        return error_constant(-ECHILD, "the consumer is another process's (open it again after "
                                       "fork)");
    if (consumer->failed != 0)
        return consumer->failed;
    if (consumer->stored != consumer->next && advance(consumer) < 0)
        return -ESTALE;
    /* relaxed: if it is stored, then for good */
    if (atomic_load_explicit(consumer->eviction, memory_order_relaxed) == consumer->epoch)
        return evicted(consumer);
    /* ORDER(bus_state:B) pairs close:A, open:A: the end is seen before the last look at the stamp
     */
    if (atomic_load_explicit(&consumer->state->bus_state, memory_order_acquire) != BUS_CLOSED)
        return 0;
    uint64_t stamp = ring_poll(ring_slot(&consumer->ring, consumer->next));
    if (ring_is_final(stamp, consumer->next))
        return EMPTY_AGAIN;
    return error_constant(-EPIPE, "the stream has ended and all of it was read");
}

/* Is the next message there? Steps over those that were aborted. */
static inline struct slot_header *look(struct shmbus_consumer *consumer)
{
    for (;;) {
        struct slot_header *slot = ring_slot(&consumer->ring, consumer->next);
        uint64_t stamp = ring_poll(slot);
        if (__builtin_expect(stamp == stamp_make(consumer->next, STAMP_PUBLISHED), 1))
            return slot;
        /* Ends: each round goes one message on, and a stamp of the next lap does not match. */
        if (stamp != stamp_make(consumer->next, STAMP_ABORTED))
            return NULL;
        consumer->next++;
        consumer->aborted++;
        /* relaxed: a count for whoever looks on */
        atomic_store_explicit(&consumer->entry->aborted, consumer->aborted, memory_order_relaxed);
    }
}

static int poll(struct shmbus_consumer *consumer, shmbus_handler *handler, void *context,
                uint32_t most)
{
    uint32_t count = 0;
    int result = 0;
    while (count < most && result == 0) {
        struct slot_header *slot = look(consumer);
        if (slot == NULL)
            break;
        if (lend(consumer, slot, consumer->next) < 0) {
            if (count == 0)
                return damaged(consumer);
            break;
        }
        consumer->is_lent = 1;
        result = handler(&consumer->lent, context);
        count++;
        consumer->received++;
        consumer->next++;
        if (consumer->next - consumer->stored >= consumer->store_every && advance(consumer) < 0)
            return -ESTALE;
    }
    consumer->is_lent = 0;
    if (consumer->next != consumer->stored && advance(consumer) < 0)
        return -ESTALE;
    return (int)count;
}

int shmbus_consumer_poll(struct shmbus_consumer *consumer, shmbus_handler *handler, void *context,
                         uint32_t most)
{
    int result = guard_enter(&consumer->guard);
    if (result < 0)
        return result;
    consumer->is_lent = 0;
    if (most > INT32_MAX)
        most = INT32_MAX;
    if (handler == NULL)
        result = error_constant(-EINVAL, "handler: NULL");
    else
        /* Ends: asked again only when a message came with the end of the stream. */
        do {
            result = poll(consumer, handler, context, most);
        } while (result == 0 && most > 0 && (result = nothing_there(consumer)) == EMPTY_AGAIN);
    guard_leave(&consumer->guard);
    return result;
}

static int next(struct shmbus_consumer *consumer, struct shmbus_message *out_message)
{
    struct slot_header *slot = look(consumer);
    while (slot == NULL) {
        int result = nothing_there(consumer);
        if (result != EMPTY_AGAIN)
            return result;
        slot = look(consumer);
    }
    if (consumer->next - consumer->stored >= consumer->store_every && advance(consumer) < 0)
        return -ESTALE;
    if (lend(consumer, slot, consumer->next) < 0)
        return damaged(consumer);
    consumer->is_lent = 1;
    consumer->received++;
    consumer->next++;
    *out_message = consumer->lent;
    return 1;
}

int shmbus_consumer_next(struct shmbus_consumer *consumer, struct shmbus_message *out_message)
{
    int result = guard_enter(&consumer->guard);
    if (result < 0)
        return result;
    consumer->is_lent = 0;
    result = next(consumer, out_message);
    guard_leave(&consumer->guard);
    return result;
}

/* Has every producer died? The state is read again after the probe: one that closed in between has
 * said so before it let go. */
static int producer_died(struct shmbus_consumer *consumer)
{
    if (lock_probe(consumer->segment.probe_feed, LOCK_LIFE) != 0)
        return 0;
    if (look(consumer) != NULL)
        return 0;
    int result = nothing_there(consumer);
    if (result != 0)
        return result == EMPTY_AGAIN ? 0 : result;
    return error_set(-EOWNERDEAD, "%s: its producer died; all that it published was read",
                     consumer->segment.name);
}

static int wait_for_message(struct shmbus_consumer *consumer, int64_t timeout_ns)
{
    struct waiter waiter = wait_begin(timeout_ns);
    for (;;) {
        if (look(consumer) != NULL)
            return 0;
        int result = nothing_there(consumer);
        if (result != 0)
            return result == EMPTY_AGAIN ? 0 : result;
        int step = wait_step(&waiter);
        if (step == WAIT_PROBE || step < 0) {
            result = producer_died(consumer);
            if (result < 0)
                return result;
        }
        if (step < 0)
            return look(consumer) != NULL ? 0 : error_constant(step, "no message came in time");
    }
}

int shmbus_consumer_wait(struct shmbus_consumer *consumer, int64_t timeout_ns)
{
    int result = guard_enter(&consumer->guard);
    if (result < 0)
        return result;
    consumer->is_lent = 0;
    result = wait_for_message(consumer, timeout_ns);
    guard_leave(&consumer->guard);
    return result;
}
