/* SPDX-License-Identifier: MIT */
/*
 * shmbus-sub --follow, and what ends it without: producers killed at random and started again, a
 * bus that is replaced or removed and made anew, and consumers that stop and are evicted.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "coverage.h"
#include "harness.h"
#include "json.h"

#define LINES      200000
#define LINE_BYTES 12
#define KILLS      5

/* So many numbered lines of LINE_BYTES. */
static struct bytes make_lines(uint64_t count)
{
    struct bytes lines = {0};
    for (uint64_t i = 0; i < count; i++) {
        char line[LINE_BYTES + 1];
        snprintf(line, sizeof(line), "%011" PRIu64 "\n", i);
        bytes_add(&lines, line, LINE_BYTES);
    }
    return lines;
}

/* Kills a producer, and says how many messages its bus had by then. */
static uint64_t kill_pub(struct tool *pub, const char *bus)
{
    struct shmbus_snapshot *snapshot = NULL;
    kill(pub->pid, SIGKILL);
    const struct ending published = tool_end(pub);
    assert_code(published, 128 + SIGKILL);
    ck_assert_int_eq(shmbus_snapshot_open(bus, NULL, &snapshot), 0);
    const uint64_t tail = shmbus_snapshot_bus(snapshot)->tail;
    ck_assert_uint_eq(shmbus_snapshot_bus(snapshot)->state, SHMBUS_STATE_DEAD);
    shmbus_snapshot_close(snapshot);
    return tail;
}

START_TEST(test_killed_and_restarted)
{
    /* Whatever the moment of the kill: what comes out is what went in, byte for byte. */
    const struct bytes lines = make_lines(LINES);
    unsigned seed = (unsigned)getpid();
    uint64_t published = 0;
    printf("seed %u\n", seed);
    const char *path = path_in("followed");
    const int out = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ck_assert_int_ge(out, 0);
    struct tool sub = tool_start_to(
        ARGUMENTS(SUB, "--required", "--follow", "--wait", "50", "--from", "oldest", "random"), out,
        -1);
    for (int i = 0; i <= KILLS; i++) {
        const char *rest = lines.data + published * LINE_BYTES;
        struct tool pub = tool_start(ARGUMENTS(PUB, "--capacity", "256", "--pool", "none",
                                               "--wait-consumers", "1", "random"));
        if (i < KILLS) {
            /* Killed somewhere in what the pipe still holds of this. */
            const uint64_t before = published;
            tool_write(&pub, rest, ((uint64_t)rand_r(&seed) % (LINES / KILLS) + 1) * LINE_BYTES);
            await_tail("random", published + 1);
            published = kill_pub(&pub, "random");
            ck_assert_uint_gt(published, before);
        } else {
            char said[128];
            tool_write(&pub, rest, (LINES - published) * LINE_BYTES);
            const struct ending ending = tool_end(&pub);
            assert_code(ending, 0);
            snprintf(said, sizeof(said),
                     "bus 'random': took over from a producer that died; goes on at sequence "
                     "%" PRIu64 "\n",
                     published);
            assert_in(ending.err, said);
        }
    }
    const struct ending read = tool_end(&sub);
    assert_code(read, 0);
    close(out);
    const struct bytes copy = file_read(path);
    assert_bytes(&copy, lines.data, lines.length);
    assert_not_in(read.err, "lost");
}
END_TEST

START_TEST(test_waits_and_says_so)
{
    struct tool sub = tool_start(
        ARGUMENTS(SUB, "--required", "--follow", "--wait", "50", "--from", "oldest", "twice"));
    for (int i = 0; i < 3; i++) {
        struct tool pub = tool_start(ARGUMENTS(PUB, "--wait-consumers", "1", "twice"));
        char line[8];
        snprintf(line, sizeof(line), "n%d\n", i);
        tool_write(&pub, line, strlen(line));
        tool_await_out(&sub, line);
        if (i < 2) {
            kill_pub(&pub, "twice");
            /* Once for each death. */
            sub.err_read.length = 0;
            sub.err_read.data[0] = '\0';
            tool_await_err(&sub, "shmbus-sub: bus 'twice': its producer died without ending the "
                                 "stream; waiting for another to take over\n");
        } else {
            const struct ending published = tool_end(&pub);
            assert_code(published, 0);
        }
    }
    const struct ending read = tool_end(&sub);
    assert_code(read, 0);
    ck_assert_str_eq(read.out.data, "n0\nn1\nn2\n");
    ck_assert_ptr_null(strstr(strstr(read.err.data, "died") + 1, "died"));
}
END_TEST

START_TEST(test_signal_while_waiting)
{
    struct tool pub = tool_start(ARGUMENTS(PUB, "bereft"));
    await_tail("bereft", 0);
    struct tool sub = tool_start(ARGUMENTS(SUB, "--follow", "bereft"));
    await_consumers("bereft", 1);
    kill_pub(&pub, "bereft");
    tool_await_err(&sub, "waiting for another");
    if (_i == 1) {
        ck_assert_int_eq(shmbus_unlink("bereft", NULL), 0);
        tool_await_err(&sub, "removed");
    }
    kill(sub.pid, SIGTERM);
    const struct ending read = tool_end(&sub);
    assert_code(read, 0);
}
END_TEST

START_TEST(test_without_follow)
{
    static const char *const kinds[] = {"--required", "--observe", "--slack=100"};
    struct tool pub = tool_start(ARGUMENTS(PUB, "end"));
    await_tail("end", 0);
    struct tool sub = tool_start(ARGUMENTS(SUB, kinds[_i], "--from", "oldest", "end"));
    tool_write(&pub, "last\n", 5);
    tool_await_out(&sub, "last\n");
    kill_pub(&pub, "end");
    const struct ending read = tool_end(&sub);
    assert_code(read, 1);
    assert_in(read.err, "shmbus-sub: bus 'end': its producer died without ending the stream");
    assert_in(read.err, "--follow");
    ck_assert_str_eq(read.out.data, "last\n");
    ck_assert_int_eq(shmbus_unlink("end", NULL), 0);
}
END_TEST

START_TEST(test_replaced)
{
    /* The old stream to its end, then the new one from its oldest message; or an error. */
    const bool stopped = _i == 1;
    struct tool pub = tool_start(ARGUMENTS(PUB, "--capacity", "64", "swap"));
    await_tail("swap", 0);
    struct tool sub = tool_start(ARGUMENTS(SUB, "--from", "oldest", "--follow", "swap"));
    struct tool plain = tool_start(ARGUMENTS(SUB, "--from", "oldest", "swap"));
    tool_write(&pub, "one\ntwo\n", 8);
    tool_await_out(&sub, "two\n");
    tool_await_out(&plain, "two\n");
    if (stopped) {
        /* Stopped until the new stream has ended too: it is read from its oldest message. */
        tool_stop(&plain);
        tool_stop(&sub);
    }
    kill_pub(&pub, "swap");
    const struct ending refused =
        tool_run(ARGUMENTS(PUB, "--capacity", "128", "swap"), "three\n", 6);
    assert_code(refused, 1);
    assert_in(refused.err, "64");
    assert_in(refused.err, "128");
    struct tool next =
        tool_start(ARGUMENTS(PUB, "--capacity", "128", "--replace", "--keep", "swap"));
    tool_await_err(&next,
                   "shmbus-pub: bus 'swap': replaced the one that was there, which had come to "
                   "sequence 2\n");
    tool_write(&next, "three\n", 6);
    if (!stopped) {
        tool_await_out(&sub, "three\n");
    }
    const struct ending published = tool_end(&next);
    assert_code(published, 0);
    kill(sub.pid, SIGCONT);
    const struct ending read = tool_end(&sub);
    assert_code(read, 0);
    ck_assert_str_eq(read.out.data, "one\ntwo\nthree\n");
    assert_in(read.err, "replaced by another one");
    kill(plain.pid, SIGCONT);
    const struct ending ended = tool_end(&plain);
    assert_code(ended, 1);
    assert_in(ended.err, stopped ? "replaced" : "shmbus-sub: bus 'swap': ");
    ck_assert_int_eq(shmbus_unlink("swap", NULL), 0);
}
END_TEST

START_TEST(test_removed_and_made_anew)
{
    struct tool pub =
        tool_start(ARGUMENTS(PUB, "--register", "1:word:0", "--type", "word", "anew"));
    await_tail("anew", 0);
    struct tool sub = tool_start(
        ARGUMENTS(SUB, "--required", "--follow", "--type", "word", "--from", "oldest", "anew"));
    tool_write(&pub, "one\n", 4);
    tool_await_out(&sub, "one\n");
    kill_pub(&pub, "anew");
    ck_assert_int_eq(shmbus_unlink("anew", NULL), 0);
    tool_await_err(&sub, "removed; reading the next one of that name");
    /* The name of the type is looked up anew: it has another number there. */
    const struct ending next = tool_run(
        ARGUMENTS(PUB, "--wait-consumers", "1", "--register", "2:word:0", "--type", "word", "anew"),
        "two\n", 4);
    assert_code(next, 0);
    const struct ending read = tool_end(&sub);
    assert_code(read, 0);
    ck_assert_str_eq(read.out.data, "one\ntwo\n");
}
END_TEST

START_TEST(test_evicted)
{
    /* Stopped while it gates: named, evicted, told; with --follow it joins again and accounts for
     * every message. */
    const bool follow = _i == 0;
    const struct bytes lines = make_lines(1000);
    struct tool pub = tool_start(
        ARGUMENTS(PUB, "--wait-consumers", "1", "--capacity", "64", "--evict", "0.3", "evict"));
    const char *arguments[] = {SUB,        "--required", "--wait", "50", "--name", "slow",
                               "--format", "json",       "evict",  NULL, NULL};
    if (follow) {
        arguments[9] = "--follow";
    }
    struct tool sub = tool_start(arguments);
    await_consumers("evict", 1);
    tool_stop(&sub);
    tool_write(&pub, lines.data, lines.length);
    tool_await_err(&pub, "shmbus-pub: bus 'evict': consumer 'slow' was evicted, ");
    /* A ring of 64 has none of the first of them any more. */
    await_tail("evict", 1000);
    tool_close_input(&pub);
    kill(sub.pid, SIGCONT);
    const struct ending read = tool_end(&sub);
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    assert_code(read, follow ? 0 : 1);
    assert_in(read.err, "shmbus-sub: bus 'evict': evicted by the producer: ");
    struct coverage coverage = {0};
    coverage_add(&coverage, &read.out, false);
    if (follow) {
        assert_in(read.err, "joined again at sequence ");
        ck_assert_uint_eq(coverage.next, 1000);
        ck_assert_uint_gt(coverage.lost, 0);
        ck_assert_uint_eq(number_after(read.err.data, ", lost "), coverage.lost);
    }
}
END_TEST

START_TEST(test_stalled_at_the_end)
{
    /* On a bus that evicts, the end does not wait for who is stalled; it still reads all. */
    struct tool pub =
        tool_start(ARGUMENTS(PUB, "--wait-consumers", "1", "--evict", "0.2", "stalled"));
    struct tool sub =
        tool_start(ARGUMENTS(SUB, "--required", "--wait", "50", "--name", "slow", "stalled"));
    await_consumers("stalled", 1);
    tool_stop(&sub);
    tool_write(&pub, "one\ntwo\n", 8);
    tool_await_err(&pub, "consumer 'slow' is stalled: 2 messages behind");
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    assert_in(published.err,
              "not waiting for consumer 'slow', which is stalled, 2 messages behind");
    kill(sub.pid, SIGCONT);
    const struct ending read = tool_end(&sub);
    assert_code(read, 0);
    ck_assert_str_eq(read.out.data, "one\ntwo\n");
}
END_TEST

START_TEST(test_goes_on)
{
    /* Without a policy a stalled one is named, waited for, and named again when it goes on. */
    struct tool pub =
        tool_start(ARGUMENTS(PUB, "--wait-consumers", "1", "--stall", "0.1", "patient"));
    struct tool sub =
        tool_start(ARGUMENTS(SUB, "--required", "--wait", "50", "--name", "slow", "patient"));
    await_consumers("patient", 1);
    tool_stop(&sub);
    tool_write(&pub, "one\n", 4);
    tool_await_err(&pub, "consumer 'slow' is stalled: 1 messages behind");
    kill(sub.pid, SIGCONT);
    tool_await_err(&pub, "consumer 'slow' goes on");
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    const struct ending read = tool_end(&sub);
    assert_code(read, 0);
    ck_assert_str_eq(read.out.data, "one\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tools_follow");
    TCase *tcase = tcase_create("follow");
    tcase_add_unchecked_fixture(tcase, folder_make, folder_remove);
    tcase_add_test(tcase, test_killed_and_restarted);
    tcase_add_test(tcase, test_waits_and_says_so);
    tcase_add_loop_test(tcase, test_signal_while_waiting, 0, 2);
    tcase_add_loop_test(tcase, test_without_follow, 0, 3);
    tcase_add_loop_test(tcase, test_replaced, 0, 2);
    tcase_add_test(tcase, test_removed_and_made_anew);
    tcase_add_loop_test(tcase, test_evicted, 0, 2);
    tcase_add_test(tcase, test_stalled_at_the_end);
    tcase_add_test(tcase, test_goes_on);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
