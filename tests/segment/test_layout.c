/* SPDX-License-Identifier: MIT */
/* The list of fields against the structs, and every region of many geometries in its place. */
#include "rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct field {
    const char *type;
    const char *name;
    uint64_t listed;
    uint64_t listed_bytes;
    uint64_t offset;
    uint64_t bytes;
};

#define FIELD(type, field, at, size)                                                               \
    {#type, #field, at, size, offsetof(struct type, field), sizeof(((struct type *)0)->field)},
static const struct field fields[] = {LAYOUT_FIELDS(FIELD)};
#define FIELD_COUNT (sizeof fields / sizeof fields[0])

START_TEST(fields_are_where_they_are_listed)
{
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        const struct field *at = &fields[i];
        ck_assert_msg(at->offset == at->listed && at->bytes == at->listed_bytes, "%s.%s", at->type,
                      at->name);
        uint64_t natural = at->bytes % 8 == 0 ? 8 : at->bytes;
        if (strcmp(at->name, "path") != 0 && strcmp(at->name, "name") != 0 &&
            strstr(at->name, "_id") == NULL)
            ck_assert_msg(at->offset % natural == 0, "%s.%s", at->type, at->name);
        if (i == 0 || strcmp(fields[i - 1].type, at->type) != 0)
            ck_assert_msg(at->offset == 0, "%s begins with %s", at->type, at->name);
        else
            ck_assert_msg(at->offset >= fields[i - 1].offset + fields[i - 1].bytes, "%s.%s",
                          at->type, at->name);
    }
}
END_TEST

START_TEST(words_of_different_writers_are_apart)
{
    static const size_t begins[] = {offsetof(struct feed_state, bus_state),
                                    offsetof(struct feed_state, tail),
                                    offsetof(struct feed_state, wake_consumers),
                                    offsetof(struct producer_entry, state),
                                    offsetof(struct producer_entry, floor),
                                    offsetof(struct producer_entry, classes),
                                    offsetof(struct control_shared, parked),
                                    offsetof(struct control_shared, wake_producers),
                                    offsetof(struct control_entry, state),
                                    offsetof(struct control_entry, pid),
                                    offsetof(struct control_entry, holds)};
    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++)
        ck_assert_uint_eq(begins[i] % 128, 0);
    ck_assert_uint_eq(sizeof(struct producer_entry) % 128, 0);
    ck_assert_uint_eq(sizeof(struct feed_state) % 128, 0);
}
END_TEST

struct span {
    const char *name;
    uint64_t offset;
    uint64_t length;
    uint64_t alignment;
};

static void check_spans(const struct feed_header *header, const struct span *spans, size_t count)
{
    uint64_t end = sizeof *header;
    for (size_t i = 0; i < count; i++) {
        ck_assert_msg(spans[i].offset >= end, "%s begins inside what is before", spans[i].name);
        ck_assert_msg(spans[i].offset % spans[i].alignment == 0, "%s at %llu", spans[i].name,
                      (unsigned long long)spans[i].offset);
        end = spans[i].offset + spans[i].length;
        ck_assert_msg(end <= header->feed_bytes, "%s ends beyond feed", spans[i].name);
    }
}

/* All regions in order, apart, aligned, inside; and the checker believes them. */
static void check_plan(const struct feed_header *planned)
{
    struct feed_header header = *planned;
    uint64_t slabs = layout_slab_total(&header);
    struct span spans[6 + SHMBUS_CLASSES_MAX] = {
        {"state", header.state.offset, sizeof(struct feed_state), 128},
        {"producers", header.producers.offset, header.max_producers * sizeof(struct producer_entry),
         128},
        {"verdicts", header.verdicts.offset, header.max_consumers * sizeof(struct layout_verdict),
         128},
        {"generations", header.generations.offset, slabs * 4, 128},
        {"ring", header.ring.offset, header.capacity * header.slot_bytes, 4096},
    };
    size_t count = 5;
    for (uint32_t i = 0; i < header.class_count; i++) {
        const struct layout_class *in = &header.classes[i];
        spans[count++] =
            (struct span){"slabs", in->slabs_offset, in->slab_bytes * in->slab_count, 4096};
        ck_assert_uint_eq(in->slab_bytes % (in->slab_bytes < 4096 ? 64 : 4096), 0);
        ck_assert_uint_ge(in->slabs_offset, header.slabs.offset);
    }
    ck_assert_uint_eq(header.ring.length, header.capacity * header.slot_bytes);
    check_spans(&header, spans, count);
    ck_assert_uint_eq(header.entry_bytes % 4096, 0);
    ck_assert_uint_eq(header.entries_offset % 4096, 0);
    ck_assert_uint_ge(header.entry_bytes, offsetof(struct control_entry, holds) + (slabs + 7) / 8);
    ck_assert_uint_eq(header.control_bytes,
                      header.entries_offset + (uint64_t)header.max_consumers * header.entry_bytes);
    header.checksum = layout_checksum(&header, sizeof header);
    struct feed_header taken;
    assert_ok(layout_check(&header, sizeof header, header.feed_bytes, "plan", &taken));
    ck_assert_mem_eq(&taken, &header, sizeof header);
    assert_error(layout_check(&header, sizeof header, header.feed_bytes - 1, "plan", &taken),
                 -EBADMSG, "too short");
}

static uint64_t pick(uint64_t below)
{
    return (uint64_t)random() % below;
}

static struct shmbus_bus_options random_options(void)
{
    struct shmbus_bus_options options = {
        .struct_bytes = sizeof options,
        .capacity = UINT64_C(16) << pick(21),
        .slot_bytes = UINT32_C(32) << pick(8),
        .max_consumers = 1 + (uint32_t)pick(SHMBUS_CONSUMERS_MAX),
        .class_count = (uint32_t)pick(SHMBUS_CLASSES_MAX + 1),
        .flags = (uint32_t)pick(2) * SHMBUS_BUS_TIMESTAMPS,
    };
    uint64_t bytes = 64 + pick(100);
    for (uint32_t i = 0; i < options.class_count; i++) {
        options.classes[i].slab_bytes = bytes;
        options.classes[i].slab_count = 1 + pick(UINT64_C(1) << pick(20));
        bytes = bytes * (2 + pick(8)) + 4096 * pick(2);
        if (bytes > SHMBUS_SLAB_BYTES_MAX) {
            options.class_count = i + 1;
            break;
        }
    }
    if (options.class_count == 0)
        options.flags |= SHMBUS_BUS_NO_POOL;
    return options;
}

START_TEST(regions_of_random_geometries)
{
    const char *given = getenv("SHMBUS_TEST_SEED");
    unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    printf("seed %u (again: SHMBUS_TEST_SEED=%u)\n", seed, seed);
    srandom(seed);
    for (int i = 0; i < 20000; i++) {
        struct shmbus_bus_options options = random_options();
        struct feed_header header;
        uint64_t page = pick(2) ? 4096 : UINT64_C(2) << 20;
        assert_ok(layout_plan(&options, "plan", page, &header));
        ck_assert_uint_eq(header.feed_bytes % page, 0);
        check_plan(&header);
    }
}
END_TEST

START_TEST(regions_of_the_extremes)
{
    struct shmbus_bus_options least = {.struct_bytes = sizeof least,
                                       .capacity = 16,
                                       .slot_bytes = 32,
                                       .max_consumers = 1,
                                       .class_count = 1,
                                       .classes = {{64, 1}}};
    struct shmbus_bus_options most = {.struct_bytes = sizeof most,
                                      .capacity = SHMBUS_CAPACITY_MAX,
                                      .slot_bytes = 4096,
                                      .max_consumers = 1024,
                                      .class_count = 8};
    struct feed_header header;
    assert_ok(layout_plan(&least, "plan", 4096, &header));
    check_plan(&header);
    for (uint32_t i = 0; i < 8; i++)
        most.classes[i] = (struct shmbus_pool_class){SHMBUS_SLAB_BYTES_MAX - (7 - i) * 4096ull,
                                                     SHMBUS_SLABS_MAX / 8};
    assert_ok(layout_plan(&most, "plan", UINT64_C(2) << 20, &header));
    check_plan(&header);
}
END_TEST

START_TEST(feed_is_as_planned)
{
    struct shmbus_bus_options options = rig_small();
    struct feed_header planned;
    struct feed_header found;
    struct shmbus_bus_info bus;
    rig_make("bus", &options);
    rig_read_header("bus", &found);
    assert_ok(layout_plan(&options, "bus", 4096, &planned));
    assert_ok(rig_look("bus", &bus, NULL, 0));
    ck_assert_uint_eq(found.feed_bytes, planned.feed_bytes);
    ck_assert_uint_eq(bus.feed_bytes, planned.feed_bytes);
    ck_assert_uint_eq(bus.control_bytes, planned.control_bytes);
    ck_assert_mem_eq(&found.state, &planned.state,
                     offsetof(struct feed_header, tables_checksum) -
                         offsetof(struct feed_header, state));
    ck_assert_uint_eq(found.magic, LAYOUT_FEED_MAGIC);
    ck_assert_mem_eq((const char *)&found, "shmbus\r\n", 8);
    ck_assert_str_eq(found.name, "bus");
    check_plan(&found);
}
END_TEST

RIG_MAIN("layout", fields_are_where_they_are_listed, words_of_different_writers_are_apart,
         regions_of_random_geometries, regions_of_the_extremes, feed_is_as_planned)
