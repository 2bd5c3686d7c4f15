/* SPDX-License-Identifier: MIT */
/* What is not records in a recording: see outline.h. */
#include "record/outline.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void read_boot_id(char out[40])
{
    memset(out, 0, 40);
    int file = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (file >= 0) {
        ssize_t count = read(file, out, 36);
        if (count != 36)
            memset(out, 0, 40);
        close(file);
    }
}

/* Adds a type and its strings to a header. */
static size_t put_type(char *at, const struct shmbus_type *type)
{
    const char *fields = type->fields != NULL ? type->fields : "";
    const struct format_type head = {.type = type->type,
                                     .name_bytes = (uint16_t)(strlen(type->name) + 1),
                                     .bytes = type->bytes,
                                     .fields_bytes = (uint32_t)strlen(fields) + 1};
    memcpy(at, &head, sizeof head);
    memcpy(at + sizeof head, type->name, head.name_bytes);
    memcpy(at + sizeof head + head.name_bytes, fields, head.fields_bytes);
    return sizeof head + head.name_bytes + head.fields_bytes;
}

int outline_write_header(int file, const struct shmbus_recorder_options *options,
                         uint64_t *out_bytes)
{
    const struct shmbus_bus_options *bus = options->bus;
    if (bus == NULL || options->bus_name == NULL || strlen(options->bus_name) > SHMBUS_NAME_MAX ||
        bus->class_count > SHMBUS_CLASSES_MAX || bus->type_count > SHMBUS_TYPES_MAX)
        return format_failed(-EINVAL, "the bus is not given, or out of range");
    char *content = calloc(1, FORMAT_HEADER_MAX);
    if (content == NULL)
        return format_failed(-ENOMEM, "no memory left for a header");
    struct format_header header = {
        .magic = FORMAT_MAGIC,
        .version = FORMAT_VERSION,
        .type_count = bus->type_count,
        .bus_created_ns = options->bus_created_ns,
        .begun_real_ns = format_now_ns(CLOCK_REALTIME),
        .begun_ns = format_now_ns(CLOCK_MONOTONIC),
        .capacity = bus->capacity,
        .first_sequence = bus->first_sequence,
        .next_sequence = options->next_sequence,
        .history = bus->history,
        .stall_ns = bus->stall_ns,
        .slot_bytes = bus->slot_bytes,
        .max_consumers = bus->max_consumers,
        .max_producers = bus->max_producers,
        .flags = bus->flags,
        .class_count = bus->class_count,
    };
    for (uint32_t i = 0; i < bus->class_count; i++) {
        header.classes[i].slab_bytes = bus->classes[i].slab_bytes;
        header.classes[i].slab_count = bus->classes[i].slab_count;
    }
    memcpy(header.bus_name, options->bus_name, strlen(options->bus_name));
    read_boot_id(header.boot_id);
    struct format_skip skip = {.magic = FORMAT_HEADER};
    size_t bytes = sizeof skip + sizeof header;
    for (uint32_t i = 0; i < bus->type_count; i++)
        bytes += put_type(content + bytes, &bus->types[i]);
    skip.bytes = (uint32_t)(bytes - sizeof skip);
    memcpy(content, &skip, sizeof skip);
    memcpy(content + sizeof skip, &header, sizeof header);
    header.checksum = format_checksum(content + sizeof skip, skip.bytes);
    memcpy(content + sizeof skip, &header, sizeof header);
    int result = format_write(file, content, bytes, 0);
    free(content);
    *out_bytes = bytes;
    return result == 0 ? 0 : format_failed(result, "%s", strerror(-result));
}

int outline_sync_name(const char *path)
{
    char *copy = strdup(path);
    if (copy == NULL)
        return format_failed(-ENOMEM, "no memory left for a path");
    int folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(copy);
    /* One that may be written to and not read, or that cannot be synced, is left as it is. */
    int failed = folder >= 0 && fsync(folder) != 0 && errno != EINVAL ? errno : 0;
    if (folder >= 0)
        close(folder);
    return failed == 0 ? 0 : format_failed(-failed, "its folder: %s", strerror(failed));
}

int outline_write_index(int file, const struct format_head *heads, uint64_t count, uint64_t at)
{
    const size_t bytes_of_heads = count * sizeof *heads;
    const struct format_skip skips[2] = {
        {.magic = FORMAT_INDEX, .bytes = (uint32_t)bytes_of_heads},
        {.magic = FORMAT_FOOTER, .bytes = sizeof(struct format_footer)},
    };
    struct format_footer footer = {
        .magic = FORMAT_MAGIC,
        .index_offset = at,
        .blocks = count,
        .index_checksum = format_checksum(heads, bytes_of_heads),
    };
    const size_t bytes = sizeof skips + bytes_of_heads + sizeof footer;
    char *all = malloc(bytes);
    if (all == NULL)
        return -ENOMEM;
    footer.checksum = format_own_checksum(&footer, sizeof footer);
    memcpy(all, &skips[0], sizeof skips[0]);
    if (count > 0)
        memcpy(all + sizeof skips[0], heads, bytes_of_heads);
    memcpy(all + sizeof skips[0] + bytes_of_heads, &skips[1], sizeof skips[1]);
    memcpy(all + sizeof skips + bytes_of_heads, &footer, sizeof footer);
    int result = format_write(file, all, bytes, at);
    free(all);
    if (result != 0) {
        int cut = ftruncate(file, (off_t)at);
        (void)cut;
    }
    return result;
}
