/* SPDX-License-Identifier: MIT */
/* What tests of recordings have in common: see recording.h. */
#include "recording.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS 32

int recording_run(const char *name, const TTest *const *tests)
{
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    tcase_add_unchecked_fixture(tcase, folder_make, folder_remove);
    for (; *tests; tests++) {
        tcase_add_test(tcase, *tests);
    }
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

struct bytes numbered_lines(unsigned count, unsigned pad)
{
    struct bytes all = {0};
    char line[65536];
    bytes_add(&all, "", 0);
    for (unsigned i = 0; i < count; i++) {
        int length = snprintf(line, 64, "line %u", i);
        const int dots = pad > 0 ? (int)(i * 13 % pad) : 0;
        memset(line + length, '.', (size_t)dots);
        line[length + dots] = '\n';
        bytes_add(&all, line, (size_t)(length + dots + 1));
    }
    return all;
}

/* Puts a tool, options and operands behind each other. */
static void join(const char **out, const char *const *begin, const char *const *options,
                 const char *const *end)
{
    const char *const *const lists[] = {begin, options, end};
    size_t count = 0;
    for (size_t i = 0; i < 3; i++) {
        for (const char *const *word = lists[i]; word && *word; word++) {
            ck_assert_uint_lt(count, WORDS - 1);
            out[count++] = *word;
        }
    }
    out[count] = NULL;
}

void keep_bus(const char *bus, const struct bytes *input, const char *const *options)
{
    const char *arguments[WORDS];
    join(arguments, ARGUMENTS(PUB, "--keep"), options, ARGUMENTS(bus));
    const struct ending pub = tool_run(arguments, input->data, input->length);
    assert_code(pub, 0);
}

const char *record_kept(const char *bus, const char *file, const char *const *options)
{
    const char *arguments[WORDS];
    const char *path = path_in("%s", file);
    join(arguments, ARGUMENTS(RECORD, "--from", "oldest"), options, ARGUMENTS("-o", path, bus));
    const struct ending record = tool_run(arguments, NULL, 0);
    assert_code(record, 0);
    ck_assert_str_eq(record.out.data, "");
    return path;
}

const char *record_lines(const char *file, const struct bytes *input, const char *const *options)
{
    keep_bus("lines", input, ARGUMENTS("--capacity", "64K"));
    const char *path = record_kept("lines", file, options);
    ck_assert_int_eq(shmbus_unlink("lines", NULL), 0);
    return path;
}

struct bytes dump(const char *path, const char *const *options)
{
    const char *arguments[WORDS];
    join(arguments, ARGUMENTS(DUMP), options, ARGUMENTS(path));
    const struct ending dumped = tool_run(arguments, NULL, 0);
    assert_code(dumped, 0);
    return dumped.out;
}

struct bytes read_kept(const char *bus, const char *format)
{
    const struct ending sub = tool_run(
        ARGUMENTS(SUB, "--required", "--from", "oldest", "--format", format, bus), NULL, 0);
    assert_code(sub, 0);
    return sub.out;
}
