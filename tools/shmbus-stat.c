/* SPDX-License-Identifier: MIT */
/*
 * shmbus-stat: what the buses of this host are doing. It looks on through the library's snapshot,
 * which maps everything read-only and takes no lock, so that a bus never knows it was looked at.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include <shmbus/shmbus.h>

#include "cli.h"
#include "stat.h"
#include "stat_options.h"

/* A list of buses on its way to standard output. */
struct listing {
    const struct stat_options *options;
    uint32_t count;
    int result; /* the worst of them */
};

/* Measures over the interval, while somebody publishes. */
static int measure_rate(const struct stat_options *options, struct stat_picture *picture)
{
    const struct shmbus_bus_info *bus = shmbus_snapshot_bus(picture->snapshot);
    const struct timespec pause = {.tv_sec = options->interval_ns / 1000000000,
                                   .tv_nsec = options->interval_ns % 1000000000};
    const uint64_t first_tail = bus->tail;
    const int64_t first_ns = cli_now_ns();
    if (bus->state != SHMBUS_STATE_OPEN || options->interval_ns == 0) {
        return 0;
    }
    clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    const int error = shmbus_snapshot_update(picture->snapshot);
    if (error != 0) {
        return error;
    }
    bus = shmbus_snapshot_bus(picture->snapshot);
    picture->interval_ns = (double)(cli_now_ns() - first_ns);
    if (bus->tail >= first_tail && picture->interval_ns > 0) {
        picture->rate = (double)(bus->tail - first_tail) * 1e9 / picture->interval_ns;
    }
    return 0;
}

/* Opens a picture; the caller closes its snapshot. */
static int open_picture(const char *name, const struct stat_options *options, bool with_placement,
                        struct stat_picture *out_picture)
{
    struct stat_picture picture = {.rate = -1};
    const int error = shmbus_snapshot_open(name, options->folder, &picture.snapshot);
    if (error != 0) {
        return error;
    }
    if (with_placement && shmbus_snapshot_bus(picture.snapshot)->state != SHMBUS_STATE_DAMAGED) {
        picture.placed = shmbus_snapshot_placement(picture.snapshot, &picture.placement) == 0;
    }
    *out_picture = picture;
    return 0;
}

static int show_bus(const struct stat_options *options)
{
    struct stat_picture picture;
    int error = open_picture(options->bus_name, options, true, &picture);
    if (error != 0) {
        return cli_bus_failed(options->bus_name, error,
                              error == -ENOENT ? "shmbus-stat without a name lists those there are"
                                               : NULL);
    }
    if (options->json) {
        stat_print_json(&picture);
        putchar('\n');
    } else {
        error = measure_rate(options, &picture);
        if (error == 0) {
            stat_print_page(&picture);
        }
    }
    const bool damaged = shmbus_snapshot_bus(picture.snapshot)->state == SHMBUS_STATE_DAMAGED;
    shmbus_snapshot_close(picture.snapshot);
    if (error != 0) {
        return cli_bus_failed(options->bus_name, error, NULL);
    }
    const int written = cli_flush_stdout();
    return damaged ? CLI_FAILED : written;
}

/* A bus that is gone since it was named is left out: that is no error of anybody's. */
static int show_one_of_all(const char *name, void *context)
{
    struct listing *listing = context;
    const bool json = listing->options->json;
    struct stat_picture picture;
    const int error = open_picture(name, listing->options, json, &picture);
    if (error == -ENOENT) {
        return 0;
    }
    if (json) {
        fputs(listing->count > 0 ? "," : "", stdout);
    } else if (listing->count == 0) {
        stat_print_head();
    }
    listing->count++;
    if (error != 0 && json) {
        stat_print_json_unreadable(name, cli_why(error));
    } else if (error != 0) {
        stat_print_unreadable(name, cli_why(error));
    } else {
        (json ? stat_print_json : stat_print_line)(&picture);
        shmbus_snapshot_close(picture.snapshot);
    }
    return 0;
}

static int reap_bus(const struct stat_options *options)
{
    const int reaped = shmbus_reap(options->bus_name, options->folder);
    if (reaped < 0) {
        return cli_bus_failed(options->bus_name, reaped,
                              reaped == -ENOENT ? "shmbus-stat without a name lists those there are"
                                                : NULL);
    }
    if (options->json) {
        stat_print_json_reaped(options->bus_name, reaped, "");
        putchar('\n');
    } else {
        stat_print_reaped(options->bus_name, reaped, "");
    }
    return cli_flush_stdout();
}

/* One that cannot be repaired is named as such, and does not keep the others from it. */
static int reap_one_of_all(const char *name, void *context)
{
    struct listing *listing = context;
    const bool json = listing->options->json;
    const int reaped = shmbus_reap(name, listing->options->folder);
    if (reaped == -ENOENT) {
        return 0;
    }
    if (json) {
        fputs(listing->count > 0 ? "," : "", stdout);
    }
    listing->count++;
    (json ? stat_print_json_reaped : stat_print_reaped)(name, reaped,
                                                        reaped < 0 ? cli_why(reaped) : "");
    if (reaped < 0) {
        listing->result = CLI_FAILED;
    }
    return 0;
}

static int show_all(const struct stat_options *options)
{
    struct listing listing = {.options = options};
    if (options->json) {
        fputs("{\"buses\":[", stdout);
    }
    const int result =
        shmbus_list(options->folder, options->reap ? reap_one_of_all : show_one_of_all, &listing);
    if (result < 0) {
        return cli_failed("cannot list buses: %s (--folder or SHMBUS_DIR names where they are)",
                          cli_why(result));
    }
    if (options->json) {
        puts("]}");
    } else if (listing.count == 0) {
        fputs("shmbus-stat: there is no bus (shmbus-pub makes one)\n", stderr);
    }
    const int written = cli_flush_stdout();
    return listing.result > written ? listing.result : written;
}

int main(int count, char **arguments)
{
    struct stat_options options;
    int code = CLI_OK;
    cli_begin("shmbus-stat");
    if (!stat_options_read(count, arguments, &options, &code)) {
        return code;
    }
    if (!options.bus_name) {
        return show_all(&options);
    }
    return options.reap ? reap_bus(&options) : show_bus(&options);
}
