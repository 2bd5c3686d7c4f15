/* SPDX-License-Identifier: MIT */
/*
 * The documentation is true: README's producer and consumer run together, its shell lines do what
 * they say, every example of the guide runs, every excerpt in the guide stands in its example word
 * for word, and every link leads somewhere.
 */
#include "market/rig.h"

#include <check.h>
#include <shmbus/shmbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Each example's name and program. */
static const char *const examples[][2] = {
#include "examples.inc"
};

static char *read_source(const char *path)
{
    char whole[4096];
    size_t bytes;
    snprintf(whole, sizeof(whole), SHMBUS_SOURCE_FOLDER "/%s", path);
    return rig_read(whole, &bytes);
}

/* The content of the first block after some text: from behind its opening fence to its end. */
static char *cut_block(const char *text, const char *after, const char *fence)
{
    const char *from = strstr(text, after);
    ck_assert_msg(from != NULL, "there is no '%s'", after);
    from = strstr(from, fence);
    ck_assert_ptr_nonnull(from);
    from += strlen(fence);
    const char *to = strstr(from, "```");
    ck_assert_ptr_nonnull(to);
    char *block = strndup(from, (size_t)(to - from));
    ck_assert_ptr_nonnull(block);
    return block;
}

static int count_lines(const char *text)
{
    int count = 0;
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1)
        count += *line != '\n';
    return count;
}

START_TEST(readme_programs_talk)
{
    const char *consumer[] = {README_CONSUMER, NULL};
    const char *producer[] = {README_PRODUCER, NULL};
    static char expected[32768];
    size_t used = 0;
    for (int i = 0; i < 1000; i++)
        used += (size_t)snprintf(expected + used, sizeof(expected) - used, "message %d\n", i);

    pid_t process = rig_start("consumer", consumer);
    rig_run("producer", producer, 0);
    rig_ends(process, "consumer", 0);
    rig_same(rig_path("consumer.out"), rig_write("expected", expected));
    ck_assert_int_eq(shmbus_unlink("hello", NULL), 0);
    rig_no_bus();
}
END_TEST

START_TEST(readme_programs_are_short)
{
    char *readme = read_source("README.md");
    char *producer = cut_block(readme, "`producer.c`:", "```c\n");
    char *consumer = cut_block(readme, "`consumer.c`:", "```c\n");
    ck_assert_int_le(count_lines(producer), 20);
    ck_assert_int_le(count_lines(consumer), 20);
    free(readme);
    free(producer);
    free(consumer);
}
END_TEST

START_TEST(readme_commands_do_what_they_say)
{
    char *readme = read_source("README.md");
    char *block = cut_block(readme, "## Send a file", "```sh\n");
    const char *sim[] = {MARKET_SIM, "1", "150", NULL};
    const char *shell[] = {"/bin/sh", "-c", block, NULL};
    rig_run("sim", sim, 0);
    ck_assert_int_eq(rename(rig_path("sim.out"), rig_path("events.csv")), 0);
    ck_assert_int_eq(chdir(rig_path(".")), 0);
    ck_assert_int_eq(setenv("PATH", TOOLS_FOLDER ":/usr/bin:/bin", 1), 0);
    rig_run("shell", shell, 0);
    rig_no_bus();
    free(readme);
    free(block);
}
END_TEST

START_TEST(guide_records_and_replays)
{
    char *guide = read_source("docs/guide.md");
    char *block = cut_block(guide, "## Recording and replaying", "```sh\n");
    const char *sim[] = {MARKET_SIM, "1", "150", NULL};
    const char *shell[] = {"/bin/sh", "-ec", block, NULL};
    rig_run("sim", sim, 0);
    ck_assert_int_eq(rename(rig_path("sim.out"), rig_path("events.csv")), 0);
    ck_assert_int_eq(chdir(rig_path(".")), 0);
    ck_assert_int_eq(setenv("PATH", TOOLS_FOLDER ":/usr/bin:/bin", 1), 0);
    rig_run("shell", shell, 0);
    rig_contains(rig_path("shell.out"), "demo.lz4: whole, 150 records");
    rig_no_bus();
    free(guide);
    free(block);
}
END_TEST

START_TEST(example_runs)
{
    const char *program[] = {examples[_i][1], NULL};
    rig_run(examples[_i][0], program, 0);
    rig_no_bus();
}
END_TEST

/* Each excerpt of the guide belongs to the example that is linked last before it. */
START_TEST(guide_shows_its_examples)
{
    char *guide = read_source("docs/guide.md");
    unsigned shown = 0;
    for (const char *at = guide; (at = strstr(at, "Whole:")) != NULL; shown++) {
        const char *name = strstr(at, "](");
        ck_assert_ptr_nonnull(name);
        name += 2;
        char path[256];
        snprintf(path, sizeof(path), "docs/%.*s", (int)strcspn(name, ")"), name);
        char *example = read_source(path);
        char *block = cut_block(at, "](", "```c\n");
        ck_assert_msg(strstr(example, block) != NULL, "%s has no longer:\n%s", path, block);
        free(block);
        free(example);
        at = name;
    }
    ck_assert_uint_eq(shown, sizeof(examples) / sizeof(*examples));
    for (size_t i = 0; i < sizeof(examples) / sizeof(*examples); i++) {
        char link[256];
        snprintf(link, sizeof(link), "(examples/%s.c)", examples[i][0]);
        ck_assert_msg(strstr(guide, link) != NULL, "the guide does not mention %s", link);
    }
    free(guide);
}
END_TEST

static const char *const pages[][2] = {
    {"README.md", "."},
    {"docs/guide.md", "docs"},
    {"docs/containers.md", "docs"},
    {"docs/recording.md", "docs"},
    {"docs/examples/market/README.md", "docs/examples/market"},
};

START_TEST(links_lead_somewhere)
{
    char *text = read_source(pages[_i][0]);
    for (const char *at = text; (at = strstr(at, "](")) != NULL;) {
        char path[4096];
        at += 2;
        if (strncmp(at, "http", 4) == 0)
            continue;
        snprintf(path, sizeof(path), SHMBUS_SOURCE_FOLDER "/%s/%.*s", pages[_i][1],
                 (int)strcspn(at, "#)"), at);
        ck_assert_msg(access(path, F_OK) == 0, "%s links to %s, which is not there", pages[_i][0],
                      path);
    }
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("docs");
    TCase *tcase = tcase_create("docs");
    tcase_add_unchecked_fixture(tcase, rig_setup, rig_teardown);
    tcase_add_test(tcase, readme_programs_talk);
    tcase_add_test(tcase, readme_programs_are_short);
    tcase_add_test(tcase, readme_commands_do_what_they_say);
    tcase_add_test(tcase, guide_records_and_replays);
    tcase_add_loop_test(tcase, example_runs, 0, (int)(sizeof(examples) / sizeof(*examples)));
    tcase_add_test(tcase, guide_shows_its_examples);
    tcase_add_loop_test(tcase, links_lead_somewhere, 0, (int)(sizeof(pages) / sizeof(*pages)));
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
