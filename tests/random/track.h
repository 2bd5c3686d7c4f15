/* SPDX-License-Identifier: MIT */
/*
 * What one consumer has to see next: each sequence once, in order, whole, and none missed but those
 * that it was told of.
 */
#ifndef SHMBUS_TESTS_TRACK_H
#define SHMBUS_TESTS_TRACK_H

#include "random.h"

struct kept {
    uint64_t handle;
    uint64_t sequence;
    uint64_t key; /* 0: not known */
};

/* Of one producer among many. */
struct heard {
    uint64_t number; /* that comes next, if nothing was lost since */
    uint32_t losses; /* how often something had been lost by then */
    uint32_t is_known;
};

/* Those that it runs after. */
struct pipeline {
    uint32_t after[PLACES]; /* by the number of its seat */
    const char *names[PLACES];
    uint32_t joins[STREAMS][PLACES]; /* of the places there, when they were chosen */
    uint32_t count;
    uint32_t watched; /* a bit for each that is known to hold it back */
};

struct track {
    struct world *root;
    struct world *world; /* of the bus that it is on */
    struct page *page;
    struct place *seat;  /* the name that it has to be resumed under, or NULL */
    struct place *place; /* what is known of that on the bus that it is on */
    struct shmbus_consumer *consumer;
    uint64_t state;
    uint32_t kind;
    uint32_t mask;                           /* of the types that it wants */
    uint32_t slow;                           /* percent of messages that it dawdles over */
    uint32_t keeps;                          /* percent of messages that it keeps */
    uint32_t quota;                          /* of handles */
    uint32_t flags;                          /* SHMBUS_JOIN_..., as it was opened with */
    uint64_t expected;                       /* everything below was seen or accounted for */
    struct shmbus_consumer_stats begun_with; /* where this incarnation began */
    uint64_t received; /* messages, and what was told as aborted and lost, since then */
    uint64_t aborted;
    uint64_t lost;
    int is_foreign;    /* it looks at the bus of another driver, which may go at any time */
    int is_selected;   /* it is read through a selector */
    uint64_t last_key; /* of the message that it was handed last, 0: it was not whole */
    int doubted;       /* a message was not whole: true, unless it turns out to be evicted */
    uint64_t doubted_sequence;
    const char *doubted_why;
    char doubted_how[240];
    struct kept kept[KEPT_MAX];
    uint32_t kept_count;
    struct pipeline pipeline;
    /* among many producers */
    uint32_t losses;
    uint64_t acked_before;
    uint32_t living_before[WORKERS_MAX];
    struct heard heard[CREW_KNOWN];
};

/* It has begun, or joined again; from as asked. acked: what was published before it did. */
void track_begin(struct track *track, uint32_t from, uint64_t from_sequence, uint32_t flags,
                 uint64_t acked);

void track_message(struct track *track, const struct shmbus_message *message);
void track_event(void *context, const struct shmbus_event *event);

/* Is what was doubted excused by an eviction? To be asked while the message is lent; or, with
 * is_vouched, after a call that handed it out and returned that all is well: then it is not. */
void track_settle(struct track *track, int is_vouched);

/* A call returned and said that all below its cursor is consumed. */
void track_acknowledged(struct track *track);

/* ---- joining.c ---- */

/* Where to join. */
void join_where(struct track *track, const struct world *world, uint32_t *out_from,
                uint64_t *out_sequence);

/* The one before died while it opened: nobody knows how far it came, and on which bus. */
void join_forget(struct track *track);

/* Opens it, whatever is in the way. Returns 0, or a negative errno when it is not to be had. */
int join_somehow(struct track *track);

/* ---- consumer.c ---- */

/* Keeps the message that was handed out last. */
void consumer_keep(struct track *track, const struct shmbus_message *message);
void consumer_drop(struct track *track, uint32_t i);

/* What a reading call returned. Returns 0, or a negative errno when it is over with this one. */
int consumer_judge(struct track *track, const char *what, int result);
void consumer_leave(struct track *track);

/* ---- heard.c: among many producers ---- */

/* It has begun, or joined again. */
void heard_begin(struct track *track);
void heard_message(struct track *track, uint64_t sequence, uint64_t key);

/* Goes from what is expected up to here without a word. */
void heard_passed(struct track *track, uint64_t to, const char *what);
void heard_aborted(struct track *track, uint64_t first, uint64_t many);
void heard_lost(struct track *track);

/* It has read all below the cursor: did it hear all that calls returned for? */
void heard_all(struct track *track, uint64_t cursor);

/* Before a call that may say that the stream has ended, or that all producers died; and after it
 * did. */
void heard_before(struct track *track);
void heard_end(struct track *track, const char *what);

/* ---- pipeline.c ---- */

/* Chooses whom it runs after. */
void pipeline_choose(struct track *track, struct shmbus_consumer_options *options);

/* It has begun, or joined again. */
void pipeline_begin(struct track *track);

/* A message was handed out: had those that it runs after been? */
void pipeline_message(struct track *track, uint64_t sequence, uint16_t type);

/* Is the event one of pipelines? */
int pipeline_event(struct track *track, const struct shmbus_event *event);

/* ---- track.c ---- */

/* A kept message, before it is released: is it as it was? */
void track_kept(struct track *track, const struct kept *kept);

#endif
