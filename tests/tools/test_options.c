/* SPDX-License-Identifier: MIT */
/*
 * The command lines of the tools: what each option does to the bus, and what each mistake is
 * answered with. Every error names the tool, the thing and what to do, and leaves nothing behind.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"
#include "json.h"

#define WORDS 8

/* A command line that is wrong, and words that its error must have. */
struct mistake {
    const char *arguments[WORDS];
    const char *words[3];
};

static const struct mistake usage_mistakes[] = {
    {{PUB}, {"shmbus-pub: ", "no bus given"}},
    {{PUB, "a", "b", "c"}, {"shmbus-pub: ", "'c'"}},
    {{PUB, "--unknown", "a"}, {"shmbus-pub: ", "'--unknown'", "--help"}},
    {{PUB, "-x", "a"}, {"shmbus-pub: ", "'-x'"}},
    {{PUB, "--keep=3", "a"}, {"--keep", "no argument"}},
    {{PUB, "a", "--rate"}, {"--rate", "needs an argument"}},
    {{PUB, "--rate", "0", "a"}, {"--rate", "'0'"}},
    {{PUB, "--format", "csv", "a"}, {"--format", "'csv'", "len32"}},
    {{PUB, "--format", "raw:0", "a"}, {"raw:N", "'0'"}},
    {{PUB, "--format", "raw:", "a"}, {"raw:N"}},
    {{PUB, "--capacity", "15", "a"}, {"--capacity", "'15'"}},
    {{PUB, "--capacity", "1000", "a"}, {"1000", "power of two"}},
    {{PUB, "--capacity", "1e3", "a"}, {"--capacity", "'1e3'"}},
    {{PUB, "--slot", "16", "a"}, {"--slot", "'16'"}},
    {{PUB, "--slot", "48", "a"}, {"48", "power of two"}},
    {{PUB, "--slot", "8K", "a"}, {"--slot", "'8K'"}},
    {{PUB, "--pool", "", "a"}, {"--pool", "none"}},
    {{PUB, "--pool", "1024", "a"}, {"--pool", "'1024'", "SIZE:COUNT"}},
    {{PUB, "--pool", "1024:0", "a"}, {"--pool", "'0'"}},
    {{PUB, "--pool", "2G:1", "a"}, {"--pool", "'2G'"}},
    {{PUB, "--pool", "64:1,65:1,129:1,257:1,512:1,1K:1,2K:1,4K:1,8K:1", "a"}, {"--pool", "8"}},
    {{PUB, "--pool", "1024:1,512:1", "a"}, {"1024", "512"}},
    {{PUB, "--numa", "near", "a"}, {"--numa", "'near'", "interleave"}},
    {{PUB, "--huge", "2M", "a"}, {"--huge", "'2M'", "hugetlb"}},
    {{PUB, "--mode", "0888", "a"}, {"--mode", "'0888'"}},
    {{PUB, "--mode", "7777", "a"}, {"--mode", "'7777'"}},
    {{PUB, "--max-consumers", "1025", "a"}, {"--max-consumers", "'1025'"}},
    {{PUB, "--wait-consumers", "-1", "a"}, {"--wait-consumers", "'-1'"}},
    {{PUB, "--group", "no-such-group", "a"}, {"no-such-group"}},
    {{PUB, "--history", "x", "a"}, {"--history", "'x'"}},
    {{PUB, "--history", "64", "--capacity", "64", "a"}, {"history", "64"}},
    {{PUB, "--stall", "0", "a"}, {"--stall", "'0'", "above 0"}},
    {{PUB, "--stall", "soon", "a"}, {"--stall", "'soon'"}},
    {{PUB, "--wait-strategy", "sleep", "a"}, {"--wait-strategy", "'sleep'", "adaptive"}},
    {{SUB, "--wait-strategy", "", "a"}, {"--wait-strategy", "''", "park"}},
    {{PUB, "--evict", "0.0", "a"}, {"--evict", "'0.0'", "above 0"}},
    {{PUB, "--evict", "-1", "a"}, {"--evict", "'-1'"}},
    {{PUB, "--required", "", "a"}, {"--required", "anyone", "nobody"}},
    {{PUB, "--required", "x,a b", "a"}, {"--required", "'a b'"}},
    {{PUB, "--required", "nobody", "--wait-consumers", "1", "a"}, {"--wait-consumers", "nobody"}},
    {{PUB, "--register", "7:trade", "a"}, {"--register", "'7:trade'", "NUMBER:NAME:BYTES"}},
    {{PUB, "--register", "65536:trade:8", "a"}, {"--register", "'65536'"}},
    {{PUB, "--register", "7::8", "a"}, {"--register", "''"}},
    {{PUB, "--register", "7:trade:x", "a"}, {"--register", "'x'"}},
    {{PUB, "--register", "7:x:8", "--register", "7:y:8", "a"}, {"7", "twice"}},
    {{PUB, "--type", "65536", "a"}, {"--type", "'65536'"}},
    {{PUB, "--type", "trade", "a"}, {"--type", "'trade'", "--register"}},
    {{PUB, "--replace=1", "a"}, {"--replace", "no argument"}},
    {{PUB, "no/slash"}, {"shmbus-pub: ", "no/slash"}},
    {{PUB, ".dot"}, {".dot"}},
    {{SUB}, {"shmbus-sub: ", "no bus given"}},
    {{SUB, "a", "b"}, {"shmbus-sub: ", "'b'"}},
    {{SUB, "--required", "--format", "xml", "a"}, {"--format", "'xml'", "json"}},
    {{SUB, "--required", "--from", "newest", "a"}, {"--from", "'newest'", "oldest"}},
    {{SUB, "--required", "--count", "0", "a"}, {"--count", "'0'"}},
    {{SUB, "--required", "--wait", "soon", "a"}, {"--wait", "'soon'"}},
    {{SUB, "--reqired", "a"}, {"'--reqired'"}},
    {{SUB, "--required", "--name", "a name", "a"}, {"a name"}},
    {{SUB, "--required", "--observe", "a"}, {"--required", "--observe"}},
    {{SUB, "--slack", "0", "a"}, {"--slack", "'0'"}},
    {{SUB, "--slack", "5", "--required", "a"}, {"--slack", "required"}},
    {{SUB, "--grace", "5", "a"}, {"--grace", "--required", "--name"}},
    {{SUB, "--grace", "5", "--required", "a"}, {"--grace", "--name"}},
    {{SUB, "--required", "--name", "x", "--grace", "0", "a"}, {"--grace", "'0'"}},
    {{SUB, "--after", "x", "a"}, {"--after", "--required"}},
    {{SUB, "--required", "--after", "a b", "a"}, {"after", "\"a b\""}},
    {{SUB, "--required", "--name", "x", "--after", "x", "a"}, {"after", "own name"}},
    {{SUB, "--required", "--after-gone", "go-on", "a"}, {"--after-gone", "--after NAME"}},
    {{SUB, "--required", "--after", "x", "--after-gone", "stay", "a"}, {"--after-gone", "'stay'"}},
    {{SUB, "--type", "", "a"}, {"--type", "no type"}},
    {{SUB, "--type", "1,65536", "a"}, {"--type", "'65536'"}},
    {{SUB, "--type", "a b", "a"}, {"--type", "'a b'"}},
    {{SUB, "--deadline", "0", "a"}, {"--deadline", "'0'"}},
    {{SUB, "--deadline", "1x", "a"}, {"--deadline", "'1x'"}},
    {{SUB, "--move-up", "a"}, {"--move-up", "--from"}},
    {{SUB, "--follow=1", "a"}, {"--follow", "no argument"}},
    {{STAT, "--reap=x", "a"}, {"--reap", "no argument"}},
    {{STAT, "a", "b"}, {"shmbus-stat: ", "'b'"}},
    {{STAT, "--interval", "x"}, {"--interval", "'x'"}},
    {{STAT, "--yaml"}, {"'--yaml'"}},
    {{STAT, "no/slash"}, {"no/slash"}},
};

static const struct mistake failures[] = {
    {{PUB, "a", "/no/such/file"}, {"shmbus-pub: /no/such/file: No such file"}},
    {{PUB, "--types", "/no/such/list", "a"}, {"--types: /no/such/list: No such file"}},
    {{PUB, "--folder", "/no/such/folder", "a"}, {"/no/such/folder"}},
    {{PUB, "--numa", "63", "a"}, {"63"}},
    {{SUB, "--required", "missing"}, {"shmbus-sub: bus 'missing': ", "--wait", "shmbus-stat"}},
    {{SUB, "--required", "--wait", "0.05", "missing"}, {"'missing'"}},
    {{STAT, "--reap", "missing"}, {"shmbus-stat: bus 'missing': ", "lists"}},
    {{STAT, "missing"}, {"shmbus-stat: bus 'missing': ", "lists"}},
    {{STAT, "--folder", "/no/such/folder"}, {"/no/such/folder", "SHMBUS_DIR"}},
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
}

START_TEST(test_usage)
{
    expect_mistake(&usage_mistakes[_i], 2);
}
END_TEST

START_TEST(test_failures)
{
    expect_mistake(&failures[_i], 1);
}
END_TEST

START_TEST(test_help_and_version)
{
    static const char *const tools[] = {PUB, SUB, STAT};
    const char *name = strrchr(tools[_i], '/') + 1;
    const struct ending help = tool_run(ARGUMENTS(tools[_i], "--help"), NULL, 0);
    assert_code(help, 0);
    ck_assert_str_eq(help.err.data, "");
    assert_in(help.out, "Usage: ");
    assert_in(help.out, name);
    assert_in(help.out, "Exit status");
    const struct ending version = tool_run(ARGUMENTS(tools[_i], "--version"), NULL, 0);
    assert_code(version, 0);
    assert_in(version.out, name);
    assert_in(version.out, shmbus_version());
    /* What cannot be printed is a failure. */
    struct tool full =
        tool_start_to(ARGUMENTS(tools[_i], "--help"), open("/dev/full", O_WRONLY), -1);
    const struct ending unprinted = tool_end(&full);
    assert_code(unprinted, 1);
    assert_in(unprinted.err, "No space left");
}
END_TEST

/* What shmbus-stat says of a bus that was made with these options and is kept. */
static struct bytes picture_of(const char *bus, const char *const *options)
{
    const char *arguments[WORDS * 4] = {PUB, "--keep", bus};
    for (int i = 0; options[i]; i++) {
        arguments[3 + i] = options[i];
    }
    const struct ending pub = tool_run(arguments, "line\n", 5);
    assert_code(pub, 0);
    const struct ending stat = tool_run(ARGUMENTS(STAT, "--json", bus), NULL, 0);
    assert_code(stat, 0);
    ck_assert(json_valid(stat.out.data, stat.out.length));
    return stat.out;
}

START_TEST(test_defaults)
{
    const struct bytes picture = picture_of("defaults", ARGUMENTS(NULL));
    ck_assert_uint_eq(json_number(picture.data, "capacity"), 65536);
    ck_assert_uint_eq(json_number(picture.data, "slot_bytes"), 64);
    ck_assert_int_eq(json_count(picture.data, "pools"), 3);
    ck_assert_uint_eq(json_number(picture.data, "pools.0.slab_bytes"), 1024);
    ck_assert_uint_eq(json_number(picture.data, "pools.0.count"), 4096);
    ck_assert_uint_eq(json_number(picture.data, "pools.1.slab_bytes"), 16384);
    ck_assert_uint_eq(json_number(picture.data, "pools.1.count"), 512);
    ck_assert_uint_eq(json_number(picture.data, "pools.2.slab_bytes"), 262144);
    ck_assert_uint_eq(json_number(picture.data, "pools.2.count"), 16);
    ck_assert(json_is(picture.data, "mode", "\"0600\""));
    ck_assert(json_is(picture.data, "numa.requested", "\"none\""));
    ck_assert(json_is(picture.data, "timestamps", "false"));
}
END_TEST

START_TEST(test_options)
{
    const struct bytes picture = picture_of(
        "options", ARGUMENTS("--capacity", "1K", "--slot", "128", "--pool", "256:3,8K:2",
                             "--max-consumers", "5", "--mode", "0640", "--timestamps", "--scrub",
                             "--numa", "local", "--huge", "thp", "--first-sequence", "1000"));
    ck_assert_uint_eq(json_number(picture.data, "capacity"), 1024);
    ck_assert_uint_eq(json_number(picture.data, "slot_bytes"), 128);
    ck_assert_int_eq(json_count(picture.data, "pools"), 2);
    ck_assert_uint_eq(json_number(picture.data, "pools.0.slab_bytes"), 256);
    ck_assert_uint_eq(json_number(picture.data, "pools.0.count"), 3);
    ck_assert_uint_eq(json_number(picture.data, "pools.1.slab_bytes"), 8192);
    ck_assert_uint_eq(json_number(picture.data, "pools.1.count"), 2);
    ck_assert_uint_eq(json_number(picture.data, "max_consumers"), 5);
    ck_assert(json_is(picture.data, "mode", "\"0640\""));
    ck_assert_uint_eq(json_number(picture.data, "tail"), 1001);
    ck_assert(json_is(picture.data, "timestamps", "true"));
    ck_assert(json_is(picture.data, "scrub", "true"));
    ck_assert(json_is(picture.data, "numa.requested", "\"local\""));
    ck_assert(json_is(picture.data, "huge_requested", "\"thp\""));
    struct stat info;
    ck_assert_int_eq(stat(path_in("shmbus.options/feed"), &info), 0);
    /* Nobody but the producer's user may ever write the feed. */
    ck_assert_uint_eq(info.st_mode & 0777, 0640);
}
END_TEST

START_TEST(test_group_and_folder)
{
    char group[16];
    snprintf(group, sizeof(group), "%u", (unsigned)getgid());
    const char *other = path_in("other");
    ck_assert_int_eq(mkdir(other, 0700), 0);
    const struct ending pub = tool_run(
        ARGUMENTS(PUB, "--keep", "--group", group, "--folder", other, "elsewhere"), "x\n", 2);
    assert_code(pub, 0);
    ck_assert(!bus_exists("elsewhere"));
    const struct ending sub = tool_run(
        ARGUMENTS(SUB, "--required", "--from", "0", "--folder", other, "elsewhere"), NULL, 0);
    assert_code(sub, 0);
    ck_assert_str_eq(sub.out.data, "x\n");
    const struct ending stat = tool_run(ARGUMENTS(STAT, "--folder", other), NULL, 0);
    assert_code(stat, 0);
    assert_in(stat.out, "elsewhere");
}
END_TEST

START_TEST(test_no_pool)
{
    const struct bytes picture = picture_of("inline", ARGUMENTS("--pool", "none"));
    ck_assert_int_eq(json_count(picture.data, "pools"), 0);
    char line[50];
    memset(line, 'x', sizeof(line));
    line[49] = '\n';
    const struct ending pub =
        tool_run(ARGUMENTS(PUB, "--pool", "none", "inline2"), line, sizeof(line));
    assert_code(pub, 1);
    assert_in(pub.err, "line 1 is 49 bytes long");
    assert_in(pub.err, "--pool");
}
END_TEST

START_TEST(test_living_producer)
{
    struct tool first = tool_start(ARGUMENTS(PUB, "owned"));
    await_tail("owned", 0);
    const struct ending second = tool_run(ARGUMENTS(PUB, "owned"), "x\n", 2);
    assert_code(second, 1);
    assert_in(second.err, "shmbus-pub: bus 'owned': ");
    ck_assert(bus_exists("owned"));
    const struct ending ending = tool_end(&first);
    assert_code(ending, 0);
}
END_TEST

START_TEST(test_rate)
{
    /* 21 messages at 100 a second: the last is due 200 ms after the first. */
    struct bytes all = {0};
    struct timespec begun;
    struct timespec ended;
    for (int i = 0; i < 21; i++) {
        bytes_add(&all, "line\n", 5);
    }
    clock_gettime(CLOCK_MONOTONIC, &begun);
    const struct ending pub =
        tool_run(ARGUMENTS(PUB, "--rate", "100", "--keep", "rate"), all.data, all.length);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    assert_code(pub, 0);
    ck_assert_int_ge((ended.tv_sec - begun.tv_sec) * 1000000000 + ended.tv_nsec - begun.tv_nsec,
                     200000000);
    const struct ending stat = tool_run(ARGUMENTS(STAT, "--json", "rate"), NULL, 0);
    ck_assert_uint_eq(json_number(stat.out.data, "tail"), 21);
}
END_TEST

START_TEST(test_closed_streams)
{
    /* A closed standard stream is an error where it is needed, and never becomes the bus. */
    char script[4096];
    snprintf(script, sizeof(script),
             "printf 'a\\nb\\n' | %s --keep closed >&- 2>&- || exit 10;"
             "%s --required --from 0 closed >&- && exit 11;"
             "%s --keep closed <&- && exit 12;"
             "%s --required --from 0 closed || exit 13",
             PUB, SUB, PUB, SUB);
    const struct ending ending = tool_run(ARGUMENTS("/bin/sh", "-c", script), NULL, 0);
    assert_code(ending, 0);
    ck_assert_str_eq(ending.out.data, "a\nb\n");
    assert_in(ending.err, "standard output: ");
    assert_in(ending.err, "standard input: ");
}
END_TEST

#define COUNT_OF(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
    Suite *suite = suite_create("tools_options");
    TCase *tcase = tcase_create("command lines");
    tcase_add_unchecked_fixture(tcase, folder_make, folder_remove);
    tcase_add_loop_test(tcase, test_usage, 0, COUNT_OF(usage_mistakes));
    tcase_add_loop_test(tcase, test_failures, 0, COUNT_OF(failures));
    tcase_add_loop_test(tcase, test_help_and_version, 0, 3);
    tcase_add_test(tcase, test_defaults);
    tcase_add_test(tcase, test_options);
    tcase_add_test(tcase, test_group_and_folder);
    tcase_add_test(tcase, test_no_pool);
    tcase_add_test(tcase, test_living_producer);
    tcase_add_test(tcase, test_rate);
    tcase_add_test(tcase, test_closed_streams);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
