/* SPDX-License-Identifier: MIT */
/*
 * Target: every struct of options, with any bytes in every field and any struct_bytes, to every
 * function that takes it. An input is which function, how many bytes the struct has and what they
 * are, and then strings, each ended by a byte of 0, for the fields that point to something.
 */
#include "bed.h"

#include "shmbus/shmbus.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STRUCT_MOST  4096
#define TABLE_MOST   8
#define STRINGS_MOST 16
#define WAIT_MOST_NS 1000

/* What an input's pointers point to; in memory of its own each, for the sanitizer. */
struct targets {
    char *strings[STRINGS_MOST];
    const char *names[TABLE_MOST];
    struct shmbus_type types[TABLE_MOST];
    uint16_t numbers[TABLE_MOST];
    uint32_t count;
};

static cpu_set_t cpus;

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count;
    (void)arguments;
    bed_begin();
    sched_getaffinity(0, sizeof cpus, &cpus);
    return 0;
}

static void take_targets(struct bed_input *input, struct targets *out_targets)
{
    memset(out_targets, 0, sizeof *out_targets);
    for (uint32_t i = 0; i < TABLE_MOST; i++) {
        out_targets->numbers[i] = (uint16_t)bed_take(input, 1);
        out_targets->types[i].type = (uint16_t)bed_take(input, 1);
        out_targets->types[i].bytes = (uint32_t)bed_take(input, 1);
    }
    while (input->left > 0 && out_targets->count < STRINGS_MOST)
        out_targets->strings[out_targets->count++] = bed_string(input);
    for (uint32_t i = 0; i < TABLE_MOST && out_targets->count > 0; i++) {
        out_targets->names[i] = out_targets->strings[i % out_targets->count];
        out_targets->types[i].name = out_targets->strings[(i + 1) % out_targets->count];
        out_targets->types[i].fields = out_targets->strings[(i + 2) % out_targets->count];
    }
}

static void free_targets(struct targets *targets)
{
    for (uint32_t i = 0; i < targets->count; i++)
        free(targets->strings[i]);
}

/* A pointer as the input has it becomes NULL or one of its strings. */
static const char *point(const struct targets *targets, const char *given)
{
    uintptr_t number = (uintptr_t)given;
    return number == 0 || targets->count == 0 ? NULL : targets->strings[number % targets->count];
}

/* A count goes with a table of so many, or with none; longer than the table it is no lawful call,
 * unless the library is to refuse it by its limit alone. */
static uint32_t count_of(const void *table, uint32_t count, uint32_t limit)
{
    return table == NULL || count > limit ? count : count % (TABLE_MOST + 1);
}

static void hear_event(void *context, const struct shmbus_event *event)
{
    (void)context;
    bed_touch(event, sizeof *event);
}

static void hear_health(void *context, const struct shmbus_health *health)
{
    (void)context;
    bed_touch(health, sizeof *health);
}

static void hear_exhausted(void *context, uint32_t class_index, uint64_t exhausted)
{
    (void)context;
    (void)class_index;
    (void)exhausted;
}

static void point_bus(struct shmbus_bus_options *bus, const struct targets *targets)
{
    bus->folder = NULL;
    bus->group = point(targets, bus->group);
    bus->hugetlb_folder = bus->hugetlb_folder == NULL ? NULL : bed_begin();
    bus->types = bus->types == NULL || targets->count == 0 ? NULL : targets->types;
    bus->required_names =
        bus->required_names == NULL || targets->count == 0 ? NULL : targets->names;
    bus->type_count = count_of(bus->types, bus->type_count, SHMBUS_TYPES_MAX);
    bus->required_count = count_of(bus->required_names, bus->required_count, SHMBUS_REQUIRED_MAX);
}

static void point_producer(struct shmbus_producer_options *options)
{
    options->on_exhausted = options->on_exhausted == NULL ? NULL : hear_exhausted;
    options->on_health = options->on_health == NULL ? NULL : hear_health;
}

static void point_consumer(struct shmbus_consumer_options *options, const struct targets *targets)
{
    options->folder = NULL;
    options->name = point(targets, options->name);
    options->types = options->types == NULL ? NULL : targets->numbers;
    options->expected = options->expected == NULL || targets->count == 0 ? NULL : targets->types;
    options->after = options->after == NULL || targets->count == 0 ? NULL : targets->names;
    options->type_count = count_of(options->types, options->type_count, UINT32_MAX);
    options->expected_count = count_of(options->expected, options->expected_count, UINT32_MAX);
    options->after_count = count_of(options->after, options->after_count, SHMBUS_AFTER_MAX);
    options->on_event = options->on_event == NULL ? NULL : hear_event;
    if (options->wait_ns > WAIT_MOST_NS)
        options->wait_ns = WAIT_MOST_NS;
}

/* The first bytes of a struct out of the input, in as much memory as it says that it has. The
 * caller fixes what points somewhere, in a whole copy. */
struct given {
    unsigned char *bytes; /* as they are handed over */
    size_t length;
};

static struct given take_struct(struct bed_input *input, void *out_whole, size_t whole_bytes)
{
    size_t says = bed_take(input, 2);
    /* So that the likely sizes are met often. */
    if (says & 1)
        says = whole_bytes + (says >> 1 & 7) * 8;
    size_t length = says > STRUCT_MOST || says < sizeof says ? sizeof says : says;
    struct given given = {calloc(1, length), length};
    if (given.bytes == NULL)
        bed_fail("no memory");
    size_t filled = length < whole_bytes + 8 ? length : whole_bytes + 8;
    for (size_t i = sizeof says; i < filled && input->left > 0; i++)
        given.bytes[i] = (unsigned char)bed_take(input, 1);
    memcpy(given.bytes, &says, sizeof says);
    memset(out_whole, 0, whole_bytes);
    memcpy(out_whole, given.bytes, length < whole_bytes ? length : whole_bytes);
    return given;
}

/* The copy, with its pointers right, goes back into what is handed over. */
static const void *give(struct given *given, const void *whole, size_t whole_bytes)
{
    memcpy(given->bytes, whole, given->length < whole_bytes ? given->length : whole_bytes);
    return given->bytes;
}

static struct shmbus_producer *a_producer(uint32_t flags)
{
    const struct shmbus_bus_options bus = {.struct_bytes = sizeof bus,
                                           .capacity = 16,
                                           .max_consumers = 4,
                                           .class_count = 1,
                                           .classes = {{64, 4}},
                                           .flags = flags};
    struct shmbus_producer *producer;
    if (shmbus_producer_create(BED_BUS, &bus, NULL, &producer) != 0)
        bed_fail(shmbus_error_text());
    return producer;
}

static void use_producer(struct shmbus_producer *producer)
{
    struct shmbus_health health;
    for (int i = 0; i < 4; i++)
        shmbus_producer_publish(producer, 1, 0, "text", 4);
    shmbus_producer_health(producer, &health, 1);
    shmbus_producer_close(producer);
}

static void use_consumer(struct shmbus_consumer *consumer)
{
    struct shmbus_message message;
    for (int i = 0; i < 6 && shmbus_consumer_next(consumer, &message) == 1; i++)
        bed_touch(message.data, message.length);
    shmbus_consumer_wait(consumer, 0);
    shmbus_consumer_close(consumer);
}

static void create(struct bed_input *input)
{
    struct shmbus_bus_options bus;
    struct shmbus_producer_options options;
    struct targets targets;
    struct shmbus_producer *producer = NULL;
    struct given first = take_struct(input, &bus, sizeof bus);
    struct given second = take_struct(input, &options, sizeof options);
    take_targets(input, &targets);
    point_bus(&bus, &targets);
    point_producer(&options);
    if (shmbus_producer_create(BED_BUS, give(&first, &bus, sizeof bus),
                               give(&second, &options, sizeof options), &producer) == 0) {
        use_producer(producer);
        if (shmbus_unlink(BED_BUS, NULL) != 0)
            bed_fail(shmbus_error_text());
    }
    free(first.bytes);
    free(second.bytes);
    free_targets(&targets);
}

static void open_again(struct bed_input *input)
{
    struct shmbus_producer_options options;
    struct shmbus_producer *producer = NULL;
    struct given given = take_struct(input, &options, sizeof options);
    point_producer(&options);
    shmbus_producer_close(a_producer(0));
    if (shmbus_producer_open(BED_BUS, NULL, give(&given, &options, sizeof options), WAIT_MOST_NS,
                             &producer) == 0)
        use_producer(producer);
    free(given.bytes);
}

static void attach(struct bed_input *input)
{
    struct shmbus_consumer_options options;
    struct targets targets;
    struct shmbus_consumer *consumer = NULL;
    struct given given = take_struct(input, &options, sizeof options);
    uint32_t from = (uint32_t)bed_take(input, 1);
    take_targets(input, &targets);
    point_consumer(&options, &targets);
    struct shmbus_producer *producer = a_producer(from & 4 ? SHMBUS_BUS_TIMESTAMPS : 0);
    shmbus_producer_publish(producer, 1, 0, "text", 4);
    if (shmbus_consumer_open(BED_BUS, give(&given, &options, sizeof options), &consumer) == 0) {
        shmbus_consumer_rejoin(consumer, from % 4, from / 4);
        use_consumer(consumer);
    }
    shmbus_producer_close(producer);
    free(given.bytes);
    free_targets(&targets);
}

static void settle(struct bed_input *input)
{
    struct shmbus_settle_options options;
    struct shmbus_settled settled;
    struct shmbus_consumer *consumer;
    struct given given = take_struct(input, &options, sizeof options);
    struct shmbus_producer *producer = a_producer(0);
    const void *handed = give(&given, &options, sizeof options);
    shmbus_producer_settle(producer, handed, &settled);
    if (shmbus_consumer_open(BED_BUS, NULL, &consumer) == 0) {
        shmbus_consumer_settle(consumer, handed, &settled);
        shmbus_consumer_close(consumer);
    }
    shmbus_producer_close(producer);
    sched_setaffinity(0, sizeof cpus, &cpus);
    free(given.bytes);
}

static void select_from(struct bed_input *input)
{
    struct shmbus_selector_options options;
    struct shmbus_selector *selector;
    struct shmbus_selected selected;
    struct shmbus_consumer *consumer;
    struct given given = take_struct(input, &options, sizeof options);
    struct shmbus_producer *producer = a_producer(SHMBUS_BUS_TIMESTAMPS);
    if (shmbus_selector_open(give(&given, &options, sizeof options), &selector) == 0) {
        if (shmbus_consumer_open(BED_BUS, NULL, &consumer) != 0)
            bed_fail(shmbus_error_text());
        shmbus_selector_add(selector, consumer, NULL);
        shmbus_producer_publish(producer, 1, 0, "text", 4);
        for (int i = 0; i < 4 && shmbus_selector_next(selector, &selected) == 1; i++)
            bed_touch(&selected, sizeof selected);
        shmbus_selector_wait(selector, 0);
        shmbus_selector_close(selector);
        shmbus_consumer_close(consumer);
    }
    shmbus_producer_close(producer);
    free(given.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static void (*const functions[])(struct bed_input *) = {create, open_again, attach, settle,
                                                            select_from};
    struct bed_input rest = {input, size};
    signal(SIGXFSZ, SIG_IGN); /* the fuzzer has its own word on it, after the target began */
    functions[bed_take(&rest, 1) % (sizeof functions / sizeof functions[0])](&rest);
    shmbus_unlink(BED_BUS, NULL);
    return 0;
}
