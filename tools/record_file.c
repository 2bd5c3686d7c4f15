/* SPDX-License-Identifier: MIT */
/*
 * The files that shmbus-record writes: see record_file.h. The closer has the recorder that is done
 * to itself until it is joined, before the next turn and at the end.
 */
#include "record_file.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "stop.h"

#define SLICE_NS 200000000
#define DIGITS   20 /* of a sequence, so that names sort */

static bool rotates(const struct record_options *options)
{
    return options->rotate_bytes > 0 || options->rotate_ns > 0;
}

/* Where the digits go: before the ending, or at the end. */
static size_t stem_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    const char *dot = strrchr(base, '.');
    return dot && dot > base ? (size_t)(dot - path) : strlen(path);
}

static int too_long(const char *path)
{
    return cli_failed("%s: %s", path, strerror(ENAMETOOLONG));
}

/* The name of the file that begins with a sequence. */
static int name_of(const struct record_options *options, uint64_t sequence, char out[PATH_MAX])
{
    const size_t stem = stem_length(options->path);
    const int length = rotates(options)
                           ? snprintf(out, PATH_MAX, "%.*s.%0*llu%s", (int)stem, options->path,
                                      DIGITS, (unsigned long long)sequence, options->path + stem)
                           : snprintf(out, PATH_MAX, "%s", options->path);
    return length < PATH_MAX ? CLI_OK : too_long(options->path);
}

/* The last one of those that there are; *out_found says whether there is one. */
static int last_name(const struct record_options *options, char out[PATH_MAX], bool *out_found)
{
    static const char digits[] = "[0-9][0-9][0-9][0-9][0-9]";
    const size_t stem = stem_length(options->path);
    char pattern[(size_t)2 * PATH_MAX + 5 * sizeof(digits)];
    size_t used = 0;
    glob_t names;
    *out_found = false;
    if (!rotates(options)) {
        *out_found = true;
        return name_of(options, 0, out);
    }
    for (size_t i = 0; i < stem && i < PATH_MAX; i++) {
        if (strchr("*?[\\", options->path[i])) {
            pattern[used++] = '\\';
        }
        pattern[used++] = options->path[i];
    }
    snprintf(pattern + used, sizeof(pattern) - used, ".%s%s%s%s%s", digits, digits, digits, digits,
             options->path + stem);
    if (glob(pattern, 0, NULL, &names) == 0) {
        *out_found = true;
        snprintf(out, PATH_MAX, "%s", names.gl_pathv[names.gl_pathc - 1]);
        globfree(&names);
    }
    return CLI_OK;
}

static const char *hint_for(int error)
{
    switch (error) {
    case -EEXIST:
        return " (--append goes on with it, or give another name)";
    case -ENOSPC:
    case -EDQUOT:
    case -EFBIG:
        return " (what is in it is whole: make room, and --append goes on with it)";
    default:
        return "";
    }
}

static int file_failed(const char *path, int error)
{
    const char *why = shmbus_record_error_text();
    return cli_failed("%s: %s%s", path, why[0] != '\0' ? why : strerror(-error), hint_for(error));
}

static int open_file(struct record_file *file, uint32_t flags)
{
    const struct record_options *options = file->options;
    file->how.struct_bytes = sizeof(file->how);
    file->how.bus_name = options->bus_name;
    file->how.level = options->level;
    file->how.block_bytes = options->block_bytes;
    file->how.queue_blocks = options->queue_blocks;
    file->how.sync = options->sync;
    file->how.sync_ns = options->sync_ns;
    file->how.flags = flags | SHMBUS_RECORD_ASK;
    const int error = shmbus_recorder_open(file->path, &file->how, &file->recorder);
    if (error != 0) {
        return file_failed(file->path, error);
    }
    file->opened_ns = cli_now_ns();
    file->number++;
    return CLI_OK;
}

/* What is there says of which bus it is, and where it ends. */
static int look_at(const char *path, uint64_t *out_next, int64_t *out_created_ns)
{
    struct shmbus_recording *recording = NULL;
    const int error = shmbus_recording_open(path, &recording);
    if (error == -ENOENT) {
        return CLI_OK;
    }
    if (error != 0) {
        return file_failed(path, error);
    }
    const struct shmbus_recording_info *info = shmbus_recording_info(recording);
    *out_next = info->next_sequence;
    *out_created_ns = info->bus_created_ns;
    if (info->cut_bytes > 0) {
        cli_note("%s: its recorder was killed: the last %llu bytes, which are no whole block, are "
                 "dropped",
                 path, (unsigned long long)info->cut_bytes);
    }
    shmbus_recording_close(recording);
    return CLI_OK;
}

int record_file_append(struct record_file *file, uint64_t *out_next, int64_t *out_created_ns)
{
    bool found = false;
    int result = last_name(file->options, file->path, &found);
    *out_next = UINT64_MAX;
    if (result == CLI_OK && found) {
        result = look_at(file->path, out_next, out_created_ns);
    }
    if (result == CLI_OK && *out_next != UINT64_MAX) {
        result = open_file(file, SHMBUS_RECORD_APPEND);
    }
    return result;
}

int record_file_begin(struct record_file *file, uint64_t sequence)
{
    const int result = name_of(file->options, sequence, file->path);
    file->how.next_sequence = sequence;
    return result == CLI_OK ? open_file(file, 0) : result;
}

static void *close_done(void *context)
{
    struct record_file *file = context;
    file->done_error = shmbus_recorder_close(file->done);
    return NULL;
}

/* Counts what a file that is to be closed has got; what is still queued is counted as it is. */
static void count_bytes(struct record_file *file)
{
    struct shmbus_recorder_stats stats;
    shmbus_recorder_stats(file->recorder, &stats);
    file->plain_bytes += stats.plain_bytes;
    file->file_bytes += stats.file_bytes;
}

static int join_closer(struct record_file *file)
{
    if (!file->closing) {
        return CLI_OK;
    }
    pthread_join(file->closer, NULL);
    file->closing = false;
    return file->done_error == 0 ? CLI_OK : file_failed(file->done_path, file->done_error);
}

/* Was all that was put read in time? An optional consumer's and an observer's message is looked at
 * by itself, each time. */
static bool is_sound(const struct record_file *file)
{
    static const struct shmbus_message any;
    return shmbus_consumer_valid(file->consumer, &any) == 1;
}

int record_file_turn(struct record_file *file, uint64_t sequence)
{
    const struct record_options *options = file->options;
    struct shmbus_recorder_stats stats;
    shmbus_recorder_stats(file->recorder, &stats);
    const bool large = options->rotate_bytes > 0 && stats.file_bytes >= options->rotate_bytes;
    const bool old = options->rotate_ns > 0 && cli_now_ns() - file->opened_ns >= options->rotate_ns;
    if ((!large && !old) || stats.records == 0 || !is_sound(file)) {
        return CLI_OK;
    }
    int result = join_closer(file);
    count_bytes(file);
    file->done = file->recorder;
    memcpy(file->done_path, file->path, sizeof(file->path));
    file->recorder = NULL;
    if (result == CLI_OK) {
        result = record_file_begin(file, sequence);
    }
    if (pthread_create(&file->closer, NULL, close_done, file) == 0) {
        file->closing = true;
        return result;
    }
    close_done(file);
    return file->done_error == 0 ? result : file_failed(file->done_path, file->done_error);
}

int record_file_put(struct record_file *file, const struct shmbus_record *record)
{
    int64_t begun_ns = 0;
    int error = 0;
    for (;;) {
        error = shmbus_recorder_put(file->recorder, record);
        if (error == -ENOBUFS) {
            if (!is_sound(file)) {
                return RECORD_FILE_STALE;
            }
            /* The put that follows says whether there is another block. */
            (void)shmbus_recorder_flush(file->recorder);
            continue;
        }
        if (error != -EAGAIN) {
            break;
        }
        if (begun_ns == 0) {
            begun_ns = cli_now_ns();
            if (file->waits++ == 0) {
                cli_note("%s: cannot be written as fast as the bus is: all blocks wait for the "
                         "disk",
                         file->path);
            }
        }
        if (stop_count() > 1) {
            return cli_failed("%s: given up with blocks that wait for the disk", file->path);
        }
        shmbus_recorder_wait(file->recorder, SLICE_NS);
    }
    if (begun_ns != 0) {
        file->wait_ns += cli_now_ns() - begun_ns;
    }
    return error == 0 ? CLI_OK : file_failed(file->path, error);
}

uint64_t record_file_drop(struct record_file *file)
{
    struct shmbus_consumer_stats stats;
    if (!file->recorder || shmbus_consumer_stats(file->consumer, &stats) != 0) {
        return 0;
    }
    const int dropped = shmbus_recorder_drop(file->recorder, stats.trusted);
    if (dropped > 0) {
        struct shmbus_recorder_stats left;
        shmbus_recorder_stats(file->recorder, &left);
        cli_note(
            "%s: from sequence %llu on, %d may have been overwritten while they were read, and "
            "are left out",
            file->path, (unsigned long long)left.next_sequence, dropped);
    }
    return dropped > 0 ? (uint64_t)dropped : 0;
}

void record_file_flush(struct record_file *file)
{
    /* A queue that is full is written anyway, and an error comes with the next record. */
    (void)shmbus_recorder_flush(file->recorder);
}

void record_file_bytes(const struct record_file *file, uint64_t *out_plain, uint64_t *out_file)
{
    struct shmbus_recorder_stats stats = {0};
    if (file->recorder) {
        shmbus_recorder_stats(file->recorder, &stats);
    }
    *out_plain = file->plain_bytes + stats.plain_bytes;
    *out_file = file->file_bytes + stats.file_bytes;
}

int record_file_end(struct record_file *file)
{
    const int result = join_closer(file);
    int error = 0;
    if (file->recorder) {
        /* So that what was queued is counted too. */
        shmbus_recorder_flush(file->recorder);
        count_bytes(file);
        error = shmbus_recorder_close(file->recorder);
        file->recorder = NULL;
    }
    return error == 0 ? result : file_failed(file->path, error);
}
