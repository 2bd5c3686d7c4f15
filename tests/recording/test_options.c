/* SPDX-License-Identifier: MIT */
/*
 * The command lines of shmbus-record, shmbus-replay and shmbus-dump: what each mistake is answered
 * with. Every error names the tool, the thing and what to do, and leaves nothing behind.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "recording.h"

#define WORDS         8
#define COUNT_OF(all) ((int)(sizeof(all) / sizeof((all)[0])))

/* A command line that is wrong, and words that its error must have. */
struct mistake {
    const char *arguments[WORDS];
    const char *words[3];
};

static const struct mistake usage_mistakes[] = {
    {{RECORD}, {"shmbus-record: ", "no bus given"}},
    {{RECORD, "a"}, {"no file given", "-o FILE"}},
    {{RECORD, "a", "b", "-o", "x"}, {"'b'", "one bus", "-o"}},
    {{RECORD, "a", "-o"}, {"-o", "needs an argument"}},
    {{RECORD, "a", "-o", ""}, {"--output", "no file"}},
    {{RECORD, "-o", "x", "--required", "--observe", "a"}, {"--required", "--observe"}},
    {{RECORD, "-o", "x", "--from", "newest", "a"}, {"--from", "'newest'", "oldest"}},
    {{RECORD, "-o", "x", "--move-up", "a"}, {"--move-up", "--from"}},
    {{RECORD, "-o", "x", "--append", "--from", "oldest", "a"}, {"--from", "--append"}},
    {{RECORD, "-o", "x", "--level", "13", "a"}, {"--level", "'13'"}},
    {{RECORD, "-o", "x", "--level", "fast:0", "a"}, {"--level fast:N", "'0'"}},
    {{RECORD, "-o", "x", "--level", "slow", "a"}, {"--level", "'slow'"}},
    {{RECORD, "-o", "x", "--block", "1K", "a"}, {"--block", "'1K'", "4096"}},
    {{RECORD, "-o", "x", "--queue", "1", "a"}, {"--queue", "'1'"}},
    {{RECORD, "-o", "x", "--sync", "often", "a"}, {"--sync", "'often'", "block"}},
    {{RECORD, "-o", "x", "--sync", "0", "a"}, {"--sync", "'0'", "above 0"}},
    {{RECORD, "-o", "x", "--rotate-size", "1", "a"}, {"--rotate-size", "'1'"}},
    {{RECORD, "-o", "x", "--rotate-time", "0", "a"}, {"--rotate-time", "'0'"}},
    {{RECORD, "-o", "x", "--count", "0", "a"}, {"--count", "'0'"}},
    {{RECORD, "-o", "x", "--wait", "soon", "a"}, {"--wait", "'soon'"}},
    {{RECORD, "-o", "x", "--wait-strategy", "nap", "a"}, {"--wait-strategy", "'nap'"}},
    {{RECORD, "-o", "x", "--type", "1,65536", "a"}, {"--type", "'65536'"}},
    {{RECORD, "-o", "x", "--cpu", "near", "a"}, {"--cpu", "'near'"}},
    {{RECORD, "-o", "x", "--fifo", "0", "a"}, {"--fifo", "'0'"}},
    {{RECORD, "-o", "x", "--unknown", "a"}, {"'--unknown'", "--help"}},
    {{REPLAY}, {"shmbus-replay: ", "no file and no bus"}},
    {{REPLAY, "x"}, {"'x'", "the bus last"}},
    {{REPLAY, "x", "a", "+"}, {"no file and no bus"}},
    {{REPLAY, "x", "a", "+", "y", "a"}, {"'a'", "twice"}},
    {{REPLAY, "--from", "7", "x", "a", "+", "y", "b"}, {"--from", "sequences", "time"}},
    {{REPLAY, "--speed", "0", "x", "a"}, {"--speed", "'0'", "max"}},
    {{REPLAY, "--speed", "1e3", "x", "a"}, {"--speed", "'1e3'"}},
    {{REPLAY, "--speed", ".", "x", "a"}, {"--speed", "'.'"}},
    {{REPLAY, "--from", "noon", "x", "a"}, {"--from", "'noon'", "UTC"}},
    {{REPLAY, "--to", "2026-11-27", "x", "a"}, {"--to", "'2026-11-27'"}},
    {{REPLAY, "--to", "+x", "x", "a"}, {"--to", "'x'"}},
    {{REPLAY, "--loop", "x", "x", "a"}, {"--loop", "'x'"}},
    {{REPLAY, "--mode", "888", "x", "a"}, {"--mode", "'888'"}},
    {{REPLAY, "--evict", "0", "x", "a"}, {"--evict", "'0'"}},
    {{REPLAY, "--stall", "0", "x", "a"}, {"--stall", "'0'"}},
    {{REPLAY, "--wait-consumers", "-1", "x", "a"}, {"--wait-consumers", "'-1'"}},
    {{REPLAY, "--keep=1", "x", "a"}, {"--keep", "no argument"}},
    {{DUMP}, {"shmbus-dump: ", "no file given"}},
    {{DUMP, "x", "y"}, {"'y'", "one file"}},
    {{DUMP, "--format", "xml", "x"}, {"--format", "'xml'", "csv"}},
    {{DUMP, "--format", "csv", "--stats", "x"}, {"--stats", "one of them"}},
    {{DUMP, "--verify", "--count", "1", "x"}, {"--verify", "--count"}},
    {{DUMP, "--type", "", "x"}, {"--type", "no type"}},
    {{DUMP, "--count", "0", "x"}, {"--count", "'0'"}},
};

static const struct mistake failures[] = {
    {{RECORD, "-o", "x", "missing"}, {"shmbus-record: bus 'missing': ", "--wait"}},
    {{REPLAY, "/no/such/file", "a"}, {"shmbus-replay: /no/such/file: No such file"}},
    {{REPLAY, "/dev/null", "a"}, {"/dev/null: is no recording"}},
    {{DUMP, "/no/such/file"}, {"shmbus-dump: /no/such/file: No such file"}},
    {{DUMP, "/etc/passwd"}, {"/etc/passwd: is no recording"}},
    {{DUMP, "/"}, {"/: "}},
};

static void expect_mistake(const struct mistake *mistake, int code)
{
    const struct ending ending = tool_run(mistake->arguments, NULL, 0);
    assert_code(ending, code);
    for (int i = 0; i < 3 && mistake->words[i]; i++) {
        assert_in(ending.err, mistake->words[i]);
    }
    ck_assert_str_eq(ending.out.data, "");
    ck_assert(!bus_exists("a"));
    ck_assert_int_ne(access("x", F_OK), 0);
}

START_TEST(usage)
{
    for (int i = 0; i < COUNT_OF(usage_mistakes); i++) {
        expect_mistake(&usage_mistakes[i], 2);
    }
}
END_TEST

START_TEST(failing)
{
    for (int i = 0; i < COUNT_OF(failures); i++) {
        expect_mistake(&failures[i], 1);
    }
}
END_TEST

START_TEST(help_and_version)
{
    static const char *const tools[] = {RECORD, REPLAY, DUMP};
    for (int i = 0; i < COUNT_OF(tools); i++) {
        const struct ending help = tool_run(ARGUMENTS(tools[i], "--help"), NULL, 0);
        assert_code(help, 0);
        ck_assert_str_eq(help.err.data, "");
        assert_in(help.out, "Usage: ");
        assert_in(help.out, strrchr(tools[i], '/') + 1);
        assert_in(help.out, "Exit status");
        const struct ending version = tool_run(ARGUMENTS(tools[i], "--version"), NULL, 0);
        assert_code(version, 0);
        assert_in(version.out, shmbus_version());
        struct tool full =
            tool_start_to(ARGUMENTS(tools[i], "--help"), open("/dev/full", O_WRONLY), -1);
        const struct ending unprinted = tool_end(&full);
        assert_code(unprinted, 1);
        assert_in(unprinted.err, "No space left");
    }
}
END_TEST

int main(void)
{
    return recording_run("recording_options",
                         (const TTest *const[]){usage, failing, help_and_version, NULL});
}
