/* SPDX-License-Identifier: MIT */
/*
 * Files that are cut anywhere, or have bits changed: what is given is what was recorded, from
 * the first record on, and it is told that something is missing. One that is cut can be gone on
 * with.
 */
#include "file.h"
#include "record/format.h"

#include <errno.h>
#include <fcntl.h>
#include <lz4frame.h>
#include <stdlib.h>
#include <string.h>
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

/* A change to the records of a block that is packed again, its checksums right. */
struct forgery {
    size_t record; /* which, from 0 */
    size_t offset; /* of a word of 8 bytes in it */
    uint64_t value;
    uint64_t records; /* that the head counts */
    uint64_t given;   /* records before it is found out */
};

/* The first block of a file, of 3 messages. */
static void forge(const char *path, const struct forgery *forgery)
{
    static char plain[4096], packed[8192];
    struct {
        struct format_skip skip;
        struct format_head head;
    } block;
    struct format_skip header;
    LZ4F_dctx *context = NULL;
    size_t plain_bytes = sizeof plain;
    int file = open(path, O_RDWR);
    ck_assert_int_eq(format_read(file, &header, sizeof header, 0), 0);
    const uint64_t at = sizeof header + header.bytes;
    ck_assert_int_eq(format_read(file, &block, sizeof block, at), 0);
    size_t used = block.head.frame_bytes;
    ck_assert_int_eq(format_read(file, packed, used, block.head.offset), 0);
    LZ4F_createDecompressionContext(&context, LZ4F_VERSION);
    ck_assert_uint_eq(LZ4F_decompress(context, plain, &plain_bytes, packed, &used, NULL), 0);
    LZ4F_freeDecompressionContext(context);
    memcpy(plain + forgery->record * format_record_bytes(8) + forgery->offset, &forgery->value, 8);
    used = LZ4F_compressFrame(packed, sizeof packed, plain, plain_bytes, NULL);
    ck_assert(!LZ4F_isError(used));
    block.head.frame_bytes = used;
    block.head.frame_checksum = format_frame_checksum(packed, used);
    block.head.records = forgery->records;
    block.head.checksum = format_own_checksum(&block.head, sizeof block.head);
    ck_assert_int_eq(ftruncate(file, (off_t)at), 0);
    ck_assert_int_eq(format_write(file, &block, sizeof block, at), 0);
    ck_assert_int_eq(format_write(file, packed, used, at + sizeof block), 0);
    close(file);
}

/* Who makes all checksums right cannot have records given twice, out of order or beyond their
 * block: what is before them is, and then it is damaged. */
START_TEST(forged_records)
{
    static const struct forgery forgeries[] = {
        {0, offsetof(struct format_record, flags), 1, 3, 3}, /* none that matters */
        {1, offsetof(struct format_record, sequence), 0, 3, 1},
        {2, offsetof(struct format_record, sequence), 1, 3, 2},
        {2, offsetof(struct format_record, sequence), 3, 3, 2},
        {1, offsetof(struct format_record, count), 0, 3, 1},
        {2, offsetof(struct format_record, count), 2, 3, 2},
        {1, offsetof(struct format_record, count), 2, 3, 2},
        {1, offsetof(struct format_record, length), (uint64_t)1 << 32 | 4000, 3, 1},
        {1, offsetof(struct format_record, length), (uint64_t)4 << 32 | 8, 3, 1},
        {0, offsetof(struct format_record, flags), 1, 2, 3},
        {0, offsetof(struct format_record, flags), 1, 4, 3},
    };
    const struct forgery *forgery = &forgeries[_i];
    const char *path = file_path("forged");
    struct shmbus_recorder *recorder = file_record(path, "bus", 1, 0, BLOCK);
    file_put(recorder, 0, 3);
    ck_assert_int_eq(shmbus_recorder_close(recorder), 0);
    forge(path, forgery);
    struct shmbus_recording *recording = NULL;
    struct shmbus_record record;
    uint64_t given = 0;
    int result;
    ck_assert_msg(shmbus_recording_open(path, &recording) == 0, "%s", shmbus_record_error_text());
    while ((result = shmbus_recording_next(recording, &record)) == 1)
        ck_assert_uint_eq(record.sequence, given++);
    ck_assert_int_eq(result, _i == 0 ? 0 : -EBADMSG);
    ck_assert_uint_eq(given, forgery->given);
    shmbus_recording_close(recording);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("damage");
    TCase *tcase = support_case(suite, "damage", 120);
    tcase_add_test(tcase, cut_anywhere);
    tcase_add_test(tcase, bits_changed);
    tcase_add_loop_test(tcase, forged_records, 0, 11);
    return support_run(suite);
}
