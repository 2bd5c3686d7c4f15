/* SPDX-License-Identifier: MIT */
/* Small buses, opened and closed, and their headers, for the tests of segments: see rig.h. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct shmbus_bus_options rig_small(void)
{
    struct shmbus_bus_options options = {
        .struct_bytes = sizeof options,
        .capacity = 16,
        .max_consumers = 2,
        .class_count = 2,
        .classes = {{128, 8}, {4096, 4}},
    };
    return options;
}

struct shmbus_consumer_options rig_required(void)
{
    struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options,
        .kind = SHMBUS_REQUIRED,
        .from = SHMBUS_FROM_OLDEST,
    };
    return options;
}

struct shmbus_producer *rig_create(const char *bus, const struct shmbus_bus_options *options)
{
    struct shmbus_producer *producer = NULL;
    assert_ok(shmbus_producer_create(bus, options, NULL, &producer));
    ck_assert_ptr_nonnull(producer);
    return producer;
}

void rig_make(const char *bus, const struct shmbus_bus_options *options)
{
    shmbus_producer_close(rig_create(bus, options));
}

int rig_try_create(const char *bus, const struct shmbus_bus_options *options)
{
    struct shmbus_producer *producer = NULL;
    int result = shmbus_producer_create(bus, options, NULL, &producer);
    ck_assert_int_eq(result == 0, producer != NULL);
    shmbus_producer_close(producer);
    return result;
}

int rig_try_open(const char *bus)
{
    struct shmbus_producer *producer = NULL;
    int result = shmbus_producer_open(bus, NULL, NULL, 0, &producer);
    ck_assert_int_eq(result == 0, producer != NULL);
    shmbus_producer_close(producer);
    return result;
}

int rig_try_join(const char *bus)
{
    struct shmbus_consumer *consumer = NULL;
    struct shmbus_consumer_options options = rig_required();
    int result = shmbus_consumer_open(bus, &options, &consumer);
    ck_assert_int_eq(result == 0, consumer != NULL);
    shmbus_consumer_close(consumer);
    return result;
}

int rig_look(const char *bus, struct shmbus_bus_info *out_bus, char *why, size_t room)
{
    struct shmbus_snapshot *snapshot = NULL;
    int result = shmbus_snapshot_open(bus, NULL, &snapshot);
    if (result < 0)
        return result;
    assert_ok(shmbus_snapshot_update(snapshot));
    *out_bus = *shmbus_snapshot_bus(snapshot);
    if (why != NULL)
        snprintf(why, room, "%s", shmbus_snapshot_why(snapshot));
    for (uint32_t i = 0; i < out_bus->class_count; i++)
        ck_assert_ptr_nonnull(shmbus_snapshot_pool(snapshot, i));
    ck_assert_ptr_null(shmbus_snapshot_pool(snapshot, out_bus->class_count));
    ck_assert_ptr_null(shmbus_snapshot_producer(snapshot, out_bus->producer_count));
    ck_assert_ptr_null(shmbus_snapshot_consumer(snapshot, out_bus->consumer_count));
    shmbus_snapshot_close(snapshot);
    return 0;
}

void rig_stream(const char *bus, struct shmbus_producer *producer, uint32_t count)
{
    struct shmbus_consumer *consumer;
    struct shmbus_consumer_options options = rig_required();
    options.from = SHMBUS_FROM_TAIL;
    assert_ok(shmbus_consumer_open(bus, &options, &consumer));
    for (uint32_t i = 0; i < count; i++) {
        uint64_t number = shmbus_producer_next_sequence(producer);
        struct shmbus_message message;
        assert_ok(shmbus_producer_publish(producer, 7, 1, &number, sizeof number));
        ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
        ck_assert_uint_eq(message.sequence, number);
        ck_assert_uint_eq(message.length, sizeof number);
        ck_assert_mem_eq(message.data, &number, sizeof number);
        ck_assert_uint_eq(message.type, 7);
    }
    shmbus_consumer_close(consumer);
}

static int open_feed(const char *bus, int flags)
{
    int descriptor = open(rig_path("shmbus.%s/feed", bus), flags | O_CLOEXEC);
    ck_assert_msg(descriptor >= 0, "%s: %s", bus, strerror(errno));
    return descriptor;
}

void rig_read_header(const char *bus, struct feed_header *out_header)
{
    int descriptor = open_feed(bus, O_RDONLY);
    ck_assert_int_eq(pread(descriptor, out_header, sizeof *out_header, 0), sizeof *out_header);
    close(descriptor);
}

/* Over as many bytes as the header says that it has, if the page that it is in has them: what is
 * behind the fields of this version is 0. */
static uint64_t checksum_of(const struct feed_header *header)
{
    alignas(8) unsigned char page[LAYOUT_PAGE] = {0};
    uint64_t bytes = header->header_bytes;
    memcpy(page, header, sizeof *header);
    return layout_checksum(
        page, bytes >= LAYOUT_HEADER_LEAST && bytes <= LAYOUT_PAGE ? bytes : sizeof *header);
}

void rig_write_header(const char *bus, const struct feed_header *header, int repair)
{
    struct feed_header copy = *header;
    if (repair)
        copy.checksum = checksum_of(&copy);
    int descriptor = open_feed(bus, O_WRONLY);
    ck_assert_int_eq(pwrite(descriptor, &copy, sizeof copy, 0), sizeof copy);
    close(descriptor);
}
