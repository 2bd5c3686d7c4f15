/* SPDX-License-Identifier: MIT */
/*
 * The check of an untrusted header: nothing in it is believed until all of it is. The caller
 * copies the header out of the mapping first, so that it cannot change between check and use.
 */
#include "error/error.h"
#include "layout/layout.h"

#include <inttypes.h>
#include <string.h>

uint64_t layout_hash(uint64_t hash, const void *bytes, uint64_t count)
{
    const unsigned char *byte = bytes;
    for (uint64_t i = 0; i < count; i++)
        hash = (hash ^ byte[i]) * UINT64_C(0x100000001b3);
    return hash;
}

uint64_t layout_checksum(const void *header, uint64_t bytes)
{
    static const uint64_t none;
    const size_t at = offsetof(struct feed_header, checksum);
    const unsigned char *whole = header;
    uint64_t hash = layout_hash(LAYOUT_HASH_START, whole, at);
    hash = layout_hash(hash, &none, sizeof none);
    return layout_hash(hash, whole + at + sizeof none, bytes - at - sizeof none);
}

int layout_check_name(const char *what, const char *name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    if (name == NULL)
        return error_set(-EINVAL, "%s: no name", what);
    size_t length = strnlen(name, SHMBUS_NAME_MAX + 1);
    if (length == 0 || length > SHMBUS_NAME_MAX)
        return error_set(-EINVAL, "%s name: %s than 1 to %d characters", what,
                         length == 0 ? "less" : "more", SHMBUS_NAME_MAX);
    if (name[0] == '.' || strspn(name, allowed) != length)
        return error_set(-EINVAL,
                         "%s name \"%s\": only A-Z a-z 0-9 . _ - are allowed, and no leading dot",
                         what, name);
    return 0;
}

static int is_power_of_two(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

static int check_kind(const struct feed_header *header, const char *name)
{
    if (header->magic != LAYOUT_FEED_MAGIC) {
        if (header->magic == __builtin_bswap64(LAYOUT_FEED_MAGIC))
            return error_set(-EPROTO,
                             "%s: made on a machine of the other byte order (0x%08" PRIx32
                             ", here 0x%08" PRIx32 "); a bus does not leave its host",
                             name, header->byte_order, LAYOUT_BYTE_ORDER);
        return error_set(-EPROTO, "%s: feed begins with 0x%016" PRIx64 ", a bus with 0x%016" PRIx64,
                         name, header->magic, LAYOUT_FEED_MAGIC);
    }
    if (header->byte_order != LAYOUT_BYTE_ORDER)
        return error_set(-EPROTO, "%s: byte order 0x%08" PRIx32 ", here 0x%08" PRIx32, name,
                         header->byte_order, LAYOUT_BYTE_ORDER);
    if (header->layout_major != LAYOUT_MAJOR)
        return error_set(-EPROTONOSUPPORT,
                         "%s: layout version %u.%u, this library (%s) reads %d.%d (use a libshmbus "
                         "of the same major layout version)",
                         name, header->layout_major, header->layout_minor, shmbus_version(),
                         LAYOUT_MAJOR, LAYOUT_MINOR);
    uint64_t unknown = header->features_required & ~LAYOUT_REQUIRES_KNOWN;
    if (unknown != 0) {
        char names[128];
        layout_feature_names(header, unknown, names, sizeof names);
        return error_set(-EPROTONOSUPPORT,
                         "%s: layout version %u.%u needs features 0x%" PRIx64 ", of which this "
                         "library (%s, layout version %d.%d) does not know %s (use a newer "
                         "libshmbus)",
                         name, header->layout_major, header->layout_minor,
                         header->features_required, shmbus_version(), LAYOUT_MAJOR, LAYOUT_MINOR,
                         names);
    }
    return 0;
}

static int check_region(const struct feed_header *header, struct layout_region region,
                        uint64_t least, uint64_t alignment)
{
    return region.offset % alignment == 0 && region.offset >= LAYOUT_PAGE &&
           region.length >= least && region.offset <= header->feed_bytes &&
           region.length <= header->feed_bytes - region.offset;
}

static const char *bad_class(const struct feed_header *header)
{
    uint64_t next_slab = 0;
    for (uint32_t i = 0; i < header->class_count; i++) {
        const struct layout_class *found = &header->classes[i];
        if (found->slab_bytes < 64 || found->slab_bytes > SHMBUS_SLAB_BYTES_MAX ||
            found->slab_bytes % LAYOUT_SLAB_ALIGN != 0)
            return "slab_bytes";
        if (found->slab_count < 1 || found->slab_count > SHMBUS_SLABS_MAX ||
            found->slab_count % header->max_producers != 0)
            return "slab_count";
        if (found->first_slab != next_slab)
            return "first_slab";
        struct layout_region slabs = {found->slabs_offset, found->slab_bytes * found->slab_count};
        if (!check_region(header, slabs, 1, LAYOUT_PAGE))
            return "slabs_offset";
        next_slab += found->slab_count;
    }
    return NULL;
}

/* Names the first field that cannot be, or NULL. */
static const char *bad_field(const struct feed_header *header)
{
    if (!is_power_of_two(header->capacity) || header->capacity < SHMBUS_CAPACITY_MIN ||
        header->capacity > SHMBUS_CAPACITY_MAX)
        return "capacity";
    if (!is_power_of_two(header->slot_bytes) || header->slot_bytes < SHMBUS_SLOT_BYTES_MIN ||
        header->slot_bytes > SHMBUS_SLOT_BYTES_MAX)
        return "slot_bytes";
    if (header->first_sequence > SHMBUS_FIRST_SEQUENCE_MAX)
        return "first_sequence";
    if (header->max_consumers < 1 || header->max_consumers > SHMBUS_CONSUMERS_MAX)
        return "max_consumers";
    if (header->max_producers < 1 || header->max_producers > SHMBUS_PRODUCERS_MAX)
        return "max_producers";
    if ((header->max_producers > 1) !=
        ((header->features_required & LAYOUT_REQUIRES_PRODUCERS) != 0))
        return "features_required";
    if (header->class_count > SHMBUS_CLASSES_MAX)
        return "class_count";
    const char *class_field = bad_class(header);
    if (class_field != NULL)
        return class_field;
    uint64_t slabs = layout_slab_total(header);
    if (slabs > SHMBUS_SLABS_MAX)
        return "slab_count";
    if (!check_region(header, header->state, sizeof(struct feed_state), LAYOUT_APART))
        return "state";
    if (!check_region(header, header->producers,
                      (uint64_t)header->max_producers * sizeof(struct producer_entry),
                      LAYOUT_APART))
        return "producers";
    if (!check_region(header, header->verdicts,
                      (uint64_t)header->max_consumers * sizeof(struct layout_verdict), 8))
        return "verdicts";
    if (header->type_count > SHMBUS_TYPES_MAX ||
        !check_region(header, header->types, header->type_count * sizeof(struct layout_type), 8))
        return "types";
    if (header->name_count > SHMBUS_REQUIRED_MAX ||
        !check_region(header, header->names, header->name_count * sizeof(struct layout_name), 8))
        return "names";
    if (header->required_rule > SHMBUS_REQUIRED_NAMED)
        return "required_rule";
    if (header->history >= header->capacity)
        return "history";
    if (header->stall_ns <= 0)
        return "stall_ns";
    if (!check_region(header, header->generations, slabs * 4, 4))
        return "generations";
    if (!check_region(header, header->ring, header->capacity * header->slot_bytes, LAYOUT_PAGE))
        return "ring";
    if (header->entry_bytes % LAYOUT_PAGE != 0 ||
        header->entry_bytes < sizeof(struct control_entry) + layout_hold_words(slabs) * 8)
        return "entry_bytes";
    if (header->entries_offset != 2 * (uint64_t)LAYOUT_PAGE)
        return "entries_offset";
    if (header->control_bytes !=
        header->entries_offset + (uint64_t)header->max_consumers * header->entry_bytes)
        return "control_bytes";
    if (memchr(header->name, 0, sizeof header->name) == NULL)
        return "name";
    return NULL;
}

static int damaged(const char *name, const char *field)
{
    return error_set(-EBADMSG,
                     "%s: damaged header: %s cannot be (remove the bus and create it anew)", name,
                     field);
}

int layout_check(const void *page, uint64_t got, uint64_t file_bytes, const char *name,
                 struct feed_header *out_header)
{
    struct feed_header header;
    memset(&header, 0, sizeof header);
    if (got < LAYOUT_HEADER_LEAST)
        return error_set(-EBADMSG,
                         "%s: feed is too short: %" PRIu64 " bytes, a header alone has %u (remove "
                         "the bus and create it anew)",
                         name, got, LAYOUT_HEADER_LEAST);
    memcpy(&header, page, got < sizeof header ? got : sizeof header);
    int result = check_kind(&header, name);
    if (result < 0)
        return result;
    uint64_t bytes = header.header_bytes;
    if (bytes < LAYOUT_HEADER_LEAST || bytes > LAYOUT_PAGE || bytes > got || bytes % 8 != 0)
        return damaged(name, "header_bytes");
    uint64_t checksum = layout_checksum(page, bytes);
    if (checksum != header.checksum)
        return error_set(-EBADMSG,
                         "%s: damaged header: its checksum is 0x%016" PRIx64
                         ", its bytes give 0x%016" PRIx64 " (remove the bus and create it anew)",
                         name, header.checksum, checksum);
    if (header.feed_bytes > file_bytes)
        return error_set(-EBADMSG,
                         "%s: feed is too short: %" PRIu64 " bytes, its header says %" PRIu64
                         " (remove the bus and create it anew)",
                         name, file_bytes, header.feed_bytes);
    /* An older one ends before what came later: that is 0, as if it said nothing. */
    if (bytes < sizeof header)
        memset((unsigned char *)&header + bytes, 0, sizeof header - bytes);
    const char *field = bad_field(&header);
    if (field != NULL)
        return damaged(name, field);
    *out_header = header;
    return 0;
}

int layout_check_publish(const struct feed_header *header)
{
    if (header->layout_minor <= LAYOUT_MINOR)
        return 0;
    return error_set(-EPROTONOSUPPORT,
                     "%s: layout version %u.%u, and this library (%s) publishes on 1.0 to %d.%d "
                     "(publish with a newer libshmbus, or remove the bus first)",
                     header->name, header->layout_major, header->layout_minor, shmbus_version(),
                     LAYOUT_MAJOR, LAYOUT_MINOR);
}

int layout_check_tables(const struct feed_header *header, const unsigned char *feed)
{
    const struct layout_type *types =
        (const struct layout_type *)(const void *)(feed + header->types.offset);
    const struct layout_name *names =
        (const struct layout_name *)(const void *)(feed + header->names.offset);
    int whole = layout_tables_checksum(header, feed) == header->tables_checksum;
    for (uint32_t i = 0; whole && i < header->type_count; i++)
        whole = memchr(types[i].name, 0, sizeof types[i].name) != NULL &&
                memchr(types[i].fields, 0, sizeof types[i].fields) != NULL;
    for (uint32_t i = 0; whole && i < header->name_count; i++)
        whole = memchr(names[i].name, 0, sizeof names[i].name) != NULL;
    return whole ? 0
                 : error_set(-EBADMSG,
                             "%s: its registered types or names are damaged (remove the bus and "
                             "create it anew)",
                             header->name);
}

int layout_check_control(const struct control_header *control, const struct feed_header *header,
                         uint64_t mapped_bytes)
{
    /* A part of its header says nothing about whose it is. */
    int whole = mapped_bytes >= sizeof *control;
    if (whole &&
        (control->magic != LAYOUT_CONTROL_MAGIC || control->byte_order != LAYOUT_BYTE_ORDER ||
         memcmp(control->segment_id, header->segment_id, LAYOUT_ID_BYTES) != 0))
        return error_set(-EBADMSG,
                         "%s: control is not of the same bus as feed (remove the bus and create "
                         "it anew)",
                         header->name);
    if (mapped_bytes < header->control_bytes)
        return error_set(-EBADMSG,
                         "%s: control is too short: %" PRIu64 " bytes, feed says %" PRIu64
                         " (remove the bus and create it anew)",
                         header->name, mapped_bytes, header->control_bytes);
    return 0;
}

int layout_same_geometry(const struct feed_header *have, const struct feed_header *want)
{
#define DIFFERENT(field)                                                                           \
    if (have->field != want->field)                                                                \
    return error_set(-EEXIST,                                                                      \
                     "%s: exists with " #field " %" PRIu64 ", asked for with %" PRIu64             \
                     " (use its geometry, or remove it first)",                                    \
                     have->name, (uint64_t)have->field, (uint64_t)want->field)
    DIFFERENT(capacity);
    DIFFERENT(slot_bytes);
    DIFFERENT(max_consumers);
    DIFFERENT(max_producers);
    DIFFERENT(class_count);
    DIFFERENT(flags);
    DIFFERENT(features_required);
    DIFFERENT(history);
    DIFFERENT(stall_ns);
    DIFFERENT(required_rule);
    DIFFERENT(type_count);
    DIFFERENT(name_count);
    for (uint32_t i = 0; i < have->class_count; i++) {
        DIFFERENT(classes[i].slab_bytes);
        DIFFERENT(classes[i].slab_count);
    }
#undef DIFFERENT
    return 0;
}
