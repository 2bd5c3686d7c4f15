/* SPDX-License-Identifier: MIT */
/* How the tools wait: --wait-strategy, --no-park, and what shmbus-stat shows of it. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"
#include "json.h"

static const struct {
    const char *strategy;
    const char *waiting; /* as JSON has it, once the wait is long */
    const char *on_page;
} ways[] = {{"spin", "\"spin\"", "  waits: spin\n"},
            {"yield", "\"yield\"", "  waits: yield\n"},
            {"adaptive", "\"park\"", "  waits: park\n"},
            {"park", "\"park\"", "  waits: park\n"}};

/* Looks until something of a bus is this value. The case's own limit ends a look in vain. */
static void await_word(const char *bus, const char *path, const char *wanted)
{
    for (;;) {
        const struct ending stat =
            tool_run(ARGUMENTS(STAT, "--interval", "0", "--json", bus), NULL, 0);
        assert_code(stat, 0);
        ck_assert(json_valid(stat.out.data, stat.out.length));
        if (json_is(stat.out.data, path, wanted)) {
            return;
        }
        usleep(2000);
    }
}

static void assert_page(const char *bus, const char *text)
{
    const struct ending page = tool_run(ARGUMENTS(STAT, "--interval", "0", bus), NULL, 0);
    assert_code(page, 0);
    assert_in(page.out, text);
}

/* A reader that waits for messages shows how, and reads on; the publisher waits for input, which is
 * none of the library's waits. */
START_TEST(test_readers)
{
    struct tool pub = tool_start(ARGUMENTS(PUB, "line"));
    struct tool sub = tool_start(
        ARGUMENTS(SUB, "--wait", "50", "--required", "--wait-strategy", ways[_i].strategy, "line"));
    await_consumers("line", 1);
    await_word("line", "consumers.0.waiting", ways[_i].waiting);
    await_word("line", "producers.0.waiting", "null");
    tool_write(&pub, "one\n", 4);
    tool_await_out(&sub, "one\n");
    await_word("line", "consumers.0.waiting", ways[_i].waiting);
    assert_page("line", ways[_i].on_page);
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    const struct ending read = tool_end(&sub);
    assert_code(read, 0);
}
END_TEST

/* A publisher whose ring is full behind a stopped reader, and one at its end. */
START_TEST(test_publishers)
{
    static const char lines[] = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n16\n17\n";
    const int is_full = _i >= 4;
    struct tool pub = tool_start(
        ARGUMENTS(PUB, "--capacity", "16", "--wait-strategy", ways[_i % 4].strategy, "line"));
    struct tool sub = tool_start(ARGUMENTS(SUB, "--wait", "50", "--required", "line"));
    await_consumers("line", 1);
    tool_stop(&sub);
    tool_write(&pub, lines, is_full ? sizeof(lines) - 1 : 4);
    if (!is_full) {
        tool_close_input(&pub);
    }
    await_word("line", "producers.0.waiting", ways[_i % 4].waiting);
    kill(sub.pid, SIGCONT);
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    const struct ending read = tool_end(&sub);
    assert_code(read, 0);
    ck_assert_uint_eq(read.out.length, is_full ? sizeof(lines) - 1 : 4);
    ck_assert_mem_eq(read.out.data, lines, read.out.length);
}
END_TEST

/* Nobody parks: not where it is forbidden, and no observer anywhere. */
START_TEST(test_no_park)
{
    struct tool pub = tool_start(ARGUMENTS(PUB, "--no-park", "line"));
    struct tool sub = tool_start(ARGUMENTS(SUB, "--wait", "50", "--wait-strategy", "park", "line"));
    struct tool looker = tool_start(ARGUMENTS(SUB, "--wait", "50", "--wait-strategy", "park",
                                              "--observe", "--from", "oldest", "line"));
    await_consumers("line", 1);
    await_word("line", "consumers.0.waiting", "\"sleep\"");
    await_word("line", "parking", "false");
    assert_page("line", "parking: no,");
    assert_page("line", "  waits: sleep\n");
    tool_write(&pub, "one\n", 4);
    tool_await_out(&sub, "one\n");
    tool_await_out(&looker, "one\n");
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    const struct ending read = tool_end(&sub);
    assert_code(read, 0);
    const struct ending seen = tool_end(&looker);
    assert_code(seen, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tools waiting");
    TCase *tcase = tcase_create("waiting");
    tcase_add_checked_fixture(tcase, folder_make, folder_remove);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, test_readers, 0, 4);
    tcase_add_loop_test(tcase, test_publishers, 0, 8);
    tcase_add_test(tcase, test_no_park);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
