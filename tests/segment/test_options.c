/* SPDX-License-Identifier: MIT */
/* The defaults of a bus's options, the limits of each, and that each value within them works. */
#include "rig.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

START_TEST(defaults)
{
    static const struct shmbus_pool_class classes[] = {{1024, 4096}, {16384, 512}, {262144, 16}};
    struct shmbus_producer *producer = rig_create("bus", NULL);
    struct shmbus_snapshot *snapshot;
    struct shmbus_claim claim;
    assert_ok(shmbus_snapshot_open("bus", NULL, &snapshot));
    const struct shmbus_bus_info *bus = shmbus_snapshot_bus(snapshot);
    ck_assert_uint_eq(bus->state, SHMBUS_STATE_OPEN);
    ck_assert_uint_eq(bus->capacity, 65536);
    ck_assert_uint_eq(bus->slot_bytes, 64);
    ck_assert_uint_eq(bus->max_consumers, 64);
    ck_assert_uint_eq(bus->mode, 0600);
    ck_assert_uint_eq(bus->flags, 0);
    ck_assert_uint_eq(bus->first_sequence, 0);
    ck_assert_uint_eq(bus->tail, 0);
    ck_assert_uint_eq(bus->numa, SHMBUS_NUMA_NONE);
    ck_assert_uint_eq(bus->pages, SHMBUS_PAGES_BASE);
    ck_assert_uint_eq(bus->class_count, 3);
    ck_assert_uint_eq(bus->owner_uid, geteuid());
    ck_assert_uint_eq(bus->owner_gid, getegid());
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(shmbus_snapshot_pool(snapshot, i)->slab_bytes, classes[i].slab_bytes);
        ck_assert_uint_eq(shmbus_snapshot_pool(snapshot, i)->slab_count, classes[i].slab_count);
    }
    shmbus_snapshot_close(snapshot);

    /* 64 bytes: 16 of header and 48 of payload. */
    assert_ok(shmbus_producer_claim(producer, 48, &claim));
    ck_assert_uint_eq(claim.handle, 0);
    ck_assert_uint_eq(claim.room, 48);
    assert_ok(shmbus_producer_abort(producer, &claim));
    assert_ok(shmbus_producer_claim(producer, 49, &claim));
    ck_assert_uint_ne(claim.handle, 0);
    ck_assert_uint_eq(claim.room, 1024);
    assert_ok(shmbus_producer_abort(producer, &claim));
    shmbus_producer_close(producer);
}
END_TEST

/* Creates, streams some messages, looks, and removes. */
static void works(const struct shmbus_bus_options *options, uint32_t count)
{
    struct shmbus_bus_info bus;
    struct shmbus_producer *producer = rig_create("bus", options);
    rig_stream("bus", producer, count);
    assert_ok(rig_look("bus", &bus, NULL, 0));
    ck_assert_uint_eq(bus.tail, options->first_sequence + count);
    ck_assert_uint_eq(bus.capacity, options->capacity);
    if (options->slot_bytes != 0)
        ck_assert_uint_eq(bus.slot_bytes, options->slot_bytes);
    ck_assert_uint_eq(bus.max_consumers, options->max_consumers);
    shmbus_producer_close(producer);
    assert_ok(shmbus_unlink("bus", NULL));
    ck_assert_int_eq(rig_count_names(rig_folder()), 0);
}

START_TEST(every_capacity)
{
    struct shmbus_bus_options options = rig_small();
    options.slot_bytes = 32;
    for (options.capacity = 16; options.capacity <= 1 << 22; options.capacity *= 2)
        works(&options, options.capacity < 1024 ? (uint32_t)options.capacity * 3 : 1000);
    options.capacity = SHMBUS_CAPACITY_MAX;
    works(&options, 1000);
}
END_TEST

START_TEST(every_slot_size)
{
    struct shmbus_bus_options options = rig_small();
    static unsigned char payload[4096];
    memset(payload, 0x5a, sizeof payload);
    for (options.slot_bytes = 32; options.slot_bytes <= 4096; options.slot_bytes *= 2)
        for (uint32_t flags = 0; flags < 2; flags++) {
            uint32_t room = options.slot_bytes - 16 - (flags ? 8 : 0);
            struct shmbus_producer *producer;
            struct shmbus_consumer *consumer;
            struct shmbus_consumer_options joins = rig_required();
            struct shmbus_message message;
            options.flags = flags ? SHMBUS_BUS_TIMESTAMPS : 0;
            works(&options, 50);
            producer = rig_create("bus", &options);
            assert_ok(shmbus_consumer_open("bus", &joins, &consumer));
            assert_ok(shmbus_producer_publish(producer, 1, 0, payload, room));
            assert_ok(shmbus_producer_publish(producer, 1, 0, payload, room + 1));
            ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
            ck_assert_uint_eq(message.handle, 0);
            ck_assert_mem_eq(message.data, payload, room);
            ck_assert_int_eq(message.timestamp_ns != 0, flags);
            ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
            ck_assert_uint_ne(message.handle, 0);
            ck_assert_mem_eq(message.data, payload, room < 4096 ? room + 1 : room);
            ck_assert_int_eq(message.timestamp_ns != 0, flags);
            shmbus_consumer_close(consumer);
            shmbus_producer_close(producer);
            assert_ok(shmbus_unlink("bus", NULL));
        }
}
END_TEST

START_TEST(numbers_out_of_range)
{
    static const uint64_t capacities[] = {1,  2,     8,       15,         17,
                                          24, 65535, 1 << 25, UINT64_MAX, UINT64_C(1) << 63};
    static const uint32_t slots[] = {1, 16, 31, 33, 48, 63, 65, 4095, 8192, UINT32_MAX, 1u << 31};
    static const uint64_t firsts[] = {SHMBUS_FIRST_SEQUENCE_MAX + 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof capacities / sizeof capacities[0]; i++) {
        struct shmbus_bus_options options = rig_small();
        options.capacity = capacities[i];
        assert_error(rig_try_create("bus", &options), -EINVAL, "capacity", "16", "16777216");
    }
    for (size_t i = 0; i < sizeof slots / sizeof slots[0]; i++) {
        struct shmbus_bus_options options = rig_small();
        options.slot_bytes = slots[i];
        assert_error(rig_try_create("bus", &options), -EINVAL, "slot_bytes", "32", "4096");
    }
    for (size_t i = 0; i < 2; i++) {
        struct shmbus_bus_options options = rig_small();
        options.first_sequence = firsts[i];
        assert_error(rig_try_create("bus", &options), -EINVAL, "first_sequence");
        options.first_sequence = 0;
        options.max_consumers = i == 0 ? 1025 : UINT32_MAX;
        assert_error(rig_try_create("bus", &options), -EINVAL, "max_consumers", "1024");
        options.max_consumers = 1;
        options.numa = i == 0 ? SHMBUS_NUMA_NODE + 1 : UINT32_MAX;
        assert_error(rig_try_create("bus", &options), -EINVAL, "numa");
        options.numa = 0;
        options.pages = i == 0 ? SHMBUS_PAGES_HUGETLB + 1 : UINT32_MAX;
        assert_error(rig_try_create("bus", &options), -EINVAL, "pages");
    }
    ck_assert_int_eq(rig_count_names(rig_folder()), 0);
}
END_TEST

START_TEST(bits_that_mean_nothing)
{
    const uint32_t known = SHMBUS_BUS_TIMESTAMPS | SHMBUS_BUS_NO_POOL | SHMBUS_BUS_SCRUB |
                           SHMBUS_BUS_EVICT | SHMBUS_BUS_REPLACE | SHMBUS_BUS_NO_PARK |
                           SHMBUS_MAP_PREFAULT | SHMBUS_MAP_LOCK;
    const uint32_t joining =
        SHMBUS_MAP_PREFAULT | SHMBUS_MAP_LOCK | SHMBUS_JOIN_MOVE_UP | SHMBUS_READ_STAND_OFF;
    rig_make("there", NULL);
    for (uint32_t bit = 1; bit != 0; bit <<= 1) {
        struct shmbus_bus_options options = rig_small();
        struct shmbus_consumer_options joins = rig_required();
        struct shmbus_consumer *consumer;
        options.flags = joins.flags = bit;
        if (!(bit & known))
            assert_error(rig_try_create("bus", &options), -EINVAL, "flags");
        if (!(bit & joining))
            assert_error(shmbus_consumer_open("there", &joins, &consumer), -EINVAL, "flags");
        options.flags = 0;
        options.mode = bit;
        if (!(bit & 0666))
            assert_error(rig_try_create("bus", &options), -EINVAL, "mode");
    }
    ck_assert_int_eq(rig_count_names(rig_folder()), 1);
}
END_TEST

START_TEST(consumers_up_to_the_limit)
{
    static const uint32_t limits[] = {1, 2, 64, 1024};
    static struct shmbus_consumer *consumers[1024];
    struct rlimit files = {8192, 8192};
    if (setrlimit(RLIMIT_NOFILE, &files) < 0) {
        rig_skip("consumers_up_to_the_limit", "no more than the usual number of files");
        return;
    }
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct shmbus_bus_options options = rig_small();
        struct shmbus_consumer_options joins = rig_required();
        char number[16];
        options.max_consumers = limits[i];
        struct shmbus_producer *producer = rig_create("bus", &options);
        for (uint32_t j = 0; j < limits[i]; j++)
            assert_ok(shmbus_consumer_open("bus", &joins, &consumers[j]));
        snprintf(number, sizeof number, "%u", limits[i]);
        assert_error(rig_try_join("bus"), -EUSERS, "bus", number, "max_consumers");
        ck_assert_int_eq(shmbus_producer_required(producer, NULL), (int)limits[i]);
        shmbus_consumer_close(consumers[limits[i] / 2]);
        assert_ok(rig_try_join("bus"));
        for (uint32_t j = 0; j < limits[i]; j++)
            if (j != limits[i] / 2)
                shmbus_consumer_close(consumers[j]);
        ck_assert_int_eq(shmbus_producer_required(producer, NULL), 0);
        shmbus_producer_close(producer);
        assert_ok(shmbus_unlink("bus", NULL));
    }
}
END_TEST

/* A bus that begins just below a wrap, closed and taken over on the way through it. */
static void through(uint64_t first)
{
    struct shmbus_bus_options options = rig_small();
    struct shmbus_bus_info bus;
    struct shmbus_producer *producer;
    options.first_sequence = first;
    producer = rig_create("bus", &options);
    ck_assert_uint_eq(shmbus_producer_next_sequence(producer), first);
    assert_ok(rig_look("bus", &bus, NULL, 0));
    ck_assert_uint_eq(bus.tail, first);
    ck_assert_uint_eq(bus.first_sequence, first);
    for (uint32_t round = 0; round < 8; round++) {
        rig_stream("bus", producer, 5 + round);
        uint64_t next = shmbus_producer_next_sequence(producer);
        assert_ok(rig_look("bus", &bus, NULL, 0));
        ck_assert_uint_eq(bus.tail, next);
        shmbus_producer_close(producer);
        assert_ok(rig_look("bus", &bus, NULL, 0));
        ck_assert_uint_eq(bus.tail, next);
        assert_ok(shmbus_producer_open("bus", NULL, NULL, 0, &producer));
        ck_assert_uint_eq(shmbus_producer_next_sequence(producer), next);
    }
    ck_assert_uint_eq(shmbus_producer_next_sequence(producer), first + 8 * 5 + 28);
    shmbus_producer_close(producer);
    assert_ok(shmbus_unlink("bus", NULL));
}

START_TEST(first_sequences)
{
    const uint64_t wrap = UINT64_C(1) << 56;
    static const uint64_t others[] = {0, 1, 15, 16, 17, UINT32_MAX - 3, SHMBUS_FIRST_SEQUENCE_MAX};
    for (uint64_t before = 0; before < 40; before += 3)
        through(wrap - before);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        through(others[i]);
    through(SHMBUS_FIRST_SEQUENCE_MAX - 20);
}
END_TEST

START_TEST(structs_of_other_libraries)
{
    struct {
        struct shmbus_bus_options known;
        unsigned char more[64];
    } newer = {.known = rig_small()};
    struct {
        struct shmbus_consumer_options known;
        unsigned char more[64];
    } joins = {.known = rig_required()};
    struct {
        struct shmbus_producer_options known;
        unsigned char more[64];
    } behaves = {.known = {.struct_bytes = sizeof behaves}};
    struct shmbus_producer *producer;
    struct shmbus_consumer *consumer;
    newer.known.struct_bytes = sizeof newer;
    joins.known.struct_bytes = sizeof joins;
    assert_ok(shmbus_producer_create("bus", &newer.known, &behaves.known, &producer));
    assert_ok(shmbus_consumer_open("bus", &joins.known, &consumer));
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
    for (size_t i = 0; i < 64; i++) {
        newer.more[i] = joins.more[i] = behaves.more[i] = 1;
        assert_error(rig_try_create("bus", &newer.known), -E2BIG, "bus options", "newer");
        assert_error(shmbus_consumer_open("bus", &joins.known, &consumer), -E2BIG, "consumer");
        assert_error(shmbus_producer_open("bus", NULL, &behaves.known, 0, &producer), -E2BIG,
                     "producer options");
        newer.more[i] = joins.more[i] = behaves.more[i] = 0;
    }
    /* An older one ends before the fields that it does not have, whatever stands there. */
    newer.known.first_sequence = UINT64_MAX;
    newer.known.struct_bytes = offsetof(struct shmbus_bus_options, first_sequence);
    assert_ok(rig_try_create("bus", &newer.known));
    newer.known.struct_bytes = 0;
    assert_error(rig_try_create("bus", &newer.known), -EINVAL, "struct_bytes");
    newer.known.struct_bytes = 1u << 20;
    assert_error(rig_try_create("bus", &newer.known), -EINVAL, "struct_bytes");
}
END_TEST

RIG_MAIN("options", defaults, every_capacity, every_slot_size, numbers_out_of_range,
         bits_that_mean_nothing, consumers_up_to_the_limit, first_sequences,
         structs_of_other_libraries)
