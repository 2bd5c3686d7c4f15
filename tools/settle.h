/* SPDX-License-Identifier: MIT */
/*
 * On which CPUs a tool works and with what priority: --cpu and --fifo, alike for those that publish
 * and those that read.
 */
#ifndef SHMBUS_TOOLS_SETTLE_H
#define SHMBUS_TOOLS_SETTLE_H

#include <stdbool.h>

#include <shmbus/shmbus.h>

/* What was asked for; zeroed it is nothing. */
struct settle {
    struct shmbus_settle_options options;
    bool wanted;
};

/* Reads the argument of --cpu, of --fifo; CLI_OK or CLI_USAGE. */
int settle_read_cpu(const char *text, struct settle *settle);
int settle_read_fifo(const char *text, struct settle *settle);

/* Says on standard error what the tool has now. */
void settle_say(const char *bus, const struct shmbus_settled *settled);

#endif
