/* SPDX-License-Identifier: MIT */
/*
 * What shmbus-pub publishes shmbus-sub gives back, byte for byte: every format, every size of
 * message, every way to choose where to begin and end.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"
#include "json.h"

#define SUB_OLDEST SUB, "--required", "--from", "oldest", "--wait", "50"

/* Publishes data out of a file to one consumer of it; both end well. What the consumer wrote. */
static struct bytes pass(const char *bus, const char *from_format, const char *to_format,
                         const void *data, size_t length)
{
    const char *path = file_make(bus, data, length);
    struct tool sub = tool_start(ARGUMENTS(SUB_OLDEST, "--format", to_format, bus));
    struct tool pub =
        tool_start(ARGUMENTS(PUB, "--format", from_format, "--wait-consumers", "1", bus, path));
    const struct ending read = tool_end(&sub);
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    assert_code(read, 0);
    ck_assert_str_eq(published.err.data, "");
    ck_assert_str_eq(published.out.data, "");
    ck_assert_str_eq(read.err.data, "");
    ck_assert(!bus_exists(bus));
    return read.out;
}

static void expect_same(const char *bus, const char *format, const char *to_format,
                        const void *data, size_t length)
{
    const struct bytes back = pass(bus, format, to_format, data, length);
    assert_bytes(&back, data, length);
}

/* Bytes of every value, not repeating by any round number. */
static char *make_binary(size_t length)
{
    char *data = memory(length + 1);
    for (size_t i = 0; i < length; i++) {
        data[i] = (char)(i * 31 + i / 255);
    }
    return data;
}

START_TEST(test_lines)
{
    static const char text[] = "first\n\n\nbinary \0\x01\xff\r\nlast\n";
    expect_same("lines", "lines", "lines", text, sizeof(text) - 1);
}
END_TEST

START_TEST(test_last_line_without_newline)
{
    const struct bytes back = pass("lastline", "lines", "lines", "one\ntwo", 7);
    assert_bytes(&back, "one\ntwo\n", 8);
}
END_TEST

START_TEST(test_empty_input)
{
    static const char *const formats[] = {"lines", "raw:8", "len32"};
    expect_same("empty", formats[_i], "raw", "", 0);
}
END_TEST

START_TEST(test_lines_of_every_size)
{
    /* Around slot and slab sizes; the largest that the default pool takes is 262,144. */
    static const size_t sizes[] = {0,    1,    47,   48,    49,    1023,   1024,
                                   1025, 4096, 9999, 16384, 16385, 262143, 262144};
    struct bytes all = {0};
    char *line = memory(262145);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        memset(line, 'a' + (int)i, sizes[i]);
        line[sizes[i]] = '\n';
        bytes_add(&all, line, sizes[i] + 1);
    }
    /* Twice, so that a slab is used again; the other way round it does not end with a slab. */
    expect_same("sizes", "lines", "lines", all.data, all.length);
    struct bytes twice = {0};
    bytes_add(&twice, all.data, all.length);
    bytes_add(&twice, all.data, all.length);
    expect_same("sizes", "lines", "lines", twice.data, twice.length);
}
END_TEST

START_TEST(test_raw)
{
    char *data = make_binary(300000);
    expect_same("raw", "raw:48", "raw", data, 288000);
    expect_same("raw", "raw:1K", "raw", data, 204800);
    expect_same("raw", "raw:100000", "raw", data, 300000);
    const struct bytes back = pass("raw", "raw:3", "hex", "\x01\x02\x03\xfd\xfe\xff", 6);
    assert_bytes(&back, "010203\nfdfeff\n", 14);
}
END_TEST

START_TEST(test_len32)
{
    struct bytes all = {0};
    char *data = make_binary(70000);
    for (uint32_t length = 0; length < 70000; length = length * 3 + 1) {
        const unsigned char head[4] = {length & 0xff, length >> 8 & 0xff, length >> 16 & 0xff, 0};
        bytes_add(&all, head, 4);
        bytes_add(&all, data, length);
    }
    expect_same("len32", "len32", "len32", all.data, all.length);
    const struct bytes back = pass("len32", "len32", "lines", "\3\0\0\0a\nb\0\0\0\0", 11);
    assert_bytes(&back, "a\nb\n\n", 5);
}
END_TEST

START_TEST(test_json)
{
    static const char text[] = "plain\nquote \" and \\\ncaf\xc3\xa9\n\xff\xfe\n";
    const struct bytes back = pass("json", "lines", "json", text, sizeof(text) - 1);
    static const char *const wanted[] = {"plain", "quote \" and \\", "caf\xc3\xa9", "\xff\xfe"};
    char *line = back.data;
    for (size_t i = 0; i < 4; i++) {
        char *end = strchr(line, '\n');
        ck_assert_ptr_nonnull(end);
        *end = '\0';
        ck_assert(json_valid(line, (size_t)(end - line)));
        ck_assert_uint_eq(json_number(line, "sequence"), i);
        ck_assert_uint_eq(json_number(line, "type"), 0);
        ck_assert_uint_eq(json_number(line, "length"), strlen(wanted[i]));
        struct bytes data = json_string(line, i < 3 ? "data" : "data_base64");
        data = i < 3 ? data : base64_decode(&data);
        assert_bytes(&data, wanted[i], strlen(wanted[i]));
        line = end + 1;
    }
    ck_assert_str_eq(line, "");
}
END_TEST

START_TEST(test_standard_input)
{
    struct tool sub = tool_start(ARGUMENTS(SUB_OLDEST, "stdin"));
    const struct ending pub =
        tool_run(_i == 0 ? ARGUMENTS(PUB, "--wait-consumers", "1", "stdin")
                         : ARGUMENTS(PUB, "--wait-consumers", "1", "stdin", "-"),
                 "from\nstdin\n", 11);
    assert_code(pub, 0);
    const struct ending read = tool_end(&sub);
    assert_code(read, 0);
    assert_bytes(&read.out, "from\nstdin\n", 11);
}
END_TEST

START_TEST(test_line_at_once)
{
    /* Each line is seen by the consumer before the next is written. */
    char line[32];
    struct tool sub = tool_start(ARGUMENTS(SUB_OLDEST, "slow"));
    struct tool pub = tool_start(ARGUMENTS(PUB, "slow"));
    await_consumers("slow", 1);
    for (int i = 0; i < 50; i++) {
        snprintf(line, sizeof(line), "line %d\n", i);
        tool_write(&pub, line, strlen(line));
        tool_await_out(&sub, line);
    }
    /* Half a line is none yet; what is whole in the same read goes out. */
    tool_write(&pub, "whole\nhal", 9);
    tool_await_out(&sub, "whole\n");
    tool_write(&pub, "f\n", 2);
    tool_await_out(&sub, "\nhalf\n");
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    const struct ending read = tool_end(&sub);
    assert_code(read, 0);
}
END_TEST

START_TEST(test_three_consumers)
{
    /* More than the ring holds, to three at once, through a small ring and pool. */
    struct bytes all = {0};
    char line[512];
    for (int i = 0; i < 20000; i++) {
        const int length = snprintf(line, sizeof(line), "%d %0*d\n", i, i % 300, i);
        bytes_add(&all, line, (size_t)length);
    }
    const char *path = file_make("three.txt", all.data, all.length);
    struct tool subs[3];
    int outputs[3];
    for (int i = 0; i < 3; i++) {
        /* Into files: a pipe that nobody reads yet would hold up the other two. */
        outputs[i] = open(path_in("three.%d", i), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        subs[i] = tool_start_to(ARGUMENTS(SUB_OLDEST, "three"), outputs[i], -1);
    }
    struct tool pub = tool_start(ARGUMENTS(PUB, "--capacity", "256", "--pool", "128:32,512:64",
                                           "--wait-consumers", "3", "three", path));
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    for (int i = 0; i < 3; i++) {
        const struct ending read = tool_end(&subs[i]);
        struct bytes written = {.data = memory(all.length + 2)};
        assert_code(read, 0);
        written.length = (size_t)pread(outputs[i], written.data, all.length + 1, 0);
        assert_bytes(&written, all.data, all.length);
    }
}
END_TEST

/* Leaves a closed bus behind, with the lines "line 0" to "line 9". */
static void keep_ten(const char *bus, const char *const *more)
{
    static const char text[] = "line 0\nline 1\nline 2\nline 3\nline 4\n"
                               "line 5\nline 6\nline 7\nline 8\nline 9\n";
    const char *arguments[16] = {PUB, "--keep", bus};
    for (int i = 0; more && more[i]; i++) {
        arguments[3 + i] = more[i];
    }
    const struct ending pub = tool_run(arguments, text, sizeof(text) - 1);
    assert_code(pub, 0);
    ck_assert(bus_exists(bus));
}

/* Reads a bus whose stream has ended, and compares what comes. */
static void expect_read(const char *const *arguments, const char *text)
{
    const struct ending sub = tool_run(arguments, NULL, 0);
    assert_code(sub, 0);
    assert_bytes(&sub.out, text, strlen(text));
}

START_TEST(test_from_and_count)
{
    keep_ten("from", NULL);
    expect_read(ARGUMENTS(SUB, "--required", "--from", "7", "from"), "line 7\nline 8\nline 9\n");
    expect_read(ARGUMENTS(SUB, "--required", "--from", "0", "--count", "2", "from"),
                "line 0\nline 1\n");
    expect_read(ARGUMENTS(SUB, "--required", "--from", "oldest", "--count", "1", "from"),
                "line 0\n");
    expect_read(ARGUMENTS(SUB, "--required", "--from", "8", "--count", "3", "from"),
                "line 8\nline 9\n");
    /* The default, the tail, is where nothing has come yet. */
    expect_read(ARGUMENTS(SUB, "--required", "from"), "");
    expect_read(ARGUMENTS(SUB, "--required", "--from", "tail", "from"), "");
    const struct ending sub =
        tool_run(ARGUMENTS(SUB, "--required", "--from", "1000", "from"), NULL, 0);
    assert_code(sub, 1);
    assert_in(sub.err, "shmbus-sub: bus 'from': ");
}
END_TEST

START_TEST(test_from_tail_of_a_living_bus)
{
    struct tool pub = tool_start(ARGUMENTS(PUB, "tail"));
    tool_write(&pub, "before\n", 7);
    await_tail("tail", 1);
    struct tool sub = tool_start(ARGUMENTS(SUB, "--required", "--count", "2", "tail"));
    await_consumers("tail", 1);
    tool_write(&pub, "after 1\nafter 2\nafter 3\n", 24);
    const struct ending read = tool_end(&sub);
    assert_code(read, 0);
    ck_assert_str_eq(read.out.data, "after 1\nafter 2\n");
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
}
END_TEST

START_TEST(test_first_sequence)
{
    keep_ten("first", ARGUMENTS("--first-sequence", "72057594037927930"));
    expect_read(ARGUMENTS(SUB, "--required", "--from", "72057594037927939", "first"), "line 9\n");
    const struct ending sub = tool_run(
        ARGUMENTS(SUB, "--required", "--from", "oldest", "--format", "json", "first"), NULL, 0);
    assert_code(sub, 0);
    ck_assert(json_is(sub.out.data, "sequence", "72057594037927930"));
}
END_TEST

START_TEST(test_kept_bus_goes_on)
{
    keep_ten("kept", NULL);
    const struct ending pub = tool_run(ARGUMENTS(PUB, "--keep", "kept"), "line 10\n", 8);
    assert_code(pub, 0);
    expect_read(ARGUMENTS(SUB, "--required", "--from", "8", "kept"), "line 8\nline 9\nline 10\n");
    /* Other geometry is refused, and both are named. */
    const struct ending other =
        tool_run(ARGUMENTS(PUB, "--capacity", "128", "--keep", "kept"), "x\n", 2);
    assert_code(other, 1);
    assert_in(other.err, "128");
    assert_in(other.err, "65536");
    /* Without --keep it is gone at the end. */
    const struct ending last = tool_run(ARGUMENTS(PUB, "kept"), "line 11\n", 8);
    assert_code(last, 0);
    ck_assert(!bus_exists("kept"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tools_round_trip");
    TCase *tcase = tcase_create("round trip");
    tcase_add_unchecked_fixture(tcase, folder_make, folder_remove);
    tcase_add_test(tcase, test_lines);
    tcase_add_test(tcase, test_last_line_without_newline);
    tcase_add_loop_test(tcase, test_empty_input, 0, 3);
    tcase_add_test(tcase, test_lines_of_every_size);
    tcase_add_test(tcase, test_raw);
    tcase_add_test(tcase, test_len32);
    tcase_add_test(tcase, test_json);
    tcase_add_loop_test(tcase, test_standard_input, 0, 2);
    tcase_add_test(tcase, test_line_at_once);
    tcase_add_test(tcase, test_three_consumers);
    tcase_add_test(tcase, test_from_and_count);
    tcase_add_test(tcase, test_from_tail_of_a_living_bus);
    tcase_add_test(tcase, test_first_sequence);
    tcase_add_test(tcase, test_kept_bus_goes_on);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
