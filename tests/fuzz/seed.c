/* SPDX-License-Identifier: MIT */
/*
 * Makes the corpus of the target `segment` anew, out of live buses: seed FOLDER writes one input
 * for each of them, as their files are at that moment. To be run when the layout changes.
 */
#include "case.h"
#include "layout/layout.h"
#include "steps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct shmbus_type types[] = {
    {.type = 7, .bytes = 12, .name = "trade", .fields = "price:<i8,qty:<i4"},
    {.type = 1, .name = "text"}};
static const char *const required[] = {"seed", "one", "two"};

/* A bus, and what is on it. */
struct seed {
    const char *file;
    struct shmbus_bus_options bus;
    uint32_t messages;
    uint32_t consumers; /* a required, an optional, one after the first, in this order */
    uint32_t producers;
    int closed;
    const char *steps; /* of pairs of bytes: see steps.h */
    uint32_t step_bytes;
};

#define STEPS(text) .steps = (text), .step_bytes = sizeof(text) - 1
#define POOL        .class_count = 2, .classes = {{64, 4}, {4096, 2}}
#define SMALL       .struct_bytes = sizeof(struct shmbus_bus_options), .capacity = 16, .max_consumers = 4

static const struct seed seeds[] = {
    {.file = "empty", .bus = {SMALL, .flags = SHMBUS_BUS_NO_POOL}, STEPS("\x01\x05\x00\x03")},
    {.file = "inline",
     .bus = {SMALL, .flags = SHMBUS_BUS_NO_POOL | SHMBUS_BUS_TIMESTAMPS},
     .messages = 21,
     STEPS("\x01\x05\x02\x09\x01\x04\x03\x04\x01\x13\x03\x07")},
    {.file = "pooled",
     .bus = {SMALL, POOL, .flags = SHMBUS_BUS_TIMESTAMPS | SHMBUS_BUS_SCRUB},
     .messages = 10,
     .consumers = 2,
     STEPS("\x01\x04\x02\x08\x01\x05\x03\x01\x01\x03\x03\x03\x07\x04")},
    {.file = "takeover",
     .bus = {SMALL, POOL, .flags = SHMBUS_BUS_EVICT},
     .messages = 40,
     .consumers = 1,
     STEPS("\x08\x01\x0a\xc5\x0b\x84\x01\x04\x0a\x07\x0c\x01\x08\x01")},
    {.file = "many",
     .bus = {SMALL, POOL, .max_producers = 3},
     .messages = 12,
     .consumers = 1,
     .producers = 2,
     STEPS("\x01\x04\x02\x08\x08\x02\x0a\x85\x0b\x04\x03\x03\x0c\x01")},
    {.file = "types",
     .bus = {SMALL, POOL, .types = types, .type_count = 2, .required_rule = SHMBUS_REQUIRED_NAMED,
             .required_names = required, .required_count = 3},
     .messages = 9,
     .consumers = 3,
     STEPS("\x01\x15\x01\x1c\x02\x04\x01\x32\x03\x02\x09\x21")},
    {.file = "pipeline",
     .bus = {SMALL, POOL},
     .messages = 8,
     .consumers = 3,
     STEPS("\x01\xc4\x02\x10\x01\xd5\x04\x01\x0d\x01\x01\x50\x05\x10")},
    {.file = "closed",
     .bus = {SMALL, POOL, .first_sequence = SHMBUS_FIRST_SEQUENCE_MAX - 5, .history = 4},
     .messages = 14,
     .closed = 1,
     STEPS("\x01\x04\x02\x40\x04\x01\x08\x02\x0a\x09\x04\x01")},
};

static void must(int result, const char *what)
{
    if (result >= 0)
        return;
    fprintf(stderr, "seed: %s: %s\n", what, shmbus_error_text());
    exit(1);
}

static int ignore(const struct shmbus_message *message, void *context)
{
    uint64_t handle;
    if (message->sequence % 4 == 1)
        must(shmbus_consumer_retain(context, message, &handle), "retain");
    return 0;
}

static struct shmbus_consumer *join(uint32_t i)
{
    static const char *const names[] = {"one", "two", "seed"};
    const struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options,
        .name = names[i],
        .kind = i == 1 ? SHMBUS_OPTIONAL : SHMBUS_REQUIRED,
        .after = names,
        .after_count = i == 2,
    };
    struct shmbus_consumer *consumer;
    must(shmbus_consumer_open(BED_BUS, &options, &consumer), "open");
    return consumer;
}

static void publish(struct shmbus_producer *producer, uint32_t i, int pooled)
{
    static const char bytes[300] = "a message of a seed";
    must(shmbus_producer_publish(producer, i % 3 ? 7 : 1, 0, bytes, pooled && i % 5 == 2 ? 50 : i),
         "publish");
    if (i % 7 == 6 && !pooled)
        must(shmbus_producer_skip(producer, 2), "skip");
}

static uint32_t read_file(const char *file, unsigned char *bytes, size_t room)
{
    char path[512];
    snprintf(path, sizeof path, "%s/shmbus." BED_BUS "/%s", getenv("SHMBUS_DIR"), file);
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = descriptor < 0 ? -1 : read(descriptor, bytes, room);
    if (got <= 0 || (size_t)got == room) {
        fprintf(stderr, "seed: %s: cannot be read, or is too long\n", path);
        exit(1);
    }
    close(descriptor);
    return (uint32_t)got;
}

/* Nothing of this machine and this moment, so that the same buses give the same inputs; and no
 * boot, after which an input would not be read any more. */
static void make_lasting(struct fuzz_case *fuzz_case)
{
    struct feed_header *header = (struct feed_header *)(void *)fuzz_case->feed;
    struct control_header *control = (struct control_header *)(void *)fuzz_case->control;
    memset(header->boot_id, 0, sizeof header->boot_id);
    memset(header->segment_id, 7, sizeof header->segment_id);
    memset(control->segment_id, 7, sizeof control->segment_id);
    for (uint32_t i = 0; i < header->max_consumers; i++) {
        struct control_entry *entry = layout_entry(fuzz_case->control, header, i);
        entry->pid = 0;
        entry->uid = 0;
        entry->joined_ns = 0;
    }
    for (uint32_t i = 0; i < header->max_producers; i++)
        ((struct producer_entry *)(void *)(fuzz_case->feed + header->producers.offset))[i].pid = 0;
    if (header->flags & SHMBUS_BUS_TIMESTAMPS)
        for (uint64_t i = 0; i < header->capacity; i++)
            memset(fuzz_case->feed + header->ring.offset + i * header->slot_bytes + 16, 0, 8);
    header->created_realtime_ns = 0;
    header->created_monotonic_ns = 0;
    header->checksum = layout_checksum(header, header->header_bytes);
}

static void write_case(const char *folder, const struct seed *seed)
{
    static struct fuzz_case fuzz_case;
    static uint8_t input[1 << 20];
    char path[512];
    memset(&fuzz_case, 0, sizeof fuzz_case);
    fuzz_case.feed_bytes = read_file("feed", fuzz_case.feed, sizeof fuzz_case.feed);
    fuzz_case.control_bytes = read_file("control", fuzz_case.control, sizeof fuzz_case.control);
    make_lasting(&fuzz_case);
    memcpy(fuzz_case.steps, seed->steps, seed->step_bytes);
    fuzz_case.step_bytes = seed->step_bytes;
    size_t size = case_write(&fuzz_case, input, sizeof input);
    snprintf(path, sizeof path, "%s/%s", folder, seed->file);
    FILE *file = fopen(path, "we");
    if (file == NULL || fwrite(input, 1, size, file) != size || fclose(file) != 0) {
        fprintf(stderr, "seed: %s: %s\n", path, strerror(errno));
        exit(1);
    }
}

static void make(const char *folder, const struct seed *seed)
{
    struct shmbus_producer *producers[2] = {NULL, NULL};
    struct shmbus_consumer *consumers[3] = {NULL, NULL, NULL};
    uint32_t producer_count = seed->producers > 1 ? 2 : 1;
    for (uint32_t i = 0; i < producer_count; i++)
        must(shmbus_producer_create(BED_BUS, &seed->bus, NULL, &producers[i]), "create");
    for (uint32_t i = 0; i < seed->consumers; i++)
        consumers[i] = join(i);
    for (uint32_t i = 0; i < seed->messages; i++) {
        publish(producers[i % producer_count], i, seed->bus.class_count > 0);
        for (uint32_t j = 0; j < seed->consumers; j++)
            must(shmbus_consumer_poll(consumers[j], ignore, consumers[j], i % 3), "poll");
    }
    for (uint32_t i = 0; seed->closed && i < producer_count; i++) {
        shmbus_producer_close(producers[i]);
        producers[i] = NULL;
    }
    write_case(folder, seed);
    for (uint32_t i = 0; i < 3; i++)
        shmbus_consumer_close(consumers[i]);
    for (uint32_t i = 0; i < producer_count; i++)
        shmbus_producer_close(producers[i]);
    must(shmbus_unlink(BED_BUS, NULL), "unlink");
}

int main(int count, char **arguments)
{
    char folder[] = "/dev/shm/shmbus-test.XXXXXX";
    if (count != 2) {
        fprintf(stderr, "Usage: seed FOLDER\n");
        return 2;
    }
    if (mkdtemp(folder) == NULL || setenv("SHMBUS_DIR", folder, 1) != 0)
        return 1;
    for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++)
        make(arguments[1], &seeds[i]);
    rmdir(folder);
    return 0;
}
