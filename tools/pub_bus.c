/* SPDX-License-Identifier: MIT */
/*
 * The bus as shmbus-pub and shmbus-replay have it: see pub_bus.h. The library finds out by itself
 * who died or stalls while it waits; in between it is asked here, a few times a second.
 */
#include "pub_bus.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "cli.h"
#include "pace.h"
#include "stop.h"
#include "text.h"

#define SLICE_NS  200000000
#define ATTACH_NS 10000000
#define LOOK_NS   200000000
#define NAME_NS   2000000000 /* between two looks at whether the name still leads here */

/* A bus of the name, as it was at one time. */
struct sight {
    bool there;
    bool gone; /* there is nothing of that name */
    uint32_t state;
    uint32_t producers; /* alive */
    int64_t created_ns; /* tells it from another one of its name */
    uint64_t tail;
};

static struct sight look_at(const struct pub_options *options)
{
    struct shmbus_snapshot *snapshot = NULL;
    struct sight sight = {0};
    const int error = shmbus_snapshot_open(options->bus_name, options->bus.folder, &snapshot);
    sight.gone = error == -ENOENT;
    if (error == 0) {
        const struct shmbus_bus_info *bus = shmbus_snapshot_bus(snapshot);
        sight = (struct sight){.there = bus->state != SHMBUS_STATE_DAMAGED,
                               .state = bus->state,
                               .created_ns = bus->created_ns,
                               .tail = bus->tail};
        for (uint32_t i = 0; i < bus->producer_count; i++) {
            sight.producers += shmbus_snapshot_producer(snapshot, i)->alive;
        }
        shmbus_snapshot_close(snapshot);
    }
    return sight;
}

/* Says what became of the bus that was there before. One that was closed and kept just goes on.
 * Returns when the one that is there now was made; 0 if that is not known. */
static int64_t say_what_was_there(const struct pub_bus *bus, const struct sight *before)
{
    const char *name = bus->options->bus_name;
    const struct sight now = look_at(bus->options);
    if (!before->there || !now.there) {
        return now.created_ns;
    }
    if (now.created_ns != before->created_ns) {
        if (bus->options->bus.flags & SHMBUS_BUS_REPLACE) {
            cli_note("bus '%s': replaced the one that was there, which had come to sequence %llu",
                     name, (unsigned long long)before->tail);
        }
    } else if (before->producers > 0) {
        cli_note("bus '%s': publishes beside %u other%s", name, before->producers,
                 before->producers == 1 ? "" : "s");
    } else if (before->state != SHMBUS_STATE_CLOSED) {
        cli_note("bus '%s': took over from a producer that died; goes on at sequence %llu", name,
                 (unsigned long long)shmbus_producer_next_sequence(bus->producer));
    }
    return now.created_ns;
}

static void say_health(const struct pub_bus *bus, const struct shmbus_health *health)
{
    const char *name = bus->options->bus_name;
    char consumer[SHMBUS_NAME_MAX * TEXT_PRINTABLE_GROWTH + 1];
    const unsigned long long lag = health->lag;
    text_printable(health->name, consumer);
    progress_break(bus->progress);
    switch (health->state) {
    case SHMBUS_HEALTH_STALLED:
        cli_note("bus '%s': consumer '%s' is stalled: %llu messages behind, and did not go on for "
                 "%.1f s",
                 name, consumer, lag, (double)health->since_ns / 1e9);
        break;
    case SHMBUS_HEALTH_GRACE:
        cli_note("bus '%s': consumer '%s' died, %llu messages behind; its place is kept for a "
                 "while",
                 name, consumer, lag);
        break;
    case SHMBUS_HEALTH_DEAD:
        cli_note("bus '%s': consumer '%s' died, %llu messages behind; it is not waited for", name,
                 consumer, lag);
        break;
    case SHMBUS_HEALTH_EVICTED:
        cli_note("bus '%s': consumer '%s' was evicted, %llu messages behind", name, consumer, lag);
        break;
    default:
        cli_note("bus '%s': consumer '%s' %s", name, consumer,
                 health->before == SHMBUS_HEALTH_GRACE ? "is back" : "goes on");
        break;
    }
}

static void on_health(void *context, const struct shmbus_health *health)
{
    say_health(context, health);
}

/* Puts this thread where the options want it. A bus that is new then goes again. */
static int settle(struct pub_bus *bus, const struct sight *before)
{
    const struct pub_options *options = bus->options;
    struct shmbus_settled settled;
    const int error = shmbus_producer_settle(bus->producer, &options->settle.options, &settled);
    if (error == 0) {
        settle_say(options->bus_name, &settled);
        return CLI_OK;
    }
    const int result = cli_bus_failed(options->bus_name, error, NULL);
    const bool is_new = !before->there || look_at(options).created_ns != before->created_ns;
    shmbus_producer_close(bus->producer);
    if (is_new) {
        shmbus_unlink(options->bus_name, options->bus.folder);
    }
    return result;
}

int pub_bus_create(struct pub_bus *bus)
{
    const struct shmbus_producer_options behaviour = {
        .struct_bytes = sizeof(behaviour),
        .full_timeout_ns = SLICE_NS,
        .context = bus,
        .on_health = on_health,
        .wait = {.strategy = bus->options->wait_strategy},
    };
    const struct pub_options *options = bus->options;
    const struct sight before = look_at(options);
    const int error = options->join ? shmbus_producer_open(options->bus_name, options->bus.folder,
                                                           &behaviour, 0, &bus->producer)
                                    : shmbus_producer_create(options->bus_name, &options->bus,
                                                             &behaviour, &bus->producer);
    if (error != 0) {
        return cli_bus_failed(options->bus_name, error, NULL);
    }
    bus->looked_ns = cli_now_ns();
    bus->name_ns = bus->looked_ns;
    bus->made_ns = say_what_was_there(bus, &before);
    return options->settle.wanted ? settle(bus, &before) : CLI_OK;
}

/* Its files may be removed by somebody else, and its name be another bus's: said once. */
static void look_at_name(struct pub_bus *bus)
{
    const char *name = bus->options->bus_name;
    const struct sight now = look_at(bus->options);
    /* One that cannot be looked at, or is half removed, is looked at again. */
    if (!now.gone && (!now.there || now.created_ns == bus->made_ns)) {
        return;
    }
    bus->made_ns = 0;
    progress_break(bus->progress);
    if (now.there) {
        cli_note("bus '%s': was removed by somebody else, and another bus has its name: those that "
                 "are attached read on, and nobody else finds it",
                 name);
    } else {
        cli_note("bus '%s': its files were removed by somebody else (systemd's RemoveIPC=?): those "
                 "that are attached read on, and nobody else finds it",
                 name);
    }
}

void pub_bus_look(struct pub_bus *bus)
{
    const int64_t now_ns = cli_now_ns();
    if (now_ns - bus->looked_ns >= LOOK_NS) {
        bus->looked_ns = now_ns;
        shmbus_producer_health(bus->producer, NULL, 0);
    }
    if (bus->made_ns != 0 && now_ns - bus->name_ns >= NAME_NS) {
        bus->name_ns = now_ns;
        look_at_name(bus);
    }
}

/*
 * At the end, on a bus that evicts: is nobody left to be waited for but stalled ones? They are
 * named. They can still read all of it, since nothing more is written.
 */
static bool only_stalled(struct pub_bus *bus)
{
    static struct shmbus_health health[SHMBUS_CONSUMERS_MAX];
    if ((bus->options->bus.flags & SHMBUS_BUS_EVICT) == 0) {
        return false;
    }
    const int count = shmbus_producer_health(bus->producer, health, SHMBUS_CONSUMERS_MAX);
    for (int i = 0; i < count; i++) {
        if (health[i].lag > 0 &&
            (health[i].state == SHMBUS_HEALTH_WELL || health[i].state == SHMBUS_HEALTH_GRACE)) {
            return false;
        }
    }
    for (int i = 0; i < count; i++) {
        if (health[i].lag > 0 && health[i].state == SHMBUS_HEALTH_STALLED) {
            char consumer[SHMBUS_NAME_MAX * TEXT_PRINTABLE_GROWTH + 1];
            progress_break(bus->progress);
            cli_note("bus '%s': not waiting for consumer '%s', which is stalled, %llu messages "
                     "behind",
                     bus->options->bus_name, text_printable(health[i].name, consumer),
                     (unsigned long long)health[i].lag);
        }
    }
    return true;
}

int pub_bus_failed(struct pub_bus *bus, int error)
{
    progress_break(bus->progress);
    return cli_bus_failed(bus->options->bus_name, error, NULL);
}

int pub_bus_wait_consumers(struct pub_bus *bus)
{
    const uint64_t wanted = bus->options->wait_consumers;
    while (wanted > 0 && stop_count() == 0) {
        const int count = shmbus_producer_required(bus->producer, NULL);
        if (count < 0) {
            return pub_bus_failed(bus, count);
        }
        if ((uint64_t)count >= wanted) {
            break;
        }
        progress_tick(bus->progress, "waiting for consumers to attach", bus->producer, 0);
        pub_bus_look(bus);
        pace_sleep(cli_now_ns() + ATTACH_NS);
    }
    return CLI_OK;
}

/* Waits until consumers have read all, or until a second signal says not to. */
static int flush(struct pub_bus *bus, uint64_t sent)
{
    bool told = false;
    for (;;) {
        const int result = shmbus_producer_flush(bus->producer, SLICE_NS);
        if (result != -ETIMEDOUT) {
            return result == 0 ? CLI_OK : pub_bus_failed(bus, result);
        }
        progress_tick(bus->progress, "flushing", bus->producer, sent);
        if (only_stalled(bus)) {
            return CLI_OK;
        }
        if (stop_count() > 1) {
            uint64_t lag = 0;
            shmbus_producer_required(bus->producer, &lag);
            progress_break(bus->progress);
            return cli_failed("bus '%s': given up with the slowest consumer %llu messages behind",
                              bus->options->bus_name, (unsigned long long)lag);
        }
        if (stop_count() > 0 && !told) {
            progress_break(bus->progress);
            cli_failed("waiting for consumers to read the rest (a second signal gives up)");
            told = true;
        }
    }
}

int pub_bus_finish(struct pub_bus *bus, uint64_t sent)
{
    const struct pub_options *options = bus->options;
    int result = flush(bus, sent);
    progress_end(bus->progress, sent);
    shmbus_producer_close(bus->producer);
    if (!options->keep) {
        const int error = shmbus_unlink(options->bus_name, options->bus.folder);
        /* Gone, or somebody else's by now: both mean that it is not ours to remove. */
        if (error != 0 && error != -ENOENT && error != -EBUSY) {
            const int removed = cli_bus_failed(options->bus_name, error, NULL);
            result = removed > result ? removed : result;
        }
    }
    return result;
}
