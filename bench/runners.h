/* SPDX-License-Identifier: MIT */
/*
 * All runners, by the file that holds them.
 */
#ifndef BENCH_RUNNERS_H
#define BENCH_RUNNERS_H

#include "bench.h"

/* floor_lines.c: what the coherence fabric gives when nothing is asked of it but lines */
extern const struct runner floor_pingpong;
extern const struct runner floor_stream;
extern const struct runner floor_stream_ahead;

/* floor_ring.c: the least that can be called a message ring */
extern const struct runner floor_ring_trip;
extern const struct runner floor_ring_single;
extern const struct runner floor_ring_batch;

/* floor_copy.c: memcpy through buffers that take turns */
extern const struct runner floor_memcpy;

/* subject_trip.c */
extern const struct runner shmbus_trip_poll;
extern const struct runner shmbus_trip_next;

/* subject_flow.c */
extern const struct runner shmbus_flow_publish;
extern const struct runner shmbus_flow_claim;
extern const struct runner shmbus_flow_next;
extern const struct runner shmbus_flow_batch;
extern const struct runner shmbus_flow_publish_off;
extern const struct runner shmbus_flow_claim_off;
extern const struct runner shmbus_flow_batch_off;
extern const struct runner shmbus_flow_pool;

/* subject_way.c: one at a time, one way */
extern const struct runner floor_way;
extern const struct runner shmbus_way_48;
extern const struct runner shmbus_way_1k;
extern const struct runner shmbus_way_64k;
extern const struct runner shmbus_way_1m;

/* subject_beside.c: a slow optional consumer */
extern const struct runner shmbus_alone;
extern const struct runner shmbus_beside;

/* subject_attach.c: what is done once */
extern const struct runner floor_map;
extern const struct runner shmbus_attach;
extern const struct runner shmbus_attach_filled;
extern const struct runner shmbus_create;

/* subject_many.c: more participants, and what is switched on */
extern const struct runner many_required[4];
extern const struct runner many_optional[4];
extern const struct runner many_observer[4];
extern const struct runner many_producers[4];
extern const struct runner feature_plain;
extern const struct runner feature_no_park;
extern const struct runner feature_timestamps;

/* subject_open.c: fixed rates */
extern const struct runner open_rates[4];

/* wake_trip.c: both sides sleep */
extern const struct runner floor_futex;
extern const struct runner floor_eventfd;
extern const struct runner shmbus_park;

#endif
