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
extern const struct runner shmbus_flow_pool;

#endif
