/* SPDX-License-Identifier: MIT */
/*
 * docs/recording.md says enough: reader.py, which knows nothing else, reads what the library wrote,
 * record by record and checksum by checksum.
 */
#include "file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT    400
#define BLOCK    4096
#define LONGEST  9000 /* more than a block */
#define HEAD     80
#define SKIP     8
#define FOOTER   40
#define EACH_GAP 50

static const struct shmbus_type types[] = {
    {.type = 7, .bytes = 16, .name = "order", .fields = "price:<f8 quantity:<u8"},
    {.type = 9, .bytes = 0, .name = "blob"},
};

static const struct shmbus_bus_options bus = {
    .struct_bytes = sizeof bus,
    .capacity = 256,
    .slot_bytes = 128,
    .max_consumers = 5,
    .max_producers = 3,
    .flags = SHMBUS_BUS_TIMESTAMPS,
    .class_count = 2,
    .classes = {{1024, 12}, {LONGEST, 6}},
    .first_sequence = 1000,
    .history = 32,
    .stall_ns = 77,
    .types = types,
    .type_count = 2,
};

static unsigned char payload[LONGEST];

/* Puts one record, and what the reader has to say of it. */
static void put(struct shmbus_recorder *recorder, const struct shmbus_record *record,
                FILE *expected)
{
    static const char *const words[] = {"", "message", "lost", "aborted"};
    int result;
    while ((result = shmbus_recorder_put(recorder, record)) == -EAGAIN)
        ck_assert_int_eq(shmbus_recorder_wait(recorder, GUARD_NS), 0);
    ck_assert_msg(result == 0, "%s", shmbus_record_error_text());
    fprintf(expected, "%s %" PRIu64 " %" PRIu64 " %" PRId64 " %" PRId64 " %u %u ",
            words[record->kind], record->sequence, record->count, record->publish_ns,
            record->receive_ns, (unsigned)record->type, (unsigned)record->flags);
    for (uint32_t i = 0; i < record->length; i++)
        fprintf(expected, "%02x", ((const unsigned char *)record->data)[i]);
    fputc('\n', expected);
}

/* Messages of all lengths, some that do not compress, and ranges; times that go back now and then.
 */
static void put_all(struct shmbus_recorder *recorder, FILE *expected)
{
    uint64_t random = support_seed("page");
    uint64_t sequence = 1003;
    for (uint32_t i = 0; i < COUNT; i++) {
        const int64_t now_ns = 1000000 * i - (i % 7 == 3 ? 5000000 : 0) + 1;
        struct shmbus_record record = {
            .sequence = sequence, .count = 1, .publish_ns = now_ns / 2, .receive_ns = now_ns};
        record.kind = i % EACH_GAP == 10   ? SHMBUS_RECORD_LOST
                      : i % EACH_GAP == 20 ? SHMBUS_RECORD_ABORTED
                                           : SHMBUS_RECORD_MESSAGE;
        if (record.kind == SHMBUS_RECORD_MESSAGE) {
            record.length = (uint32_t)support_below(&random, i % 20 == 5 ? LONGEST : 90);
            record.type = i % 3 ? 7 : 9;
            record.flags = (uint16_t)(i & SHMBUS_MESSAGE_USER_FLAGS);
            record.data = payload;
            for (uint32_t k = 0; k < record.length; k++)
                payload[k] = (unsigned char)(i % 4 ? k / 16 : support_random(&random));
        } else {
            record.count = 1 + support_below(&random, 1000);
            record.publish_ns = 0;
        }
        put(recorder, &record, expected);
        /* Some sequences are of a type that was not recorded. */
        sequence += record.count + i % 2;
    }
}

static char *read_all(FILE *from)
{
    size_t length = 0, room = 1 << 20;
    char *text = malloc(room);
    size_t count;
    while ((count = fread(text + length, 1, room - length - 1, from)) > 0) {
        length += count;
        if (room - length < 2)
            text = realloc(text, room *= 2);
    }
    text[length] = 0;
    return text;
}

/* What the reader prints of a file; *out_status receives how it ends. */
static char *reader_says(const char *path, int *out_status)
{
    char command[1024];
    snprintf(command, sizeof command, "exec python3 %s/tests/record/reader.py %s 2>&1",
             SHMBUS_SOURCE_FOLDER, path);
    FILE *said = popen(command, "r");
    ck_assert_ptr_nonnull(said);
    char *text = read_all(said);
    *out_status = pclose(said);
    return text;
}

static void expect_said(const char *path, const char *expected)
{
    int status = 0;
    char *text = reader_says(path, &status);
    ck_assert_msg(status == 0 && strcmp(text, expected) == 0, "status %d: %.200s ... %s", status,
                  text, text + (strlen(text) > 200 ? strlen(text) - 200 : 0));
    free(text);
}

START_TEST(is_enough_to_read_by)
{
    const char *path = file_path("page");
    const struct shmbus_recorder_options options = {
        .struct_bytes = sizeof options,
        .bus_name = "some.bus",
        .bus = &bus,
        .bus_created_ns = 424242,
        .next_sequence = 1003,
        .block_bytes = BLOCK,
        .level = _i ? 9 : 0,
    };
    struct shmbus_recorder *recorder = NULL;
    struct stat found;
    char *expected = NULL;
    size_t expected_bytes = 0;
    FILE *stream = open_memstream(&expected, &expected_bytes);
    fprintf(stream,
            "bus some.bus made 424242 capacity 256 first 1000 next 1003 history 32 stall 77 "
            "slot 128 consumers 5 producers 3 flags %u\n"
            "class 1024 12\nclass %d 6\n"
            "type 7 16 order price:<f8 quantity:<u8\ntype 9 0 blob \n",
            (unsigned)SHMBUS_BUS_TIMESTAMPS, LONGEST);
    unlink(path);
    ck_assert_msg(shmbus_recorder_open(path, &options, &recorder) == 0, "%s",
                  shmbus_record_error_text());
    put_all(recorder, stream);
    ck_assert_int_eq(shmbus_recorder_close(recorder), 0);
    fflush(stream);
    const size_t records_end = expected_bytes;
    struct shmbus_recording *recording = NULL;
    ck_assert_int_eq(shmbus_recording_open(path, &recording), 0);
    ck_assert_uint_eq(shmbus_recording_info(recording)->record_count, COUNT);
    shmbus_recording_close(recording);
    int status = 0;
    char *said = reader_says(path, &status);
    const char *whole = strstr(said, "\nwhole ");
    ck_assert_msg(status == 0 && whole != NULL, "%.300s", said);
    const size_t blocks = strtoul(whole + strlen("\nwhole "), NULL, 10);
    free(said);
    ck_assert_uint_gt(blocks, 10);
    fprintf(stream, "whole %zu\n", blocks);
    fflush(stream);
    expect_said(path, expected);
    /* Without index and footer, as a killed recorder leaves it. */
    ck_assert_int_eq(stat(path, &found), 0);
    ck_assert_int_eq(truncate(path, found.st_size - (off_t)(SKIP + FOOTER + SKIP + blocks * HEAD)),
                     0);
    strcpy(expected + records_end, "open\n");
    expect_said(path, expected);
    fclose(stream);
    free(expected);
}
END_TEST

/* A reader that takes anything shows nothing. */
START_TEST(reader_sees_what_is_wrong)
{
    const char *path = file_path("wrong");
    struct shmbus_recorder *recorder = file_record(path, "bus", 1, 0, BLOCK);
    struct stat found;
    file_put(recorder, 0, 100);
    ck_assert_int_eq(shmbus_recorder_close(recorder), 0);
    ck_assert_int_eq(stat(path, &found), 0);
    FILE *file = fopen(path, "r+");
    for (off_t at = 9; at < found.st_size; at += 1 + found.st_size / 25) {
        int status = 0;
        fseeko(file, at, SEEK_SET);
        const int byte = fgetc(file);
        fseeko(file, at, SEEK_SET);
        fputc(byte ^ 4, file);
        fflush(file);
        free(reader_says(path, &status));
        ck_assert_msg(status != 0, "byte %lld", (long long)at);
        fseeko(file, at, SEEK_SET);
        fputc(byte, file);
        fflush(file);
    }
    fclose(file);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("page");
    TCase *tcase = support_case(suite, "page", 120);
    tcase_add_loop_test(tcase, is_enough_to_read_by, 0, 2);
    tcase_add_test(tcase, reader_sees_what_is_wrong);
    return support_run(suite);
}
