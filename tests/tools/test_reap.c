/* SPDX-License-Identifier: MIT */
/*
 * What killed consumers leave: shmbus-stat --reap repairs it by hand, a place that is kept for a
 * while is gone on with, and one whose time is over holds nobody up.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coverage.h"
#include "harness.h"
#include "json.h"
#include "other_user.h"

#define LINES 3000 /* of each round */
#define KILLS 6

static struct bytes picture_of(const char *bus)
{
    const struct ending stat = tool_run(ARGUMENTS(STAT, "--json", bus), NULL, 0);
    assert_code(stat, 0);
    ck_assert(json_valid(stat.out.data, stat.out.length));
    return stat.out;
}

/* Attaches shmbus-sub and kills it once it has read a line. */
static void leave_a_dead_one(struct tool *pub, const char *const *arguments)
{
    struct tool sub = tool_start(arguments);
    tool_await_out(&sub, "one\n");
    kill(sub.pid, SIGKILL);
    const struct ending read = tool_end(&sub);
    assert_code(read, 128 + SIGKILL);
    (void)pub;
}

START_TEST(test_reap)
{
    struct tool pub = tool_start(ARGUMENTS(PUB, "--mode", "0644", "dead"));
    tool_write(&pub, "one\n", 4);
    await_tail("dead", 1);
    for (int i = 0; i < 3; i++) {
        leave_a_dead_one(
            &pub, ARGUMENTS(SUB, i == 0 ? "--required" : "--slack=9", "--from", "oldest", "dead"));
        /* The next one that comes takes the place of the one before, and repairs it. */
        const struct bytes picture = picture_of("dead");
        ck_assert_int_eq(json_count(picture.data, "consumers"), 1);
        ck_assert(json_is(picture.data, "consumers.0.life", "\"dead\""));
        ck_assert(json_is(picture.data, "consumers.0.alive", "false"));
        ck_assert(json_is(picture.data, "consumers.0.gates", i == 0 ? "true" : "false"));
    }
    const struct ending list = tool_run(ARGUMENTS(STAT), NULL, 0);
    assert_code(list, 0);
    assert_in(list.out, "  1 dead\n");
    if (getuid() == 0) {
        const struct ending other = tool_run_as_other(ARGUMENTS(STAT, "--reap", "dead"));
        assert_code(other, 1);
        assert_in(other.err, "shmbus-stat: bus 'dead': ");
        const struct ending others = tool_run_as_other(ARGUMENTS(STAT, "--reap"));
        assert_code(others, 1);
        assert_in(others.out, "dead                  not repaired: ");
    }
    const struct ending reap = tool_run(ARGUMENTS(STAT, "--reap", "dead"), NULL, 0);
    assert_code(reap, 0);
    ck_assert_str_eq(reap.out.data, "dead                  1 entry repaired\n");
    ck_assert_int_eq(json_count(picture_of("dead").data, "consumers"), 0);
    const struct ending again = tool_run(ARGUMENTS(STAT, "--reap", "--json", "dead"), NULL, 0);
    assert_code(again, 0);
    ck_assert_str_eq(again.out.data, "{\"bus\":\"dead\",\"reaped\":0}\n");
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
}
END_TEST

START_TEST(test_reap_all)
{
    struct tool pubs[2];
    static const char *const names[] = {"all-a", "all-b"};
    for (int i = 0; i < 2; i++) {
        pubs[i] = tool_start(ARGUMENTS(PUB, names[i]));
        tool_write(&pubs[i], "one\n", 4);
        await_tail(names[i], 1);
    }
    leave_a_dead_one(&pubs[1], ARGUMENTS(SUB, "--from", "oldest", "all-b"));
    const struct ending lines = tool_run(ARGUMENTS(STAT, "--reap"), NULL, 0);
    assert_code(lines, 0);
    ck_assert_str_eq(lines.out.data, "all-a                 0 entries repaired\n"
                                     "all-b                 1 entry repaired\n");
    leave_a_dead_one(&pubs[0], ARGUMENTS(SUB, "--from", "oldest", "all-a"));
    const struct ending json = tool_run(ARGUMENTS(STAT, "--reap", "--json"), NULL, 0);
    assert_code(json, 0);
    ck_assert_str_eq(json.out.data, "{\"buses\":[{\"bus\":\"all-a\",\"reaped\":1},"
                                    "{\"bus\":\"all-b\",\"reaped\":0}]}\n");
    const struct ending missing = tool_run(ARGUMENTS(STAT, "--reap", "no-such"), NULL, 0);
    assert_code(missing, 1);
    assert_in(missing.err, "no-such");
    for (int i = 0; i < 2; i++) {
        const struct ending published = tool_end(&pubs[i]);
        assert_code(published, 0);
    }
}
END_TEST

START_TEST(test_grace_is_shown)
{
    struct tool pub = tool_start(ARGUMENTS(PUB, "kept"));
    tool_write(&pub, "one\n", 4);
    await_tail("kept", 1);
    leave_a_dead_one(&pub, ARGUMENTS(SUB, "--required", "--name", "rec", "--grace", "1000",
                                     "--from", "oldest", "kept"));
    tool_await_err(&pub, "consumer 'rec' died, ");
    tool_await_err(&pub, "its place is kept");
    const struct ending reap = tool_run(ARGUMENTS(STAT, "--reap", "kept"), NULL, 0);
    assert_code(reap, 0);
    const struct bytes picture = picture_of("kept");
    ck_assert(json_is(picture.data, "consumers.0.life", "\"grace\""));
    ck_assert(json_is(picture.data, "consumers.0.alive", "false"));
    ck_assert(json_is(picture.data, "consumers.0.gates", "true"));
    ck_assert_uint_eq(json_number(picture.data, "consumers.0.grace_ns"), 1000000000000);
    ck_assert_uint_gt(json_number(picture.data, "consumers.0.grace_left_ns"), 0);
    ck_assert_uint_le(json_number(picture.data, "consumers.0.grace_left_ns"), 1000000000000);
    const struct ending page = tool_run(ARGUMENTS(STAT, "--interval", "0", "kept"), NULL, 0);
    assert_code(page, 0);
    assert_in(page.out, "  grace ");
    assert_in(page.out, "gates the producer  its place is kept for ");
    /* It comes back to where it was: what was written out does not gate any more. */
    struct tool back =
        tool_start(ARGUMENTS(SUB, "--required", "--name", "rec", "--grace", "1000", "kept"));
    tool_await_err(&back, "bus 'kept': goes on where 'rec' was before, at sequence ");
    tool_await_err(&pub, "consumer 'rec' is back");
    tool_write(&pub, "two\n", 4);
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    const struct ending read = tool_end(&back);
    assert_code(read, 0);
    assert_in(read.out, "two\n");
}
END_TEST

START_TEST(test_killed_and_resumed)
{
    /* Killed at random, started again under its name: each message at least once, in order. */
    struct coverage coverage = {0};
    unsigned seed = (unsigned)getpid();
    printf("seed %u\n", seed);
    struct tool pub = tool_start(
        ARGUMENTS(PUB, "--wait-consumers", "1", "--capacity", "256", "--stall", "1000", "resume"));
    for (int i = 0; i <= KILLS; i++) {
        const char *path = path_in("out%d", i);
        const int out = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        struct tool sub =
            tool_start_to(ARGUMENTS(SUB, "--required", "--wait", "50", "--name", "rec", "--grace",
                                    "1000", "--from", "oldest", "--format", "json", "resume"),
                          out, -1);
        for (int line = 0; line < LINES; line++) {
            tool_write(&pub, "line\n", 5);
        }
        if (i < KILLS) {
            const uint64_t least = (uint64_t)i * LINES;
            await_received("resume", "rec", least + (uint64_t)rand_r(&seed) % LINES);
            kill(sub.pid, SIGKILL);
        } else {
            tool_close_input(&pub);
        }
        const struct ending read = tool_end(&sub);
        assert_code(read, i < KILLS ? 128 + SIGKILL : 0);
        close(out);
        const struct bytes copy = file_read(path);
        coverage_add(&coverage, &copy, true);
        if (i == KILLS) {
            assert_in(read.err, "goes on where 'rec' was before");
        }
    }
    ck_assert_uint_eq(coverage.next, (uint64_t)(KILLS + 1) * LINES);
    ck_assert_uint_eq(coverage.lost, 0);
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
}
END_TEST

START_TEST(test_grace_ends)
{
    /* Whose time is over no longer gates: a ring of 16 takes 1000 lines. */
    struct tool pub = tool_start(ARGUMENTS(PUB, "--capacity", "16", "over"));
    tool_write(&pub, "one\n", 4);
    await_tail("over", 1);
    leave_a_dead_one(&pub, ARGUMENTS(SUB, "--required", "--name", "rec", "--grace", "0.2", "--from",
                                     "oldest", "over"));
    for (int i = 0; i < 1000; i++) {
        tool_write(&pub, "line\n", 5);
    }
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tools_reap");
    TCase *tcase = tcase_create("reap");
    tcase_add_checked_fixture(tcase, other_user_make, other_user_remove);
    tcase_add_test(tcase, test_reap);
    tcase_add_test(tcase, test_reap_all);
    tcase_add_test(tcase, test_grace_is_shown);
    tcase_add_test(tcase, test_killed_and_resumed);
    tcase_add_test(tcase, test_grace_ends);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
