/* SPDX-License-Identifier: MIT */
/* Feed on hugetlbfs: found by the bus's name alone, removed with it, and an empty pool is an error.
 */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define POOL      "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
#define POOL_FREE "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"
#define PAGE      (UINT64_C(2) << 20)

/* A hugetlbfs of the test's own and so many more free pages. Returns 1, or skips. */
static int have_pages(const char *test, long long count)
{
    char wanted[32];
    if (!rig_needs_root(test))
        return 0;
    long long free_pages = rig_number(POOL_FREE);
    long long all = rig_number(POOL);
    snprintf(wanted, sizeof wanted, "%lld", all - free_pages + count);
    if (all < 0 || rig_setting(POOL, wanted) < 0 || rig_number(POOL_FREE) != count) {
        rig_skip(test, "no pool of %lld free huge pages to be had", count);
        return 0;
    }
    return rig_mount(test, rig_path("huge"), "hugetlbfs", "pagesize=2M") == 0;
}

static struct shmbus_bus_options huge(void)
{
    struct shmbus_bus_options options = rig_small();
    options.pages = SHMBUS_PAGES_HUGETLB;
    options.hugetlb_folder = rig_path("huge");
    return options;
}

static int call_all(void *context)
{
    struct shmbus_bus_info *bus = context;
    int result = rig_try_join("bus");
    if (result == 0)
        result = rig_look("bus", bus, NULL, 0);
    if (result == 0 && (bus->state != SHMBUS_STATE_OPEN || bus->pages != SHMBUS_PAGES_HUGETLB))
        result = 1;
    return result;
}

START_TEST(a_bus_on_huge_pages)
{
    struct shmbus_bus_info bus;
    struct shmbus_placement placement;
    if (!have_pages("a_bus_on_huge_pages", 4))
        return;
    for (int named = 0; named < 2; named++) {
        struct shmbus_bus_options options = huge();
        if (!named)
            options.hugetlb_folder = NULL;
        struct shmbus_producer *producer = rig_create("bus", &options);
        if (named)
            ck_assert_int_eq(rig_count_names(rig_path("huge")), 1);
        rig_stream("bus", producer, 40);
        assert_answer(rig_elsewhere(call_all, &bus), 0, "");
        assert_ok(shmbus_producer_placement(producer, &placement));
        assert_ok(rig_look("bus", &bus, NULL, 0));
        ck_assert_uint_eq(bus.feed_bytes % PAGE, 0);
        ck_assert_uint_eq(placement.page_bytes, PAGE);
        ck_assert_uint_eq(placement.huge_bytes, bus.feed_bytes);
        ck_assert_uint_eq(placement.pages_elsewhere, 0);
        assert_error(rig_try_open("bus"), -EBUSY, "living producer");
        shmbus_producer_close(producer);
        assert_ok(rig_try_open("bus"));
        assert_ok(rig_try_create("bus", &options));
        assert_ok(shmbus_unlink("bus", NULL));
        ck_assert_int_eq(rig_count_names(rig_path("huge")), 0);
        ck_assert_int_eq(rig_count_names(rig_folder()), 1);
        ck_assert_int_eq(rig_number(POOL_FREE), 4);
    }
}
END_TEST

START_TEST(modes_on_huge_pages)
{
    struct shmbus_bus_options options;
    struct shmbus_bus_info bus;
    if (!have_pages("modes_on_huge_pages", 2))
        return;
    options = huge();
    options.mode = 0660;
    options.group = "2001";
    struct shmbus_producer *producer = rig_create("bus", &options);
    assert_answer(rig_as(2001, 2001, call_all, &bus), 0, "");
    assert_answer(rig_as(2002, 2002, call_all, &bus), -EACCES, "this is user 2002");
    assert_ok(rig_look("bus", &bus, NULL, 0));
    ck_assert_uint_eq(bus.mode, 0660);
    ck_assert_uint_eq(bus.owner_gid, 2001);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(an_empty_pool)
{
    struct shmbus_bus_options options;
    if (!have_pages("an_empty_pool", 0))
        return;
    options = huge();
    assert_error(rig_try_create("bus", &options), -ENOMEM, "bus", "1 pages of 2097152 bytes",
                 "pool has 0 free", "nr_hugepages");
    ck_assert_int_eq(rig_count_names(rig_path("huge")), 0);
    ck_assert_int_eq(rig_count_names(rig_folder()), 1);
}
END_TEST

START_TEST(a_pool_that_is_too_small)
{
    struct shmbus_bus_options options;
    if (!have_pages("a_pool_that_is_too_small", 2))
        return;
    options = huge();
    options.capacity = 65536;
    for (uint32_t numa = SHMBUS_NUMA_NONE; numa <= SHMBUS_NUMA_LOCAL; numa++) {
        options.numa = numa;
        assert_error(rig_try_create("bus", &options), -ENOMEM, "bus", "3 pages", "has 2 free");
        ck_assert_int_eq(rig_count_names(rig_path("huge")), 0);
        ck_assert_int_eq(rig_count_names(rig_folder()), 1);
        ck_assert_int_eq(rig_number(POOL_FREE), 2);
    }
}
END_TEST

START_TEST(folders_that_are_none)
{
    struct shmbus_bus_options options = rig_small();
    options.pages = SHMBUS_PAGES_HUGETLB;
    options.hugetlb_folder = rig_folder();
    assert_error(rig_try_create("bus", &options), -EINVAL, rig_folder(), "not a hugetlbfs");
    options.hugetlb_folder = "relative";
    assert_error(rig_try_create("bus", &options), -EINVAL, "\"relative\"", "absolute");
    options.hugetlb_folder = rig_path("absent");
    assert_error(rig_try_create("bus", &options), -ENOENT, "/absent");
    ck_assert_int_eq(rig_count_names(rig_folder()), 0);
    if (system("grep -q ' hugetlbfs ' /proc/mounts") != 0) {
        options.hugetlb_folder = NULL;
        assert_error(rig_try_create("bus", &options), -ENOTSUP, "hugetlbfs", "mount");
        ck_assert_int_eq(rig_count_names(rig_folder()), 0);
    }
}
END_TEST

static void put_locator(const struct feed_locator *locator, size_t bytes)
{
    int file = open(rig_path("shmbus.bus/feed"), O_WRONLY | O_TRUNC | O_CLOEXEC);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(write(file, locator, bytes), (ssize_t)bytes);
    close(file);
    struct shmbus_bus_info bus;
    int joined = rig_try_join("bus");
    int opened = rig_try_open("bus");
    ck_assert_msg(joined == -EBADMSG, "%d %s", joined, shmbus_error_text());
    ck_assert_int_eq(opened, -EBADMSG);
    assert_ok(rig_look("bus", &bus, NULL, 0));
    ck_assert_uint_eq(bus.state, SHMBUS_STATE_DAMAGED);
}

START_TEST(locators_that_mislead)
{
    struct shmbus_bus_options options;
    struct feed_locator locator;
    if (!have_pages("locators_that_mislead", 4))
        return;
    options = huge();
    rig_make("bus", &options);
    rig_make("other", &options);
    int file = open(rig_path("shmbus.bus/feed"), O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(read(file, &locator, sizeof locator), sizeof locator);
    close(file);
    struct feed_locator whole = locator;
    locator.segment_id[0] ^= 1;
    put_locator(&locator, sizeof locator);
    locator = whole;
    locator.byte_order = __builtin_bswap32(whole.byte_order);
    put_locator(&locator, sizeof locator);
    locator = whole;
    memset(locator.path, 'x', sizeof locator.path);
    put_locator(&locator, sizeof locator);
    locator.path[0] = '/';
    put_locator(&locator, sizeof locator);
    static const char *const paths[] = {"",          "relative",    "/",
                                        "/dev/zero", "/etc/passwd", "/absent/file"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        locator = whole;
        strcpy(locator.path, paths[i]);
        put_locator(&locator, sizeof locator);
    }
    put_locator(&whole, sizeof whole - 1);
    /* Unlinking removes nothing that is not the bus's own. */
    put_locator(&locator, sizeof locator);
    ck_assert_int_eq(rig_count_names(rig_path("huge")), 2);
    assert_ok(shmbus_unlink("bus", NULL));
    ck_assert_int_eq(rig_count_names(rig_path("huge")), 2);
    assert_ok(shmbus_unlink("other", NULL));
    ck_assert_int_eq(rig_count_names(rig_path("huge")), 1);
}
END_TEST

START_TEST(killed_on_huge_pages)
{
    struct shmbus_bus_options options;
    const char *given = getenv("SHMBUS_TEST_SEED");
    unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    if (!have_pages("killed_on_huge_pages", 3))
        return;
    options = huge();
    printf("seed %u (again: SHMBUS_TEST_SEED=%u)\n", seed, seed);
    srandom(seed);
    for (int i = 0; i < 60; i++) {
        struct timespec pause = {.tv_nsec = random() % 3000000};
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (;;) {
                rig_try_create("bus", &options);
                shmbus_unlink("bus", NULL);
            }
        }
        nanosleep(&pause, NULL);
        ck_assert_int_eq(kill(child, SIGKILL), 0);
        ck_assert_int_eq(waitpid(child, NULL, 0), child);
        rig_make("next", &options);
        assert_ok(shmbus_unlink("next", NULL));
        int result = shmbus_unlink("bus", NULL);
        ck_assert(result == 0 || result == -ENOENT);
        ck_assert_int_eq(rig_count_names(rig_path("huge")), 0);
        ck_assert_int_eq(rig_count_names(rig_folder()), 1);
        ck_assert_int_eq(rig_number(POOL_FREE), 3);
    }
}
END_TEST

RIG_MAIN("hugetlb", a_bus_on_huge_pages, modes_on_huge_pages, an_empty_pool,
         a_pool_that_is_too_small, folders_that_are_none, locators_that_mislead,
         killed_on_huge_pages)
