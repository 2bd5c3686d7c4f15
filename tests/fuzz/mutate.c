/* SPDX-License-Identifier: MIT */
/* Changes to an input of the target `segment`: see mutate.h. */
#include "mutate.h"

#include "case.h"
#include "layout/layout.h"
#include "layout/stamp.h"
#include "steps.h"

#include <string.h>

struct field {
    uint32_t offset;
    uint32_t bytes;
};

/* Every field of every shared struct, in their order. */
static const struct named_field {
    const char *type;
    struct field field;
} fields[] = {
#define NAMED(type, name, at, size) {#type, {at, size}},
    LAYOUT_FIELDS(NAMED)
#undef NAMED
};
#define FIELDS (sizeof fields / sizeof fields[0])

static struct fuzz_case changed;
static uint64_t state;

static uint64_t dice(uint64_t limit)
{
    uint64_t value = state += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    value ^= value >> 31;
    return limit == 0 ? value : value % limit;
}

/* The header as it is in feed. */
static struct feed_header *header_of(void)
{
    return (struct feed_header *)(void *)changed.feed;
}

/* A number that is worth trying in place of this one. */
static uint64_t value_near(uint64_t now)
{
    static const uint64_t edges[] = {0,          1,          2,         16,
                                     64,         4096,       INT32_MAX, UINT32_MAX,
                                     INT64_MAX,  UINT64_MAX, 1u << 24,  UINT64_C(1) << 56,
                                     UINT16_MAX, 8};
    switch (dice(7)) {
    case 0:
        return edges[dice(sizeof edges / sizeof edges[0])];
    case 1:
        return now + 1 + dice(4);
    case 2:
        return now - 1 - dice(4);
    case 3:
        return now ^ UINT64_C(1) << dice(64);
    case 4:
        return now << 1;
    case 5:
        return now >> 1;
    default:
        return dice(0);
    }
}

/* Changes a number of so many bytes, which may be a part of a longer field. */
static void change_at(unsigned char *file, uint64_t file_bytes, uint64_t at, uint32_t bytes)
{
    uint64_t now = 0;
    if (bytes > 8) {
        at += dice(bytes / 8) * 8;
        bytes = 8;
    }
    if (at > file_bytes || bytes > file_bytes - at)
        return;
    memcpy(&now, file + at, bytes);
    now = value_near(now);
    memcpy(file + at, &now, bytes);
}

/* A field of this struct, which begins at base. */
static void change_field(const char *type, unsigned char *file, uint64_t bytes, uint64_t base)
{
    size_t first = 0;
    size_t count = 0;
    while (strcmp(fields[first].type, type) != 0)
        first++;
    while (first + count < FIELDS && strcmp(fields[first + count].type, type) == 0)
        count++;
    const struct field *field = &fields[first + dice(count)].field;
    change_at(file, bytes, base + field->offset, field->bytes);
}

static void change_in_region(const char *type, struct layout_region region, size_t each)
{
    uint64_t count = region.length / each;
    change_field(type, changed.feed, changed.feed_bytes,
                 region.offset + (count > 0 ? dice(count < 64 ? count : 64) * each : 0));
}

static void change_header(void)
{
    change_field("feed_header", changed.feed, changed.feed_bytes, 0);
}

/* Another geometry, of which each part fits the others, with the files as long as it says. What is
 * in them stays where it is. */
static void change_geometry(void)
{
    struct feed_header *header = header_of();
    struct feed_header planned;
    struct shmbus_bus_options options = {
        .struct_bytes = sizeof options,
        .capacity = UINT64_C(16) << dice(4),
        .slot_bytes = 32u << dice(4),
        .max_consumers = 1 + (uint32_t)dice(6),
        .max_producers = dice(2) ? 1 : 1 + (uint32_t)dice(5),
        .class_count = (uint32_t)dice(4),
        .flags = (uint32_t)dice(2) * SHMBUS_BUS_TIMESTAMPS + (uint32_t)dice(2) * SHMBUS_BUS_EVICT +
                 (uint32_t)dice(2) * SHMBUS_BUS_SCRUB + (uint32_t)dice(2) * SHMBUS_BUS_NO_PARK,
        .first_sequence = dice(2) ? 0 : SHMBUS_FIRST_SEQUENCE_MAX - dice(40),
        .history = dice(16),
    };
    uint64_t bytes = 64;
    for (uint32_t i = 0; i < options.class_count; i++, bytes += 64 << dice(5))
        options.classes[i] = (struct shmbus_pool_class){bytes, 1 + dice(5)};
    if (options.class_count == 0)
        options.flags |= SHMBUS_BUS_NO_POOL;
    if (layout_plan(&options, BED_BUS, LAYOUT_PAGE, &planned) != 0 ||
        planned.feed_bytes > CASE_FEED_MOST || planned.control_bytes > CASE_CONTROL_MOST)
        return;
    memcpy(planned.segment_id, header->segment_id, sizeof planned.segment_id);
    *header = planned;
    changed.feed_bytes = (uint32_t)planned.feed_bytes;
    changed.control_bytes = (uint32_t)planned.control_bytes;
}

/* Where slot number i is, or NULL. */
static struct slot_header *slot_at(uint64_t i)
{
    const struct feed_header *header = header_of();
    uint64_t room = changed.feed_bytes < 4096 ? 0 : changed.feed_bytes - 4096;
    if (header->capacity == 0 || header->slot_bytes < 32 || header->slot_bytes > 4096 ||
        header->slot_bytes % 8 != 0 || header->ring.offset > room || header->ring.offset % 8 != 0)
        return NULL;
    uint64_t at = header->ring.offset + i % header->capacity * header->slot_bytes;
    return at <= room ? (struct slot_header *)(void *)(changed.feed + at) : NULL;
}

static uint64_t tail_now(void)
{
    const struct feed_header *header = header_of();
    uint64_t tail = header->first_sequence;
    uint64_t at = header->state.offset + 128;
    if (at <= changed.feed_bytes && changed.feed_bytes - at >= sizeof tail)
        memcpy(&tail, changed.feed + at, sizeof tail);
    return tail;
}

/* One message near the tail: its stamp, and perhaps its meta and handle. */
static void change_slot(void)
{
    static const uint32_t states[] = {STAMP_PUBLISHED, STAMP_PUBLISHED, STAMP_ABORTED,
                                      STAMP_SKIPPED,   STAMP_WRITING,   STAMP_WRITING + 1};
    const struct feed_header *header = header_of();
    uint64_t sequence = tail_now() + dice(24) - 16;
    struct slot_header *slot = slot_at(sequence);
    if (slot == NULL)
        return;
    uint64_t *payload = (uint64_t *)(void *)(slot + 1);
    payload += header->features_required & LAYOUT_REQUIRES_TIMESTAMPS ? 1 : 0;
    if (dice(2))
        slot->stamp = stamp_make(sequence, states[dice(6)]);
    if (dice(2)) {
        uint32_t length = (uint32_t)(dice(2) ? dice(5000) : value_near(meta_length(slot->meta)));
        slot->meta = meta_make(length, (uint16_t)dice(9), dice(2) ? SHMBUS_MESSAGE_POOLED : 0);
    }
    if (dice(2)) {
        uint32_t index = (uint32_t)(dice(4) ? dice(8) : dice(1 << 28));
        uint32_t generation = dice(2) ? GENERATION_FIRST + (uint32_t)dice(4) : (uint32_t)dice(0);
        *payload = handle_make((uint32_t)dice(dice(4) ? 4 : 15), generation, index);
    }
    if (stamp_state(slot->stamp) == STAMP_SKIPPED && dice(2))
        *payload = dice(3) ? sequence + dice(80) : value_near(sequence);
}

/* One consumer's words: any field, or one that holds and is required, near the tail. */
static void change_entry(void)
{
    const struct feed_header *header = header_of();
    uint64_t each = header->entry_bytes % 4096 == 0 ? header->entry_bytes : 4096;
    uint64_t base = 2 * (uint64_t)LAYOUT_PAGE + dice(4) * each;
    if (base > CASE_CONTROL_MOST - LAYOUT_PAGE)
        return;
    struct control_entry *entry = (struct control_entry *)(void *)(changed.control + base);
    change_field("control_entry", changed.control, changed.control_bytes, base);
    if (dice(2))
        entry->state = (uint32_t)dice(4);
    if (dice(2))
        entry->kind = (uint32_t)dice(3);
    if (dice(2))
        entry->cursor = tail_now() + dice(24) - 16;
    if (dice(4) == 0) {
        entry->holds[dice(2)] = dice(0);
        entry->holding = dice(4);
    }
    if (dice(8) == 0) {
        entry->after_count = (uint32_t)dice(10);
        strcpy(entry->after[dice(8)].name, dice(2) ? "one" : "two");
        strcpy(entry->name, dice(2) ? "one" : "two");
    }
}

static void change_words(void)
{
    const struct feed_header *header = header_of();
    switch (dice(7)) {
    case 0:
        change_in_region("feed_state", header->state, sizeof(struct feed_state));
        break;
    case 1:
        change_in_region("producer_entry", header->producers, sizeof(struct producer_entry));
        break;
    case 2:
        change_in_region("layout_verdict", header->verdicts, sizeof(struct layout_verdict));
        break;
    case 3:
        change_in_region("layout_type", header->types, sizeof(struct layout_type));
        break;
    case 4:
        change_field("control_header", changed.control, changed.control_bytes, 0);
        break;
    case 5:
        change_field("control_shared", changed.control, changed.control_bytes, LAYOUT_PAGE);
        break;
    default:
        change_at(changed.feed, changed.feed_bytes, header->generations.offset + dice(16) * 4, 4);
    }
}

/* A step is added, changed or left out; those that write into a file get a place that matters. */
static void change_steps(void)
{
    uint8_t added[14] = {(uint8_t)dice(STEP_COUNT_OF), (uint8_t)dice(256)};
    uint32_t length = 2;
    uint32_t at = changed.step_bytes == 0 ? 0 : (uint32_t)dice(changed.step_bytes / 2 + 1) * 2;
    if (dice(4) == 0 && changed.step_bytes >= 2) {
        changed.step_bytes -= 2;
        return;
    }
    if (added[0] == STEP_CONTROL || added[0] == STEP_FEED) {
        const struct named_field *field = &fields[dice(FIELDS)];
        uint32_t place = field->field.offset + (uint32_t)dice(8) * 4096;
        uint64_t value = dice(2) ? value_near(tail_now()) : value_near(0);
        memcpy(added + 2, &place, sizeof place);
        memcpy(added + 6, &value, sizeof value);
        length = sizeof added;
    }
    if (at > changed.step_bytes)
        at = changed.step_bytes;
    if (changed.step_bytes + length > CASE_STEPS_MOST)
        return;
    memmove(changed.steps + at + length, changed.steps + at, changed.step_bytes - at);
    memcpy(changed.steps + at, added, length);
    changed.step_bytes += length;
}

static void change_lengths(void)
{
    uint32_t *bytes = dice(2) ? &changed.feed_bytes : &changed.control_bytes;
    uint32_t most = bytes == &changed.feed_bytes ? CASE_FEED_MOST : CASE_CONTROL_MOST;
    if (dice(4) == 0)
        *bytes = (uint32_t)dice(most + 1);
    else
        *bytes = (uint32_t)(value_near(*bytes) % (most + 1));
}

static void repair(void)
{
    struct feed_header *header = header_of();
    uint64_t types = header->type_count * sizeof(struct layout_type);
    uint64_t names = header->name_count * sizeof(struct layout_name);
    uint64_t room = changed.feed_bytes;
    if (header->types.offset <= room && types <= room - header->types.offset &&
        header->names.offset <= room && names <= room - header->names.offset && dice(16) > 0)
        header->tables_checksum = layout_tables_checksum(header, changed.feed);
    if (header->header_bytes >= sizeof *header && header->header_bytes <= LAYOUT_PAGE)
        header->checksum = layout_checksum(changed.feed, header->header_bytes);
}

size_t mutate_input(uint8_t *input, size_t size, size_t room, uint64_t seed, mutate_bytes *bytes)
{
    static void (*const changes[])(void) = {change_header, change_slot,  change_slot,
                                            change_entry,  change_words, change_steps,
                                            change_steps,  change_slot,  change_entry};
    state = seed;
    if (dice(10) == 0)
        size = bytes(input, size, room);
    case_read(input, size, &changed);
    if (dice(12) == 0)
        change_geometry();
    if (dice(16) == 0)
        change_lengths();
    for (uint64_t i = 1 + dice(3); i > 0; i--)
        changes[dice(sizeof changes / sizeof changes[0])]();
    if (dice(16) > 0)
        repair();
    return case_write(&changed, input, room);
}
