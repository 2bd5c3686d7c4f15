/* SPDX-License-Identifier: MIT */
/*
 * From options to a geometry: defaults, limits, and the place of every region.
 */
#include "error/error.h"
#include "layout/layout.h"

#include <inttypes.h>
#include <string.h>

static const struct shmbus_pool_class default_classes[] = {
    {1024, 4096}, {16384, 512}, {262144, 16}};

#define DEFAULT_CAPACITY      65536
#define DEFAULT_SLOT_BYTES    64
#define DEFAULT_MAX_CONSUMERS 64
#define DEFAULT_CLASS_COUNT   3
#define DEFAULT_STALL_NS      INT64_C(1000000000)

static int is_power_of_two(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

static uint64_t round_up(uint64_t value, uint64_t to)
{
    return (value + to - 1) / to * to;
}

int layout_take_options(const void *options, size_t known_bytes, const char *what, void *out_copy)
{
    memset(out_copy, 0, known_bytes);
    if (options == NULL)
        return 0;
    size_t given;
    memcpy(&given, options, sizeof given);
    if (given < sizeof given || given > 4096)
        return error_set(-EINVAL, "%s: struct_bytes is %zu (set it to sizeof the struct)", what,
                         given);
    const unsigned char *bytes = options;
    for (size_t i = known_bytes; i < given; i++)
        if (bytes[i] != 0)
            return error_set(-E2BIG,
                             "%s: %zu bytes with something set beyond the %zu that this library "
                             "knows (use a newer libshmbus)",
                             what, given, known_bytes);
    memcpy(out_copy, options, given < known_bytes ? given : known_bytes);
    return 0;
}

static int plan_ring(const struct shmbus_bus_options *options, struct feed_header *header)
{
    header->capacity = options->capacity ? options->capacity : DEFAULT_CAPACITY;
    header->slot_bytes = options->slot_bytes ? options->slot_bytes : DEFAULT_SLOT_BYTES;
    header->max_consumers = options->max_consumers ? options->max_consumers : DEFAULT_MAX_CONSUMERS;
    header->max_producers = options->max_producers ? options->max_producers : 1;
    if (!is_power_of_two(header->capacity) || header->capacity < SHMBUS_CAPACITY_MIN ||
        header->capacity > SHMBUS_CAPACITY_MAX)
        return error_set(-EINVAL, "capacity: %" PRIu64 " is not a power of two from %d to %d",
                         header->capacity, SHMBUS_CAPACITY_MIN, SHMBUS_CAPACITY_MAX);
    if (!is_power_of_two(header->slot_bytes) || header->slot_bytes < SHMBUS_SLOT_BYTES_MIN ||
        header->slot_bytes > SHMBUS_SLOT_BYTES_MAX)
        return error_set(-EINVAL, "slot_bytes: %" PRIu32 " is not a power of two from %d to %d",
                         header->slot_bytes, SHMBUS_SLOT_BYTES_MIN, SHMBUS_SLOT_BYTES_MAX);
    if (header->max_consumers > SHMBUS_CONSUMERS_MAX)
        return error_set(-EINVAL, "max_consumers: %" PRIu32 " is more than %d",
                         header->max_consumers, SHMBUS_CONSUMERS_MAX);
    if (header->max_producers > SHMBUS_PRODUCERS_MAX)
        return error_set(-EINVAL, "max_producers: %" PRIu32 " is more than %d",
                         header->max_producers, SHMBUS_PRODUCERS_MAX);
    if (header->max_producers > 1)
        header->features_required |= LAYOUT_REQUIRES_PRODUCERS;
    if (options->first_sequence > SHMBUS_FIRST_SEQUENCE_MAX)
        return error_set(-EINVAL, "first_sequence: %" PRIu64 " is more than %" PRIu64,
                         options->first_sequence, SHMBUS_FIRST_SEQUENCE_MAX);
    header->first_sequence = options->first_sequence;
    if (options->history >= header->capacity)
        return error_set(-EINVAL, "history: %" PRIu64 " is not less than the capacity, %" PRIu64,
                         options->history, header->capacity);
    if (options->stall_ns < 0)
        return error_set(-EINVAL, "stall_ns: %" PRId64 " is less than 0", options->stall_ns);
    header->history = options->history;
    header->stall_ns = options->stall_ns ? options->stall_ns : DEFAULT_STALL_NS;
    return 0;
}

static int plan_one_class(const struct shmbus_pool_class *wish, uint32_t index,
                          struct feed_header *header)
{
    struct layout_class *made = &header->classes[index];
    if (wish->slab_bytes < 64 || wish->slab_bytes > SHMBUS_SLAB_BYTES_MAX)
        return error_set(-EINVAL, "classes[%u].slab_bytes: %" PRIu64 " is not 64 to %d", index,
                         wish->slab_bytes, SHMBUS_SLAB_BYTES_MAX);
    if (wish->slab_count < 1 || wish->slab_count > SHMBUS_SLABS_MAX)
        return error_set(-EINVAL, "classes[%u].slab_count: %" PRIu64 " is not 1 to %d", index,
                         wish->slab_count, SHMBUS_SLABS_MAX);
    made->slab_bytes = round_up(wish->slab_bytes,
                                wish->slab_bytes < LAYOUT_PAGE ? LAYOUT_SLAB_ALIGN : LAYOUT_PAGE);
    made->slab_count = wish->slab_count * header->max_producers;
    made->first_slab = 0;
    if (index > 0) {
        const struct layout_class *before = &header->classes[index - 1];
        if (made->slab_bytes <= before->slab_bytes)
            return error_set(-EINVAL,
                             "classes[%u].slab_bytes: %" PRIu64 " is not larger than the %" PRIu64
                             " of the class before (list them rising)",
                             index, made->slab_bytes, before->slab_bytes);
        made->first_slab = before->first_slab + before->slab_count;
    }
    return 0;
}

static int plan_pool(const struct shmbus_bus_options *options, struct feed_header *header)
{
    const struct shmbus_pool_class *wishes = options->classes;
    header->class_count = options->class_count;
    if (options->flags & SHMBUS_BUS_NO_POOL) {
        if (options->class_count != 0)
            return error_set(-EINVAL, "class_count: %" PRIu32 " with SHMBUS_BUS_NO_POOL",
                             options->class_count);
        return 0;
    }
    if (header->class_count == 0) {
        wishes = default_classes;
        header->class_count = DEFAULT_CLASS_COUNT;
    }
    if (header->class_count > SHMBUS_CLASSES_MAX)
        return error_set(-EINVAL, "class_count: %" PRIu32 " is more than %d", header->class_count,
                         SHMBUS_CLASSES_MAX);
    for (uint32_t i = 0; i < header->class_count; i++) {
        int result = plan_one_class(&wishes[i], i, header);
        if (result < 0)
            return result;
    }
    header->features_required |= LAYOUT_REQUIRES_POOL;
    return 0;
}

static struct layout_region place(uint64_t *end, uint64_t length, uint64_t alignment)
{
    struct layout_region region = {round_up(*end, alignment), length};
    *end = region.offset + length;
    return region;
}

/* Regions in this order; the largest geometry that the limits allow is far from 2^64 bytes. */
static void plan_regions(struct feed_header *header, uint64_t page_bytes)
{
    uint64_t end = LAYOUT_PAGE;
    header->state = place(&end, sizeof(struct feed_state), LAYOUT_PAGE);
    header->producers =
        place(&end, (uint64_t)header->max_producers * sizeof(struct producer_entry), LAYOUT_APART);
    header->verdicts =
        place(&end, (uint64_t)header->max_consumers * sizeof(struct layout_verdict), LAYOUT_APART);
    header->types = place(&end, header->type_count * sizeof(struct layout_type), LAYOUT_APART);
    header->names = place(&end, header->name_count * sizeof(struct layout_name), LAYOUT_APART);
    header->generations = place(&end, layout_slab_total(header) * sizeof(uint32_t), LAYOUT_APART);
    header->ring = place(&end, header->capacity * header->slot_bytes, LAYOUT_PAGE);
    header->slabs = place(&end, 0, LAYOUT_PAGE);
    for (uint32_t i = 0; i < header->class_count; i++) {
        struct layout_class *made = &header->classes[i];
        struct layout_region slabs = place(&end, made->slab_bytes * made->slab_count, LAYOUT_PAGE);
        made->slabs_offset = slabs.offset;
    }
    header->slabs.length = end - header->slabs.offset;
    header->feed_bytes = round_up(end, page_bytes);

    uint64_t entry =
        sizeof(struct control_entry) + layout_hold_words(layout_slab_total(header)) * 8;
    header->entry_bytes = (uint32_t)round_up(entry, LAYOUT_PAGE);
    header->entries_offset = 2 * (uint64_t)LAYOUT_PAGE;
    header->control_bytes =
        header->entries_offset + (uint64_t)header->max_consumers * header->entry_bytes;
}

int layout_plan(const struct shmbus_bus_options *options, const char *name, uint64_t page_bytes,
                struct feed_header *out_header)
{
    const uint32_t known = SHMBUS_BUS_TIMESTAMPS | SHMBUS_BUS_NO_POOL | SHMBUS_BUS_SCRUB |
                           SHMBUS_BUS_EVICT | SHMBUS_BUS_REPLACE | SHMBUS_BUS_NO_PARK |
                           SHMBUS_MAP_PREFAULT | SHMBUS_MAP_LOCK;
    struct feed_header header = {
        .magic = LAYOUT_FEED_MAGIC,
        .byte_order = LAYOUT_BYTE_ORDER,
        .layout_major = LAYOUT_MAJOR,
        .layout_minor = LAYOUT_MINOR,
        .header_bytes = sizeof header,
        .numa = options->numa,
        .numa_node = options->numa == SHMBUS_NUMA_NODE ? options->numa_node : 0,
        .pages = options->pages,
    };
    if (options->flags & ~known)
        return error_set(-EINVAL, "flags: 0x%" PRIx32 " has bits that mean nothing",
                         options->flags & ~known);
    if (options->mode & ~0666u)
        return error_set(-EINVAL, "mode: 0%" PRIo32 " has bits other than r and w", options->mode);
    if (options->numa > SHMBUS_NUMA_NODE)
        return error_set(-EINVAL, "numa: %" PRIu32 " is no placement", options->numa);
    if (options->pages > SHMBUS_PAGES_HUGETLB)
        return error_set(-EINVAL, "pages: %" PRIu32 " is no page size", options->pages);
    int result = plan_ring(options, &header);
    if (result == 0)
        result = plan_pool(options, &header);
    if (result == 0)
        result = layout_plan_tables(options, &header);
    if (result < 0)
        return result;
    header.flags = options->flags & (SHMBUS_BUS_TIMESTAMPS | SHMBUS_BUS_NO_POOL | SHMBUS_BUS_SCRUB |
                                     SHMBUS_BUS_EVICT | SHMBUS_BUS_NO_PARK);
    if (options->flags & SHMBUS_BUS_TIMESTAMPS)
        header.features_required |= LAYOUT_REQUIRES_TIMESTAMPS;
    if (options->flags & SHMBUS_BUS_SCRUB)
        header.features_optional |= LAYOUT_ALLOWS_SCRUB;
    memcpy(header.name, name, strlen(name));
    layout_name_features(&header);
    plan_regions(&header, page_bytes);
    if (layout_slab_total(&header) > SHMBUS_SLABS_MAX)
        return error_set(-EINVAL, "classes: %" PRIu64 " slabs in all are more than %d",
                         layout_slab_total(&header), SHMBUS_SLABS_MAX);
    *out_header = header;
    return 0;
}
