/* SPDX-License-Identifier: MIT */
/*
 * shmbus-stat among strangers: damaged files, names that a peer made up, and buses of which it may
 * read only a part or nothing.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"
#include "json.h"
#include "other_user.h"

/* Keeps a bus of some messages, and returns its feed's size. */
static off_t keep_bus(const char *bus)
{
    struct stat info;
    const struct ending pub = tool_run(
        ARGUMENTS(PUB, "--keep", "--capacity", "64", "--pool", "64:4", "--mode", "0644", bus),
        "one\ntwo\n", 8);
    assert_code(pub, 0);
    ck_assert_int_eq(stat(path_in("shmbus.%s/feed", bus), &info), 0);
    return info.st_size;
}

static void expect_damaged(const char *bus)
{
    const struct ending page = tool_run(ARGUMENTS(STAT, bus), NULL, 0);
    assert_code(page, 1);
    assert_in(page.out, "state       damaged: ");
    const struct ending json = tool_run(ARGUMENTS(STAT, "--json", bus), NULL, 0);
    assert_code(json, 1);
    ck_assert(json_valid(json.out.data, json.out.length));
    ck_assert(json_is(json.out.data, "state", "\"damaged\""));
    ck_assert(json_is(json.out.data, "producers", "null"));
    ck_assert(!json_is(json.out.data, "why", "\"\""));
    const struct ending sub = tool_run(ARGUMENTS(SUB, "--required", bus), NULL, 0);
    assert_code(sub, 1);
    assert_in(sub.err, bus);
}

START_TEST(test_damaged)
{
    /* Cut at several lengths; then a header of noise. */
    const off_t size = keep_bus("hurt");
    const char *feed = path_in("shmbus.hurt/feed");
    const off_t sizes[] = {size - 1, size / 2, 4096, 100, 1, 0};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        ck_assert_int_eq(truncate(feed, sizes[i]), 0);
        expect_damaged("hurt");
    }
    unsigned char noise[8192];
    for (size_t i = 0; i < sizeof(noise); i++) {
        noise[i] = (unsigned char)(i * 37 + i / 256);
    }
    file_make("shmbus.hurt/feed", noise, sizeof(noise));
    expect_damaged("hurt");
}
END_TEST

START_TEST(test_names_are_escaped)
{
    /* A consumer may write what it likes into its entry: no terminal is to obey it. */
    struct tool pub = tool_start(ARGUMENTS(PUB, "--wait-consumers", "1", "escape"));
    struct shmbus_consumer *consumer = attach("escape", "innocent-name");
    const char *path = path_in("shmbus.escape/control");
    static char control[1 << 20];
    const int file = open(path, O_RDWR | O_CLOEXEC);
    const ssize_t length = pread(file, control, sizeof(control), 0);
    ck_assert_int_gt(length, 0);
    const char *at = memmem(control, (size_t)length, "innocent-name", 13);
    ck_assert_ptr_nonnull(at);
    ck_assert_int_eq(pwrite(file, "\x1b]0;\x07\xff\"", 7, at - control), 7);
    const struct ending shown = tool_run(ARGUMENTS(STAT, "escape"), NULL, 0);
    assert_code(shown, 0);
    const struct bytes page = shown.out;
    const struct ending object = tool_run(ARGUMENTS(STAT, "--json", "escape"), NULL, 0);
    assert_code(object, 0);
    const struct bytes picture = object.out;
    ck_assert(json_valid(picture.data, picture.length));
    for (size_t i = 0; i < page.length; i++) {
        ck_assert(page.data[i] == '\n' || (page.data[i] >= 0x20 && page.data[i] < 0x7f));
    }
    for (size_t i = 0; i + 1 < picture.length; i++) {
        ck_assert(picture.data[i] >= 0x20 && picture.data[i] < 0x7f);
    }
    close(file);
    shmbus_consumer_close(consumer);
    kill(pub.pid, SIGTERM);
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
}
END_TEST

/* Runs shmbus-stat as somebody without privileges. */
static struct ending stat_as_other(const char *option, const char *bus)
{
    return tool_run_as_other(ARGUMENTS(STAT, option, bus));
}

START_TEST(test_control_unreadable)
{
    keep_bus("half");
    ck_assert_int_eq(chmod(path_in("shmbus.half/control"), 0), 0);
    const struct ending page = stat_as_other("--interval=0", "half");
    assert_code(page, 0);
    assert_in(page.out, "tail 2\n");
    assert_in(page.out, "consumers   unknown");
    assert_in(page.out, "fill unknown");
    const struct ending json = stat_as_other("--json", "half");
    assert_code(json, 0);
    ck_assert(json_valid(json.out.data, json.out.length));
    ck_assert(json_is(json.out.data, "consumers", "null"));
    ck_assert(json_is(json.out.data, "ring_used", "null"));
    ck_assert(json_is(json.out.data, "pools.0.held", "null"));
    ck_assert_uint_eq(json_number(json.out.data, "tail"), 2);
}
END_TEST

START_TEST(test_read_only_is_enough)
{
    keep_bus("readable");
    ck_assert_int_eq(chmod(path_in("shmbus.readable/control"), 0444), 0);
    ck_assert_int_eq(chmod(path_in("shmbus.readable/feed"), 0444), 0);
    ck_assert_int_eq(chmod(path_in("shmbus.readable/owner"), 0), 0);
    const struct ending json = stat_as_other("--json", "readable");
    assert_code(json, 0);
    ck_assert_int_eq(json_count(json.out.data, "consumers"), 0);
    ck_assert(json_is(json.out.data, "state", "\"closed\""));
}
END_TEST

START_TEST(test_feed_unreadable)
{
    keep_bus("secret");
    ck_assert_int_eq(chmod(path_in("shmbus.secret/feed"), 0), 0);
    const struct ending page = stat_as_other("--interval=0", "secret");
    assert_code(page, 1);
    assert_in(page.err, "shmbus-stat: bus 'secret': ");
    /* In the list it stands as what it is, beside the others. */
    const struct ending list = stat_as_other("--json", NULL);
    assert_code(list, 0);
    ck_assert(json_valid(list.out.data, list.out.length));
    assert_in(list.out, "\"bus\":\"secret\",\"state\":\"unreadable\"");
    const struct ending lines = stat_as_other("--interval=0", NULL);
    assert_code(lines, 0);
    assert_in(lines.out, "unreadable: ");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tools_stat_trust");
    TCase *tcase = tcase_create("stat among strangers");
    tcase_add_unchecked_fixture(tcase, other_user_make, other_user_remove);
    tcase_add_test(tcase, test_damaged);
    tcase_add_test(tcase, test_names_are_escaped);
    tcase_add_test(tcase, test_control_unreadable);
    tcase_add_test(tcase, test_read_only_is_enough);
    tcase_add_test(tcase, test_feed_unreadable);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
