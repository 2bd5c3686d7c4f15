/* SPDX-License-Identifier: MIT */
/*
 * The survivors on a bus of many producers: a partner that publishes beside the victim, a consumer
 * that listens from the beginning to the end, and those that come later. Messages go by their
 * author and that one's number, since nobody knows before a claim what sequence it gets.
 */
#ifndef SHMBUS_CRASH_CROWD_H
#define SHMBUS_CRASH_CROWD_H

#include "victim.h"

#define PRODUCERS 3u
#define ALL_SLABS (PRODUCERS * (SMALL_COUNT > LARGE_COUNT ? SMALL_COUNT : LARGE_COUNT))

/* A required consumer that checks all that it gets. */
struct listener {
    struct shmbus_consumer *consumer;
    uint64_t next;
    uint64_t numbers[AUTHOR_COUNT]; /* of each author: the next that has to come */
    int knows[AUTHOR_COUNT];        /* whether that is known yet */
    uint64_t aborted;
    int keeps; /* this author's next message in a slab + 1 */
    uint64_t kept;
    uint64_t kept_number;
    enum author kept_author;
    char fault[160]; /* empty, or what went wrong */
};

/* Joins at the tail; one that has heard nothing believes each author's first number. */
int listener_open(struct listener *listener, const char *name);

/* Polls up to so many. Returns as shmbus_consumer_poll(). */
int listener_poll(struct listener *listener, uint32_t most);

/* Hears all that there is, over the holes of the dead. Returns what waiting gives then. */
int listener_hear(struct listener *listener);

/* What it keeps must be as it was. */
void listener_check(struct listener *listener);

struct crowd {
    struct shmbus_producer *partner; /* number 0 */
    struct shmbus_producer *third;
    struct shmbus_claim held; /* by the third, while holds */
    int holds;
    struct listener stays;
    uint64_t said[AUTHOR_COUNT]; /* by all but the victim */
};

extern struct crowd crowd;

/* The bus, the partner, the one that stays, and more than a lap of messages. */
void crowd_before(struct world *world);

/* A process joins, leaves messages in a slot and in a slab, and a claim, and is killed. */
void crowd_dies(struct world *world);

/* The third joins, if there is a number for it, and claims; and commits what it claimed. */
void crowd_hold(struct world *world);
void crowd_let_go(struct world *world);

/* Somebody of the crowd publishes its next message. Returns as shmbus_producer_publish(). */
int crowd_say(struct shmbus_producer *producer, enum author author, char kind);

/* The one that stays hears all that there is, and what it heard is judged. */
int crowd_hear(struct world *world);

/* The partner publishes a few, writes over all slabs that it can get, and a rival comes. */
void crowd_press(struct world *world);

/* Acquires all slabs of a class that there are, writes over them, and gives them back. Returns how
 * many. */
uint32_t crowd_scribble(struct world *world, struct shmbus_producer *producer, uint64_t bytes);

/* ---- the victim is the second producer: second.c ---- */

void second_join(struct victim *victim);
void second_say(struct victim *victim, char kind);
void second_publish(struct victim *victim); /* the row's messages */

/* It says one message in a slab, which the one that stays keeps: so something of its part is held.
 */
void second_setup(struct victim *victim);
void second_keep(struct world *world);
void second_hear(struct world *world);
void second_finish(struct victim *victim);

/* ---- afterwards ---- */

/* The victim is gone: the crowd uses all that there is, the number of the victim too, and ends. */
void crowd_after(struct world *world);

#endif
