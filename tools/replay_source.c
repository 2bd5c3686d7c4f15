/* SPDX-License-Identifier: MIT */
/* The recordings of one bus, one behind the other: see replay_source.h. */
#include "replay_source.h"

#include <errno.h>
#include <string.h>

#include "cli.h"

static int file_failed(const char *path, int error)
{
    const char *why = shmbus_record_error_text();
    return cli_failed("%s: %s", path, why[0] != '\0' ? why : strerror(-error));
}

int replay_source_open(struct replay_source *source)
{
    const int error = shmbus_recording_open(source->files[0], &source->geometry);
    if (error != 0) {
        return file_failed(source->files[0], error);
    }
    const struct shmbus_bus_options *bus = &shmbus_recording_info(source->geometry)->bus;
    return type_filter_look_up_in(source->filter, source->files[0], bus->types, bus->type_count);
}

int64_t replay_source_begun(const struct replay_source *source)
{
    const struct shmbus_recording_info *info = shmbus_recording_info(source->geometry);
    return info->record_count > 0 ? info->first_receive_ns : INT64_MAX;
}

/* Goes to where the span begins in the file that was just opened. */
static int seek(struct replay_source *source)
{
    const struct span_end *from = &source->span.from;
    switch (from->unit) {
    case SPAN_SEQUENCE:
        return shmbus_recording_seek(source->now, from->sequence);
    case SPAN_SINCE:
        return shmbus_recording_seek_time(source->now, source->begun_ns + from->ns);
    case SPAN_UTC:
        return shmbus_recording_seek_time(source->now, from->ns);
    case SPAN_OPEN:
        break;
    }
    return 0;
}

/* One that was closed has an end; what the others have is whole all the same. */
static void say_cut(struct replay_source *source, const struct shmbus_recording_info *info)
{
    if (!info->whole && !source->cut_said) {
        source->cut_said = true;
        cli_note("%s: its recorder did not close it: it ends at sequence %llu, %llu bytes behind "
                 "that are no whole block",
                 source->files[source->index], (unsigned long long)info->next_sequence,
                 (unsigned long long)info->cut_bytes);
    }
}

/* Opens the file of the index, which has to go on where the one before ended. */
static int open_file(struct replay_source *source, uint64_t expected)
{
    const char *path = source->files[source->index];
    const struct shmbus_recording_info *first = shmbus_recording_info(source->geometry);
    int error = shmbus_recording_open(path, &source->now);
    if (error != 0) {
        return file_failed(path, error);
    }
    const struct shmbus_recording_info *info = shmbus_recording_info(source->now);
    say_cut(source, info);
    if (strcmp(info->bus_name, first->bus_name) != 0 ||
        info->bus_created_ns != first->bus_created_ns) {
        return cli_failed("%s: is of another bus than %s (give the files of each bus with a bus of "
                          "their own: FILE... BUS + FILE... BUS)",
                          path, source->files[0]);
    }
    if (info->record_count > 0 && info->first_sequence < expected) {
        return cli_failed("%s: begins at sequence %llu, before the end of %s at %llu (give files "
                          "in the order of their sequences)",
                          path, (unsigned long long)info->first_sequence,
                          source->files[source->index - 1], (unsigned long long)expected);
    }
    error = seek(source);
    return error == 0 ? CLI_OK : file_failed(path, error);
}

/* The next record of any file; 1, 0 at the end of the last one, or -1 after an error line. */
static int fetch(struct replay_source *source)
{
    while (source->now) {
        const char *path = source->files[source->index];
        const uint64_t expected = shmbus_recording_info(source->now)->next_sequence;
        const int found = shmbus_recording_next(source->now, &source->record);
        if (found > 0) {
            return 1;
        }
        if (found < 0) {
            file_failed(path, found);
            return -1;
        }
        shmbus_recording_close(source->now);
        source->now = NULL;
        if (source->index + 1 < source->file_count) {
            source->index++;
            if (open_file(source, expected) != CLI_OK) {
                return -1;
            }
        }
    }
    return 0;
}

/* Cuts a range to the span, if that is one of sequences; false: nothing of it is left. */
static bool clip(struct replay_source *source)
{
    const struct span *span = &source->span;
    struct shmbus_record *record = &source->record;
    uint64_t end = record->sequence + record->count;
    if (span->from.unit == SPAN_SEQUENCE && record->sequence < span->from.sequence) {
        record->sequence = span->from.sequence;
    }
    if (span->to.unit == SPAN_SEQUENCE && end > span->to.sequence) {
        end = span->to.sequence + 1;
    }
    record->count = end > record->sequence ? end - record->sequence : 0;
    return record->count > 0;
}

int replay_source_next(struct replay_source *source)
{
    const struct span *span = &source->span;
    int found = 0;
    source->has = false;
    while ((found = fetch(source)) > 0) {
        const struct shmbus_record *record = &source->record;
        if (span_behind(&span->to, record->sequence, record->receive_ns, source->begun_ns)) {
            return CLI_OK;
        }
        if (span_before(&span->from, record->sequence + record->count - 1, record->receive_ns,
                        source->begun_ns) ||
            !clip(source)) {
            continue;
        }
        if (record->kind != SHMBUS_RECORD_MESSAGE ||
            type_filter_wants(source->filter, record->type)) {
            source->has = true;
            return CLI_OK;
        }
    }
    return found == 0 ? CLI_OK : CLI_FAILED;
}

int replay_source_rewind(struct replay_source *source)
{
    shmbus_recording_close(source->now);
    source->now = NULL;
    source->index = 0;
    const int result = open_file(source, 0);
    return result == CLI_OK ? replay_source_next(source) : result;
}

void replay_source_close(struct replay_source *source)
{
    shmbus_recording_close(source->now);
    shmbus_recording_close(source->geometry);
    source->now = NULL;
    source->geometry = NULL;
}
