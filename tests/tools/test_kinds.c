/* SPDX-License-Identifier: MIT */
/*
 * shmbus-sub as each kind of consumer: an optional one that is stopped while its producer laps it,
 * or that keeps to a slack, with every message accounted for; an observer on another user's bus;
 * the filter of types; where to begin; and what it says of lost ranges and of silence.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "coverage.h"
#include "harness.h"
#include "json.h"
#include "other_user.h"

#define LINE_BYTES 24 /* too long for a slot of 32 bytes */
#define ROUNDS     8

static void write_lines(struct tool *pub, uint64_t first, uint64_t count)
{
    struct bytes lines = {0};
    for (uint64_t i = first; i < first + count; i++) {
        char line[LINE_BYTES + 1];
        snprintf(line, sizeof(line), "%023llu\n", (unsigned long long)i);
        bytes_add(&lines, line, LINE_BYTES);
    }
    tool_write(pub, lines.data, lines.length);
}

static void await_sequence(struct tool *sub, uint64_t sequence)
{
    char text[64];
    snprintf(text, sizeof(text), "{\"sequence\":%llu,", (unsigned long long)sequence);
    tool_await_out(sub, text);
}

/* Adds up what the lines on standard error say of lost ranges, which must be those of the output.
 */
static void expect_said(const struct ending *sub, const struct coverage *coverage)
{
    uint64_t ranges = 0;
    uint64_t sum = 0;
    for (const char *at = sub->err.data; (at = strstr(at, ": lost ")); at++) {
        sum += number_after(at, ": lost ");
        ranges++;
    }
    ck_assert_uint_eq(ranges, coverage->ranges);
    ck_assert_uint_eq(sum, coverage->lost);
    if (coverage->lost == 0) {
        assert_not_in(sub->err, "received ");
        return;
    }
    ck_assert_uint_eq(number_after(sub->err.data, ": received "), coverage->received);
    ck_assert_uint_eq(number_after(sub->err.data, ", lost "), coverage->lost);
}

START_TEST(test_lapped_while_stopped)
{
    /* Received and lost are all that was sent, in order; with and without a pool. */
    static const char *const pools[] = {"none", "64:64"};
    unsigned seed = (unsigned)getpid();
    uint64_t sent = 0;
    printf("seed %u\n", seed);
    struct tool pub = tool_start(ARGUMENTS(PUB, "--capacity", "64", "--slot", _i == 0 ? "64" : "32",
                                           "--pool", pools[_i], "lap"));
    struct tool sub =
        tool_start(ARGUMENTS(SUB, "--wait", "50", "--from", "oldest", "--format", "json", "lap"));
    await_consumers("lap", 1);
    for (int round = 0; round < ROUNDS; round++) {
        const uint64_t count = (uint64_t)rand_r(&seed) % 3000 + 65;
        tool_stop(&sub);
        write_lines(&pub, sent, count);
        await_tail("lap", sent + count);
        kill(sub.pid, SIGCONT);
        sent += count;
        await_sequence(&sub, sent - 1);
    }
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    const struct ending read = tool_end(&sub);
    assert_code(read, 0);
    struct coverage coverage = {0};
    coverage_add(&coverage, &read.out, false);
    ck_assert_uint_eq(coverage.next, sent);
    ck_assert_uint_eq(coverage.received + coverage.lost, sent);
    ck_assert_uint_ge(coverage.ranges, ROUNDS);
    expect_said(&read, &coverage);
}
END_TEST

START_TEST(test_slack)
{
    /* Never lapped, and yet skipped ahead: to the newest message, past 40 that are all there. */
    struct tool pub = tool_start(ARGUMENTS(PUB, "--capacity", "64", "slack"));
    struct tool sub = tool_start(ARGUMENTS(SUB, "--wait", "50", "--from", "oldest", "--slack", "5",
                                           "--format", "json", "slack"));
    await_consumers("slack", 1);
    tool_stop(&sub);
    write_lines(&pub, 0, 40);
    await_tail("slack", 40);
    kill(sub.pid, SIGCONT);
    tool_await_err(&sub, "lost ");
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    const struct ending read = tool_end(&sub);
    assert_code(read, 0);
    struct coverage coverage = {0};
    coverage_add(&coverage, &read.out, false);
    /* The last range is told of when the stream goes on or ends. */
    ck_assert_uint_eq(coverage.next, 40);
    /* How far depends on how much of the tail it is told of. */
    ck_assert_uint_ge(coverage.lost, 6);
    expect_said(&read, &coverage);
}
END_TEST

START_TEST(test_lost_is_told)
{
    /* Sequences left out on purpose: the exact words, and the objects of JSON. */
    struct shmbus_producer *producer = NULL;
    const char *bus = _i == 0 ? "gap" : "gap2";
    ck_assert_int_eq(shmbus_producer_create(bus, NULL, NULL, &producer), 0);
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, "x", 1), 0);
    }
    /* Two ranges side by side are told as one. */
    ck_assert_int_eq(shmbus_producer_skip(producer, 100), 0);
    ck_assert_int_eq(shmbus_producer_skip(producer, 23), 0);
    ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, "y", 1), 0);
    ck_assert_int_eq(shmbus_producer_skip(producer, 1), 0);
    shmbus_producer_close(producer);
    const struct ending sub = tool_run(
        ARGUMENTS(SUB, "--required", "--from", "9", "--format", _i == 0 ? "json" : "lines", bus),
        NULL, 0);
    assert_code(sub, 0);
    ck_assert_str_eq(sub.out.data,
                     _i == 0 ? "{\"sequence\":9,\"type\":0,\"length\":1,\"data\":\"x\"}\n"
                               "{\"event\":\"lost\",\"first\":10,\"count\":123}\n"
                               "{\"sequence\":133,\"type\":0,\"length\":1,\"data\":\"y\"}\n"
                               "{\"event\":\"lost\",\"first\":134,\"count\":1}\n"
                             : "x\ny\n");
    char said[512];
    snprintf(said, sizeof(said),
             "shmbus-sub: bus '%s': lost 123 messages, sequences 10 to 132\n"
             "shmbus-sub: bus '%s': lost 1 message, sequence 134\n"
             "shmbus-sub: bus '%s': received 2, lost 124, aborted 0 messages\n",
             bus, bus, bus);
    ck_assert_str_eq(sub.err.data, said);
}
END_TEST

START_TEST(test_deadline)
{
    struct tool pub = tool_start(ARGUMENTS(PUB, "silent"));
    struct tool sub = tool_start(
        ARGUMENTS(SUB, "--wait", "50", "--deadline", "0.05", "--format", "json", "silent"));
    tool_await_out(&sub, "{\"event\":\"deadline\",\"first\":0,\"count\":0}\n");
    write_lines(&pub, 0, 1);
    tool_await_out(&sub, "{\"event\":\"deadline\",\"first\":1,\"count\":0}\n");
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    const struct ending read = tool_end(&sub);
    assert_code(read, 0);
    assert_in(read.err, "shmbus-sub: bus 'silent': no message for 0.05 s; the next is sequence 0");
    assert_not_in(read.err, "received ");
}
END_TEST

START_TEST(test_observer_of_another)
{
    /* Read permission on feed is enough; it leaves no trace; large messages come whole too. Neither
     * ring nor pool is ever used up, so that nothing is lost. */
    struct bytes lines = {0};
    struct tool pub =
        tool_start(ARGUMENTS(PUB, "--mode", "0644", "--pool", "1K:128", "--keep", "seen"));
    await_tail("seen", 0);
    /* Not even to be looked at: what is known there is unknown then. */
    ck_assert_int_eq(chmod(path_in("shmbus.seen/control"), 0600), 0);
    struct tool sub = tool_start_as_other(ARGUMENTS(SUB, "--observe", "--from", "oldest", "seen"));
    for (int i = 0; i < 200; i++) {
        char line[1000];
        const int length = snprintf(line, sizeof(line), "%0*d\n", i % 3 ? 10 : 900, i);
        bytes_add(&lines, line, (size_t)length);
        tool_write(&pub, line, (size_t)length);
    }
    tool_await_out(&sub, "0199\n");
    const struct ending page = tool_run_as_other(ARGUMENTS(STAT, "--interval", "0", "seen"));
    assert_code(page, 0);
    assert_in(page.out, "consumers   unknown");
    assert_in(page.out, "fill unknown");
    const struct ending picture = tool_run_as_other(ARGUMENTS(STAT, "--json", "seen"));
    assert_code(picture, 0);
    ck_assert(json_valid(picture.out.data, picture.out.length));
    ck_assert(json_is(picture.out.data, "state", "\"open\""));
    ck_assert(json_is(picture.out.data, "consumers", "null"));
    ck_assert(json_is(picture.out.data, "ring_used", "null"));
    ck_assert(json_is(picture.out.data, "pools.0.held", "null"));
    ck_assert_uint_eq(json_number(picture.out.data, "tail"), 200);
    const struct ending list = tool_run_as_other(ARGUMENTS(STAT));
    assert_code(list, 0);
    assert_in(list.out, "unknown");
    ck_assert_int_eq(chmod(path_in("shmbus.seen/control"), 0644), 0);
    const struct ending all = tool_run_as_other(ARGUMENTS(STAT, "--json", "seen"));
    ck_assert_int_eq(json_count(all.out.data, "consumers"), 0);
    const struct ending owners = tool_run(ARGUMENTS(STAT, "--json", "seen"), NULL, 0);
    ck_assert_int_eq(json_count(owners.out.data, "consumers"), 0);
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    const struct ending read = tool_end(&sub);
    assert_code(read, 0);
    assert_bytes(&read.out, lines.data, lines.length);
    ck_assert_str_eq(read.err.data, "");
}
END_TEST

START_TEST(test_only_observing)
{
    /* Who may only observe is told so when it wants more. */
    static const char *const kinds[] = {"--required", "--slack=1"};
    const struct ending pub =
        tool_run(ARGUMENTS(PUB, "--mode", "0644", "--keep", "look"), "x\n", 2);
    assert_code(pub, 0);
    for (int i = 0; i < 2 && getuid() == 0; i++) {
        const struct ending sub =
            tool_run_as_other(ARGUMENTS(SUB, kinds[i], "--from", "oldest", "look"));
        assert_code(sub, 1);
        assert_in(sub.err, "shmbus-sub: bus 'look': ");
    }
}
END_TEST

/* Keeps a bus with messages of types 7 (trade), 8 (book) and 9. */
static void keep_types(const char *bus)
{
    static const char *const types[] = {"trade", "8", "9", "7"};
    static const char *const lines[] = {"t1\n", "b1\n", "n1\n", "t2\n"};
    static const char list[] = "# registered types\n\n8:book:0\n";
    const char *file = file_make("types", list, sizeof(list) - 1);
    for (int i = 0; i < 4; i++) {
        const struct ending pub =
            tool_run(ARGUMENTS(PUB, "--keep", "--register", "7:trade:16:price:<i8,qty:<i8",
                               "--types", file, "--type", types[i], bus),
                     lines[i], strlen(lines[i]));
        assert_code(pub, 0);
        /* A bus that was closed and kept goes on without a word. */
        ck_assert_str_eq(pub.err.data, "");
    }
}

START_TEST(test_types)
{
    static const struct {
        const char *types;
        const char *out;
    } wanted[] = {{"trade", "t1\nt2\n"},       {"8,9", "b1\nn1\n"},
                  {"9,trade", "t1\nn1\nt2\n"}, {"10", ""},
                  {"7", "t1\nt2\n"},           {"65535,book", "b1\n"}};
    keep_types("typed");
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        const struct ending sub = tool_run(
            ARGUMENTS(SUB, "--from", "oldest", "--type", wanted[i].types, "typed"), NULL, 0);
        assert_code(sub, 0);
        ck_assert_str_eq(sub.out.data, wanted[i].out);
        ck_assert_str_eq(sub.err.data, "");
    }
    const struct ending unknown = tool_run(ARGUMENTS(SUB, "--type", "quote", "typed"), NULL, 0);
    assert_code(unknown, 1);
    assert_in(unknown.err, "bus 'typed': no type is called 'quote' (there are: trade, book)");
    const struct ending other =
        tool_run(ARGUMENTS(PUB, "--register", "7:trade:8", "typed"), "x\n", 2);
    assert_code(other, 1);
    const struct ending plain = tool_run(ARGUMENTS(PUB, "--keep", "plain"), "x\n", 2);
    assert_code(plain, 0);
    const struct ending none = tool_run(ARGUMENTS(SUB, "--type", "trade", "plain"), NULL, 0);
    assert_code(none, 1);
    assert_in(none.err, "it has no registered types (give its number)");
}
END_TEST

START_TEST(test_types_are_waited_for)
{
    /* Names can be looked up only once there is a bus. */
    struct tool sub =
        tool_start(ARGUMENTS(SUB, "--required", "--wait", "50", "--type", "late", "later"));
    await_handler(sub.pid, SIGTERM);
    const struct ending pub = tool_run(ARGUMENTS(PUB, "--wait-consumers", "1", "--register",
                                                 "300:late:0", "--type", "300", "later"),
                                       "one\ntwo\n", 8);
    assert_code(pub, 0);
    const struct ending read = tool_end(&sub);
    assert_code(read, 0);
    ck_assert_str_eq(read.out.data, "one\ntwo\n");
}
END_TEST

START_TEST(test_move_up)
{
    struct tool pub =
        tool_start(ARGUMENTS(PUB, "--capacity", "16", "--history", "4", "--keep", "gone"));
    write_lines(&pub, 0, 100);
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    const struct ending refused =
        tool_run(ARGUMENTS(SUB, "--required", "--from", "3", "gone"), NULL, 0);
    assert_code(refused, 1);
    assert_in(refused.err, "sequence 3 is not on the bus: the oldest is ");
    const uint64_t oldest = number_after(refused.err.data, "the oldest is ");
    ck_assert_uint_le(oldest, 96);
    const struct ending moved = tool_run(
        ARGUMENTS(SUB, "--required", "--from", "3", "--move-up", "--format", "json", "gone"), NULL,
        0);
    assert_code(moved, 0);
    struct coverage coverage = {.next = oldest};
    coverage_add(&coverage, &moved.out, false);
    ck_assert_uint_eq(coverage.received, 100 - oldest);
    ck_assert_uint_eq(coverage.next, 100);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tools_kinds");
    TCase *tcase = tcase_create("kinds");
    tcase_add_unchecked_fixture(tcase, other_user_make, other_user_remove);
    tcase_add_loop_test(tcase, test_lapped_while_stopped, 0, 2);
    tcase_add_test(tcase, test_slack);
    tcase_add_loop_test(tcase, test_lost_is_told, 0, 2);
    tcase_add_test(tcase, test_deadline);
    tcase_add_test(tcase, test_observer_of_another);
    tcase_add_test(tcase, test_only_observing);
    tcase_add_test(tcase, test_types);
    tcase_add_test(tcase, test_types_are_waited_for);
    tcase_add_test(tcase, test_move_up);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
