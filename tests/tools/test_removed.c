/* SPDX-License-Identifier: MIT */
/* The files of a bus are removed while its publisher lives, as systemd's RemoveIPC= does: it says
 * so, those that are attached read to the end, and nobody else finds the bus. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "harness.h"

static void remove_files(const char *bus)
{
    static const char *const files[] = {"owner", "control", "feed"};
    for (size_t i = 0; i < 3; i++) {
        ck_assert_int_eq(unlink(path_in("shmbus.%s/%s", bus, files[i])), 0);
    }
    ck_assert_int_eq(rmdir(path_in("shmbus.%s", bus)), 0);
}

START_TEST(removed)
{
    struct tool pub = tool_start(ARGUMENTS(PUB, "--wait-consumers", "1", "gone"));
    struct tool sub = tool_start(ARGUMENTS(SUB, "--required", "--wait", "50", "gone"));
    tool_write(&pub, "one\n", 4);
    tool_await_out(&sub, "one\n");
    remove_files("gone");
    tool_await_err(&pub, "bus 'gone': its files were removed by somebody else");
    const struct ending late = tool_run(ARGUMENTS(SUB, "gone"), NULL, 0);
    assert_code(late, 1);
    assert_in(late.err, "no such bus");
    tool_write(&pub, "two\n", 4);
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    const struct ending read = tool_end(&sub);
    assert_code(read, 0);
    assert_bytes(&read.out, "one\ntwo\n", 8);
}
END_TEST

START_TEST(replaced_by_another)
{
    struct tool pub = tool_start(ARGUMENTS(PUB, "gone"));
    tool_write(&pub, "one\n", 4);
    await_tail("gone", 1);
    remove_files("gone");
    struct tool other = tool_start(ARGUMENTS(PUB, "gone"));
    /* Whether it looks before or after the other one is there, is luck. */
    tool_await_err(&pub, "removed by somebody else");
    const struct ending first = tool_end(&pub);
    assert_code(first, 0);
    ck_assert(bus_exists("gone"));
    const struct ending second = tool_end(&other);
    assert_code(second, 0);
    ck_assert(!bus_exists("gone"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tools removed");
    TCase *tcase = tcase_create("removed");
    tcase_add_unchecked_fixture(tcase, folder_make, folder_remove);
    tcase_add_test(tcase, removed);
    tcase_add_test(tcase, replaced_by_another);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
