/* SPDX-License-Identifier: MIT */
/*
 * Recordings, and then the bus that they were made of. `next` is the first sequence that was not
 * given yet: whatever a file has below it is left out, so that files may overlap each other and the
 * bus. The bus is joined at `next` when the files are at their end; where it stands then is
 * `joined`. If that is beyond `next` the last file may have grown meanwhile and is read on, up to
 * `joined`; only what is missing then is lost.
 */
#include "record/format.h"

#include <errno.h>
#include <shmbus/record.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct shmbus_splice {
    struct shmbus_splice_options options;
    struct shmbus_consumer_options how; /* the bus is joined */
    struct shmbus_recording *recording;
    uint32_t path; /* that it reads */
    struct shmbus_consumer *consumer;
    uint64_t next;
    uint64_t joined; /* the first sequence that comes from the bus; UINT64_MAX before it is known */
    int is_live;     /* the files are done with */
    /* Ranges to be given before what comes next. */
    struct shmbus_event *ranges;
    size_t range_room, range_count, range_first;
    int error;                     /* a range that there was no memory for */
    struct shmbus_message message; /* behind the ranges */
    int has_message;
};

static int bus_failed(int result)
{
    return format_failed(result, "%s", shmbus_error_text());
}

static int64_t real_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Called by the consumer, before it gives the message that comes after the range. */
static void keep_range(void *context, const struct shmbus_event *event)
{
    struct shmbus_splice *splice = context;
    if (event->kind != SHMBUS_EVENT_LOST && event->kind != SHMBUS_EVENT_ABORTED)
        return;
    if (splice->range_count == splice->range_room) {
        const size_t room = splice->range_room == 0 ? 8 : splice->range_room * 2;
        struct shmbus_event *larger = realloc(splice->ranges, room * sizeof *larger);
        if (larger == NULL) {
            splice->error = -ENOMEM;
            return;
        }
        splice->ranges = larger;
        splice->range_room = room;
    }
    splice->ranges[splice->range_count++] = *event;
}

/* Tells what is missing between what was given and that sequence. */
static void lose_until(struct shmbus_splice *splice, uint64_t sequence)
{
    if (sequence <= splice->next)
        return;
    const struct shmbus_event lost = {
        .kind = SHMBUS_EVENT_LOST, .first = splice->next, .count = sequence - splice->next};
    keep_range(splice, &lost);
    splice->next = sequence;
}

static int give_range(struct shmbus_splice *splice, struct shmbus_record *out_record)
{
    const struct shmbus_event *range = &splice->ranges[splice->range_first++];
    *out_record = (struct shmbus_record){
        .kind = range->kind == SHMBUS_EVENT_LOST ? SHMBUS_RECORD_LOST : SHMBUS_RECORD_ABORTED,
        .sequence = range->first,
        .count = range->count,
        .receive_ns = real_ns(),
    };
    if (splice->range_first == splice->range_count)
        splice->range_first = splice->range_count = 0;
    return 1;
}

static int give_message(struct shmbus_splice *splice, struct shmbus_record *out_record)
{
    const struct shmbus_message *message = &splice->message;
    splice->has_message = 0;
    *out_record = (struct shmbus_record){
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
    return 1;
}

/* Takes a file in place of the one that is read, where it has what comes next. */
static int take_file(struct shmbus_splice *splice, struct shmbus_recording *recording)
{
    shmbus_recording_close(splice->recording);
    splice->recording = recording;
    return shmbus_recording_seek(recording, splice->next);
}

static int open_next_file(struct shmbus_splice *splice)
{
    struct shmbus_recording *recording = NULL;
    int result = shmbus_recording_open(splice->options.paths[splice->path + 1], &recording);
    if (result != 0)
        return result;
    splice->path++;
    const struct shmbus_recording_info *info = shmbus_recording_info(recording);
    if (info->record_count > 0)
        lose_until(splice, info->first_sequence);
    return take_file(splice, recording);
}

/* Is the bus that was joined the one that was recorded? */
static int check_bus(const struct shmbus_splice *splice, const char *name)
{
    const int64_t recorded_ns = shmbus_recording_info(splice->recording)->bus_created_ns;
    struct shmbus_snapshot *snapshot = NULL;
    int result = shmbus_snapshot_open(name, splice->how.folder, &snapshot);
    if (result != 0)
        return bus_failed(result);
    if (recorded_ns != 0 && shmbus_snapshot_bus(snapshot)->created_ns != recorded_ns)
        result = format_failed(-ESTALE, "%s is another bus than the one recorded", name);
    shmbus_snapshot_close(snapshot);
    return result;
}

static int join_bus(struct shmbus_splice *splice)
{
    const char *name = splice->options.bus_name != NULL
                           ? splice->options.bus_name
                           : shmbus_recording_info(splice->recording)->bus_name;
    struct shmbus_consumer *consumer = NULL;
    struct shmbus_consumer_stats stats;
    splice->how.from_sequence = splice->next;
    int result = shmbus_consumer_open(name, &splice->how, &consumer);
    if (result != 0)
        return bus_failed(result);
    result = check_bus(splice, name);
    if (result == 0 && (result = shmbus_consumer_stats(consumer, &stats)) != 0)
        result = bus_failed(result);
    if (result != 0) {
        shmbus_consumer_close(consumer);
        return result;
    }
    splice->consumer = consumer;
    splice->joined = stats.cursor;
    return 0;
}

/* The last file is at its end: joins the bus, and goes over to it unless the file has grown and has
 * what the bus does not. */
static int end_files(struct shmbus_splice *splice)
{
    struct shmbus_recording *grown = NULL;
    int result = splice->consumer == NULL ? join_bus(splice) : 0;
    if (result != 0)
        return result;
    if (splice->next < splice->joined && !shmbus_recording_info(splice->recording)->whole) {
        result = shmbus_recording_open(splice->options.paths[splice->path], &grown);
        if (result != 0)
            return result;
        if (shmbus_recording_info(grown)->next_sequence > splice->next)
            return take_file(splice, grown);
        shmbus_recording_close(grown);
    }
    lose_until(splice, splice->joined);
    splice->is_live = 1;
    return 0;
}

/* Leaves out what was given already and what comes from the bus. Is anything left? */
static int clip(const struct shmbus_splice *splice, struct shmbus_record *record)
{
    const uint64_t end = record->sequence + record->count;
    const uint64_t first = record->sequence > splice->next ? record->sequence : splice->next;
    const uint64_t last = end < splice->joined ? end : splice->joined;
    if (first >= last)
        return 0;
    record->sequence = first;
    record->count = last - first;
    return 1;
}

/* 1 with a record, 0 when there is none yet: look again. */
static int read_file(struct shmbus_splice *splice, struct shmbus_record *out_record)
{
    struct shmbus_record record;
    int result = shmbus_recording_next(splice->recording, &record);
    if (result < 0)
        return result;
    if (result == 0 || splice->next >= splice->joined)
        return splice->path + 1 < splice->options.path_count ? open_next_file(splice)
                                                             : end_files(splice);
    if (!clip(splice, &record))
        return 0;
    splice->next = record.sequence + record.count;
    *out_record = record;
    return 1;
}

static int read_bus(struct shmbus_splice *splice)
{
    int result = shmbus_consumer_next(splice->consumer, &splice->message);
    splice->has_message = result == 1;
    return splice->error != 0 ? format_failed(splice->error, "no memory left for a range") : result;
}

int shmbus_splice_next(struct shmbus_splice *splice, struct shmbus_record *out_record)
{
    int result = 0;
    for (;;) { /* ends: each turn gives something, goes on in the files, or is the last */
        if (splice->range_first < splice->range_count)
            return give_range(splice, out_record);
        if (splice->has_message)
            return give_message(splice, out_record);
        if (!splice->is_live) {
            result = read_file(splice, out_record);
            if (result != 0)
                return result;
            continue;
        }
        result = read_bus(splice);
        if (splice->range_count == 0 && result <= 0)
            return result < 0 && splice->error == 0 ? bus_failed(result) : result;
    }
}

int shmbus_splice_wait(struct shmbus_splice *splice, int64_t timeout_ns)
{
    if (!splice->is_live || splice->has_message || splice->range_count > 0)
        return 0;
    int result = shmbus_consumer_wait(splice->consumer, timeout_ns);
    if (splice->range_count > 0)
        return 0;
    return result != 0 ? bus_failed(result) : 0;
}

struct shmbus_consumer *shmbus_splice_consumer(struct shmbus_splice *splice)
{
    return splice->consumer;
}

void shmbus_splice_close(struct shmbus_splice *splice)
{
    if (splice == NULL)
        return;
    shmbus_consumer_close(splice->consumer);
    shmbus_recording_close(splice->recording);
    free(splice->ranges);
    free(splice);
}

static int check_options(const struct shmbus_splice_options *options)
{
    if (options == NULL || options->struct_bytes < sizeof *options)
        return format_failed(-EINVAL, "options have no size");
    if (options->struct_bytes > sizeof *options)
        return format_failed(-E2BIG, "options are of a newer library");
    if (options->path_count == 0 || options->paths == NULL || options->unused != 0)
        return format_failed(-EINVAL, "no file is named");
    const struct shmbus_consumer_options *how = options->consumer;
    if (how != NULL && (how->struct_bytes != sizeof *how || how->from != 0 ||
                        how->from_sequence != 0 || (how->flags & SHMBUS_JOIN_MOVE_UP) != 0 ||
                        how->types != NULL || how->type_count != 0 || how->on_event != NULL))
        return format_failed(-EINVAL, "where from, types and events are not the consumer's to say");
    return 0;
}

int shmbus_splice_open(const struct shmbus_splice_options *options,
                       struct shmbus_splice **out_splice)
{
    int result = check_options(options);
    if (result != 0)
        return result;
    struct shmbus_splice *splice = calloc(1, sizeof *splice);
    if (splice == NULL)
        return format_failed(-ENOMEM, "no memory left for a splice");
    splice->options = *options;
    splice->joined = UINT64_MAX;
    if (options->consumer != NULL)
        splice->how = *options->consumer;
    splice->how.struct_bytes = sizeof splice->how;
    splice->how.from = SHMBUS_FROM_SEQUENCE;
    splice->how.flags |= SHMBUS_JOIN_MOVE_UP;
    splice->how.on_event = keep_range;
    splice->how.context = splice;
    result = shmbus_recording_open(options->paths[0], &splice->recording);
    if (result != 0) {
        free(splice);
        return result;
    }
    const struct shmbus_recording_info *info = shmbus_recording_info(splice->recording);
    splice->next = info->record_count > 0 ? info->first_sequence : info->next_sequence;
    *out_splice = splice;
    return 0;
}
