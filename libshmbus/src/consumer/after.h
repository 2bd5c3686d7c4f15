/* SPDX-License-Identifier: MIT */
/*
 * Running after others: a required consumer reads no further than the slowest of those that it
 * names, as far as their entries, latched at join by index and epoch, say.
 *
 *   predecessor                                follower
 *   -----------                                --------
 *   read payload                               load its state           (after_state:B)
 *   cursor = next            (cursor:A)        load its cursor          (after_cursor:B)
 *                                              limit = the slowest, kept privately
 *                                              read what is below limit
 *
 * The limit is only looked for anew when the next message is there and at the limit. What one that
 * left, died or was evicted had passed by then counts, as long as its entry is not another's.
 */
#ifndef SHMBUS_AFTER_H
#define SHMBUS_AFTER_H

#include "consumer/consumer.h"

/* Are the options that say whom it runs after in order? Its own name is known. */
int after_check(const struct shmbus_consumer_options *options, const char *name);

/* Makes room for what is known of them, if the options name any. Returns 0 or an errno. */
int after_make(struct shmbus_consumer *consumer);
void after_end(struct after *after);

/* Writes whom it runs after into an entry, whose other words are not believed yet. */
void after_write(const struct shmbus_consumer *consumer, struct control_entry *entry);

/* Its entry says whom it runs after: would it run after itself? Of two that join at once and would
 * run after each other one is refused. Returns 0 or -ELOOP. */
int after_enter(struct shmbus_consumer *consumer);

/* The same with the entry of one that died and is resumed, which may have run after others. One
 * that is refused leaves its words as they were. */
int after_enter_again(struct shmbus_consumer *consumer, struct control_entry *entry);

/* It has joined: latches those that are there. */
void after_latch(struct shmbus_consumer *consumer);

/* The message at next is there, and next is at the limit: raises it. Returns whether the message
 * may be read. */
int after_raise(struct shmbus_consumer *consumer);

/* It is held back: finds out every so often whether those that it waits for live. */
void after_watch(struct shmbus_consumer *consumer);

/* The name of one that it is held back by. */
const char *after_slowest(const struct shmbus_consumer *consumer);

#endif
