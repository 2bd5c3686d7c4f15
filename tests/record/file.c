/* SPDX-License-Identifier: MIT */
/* Files that the tests of the recording library write: see file.h. */
#include "file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATHS 4

const char *file_path(const char *name)
{
    static char paths[PATHS][256];
    static unsigned turn;
    char *path = paths[turn++ % PATHS];
    snprintf(path, sizeof paths[0], "%s/%s", getenv("SHMBUS_DIR"), name);
    return path;
}

struct shmbus_recorder *file_record(const char *path, const char *bus, int64_t bus_created_ns,
                                    uint64_t first, uint64_t block_bytes)
{
    static const struct shmbus_type type = {
        .type = 1, .bytes = 8, .name = "number", .fields = "sequence:<u8"};
    const struct shmbus_bus_options made = {
        .struct_bytes = sizeof made, .capacity = 1024, .types = &type, .type_count = 1};
    const struct shmbus_recorder_options options = {
        .struct_bytes = sizeof options,
        .bus_name = bus,
        .bus = &made,
        .bus_created_ns = bus_created_ns,
        .next_sequence = first,
        .block_bytes = block_bytes,
    };
    struct shmbus_recorder *recorder = NULL;
    unlink(path);
    ck_assert_msg(shmbus_recorder_open(path, &options, &recorder) == 0, "%s",
                  shmbus_record_error_text());
    return recorder;
}

void file_put(struct shmbus_recorder *recorder, uint64_t first, uint64_t end)
{
    for (uint64_t sequence = first; sequence < end; sequence++) {
        const struct shmbus_record record = {
            .kind = SHMBUS_RECORD_MESSAGE,
            .length = sizeof sequence,
            .sequence = sequence,
            .count = 1,
            .publish_ns = (int64_t)sequence + 5,
            .receive_ns = (int64_t)sequence + 7,
            .type = 1,
            .flags = sequence & SHMBUS_MESSAGE_USER_FLAGS,
            .data = &sequence,
        };
        int result;
        while ((result = shmbus_recorder_put(recorder, &record)) == -EAGAIN)
            ck_assert_int_eq(shmbus_recorder_wait(recorder, GUARD_NS), 0);
        ck_assert_int_eq(result, 0);
    }
}

int file_is(const struct shmbus_record *record)
{
    return record->kind == SHMBUS_RECORD_MESSAGE && record->count == 1 && record->type == 1 &&
           record->length == sizeof record->sequence &&
           memcmp(record->data, &record->sequence, sizeof record->sequence) == 0;
}
