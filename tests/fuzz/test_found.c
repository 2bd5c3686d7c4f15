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

struct forger {
    struct shmbus_producer *producer;
    struct shmbus_consumer *consumer;
    struct control_entry *entry;
    uint32_t length;
    int count; /* of messages that are published meanwhile */
};

static void publish_many(const struct forger *forger, int count)
{
    static const unsigned char bytes[64];
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(shmbus_producer_publish(forger->producer, 1, 0, bytes, forger->length), 0);
}

/* While the first message is read somebody forges the cursor, the producer goes on over it, and the
 * cursor is put back. */
static int read_forged(const struct shmbus_message *message, void *context)
{
    const struct forger *forger = context;
    if (message->sequence != 0)
        return 0;
    uint64_t before = atomic_load(&forger->entry->cursor);
    atomic_store(&forger->entry->cursor, shmbus_producer_next_sequence(forger->producer));
    publish_many(forger, forger->count);
    atomic_store(&forger->entry->cursor, before);
    ck_assert_int_eq(shmbus_consumer_valid(forger->consumer, message), 0);
    return 0;
}

/* A cursor that is put back before its owner looks at it: in a slot that was overwritten, and in a
 * slab that was used again under a slot that was not. */
START_TEST(a_cursor_that_is_put_back)
{
    const struct shmbus_bus_options bus = {.struct_bytes = sizeof bus,
                                           .capacity = 16,
                                           .max_producers = 1 + _i / 2,
                                           .class_count = 1,
                                           .classes = {{64, 6}}};
    struct forger forger = {.length = _i % 2 ? 60 : 8, .count = _i % 2 ? 4 : 14};
    size_t bytes;
    forger.producer = support_create(BUS, &bus, NULL);
    forger.consumer = support_join(BUS, SHMBUS_FROM_TAIL);
    unsigned char *control = map_file("control", &bytes);
    forger.entry = (struct control_entry *)(void *)(control + 2 * (size_t)LAYOUT_PAGE);
    publish_many(&forger, 4);
    int result = shmbus_consumer_poll(forger.consumer, read_forged, &forger, 2);
    ck_assert_msg(result == -ESTALE, "%d", result);
    ck_assert_msg(support_says(_i % 2 ? "from 0 to 1," : "from 0 to 0,"), "%s",
                  shmbus_error_text());
    ck_assert_int_eq(shmbus_consumer_rejoin(forger.consumer, SHMBUS_FROM_TAIL, 0), 0);
    publish_many(&forger, 3);
    ck_assert_int_eq(shmbus_consumer_poll(forger.consumer, ignore, NULL, 9), 3);
    munmap(control, bytes);
    shmbus_consumer_close(forger.consumer);
    shmbus_producer_close(forger.producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("found");
    TCase *tcase = support_case(suite, "found", 60);
    tcase_add_loop_test(tcase, the_last_sequence, 0, 8);
    tcase_add_loop_test(tcase, fewer_entries_than_there_are, 0, 2);
    tcase_add_loop_test(tcase, a_cursor_that_is_put_back, 0, 4);
    return support_run(suite);
}
