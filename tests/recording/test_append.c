/* SPDX-License-Identifier: MIT */
/*
 * shmbus-record killed, and going on with what it left: nothing twice, nothing missing that the bus
 * still has, and what is missing told to the sequence.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "json.h"
#include "recording.h"

START_TEST(killed_and_gone_on)
{
    const struct bytes input = numbered_lines(20000, 0);
    const char *path = path_in("killed.lz4");
    struct tool pub = tool_start(ARGUMENTS(PUB, "--keep", "killed"));
    struct tool record =
        tool_start(ARGUMENTS(RECORD, "--required", "--name", "r", "--from", "oldest", "--wait",
                             "50", "--block", "4K", "-o", path, "killed"));
    await_consumers("killed", 1);
    tool_write(&pub, input.data, input.length);
    await_received("killed", "r", 20000);
    ck_assert_int_eq(kill(record.pid, SIGKILL), 0);
    const struct ending killed = tool_end(&record);
    assert_code(killed, 128 + SIGKILL);
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    /* What is whole of it is read, by itself. */
    const struct ending before = tool_run(ARGUMENTS(DUMP, path), NULL, 0);
    assert_code(before, 0);
    assert_in(before.err, "did not close it");
    ck_assert_uint_gt(before.out.length, 0);
    ck_assert_int_eq(memcmp(before.out.data, input.data, before.out.length), 0);
    const struct ending verify = tool_run(ARGUMENTS(DUMP, "--verify", path), NULL, 0);
    assert_code(verify, 1);
    assert_in(verify.err, "not closed");
    assert_in(verify.err, "--append");
    const struct ending appended =
        tool_run(ARGUMENTS(RECORD, "--append", "-o", path, "killed"), NULL, 0);
    assert_code(appended, 0);
    assert_in(appended.err, "goes on at sequence ");
    const struct bytes all = dump(path, NULL);
    assert_bytes(&all, input.data, input.length);
    assert_in(dump(path, ARGUMENTS("--verify")), "whole, 20000 records");
    ck_assert_int_eq(shmbus_unlink("killed", NULL), 0);
}
END_TEST

/* The tail is cut anywhere: it goes on from the last whole block. */
START_TEST(cut_and_gone_on)
{
    const struct bytes input = numbered_lines(3000, 0);
    keep_bus("cut", &input, NULL);
    const struct bytes whole =
        file_read(record_kept("cut", "whole.lz4", ARGUMENTS("--block", "4K")));
    for (size_t length = whole.length - 1; length > 1000; length -= 1 + length / 12) {
        const char *path = file_make("cut.lz4", whole.data, length);
        const struct ending appended =
            tool_run(ARGUMENTS(RECORD, "--append", "-o", path, "cut"), NULL, 0);
        assert_code(appended, 0);
        const struct bytes all = dump(path, NULL);
        assert_bytes(&all, input.data, input.length);
        assert_in(dump(path, ARGUMENTS("--verify")), "whole, 3000 records");
    }
    /* Without a whole header it is no recording. */
    const char *path = file_make("cut.lz4", whole.data, 100);
    const struct ending refused =
        tool_run(ARGUMENTS(RECORD, "--append", "-o", path, "cut"), NULL, 0);
    assert_code(refused, 1);
    assert_in(refused.err, "the header is cut");
    ck_assert_uint_eq(file_read(path).length, 100);
    ck_assert_int_eq(shmbus_unlink("cut", NULL), 0);
}
END_TEST

/* What the bus does not have any more is a range of its own. */
START_TEST(gap_is_recorded)
{
    const struct bytes first = numbered_lines(5, 0);
    const char *path = path_in("gap.lz4");
    keep_bus("gap", &first, ARGUMENTS("--capacity", "64"));
    record_kept("gap", "gap.lz4", NULL);
    const struct bytes more = numbered_lines(200, 0);
    keep_bus("gap", &more, ARGUMENTS("--capacity", "64"));
    const struct ending appended =
        tool_run(ARGUMENTS(RECORD, "--append", "-o", path, "gap"), NULL, 0);
    assert_code(appended, 0);
    assert_in(appended.err, "lost ");
    const struct bytes json = dump(path, ARGUMENTS("--format", "json"));
    const char *event = strstr(json.data, "{\"event\":\"lost\",\"first\":5,\"count\":");
    ck_assert_ptr_nonnull(event);
    const uint64_t count = number_after(event, "\"count\":");
    ck_assert_uint_ge(count, 200 - 64);
    /* And then the oldest that there is. */
    ck_assert_uint_eq(number_after(event, "{\"sequence\":"), 5 + count);
    assert_in(dump(path, ARGUMENTS("--stats")), "sequences 0 to 204\n");
    ck_assert_int_eq(shmbus_unlink("gap", NULL), 0);
}
END_TEST

START_TEST(another_bus_is_refused)
{
    const struct bytes input = numbered_lines(5, 0);
    keep_bus("other", &input, NULL);
    const char *path = record_kept("other", "other.lz4", NULL);
    const struct bytes before = file_read(path);
    ck_assert_int_eq(shmbus_unlink("other", NULL), 0);
    const struct bytes more = numbered_lines(9, 0);
    keep_bus("other", &more, NULL);
    const struct ending appended =
        tool_run(ARGUMENTS(RECORD, "--append", "-o", path, "other"), NULL, 0);
    assert_code(appended, 1);
    assert_in(appended.err, "earlier bus of that name");
    const struct bytes after = file_read(path);
    assert_bytes(&after, before.data, before.length);
    ck_assert_int_eq(shmbus_unlink("other", NULL), 0);
}
END_TEST

START_TEST(two_at_once_are_refused)
{
    struct tool pub = tool_start(ARGUMENTS(PUB, "twice"));
    const char *path = path_in("twice.lz4");
    struct tool record = tool_start(ARGUMENTS(RECORD, "--required", "--name", "r", "--wait", "50",
                                              "--from", "oldest", "-o", path, "twice"));
    await_consumers("twice", 1);
    tool_write(&pub, "one\n", 4);
    await_received("twice", "r", 1);
    const struct ending second =
        tool_run(ARGUMENTS(RECORD, "--append", "-o", path, "twice"), NULL, 0);
    assert_code(second, 1);
    assert_in(second.err, "another recorder writes it");
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    const struct ending recorded = tool_end(&record);
    assert_code(recorded, 0);
    ck_assert_str_eq(dump(path, NULL).data, "one\n");
}
END_TEST

/* Of files one after the other the last one is gone on with; without any it begins. */
START_TEST(rotated_and_gone_on)
{
    char script[2048];
    const struct bytes input = numbered_lines(3000, 0);
    const char *path = path_in("part[1].lz4");
    keep_bus("part", &input, NULL);
    for (int i = 0; i < 3; i++) {
        const struct ending recorded =
            tool_run(ARGUMENTS(RECORD, i == 0 ? "--move-up" : "--append", "--from",
                               i == 0 ? "0" : "tail", "--count", "1000", "--rotate-size", "8K",
                               "--block", "4K", "-o", path, "part"),
                     NULL, 0);
        assert_code(recorded, 0);
    }
    snprintf(script, sizeof(script),
             "cd %s && for f in part?1?.*.lz4; do %s \"$f\" || exit 1; done", folder_path(), DUMP);
    const struct ending all = tool_run(ARGUMENTS("/bin/sh", "-c", script), NULL, 0);
    assert_code(all, 0);
    assert_bytes(&all.out, input.data, input.length);
    ck_assert_int_eq(shmbus_unlink("part", NULL), 0);
}
END_TEST

int main(void)
{
    return recording_run("recording_append",
                         (const TTest *const[]){killed_and_gone_on, cut_and_gone_on,
                                                gap_is_recorded, another_bus_is_refused,
                                                two_at_once_are_refused, rotated_and_gone_on,
                                                NULL});
}
