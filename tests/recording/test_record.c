/* SPDX-License-Identifier: MIT */
/*
 * shmbus-record beside a bus that lives: begin and end, what it loses and how that is recorded,
 * files one after the other, a disk that is full.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "json.h"
#include "recording.h"

START_TEST(from_and_count)
{
    const struct bytes input = numbered_lines(10, 0);
    keep_bus("from", &input, NULL);
    const char *path = path_in("from.lz4");
    const struct ending record =
        tool_run(ARGUMENTS(RECORD, "--from", "3", "--count", "2", "-o", path, "from"), NULL, 0);
    assert_code(record, 0);
    struct bytes lines = dump(path, NULL);
    ck_assert_str_eq(lines.data, "line 3\nline 4\n");
    /* A file that is there is left alone. */
    const struct ending again = tool_run(ARGUMENTS(RECORD, "-o", path, "from"), NULL, 0);
    assert_code(again, 1);
    assert_in(again.err, "File exists");
    assert_in(again.err, "--append");
    lines = dump(path, NULL);
    ck_assert_str_eq(lines.data, "line 3\nline 4\n");
    const struct ending nowhere =
        tool_run(ARGUMENTS(RECORD, "-o", "/no/such/folder/x", "from"), NULL, 0);
    assert_code(nowhere, 1);
    assert_in(nowhere.err, "/no/such/folder/x: No such file or directory");
    /* Nothing of the tail is there any more to be read. */
    const struct ending tail = tool_run(ARGUMENTS(RECORD, "-o", path_in("t"), "from"), NULL, 0);
    assert_code(tail, 0);
    lines = dump(path_in("t"), NULL);
    ck_assert_str_eq(lines.data, "");
    ck_assert_int_eq(shmbus_unlink("from", NULL), 0);
}
END_TEST

/* A signal ends it in order, with all that it has read. */
START_TEST(signals)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < 2; i++) {
        struct tool pub = tool_start(ARGUMENTS(PUB, "signal"));
        const char *path = path_in("signal.%zu", i);
        struct tool record = tool_start(ARGUMENTS(RECORD, "--required", "--name", "r", "--wait",
                                                  "50", "--from", "oldest", "-o", path, "signal"));
        await_consumers("signal", 1);
        tool_write(&pub, "one\ntwo\n", 8);
        await_received("signal", "r", 2);
        ck_assert_int_eq(kill(record.pid, numbers[i]), 0);
        const struct ending recorded = tool_end(&record);
        assert_code(recorded, 0);
        ck_assert_str_eq(recorded.err.data, "");
        const struct bytes lines = dump(path, NULL);
        ck_assert_str_eq(lines.data, "one\ntwo\n");
        assert_in(dump(path, ARGUMENTS("--verify")), "whole");
        const struct ending published = tool_end(&pub);
        assert_code(published, 0);
    }
}
END_TEST

START_TEST(producer_dies)
{
    struct tool pub = tool_start(ARGUMENTS(PUB, "dies"));
    const char *path = path_in("dies.lz4");
    struct tool record = tool_start(ARGUMENTS(RECORD, "--required", "--name", "r", "--wait", "50",
                                              "--from", "oldest", "-o", path, "dies"));
    await_consumers("dies", 1);
    tool_write(&pub, "one\n", 4);
    await_received("dies", "r", 1);
    ck_assert_int_eq(kill(pub.pid, SIGKILL), 0);
    const struct ending published = tool_end(&pub);
    assert_code(published, 128 + SIGKILL);
    const struct ending recorded = tool_end(&record);
    assert_code(recorded, 1);
    assert_in(recorded.err, "its producer died");
    assert_in(recorded.err, "--append");
    assert_in(dump(path, ARGUMENTS("--verify")), "whole, 1 records");
    ck_assert_int_eq(shmbus_unlink("dies", NULL), 0);
}
END_TEST

/* A quiet bus is on the disk soon, without an end of anything. */
START_TEST(quiet_is_written)
{
    struct tool pub = tool_start(ARGUMENTS(PUB, "quiet"));
    const char *path = path_in("quiet.lz4");
    struct tool record = tool_start(
        ARGUMENTS(RECORD, "--required", "--wait", "50", "--from", "oldest", "-o", path, "quiet"));
    await_consumers("quiet", 1);
    tool_write(&pub, "one\n", 4);
    for (;;) {
        const struct ending lines = tool_run(ARGUMENTS(DUMP, path), NULL, 0);
        if (strcmp(lines.out.data, "one\n") == 0) {
            assert_in(lines.err, "did not close it");
            break;
        }
        usleep(10000);
    }
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    const struct ending recorded = tool_end(&record);
    assert_code(recorded, 0);
}
END_TEST

/* Compresses slowly, through the smallest queue, what is published as fast as it goes. */
static struct ending record_slowly(const char *path, unsigned count)
{
    const struct bytes input = numbered_lines(count, 40);
    const char *file = file_make("input", input.data, input.length);
    struct tool record = tool_start(ARGUMENTS(RECORD, "--required", "--name", "r", "--from",
                                              "oldest", "--wait", "50", "--level", "12", "--block",
                                              "64K", "--queue", "2", "-o", path, "slow"));
    struct tool keeper = tool_start(
        ARGUMENTS(PUB, "--capacity", "64", "--pool", "none", "--slot", "128", "slow", "-"));
    await_consumers("slow", 1);
    char line[4096];
    FILE *from = fopen(file, "r");
    ck_assert_ptr_nonnull(from);
    size_t bytes = 0;
    while ((bytes = fread(line, 1, sizeof(line), from)) > 0) {
        tool_write(&keeper, line, bytes);
    }
    fclose(from);
    const struct ending published = tool_end(&keeper);
    assert_code(published, 0);
    return tool_end(&record);
}

START_TEST(required_misses_nothing)
{
    const char *path = path_in("required.lz4");
    const struct ending recorded = record_slowly(path, 20000);
    assert_code(recorded, 0);
    assert_in(recorded.err, "cannot be written as fast as the bus is");
    assert_in(recorded.err, "the disk was waited for ");
    assert_not_in(recorded.err, "lost");
    const struct bytes input = numbered_lines(20000, 40);
    const struct bytes lines = dump(path, NULL);
    assert_bytes(&lines, input.data, input.length);
}
END_TEST

/* What an optional one lost is in the recording, to the sequence: messages and ranges together are
 * all that was published, and each message is the one of its sequence. */
START_TEST(optional_says_what_it_lost)
{
    const char *path = path_in("optional.lz4");
    struct tool record =
        tool_start(ARGUMENTS(RECORD, "--name", "r", "--wait", "50", "-o", path, "optional"));
    struct tool pub = tool_start(
        ARGUMENTS(PUB, "--capacity", "64", "--pool", "none", "--slot", "128", "optional"));
    await_consumers("optional", 1);
    tool_write(&pub, "line 0\n", 7);
    await_received("optional", "r", 1);
    tool_stop(&record);
    const struct bytes input = numbered_lines(1000, 0);
    tool_write(&pub, input.data + 7, input.length - 7);
    await_tail("optional", 1000);
    ck_assert_int_eq(kill(record.pid, SIGCONT), 0);
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    const struct ending ended = tool_end(&record);
    assert_code(ended, 0);
    assert_in(ended.err, "lost ");
    struct bytes json = dump(path, ARGUMENTS("--format", "json"));
    uint64_t next = 0;
    uint64_t lost = 0;
    for (char *line = strtok(json.data, "\n"); line; line = strtok(NULL, "\n")) {
        if (strstr(line, "\"event\":\"lost\"")) {
            ck_assert_uint_eq(json_number(line, "first"), next);
            lost += json_number(line, "count");
            next += json_number(line, "count");
            continue;
        }
        char wanted[32];
        snprintf(wanted, sizeof(wanted), "line %llu", (unsigned long long)next);
        ck_assert_uint_eq(json_number(line, "sequence"), next);
        ck_assert_str_eq(json_string(line, "data").data, wanted);
        next++;
    }
    ck_assert_uint_eq(next, 1000);
    ck_assert_uint_gt(lost, 800);
}
END_TEST

/* Files one after the other: sorted by name they are in order, and together they are everything. */
START_TEST(rotated_by_size)
{
    char script[2048];
    const struct bytes input = numbered_lines(30000, 30);
    record_lines("rot.lz4", &input, ARGUMENTS("--rotate-size", "16K", "--block", "4K"));
    ck_assert_int_ne(access(path_in("rot.lz4"), F_OK), 0);
    ck_assert_int_eq(access(path_in("rot.00000000000000000000.lz4"), F_OK), 0);
    snprintf(script, sizeof(script),
             "cd %s && ls rot.*.lz4 | wc -l && for f in rot.*.lz4; do %s \"$f\" || exit 1; "
             "%s --verify \"$f\" >&2 || exit 1; done",
             folder_path(), DUMP, DUMP);
    const struct ending all = tool_run(ARGUMENTS("/bin/sh", "-c", script), NULL, 0);
    assert_code(all, 0);
    char *rest = NULL;
    ck_assert_int_gt(strtol(all.out.data, &rest, 10), 5);
    ck_assert_str_eq(rest + 1, input.data);
    snprintf(script, sizeof(script), "cd %s && %s --speed max --keep rot.*.lz4 rotated",
             folder_path(), REPLAY);
    const struct ending replayed = tool_run(ARGUMENTS("/bin/sh", "-c", script), NULL, 0);
    assert_code(replayed, 0);
    const struct bytes again = read_kept("rotated", "lines");
    assert_bytes(&again, input.data, input.length);
    ck_assert_int_eq(shmbus_unlink("rotated", NULL), 0);
    /* The other way round they are refused. */
    snprintf(script, sizeof(script), "cd %s && %s --speed max $(ls -r rot.*.lz4) rotated",
             folder_path(), REPLAY);
    const struct ending reversed = tool_run(ARGUMENTS("/bin/sh", "-c", script), NULL, 0);
    assert_code(reversed, 1);
    assert_in(reversed.err, "in the order of their sequences");
    ck_assert(!bus_exists("rotated"));
}
END_TEST

START_TEST(rotated_by_time)
{
    struct tool pub = tool_start(ARGUMENTS(PUB, "--rate", "100", "timed"));
    struct tool record =
        tool_start(ARGUMENTS(RECORD, "--required", "--name", "r", "--wait", "50", "--from",
                             "oldest", "--rotate-time", "0.05", "-o", path_in("timed"), "timed"));
    const struct bytes input = numbered_lines(50, 0);
    tool_write(&pub, input.data, input.length);
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    const struct ending recorded = tool_end(&record);
    assert_code(recorded, 0);
    char script[2048];
    snprintf(script, sizeof(script),
             "cd %s && for f in timed.*; do %s $f; done; ls timed.* | wc -l", folder_path(), DUMP);
    const struct ending all = tool_run(ARGUMENTS("/bin/sh", "-c", script), NULL, 0);
    assert_code(all, 0);
    ck_assert_int_eq(memcmp(all.out.data, input.data, input.length), 0);
    /* Half a second in files of a twentieth: at least two, however slow this machine is. */
    ck_assert_int_ge(strtol(all.out.data + input.length, NULL, 10), 2);
}
END_TEST

START_TEST(full_disk)
{
    const char *small = path_in("small");
    ck_assert_int_eq(mkdir(small, 0700), 0);
    if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("small", small, "tmpfs", 0, "size=256k") != 0) {
        printf("SKIP full_disk: needs root and a mount namespace\n");
        return;
    }
    char *noise = memory(2000000);
    unsigned state = 1;
    for (size_t i = 0; i < 2000000; i++) {
        state = state * 1103515245 + 12345;
        noise[i] = (char)(state >> 16);
    }
    const char *file = file_make("noise", noise, 2000000);
    const char *path = path_in("small/full.lz4");
    const struct ending kept =
        tool_run(ARGUMENTS(PUB, "--format", "raw:1000", "--keep", "full", file), NULL, 0);
    assert_code(kept, 0);
    const struct ending recorded = tool_run(
        ARGUMENTS(RECORD, "--from", "oldest", "--block", "16K", "-o", path, "full"), NULL, 0);
    assert_code(recorded, 1);
    assert_in(recorded.err, "small/full.lz4: No space left on device (what is in it is whole");
    /* A valid file, with what was first. */
    const struct ending checked = tool_run(ARGUMENTS("/usr/bin/lz4", "-tq", path), NULL, 0);
    assert_code(checked, 0);
    const struct ending raw = tool_run(ARGUMENTS(DUMP, "--format", "raw", path), NULL, 0);
    assert_code(raw, 0);
    ck_assert_uint_ge(raw.out.length, 100000);
    ck_assert_int_eq(memcmp(raw.out.data, noise, raw.out.length), 0);
    /* Room is made, and it goes on to the end. */
    ck_assert_int_eq(mount("small", small, "tmpfs", MS_REMOUNT, "size=16m"), 0);
    const struct ending appended =
        tool_run(ARGUMENTS(RECORD, "--append", "-o", path, "full"), NULL, 0);
    assert_code(appended, 0);
    const struct bytes whole = dump(path, ARGUMENTS("--format", "raw"));
    assert_bytes(&whole, noise, 2000000);
    ck_assert_int_eq(shmbus_unlink("full", NULL), 0);
    ck_assert_int_eq(umount(small), 0);
}
END_TEST

int main(void)
{
    return recording_run("recording_record",
                         (const TTest *const[]){from_and_count, signals, producer_dies,
                                                quiet_is_written, required_misses_nothing,
                                                optional_says_what_it_lost, rotated_by_size,
                                                rotated_by_time, full_disk, NULL});
}
