/* SPDX-License-Identifier: MIT */
/*
 * Target: a file that may be a recording. It is read from the beginning to its end, gone to by
 * sequences and times, printed as shmbus-dump prints it, and gone on with: then it has all that it
 * had, one record more, and is whole. The input is the file; its mutator is recording_mutate.c.
 */
#include "bed.h"

#include "dump_rows.h"

#include <errno.h>
#include <shmbus/record.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SEEKS 8

static int file = -1;
static char path[64];
static struct output output; /* leads nowhere */

/* Where records were, to go back to. */
struct place {
    uint64_t sequence;
    int64_t receive_ns;
};

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count;
    (void)arguments;
    bed_begin();
    file = memfd_create("recording", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    return 0;
}

static void check_info(const struct shmbus_recording_info *info)
{
    bed_touch(info->bus_name, strlen(info->bus_name));
    bed_touch(info->boot_id, strlen(info->boot_id));
    for (uint32_t i = 0; i < info->bus.type_count; i++) {
        const struct shmbus_type *type = &info->bus.types[i];
        bed_touch(type->name, strlen(type->name));
        bed_touch(type->fields, strlen(type->fields));
    }
    if (info->cut_bytes > info->file_bytes || (info->whole && info->cut_bytes > 0))
        bed_fail("more is cut than there is");
    if (info->record_count > 0 && info->next_sequence <= info->first_sequence)
        bed_fail("it ends before it begins");
}

static void check_record(const struct shmbus_record *record, uint64_t least)
{
    if (record->kind < SHMBUS_RECORD_MESSAGE || record->kind > SHMBUS_RECORD_ABORTED)
        bed_fail("a kind that there is none of");
    if (record->count == 0 || record->count > UINT64_MAX - record->sequence)
        bed_fail("a range that there is none of");
    if (record->sequence < least)
        bed_fail("a sequence twice, or back");
    bed_touch(record->data, record->length);
}

/* Reads all of it; returns how many records, or -1 when it is damaged. places gets some of them. */
static int64_t read_all(struct shmbus_recording *recording, struct place *places)
{
    static struct dump_rows rows;
    const struct shmbus_recording_info *info = shmbus_recording_info(recording);
    struct shmbus_record record;
    uint64_t least = 0;
    int64_t count = 0;
    int result;
    memset(&rows, 0, sizeof rows);
    int is_printed = dump_rows_begin(&rows, info->bus.types, info->bus.type_count, NULL,
                                     info->file_bytes % 2 == 0, &output) == 0;
    while ((result = shmbus_recording_next(recording, &record)) == 1) {
        check_record(&record, least);
        least = record.sequence + record.count;
        places[count++ % SEEKS] = (struct place){record.sequence, record.receive_ns};
        if (is_printed)
            dump_rows_put(&rows, &record);
    }
    if (is_printed)
        dump_rows_end(&rows);
    output.used = 0;
    if (result != 0 && result != -EBADMSG)
        bed_fail("reading fails, and not because of damage");
    return result == 0 ? count : -1;
}

/* Goes to what was found: there it is, or what comes next. */
static void seek_all(struct shmbus_recording *recording, const struct place *places, int is_sound)
{
    struct shmbus_record record;
    for (int i = 0; i < SEEKS; i++) {
        int result = shmbus_recording_seek(recording, places[i].sequence);
        if (result == 0 && shmbus_recording_next(recording, &record) == 1) {
            check_record(&record, 0);
            if (record.sequence + record.count <= places[i].sequence)
                bed_fail("it went to a sequence that is further back");
        } else if (is_sound) {
            bed_fail("a sequence that was read is not found");
        }
        result = shmbus_recording_seek_time(recording, places[i].receive_ns);
        if (result == 0 && shmbus_recording_next(recording, &record) == 1 &&
            record.receive_ns < places[i].receive_ns)
            bed_fail("it went to a time that is further back");
    }
    if (shmbus_recording_seek(recording, UINT64_MAX) == 0 &&
        shmbus_recording_next(recording, &record) == 1)
        check_record(&record, 0);
}

/* One record more. Returns whether it took it. */
static int go_on(uint64_t next)
{
    const struct shmbus_recorder_options options = {.struct_bytes = sizeof options,
                                                    .flags = SHMBUS_RECORD_APPEND,
                                                    .block_bytes = 4096,
                                                    .queue_blocks = 2};
    const struct shmbus_record record = {
        .kind = SHMBUS_RECORD_MESSAGE, .sequence = next, .count = 1, .length = 4, .data = "more"};
    struct shmbus_recorder *recorder = NULL;
    if (shmbus_recorder_open(path, &options, &recorder) != 0)
        bed_fail("what can be read cannot be gone on with");
    int took = shmbus_recorder_put(recorder, &record);
    if (took != 0 && next != UINT64_MAX)
        bed_fail("it does not take the next sequence");
    if (shmbus_recorder_close(recorder) != 0)
        bed_fail("it is not closed");
    return took == 0;
}

static void expect_more(uint64_t records)
{
    struct place places[SEEKS] = {{0}};
    struct shmbus_recording *recording = NULL;
    if (shmbus_recording_open(path, &recording) != 0 || !shmbus_recording_info(recording)->whole ||
        shmbus_recording_info(recording)->record_count != records)
        bed_fail("what was gone on with is not whole, or has lost something");
    read_all(recording, places);
    shmbus_recording_close(recording);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct place places[SEEKS] = {{0}};
    struct shmbus_recording *recording = NULL;
    if (output.fd == 0)
        output_begin(&output, STDOUT_FILENO);
    if (ftruncate(file, 0) != 0 || pwrite(file, input, size, 0) != (ssize_t)size)
        bed_fail("no file");
    if (shmbus_recording_open(path, &recording) != 0) {
        bed_touch(shmbus_record_error_text(), strlen(shmbus_record_error_text()));
        return 0;
    }
    const struct shmbus_recording_info info = *shmbus_recording_info(recording);
    check_info(shmbus_recording_info(recording));
    int64_t count = read_all(recording, places);
    if (count >= 0 && (uint64_t)count != info.record_count)
        bed_fail("another number of records than it says");
    seek_all(recording, places, count >= SEEKS);
    shmbus_recording_close(recording);
    int took = go_on(info.next_sequence);
    expect_more(info.record_count + (uint64_t)took);
    return 0;
}
