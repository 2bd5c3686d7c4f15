/* SPDX-License-Identifier: MIT */
/*
 * Files that are cut anywhere, or have bits changed: what is given is what was recorded, from
 * the first record on, and it is told that something is missing. One that is cut can be gone on
 * with.
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define COUNT 100
#define BLOCK 4096
#define STEP  13 /* bits: each bit of a byte comes as often as the others */

struct bytes {
    unsigned char *data;
    size_t length;
};

static struct bytes make_file(void)
{
    const char *path = file_path("whole");
    struct shmbus_recorder *recorder = file_record(path, "bus", 1, 0, BLOCK);
    file_put(recorder, 0, COUNT);
    ck_assert_int_eq(shmbus_recorder_close(recorder), 0);
    int file = open(path, O_RDONLY);
    const off_t length = lseek(file, 0, SEEK_END);
    struct bytes all = {.data = malloc((size_t)length), .length = (size_t)length};
    ck_assert_int_eq(pread(file, all.data, all.length, 0), length);
    close(file);
    return all;
}

static void put_file(const char *path, const struct bytes *all, size_t length)
{
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(write(file, all->data, length), (ssize_t)length);
    close(file);
}

/* Reads all that there is, checking each; *out_count receives how many. Returns what ended it, with
 * 1 for an end that was not that of a whole file. */
static int read_file(const char *path, uint64_t *out_count)
{
    struct shmbus_recording *recording = NULL;
    struct shmbus_record record;
    *out_count = 0;
    int result = shmbus_recording_open(path, &recording);
    if (result != 0)
        return result;
    while ((result = shmbus_recording_next(recording, &record)) == 1) {
        ck_assert_uint_eq(record.sequence, *out_count);
        ck_assert(file_is(&record));
        ck_assert_int_eq(record.publish_ns, (int64_t)record.sequence + 5);
        ck_assert_int_eq(record.receive_ns, (int64_t)record.sequence + 7);
        ck_assert_uint_eq(record.flags, record.sequence & SHMBUS_MESSAGE_USER_FLAGS);
        ++*out_count;
    }
    if (result == 0 && !shmbus_recording_info(recording)->whole)
        result = 1;
    shmbus_recording_close(recording);
    return result;
}

START_TEST(cut_anywhere)
{
    const struct bytes all = make_file();
    const char *path = file_path("cut");
    uint64_t count, least = 0;
    ck_assert_int_eq(read_file(file_path("whole"), &count), 0);
    ck_assert_uint_eq(count, COUNT);
    for (size_t length = 0; length < all.length; length++) {
        put_file(path, &all, length);
        const int result = read_file(path, &count);
        ck_assert(result == 1 || (result == -EBADMSG && least == 0));
        ck_assert_uint_ge(count, least);
        least = count;
        if (result != 1)
            continue;
        const struct shmbus_recorder_options options = {
            .struct_bytes = sizeof options, .flags = SHMBUS_RECORD_APPEND, .block_bytes = BLOCK};
        struct shmbus_recorder *recorder = NULL;
        ck_assert_int_eq(shmbus_recorder_open(path, &options, &recorder), 0);
        file_put(recorder, count, COUNT + 3);
        ck_assert_int_eq(shmbus_recorder_close(recorder), 0);
        ck_assert_int_eq(read_file(path, &count), 0);
        ck_assert_uint_eq(count, COUNT + 3);
    }
    ck_assert_uint_eq(least, COUNT);
    free(all.data);
}
END_TEST

START_TEST(bits_changed)
{
    struct bytes all = make_file();
    const char *path = file_path("changed");
    for (size_t at = 0; at < all.length * 8; at += STEP) {
        const unsigned char bit = (unsigned char)(1u << at % 8);
        uint64_t count;
        all.data[at / 8] ^= bit;
        put_file(path, &all, all.length);
        all.data[at / 8] ^= bit;
        const int result = read_file(path, &count);
        ck_assert_msg(result == 1 || result == -EBADMSG || result == -EPROTONOSUPPORT,
                      "bit %zu: %d after %u records", at, result, (unsigned)count);
    }
    free(all.data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("damage");
    TCase *tcase = support_case(suite, "damage", 120);
    tcase_add_test(tcase, cut_anywhere);
    tcase_add_test(tcase, bits_changed);
    return support_run(suite);
}
