/* SPDX-License-Identifier: MIT */
/*
 * A recording, and then its bus: each sequence once across the join, also while the producer runs
 * as fast as it goes; what neither has is told exactly.
 */
#include "file.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#define BUS      "spliced"
#define CAPACITY 1024
#define MESSAGES UINT64_C(400000)
#define RECORDED UINT64_C(50000)

static struct shmbus_producer *make_bus(void)
{
    const struct shmbus_bus_options bus = {
        .struct_bytes = sizeof bus, .capacity = CAPACITY, .flags = SHMBUS_BUS_NO_POOL};
    const struct shmbus_producer_options options = {.struct_bytes = sizeof options,
                                                    .full_timeout_ns = GUARD_NS};
    return support_create(BUS, &bus, &options);
}

static int64_t created_ns(void)
{
    struct shmbus_snapshot *snapshot = support_look(BUS);
    const int64_t created = shmbus_snapshot_bus(snapshot)->created_ns;
    shmbus_snapshot_close(snapshot);
    return created;
}

static void publish(struct shmbus_producer *producer, uint64_t first, uint64_t end)
{
    for (uint64_t sequence = first; sequence < end; sequence++) {
        const struct shmbus_outgoing message = {
            .data = &sequence, .length = sizeof sequence, .type = 1};
        ck_assert_int_eq(shmbus_producer_publish_batch(producer, &message, 1), 1);
    }
}

static void record_file(const char *path, int64_t created, uint64_t first, uint64_t end)
{
    struct shmbus_recorder *recorder = file_record(path, BUS, created, first, 0);
    file_put(recorder, first, end);
    ck_assert_int_eq(shmbus_recorder_close(recorder), 0);
}

static struct shmbus_splice *open_splice(const char *const *paths, uint32_t count, uint32_t kind)
{
    static struct shmbus_consumer_options how;
    how = (struct shmbus_consumer_options){.struct_bytes = sizeof how, .kind = kind};
    const struct shmbus_splice_options options = {
        .struct_bytes = sizeof options, .paths = paths, .path_count = count, .consumer = &how};
    struct shmbus_splice *splice = NULL;
    ck_assert_int_eq(shmbus_splice_open(&options, &splice), 0);
    return splice;
}

/* Reads up to that sequence; only the range from lost_first to lost_end may be missing. */
static void read_until(struct shmbus_splice *splice, uint64_t next, uint64_t end,
                       uint64_t lost_first, uint64_t lost_end)
{
    uint64_t lost = 0;
    while (next < end) {
        struct shmbus_record record;
        int result = shmbus_splice_next(splice, &record);
        if (result == 0) {
            ck_assert_int_eq(shmbus_splice_wait(splice, GUARD_NS), 0);
            continue;
        }
        ck_assert_msg(result == 1, "%d: %s", result, shmbus_record_error_text());
        ck_assert_uint_eq(record.sequence, next);
        if (record.kind == SHMBUS_RECORD_LOST) {
            ck_assert_uint_eq(record.sequence, lost_first);
            lost += record.count;
        } else
            ck_assert(file_is(&record));
        next += record.count;
    }
    ck_assert_uint_eq(next, end);
    ck_assert_uint_eq(lost, lost_end - lost_first);
}

static void *publish_all(void *producer)
{
    publish(producer, 0, MESSAGES);
    return NULL;
}

/* A recorder holds the producer up until the splice has joined; from then on the splice does. */
START_TEST(full_speed)
{
    struct shmbus_producer *producer = make_bus();
    struct shmbus_consumer *keeper = support_join(BUS, SHMBUS_FROM_OLDEST);
    const char *path = file_path("speed");
    struct shmbus_recorder *recorder = file_record(path, BUS, created_ns(), 0, 0);
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, publish_all, producer), 0);
    for (uint64_t next = 0; next < RECORDED;) {
        struct shmbus_message message;
        if (shmbus_consumer_next(keeper, &message) == 0) {
            ck_assert_int_eq(shmbus_consumer_wait(keeper, GUARD_NS), 0);
            continue;
        }
        ck_assert_uint_eq(message.sequence, next);
        file_put(recorder, next, next + 1);
        next++;
    }
    ck_assert_int_eq(shmbus_recorder_close(recorder), 0);
    struct shmbus_splice *splice = open_splice(&path, 1, SHMBUS_REQUIRED);
    read_until(splice, 0, RECORDED, 0, 0);
    ck_assert_ptr_null(shmbus_splice_consumer(splice));
    read_until(splice, RECORDED, RECORDED + 1, 0, 0);
    ck_assert_ptr_nonnull(shmbus_splice_consumer(splice));
    shmbus_consumer_close(keeper);
    read_until(splice, RECORDED + 1, MESSAGES, 0, 0);
    pthread_join(thread, NULL);
    shmbus_producer_close(producer);
    struct shmbus_record record;
    ck_assert_int_eq(shmbus_splice_next(splice, &record), -EPIPE);
    shmbus_splice_close(splice);
}
END_TEST

#define BEFORE UINT64_C(1000) /* what was recorded */

static void *publish_rest(void *producer)
{
    publish(producer, BEFORE, MESSAGES);
    return NULL;
}

/* Nobody holds the producer up (a required one once it has joined), who laps the splice: each
 * sequence comes once all the same, as what it was or as lost. */
START_TEST(nobody_waits)
{
    struct shmbus_producer *producer = make_bus();
    const char *path = file_path("free");
    uint64_t next = 0, messages = 0, lost = 0;
    pthread_t thread;
    record_file(path, created_ns(), 0, BEFORE);
    publish(producer, 0, BEFORE);
    ck_assert_int_eq(pthread_create(&thread, NULL, publish_rest, producer), 0);
    struct shmbus_splice *splice = open_splice(&path, 1, (uint32_t)_i);
    while (next < MESSAGES) {
        struct shmbus_record record;
        int result = shmbus_splice_next(splice, &record);
        if (result == 0) {
            ck_assert_int_eq(shmbus_splice_wait(splice, GUARD_NS), 0);
            continue;
        }
        ck_assert_msg(result == 1, "%d: %s", result, shmbus_record_error_text());
        ck_assert_uint_eq(record.sequence, next);
        ck_assert(record.kind == SHMBUS_RECORD_LOST || file_is(&record));
        *(record.kind == SHMBUS_RECORD_LOST ? &lost : &messages) += record.count;
        next += record.count;
    }
    ck_assert_uint_eq(next, MESSAGES);
    ck_assert_uint_eq(messages + lost, MESSAGES);
    ck_assert_uint_ge(messages, BEFORE + CAPACITY / 4);
    printf("nobody_waits %d: %llu read, %llu lost\n", _i, (unsigned long long)messages,
           (unsigned long long)lost);
    pthread_join(thread, NULL);
    shmbus_producer_close(producer);
    shmbus_splice_close(splice);
}
END_TEST

static uint64_t oldest(void)
{
    struct shmbus_snapshot *snapshot = support_look(BUS);
    const uint64_t floor = shmbus_snapshot_bus(snapshot)->floor;
    shmbus_snapshot_close(snapshot);
    return floor;
}

START_TEST(exact_gap)
{
    struct shmbus_producer *producer = make_bus();
    const char *path = file_path("gap");
    record_file(path, created_ns(), 0, 100);
    publish(producer, 0, 5000);
    const uint64_t floor = oldest();
    ck_assert_uint_gt(floor, 100);
    struct shmbus_splice *splice = open_splice(&path, 1, (uint32_t)_i);
    read_until(splice, 0, 5000, 100, floor);
    shmbus_splice_close(splice);
    shmbus_producer_close(producer);
}
END_TEST

/* The file is being written still, and has at the join what the bus has no more. */
START_TEST(file_grows)
{
    struct shmbus_producer *producer = make_bus();
    const char *path = file_path("grows");
    struct shmbus_recorder *recorder = file_record(path, BUS, created_ns(), 0, 4096);
    struct shmbus_recorder_stats stats;
    publish(producer, 0, 5000);
    file_put(recorder, 0, 100);
    ck_assert_int_eq(shmbus_recorder_flush(recorder), 0);
    do
        shmbus_recorder_stats(recorder, &stats);
    while (stats.queued_blocks > 0);
    struct shmbus_splice *splice = open_splice(&path, 1, SHMBUS_OPTIONAL);
    file_put(recorder, 100, 4900);
    ck_assert_int_eq(shmbus_recorder_close(recorder), 0);
    read_until(splice, 0, 5000, 0, 0);
    shmbus_splice_close(splice);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(several_files)
{
    struct shmbus_producer *producer = make_bus();
    const int64_t created = created_ns();
    const char *const paths[] = {file_path("one"), file_path("two"), file_path("three")};
    record_file(paths[0], created, 10, 1000);
    record_file(paths[1], created, 900, 2000);
    record_file(paths[2], created, 2500, 4950);
    publish(producer, 0, 5000);
    struct shmbus_splice *splice = open_splice(paths, 3, SHMBUS_OBSERVER);
    read_until(splice, 10, 5000, 2000, 2500);
    shmbus_splice_close(splice);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(refused)
{
    struct shmbus_producer *producer = make_bus();
    const char *path = file_path("other");
    struct shmbus_record record;
    record_file(path, created_ns() + 1, 0, 1);
    publish(producer, 0, 10);
    struct shmbus_splice *splice = open_splice(&path, 1, SHMBUS_OPTIONAL);
    ck_assert_int_eq(shmbus_splice_next(splice, &record), 1);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(shmbus_splice_next(splice, &record), -ESTALE);
    shmbus_splice_close(splice);
    const struct shmbus_consumer_options how = {.struct_bytes = sizeof how,
                                                .from = SHMBUS_FROM_OLDEST};
    struct shmbus_splice_options options = {
        .struct_bytes = sizeof options, .paths = &path, .path_count = 1, .consumer = &how};
    ck_assert_int_eq(shmbus_splice_open(&options, &splice), -EINVAL);
    options.consumer = NULL;
    options.path_count = 0;
    ck_assert_int_eq(shmbus_splice_open(&options, &splice), -EINVAL);
    options.struct_bytes++;
    ck_assert_int_eq(shmbus_splice_open(&options, &splice), -E2BIG);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("splice");
    TCase *tcase = support_case(suite, "splice", 60);
    tcase_add_test(tcase, full_speed);
    tcase_add_loop_test(tcase, nobody_waits, SHMBUS_OPTIONAL, SHMBUS_OBSERVER + 1);
    tcase_add_loop_test(tcase, exact_gap, SHMBUS_OPTIONAL, SHMBUS_OBSERVER + 1);
    tcase_add_test(tcase, file_grows);
    tcase_add_test(tcase, several_files);
    tcase_add_test(tcase, refused);
    return support_run(suite);
}
