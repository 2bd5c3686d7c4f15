/* SPDX-License-Identifier: MIT */
/*
 * The feed handler when things are not as they should be: lines that are wrong, command lines that
 * are wrong, a stop half way, a death half way, a strategy that comes too late. And its options.
 */
#include "rig.h"

#include <check.h>
#include <errno.h>
#include <shmbus/shmbus.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A line, and what is to be said of it after "FILE:2: ". */
static const struct {
    const char *line;
    const char *error;
} wrong_lines[] = {
    {"", "column 1 (recv_ns), character 1: expected a digit, but the line ends here"},
    {"x", "column 1 (recv_ns), character 1: expected a digit, but here is 'x'"},
    {"9223372036854775808,T,1,1,1,1,1,0", "column 1 (recv_ns), character 19: the number must not"},
    {"12 ,T", "column 1 (recv_ns), character 3: expected ',', but here is byte 0x20"},
    {"12", "column 1 (recv_ns), character 3: expected ',', but the line ends here"},
    {"12,", "column 2 (kind), character 4: expected T (trade)"},
    {"12,X,1,1", "column 2 (kind), character 4: expected T (trade)"},
    {"12,TT,1,1", "column 2 (kind), character 5: expected ',', but here is 'T'"},
    {"12,T,-1,1,1,1,1,0", "column 3 (exchange_ns), character 6: expected a digit, but here is '-'"},
    {"12,S,1,4294967296,0,0,", "column 4 (symbol), character 17: the number must not exceed"},
    {"12,T,1,1,1.5,1,1,0", "column 5 (price), character 11: expected ',', but here is '.'"},
    {"12,T,1,1,1,,1,0", "column 6 (qty), character 12: expected a digit, but here is ','"},
    {"12,T,1,1,1,1,18446744073709551616,0", "column 7 (trade_id), character 33: the number must"},
    {"12,T,1,1,1,1,1,2", "column 8 (side), character 16: the number must not exceed 1"},
    {"12,T,1,1,1,1,1,9", "column 8 (side), character 16: the number must not exceed 1"},
    {"12,T,1,1,1,1,1,0,5", "column 8 (side), character 17: expected the end of the line"},
    {"12,T,1,1,1,1,1,0\r", "column 8 (side), character 17: expected the end of the line, but here "
                           "is byte 0x0d"},
    {"12,D,1,1,8001,0,", "column 5 (nbids), character 13: the number must not exceed 8000"},
    {"12,D,1,1,1,99999999999,", "column 6 (nasks), character 15: the number must not exceed 8000"},
    {"12,D,1,1,1,1", "column 6 (nasks), character 13: expected ',', but the line ends here"},
    {"12,D,1,1,1,1,5:5", "column 7 (levels), character 17: expected ' ', but the line ends here"},
    {"12,D,1,1,1,1,5:5 ", "column 7 (levels), character 18: expected a digit, but the line ends"},
    {"12,D,1,1,1,0,5:5 6:6", "column 7 (levels), character 17: expected the end of the line"},
    {"12,D,1,1,0,0,5:5", "column 7 (levels), character 14: expected the end of the line"},
    {"12,D,1,1,1,0,5;5", "column 7 (levels), character 15: expected ':', but here is ';'"},
    {"12,D,1,1,1,0,5:-5", "column 7 (levels), character 16: expected a digit, but here is '-'"},
};

START_TEST(wrong_line)
{
    char text[256];
    snprintf(text, sizeof(text), "10,S,9,7,1,1,300:30 400:40\n%s\n12,T,11,7,1,1,1,1\n",
             wrong_lines[_i].line);
    const char *events = rig_write("wrong.csv", text);
    const char *feed[] = {MARKET_FEED, "wrong", events, NULL};
    rig_run("feed", feed, 1);
    snprintf(text, sizeof(text), "%s:2: %s", events, wrong_lines[_i].error);
    rig_contains(rig_path("feed.err"), text);
    rig_no_bus();
}
END_TEST

/* A strategy does not take the part that came before a wrong line for the whole. */
START_TEST(strategy_is_told_of_a_broken_feed)
{
    const char *events = rig_write("broken.csv", "10,S,9,7,1,1,300:30 400:40\nbroken\n");
    const char *strategy[] = {MARKET_STRATEGY, "broken", "--wait", "600", NULL};
    const char *feed[] = {MARKET_FEED, "broken", events, "--wait-consumers", "1", NULL};
    pid_t process = rig_start("strategy", strategy);
    rig_run("feed", feed, 1);
    rig_ends(process, "strategy", 1);
    rig_contains(rig_path("strategy.err"), "'broken' was closed before the feed came to its end");
    rig_same(rig_path("strategy.out"), rig_write("nothing", ""));
    rig_no_bus();
}
END_TEST

static const char *const wrong_arguments[][4] = {
    {MARKET_FEED, NULL},
    {MARKET_FEED, "bus", NULL},
    {MARKET_FEED, "bus", "--unknown", NULL},
    {MARKET_FEED, "bus", "/dev/null", "--wait-consumers=x"},
    {MARKET_FEED, "bus", "/dev/null", "--wait-consumers=65"},
    {MARKET_FEED, "bus", "/dev/null", "--wait-consumers=-1"},
    {MARKET_FEED, "bus", "/dev/null", "--speed=0"},
    {MARKET_FEED, "bus", "/dev/null", "--speed=nan"},
    {MARKET_FEED, "bus", "/dev/null", "--speed=1x"},
    {MARKET_STRATEGY, NULL},
    {MARKET_STRATEGY, "bus", "other", NULL},
    {MARKET_STRATEGY, "bus", "--wait=x", NULL},
    {MARKET_REFERENCE, NULL},
    {MARKET_SIM, "1", NULL},
    {MARKET_SIM, "1", "many", NULL},
    {MARKET_SIM, "-1", "5", NULL},
};

START_TEST(wrong_command_line)
{
    const char *arguments[5] = {NULL};
    memcpy(arguments, wrong_arguments[_i], sizeof(wrong_arguments[_i]));
    rig_run("program", arguments, 2);
    rig_no_bus();
}
END_TEST

START_TEST(help)
{
    const char *feed[] = {MARKET_FEED, "--help", NULL};
    const char *strategy[] = {MARKET_STRATEGY, "--help", NULL};
    rig_run("feed", feed, 0);
    rig_contains(rig_path("feed.out"), "--wait-consumers");
    rig_run("strategy", strategy, 0);
    rig_contains(rig_path("strategy.out"), "--wait");
}
END_TEST

START_TEST(file_or_bus_that_is_not_there)
{
    const char *feed[] = {MARKET_FEED, "bus", rig_path("missing.csv"), NULL};
    const char *folder[] = {MARKET_FEED, "bus", "/dev", NULL};
    const char *strategy[] = {MARKET_STRATEGY, "missing", "--wait", "0", NULL};
    rig_run("feed", feed, 1);
    rig_contains(rig_path("feed.err"), "missing.csv");
    rig_run("feed", folder, 1);
    rig_contains(rig_path("feed.err"), "'/dev'");
    rig_run("strategy", strategy, 1);
    rig_contains(rig_path("strategy.err"), "'missing'");
    rig_no_bus();
}
END_TEST

/* A snapshot at once, and a trade that at this pace will not come while anybody waits. */
static const char slow_events[] = "1000000000,S,9,7,1,1,300:30 400:40\n"
                                  "9000000000,T,11,7,1,1,1,1\n";

/* Starts a feed that has sent its first event and waits to send its second, and its strategy. */
static void start_slow(pid_t *out_feed, pid_t *out_strategy)
{
    const char *events = rig_write("slow.csv", slow_events);
    const char *strategy[] = {MARKET_STRATEGY, "slow", "--wait", "600", NULL};
    const char *feed[] = {MARKET_FEED, "slow",    events,   "--wait-consumers",
                          "1",         "--speed", "0.0001", NULL};
    const struct timespec pause = {.tv_nsec = 1000000};
    struct shmbus_snapshot *snapshot;

    *out_strategy = rig_start("strategy", strategy);
    *out_feed = rig_start("feed", feed);
    while (shmbus_snapshot_open("slow", NULL, &snapshot) == -ENOENT)
        nanosleep(&pause, NULL);
    while (shmbus_snapshot_bus(snapshot)->tail < 1) {
        nanosleep(&pause, NULL);
        ck_assert_int_eq(shmbus_snapshot_update(snapshot), 0);
    }
    shmbus_snapshot_close(snapshot);
}

START_TEST(stopped_half_way)
{
    pid_t feed, strategy;
    start_slow(&feed, &strategy);
    kill(feed, SIGTERM);
    rig_ends(feed, "feed", 1);
    rig_ends(strategy, "strategy", 1);
    rig_contains(rig_path("feed.err"), "stopped after 1 events");
    rig_contains(rig_path("strategy.err"), "before the feed came to its end");
    rig_no_bus();
}
END_TEST

START_TEST(killed_half_way)
{
    pid_t feed, strategy;
    start_slow(&feed, &strategy);
    kill(feed, SIGKILL);
    rig_ends(feed, "feed", 128 + SIGKILL);
    rig_ends(strategy, "strategy", 1);
    rig_contains(rig_path("strategy.err"), "cannot read on from 'slow'");
    rig_same(rig_path("strategy.out"), rig_write("nothing", ""));
    ck_assert_int_eq(shmbus_unlink("slow", NULL), 0);
}
END_TEST

/* A kept bus can be read after its feed is gone; when its beginning is gone too, that is said. */
START_TEST(kept_bus)
{
    const char *short_sim[] = {MARKET_SIM, "3", "200", NULL};
    const char *long_sim[] = {MARKET_SIM, "4", "4000", NULL};
    const char *feed[] = {MARKET_FEED, "kept", rig_path("sim.out"), "--keep", NULL};
    const char *strategy[] = {MARKET_STRATEGY, "kept", "--wait", "0", NULL};
    const char *reference[] = {MARKET_REFERENCE, rig_path("sim.out"), NULL};

    rig_run("sim", short_sim, 0);
    rig_run("feed", feed, 0);
    rig_run("reference", reference, 0);
    rig_run("strategy", strategy, 0);
    rig_same(rig_path("strategy.out"), rig_path("reference.out"));
    ck_assert_int_eq(shmbus_unlink("kept", NULL), 0);

    rig_run("sim", long_sim, 0);
    rig_run("feed", feed, 0);
    rig_run("strategy", strategy, 1);
    rig_contains(rig_path("strategy.err"), "the feed sent more events than were seen");
    ck_assert_int_eq(shmbus_unlink("kept", NULL), 0);
    rig_no_bus();
}
END_TEST

/* Two events 0.3 s apart, ten times as fast: no sooner than 30 ms apart. */
START_TEST(paced)
{
    const char *events = rig_write("paced.csv", "1000000000,T,11,7,1,1,1,1\n"
                                                "1300000000,T,11,7,1,1,1,1\n");
    const char *feed[] = {MARKET_FEED, "paced", events, "--speed", "10", NULL};
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    rig_run("feed", feed, 0);
    clock_gettime(CLOCK_MONOTONIC, &after);
    ck_assert_int_ge((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec,
                     30000000);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("market feed");
    TCase *tcase = tcase_create("feed");
    tcase_add_unchecked_fixture(tcase, rig_setup, rig_teardown);
    tcase_add_loop_test(tcase, wrong_line, 0, (int)(sizeof(wrong_lines) / sizeof(*wrong_lines)));
    tcase_add_test(tcase, strategy_is_told_of_a_broken_feed);
    tcase_add_loop_test(tcase, wrong_command_line, 0,
                        (int)(sizeof(wrong_arguments) / sizeof(*wrong_arguments)));
    tcase_add_test(tcase, help);
    tcase_add_test(tcase, file_or_bus_that_is_not_there);
    tcase_add_test(tcase, stopped_half_way);
    tcase_add_test(tcase, killed_half_way);
    tcase_add_test(tcase, kept_bus);
    tcase_add_test(tcase, paced);
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
