/* SPDX-License-Identifier: MIT */
/*
 * shmbus-stat: every figure of its page and of its object against what was done to the bus, and
 * that the bus never knows that it was looked at.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"
#include "json.h"

/* What shmbus-stat --json prints of a bus. */
static struct bytes picture_of(const char *bus)
{
    const struct ending stat = tool_run(ARGUMENTS(STAT, "--json", bus), NULL, 0);
    assert_code(stat, 0);
    ck_assert_msg(json_valid(stat.out.data, stat.out.length), "%s", stat.out.data);
    return stat.out;
}

static struct bytes page_of(const char *bus)
{
    const struct ending stat = tool_run(ARGUMENTS(STAT, "--interval", "0.05", bus), NULL, 0);
    assert_code(stat, 0);
    ck_assert_str_eq(stat.err.data, "");
    return stat.out;
}

/* Keeps the first message that comes, and stops there. */
static int keep_first(const struct shmbus_message *message, void *context)
{
    uint64_t handle = 0;
    ck_assert_int_eq(shmbus_consumer_retain(context, message, &handle), 0);
    return 1;
}

/* Every key that is promised is there. */
static void check_keys(const char *text)
{
    static const char *const keys[] = {"bus",
                                       "state",
                                       "tail",
                                       "capacity",
                                       "slot_bytes",
                                       "producers.0.pid",
                                       "producers.0.alive",
                                       "producers.0.published",
                                       "consumers.0.name",
                                       "consumers.0.pid",
                                       "consumers.0.kind",
                                       "consumers.0.alive",
                                       "consumers.0.cursor",
                                       "consumers.0.lag",
                                       "consumers.0.received",
                                       "consumers.0.lost",
                                       "consumers.0.held",
                                       "pools.0.slab_bytes",
                                       "pools.0.count",
                                       "pools.0.in_use",
                                       "pools.0.held",
                                       "pools.0.high_water",
                                       "pools.0.exhausted",
                                       "numa.requested",
                                       "numa.pages_by_node",
                                       "page_bytes"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        ck_assert_msg(json_at(text, keys[i]) != NULL, "no %s in %s", keys[i], text);
    }
}

static void check_bus(const char *text, pid_t pub)
{
    ck_assert(json_is(text, "bus", "\"keys\""));
    ck_assert(json_is(text, "state", "\"open\""));
    ck_assert_uint_eq(json_number(text, "tail"), 5);
    ck_assert_uint_eq(json_number(text, "capacity"), 64);
    ck_assert_uint_eq(json_number(text, "slot_bytes"), 64);
    ck_assert_int_eq(json_count(text, "producers"), 1);
    ck_assert_uint_eq(json_number(text, "producers.0.pid"), (uint64_t)pub);
    ck_assert(json_is(text, "producers.0.alive", "true"));
    ck_assert_uint_eq(json_number(text, "producers.0.published"), 5);
    ck_assert_uint_eq(json_number(text, "pools.1.slab_bytes"), 1024);
    ck_assert_uint_eq(json_number(text, "pools.1.count"), 4);
    ck_assert_uint_eq(json_number(text, "pools.1.in_use"), 3);
    ck_assert_uint_eq(json_number(text, "pools.1.held"), 1);
    ck_assert_uint_eq(json_number(text, "pools.1.high_water"), 3);
    ck_assert_uint_eq(json_number(text, "pools.1.exhausted"), 0);
    ck_assert_uint_eq(json_number(text, "pools.0.in_use"), 0);
    ck_assert_uint_eq(json_number(text, "page_bytes"), (uint64_t)sysconf(_SC_PAGESIZE));
}

static void check_consumers(const char *text, pid_t sub)
{
    ck_assert_int_eq(json_count(text, "consumers"), 2);
    ck_assert(json_is(text, "consumers.0.name", "\"slow\""));
    ck_assert_uint_eq(json_number(text, "consumers.0.pid"), (uint64_t)getpid());
    ck_assert(json_is(text, "consumers.0.kind", "\"required\""));
    ck_assert(json_is(text, "consumers.0.alive", "true"));
    ck_assert(json_is(text, "consumers.0.gates", "true"));
    ck_assert_uint_eq(json_number(text, "consumers.0.cursor"), 1);
    ck_assert_uint_eq(json_number(text, "consumers.0.lag"), 4);
    ck_assert_uint_eq(json_number(text, "consumers.0.received"), 1);
    ck_assert_uint_eq(json_number(text, "consumers.0.lost"), 0);
    ck_assert_uint_eq(json_number(text, "consumers.0.held"), 1);
    ck_assert(json_is(text, "consumers.1.name", "\"quick.one\""));
    ck_assert_uint_eq(json_number(text, "consumers.1.pid"), (uint64_t)sub);
    ck_assert_uint_eq(json_number(text, "consumers.1.lag"), 0);
    ck_assert_uint_eq(json_number(text, "consumers.1.received"), 5);
    ck_assert(json_is(text, "consumers.1.gates", "false"));
}

static void check_page(void)
{
    const struct bytes page = page_of("keys");
    assert_in(page, "bus         keys\n");
    assert_in(page, "state       open: ");
    assert_in(page, "ring        64 slots of 64 bytes, 4 to be read by the slowest");
    assert_in(page, "tail 5\n");
    assert_in(page, "rate        0 messages/s, over 0.");
    assert_in(page, "slow ");
    assert_in(page, "quick.one ");
    assert_in(page, "gates the producer");
    assert_in(page, "SLAB BYTES");
    assert_in(page, "numa        asked for: none; pages");
    assert_not_in(page, "too small");
}

START_TEST(test_every_key)
{
    struct tool pub = tool_start(ARGUMENTS(PUB, "--capacity", "64", "--pool", "128:8,1024:4",
                                           "--wait-consumers", "2", "keys"));
    struct shmbus_consumer *slow = attach("keys", "slow");
    struct tool sub =
        tool_start(ARGUMENTS(SUB, "--required", "--from", "oldest", "--name", "quick.one", "keys"));
    char line[201];
    memset(line, 'x', 200);
    line[200] = '\n';
    for (int i = 0; i < 3; i++) {
        tool_write(&pub, line, sizeof(line));
    }
    tool_write(&pub, "four\nfive\n", 10);
    tool_await_out(&sub, "five\n");
    ck_assert_int_eq(shmbus_consumer_poll(slow, keep_first, slow, 1), 1);
    await_received("keys", "quick.one", 5);

    const struct bytes picture = picture_of("keys");
    check_keys(picture.data);
    check_bus(picture.data, pub.pid);
    check_consumers(picture.data, sub.pid);
    check_page();
    shmbus_consumer_close(slow);
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    const struct ending read = tool_end(&sub);
    assert_code(read, 0);
}
END_TEST

START_TEST(test_pool_too_small)
{
    /* The third line of 500 bytes finds no slab; the page says so, and what would do. */
    struct tool pub = tool_start(ARGUMENTS(PUB, "--capacity", "64", "--pool", "128:4,1024:2",
                                           "--wait-consumers", "1", "small"));
    struct shmbus_consumer *consumer = attach("small", "slow");
    char line[501];
    memset(line, 'x', 500);
    line[500] = '\n';
    for (int i = 0; i < 3; i++) {
        tool_write(&pub, line, sizeof(line));
    }
    await_exhausted("small", 1);
    const struct bytes page = page_of("small");
    assert_in(page, "too small: slabs of 1024 bytes ran out ");
    assert_in(page, "shmbus-pub --pool 128:4,1024:4\n");
    const struct bytes picture = picture_of("small");
    ck_assert_uint_ge(json_number(picture.data, "pools.1.exhausted"), 1);
    ck_assert_uint_eq(json_number(picture.data, "pools.1.in_use"), 2);
    ck_assert_uint_eq(json_number(picture.data, "pools.1.high_water"), 2);
    ck_assert_uint_eq(json_number(picture.data, "pools.0.exhausted"), 0);
    shmbus_consumer_close(consumer);
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
}
END_TEST

START_TEST(test_rate)
{
    /* Whatever the machine does meanwhile, something is published in each half second. */
    struct tool pub = tool_start(ARGUMENTS(PUB, "--rate", "1000", "rate"));
    struct bytes lines = {0};
    for (int i = 0; i < 30000; i++) {
        bytes_add(&lines, "\n", 1);
    }
    tool_write(&pub, lines.data, lines.length);
    await_tail("rate", 1);
    const struct ending stat = tool_run(ARGUMENTS(STAT, "--interval", "0.5", "rate"), NULL, 0);
    assert_code(stat, 0);
    ck_assert_uint_gt(number_after(stat.out.data, "\nrate "), 0);
    kill(pub.pid, SIGTERM);
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
}
END_TEST

/* Sums up a file's content and times, so that any change shows; access times are none. */
static uint64_t file_print(const char *path)
{
    struct stat info;
    FILE *file = fopen(path, "r");
    uint64_t print = 14695981039346656037u;
    int byte;
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fstat(fileno(file), &info), 0);
    while ((byte = getc(file)) != EOF) {
        print = (print ^ (unsigned)byte) * 1099511628211u;
    }
    fclose(file);
    print = print * 31 + (uint64_t)info.st_mtim.tv_nsec + (uint64_t)info.st_mtim.tv_sec;
    print = print * 31 + (uint64_t)info.st_ctim.tv_nsec + (uint64_t)info.st_ctim.tv_sec;
    return print * 31 + info.st_ino + (uint64_t)info.st_size + info.st_nlink;
}

START_TEST(test_leaves_no_trace)
{
    static const char *const files[] = {"feed", "control", "owner"};
    uint64_t before[3];
    struct stat folder_before;
    struct stat folder_after;
    struct tool pub = tool_start(ARGUMENTS(PUB, "--pool", "64:4", "--capacity", "64", "trace"));
    struct shmbus_consumer *consumer = attach("trace", "slow");
    tool_write(&pub, "one\n", 4);
    await_tail("trace", 1);
    for (int i = 0; i < 3; i++) {
        before[i] = file_print(path_in("shmbus.trace/%s", files[i]));
    }
    ck_assert_int_eq(stat(path_in("shmbus.trace"), &folder_before), 0);
    page_of("trace");
    picture_of("trace");
    const struct ending list = tool_run(ARGUMENTS(STAT), NULL, 0);
    assert_code(list, 0);
    for (int i = 0; i < 3; i++) {
        const uint64_t after = file_print(path_in("shmbus.trace/%s", files[i]));
        ck_assert_msg(after == before[i], "%s was changed", files[i]);
    }
    ck_assert_int_eq(stat(path_in("shmbus.trace"), &folder_after), 0);
    ck_assert_mem_eq(&folder_before.st_mtim, &folder_after.st_mtim, sizeof(folder_after.st_mtim));
    shmbus_consumer_close(consumer);
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
}
END_TEST

START_TEST(test_list)
{
    const char *other = path_in("list");
    ck_assert_int_eq(mkdir(other, 0700), 0);
    const struct ending none = tool_run(ARGUMENTS(STAT, "--folder", other), NULL, 0);
    assert_code(none, 0);
    ck_assert_str_eq(none.out.data, "");
    assert_in(none.err, "no bus");
    const struct ending empty = tool_run(ARGUMENTS(STAT, "--json", "--folder", other), NULL, 0);
    assert_code(empty, 0);
    ck_assert_str_eq(empty.out.data, "{\"buses\":[]}\n");
    for (int i = 0; i < 2; i++) {
        const struct ending pub =
            tool_run(ARGUMENTS(PUB, "--folder", other, "--keep", i ? "alpha" : "beta"), "x\n", 2);
        assert_code(pub, 0);
    }
    ck_assert_int_eq(mkdir(path_in("list/shmbus.broken"), 0700), 0);
    file_make("list/shmbus.broken/feed", "no bus at all", 13);
    const struct ending list = tool_run(ARGUMENTS(STAT, "--folder", other), NULL, 0);
    assert_code(list, 0);
    const char *alpha = strstr(list.out.data, "\nalpha ");
    const char *beta = strstr(list.out.data, "\nbeta ");
    const char *broken = strstr(list.out.data, "\nbroken ");
    ck_assert_msg(alpha && alpha < beta && beta < broken, "%s", list.out.data);
    ck_assert_ptr_nonnull(strstr(broken, "damaged: "));
    const struct ending json = tool_run(ARGUMENTS(STAT, "--json", "--folder", other), NULL, 0);
    assert_code(json, 0);
    ck_assert(json_valid(json.out.data, json.out.length));
    ck_assert_int_eq(json_count(json.out.data, "buses"), 3);
    ck_assert(json_is(json.out.data, "buses.0.state", "\"closed\""));
    ck_assert(json_is(json.out.data, "buses.2.state", "\"damaged\""));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tools_stat");
    TCase *tcase = tcase_create("stat");
    tcase_add_unchecked_fixture(tcase, folder_make, folder_remove);
    tcase_add_test(tcase, test_every_key);
    tcase_add_test(tcase, test_pool_too_small);
    tcase_add_test(tcase, test_rate);
    tcase_add_test(tcase, test_leaves_no_trace);
    tcase_add_test(tcase, test_list);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
