/* SPDX-License-Identifier: MIT */
/*
 * Options and records that cannot be: each is refused with its name, and no file is made or
 * changed.
 */
#include "file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const struct shmbus_bus_options bus = {.struct_bytes = sizeof bus, .capacity = 1024};

static struct shmbus_recorder_options good(void)
{
    return (struct shmbus_recorder_options){
        .struct_bytes = sizeof(struct shmbus_recorder_options), .bus_name = "bus", .bus = &bus};
}

static int says(const char *what)
{
    return strstr(shmbus_record_error_text(), what) != NULL;
}

static void refused(const struct shmbus_recorder_options *options, int code, const char *what)
{
    const char *path = file_path("refused");
    struct shmbus_recorder *recorder = NULL;
    int result = shmbus_recorder_open(path, options, &recorder);
    ck_assert_msg(result == code && says(what), "%s: %d: %s", what, result,
                  shmbus_record_error_text());
    ck_assert_ptr_null(recorder);
    ck_assert_int_ne(access(path, F_OK), 0);
}

START_TEST(a_recorder_is_refused)
{
    struct shmbus_recorder_options options = good();
    struct shmbus_bus_options wrong = bus;
    char long_name[SHMBUS_NAME_MAX + 2];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = 0;
    refused(NULL, -EINVAL, "no size");
    options.struct_bytes--;
    refused(&options, -EINVAL, "no size");
    options.struct_bytes += 2;
    refused(&options, -E2BIG, "newer");
    options = good();
    options.queue_blocks = 1;
    refused(&options, -EINVAL, "queue_blocks");
    options.queue_blocks = 4097;
    refused(&options, -EINVAL, "queue_blocks");
    options = good();
    options.block_bytes = 4095;
    refused(&options, -EINVAL, "block_bytes");
    options.block_bytes = (UINT64_C(1) << 30) + 1;
    refused(&options, -EINVAL, "block_bytes");
    options = good();
    options.sync = SHMBUS_RECORD_SYNC_TIME + 1;
    refused(&options, -EINVAL, "sync");
    options.sync = SHMBUS_RECORD_SYNC_TIME;
    refused(&options, -EINVAL, "sync_ns");
    options.sync_ns = -1;
    refused(&options, -EINVAL, "sync_ns");
    options = good();
    options.flags = 4;
    refused(&options, -EINVAL, "flags");
    options = good();
    options.level = 13;
    refused(&options, -EINVAL, "level");
    options = good();
    options.bus_name = NULL;
    refused(&options, -EINVAL, "bus");
    options.bus_name = long_name;
    refused(&options, -EINVAL, "bus");
    options = good();
    options.bus = NULL;
    refused(&options, -EINVAL, "bus");
    options.bus = &wrong;
    wrong.class_count = SHMBUS_CLASSES_MAX + 1;
    refused(&options, -EINVAL, "bus");
}
END_TEST

START_TEST(a_record_is_refused)
{
    static const struct shmbus_record records[] = {
        {.kind = 0, .sequence = 20, .count = 1},
        {.kind = 4, .sequence = 20, .count = 1},
        {.kind = SHMBUS_RECORD_LOST, .sequence = 20, .count = 0},
        {.kind = SHMBUS_RECORD_LOST, .sequence = 20, .count = UINT64_MAX - 19},
        {.kind = SHMBUS_RECORD_MESSAGE, .length = UINT32_MAX, .sequence = 20, .count = 1},
        {.kind = SHMBUS_RECORD_LOST, .sequence = 9, .count = 1},
    };
    const char *path = file_path("records");
    struct shmbus_recorder *recorder = file_record(path, "bus", 1, 0, 4096);
    struct shmbus_recording *recording = NULL;
    file_put(recorder, 0, 10);
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++)
        ck_assert_msg(shmbus_recorder_put(recorder, &records[i]) == -EINVAL, "record %zu", i);
    ck_assert_msg(says("sequence 9 comes after 9"), "%s", shmbus_record_error_text());
    file_put(recorder, 10, 12);
    ck_assert_int_eq(shmbus_recorder_close(recorder), 0);
    ck_assert_int_eq(shmbus_recording_open(path, &recording), 0);
    ck_assert_uint_eq(shmbus_recording_info(recording)->record_count, 12);
    shmbus_recording_close(recording);
}
END_TEST

/* One that is there is not written over, and one that another writes is left to it. */
START_TEST(a_file_that_is_there)
{
    const char *path = file_path("there");
    struct shmbus_recorder *first = file_record(path, "bus", 1, 0, 4096);
    struct shmbus_recorder_options options = good();
    struct shmbus_recorder *second = NULL;
    ck_assert_int_eq(shmbus_recorder_open(path, &options, &second), -EEXIST);
    options.flags = SHMBUS_RECORD_APPEND;
    ck_assert_int_eq(shmbus_recorder_open(path, &options, &second), -EBUSY);
    ck_assert(says("another recorder"));
    file_put(first, 0, 5);
    ck_assert_int_eq(shmbus_recorder_close(first), 0);
    ck_assert_int_eq(shmbus_recorder_open(path, &options, &second), 0);
    ck_assert_int_eq(shmbus_recorder_wait(second, 0), 0);
    ck_assert_int_eq(shmbus_recorder_close(second), 0);
    ck_assert_int_eq(shmbus_recorder_close(NULL), 0);
    struct shmbus_splice *splice = NULL;
    ck_assert_int_eq(shmbus_splice_open(NULL, &splice), -EINVAL);
    ck_assert(says("no size"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("record options");
    TCase *tcase = support_case(suite, "options", 60);
    tcase_add_test(tcase, a_recorder_is_refused);
    tcase_add_test(tcase, a_record_is_refused);
    tcase_add_test(tcase, a_file_that_is_there);
    return support_run(suite);
}
