/* SPDX-License-Identifier: MIT */
/*
 * How shmbus-sub comes to its bus: waits for it, looks up the names of types, attaches, and knows
 * the bus again, so that another one under the same name is told from it.
 */
#ifndef SHMBUS_TOOLS_SUB_ATTACH_H
#define SHMBUS_TOOLS_SUB_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

#include <shmbus/shmbus.h>

#include "type_filter.h"

#define ATTACH_STOPPED (-1) /* a signal came first */

struct attachment {
    const char *bus_name;
    struct shmbus_consumer_options options; /* as it is to be opened */
    struct type_filter *filter;
    struct shmbus_consumer *consumer;
    int64_t created_ns; /* of the bus; negative: not known */
    uint32_t flags;     /* of the bus; 0 when it is not known */
};

/*
 * Attaches, waiting so long (or SHMBUS_FOREVER) for a bus of that name. Returns CLI_OK, or
 * ATTACH_STOPPED, or an exit code after an error line.
 */
int attach_open(struct attachment *attachment, int64_t wait_ns);

/* Does the name lead to another bus by now, or to none? */
bool attach_is_gone(const struct attachment *attachment);

#endif
