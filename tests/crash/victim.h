/* SPDX-License-Identifier: MIT */
/*
 * What rows of the table are made of: the usual things that workers do before and after, and that
 * victims do around their call.
 */
#ifndef SHMBUS_CRASH_VICTIM_H
#define SHMBUS_CRASH_VICTIM_H

#include "crash.h"

/* Workers. */
void before_producer(struct world *world);      /* leaves the bus kept, without a producer */
void before_consumer(struct world *world);      /* publishes the row's messages */
void pressure_on_producer(struct world *world); /* nobody gets what a living producer owns */
void late_messages(struct world *world);        /* a few more, for a consumer to get */

/* Victims: producers. */
void setup_producer(struct victim *victim);
void send(struct victim *victim, char kind);
void finish_producer(struct victim *victim);
void adopt(struct victim *victim); /* its producer is just opened */

/* Victims: consumers. */
void setup_consumer(struct victim *victim);
void setup_holder(struct victim *victim); /* that keeps all the row's messages */
void poll_all(struct victim *victim, uint32_t most);
int take_message(const struct shmbus_message *message, void *context);
void check_kept_messages(struct victim *victim);
void finish_consumer(struct victim *victim);

/* Repairers: each returns what its call returned, or 0 where that is none of its business. */
int repair_by_heir(void);    /* a producer that opens the bus */
int repair_by_creator(void); /* one that creates it */
int repair_by_reap(void);    /* a look at who is dead */
int repair_by_removal(void); /* one that removes it */

/* A process that ends by SIGKILL once it has done this. Returns when it is gone. */
void sacrifice(void (*work)(struct victim *victim), struct victim *victim);

#endif
