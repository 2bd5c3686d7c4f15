/* SPDX-License-Identifier: MIT */
/* --cpu and --fifo: what a tool says that it has, is what the kernel says of its process. */
#include "harness.h"
#include "other_user.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int first_cpu(void)
{
    cpu_set_t set;
    int cpu = 0;
    ck_assert_int_eq(sched_getaffinity(0, sizeof(set), &set), 0);
    while (!CPU_ISSET(cpu, &set)) {
        cpu++;
    }
    return cpu;
}

static void runs_on(pid_t pid, int cpu)
{
    cpu_set_t set;
    ck_assert_int_eq(sched_getaffinity(pid, sizeof(set), &set), 0);
    ck_assert_int_eq(CPU_COUNT(&set), 1);
    ck_assert(CPU_ISSET(cpu, &set));
}

START_TEST(both_are_where_they_say)
{
    char cpu[16];
    char says[64];
    snprintf(cpu, sizeof(cpu), "%d", first_cpu());
    snprintf(says, sizeof(says), "bus 'settled': runs on CPU %s ", cpu);
    const char *const pub[] = {PUB, "--cpu", cpu, "--wait-consumers", "1", "settled", NULL};
    const char *const sub[] = {SUB, "--required", "--cpu", cpu, "--wait", "60", "settled", NULL};
    struct tool publisher = tool_start(pub);
    tool_await_err(&publisher, says);
    runs_on(publisher.pid, first_cpu());
    struct tool reader = tool_start(sub);
    tool_await_err(&reader, says);
    runs_on(reader.pid, first_cpu());
    tool_write(&publisher, "one\n", 4);
    struct ending published = tool_end(&publisher);
    struct ending read = tool_end(&reader);
    assert_code(published, 0);
    assert_code(read, 0);
    assert_in(published.err, "with SCHED_OTHER");
    assert_bytes(&read.out, "one\n", 4);
}
END_TEST

/* Permitted or not: the policy is what was said, or the tool ends and leaves no bus. */
START_TEST(fifo)
{
    const char *const pub[] = {PUB, "--fifo", "2", "--cpu", "node", "settled", NULL};
    struct tool publisher = tool_start(pub);
    struct sched_param parameter = {0};
    tool_await_err(&publisher, "\n");
    if (strstr(publisher.err_read.data, "not permitted") == NULL) {
        ck_assert_int_eq(sched_getscheduler(publisher.pid), SCHED_FIFO);
        ck_assert_int_eq(sched_getparam(publisher.pid, &parameter), 0);
        ck_assert_int_eq(parameter.sched_priority, 2);
        const struct ending ending = tool_end(&publisher);
        assert_code(ending, 0);
        assert_in(ending.err, "with SCHED_FIFO 2");
        return;
    }
    const struct ending ending = tool_end(&publisher);
    assert_code(ending, 1);
    ck_assert(!bus_exists("settled"));
}
END_TEST

START_TEST(what_cannot_be_had)
{
    static const char *const wishes[][3] = {
        {"--cpu", "8191", "CPU 8191 is not there: this machine has 0"},
        {"--cpu", "isolated:8191", "isolated"},
        {"--fifo", "5", "SCHED_FIFO 5: not permitted: RLIMIT_RTPRIO is 0 (raise it: ulimit -r"},
    };
    struct shmbus_producer *producer = NULL;
    const struct shmbus_bus_options open = {.struct_bytes = sizeof(open), .mode = 0666};
    ck_assert_int_eq(shmbus_producer_create("settled", &open, NULL, &producer), 0);
    const char *const *wish = wishes[_i];
    const struct rlimit none = {0, 0};
    ck_assert_int_eq(setrlimit(RLIMIT_RTPRIO, &none), 0);
    const char *const sub[] = {SUB, wish[0], wish[1], "settled", NULL};
    const struct ending ending = tool_run_as_other(sub);
    assert_code(ending, 1);
    assert_in(ending.err, wish[2]);
    shmbus_producer_close(producer);
    ck_assert_int_eq(shmbus_unlink("settled", NULL), 0);
}
END_TEST

START_TEST(words_that_are_none)
{
    static const char *const wrong[][2] = {
        {"--cpu", ""},          {"--cpu", "-1"},        {"--cpu", "0-1"},  {"--cpu", "nodes"},
        {"--cpu", "isolated:"}, {"--cpu", "isolated1"}, {"--cpu", "8192"}, {"--fifo", "0"},
        {"--fifo", "100"},      {"--fifo", "high"},
    };
    const char *const sub[] = {SUB, wrong[_i][0], wrong[_i][1], "settled", NULL};
    const char *const pub[] = {PUB, wrong[_i][0], wrong[_i][1], "settled", NULL};
    const struct ending read = tool_run(sub, NULL, 0);
    assert_code(read, 2);
    assert_in(read.err, wrong[_i][0]);
    const struct ending published = tool_run(pub, NULL, 0);
    assert_code(published, 2);
    ck_assert(!bus_exists("settled"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tools settle");
    TCase *tcase = tcase_create("settle");
    tcase_add_unchecked_fixture(tcase, other_user_make, other_user_remove);
    tcase_add_test(tcase, both_are_where_they_say);
    tcase_add_test(tcase, fifo);
    tcase_add_loop_test(tcase, what_cannot_be_had, 0, 3);
    tcase_add_loop_test(tcase, words_that_are_none, 0, 10);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
