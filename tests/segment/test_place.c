/* SPDX-License-Identifier: MIT */
/* Where pages are and how large: NUMA, transparent huge pages, prefault and mlock. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <numa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Adds up a field of the mappings of a file in /proc/self/smaps, in bytes. */
static uint64_t mapped(const char *file, const char *field)
{
    char line[1024];
    uint64_t sum = 0;
    int inside = 0;
    FILE *maps = fopen("/proc/self/smaps", "re");
    ck_assert_ptr_nonnull(maps);
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long long kilobytes;
        if (strchr(line, '-') != NULL && strchr(line, '-') < strchr(line, ' '))
            inside = strstr(line, file) != NULL;
        else if (inside && strncmp(line, field, strlen(field)) == 0 &&
                 sscanf(line + strlen(field), ": %llu", &kilobytes) == 1)
            sum += kilobytes * 1024;
    }
    fclose(maps);
    return sum;
}

/* The kernel's word on the policy of a file's mapping. */
static void policy_of(const char *file, char *out_policy)
{
    char line[2048];
    FILE *maps = fopen("/proc/self/numa_maps", "re");
    strcpy(out_policy, "");
    if (maps == NULL)
        return;
    while (fgets(line, sizeof line, maps) != NULL)
        if (strstr(line, file) != NULL)
            sscanf(line, "%*s %63s", out_policy);
    fclose(maps);
}

static uint64_t sum_pages(const struct shmbus_placement *placement)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < placement->node_count; i++)
        sum += placement->pages_by_node[i];
    return sum;
}

/* Creates with a placement; every page is accounted for, by the producer and by a snapshot. */
static void placed(uint32_t numa, uint32_t node, const char *policy)
{
    struct shmbus_bus_options options = rig_small();
    struct shmbus_placement placement;
    struct shmbus_placement seen;
    struct shmbus_snapshot *snapshot;
    char found[64];
    options.capacity = 16384;
    options.numa = numa;
    options.numa_node = node;
    struct shmbus_producer *producer = rig_create("bus", &options);
    assert_ok(shmbus_producer_placement(producer, &placement));
    assert_ok(shmbus_snapshot_open("bus", NULL, &snapshot));
    const struct shmbus_bus_info *bus = shmbus_snapshot_bus(snapshot);
    uint64_t pages = (bus->feed_bytes + bus->control_bytes) / 4096;
    ck_assert_uint_eq(bus->numa, numa);
    ck_assert_uint_eq(bus->numa_node, numa == SHMBUS_NUMA_NODE ? node : 0);
    assert_ok(shmbus_snapshot_placement(snapshot, &seen));
    ck_assert_mem_eq(&seen, &placement, sizeof seen);
    ck_assert_uint_eq(placement.page_bytes, 4096);
    ck_assert_uint_eq(placement.huge_bytes, 0);
    ck_assert_uint_eq(sum_pages(&placement) + placement.pages_elsewhere, pages);
    if (numa_available() >= 0) {
        ck_assert_uint_eq(placement.numa_known, 1);
        ck_assert_uint_eq(placement.pages_elsewhere, 0);
        policy_of("shmbus.bus/feed", found);
        ck_assert_msg(found[0] == 0 || strncmp(found, policy, strlen(policy)) == 0, "%s", found);
        if (numa == SHMBUS_NUMA_NODE)
            ck_assert_uint_eq(placement.pages_by_node[node], pages);
    }
    shmbus_snapshot_close(snapshot);
    shmbus_producer_close(producer);
    assert_ok(shmbus_unlink("bus", NULL));
}

START_TEST(placements_that_always_work)
{
    placed(SHMBUS_NUMA_NONE, 0, "default");
    placed(SHMBUS_NUMA_NONE, 7, "default");
    placed(SHMBUS_NUMA_LOCAL, 0, numa_available() >= 0 ? "bind:" : "default");
}
END_TEST

START_TEST(placements_of_numa)
{
    if (numa_available() < 0) {
        rig_skip("placements_of_numa", "no NUMA support in this kernel");
        return;
    }
    placed(SHMBUS_NUMA_INTERLEAVE, 0, "interleave:");
    for (int node = 0; node <= numa_max_node(); node++)
        if (numa_bitmask_isbitset(numa_all_nodes_ptr, (unsigned)node))
            placed(SHMBUS_NUMA_NODE, (uint32_t)node, "bind:");
}
END_TEST

START_TEST(nodes_that_are_not_there)
{
    const uint32_t nodes[] = {
        (uint32_t)numa_max_node() + 1, 63, 64, 65, 1000, INT32_MAX, UINT32_MAX};
    char there[32];
    if (numa_available() < 0) {
        struct shmbus_bus_options options = rig_small();
        options.numa = SHMBUS_NUMA_NODE;
        assert_error(rig_try_create("bus", &options), -ENOTSUP, "NUMA", "local");
        options.numa = SHMBUS_NUMA_INTERLEAVE;
        assert_error(rig_try_create("bus", &options), -ENOTSUP, "NUMA", "local");
        ck_assert_int_eq(rig_count_names(rig_folder()), 0);
        return;
    }
    snprintf(there, sizeof there, "%d", numa_max_node());
    for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++) {
        struct shmbus_bus_options options = rig_small();
        char node[32];
        if (nodes[i] <= (uint32_t)numa_max_node())
            continue;
        options.numa = SHMBUS_NUMA_NODE;
        options.numa_node = nodes[i];
        snprintf(node, sizeof node, "node %u is not there", nodes[i]);
        assert_error(rig_try_create("bus", &options), -ENXIO, node, "this machine has 0", there);
        ck_assert_int_eq(rig_count_names(rig_folder()), 0);
    }
}
END_TEST

/* Sixteen times more than there is, on a file system without a limit: refused before it is touched.
 */
START_TEST(a_node_that_is_too_small)
{
    static const char test[] = "a_node_that_is_too_small";
    struct shmbus_bus_options options = rig_small();
    char needed[64];
    if (numa_available() < 0) {
        rig_skip(test, "no NUMA support in this kernel");
        return;
    }
    if (!rig_needs_root(test) || rig_mount(test, rig_path("endless"), "tmpfs", "size=0") < 0)
        return;
    uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    options.folder = rig_path("endless");
    options.class_count = 1;
    options.classes[0] = (struct shmbus_pool_class){UINT64_C(1) << 26, (memory >> 26) * 16};
    for (options.numa = SHMBUS_NUMA_LOCAL; options.numa <= SHMBUS_NUMA_NODE; options.numa += 2) {
        struct feed_header header;
        assert_ok(layout_plan(&options, "bus", 4096, &header));
        snprintf(needed, sizeof needed, "%llu are needed", (unsigned long long)header.feed_bytes);
        assert_error(rig_try_create("bus", &options), -ENOMEM, "NUMA node ", "bytes free", needed);
        ck_assert_int_eq(rig_count_names(options.folder), 0);
    }
}
END_TEST

/* Creates with THP in the folder that SHMBUS_DIR names; returns how much of feed is in huge pages.
 */
static uint64_t asked_for_thp(void)
{
    struct shmbus_bus_options options = rig_small();
    struct shmbus_placement placement;
    struct shmbus_bus_info bus;
    options.capacity = 131072;
    options.pages = SHMBUS_PAGES_THP;
    struct shmbus_producer *producer = rig_create("bus", &options);
    rig_stream("bus", producer, 100);
    assert_ok(shmbus_producer_placement(producer, &placement));
    assert_ok(rig_look("bus", &bus, NULL, 0));
    ck_assert_uint_eq(bus.pages, SHMBUS_PAGES_THP);
    /* What the kernel says, not what was asked. */
    ck_assert_uint_eq(placement.huge_bytes, mapped("shmbus.bus/feed", "ShmemPmdMapped"));
    ck_assert_uint_eq(placement.page_bytes > 4096, placement.huge_bytes > 0);
    shmbus_producer_close(producer);
    assert_ok(rig_try_create("bus", &options));
    assert_ok(rig_try_join("bus"));
    assert_ok(shmbus_unlink("bus", NULL));
    return placement.huge_bytes;
}

START_TEST(transparent_huge_pages_where_the_kernel_gives_them)
{
    asked_for_thp();
}
END_TEST

START_TEST(transparent_huge_pages)
{
    static const char test[] = "transparent_huge_pages";
    if (!rig_needs_root(test) || rig_mount(test, rig_path("huge"), "tmpfs", "huge=advise") < 0)
        return;
    setenv("SHMBUS_DIR", rig_path("huge"), 1);
    uint64_t bytes = asked_for_thp();
    ck_assert_uint_ge(bytes, UINT64_C(4) << 20);
    ck_assert_uint_eq(bytes % (UINT64_C(2) << 20), 0);
}
END_TEST

/* Attaches; returns what of its mappings of a file is in memory or locked. */
static uint64_t attached(uint32_t flags, const char *file, const char *field)
{
    struct shmbus_consumer_options options = rig_required();
    struct shmbus_consumer *consumer;
    options.flags = flags;
    assert_ok(shmbus_consumer_open("bus", &options, &consumer));
    uint64_t bytes = mapped(file, field);
    shmbus_consumer_close(consumer);
    return bytes;
}

START_TEST(prefault)
{
    struct shmbus_bus_options options = rig_small();
    struct shmbus_bus_info bus;
    options.capacity = 65536;
    rig_make("bus", &options);
    assert_ok(rig_look("bus", &bus, NULL, 0));
    ck_assert_uint_lt(attached(0, "shmbus.bus/feed", "Rss"), bus.feed_bytes / 2);
    ck_assert_uint_eq(attached(SHMBUS_MAP_PREFAULT, "shmbus.bus/feed", "Rss"), bus.feed_bytes);
    ck_assert_uint_eq(attached(SHMBUS_MAP_PREFAULT, "shmbus.bus/control", "Rss"),
                      bus.control_bytes);
    options.flags = SHMBUS_MAP_PREFAULT;
    for (int again = 0; again < 2; again++) {
        struct shmbus_producer *producer = rig_create("bus", &options);
        ck_assert_uint_eq(mapped("shmbus.bus/feed", "Rss"), bus.feed_bytes);
        shmbus_producer_close(producer);
    }
}
END_TEST

START_TEST(locking)
{
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    struct shmbus_bus_options options = rig_small();
    struct shmbus_bus_info bus;
    if (!rig_needs_mlock("locking"))
        return;
    setrlimit(RLIMIT_MEMLOCK, &all);
    rig_make("bus", &options);
    assert_ok(rig_look("bus", &bus, NULL, 0));
    ck_assert_uint_eq(attached(0, "shmbus.bus/feed", "Locked"), 0);
    ck_assert_uint_eq(attached(SHMBUS_MAP_LOCK, "shmbus.bus/feed", "Locked"), bus.feed_bytes);
    ck_assert_uint_eq(attached(SHMBUS_MAP_LOCK, "shmbus.bus/control", "Locked"), bus.control_bytes);
    options.flags = SHMBUS_MAP_LOCK;
    struct shmbus_producer *producer = rig_create("bus", &options);
    ck_assert_uint_eq(mapped("shmbus.bus/feed", "Locked"), bus.feed_bytes);
    shmbus_producer_close(producer);
    producer = rig_create("new", &options);
    ck_assert_uint_eq(mapped("shmbus.new/feed", "Locked"), bus.feed_bytes);
    shmbus_producer_close(producer);
}
END_TEST

RIG_MAIN("place", placements_that_always_work, placements_of_numa, nodes_that_are_not_there,
         a_node_that_is_too_small, transparent_huge_pages_where_the_kernel_gives_them,
         transparent_huge_pages, prefault, locking)
