/* SPDX-License-Identifier: MIT */
/*
 * shmbus-record: attaches to a bus and writes its messages into a file, compressed. What is read is
 * copied into a block in memory; compressing and writing is another thread's work. When all blocks
 * wait for the disk the reading stands still: a required recorder then stops its producer, another
 * one is lapped, and what it lost is recorded as what it is. A block is written when it is full and
 * whenever this has caught up for a while, so that a quiet bus is on the disk too.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "record_file.h"
#include "record_options.h"
#include "record_progress.h"
#include "stop.h"
#include "sub_attach.h"
#include "sub_report.h"

#define SLICE_NS   200000000
#define POLL_COUNT 1024

struct record {
    struct record_options options;
    struct attachment bus;
    struct shmbus_bus_options geometry; /* of the bus, with its types */
    struct shmbus_type *types;
    struct record_file file;
    struct record_progress progress;
    struct report report;
    uint64_t left;     /* messages still to be recorded */
    uint64_t messages; /* recorded */
    int result;        /* of the first record that could not be put */
};

static int64_t real_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int on_message(const struct shmbus_message *message, void *context)
{
    struct record *record = context;
    const struct shmbus_record entry = {
        .kind = SHMBUS_RECORD_MESSAGE,
        .length = message->length,
        .sequence = message->sequence,
        .count = 1,
        .publish_ns = message->timestamp_ns,
        .receive_ns = real_ns(),
        .type = message->type,
        .flags = message->flags & SHMBUS_MESSAGE_USER_FLAGS,
        .data = message->data,
    };
    if (record->result != CLI_OK) {
        return 1;
    }
    const int result = record_file_put(&record->file, &entry);
    if (result == RECORD_FILE_STALE) {
        return 1; /* and the next poll says why */
    }
    record->result = result;
    if (result != CLI_OK) {
        return 1;
    }
    record->messages++;
    record->left--;
    return 0;
}

/* Sequences that never came: told, and recorded. */
static void note_range(struct record *record, const struct shmbus_event *event)
{
    const struct shmbus_record entry = {
        .kind = event->kind == SHMBUS_EVENT_LOST ? SHMBUS_RECORD_LOST : SHMBUS_RECORD_ABORTED,
        .sequence = event->first,
        .count = event->count,
        .receive_ns = real_ns(),
    };
    progress_break(&record->progress.line);
    report_event(&record->report, event);
    if (record->result != CLI_OK) {
        return;
    }
    const int result = record_file_put(&record->file, &entry);
    record->result = result == RECORD_FILE_STALE ? CLI_OK : result;
}

static void on_event(void *context, const struct shmbus_event *event)
{
    if (event->kind == SHMBUS_EVENT_LOST || event->kind == SHMBUS_EVENT_ABORTED) {
        note_range(context, event);
    }
}

/* What the bus was made with, as a replay has to make it again. */
static int take_geometry(struct record *record, const struct shmbus_snapshot *snapshot)
{
    const struct shmbus_bus_info *bus = shmbus_snapshot_bus(snapshot);
    struct shmbus_bus_options *geometry = &record->geometry;
    *geometry = (struct shmbus_bus_options){
        .struct_bytes = sizeof(*geometry),
        .capacity = bus->capacity,
        .slot_bytes = bus->slot_bytes,
        .max_consumers = bus->max_consumers,
        .class_count = bus->class_count,
        .flags = bus->flags | (bus->class_count == 0 ? SHMBUS_BUS_NO_POOL : 0),
        .history = bus->history,
        .stall_ns = bus->stall_ns,
        .first_sequence = bus->first_sequence,
        .max_producers = bus->max_producers,
        .type_count = bus->type_count,
    };
    for (uint32_t i = 0; i < bus->class_count; i++) {
        const struct shmbus_pool_stats *pool = shmbus_snapshot_pool(snapshot, i);
        geometry->classes[i] = (struct shmbus_pool_class){.slab_bytes = pool->slab_bytes,
                                                          .slab_count = pool->slab_count};
    }
    record->types = calloc((size_t)bus->type_count + 1, sizeof(*record->types));
    if (!record->types) {
        return cli_failed("bus '%s': %s", record->options.bus_name, strerror(ENOMEM));
    }
    for (uint32_t i = 0; i < bus->type_count; i++) {
        record->types[i] = *shmbus_snapshot_type(snapshot, i);
    }
    geometry->types = record->types;
    record->file.how.bus = geometry;
    record->file.how.bus_created_ns = bus->created_ns;
    return CLI_OK;
}

/* The snapshot stays open: names of types lie in it, and the lag is read from it. */
static int look_at_bus(struct record *record)
{
    const char *name = record->options.bus_name;
    const int error =
        shmbus_snapshot_open(name, record->options.consumer.folder, &record->progress.snapshot);
    if (error != 0) {
        return cli_bus_failed(name, error, "it was removed before it could be looked at");
    }
    const struct shmbus_bus_info *bus = shmbus_snapshot_bus(record->progress.snapshot);
    if (bus->created_ns != record->bus.created_ns) {
        return cli_failed("bus '%s': was replaced while this attached to it (start again)", name);
    }
    return take_geometry(record, record->progress.snapshot);
}

/* Attaches behind what is recorded already. */
static int attach(struct record *record, uint64_t next, int64_t created_ns)
{
    const struct record_options *options = &record->options;
    if (next != UINT64_MAX) {
        record->bus.options.from = SHMBUS_FROM_SEQUENCE;
        record->bus.options.from_sequence = next;
        record->bus.options.flags |= SHMBUS_JOIN_MOVE_UP;
    }
    int result = attach_open(&record->bus, options->wait_ns);
    if (result == CLI_OK) {
        result = look_at_bus(record);
    }
    if (result == CLI_OK && next != UINT64_MAX && created_ns != record->bus.created_ns) {
        result = cli_failed("%s: is the recording of an earlier bus of that name (record this one "
                            "in another file)",
                            record->file.path);
    }
    return result;
}

static uint64_t cursor_of(const struct record *record)
{
    struct shmbus_consumer_stats stats = {0};
    shmbus_consumer_stats(record->bus.consumer, &stats);
    return stats.cursor;
}

/* Opens the file, or says what is missing between its end and the first message to come. */
static int begin_file(struct record *record, uint64_t next)
{
    const uint64_t cursor = cursor_of(record);
    if (next == UINT64_MAX) {
        return record_file_begin(&record->file, cursor);
    }
    cli_note("%s: goes on at sequence %llu", record->file.path, (unsigned long long)cursor);
    if (cursor > next) {
        const struct shmbus_event lost = {
            .kind = SHMBUS_EVENT_LOST, .first = next, .count = cursor - next};
        note_range(record, &lost);
    }
    return record->result;
}

static int settle(const struct record *record)
{
    struct shmbus_settled settled;
    if (!record->options.settle.wanted) {
        return CLI_OK;
    }
    const int error =
        shmbus_consumer_settle(record->bus.consumer, &record->options.settle.options, &settled);
    if (error != 0) {
        return cli_bus_failed(record->options.bus_name, error, NULL);
    }
    settle_say(record->options.bus_name, &settled);
    return CLI_OK;
}

static int bus_ended(struct record *record, int error)
{
    progress_break(&record->progress.line);
    if (error == -EPIPE) {
        return CLI_OK;
    }
    if (error == -ESTALE) {
        const int result = cli_bus_failed(record->options.bus_name, error, NULL);
        record->messages -= record_file_drop(&record->file);
        return result;
    }
    if (error == -EOWNERDEAD) {
        return cli_failed("bus '%s': its producer died without ending the stream; all that it "
                          "published is recorded (--append goes on when another took over)",
                          record->options.bus_name);
    }
    return cli_bus_failed(record->options.bus_name, error, NULL);
}

static int record_messages(struct record *record)
{
    while (record->left > 0 && record->result == CLI_OK && stop_count() == 0) {
        const uint32_t most = record->left < POLL_COUNT ? (uint32_t)record->left : POLL_COUNT;
        int result = shmbus_consumer_poll(record->bus.consumer, on_message, record, most);
        if (result == 0) {
            report_flush(&record->report);
            result = shmbus_consumer_wait(record->bus.consumer, SLICE_NS);
        }
        if (result == -ETIMEDOUT) {
            record_file_flush(&record->file);
        } else if (result < 0) {
            return bus_ended(record, result);
        }
        record_progress_tick(&record->progress, &record->file, record->messages,
                             record->report.lost, cursor_of(record));
        if (record->result == CLI_OK) {
            record->result = record_file_turn(&record->file, cursor_of(record));
        }
    }
    return record->result;
}

static void say_waits(const struct record *record)
{
    if (record->file.waits > 0) {
        cli_note("bus '%s': the disk was waited for %llu times, %.3f s in all",
                 record->options.bus_name, (unsigned long long)record->file.waits,
                 (double)record->file.wait_ns / 1e9);
    }
}

/* The bus before the file: its producer may be waiting for this consumer. What it read last is
 * looked at once more. */
static void leave(struct record *record)
{
    static const struct shmbus_message any;
    if (record->bus.consumer && shmbus_consumer_valid(record->bus.consumer, &any) == 0) {
        record->messages -= record_file_drop(&record->file);
    }
    shmbus_consumer_close(record->bus.consumer);
}

static int run(struct record *record)
{
    uint64_t next = UINT64_MAX;
    int64_t created_ns = 0;
    int result = CLI_OK;
    if (record->options.append) {
        result = record_file_append(&record->file, &next, &created_ns);
    }
    if (result == CLI_OK) {
        result = attach(record, next, created_ns);
    }
    if (result == CLI_OK) {
        record->file.consumer = record->bus.consumer;
        result = settle(record);
    }
    if (result == CLI_OK) {
        result = begin_file(record, next);
    }
    if (result == CLI_OK) {
        record_progress_begin(&record->progress);
        result = record_messages(record);
    }
    leave(record);
    const int written = record_file_end(&record->file);
    record_progress_end(&record->progress, &record->file, record->messages, record->report.lost);
    report_end(&record->report, record->messages);
    say_waits(record);
    free(record->types);
    if (result == ATTACH_STOPPED) {
        result = CLI_OK;
    }
    return written > result ? written : result;
}

int main(int count, char **arguments)
{
    static struct record record;
    int result = CLI_OK;
    cli_begin("shmbus-record");
    if (!record_options_read(count, arguments, &record.options, &result)) {
        return result;
    }
    record.left = record.options.count ? record.options.count : UINT64_MAX;
    report_begin(&record.report, record.options.bus_name, FORMAT_RAW, NULL);
    record.file.options = &record.options;
    record.bus = (struct attachment){
        .bus_name = record.options.bus_name,
        .options = record.options.consumer,
        .filter = &record.options.filter,
    };
    record.bus.options.on_event = on_event;
    record.bus.options.context = &record;
    const int error = stop_install();
    if (error != 0) {
        return cli_failed("signals: %s", strerror(-error));
    }
    return run(&record);
}
