/* SPDX-License-Identifier: MIT */
/*
 * A recorder that hands over no block by itself: what turns out not to have been read in time is
 * taken back before it is written, to the record.
 */
#include "file.h"

#include <errno.h>
#include <unistd.h>

#define BLOCK       4096
#define BLOCK_COUNT 73 /* messages in a block: 56 bytes each */

static struct shmbus_recorder *begin(const char *path, uint64_t first)
{
    const struct shmbus_bus_options bus = {.struct_bytes = sizeof bus, .capacity = 1024};
    const struct shmbus_recorder_options options = {.struct_bytes = sizeof options,
                                                    .bus_name = "bus",
                                                    .bus = &bus,
                                                    .next_sequence = first,
                                                    .block_bytes = BLOCK,
                                                    .flags = SHMBUS_RECORD_ASK};
    struct shmbus_recorder *recorder = NULL;
    unlink(path);
    ck_assert_msg(shmbus_recorder_open(path, &options, &recorder) == 0, "%s",
                  shmbus_record_error_text());
    return recorder;
}

static int put(struct shmbus_recorder *recorder, uint64_t sequence)
{
    const struct shmbus_record record = {.kind = SHMBUS_RECORD_MESSAGE,
                                         .length = sizeof sequence,
                                         .sequence = sequence,
                                         .count = 1,
                                         .receive_ns = (int64_t)sequence,
                                         .type = 1,
                                         .data = &sequence};
    return shmbus_recorder_put(recorder, &record);
}

static uint64_t next_of(struct shmbus_recorder *recorder)
{
    struct shmbus_recorder_stats stats;
    shmbus_recorder_stats(recorder, &stats);
    return stats.next_sequence;
}

/* Ends it; the file is whole, with the messages first to end - 1. */
static void expect(struct shmbus_recorder *recorder, const char *path, uint64_t first, uint64_t end)
{
    struct shmbus_recording *recording = NULL;
    struct shmbus_record record;
    uint64_t sequence = first;
    ck_assert_int_eq(shmbus_recorder_close(recorder), 0);
    ck_assert_int_eq(shmbus_recording_open(path, &recording), 0);
    const struct shmbus_recording_info *info = shmbus_recording_info(recording);
    ck_assert(info->whole);
    ck_assert_uint_eq(info->record_count, end - first);
    ck_assert_uint_eq(info->next_sequence, end);
    ck_assert_int_eq(info->last_receive_ns, end > first ? (int64_t)end - 1 : 0);
    while (shmbus_recording_next(recording, &record) == 1) {
        ck_assert(file_is(&record));
        ck_assert_uint_eq(record.sequence, sequence++);
    }
    ck_assert_uint_eq(sequence, end);
    shmbus_recording_close(recording);
}

START_TEST(a_full_block_waits_to_be_flushed)
{
    const char *path = file_path("full");
    struct shmbus_recorder *recorder = begin(path, 0);
    uint64_t sequence = 0;
    for (int block = 0; block < 3; block++) {
        for (int i = 0; i < BLOCK_COUNT; i++)
            ck_assert_int_eq(put(recorder, sequence++), 0);
        ck_assert_int_eq(put(recorder, sequence), -ENOBUFS);
        ck_assert_int_eq(put(recorder, sequence), -ENOBUFS);
        ck_assert_uint_eq(next_of(recorder), sequence);
        ck_assert_int_eq(shmbus_recorder_flush(recorder), 0);
    }
    expect(recorder, path, 0, sequence);
}
END_TEST

START_TEST(what_is_not_handed_over_is_taken_back)
{
    const char *path = file_path("dropped");
    struct shmbus_recorder *recorder = begin(path, 100);
    ck_assert_int_eq(shmbus_recorder_drop(recorder, 100), 0);
    for (uint64_t sequence = 100; sequence < 120; sequence++)
        ck_assert_int_eq(put(recorder, sequence), 0);
    ck_assert_int_eq(shmbus_recorder_drop(recorder, 120), 0);
    ck_assert_int_eq(shmbus_recorder_drop(recorder, 115), 5);
    ck_assert_uint_eq(next_of(recorder), 115);
    ck_assert_int_eq(put(recorder, 114), -EINVAL);
    ck_assert_int_eq(put(recorder, 115), 0);
    ck_assert_int_eq(shmbus_recorder_flush(recorder), 0);
    ck_assert_int_eq(put(recorder, 116), 0);
    ck_assert_int_eq(shmbus_recorder_drop(recorder, 116), 1);
    ck_assert_uint_eq(next_of(recorder), 116);
    /* Of what was handed over nothing comes back. */
    ck_assert_int_eq(put(recorder, 116), 0);
    ck_assert_int_eq(put(recorder, 117), 0);
    ck_assert_int_eq(shmbus_recorder_drop(recorder, 115), 2);
    ck_assert_uint_eq(next_of(recorder), 116);
    ck_assert_int_eq(put(recorder, 116), 0);
    expect(recorder, path, 100, 117);
}
END_TEST

/* Ranges are records too, and no messages: who counts messages subtracts what it counted. */
START_TEST(ranges_are_no_messages)
{
    const char *path = file_path("ranges");
    struct shmbus_recorder *recorder = begin(path, 0);
    struct shmbus_record range = {.kind = SHMBUS_RECORD_LOST, .sequence = 2, .count = 5};
    struct shmbus_recorder_stats stats;
    ck_assert_int_eq(put(recorder, 0), 0);
    ck_assert_int_eq(put(recorder, 1), 0);
    ck_assert_int_eq(shmbus_recorder_put(recorder, &range), 0);
    ck_assert_int_eq(put(recorder, 7), 0);
    ck_assert_int_eq(shmbus_recorder_drop(recorder, 2), 1);
    shmbus_recorder_stats(recorder, &stats);
    ck_assert_uint_eq(stats.records, 2);
    ck_assert_uint_eq(stats.next_sequence, 2);
    range.sequence = 2;
    ck_assert_int_eq(shmbus_recorder_put(recorder, &range), 0);
    ck_assert_int_eq(shmbus_recorder_drop(recorder, 2), 0);
    expect(recorder, path, 0, 2);
}
END_TEST

START_TEST(all_is_taken_back)
{
    const char *path = file_path("nothing");
    struct shmbus_recorder *recorder = begin(path, 7);
    ck_assert_int_eq(put(recorder, 9), 0);
    ck_assert_int_eq(shmbus_recorder_drop(recorder, 0), 1);
    ck_assert_uint_eq(next_of(recorder), 7);
    ck_assert_int_eq(put(recorder, 7), 0);
    ck_assert_int_eq(shmbus_recorder_drop(recorder, 7), 1);
    expect(recorder, path, 7, 7);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ask");
    TCase *tcase = support_case(suite, "ask", 60);
    tcase_add_test(tcase, a_full_block_waits_to_be_flushed);
    tcase_add_test(tcase, what_is_not_handed_over_is_taken_back);
    tcase_add_test(tcase, ranges_are_no_messages);
    tcase_add_test(tcase, all_is_taken_back);
    return support_run(suite);
}
