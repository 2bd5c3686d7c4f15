/* SPDX-License-Identifier: MIT */
/*
 * A bus in plain memory: the bytes of feed and control as a creator leaves them, with the views of
 * them that a producer has, and no file, lock or process behind them.
 */
#ifndef SHMBUS_TESTS_PLAIN_H
#define SHMBUS_TESTS_PLAIN_H

#include "pool/pool.h"
#include "ring/gate.h"
#include "ring/ring.h"
#include "segment/segment.h"
#include "support/support.h"

/* A shared word as it is, and made another. */
#define GET(word)        atomic_load_explicit(&(word), memory_order_seq_cst)
#define PUT(word, value) atomic_store_explicit(&(word), value, memory_order_seq_cst)

struct plain {
    struct segment segment; /* header, feed and control; nothing else of it is set */
    struct ring ring;
    struct gate gate;
    struct pool pool;
    struct producer_entry *producer;
};

/* Makes one with this geometry, and ends it. */
void plain_begin(struct plain *plain, const struct shmbus_bus_options *options);
void plain_end(struct plain *plain);

/* A producer's private state begins anew over the same bytes, as when another process opens it. */
void plain_reopen(struct plain *plain);

/* Makes an entry a consumer's, as joining does, without its handshake. */
struct control_entry *plain_join(struct plain *plain, uint32_t index, uint32_t kind,
                                 uint64_t cursor);
void plain_leave(struct plain *plain, uint32_t index);

/* Sets or clears a consumer's hold on a slab, numbered among all classes. */
void plain_hold(struct plain *plain, uint32_t index, uint64_t slab, int set);

/* Stamps one message of no length with a state, without looking for room. */
void plain_publish(struct plain *plain, uint64_t sequence, uint32_t state);

/* Publishes a message that refers to a slab. */
void plain_publish_slab(struct plain *plain, uint64_t sequence, uint32_t class_index,
                        uint32_t index);

#endif
