/* SPDX-License-Identifier: MIT */
/*
 * The tools with many producers on one bus: made, joined, looked at, and gone when the last one
 * ends.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"
#include "json.h"

static struct bytes picture_of(const char *bus)
{
    const struct ending stat = tool_run(ARGUMENTS(STAT, "--json", bus), NULL, 0);
    assert_code(stat, 0);
    ck_assert_msg(json_valid(stat.out.data, stat.out.length), "%s", stat.out.data);
    return stat.out;
}

START_TEST(test_made_and_joined)
{
    struct tool first = tool_start(ARGUMENTS(PUB, "--producers", "3", "--pool", "1024:4", "many"));
    struct tool sub =
        tool_start(ARGUMENTS(SUB, "--required", "--from", "oldest", "--wait", "60", "many"));
    await_consumers("many", 1);
    tool_write(&first, "one\n", 4);
    tool_await_out(&sub, "one\n");
    struct tool second = tool_start(ARGUMENTS(PUB, "--producers", "3", "--pool", "1024:4", "many"));
    tool_await_err(&second, "publishes beside 1 other\n");
    struct ending ended = tool_run(ARGUMENTS(PUB, "many"), NULL, 0);
    assert_code(ended, 1);
    assert_in(ended.err, "max_producers 3, asked for with 1");
    struct tool third = tool_start(ARGUMENTS(PUB, "--join", "many"));
    tool_await_err(&third, "publishes beside 2 others\n");
    tool_write(&second, "two\n", 4);
    tool_await_out(&sub, "two\n");
    tool_write(&third, "three\n", 6);
    tool_await_out(&sub, "three\n");

    const struct bytes picture = picture_of("many");
    ck_assert_uint_eq(json_number(picture.data, "max_producers"), 3);
    ck_assert_int_eq(json_count(picture.data, "producers"), 3);
    ck_assert_int_eq(json_count(picture.data, "holes"), 0);
    ck_assert_uint_eq(json_number(picture.data, "producers.1.number"), 1);
    ck_assert_uint_eq(json_number(picture.data, "producers.1.pid"), (uint64_t)second.pid);
    ck_assert_uint_eq(json_number(picture.data, "producers.2.published"), 1);
    ck_assert_uint_eq(json_number(picture.data, "producers.2.part_owner"), 2);
    ck_assert_uint_eq(json_number(picture.data, "pools.0.count"), 12);
    ended = tool_run(ARGUMENTS(PUB, "--join", "many"), NULL, 0);
    assert_code(ended, 1);
    assert_in(ended.err, "all 3 entries for producers are taken");
    ended = tool_run(ARGUMENTS(PUB, "--producers", "65", "other"), NULL, 0);
    assert_code(ended, 2);
    ended = tool_run(ARGUMENTS(PUB, "--join", "none"), NULL, 0);
    assert_code(ended, 1);
    assert_in(ended.err, "no such bus");

    ended = tool_end(&first);
    assert_code(ended, 0);
    ended = tool_end(&third);
    assert_code(ended, 0);
    ck_assert(bus_exists("many"));
    tool_write(&second, "four\n", 5);
    tool_await_out(&sub, "four\n");
    ended = tool_end(&second);
    assert_code(ended, 0);
    ended = tool_end(&sub);
    assert_code(ended, 0);
    ck_assert_str_eq(ended.out.data, "one\ntwo\nthree\nfour\n");
    ck_assert(!bus_exists("many"));
}
END_TEST

/* One that is killed beside a living one is no error for consumers. */
START_TEST(test_killed_beside_the_living)
{
    struct tool first = tool_start(ARGUMENTS(PUB, "--producers", "2", "pair"));
    struct tool sub = tool_start(ARGUMENTS(SUB, "--required", "--wait", "60", "pair"));
    await_consumers("pair", 1);
    struct tool second = tool_start(ARGUMENTS(PUB, "--producers", "2", "pair"));
    tool_write(&second, "two\n", 4);
    tool_await_out(&sub, "two\n");
    kill(second.pid, SIGKILL);
    struct ending ended = tool_end(&second);
    assert_code(ended, 128 + SIGKILL);
    tool_write(&first, "one\n", 4);
    tool_await_out(&sub, "one\n");
    ended = tool_end(&first);
    assert_code(ended, 0);
    ended = tool_end(&sub);
    assert_code(ended, 0);
    ck_assert_str_eq(ended.err.data, "");
    ck_assert(!bus_exists("pair"));
}
END_TEST

/* This process has a claim open: everybody waits for it, and the picture says for whom. */
START_TEST(test_who_is_waited_for)
{
    struct tool pub = tool_start(ARGUMENTS(PUB, "--producers", "2", "hole"));
    struct shmbus_producer *producer = NULL;
    struct shmbus_claim claim;
    char expected[128];
    tool_write(&pub, "before\n", 7);
    await_tail("hole", 1);
    ck_assert_int_eq(shmbus_producer_open("hole", NULL, NULL, 0, &producer), 0);
    ck_assert_int_eq(shmbus_producer_claim(producer, 1, &claim), 0);
    ck_assert_uint_eq(claim.sequence, 1);
    tool_write(&pub, "after\n", 6);
    struct bytes picture;
    do {
        picture = picture_of("hole");
    } while (json_number(picture.data, "producers.0.published") < 2);
    ck_assert_uint_eq(json_number(picture.data, "tail"), 1);
    ck_assert_int_eq(json_count(picture.data, "holes"), 1);
    ck_assert_uint_eq(json_number(picture.data, "holes.0.sequence"), 1);
    ck_assert_uint_eq(json_number(picture.data, "holes.0.producer"), 1);
    ck_assert_uint_eq(json_number(picture.data, "holes.0.pid"), (uint64_t)getpid());
    ck_assert(json_is(picture.data, "holes.0.alive", "true"));
    const struct ending page = tool_run(ARGUMENTS(STAT, "--interval", "0", "hole"), NULL, 0);
    assert_code(page, 0);
    snprintf(expected, sizeof(expected), "%20d  %8d  %10d  the stream waits until this producer", 1,
             1, (int)getpid());
    assert_in(page.out, expected);
    assert_in(page.out, "\nproducers   2 of at most 2\n");
    const struct ending list = tool_run(ARGUMENTS(STAT), NULL, 0);
    assert_in(list.out, "2 alive");
    ck_assert_int_eq(shmbus_producer_abort(producer, &claim), 0);
    await_tail("hole", 3);
    shmbus_producer_close(producer);
    const struct ending ended = tool_end(&pub);
    assert_code(ended, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tools producers");
    TCase *tcase = tcase_create("producers");
    tcase_add_checked_fixture(tcase, folder_make, folder_remove);
    tcase_add_test(tcase, test_made_and_joined);
    tcase_add_test(tcase, test_killed_beside_the_living);
    tcase_add_test(tcase, test_who_is_waited_for);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
