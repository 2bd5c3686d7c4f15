/* SPDX-License-Identifier: MIT */
/* Pipelines of shmbus-sub: --after and --after-gone, what they say, and what shmbus-stat shows. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness.h"
#include "json.h"

static struct bytes picture_of(const char *bus)
{
    const struct ending stat = tool_run(ARGUMENTS(STAT, "--json", bus), NULL, 0);
    assert_code(stat, 0);
    ck_assert(json_valid(stat.out.data, stat.out.length));
    return stat.out;
}

static struct tool start_recorder(void)
{
    return tool_start(ARGUMENTS(SUB, "--wait", "50", "--required", "--name", "rec", "line"));
}

/* What the recorder has not passed does not come out of the strategy. */
START_TEST(test_after)
{
    struct tool pub = tool_start(ARGUMENTS(PUB, "line"));
    struct tool recorder = start_recorder();
    await_consumers("line", 1);
    struct tool strategy = tool_start(ARGUMENTS(SUB, "--required", "--name", "strategy", "--after",
                                                "rec", "--format", "json", "line"));
    await_consumers("line", 2);
    tool_write(&pub, "one\n", 4);
    tool_await_out(&recorder, "one\n");
    tool_await_out(&strategy, "\"one\"");
    tool_stop(&recorder);
    tool_write(&pub, "two\n", 4);
    await_tail("line", 2);
    struct bytes picture = picture_of("line");
    ck_assert_int_eq(json_count(picture.data, "consumers.0.after"), 0);
    ck_assert(json_is(picture.data, "consumers.0.after_gone", "null"));
    ck_assert(json_is(picture.data, "consumers.0.behind", "false"));
    ck_assert(json_is(picture.data, "consumers.0.gates", "true"));
    ck_assert_int_eq(json_count(picture.data, "consumers.1.after"), 1);
    ck_assert(json_is(picture.data, "consumers.1.after.0", "\"rec\""));
    ck_assert(json_is(picture.data, "consumers.1.after_gone", "\"wait\""));
    ck_assert(json_is(picture.data, "consumers.1.behind", "true"));
    ck_assert(json_is(picture.data, "consumers.1.gates", "false"));
    const struct ending page = tool_run(ARGUMENTS(STAT, "--interval", "0", "line"), NULL, 0);
    assert_code(page, 0);
    assert_in(page.out, "  after rec (wait when gone), held back");
    const struct ending circle = tool_run(
        ARGUMENTS(SUB, "--required", "--name", "rec", "--after", "strategy", "line"), NULL, 0);
    assert_code(circle, 1);
    assert_in(circle.err, "rec after strategy after rec");
    kill(recorder.pid, SIGCONT);
    tool_await_out(&strategy, "\"two\"");
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    const struct ending recorded = tool_end(&recorder);
    assert_code(recorded, 0);
    const struct ending read = tool_end(&strategy);
    assert_code(read, 0);
}
END_TEST

/* It is told what became of the recorder, and goes on or waits. */
START_TEST(test_gone)
{
    const char *gone = _i == 0 ? "wait" : "go-on";
    struct tool pub = tool_start(ARGUMENTS(PUB, "line"));
    struct tool recorder = start_recorder();
    await_consumers("line", 1);
    struct tool strategy =
        tool_start(ARGUMENTS(SUB, "--required", "--after", "another", "--after", "rec",
                             "--after-gone", gone, "--format", "json", "line"));
    struct tool another = tool_start(ARGUMENTS(SUB, "--required", "--name", "another", "line"));
    await_consumers("line", 3);
    kill(recorder.pid, SIGKILL);
    const struct ending killed = tool_end(&recorder);
    assert_code(killed, 128 + SIGKILL);
    tool_write(&pub, "one\n", 4);
    tool_await_out(&another, "one\n");
    tool_await_err(&strategy, "bus 'line': rec, which this runs after, is not there");
    if (_i == 0) {
        recorder = start_recorder();
        tool_await_err(&strategy, "bus 'line': rec, which this runs after, is there again");
    }
    tool_await_out(&strategy, "\"one\"");
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    const struct ending read = tool_end(&strategy);
    assert_code(read, 0);
    assert_in(read.out, "{\"event\":\"after_gone\",\"first\":1,\"count\":0}\n");
    if (_i == 0) {
        assert_in(read.out, "{\"event\":\"after_back\",\"first\":1,\"count\":0}\n");
        const struct ending recorded = tool_end(&recorder);
        assert_code(recorded, 0);
    }
    const struct ending other = tool_end(&another);
    assert_code(other, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tools after");
    TCase *tcase = tcase_create("after");
    tcase_add_checked_fixture(tcase, folder_make, folder_remove);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_after);
    tcase_add_loop_test(tcase, test_gone, 0, 2);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
