/* SPDX-License-Identifier: MIT */
/*
 * shmbus-replay: publishes recordings on buses that are made as the recorded ones were. Each stream
 * is the files of one bus; of all of them that record comes next that was received first, so that
 * one clock keeps them in step. A sequence that is not in the recording is left out on the bus. All
 * waiting is in slices, so that a signal or a key is heeded.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cli.h"
#include "keys.h"
#include "pace.h"
#include "progress.h"
#include "pub_bus.h"
#include "replay_clock.h"
#include "replay_options.h"
#include "replay_source.h"
#include "stop.h"

#define SLICE_NS   100000000
#define SLACK_NS   1000 /* how much later the kernel may wake this than asked */
#define LOOK_COUNT 256  /* messages between two looks at keys and consumers, without a pace */
#define PAUSE_KEY  ' '
#define LOOK_NS    50000000

struct stream {
    struct pub_options options;
    struct pub_bus bus;
    struct replay_source source;
    uint64_t first; /* sequence of the first record in the span */
    uint64_t shift; /* what the loops before add to a sequence */
    uint64_t sent;
    bool made; /* the bus is there */
};

struct replay {
    struct replay_options options;
    struct progress progress;
    struct replay_clock clock;
    uint32_t stream_count;
    struct stream *streams;
    uint64_t sent;     /* over all streams */
    int64_t looked_ns; /* when keys and consumers were last looked at */
    uint32_t unlooked; /* messages since then */
};

/* Opens all files and goes to where the span begins in each. */
static int open_streams(struct replay *replay)
{
    int64_t begun_ns = INT64_MAX;
    for (uint32_t i = 0; i < replay->stream_count; i++) {
        struct stream *stream = &replay->streams[i];
        const struct replay_part *part = &replay->options.parts[i];
        stream->source = (struct replay_source){
            .files = part->files,
            .file_count = part->file_count,
            .span = replay->options.span,
            .filter = &replay->options.filter,
        };
        const int result = replay_source_open(&stream->source);
        if (result != CLI_OK) {
            return result;
        }
        const int64_t first_ns = replay_source_begun(&stream->source);
        begun_ns = first_ns < begun_ns ? first_ns : begun_ns;
    }
    for (uint32_t i = 0; i < replay->stream_count; i++) {
        replay->streams[i].source.begun_ns = begun_ns;
        const int result = replay_source_rewind(&replay->streams[i].source);
        if (result != CLI_OK) {
            return result;
        }
    }
    return CLI_OK;
}

/* The recorded bus's geometry with this tool's options, for one producer, which can leave sequences
 * out; it has the slabs of all that there were. */
static void take_geometry(struct stream *stream, const struct replay_options *options,
                          const char *bus_name)
{
    const struct shmbus_bus_options *recorded =
        &shmbus_recording_info(stream->source.geometry)->bus;
    const struct shmbus_bus_options *wished = &options->common.bus;
    struct shmbus_bus_options *bus = &stream->options.bus;
    const uint32_t evict = wished->stall_ns != 0 ? SHMBUS_BUS_EVICT : 0;
    stream->options = options->common;
    stream->options.bus_name = bus_name;
    *bus = *recorded;
    bus->struct_bytes = sizeof(*bus);
    bus->folder = wished->folder;
    bus->mode = wished->mode;
    bus->group = wished->group;
    bus->flags = (recorded->flags & ~evict) | wished->flags;
    bus->stall_ns = wished->stall_ns != 0 ? wished->stall_ns : recorded->stall_ns;
    bus->max_producers = 1;
    bus->first_sequence =
        stream->first < SHMBUS_FIRST_SEQUENCE_MAX ? stream->first : SHMBUS_FIRST_SEQUENCE_MAX;
}

static int make_bus(struct replay *replay, uint32_t index)
{
    struct stream *stream = &replay->streams[index];
    const char *name = replay->options.parts[index].bus_name;
    const struct shmbus_recording_info *info = shmbus_recording_info(stream->source.geometry);
    stream->first = stream->source.has ? stream->source.record.sequence : info->first_sequence;
    take_geometry(stream, &replay->options, name);
    stream->bus = (struct pub_bus){.options = &stream->options, .progress = &replay->progress};
    const int result = pub_bus_create(&stream->bus);
    if (result != CLI_OK) {
        return result;
    }
    stream->made = true;
    const uint64_t next = shmbus_producer_next_sequence(stream->bus.producer);
    if (next > stream->first) {
        return cli_failed("bus '%s': is at sequence %llu already, and the recording begins at %llu "
                          "(remove it, or give another name)",
                          name, (unsigned long long)next, (unsigned long long)stream->first);
    }
    return CLI_OK;
}

static int make_buses(struct replay *replay)
{
    int result = CLI_OK;
    for (uint32_t i = 0; i < replay->stream_count && result == CLI_OK; i++) {
        result = make_bus(replay, i);
    }
    for (uint32_t i = 0; i < replay->stream_count && result == CLI_OK; i++) {
        result = pub_bus_wait_consumers(&replay->streams[i].bus);
    }
    return result;
}

/* The stream whose next record was received first; NULL when all are at their end. */
static struct stream *earliest(struct replay *replay)
{
    struct stream *found = NULL;
    for (uint32_t i = 0; i < replay->stream_count; i++) {
        struct stream *stream = &replay->streams[i];
        if (stream->source.has &&
            (!found || stream->source.record.receive_ns < found->source.record.receive_ns)) {
            found = stream;
        }
    }
    return found;
}

/* Waits for the key a second time, or for a signal; all that is to come is due so much later. */
static void pause_here(struct replay *replay, struct stream *stream)
{
    const int64_t begun_ns = cli_now_ns();
    progress_break(&replay->progress);
    cli_note("paused at sequence %llu (the space bar goes on)",
             (unsigned long long)shmbus_producer_next_sequence(stream->bus.producer));
    while (stop_count() == 0 && keys_next() != PAUSE_KEY) {
        pub_bus_look(&stream->bus);
        pace_sleep(cli_now_ns() + LOOK_NS);
    }
    replay_clock_shift(&replay->clock, cli_now_ns() - begun_ns);
}

/* What is to be seen to now and then. */
static void look(struct replay *replay, struct stream *stream, const char *doing, int64_t now_ns)
{
    replay->unlooked = 0;
    if (now_ns - replay->looked_ns < LOOK_NS) {
        return;
    }
    replay->looked_ns = now_ns;
    progress_tick(&replay->progress, doing, stream->bus.producer, replay->sent);
    for (uint32_t i = 0; i < replay->stream_count; i++) {
        pub_bus_look(&replay->streams[i].bus);
    }
    if (keys_next() == PAUSE_KEY) {
        pause_here(replay, stream);
    }
}

/* Waits until the stream's next record is due, or a signal comes; when it was due. */
static int64_t await_due(struct replay *replay, struct stream *stream)
{
    int64_t now_ns = replay->options.speed > 0 ? cli_now_ns() : 0;
    int64_t due_ns = INT64_MIN;
    if (replay->options.speed <= 0) {
        if (++replay->unlooked >= LOOK_COUNT) {
            look(replay, stream, "replaying", cli_now_ns());
        }
        return due_ns;
    }
    for (;;) {
        look(replay, stream, "replaying", now_ns);
        due_ns = replay_clock_due(&replay->clock, stream->source.record.receive_ns, now_ns);
        if (due_ns <= now_ns || stop_count() > 0) {
            return due_ns;
        }
        pace_sleep(due_ns - now_ns < SLICE_NS ? due_ns : now_ns + SLICE_NS);
        now_ns = cli_now_ns();
    }
}

/* Leaves out the sequences up to that one; CLI_OK also when a signal cut it short. */
static int skip_to(struct replay *replay, struct stream *stream, uint64_t sequence)
{
    struct shmbus_producer *producer = stream->bus.producer;
    while (stop_count() == 0) {
        const uint64_t next = shmbus_producer_next_sequence(producer);
        const uint64_t left = sequence > next ? sequence - next : 0;
        const int error =
            shmbus_producer_skip(producer, left < SHMBUS_SKIP_MAX ? left : SHMBUS_SKIP_MAX);
        if (error != 0 && error != -EAGAIN) {
            return pub_bus_failed(&stream->bus, error);
        }
        if (error == 0 && left <= SHMBUS_SKIP_MAX) {
            return CLI_OK;
        }
        look(replay, stream, "waiting for consumers", cli_now_ns());
    }
    return CLI_OK;
}

static int publish(struct replay *replay, struct stream *stream)
{
    const struct shmbus_record *record = &stream->source.record;
    while (stop_count() == 0) {
        const int error = shmbus_producer_publish(stream->bus.producer, record->type, record->flags,
                                                  record->data, record->length);
        if (error == 0) {
            replay->sent++;
            stream->sent++;
            return CLI_OK;
        }
        if (error != -EAGAIN && error != -ENOBUFS) {
            return pub_bus_failed(&stream->bus, error);
        }
        look(replay, stream, "waiting for consumers", cli_now_ns());
    }
    return CLI_OK;
}

/* Sends the record that the stream is at, when it is due, and goes on to the next. */
static int send_one(struct replay *replay, struct stream *stream)
{
    const struct shmbus_record *record = &stream->source.record;
    const int64_t due_ns = await_due(replay, stream);
    int result = CLI_OK;
    if (stop_count() > 0) {
        return CLI_OK;
    }
    if (record->kind != SHMBUS_RECORD_MESSAGE) {
        result = skip_to(replay, stream, record->sequence + record->count + stream->shift);
    } else {
        result = skip_to(replay, stream, record->sequence + stream->shift);
        if (result == CLI_OK) {
            result = publish(replay, stream);
        }
        if (replay->options.speed > 0) {
            replay_clock_sent(&replay->clock, due_ns, cli_now_ns());
        }
    }
    return result == CLI_OK ? replay_source_next(&stream->source) : result;
}

/* Once through all of it. */
static int replay_once(struct replay *replay)
{
    struct stream *stream = NULL;
    int result = CLI_OK;
    while (result == CLI_OK && stop_count() == 0 && (stream = earliest(replay))) {
        result = send_one(replay, stream);
    }
    return result;
}

/* Back to the beginning, with sequences that go on rising. */
static int rewind_all(struct replay *replay)
{
    int result = CLI_OK;
    replay_clock_restart(&replay->clock);
    for (uint32_t i = 0; i < replay->stream_count && result == CLI_OK; i++) {
        struct stream *stream = &replay->streams[i];
        stream->shift = shmbus_producer_next_sequence(stream->bus.producer) - stream->first;
        result = replay_source_rewind(&stream->source);
    }
    return result;
}

static int replay_all(struct replay *replay)
{
    const uint64_t loops = replay->options.loops;
    int result = replay_once(replay);
    for (uint64_t i = 1; result == CLI_OK && stop_count() == 0 && (loops == 0 || i < loops); i++) {
        /* Nothing in the span: going round for ever would be waiting for nothing. */
        if (replay->sent == 0) {
            break;
        }
        result = rewind_all(replay);
        if (result == CLI_OK) {
            result = replay_once(replay);
        }
    }
    return result;
}

static int run(struct replay *replay)
{
    int result = open_streams(replay);
    progress_begin(&replay->progress);
    if (result == CLI_OK) {
        result = make_buses(replay);
    }
    if (result == CLI_OK) {
        keys_begin();
        replay_clock_begin(&replay->clock, replay->options.speed);
        result = replay_all(replay);
        keys_end();
    }
    for (uint32_t i = 0; i < replay->stream_count; i++) {
        struct stream *stream = &replay->streams[i];
        if (stream->made) {
            const int finished = pub_bus_finish(&stream->bus, stream->sent);
            result = finished > result ? finished : result;
        }
        replay_source_close(&stream->source);
    }
    if (replay->sent > 0) {
        replay_clock_report(&replay->clock);
    }
    return result;
}

int main(int count, char **arguments)
{
    static struct replay replay;
    int result = CLI_OK;
    cli_begin("shmbus-replay");
    if (!replay_options_read(count, arguments, &replay.options, &result)) {
        return result;
    }
    const int error = stop_install();
    if (error != 0) {
        return cli_failed("signals: %s", strerror(-error));
    }
    /* Else the kernel wakes this up to 50 us late. */
    prctl(PR_SET_TIMERSLACK, SLACK_NS, 0, 0, 0);
    replay.stream_count = replay.options.part_count;
    replay.streams = calloc(replay.stream_count, sizeof(*replay.streams));
    if (!replay.streams) {
        return cli_failed("%s", strerror(ENOMEM));
    }
    result = run(&replay);
    free(replay.streams);
    return result;
}
