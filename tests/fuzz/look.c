/* SPDX-License-Identifier: MIT */
/* Who looks on at a bus of any content, and the producer that takes it over: see look.h. */
#include "look.h"

#include "stat.h"

#include <stdio.h>
#include <string.h>

static void check_text(const char *text)
{
    if (text == NULL)
        bed_fail("no text");
    bed_touch(text, strlen(text));
}

/* All that a snapshot gives, and nothing beyond it. */
static void look_at_all(const struct shmbus_snapshot *snapshot)
{
    const struct shmbus_bus_info *bus = shmbus_snapshot_bus(snapshot);
    check_text(bus->name);
    check_text(shmbus_snapshot_why(snapshot));
    for (uint32_t i = 0; i < bus->producer_count; i++)
        bed_touch(shmbus_snapshot_producer(snapshot, i), sizeof(struct shmbus_producer_info));
    for (uint32_t i = 0; i < bus->hole_count; i++)
        bed_touch(shmbus_snapshot_hole(snapshot, i), sizeof(struct shmbus_hole_info));
    for (uint32_t i = 0; i < bus->class_count; i++)
        bed_touch(shmbus_snapshot_pool(snapshot, i), sizeof(struct shmbus_pool_stats));
    for (uint32_t i = 0; i < bus->consumer_count; i++) {
        const struct shmbus_consumer_info *consumer = shmbus_snapshot_consumer(snapshot, i);
        check_text(consumer->name);
        for (uint32_t j = 0; j < consumer->after_count; j++)
            check_text(consumer->after[j]);
    }
    for (uint32_t i = 0; i < bus->type_count; i++) {
        const struct shmbus_type *type = shmbus_snapshot_type(snapshot, i);
        check_text(type->name);
        if (type->fields != NULL)
            check_text(type->fields);
    }
    if (shmbus_snapshot_consumer(snapshot, bus->consumer_count) != NULL ||
        shmbus_snapshot_producer(snapshot, bus->producer_count) != NULL ||
        shmbus_snapshot_type(snapshot, bus->type_count) != NULL)
        bed_fail("more than there is");
}

void look_on(uint32_t how)
{
    struct stat_picture picture = {.rate = -1};
    if (shmbus_snapshot_open(BED_BUS, NULL, &picture.snapshot) != 0)
        return;
    look_at_all(picture.snapshot);
    /* Reads much of /proc, which is the same each time. */
    if (how % 64 == 3)
        picture.placed = shmbus_snapshot_placement(picture.snapshot, &picture.placement) == 0;
    stat_print_line(&picture);
    stat_print_page(&picture);
    stat_print_json(&picture);
    if (how & 2 && shmbus_snapshot_update(picture.snapshot) == 0)
        look_at_all(picture.snapshot);
    shmbus_snapshot_close(picture.snapshot);
}

static void open_producer(struct shmbus_producer **producer, int create, uint32_t how)
{
    static const struct shmbus_type types[] = {
        {.type = 7, .bytes = 12, .name = "trade", .fields = "price:<i8,qty:<i4"},
        {.type = 1, .name = "text"}};
    const struct shmbus_bus_options bus = {
        .struct_bytes = sizeof bus,
        .capacity = how & 1 ? 32 : 16,
        .max_consumers = 4,
        .max_producers = how & 2 ? 3 : 1,
        .class_count = 2,
        .classes = {{64, 4}, {4096, 2}},
        .flags = (how & 4 ? SHMBUS_BUS_REPLACE : 0) | (how & 8 ? SHMBUS_BUS_EVICT : 0) |
                 (how & 16 ? SHMBUS_BUS_TIMESTAMPS : 0),
        .types = types,
        .type_count = how & 32 ? 2 : 0,
    };
    shmbus_producer_close(*producer);
    *producer = NULL;
    if (create)
        shmbus_producer_create(BED_BUS, &bus, NULL, producer);
    else
        shmbus_producer_open(BED_BUS, NULL, NULL, 0, producer);
}

static void publish_slabs(struct shmbus_producer *producer, uint32_t how)
{
    struct shmbus_slab slabs[2];
    uint32_t count = 1 + how % 2;
    if (shmbus_producer_slab_acquire(producer, how * 3, count, slabs) != 0)
        return;
    for (uint32_t i = 0; i < count; i++) {
        memset(slabs[i].data, (int)how, slabs[i].bytes);
        shmbus_producer_slab_publish(producer, slabs[i].handle, (uint32_t)slabs[i].bytes, 1, 0);
        shmbus_producer_slab_release(producer, slabs[i].handle);
    }
}

static void publish(struct shmbus_producer *producer, uint32_t how)
{
    static const unsigned char bytes[5000];
    struct shmbus_outgoing batch[8];
    struct shmbus_claim claim;
    for (uint32_t i = 0; i < 8; i++)
        batch[i] = (struct shmbus_outgoing){
            .data = bytes, .length = how * i % sizeof bytes, .type = (uint16_t)i};
    for (uint32_t i = 0; i < how % 40; i++)
        shmbus_producer_publish(producer, 1, 0, bytes, i * how % sizeof bytes);
    if (how & 64)
        shmbus_producer_publish_batch(producer, batch, 8);
    if (how & 128)
        publish_slabs(producer, how);
    if (how & 32)
        shmbus_producer_skip(producer, how % 9 * how);
    if (shmbus_producer_claim(producer, how, &claim) == 0) {
        memset(claim.data, 1, claim.room);
        if (how & 1)
            shmbus_producer_abort(producer, &claim);
        else
            shmbus_producer_commit(producer, &claim, 7, 0);
    }
}

static void count(struct shmbus_producer *producer, uint32_t how)
{
    struct shmbus_health health[4];
    struct shmbus_pool_stats stats;
    struct shmbus_placement placement;
    uint64_t lag;
    shmbus_producer_required(producer, &lag);
    shmbus_producer_health(producer, health, how % 5);
    shmbus_producer_flush(producer, 0);
    shmbus_producer_wait_consumed(producer, shmbus_producer_next_sequence(producer) - 1, 0);
    for (uint32_t i = 0; shmbus_producer_pool_stats(producer, i, &stats) == 0; i++)
        bed_touch(&stats, sizeof stats);
    if (how & 128)
        shmbus_producer_placement(producer, &placement);
}

void publish_step(struct shmbus_producer **producer, enum step what, uint32_t how)
{
    if (what == STEP_TAKEOVER || what == STEP_CREATE)
        open_producer(producer, what == STEP_CREATE, how);
    else if (*producer == NULL)
        return;
    else if (what == STEP_PUBLISH)
        publish(*producer, how);
    else if (what == STEP_COUNT)
        count(*producer, how);
    else if (what == STEP_CLOSE) {
        shmbus_producer_close(*producer);
        *producer = NULL;
    }
}
