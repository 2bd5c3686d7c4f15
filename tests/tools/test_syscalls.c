/* SPDX-License-Identifier: MIT */
/*
 * What a million short lines out of a file cost in system calls, all told: fewer than 20 for each
 * thousand, also where consumers keep the ring full. Counted by strace, and told with each result.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

#define LINES  1000000
#define STRACE "/usr/bin/strace"

/* A file of a million lines, about 8 bytes each; its size. */
static size_t make_million(const char *name)
{
    FILE *file = fopen(path_in("%s", name), "w");
    ck_assert_ptr_nonnull(file);
    for (int i = 0; i < LINES; i++) {
        fprintf(file, "%d\n", i * 7);
    }
    const long size = ftell(file);
    ck_assert_int_eq(fclose(file), 0);
    return (size_t)size;
}

/* The number of calls in strace's summary: its line "100.00 SECONDS USECS CALLS ... total". */
static uint64_t total_calls(const char *summary)
{
    char line[256];
    uint64_t calls = 0;
    FILE *file = fopen(summary, "r");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof(line), file)) {
        char *column = line;
        char *rest = NULL;
        if (!strstr(line, " total\n")) {
            continue;
        }
        for (int i = 0; i < 4; i++) {
            column = strtok_r(i == 0 ? line : NULL, " ", &rest);
            ck_assert_ptr_nonnull(column);
        }
        calls = strtoull(column, NULL, 10);
    }
    fclose(file);
    ck_assert_uint_gt(calls, 0);
    return calls;
}

/* Publishes the million to so many consumers, through a ring of that capacity; the calls made. */
static uint64_t calls_for(const char *bus, int consumers, const char *capacity)
{
    char wanted[16];
    const char *path = path_in("%s.txt", bus);
    const char *summary = path_in("%s.strace", bus);
    const size_t size = make_million(strrchr(path, '/') + 1);
    struct tool subs[2];
    snprintf(wanted, sizeof(wanted), "%d", consumers);
    for (int i = 0; i < consumers; i++) {
        subs[i] = tool_start(ARGUMENTS(SUB, "--required", "--from", "oldest", "--wait", "50",
                                       "--format", "raw", bus));
    }
    struct tool pub = tool_start(ARGUMENTS(STRACE, "-f", "-c", "-o", summary, PUB, "--capacity",
                                           capacity, "--wait-consumers", wanted, bus, path));
    for (int i = 0; i < consumers; i++) {
        const struct ending read = tool_end(&subs[i]);
        assert_code(read, 0);
        ck_assert_uint_eq(read.out.length, size - LINES);
    }
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    return total_calls(summary);
}

START_TEST(test_calls)
{
    static const char *const buses[] = {"alone", "large-ring", "small-ring"};
    static const char *const capacities[] = {"65536", "65536", "1024"};
    const uint64_t calls = calls_for(buses[_i], _i == 0 ? 0 : 1, capacities[_i]);
    printf("%s: %.2f system calls a thousand lines\n", buses[_i], (double)calls * 1000 / LINES);
    ck_assert_msg(calls * 1000 / LINES < 20, "%s: %lu system calls for %d lines", buses[_i],
                  (unsigned long)calls, LINES);
}
END_TEST

int main(void)
{
    if (access(STRACE, X_OK) != 0) {
        puts("SKIP tools_syscalls: strace not installed");
        return 77;
    }
    /* LeakSanitizer cannot work beside strace. What a build without it does not read does no harm.
     */
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
    Suite *suite = suite_create("tools_syscalls");
    TCase *tcase = tcase_create("system calls");
    tcase_add_unchecked_fixture(tcase, folder_make, folder_remove);
    tcase_add_loop_test(tcase, test_calls, 0, 3);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
