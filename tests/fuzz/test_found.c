/* SPDX-License-Identifier: MIT */
/*
 * What the fuzz targets and the hostile consumer found, once more: each fault by itself, so that it
 * stays mended where no fuzzer runs.
 */

#include "layout/layout.h"
#include "layout/stamp.h"
#include "support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define BUS "found"

static unsigned char *map_file(const char *file, size_t *out_bytes)
{
    char path[512];
    snprintf(path, sizeof path, "%s/shmbus." BUS "/%s", getenv("SHMBUS_DIR"), file);
    int descriptor = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(descriptor, 0);
    *out_bytes = (size_t)lseek(descriptor, 0, SEEK_END);
    void *mapped = mmap(NULL, *out_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    ck_assert_ptr_ne(mapped, MAP_FAILED);
    close(descriptor);
    return mapped;
}

static int ignore(const struct shmbus_message *message, void *context)
{
    (void)message;
    (void)context;
    return 0;
}

/* A feed whose tail is the last number that there is: who joins there is where one that runs after
 * others would wait for them, and runs after nobody. */
START_TEST(the_last_sequence)
{
    static const uint32_t states[] = {STAMP_PUBLISHED, STAMP_ABORTED, STAMP_SKIPPED, STAMP_WRITING};
    const struct shmbus_bus_options bus = {.struct_bytes = sizeof bus,
                                           .capacity = 16,
                                           .max_producers = _i < 4 ? 1 : 2,
                                           .flags = SHMBUS_BUS_NO_POOL};
    struct shmbus_consumer_options options = {.struct_bytes = sizeof options};
    size_t bytes;
    struct shmbus_producer *producer = support_create(BUS, &bus, NULL);
    unsigned char *feed = map_file("feed", &bytes);
    const struct feed_header *header = (const struct feed_header *)(void *)feed;
    struct feed_state *state = (struct feed_state *)(void *)(feed + header->state.offset);
    struct slot_header *slots = (struct slot_header *)(void *)(feed + header->ring.offset);
    atomic_store(&state->tail, UINT64_MAX);
    atomic_store(&slots[15 * (header->slot_bytes / sizeof *slots)].stamp,
                 stamp_make(UINT64_MAX, states[_i % 4]));
    for (options.kind = SHMBUS_OPTIONAL; options.kind <= SHMBUS_OBSERVER; options.kind++) {
        struct shmbus_consumer *consumer;
        if (shmbus_consumer_open(BUS, &options, &consumer) != 0)
            continue;
        for (int i = 0; i < 3; i++) {
            shmbus_consumer_poll(consumer, ignore, NULL, 4);
            int result = shmbus_consumer_wait(consumer, 0);
            ck_assert_msg(result <= 0, "%d", result);
        }
        shmbus_consumer_close(consumer);
    }
    munmap(feed, bytes);
    shmbus_producer_close(producer);
}
END_TEST

/* Somebody lowers the number of entries that are in use: a producer that has looked at them before
 * goes on to heed what is held in them. */
START_TEST(fewer_entries_than_there_are)
{
    const struct shmbus_bus_options bus = {.struct_bytes = sizeof bus,
                                           .capacity = 16,
                                           .max_producers = _i == 0 ? 1 : 2,
                                           .class_count = 1,
                                           .classes = {{64, 4}}};
    struct shmbus_message message;
    size_t bytes;
    uint64_t handle;
    unsigned char text[60];
    struct shmbus_producer *producer = support_create(BUS, &bus, NULL);
    struct shmbus_consumer *consumer = support_join(BUS, SHMBUS_FROM_TAIL);
    unsigned char *control = map_file("control", &bytes);
    struct control_shared *shared = (struct control_shared *)(void *)(control + LAYOUT_PAGE);
    for (uint64_t i = 0; i < 40; i++) {
        support_fill(text, sizeof text, i);
        ck_assert_int_eq(shmbus_producer_publish(producer, 1, 0, text, sizeof text), 0);
        ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
        ck_assert_int_eq(support_is(message.data, message.length, i), 1);
        if (i == 20)
            ck_assert_int_eq(shmbus_consumer_retain(consumer, &message, &handle), 0);
        if (i == 20)
            atomic_store(&shared->entries_used, 0);
    }
    ck_assert_int_eq(shmbus_consumer_held(consumer, handle, &message), 0);
    ck_assert_int_eq(shmbus_consumer_valid(consumer, &message), 1);
    ck_assert_int_eq(support_is(message.data, message.length, 20), 1);
    ck_assert_int_eq(shmbus_consumer_release(consumer, handle), 0);
    munmap(control, bytes);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("found");
    TCase *tcase = support_case(suite, "found", 60);
    tcase_add_loop_test(tcase, the_last_sequence, 0, 8);
    tcase_add_loop_test(tcase, fewer_entries_than_there_are, 0, 2);
    return support_run(suite);
}
