/* SPDX-License-Identifier: MIT */
/* The size classes of a pool: limits, rounding, alignment, and slabs up to 1 GiB. */
#include "rig.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Creates with these classes; returns what the library said. */
static int with(uint32_t count, const struct shmbus_pool_class *classes)
{
    struct shmbus_bus_options options = rig_small();
    options.class_count = count;
    memset(options.classes, 0, sizeof options.classes);
    memcpy(options.classes, classes,
           (count < SHMBUS_CLASSES_MAX ? count : SHMBUS_CLASSES_MAX) * sizeof classes[0]);
    return rig_try_create("bus", &options);
}

#define CLASSES(...) ((const struct shmbus_pool_class[SHMBUS_CLASSES_MAX]){__VA_ARGS__})

START_TEST(classes_out_of_range)
{
    assert_error(with(9, CLASSES({64, 1})), -EINVAL, "class_count", "9", "8");
    assert_error(with(UINT32_MAX, CLASSES({64, 1})), -EINVAL, "class_count");
    assert_error(with(1, CLASSES({0, 1})), -EINVAL, "classes[0].slab_bytes");
    assert_error(with(1, CLASSES({63, 1})), -EINVAL, "classes[0].slab_bytes", "63", "64");
    assert_error(with(1, CLASSES({SHMBUS_SLAB_BYTES_MAX + 1ull, 1})), -EINVAL, "slab_bytes",
                 "1073741824");
    assert_error(with(1, CLASSES({UINT64_MAX, 1})), -EINVAL, "slab_bytes");
    assert_error(with(1, CLASSES({64, 0})), -EINVAL, "classes[0].slab_count");
    assert_error(with(1, CLASSES({64, SHMBUS_SLABS_MAX + 1ull})), -EINVAL, "slab_count");
    assert_error(with(1, CLASSES({64, UINT64_MAX})), -EINVAL, "slab_count");
    assert_error(with(2, CLASSES({128, 1}, {64, 1})), -EINVAL, "classes[1]", "64", "128", "rising");
    assert_error(with(2, CLASSES({64, 1}, {64, 1})), -EINVAL, "classes[1]", "rising");
    /* The same once they are rounded. */
    assert_error(with(2, CLASSES({65, 1}, {128, 1})), -EINVAL, "classes[1]", "rising");
    assert_error(with(2, CLASSES({4095, 1}, {4096, 1})), -EINVAL, "classes[1]", "rising");
    assert_error(with(2, CLASSES({64, SHMBUS_SLABS_MAX}, {128, 1})), -EINVAL, "268435457");
    ck_assert_int_eq(rig_count_names(rig_folder()), 0);
}
END_TEST

START_TEST(no_pool)
{
    struct shmbus_bus_options options = rig_small();
    struct shmbus_producer *producer;
    struct shmbus_claim claim;
    struct shmbus_bus_info bus;
    options.flags = SHMBUS_BUS_NO_POOL;
    assert_error(rig_try_create("bus", &options), -EINVAL, "class_count", "NO_POOL");
    options.class_count = 0;
    producer = rig_create("bus", &options);
    rig_stream("bus", producer, 40);
    assert_error(shmbus_producer_claim(producer, 49, &claim), -EMSGSIZE, "49", "48", "no pool");
    assert_ok(rig_look("bus", &bus, NULL, 0));
    ck_assert_uint_eq(bus.class_count, 0);
    shmbus_producer_close(producer);
    assert_ok(rig_try_open("bus"));
}
END_TEST

/* Takes every slab of every class, fills all of it, and sees where they are. */
static void fill_all(struct shmbus_producer *producer, uint32_t classes)
{
    for (uint32_t i = 0; i < classes; i++) {
        static struct shmbus_slab slabs[64];
        struct shmbus_pool_stats stats;
        assert_ok(shmbus_producer_pool_stats(producer, i, &stats));
        uint32_t count = (uint32_t)stats.slab_count;
        ck_assert_uint_le(count, 64);
        assert_ok(shmbus_producer_slab_acquire(producer, stats.slab_bytes, count, slabs));
        for (uint32_t j = 0; j < count; j++) {
            uintptr_t alignment = stats.slab_bytes < 4096 ? 64 : 4096;
            ck_assert_uint_eq((uintptr_t)slabs[j].data % alignment, 0);
            ck_assert_uint_eq(slabs[j].bytes, stats.slab_bytes);
            memset(slabs[j].data, (int)(i * 64 + j), stats.slab_bytes);
        }
        for (uint32_t j = 0; j < count; j++) {
            const unsigned char *bytes = slabs[j].data;
            ck_assert_uint_eq(bytes[0], (unsigned char)(i * 64 + j));
            ck_assert_uint_eq(bytes[stats.slab_bytes - 1], (unsigned char)(i * 64 + j));
            assert_ok(shmbus_producer_slab_release(producer, slabs[j].handle));
        }
    }
}

START_TEST(eight_classes)
{
    static const uint64_t rounded[] = {64, 128, 192, 4032, 4096, 8192, 12288, 1048576};
    struct shmbus_bus_options options = rig_small();
    struct shmbus_producer *producer;
    options.class_count = 8;
    memcpy(options.classes,
           CLASSES({64, 5}, {65, 3}, {129, 64}, {4032, 2}, {4033, 7}, {4097, 4}, {12288, 1},
                   {1044481, 2}),
           sizeof options.classes);
    producer = rig_create("bus", &options);
    for (uint32_t i = 0; i < 8; i++) {
        struct shmbus_pool_stats stats;
        assert_ok(shmbus_producer_pool_stats(producer, i, &stats));
        ck_assert_uint_eq(stats.slab_bytes, rounded[i]);
        ck_assert_uint_eq(stats.slab_count, options.classes[i].slab_count);
    }
    fill_all(producer, 8);
    rig_stream("bus", producer, 40);
    shmbus_producer_close(producer);
    assert_ok(rig_try_create("bus", &options));
    assert_ok(rig_try_join("bus"));
}
END_TEST

START_TEST(a_slab_of_a_gibibyte)
{
    const uint64_t bytes = SHMBUS_SLAB_BYTES_MAX;
    struct shmbus_bus_options options = rig_small();
    struct shmbus_consumer_options joins = rig_required();
    struct shmbus_consumer *consumer;
    struct shmbus_message message;
    struct shmbus_claim claim;
    struct statvfs room;
    ck_assert_int_eq(statvfs(rig_folder(), &room), 0);
    uint64_t memory = (uint64_t)sysconf(_SC_AVPHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    if ((uint64_t)room.f_bavail * room.f_frsize < bytes + bytes / 4 || memory < bytes + bytes / 2) {
        rig_skip("a_slab_of_a_gibibyte", "less than 1.5 GiB of memory or of /dev/shm is free");
        return;
    }
    options.class_count = 1;
    options.classes[0] = (struct shmbus_pool_class){bytes, 1};
    struct shmbus_producer *producer = rig_create("bus", &options);
    assert_ok(shmbus_consumer_open("bus", &joins, &consumer));
    assert_ok(shmbus_producer_claim(producer, (uint32_t)bytes, &claim));
    unsigned char *data = claim.data;
    data[0] = 1;
    data[bytes - 1] = 2;
    assert_ok(shmbus_producer_commit(producer, &claim, 0, 0));
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
    ck_assert_uint_eq(message.length, bytes);
    const unsigned char *got = message.data;
    ck_assert_uint_eq(got[0], 1);
    ck_assert_uint_eq(got[bytes - 1], 2);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
    assert_ok(shmbus_unlink("bus", NULL));
}
END_TEST

RIG_MAIN("pools", classes_out_of_range, no_pool, eight_classes, a_slab_of_a_gibibyte)
