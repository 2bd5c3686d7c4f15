/* SPDX-License-Identifier: MIT */
/*
 * How shmbus-sub comes to its bus: see sub_attach.h. All waiting is in slices, so that a signal
 * ends it. A bus is known again by the time at which it was made, in nanoseconds.
 */
#include "sub_attach.h"

#include <errno.h>
#include <stddef.h>

#include "cli.h"
#include "pace.h"
#include "stop.h"

#define SLICE_NS  200000000
#define PAUSE_NS  10000000
#define TOLD      1 /* an error line was printed */
#define ANOTHER   2 /* the name led to two buses, one after the other */
#define NOT_KNOWN (-1)

/* Looks the names of types up, which need a bus to be looked up in. */
static int find_types(const struct attachment *attachment, int64_t *out_created_ns)
{
    struct shmbus_snapshot *snapshot = NULL;
    const int error =
        shmbus_snapshot_open(attachment->bus_name, attachment->options.folder, &snapshot);
    if (error == -ENOENT) {
        pace_sleep(cli_now_ns() + PAUSE_NS);
    }
    if (error != 0) {
        return error;
    }
    /* A damaged one has no types: why it cannot be read is said when it is opened. */
    const struct shmbus_bus_info *bus = shmbus_snapshot_bus(snapshot);
    const int found = bus->state == SHMBUS_STATE_DAMAGED
                          ? CLI_OK
                          : type_filter_look_up(attachment->filter, snapshot);
    *out_created_ns = bus->created_ns;
    shmbus_snapshot_close(snapshot);
    return found == CLI_OK ? 0 : TOLD;
}

/* Notes which bus this is; one that has ended and is removed already is not known. */
static void look_at_bus(struct attachment *attachment)
{
    struct shmbus_snapshot *snapshot = NULL;
    attachment->created_ns = NOT_KNOWN;
    attachment->flags = 0;
    if (shmbus_snapshot_open(attachment->bus_name, attachment->options.folder, &snapshot) == 0) {
        attachment->created_ns = shmbus_snapshot_bus(snapshot)->created_ns;
        attachment->flags = shmbus_snapshot_bus(snapshot)->flags;
        shmbus_snapshot_close(snapshot);
    }
}

/* One try: 0, a negative errno, TOLD or ANOTHER. */
static int try_open(struct attachment *attachment, int64_t wait_ns)
{
    struct shmbus_consumer_options options = attachment->options;
    int64_t types_of_ns = NOT_KNOWN;
    int error = 0;
    options.wait_ns = wait_ns;
    if (attachment->filter->has_names) {
        error = find_types(attachment, &types_of_ns);
        options.wait_ns = 0;
    }
    if (attachment->filter->count > 0) {
        options.types = attachment->filter->numbers;
        options.type_count = attachment->filter->count;
    }
    if (error == 0) {
        error = shmbus_consumer_open(attachment->bus_name, &options, &attachment->consumer);
    }
    if (error != 0) {
        return error;
    }
    look_at_bus(attachment);
    if (types_of_ns != NOT_KNOWN && attachment->created_ns != NOT_KNOWN &&
        attachment->created_ns != types_of_ns) {
        shmbus_consumer_close(attachment->consumer);
        attachment->consumer = NULL;
        return ANOTHER;
    }
    return 0;
}

int attach_open(struct attachment *attachment, int64_t wait_ns)
{
    const int64_t until_ns = wait_ns < 0 ? INT64_MAX : cli_now_ns() + wait_ns;
    for (;;) {
        const int64_t left_ns = until_ns - cli_now_ns();
        const int64_t slice_ns = left_ns < SLICE_NS ? left_ns : SLICE_NS;
        const int error = try_open(attachment, slice_ns > 0 ? slice_ns : 0);
        if (error == 0) {
            return CLI_OK;
        }
        if (error == TOLD) {
            return CLI_FAILED;
        }
        if (error != -ENOENT && error != ANOTHER) {
            return cli_bus_failed(attachment->bus_name, error, NULL);
        }
        if (stop_count() > 0) {
            return ATTACH_STOPPED;
        }
        if (error == -ENOENT && left_ns <= 0) {
            return cli_bus_failed(attachment->bus_name, error,
                                  "shmbus-stat lists the buses there are, --wait SECONDS waits "
                                  "for one");
        }
    }
}

bool attach_is_gone(const struct attachment *attachment)
{
    struct shmbus_snapshot *snapshot = NULL;
    const int error =
        shmbus_snapshot_open(attachment->bus_name, attachment->options.folder, &snapshot);
    if (error != 0) {
        return error == -ENOENT;
    }
    const bool gone = shmbus_snapshot_bus(snapshot)->created_ns != attachment->created_ns;
    shmbus_snapshot_close(snapshot);
    return gone;
}
