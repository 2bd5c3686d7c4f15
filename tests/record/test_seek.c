/* SPDX-License-Identifier: MIT */
/*
 * Going to a place takes a number of reads that does not depend on how long the recording is. The
 * program is linked so that the library's reads come by here.
 */
#include "file.h"

#include <stdio.h>
#include <unistd.h>

#define BLOCK      4096
#define OPEN_READS 6 /* header and its fixed part, footer, index and its head: and one to spare */
#define SEEK_READS                                                                                 \
    4 /* the block and its head; and another one, of a place that is between them                  \
       */

static unsigned reads;

ssize_t __real_pread(int file, void *data, size_t bytes, off_t at);
ssize_t __wrap_pread(int file, void *data, size_t bytes, off_t at);

ssize_t __wrap_pread(int file, void *data, size_t bytes, off_t at)
{
    reads++;
    return __real_pread(file, data, bytes, at);
}

START_TEST(a_few_reads_however_long_it_is)
{
    static const uint64_t counts[] = {100, 10000, 300000};
    const uint64_t count = counts[_i];
    const char *path = file_path("seek");
    struct shmbus_recorder *recorder = file_record(path, "bus", 1, 0, BLOCK);
    struct shmbus_recording *recording = NULL;
    struct shmbus_record record;
    uint64_t random = support_seed("seek");
    file_put(recorder, 0, count);
    ck_assert_int_eq(shmbus_recorder_close(recorder), 0);
    reads = 0;
    ck_assert_int_eq(shmbus_recording_open(path, &recording), 0);
    ck_assert_uint_le(reads, OPEN_READS);
    unsigned most = 0;
    for (int i = 0; i < 2000; i++) {
        const uint64_t sequence = support_below(&random, count);
        reads = 0;
        /* file_put() receives each 7 ns after its sequence. */
        const int result = i % 2 ? shmbus_recording_seek_time(recording, (int64_t)sequence + 7)
                                 : shmbus_recording_seek(recording, sequence);
        ck_assert_int_eq(result, 0);
        ck_assert_int_eq(shmbus_recording_next(recording, &record), 1);
        ck_assert_uint_eq(record.sequence, sequence);
        ck_assert(file_is(&record));
        most = reads > most ? reads : most;
    }
    ck_assert_uint_gt(most, 0);
    ck_assert_uint_le(most, SEEK_READS);
    const struct shmbus_recording_info *info = shmbus_recording_info(recording);
    printf("seek: a file of %llu bytes: at most %u reads\n", (unsigned long long)info->file_bytes,
           most);
    shmbus_recording_close(recording);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("seek");
    TCase *tcase = support_case(suite, "seek", 120);
    tcase_add_loop_test(tcase, a_few_reads_however_long_it_is, 0, 3);
    return support_run(suite);
}
