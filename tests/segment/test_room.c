/* SPDX-License-Identifier: MIT */
/* A file system without room: an error with what was asked and what is left, and nothing left
 * behind; those that have a bus there go on. */
#include "rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define SMALL (UINT64_C(1) << 20)

static uint64_t left_in(const char *path)
{
    struct statvfs found;
    ck_assert_int_eq(statvfs(path, &found), 0);
    return (uint64_t)found.f_bavail * found.f_frsize;
}

static uint64_t asked_for(const struct shmbus_bus_options *options)
{
    struct feed_header header;
    assert_ok(layout_plan(options, "bus", 4096, &header));
    return header.feed_bytes + header.control_bytes;
}

/* Create fails, with both numbers in its text, and leaves the file system as it was. */
static void no_room(const struct shmbus_bus_options *options)
{
    char asked[64];
    char left[64];
    uint64_t before = left_in(options->folder);
    int names = rig_count_names(options->folder);
    snprintf(asked, sizeof asked, "full: %llu bytes are needed",
             (unsigned long long)asked_for(options));
    snprintf(left, sizeof left, "%s has %llu left", options->folder, (unsigned long long)before);
    assert_error(rig_try_create("full", options), -ENOSPC, asked, left);
    ck_assert_int_eq(rig_count_names(options->folder), names);
    ck_assert_uint_eq(left_in(options->folder), before);
    ck_assert_int_eq(rig_count_mappings(), 0);
}

START_TEST(a_small_tmpfs)
{
    struct shmbus_bus_options options = rig_small();
    if (!rig_needs_root("a_small_tmpfs") ||
        rig_mount("a_small_tmpfs", rig_path("small"), "tmpfs", "size=1m") < 0)
        return;
    options.folder = rig_path("small");
    ck_assert_uint_eq(left_in(options.folder), SMALL);
    /* Feed alone is too large, by far and by little; then feed fits and control does not. */
    options.capacity = 65536;
    no_room(&options);
    options.capacity = SHMBUS_CAPACITY_MAX;
    no_room(&options);
    options.capacity = 16384;
    no_room(&options);
    options.capacity = 16;
    options.max_consumers = 300;
    ck_assert_uint_gt(asked_for(&options), SMALL);
    no_room(&options);
    for (int i = 0; i < 50; i++)
        no_room(&options);
    options.max_consumers = 200;
    ck_assert_uint_lt(asked_for(&options), SMALL);
    assert_ok(rig_try_create("bus", &options));
    no_room(&options);
}
END_TEST

/* Not a page is taken from a file system that does not have them all. */
START_TEST(refused_before_it_is_touched)
{
    static const char test[] = "refused_before_it_is_touched";
    struct shmbus_bus_options options = rig_small();
    struct rusage before;
    struct rusage after;
    if (!rig_needs_root(test) || rig_mount(test, rig_path("half"), "tmpfs", "size=256m") < 0)
        return;
    options.folder = rig_path("half");
    options.capacity = 1 << 22;
    options.slot_bytes = 128;
    getrusage(RUSAGE_SELF, &before);
    no_room(&options);
    getrusage(RUSAGE_SELF, &after);
    ck_assert_int_lt(after.ru_maxrss - before.ru_maxrss, 128 * 1024);
}
END_TEST

START_TEST(the_others_go_on)
{
    struct shmbus_bus_options options = rig_small();
    struct shmbus_producer *producer;
    if (!rig_needs_root("the_others_go_on") ||
        rig_mount("the_others_go_on", rig_path("small"), "tmpfs", "size=1m") < 0)
        return;
    options.folder = rig_path("small");
    setenv("SHMBUS_DIR", options.folder, 1);
    producer = rig_create("bus", &options);
    struct shmbus_bus_options large = options;
    large.capacity = 65536;
    assert_error(rig_try_create("full", &large), -ENOSPC, "full");
    /* Whatever fills it: every page of a bus is its own already. */
    FILE *file = fopen(rig_path("small/filler"), "we");
    ck_assert_ptr_nonnull(file);
    while (fputs("0123456789abcdef", file) >= 0 && fflush(file) == 0)
        ;
    fclose(file);
    ck_assert_uint_eq(left_in(options.folder), 0);
    rig_stream("bus", producer, 100);
    shmbus_producer_close(producer);
    assert_ok(rig_try_open("bus"));
    assert_ok(rig_try_join("bus"));
}
END_TEST

START_TEST(no_names_left)
{
    struct shmbus_bus_options options = rig_small();
    if (!rig_needs_root("no_names_left") ||
        rig_mount("no_names_left", rig_path("small"), "tmpfs", "size=1m,nr_inodes=10") < 0)
        return;
    options.folder = rig_path("small");
    rig_make("one", &options);
    rig_make("two", &options);
    for (int i = 0; i < 5; i++)
        assert_error(rig_try_create("full", &options), -ENOSPC, "full", "no room");
    ck_assert_int_eq(rig_count_names(options.folder), 2);
}
END_TEST

START_TEST(a_read_only_file_system)
{
    struct shmbus_bus_options options = rig_small();
    if (!rig_needs_root("a_read_only_file_system") ||
        rig_mount("a_read_only_file_system", rig_path("frozen"), "tmpfs", "size=1m,ro") < 0)
        return;
    options.folder = rig_path("frozen");
    assert_error(rig_try_create("bus", &options), -EACCES, "bus", "read-only");
}
END_TEST

RIG_MAIN("room", a_small_tmpfs, refused_before_it_is_touched, the_others_go_on, no_names_left,
         a_read_only_file_system)
