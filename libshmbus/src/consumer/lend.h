/* SPDX-License-Identifier: MIT */
/*
 * Reading a slot in place: part of the hot path, so inline. What the slot says of itself is copied
 * once and checked before it is used.
 */
#ifndef SHMBUS_LEND_H
#define SHMBUS_LEND_H

#include "consumer/consumer.h"
#include "error/error.h"

/* The payload of a message in a slab, or NULL when the handle is none of this bus. */
static inline const void *consumer_in_slab(const struct shmbus_consumer *consumer, uint64_t handle,
                                           uint32_t length)
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

/* Makes consumer->lent out of a published slot, in place. Returns 0 or -EBADMSG. */
static inline int consumer_lend(struct shmbus_consumer *consumer, struct slot_header *slot)
{
    struct shmbus_message *lent = &consumer->lent;
    uint64_t meta = ring_meta(slot);
    uint32_t length = meta_length(meta);
    uint16_t flags = meta_flags(meta);
    lent->sequence = consumer->next;
    lent->length = length;
    lent->type = meta_type(meta);
    lent->flags = flags;
    lent->timestamp_ns = consumer->ring.timestamps ? (int64_t)racing_word(ring_timestamp(slot)) : 0;
    if (__builtin_expect(!(flags & SHMBUS_MESSAGE_POOLED), 1)) {
        lent->handle = 0;
        lent->data = ring_payload(&consumer->ring, slot);
        return length <= consumer->ring.inline_bytes ? 0 : -EBADMSG;
    }
    lent->handle = racing_word(ring_handle(&consumer->ring, slot));
    lent->data = consumer_in_slab(consumer, lent->handle, length);
    return lent->data != NULL ? 0 : -EBADMSG;
}

/* Copies a message that was just made, one field at a time: producer/copy.h says what a wider copy
 * would cost. */
static inline void consumer_copy_lent(struct shmbus_message *to, const struct shmbus_message *from)
{
    const void *data = from->data;
    uint64_t sequence = from->sequence;
    int64_t timestamp_ns = from->timestamp_ns;
    uint64_t handle = from->handle;
    uint32_t length = from->length;
    uint16_t type = from->type;
    uint16_t flags = from->flags;
    __asm__("" : "+r"(data), "+r"(sequence), "+r"(timestamp_ns), "+r"(handle));
    __asm__("" : "+r"(length), "+r"(type), "+r"(flags));
    to->data = data;
    to->sequence = sequence;
    to->timestamp_ns = timestamp_ns;
    to->handle = handle;
    to->length = length;
    to->type = type;
    to->flags = flags;
}

#endif
