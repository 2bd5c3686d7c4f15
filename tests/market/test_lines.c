/* SPDX-License-Identifier: MIT */
/*
 * The same data through the general tools: shmbus-pub sends a file line by line to three
 * shmbus-sub, and each gives the file back byte for byte. Short lines go through the ring, long
 * ones through the pool, in one stream.
 */
#include "rig.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define READERS 3

static void send_and_compare(const char *events)
{
    pid_t readers[READERS];
    char name[32];
    for (int i = 0; i < READERS; i++) {
        snprintf(name, sizeof(name), "reader%d", i);
        const char *reader[] = {SHMBUS_SUB, "--required", "--from", "oldest", "--wait",
                                "600",      "--name",     name,     "lines",  NULL};
        readers[i] = rig_start(name, reader);
    }
    const char *sender[] = {SHMBUS_PUB, "--wait-consumers", "3", "lines", events, NULL};
    rig_run("sender", sender, 0);
    for (int i = 0; i < READERS; i++) {
        snprintf(name, sizeof(name), "reader%d", i);
        rig_ends(readers[i], name, 0);
        snprintf(name, sizeof(name), "reader%d.out", i);
        rig_same(rig_path(name), events);
    }
    rig_no_bus();
}

START_TEST(lines_of_made_up_data)
{
    const char *sim[] = {MARKET_SIM, "99", "5000", NULL};
    rig_run("sim", sim, 0);
    send_and_compare(rig_path("sim.out"));
}
END_TEST

START_TEST(lines_of_the_recording)
{
    char events[4096];
    snprintf(events, sizeof(events), "%s/events.csv", getenv("SHMBUS_TEST_DATA"));
    ck_assert_msg(access(events, R_OK) == 0, "%s cannot be read", events);
    send_and_compare(events);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("market lines");
    TCase *tcase = tcase_create("lines");
    tcase_add_unchecked_fixture(tcase, rig_setup, rig_teardown);
    tcase_add_test(tcase, lines_of_made_up_data);
    if (getenv("SHMBUS_TEST_DATA") != NULL)
        tcase_add_test(tcase, lines_of_the_recording);
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
