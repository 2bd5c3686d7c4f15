/* SPDX-License-Identifier: MIT */
/*
 * The market example's feed, recorded with three consumers attached and replayed a hundred times as
 * fast to a strategy: the same final books, the same totals. With made-up data, and with recorded
 * data where SHMBUS_TEST_DATA has some.
 */
#include "market/rig.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void record_and_replay(const char *events)
{
    const char *reference[] = {MARKET_REFERENCE, events, NULL};
    const char *recording = rig_path("feed.lz4");
    const char *record[] = {SHMBUS_RECORD, "--required", "--from",  "oldest", "--wait",
                            "600",         "-o",         recording, "live",   NULL};
    const char *strategy[] = {MARKET_STRATEGY, "live", "--wait", "600", NULL};
    const char *feed[] = {MARKET_FEED, "live", events, "--wait-consumers", "3", NULL};
    const char *verify[] = {SHMBUS_DUMP, "--verify", recording, NULL};
    const char *later[] = {MARKET_STRATEGY, "replayed", "--wait", "600", NULL};
    const char *replay[] = {SHMBUS_REPLAY, "--speed", "100",      "--wait-consumers",
                            "1",           recording, "replayed", NULL};
    remove(recording);
    rig_run("reference", reference, 0);

    pid_t recorder = rig_start("record", record);
    pid_t one = rig_start("one", strategy);
    pid_t two = rig_start("two", strategy);
    rig_run("feed", feed, 0);
    rig_ends(recorder, "record", 0);
    rig_ends(one, "one", 0);
    rig_ends(two, "two", 0);
    rig_same(rig_path("one.out"), rig_path("reference.out"));
    rig_same(rig_path("two.out"), rig_path("reference.out"));

    rig_run("verify", verify, 0);
    pid_t again = rig_start("again", later);
    rig_run("replay", replay, 0);
    rig_ends(again, "again", 0);
    rig_same(rig_path("again.out"), rig_path("reference.out"));
    rig_contains(rig_path("replay.err"), "late_ns count=");
    rig_no_bus();
}

START_TEST(made_up_feed)
{
    const char *sim[] = {MARKET_SIM, "11", "20000", NULL};
    rig_run("sim", sim, 0);
    record_and_replay(rig_path("sim.out"));
}
END_TEST

START_TEST(recorded_feed)
{
    char events[4096];
    snprintf(events, sizeof(events), "%s/events.csv", getenv("SHMBUS_TEST_DATA"));
    ck_assert_msg(access(events, R_OK) == 0, "%s cannot be read", events);
    record_and_replay(events);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("recording_market");
    TCase *tcase = tcase_create("market");
    tcase_add_unchecked_fixture(tcase, rig_setup, rig_teardown);
    tcase_add_test(tcase, made_up_feed);
    if (getenv("SHMBUS_TEST_DATA") != NULL)
        tcase_add_test(tcase, recorded_feed);
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
