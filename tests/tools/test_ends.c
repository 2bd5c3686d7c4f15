/* SPDX-License-Identifier: MIT */
/*
 * How the tools end: at the end of input, on signals, on bad input, when the other side dies or the
 * output breaks; and that nothing published is lost over it and nothing stays behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"
#include "json.h"

#define SUB_OLDEST SUB, "--required", "--from", "oldest", "--wait", "50"

static const int signals[] = {SIGINT, SIGTERM};

static int count_message(const struct shmbus_message *message, void *context)
{
    (void)message;
    ++*(int *)context;
    return 0;
}

/* Reads this process's consumer to the end of its stream; the messages read. */
static int read_to_end(struct shmbus_consumer *consumer)
{
    int count = 0;
    int result = 0;
    while (result >= 0) {
        result = shmbus_consumer_poll(consumer, count_message, &count, 100);
        if (result == 0) {
            result = shmbus_consumer_wait(consumer, SHMBUS_FOREVER);
        }
    }
    ck_assert_int_eq(result, -EPIPE);
    return count;
}

START_TEST(test_signal_to_pub)
{
    /* It waits for input that never comes: the stream ends in order, and the bus is gone. */
    struct tool sub = tool_start(ARGUMENTS(SUB_OLDEST, "sig"));
    struct tool pub = tool_start(ARGUMENTS(PUB, "--wait-consumers", "1", "sig"));
    tool_write(&pub, "one\n", 4);
    tool_await_out(&sub, "one\n");
    kill(pub.pid, signals[_i]);
    const struct ending read = tool_end(&sub);
    assert_code(read, 0);
    ck_assert_str_eq(read.out.data, "one\n");
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    ck_assert_str_eq(published.err.data, "");
    ck_assert(!bus_exists("sig"));
}
END_TEST

START_TEST(test_signal_before_consumers)
{
    struct tool pub = tool_start(ARGUMENTS(PUB, "--wait-consumers", "1", "nobody"));
    await_tail("nobody", 0);
    tool_write(&pub, "one\n", 4);
    kill(pub.pid, signals[_i]);
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    ck_assert(!bus_exists("nobody"));
}
END_TEST

START_TEST(test_signal_while_paced)
{
    const char *bus = _i == 0 ? "paced" : "paced2";
    struct tool pub = tool_start(ARGUMENTS(PUB, "--rate", "1", "--keep", bus));
    tool_write(&pub, "1\n2\n3\n4\n5\n6\n7\n8\n9\n", 18);
    await_tail(bus, 1);
    kill(pub.pid, signals[_i]);
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    const struct ending stat = tool_run(ARGUMENTS(STAT, "--json", bus), NULL, 0);
    assert_code(stat, 0);
    ck_assert(json_is(stat.out.data, "state", "\"closed\""));
}
END_TEST

START_TEST(test_flush_waits)
{
    /* The end of input, or one signal, waits for the consumer, however long it takes. */
    struct tool pub = tool_start(ARGUMENTS(PUB, "--wait-consumers", "1", "flush"));
    struct shmbus_consumer *consumer = attach("flush", "slow");
    tool_write(&pub, "1\n2\n3\n", 6);
    if (_i == 0) {
        tool_close_input(&pub);
    }
    await_tail("flush", 3);
    kill(pub.pid, SIGINT);
    tool_await_err(&pub, "waiting for consumers to read the rest");
    ck_assert(bus_exists("flush"));
    ck_assert_int_eq(read_to_end(consumer), 3);
    shmbus_consumer_close(consumer);
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    ck_assert(!bus_exists("flush"));
}
END_TEST

START_TEST(test_second_signal)
{
    /* A full ring, or all of it published and not read: the second signal gives it up. */
    struct tool pub = tool_start(
        ARGUMENTS(PUB, "--wait-consumers", "1", "--capacity", "16", "--pool", "none", "two"));
    struct shmbus_consumer *consumer = attach("two", "stopped");
    for (int i = 0; i < (_i == 0 ? 5 : 100); i++) {
        tool_write(&pub, "line\n", 5);
    }
    await_tail("two", _i == 0 ? 5 : 16);
    kill(pub.pid, SIGTERM);
    tool_await_err(&pub, "second signal");
    kill(pub.pid, SIGTERM);
    const struct ending published = tool_end(&pub);
    assert_code(published, 1);
    assert_in(published.err, _i == 0 ? "5 messages behind" : "16 messages behind");
    ck_assert(!bus_exists("two"));
    /* What was published can still be read to its end. */
    ck_assert_int_eq(read_to_end(consumer), _i == 0 ? 5 : 16);
    shmbus_consumer_close(consumer);
}
END_TEST

START_TEST(test_full_waits)
{
    /* A full ring, or a pool of two slabs: blocked for longer than any one call waits. */
    const struct timespec pause = {.tv_nsec = 700000000};
    struct tool pub = tool_start(ARGUMENTS(PUB, "--wait-consumers", "1", "--capacity", "16",
                                           "--pool", "64:2", "--stall", "1000", "full"));
    struct shmbus_consumer *consumer = attach("full", "slow");
    char line[70] = {0};
    for (int i = 0; i < 100; i++) {
        snprintf(line, sizeof(line), "%0*d\n", _i == 1 && i % 2 ? 60 : 10, i);
        tool_write(&pub, line, strlen(line));
    }
    await_tail("full", _i == 0 ? 16 : 5);
    tool_close_input(&pub);
    nanosleep(&pause, NULL);
    ck_assert_int_eq(read_to_end(consumer), 100);
    shmbus_consumer_close(consumer);
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    ck_assert_str_eq(published.err.data, "");
}
END_TEST

/* Bad input: everything before it is published and read, then pub ends with 1 and these words. */
static void expect_bad_input(const char *format, const void *data, size_t length, const char *back,
                             const char *words)
{
    struct tool sub = tool_start(ARGUMENTS(SUB_OLDEST, "bad"));
    const struct ending published = tool_run(
        ARGUMENTS(PUB, "--format", format, "--pool", "64:4,1000:4", "--wait-consumers", "1", "bad"),
        data, length);
    const struct ending read = tool_end(&sub);
    assert_code(published, 1);
    assert_in(published.err, words);
    assert_code(read, 0);
    ck_assert_str_eq(read.out.data, back);
    ck_assert(!bus_exists("bad"));
}

START_TEST(test_bad_input)
{
    char text[10008] = "one\ntwo\n";
    memset(text + 8, 'x', 10000);
    expect_bad_input("lines", text, 8 + 1025, "one\ntwo\n",
                     "line 3 is 1025 bytes long, the largest slab has 1024 (give --pool");
    expect_bad_input("lines", text, sizeof(text), "one\ntwo\n",
                     "line 3 is 10000 bytes long, the largest slab has 1024 (give --pool");
    expect_bad_input("raw:4", "abcdef", 6, "abcd\n", "inside record 2, with 2 of its 4 bytes");
    expect_bad_input("raw:2000", text, 4000, "", "record 1 is 2000 bytes long");
    expect_bad_input("len32", "\1\0\0\0a\2\0", 7, "a\n", "record 2, with 2 of its 4 length bytes");
    expect_bad_input("len32", "\1\0\0\0a\2\0\0\0b", 10, "a\n", "record 2, with 1 of its 2 bytes");
    expect_bad_input("len32", "\1\0\0\0a\xff\xff\xff\xff", 9, "a\n",
                     "record 2 is 4294967295 bytes long");
}
END_TEST

START_TEST(test_unreadable_input)
{
    const struct ending pub = tool_run(ARGUMENTS(PUB, "folder", folder_path()), NULL, 0);
    assert_code(pub, 1);
    assert_in(pub.err, folder_path());
    assert_in(pub.err, "Is a directory");
    ck_assert(!bus_exists("folder"));
}
END_TEST

START_TEST(test_killed_producer)
{
    struct tool sub = tool_start(ARGUMENTS(SUB_OLDEST, "killed"));
    struct tool pub = tool_start(ARGUMENTS(PUB, "--wait-consumers", "1", "killed"));
    tool_write(&pub, "last words\n", 11);
    tool_await_out(&sub, "last words\n");
    kill(pub.pid, SIGKILL);
    const struct ending published = tool_end(&pub);
    assert_code(published, 128 + SIGKILL);
    const struct ending read = tool_end(&sub);
    assert_code(read, 1);
    assert_in(read.err, "shmbus-sub: bus 'killed': its producer died");
    ck_assert_str_eq(read.out.data, "last words\n");
    /* shmbus-stat says so too, as a page, an object and in the list, and is not upset. */
    const struct ending page = tool_run(ARGUMENTS(STAT, "killed"), NULL, 0);
    assert_code(page, 0);
    assert_in(page.out, "state       dead: ");
    const struct ending json = tool_run(ARGUMENTS(STAT, "--json", "killed"), NULL, 0);
    assert_code(json, 0);
    ck_assert(json_is(json.out.data, "state", "\"dead\""));
    ck_assert(json_is(json.out.data, "producers.0.alive", "false"));
    ck_assert_uint_eq(json_number(json.out.data, "producers.0.published"), 1);
    const struct ending list = tool_run(ARGUMENTS(STAT), NULL, 0);
    assert_code(list, 0);
    assert_in(list.out, "dead");
}
END_TEST

START_TEST(test_killed_consumer)
{
    /* Its producer does not wait for the dead, neither for room nor at the end. */
    struct tool sub = tool_start(ARGUMENTS(SUB_OLDEST, "bereft"));
    struct tool pub =
        tool_start(ARGUMENTS(PUB, "--wait-consumers", "1", "--capacity", "16", "bereft"));
    tool_write(&pub, "one\n", 4);
    tool_await_out(&sub, "one\n");
    kill(sub.pid, SIGKILL);
    const struct ending read = tool_end(&sub);
    assert_code(read, 128 + SIGKILL);
    for (int i = 0; i < 1000; i++) {
        tool_write(&pub, "line\n", 5);
    }
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
}
END_TEST

START_TEST(test_signal_to_sub)
{
    struct tool pub = tool_start(ARGUMENTS(PUB, "stopsub"));
    struct tool sub = tool_start(ARGUMENTS(SUB_OLDEST, "stopsub"));
    await_consumers("stopsub", 1);
    tool_write(&pub, "one\n", 4);
    tool_await_out(&sub, "one\n");
    kill(sub.pid, signals[_i]);
    const struct ending read = tool_end(&sub);
    assert_code(read, 0);
    ck_assert_str_eq(read.err.data, "");
    /* It has left, so it holds nobody up. */
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
}
END_TEST

START_TEST(test_signal_while_waiting_for_a_bus)
{
    struct tool sub = tool_start(ARGUMENTS(SUB, "--required", "--wait", "1000", "never"));
    await_handler(sub.pid, signals[_i]);
    kill(sub.pid, signals[_i]);
    const struct ending read = tool_end(&sub);
    assert_code(read, 0);
    ck_assert_str_eq(read.err.data, "");
}
END_TEST

START_TEST(test_output_breaks)
{
    static const char text[] = "one\ntwo\n";
    const struct ending pub = tool_run(ARGUMENTS(PUB, "--keep", "out"), text, sizeof(text) - 1);
    assert_code(pub, 0);
    struct tool full = tool_start_to(ARGUMENTS(SUB, "--required", "--from", "0", "out"),
                                     open("/dev/full", O_WRONLY | O_CLOEXEC), -1);
    const struct ending unwritten = tool_end(&full);
    assert_code(unwritten, 1);
    assert_in(unwritten.err, "shmbus-sub: standard output: No space left");
    /* Nobody reads it any more: quiet, as `head` would have it, and still not a success. */
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    close(ends[0]);
    struct tool left =
        tool_start_to(ARGUMENTS(SUB, "--required", "--from", "0", "out"), ends[1], -1);
    const struct ending unread = tool_end(&left);
    assert_code(unread, 1);
    ck_assert_str_eq(unread.err.data, "");
}
END_TEST

/* A consumer that can stop production must be asked for. */
START_TEST(test_optional_unless_asked)
{
    struct tool pub = tool_start(ARGUMENTS(PUB, "--wait-consumers", "1", "ask"));
    await_tail("ask", 0);
    struct tool sub = tool_start(ARGUMENTS(SUB, "--name", "casual", "ask"));
    await_received("ask", "casual", 0);
    kill(pub.pid, SIGTERM);
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    const struct ending read = tool_end(&sub);
    assert_code(read, 0);
}
END_TEST

START_TEST(test_latency)
{
    struct tool sub = tool_start(ARGUMENTS(SUB_OLDEST, "--latency", "lat"));
    const struct ending pub = tool_run(
        ARGUMENTS(PUB, "--timestamps", "--wait-consumers", "1", "lat"), "one\ntwo\nthree\n", 14);
    assert_code(pub, 0);
    const struct ending read = tool_end(&sub);
    assert_code(read, 0);
    ck_assert_str_eq(read.out.data, "one\ntwo\nthree\n");
    static const char *const keys[] = {" p50=", " p90=", " p99=", " p99.9=", " max="};
    uint64_t last = 1;
    for (int i = 0; i < 5; i++) {
        const uint64_t value = number_after(read.err.data, keys[i]);
        ck_assert_msg(value >= last, "%s", read.err.data);
        last = value;
    }
    ck_assert_uint_eq(number_after(read.err.data, "latency_ns count="), 3);
}
END_TEST

START_TEST(test_latency_needs_timestamps)
{
    /* Said at once, while the producer lives and has published nothing. */
    struct tool pub = tool_start(ARGUMENTS(PUB, "nolat"));
    const struct ending sub =
        tool_run(ARGUMENTS(SUB, "--required", "--latency", "--wait", "50", "nolat"), NULL, 0);
    assert_code(sub, 1);
    assert_in(sub.err, "no timestamps");
    assert_in(sub.err, "--timestamps");
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
}
END_TEST

START_TEST(test_progress)
{
    /* Shown on a terminal only. */
    const int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(terminal, 0);
    ck_assert_int_eq(grantpt(terminal), 0);
    ck_assert_int_eq(unlockpt(terminal), 0);
    const int other = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(other, 0);
    struct tool pub = tool_start_to(ARGUMENTS(PUB, "--wait-consumers", "1", "shown"), -1, other);
    struct shmbus_consumer *consumer = attach("shown", "watched");
    tool_write(&pub, "1\n2\n3\n", 6);
    await_tail("shown", 3);
    struct bytes seen = {0};
    bytes_add(&seen, "", 0);
    while (!strstr(seen.data, "3 sent, ") ||
           !strstr(seen.data, "/s, slowest of 1 required consumers 3 behind")) {
        char block[1000];
        const ssize_t count = read(terminal, block, sizeof(block));
        ck_assert_int_gt(count, 0);
        bytes_add(&seen, block, (size_t)count);
    }
    tool_close_input(&pub);
    ck_assert_int_eq(read_to_end(consumer), 3);
    shmbus_consumer_close(consumer);
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    char block[1000] = {0};
    ck_assert_int_gt(read(terminal, block, sizeof(block) - 1), 0);
    ck_assert_ptr_nonnull(strstr(block, "sent 3 in "));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tools_ends");
    TCase *tcase = tcase_create("ends");
    tcase_add_unchecked_fixture(tcase, folder_make, folder_remove);
    tcase_add_loop_test(tcase, test_signal_to_pub, 0, 2);
    tcase_add_loop_test(tcase, test_signal_before_consumers, 0, 2);
    tcase_add_loop_test(tcase, test_signal_while_paced, 0, 2);
    tcase_add_loop_test(tcase, test_flush_waits, 0, 2);
    tcase_add_loop_test(tcase, test_second_signal, 0, 2);
    tcase_add_loop_test(tcase, test_full_waits, 0, 2);
    tcase_add_test(tcase, test_bad_input);
    tcase_add_test(tcase, test_unreadable_input);
    tcase_add_test(tcase, test_killed_producer);
    tcase_add_test(tcase, test_killed_consumer);
    tcase_add_loop_test(tcase, test_signal_to_sub, 0, 2);
    tcase_add_loop_test(tcase, test_signal_while_waiting_for_a_bus, 0, 2);
    tcase_add_test(tcase, test_output_breaks);
    tcase_add_test(tcase, test_optional_unless_asked);
    tcase_add_test(tcase, test_latency);
    tcase_add_test(tcase, test_latency_needs_timestamps);
    tcase_add_test(tcase, test_progress);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
