/* SPDX-License-Identifier: MIT */
/*
 * The words that say how shmbus-sub and shmbus-record attach: the kind of consumer, and where to
 * begin. Each returns CLI_OK or CLI_USAGE.
 */
#ifndef SHMBUS_TOOLS_ATTACH_WORDS_H
#define SHMBUS_TOOLS_ATTACH_WORDS_H

#include <shmbus/shmbus.h>

/* Reads what was given with --from. */
int attach_read_from(const char *text, struct shmbus_consumer_options *consumer);

/* Takes the kind, which is asked for at most once, or twice alike. */
int attach_read_kind(enum shmbus_kind kind, struct shmbus_consumer_options *consumer);

/* What is wrong with --move-up only once --from is known. */
int attach_check_from(const struct shmbus_consumer_options *consumer);

#endif
