/* SPDX-License-Identifier: MIT */
/*
 * One feed handler process and three strategy processes: what each strategy makes of the messages
 * equals what market-reference makes of the file. On made-up data always, on the recording too when
 * SHMBUS_TEST_DATA says where it is; and on a file small enough for its book to be known by hand,
 * so that the reference is not its own judge.
 */
#include "rig.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STRATEGIES 3

/* Runs the feed and its strategies over a file, and compares each result with a text's. */
static void feed_and_compare(const char *events, const char *expected)
{
    pid_t strategies[STRATEGIES];
    char name[32];
    for (int i = 0; i < STRATEGIES; i++) {
        snprintf(name, sizeof(name), "strategy%d", i);
        const char *strategy[] = {MARKET_STRATEGY, "prices", "--name", name, "--wait", "600", NULL};
        strategies[i] = rig_start(name, strategy);
    }
    const char *feed[] = {MARKET_FEED, "prices", events, "--wait-consumers", "3", NULL};
    rig_run("feed", feed, 0);
    for (int i = 0; i < STRATEGIES; i++) {
        snprintf(name, sizeof(name), "strategy%d", i);
        rig_ends(strategies[i], name, 0);
        snprintf(name, sizeof(name), "strategy%d.out", i);
        rig_same(rig_path(name), expected);
    }
    rig_no_bus();
}

static void compare_with_reference(const char *events)
{
    const char *reference[] = {MARKET_REFERENCE, events, NULL};
    rig_run("reference", reference, 0);
    rig_contains(rig_path("reference.out"), "\n  asks ");
    feed_and_compare(events, rig_path("reference.out"));
}

/* Each goes round the ring of 1,024 slots more than once. */
static const char *const seeds[] = {"1", "20240229", "18446744073709551615"};

START_TEST(books_from_made_up_data)
{
    const char *sim[] = {MARKET_SIM, seeds[_i], "3000", NULL};
    rig_run("sim", sim, 0);
    compare_with_reference(rig_path("sim.out"));
}
END_TEST

START_TEST(books_from_the_recording)
{
    char events[4096];
    snprintf(events, sizeof(events), "%s/events.csv", getenv("SHMBUS_TEST_DATA"));
    ck_assert_msg(access(events, R_OK) == 0, "%s cannot be read", events);
    compare_with_reference(events);
}
END_TEST

/* A snapshot that replaces, a removal of what is not there, an empty side, the greatest id. */
static const char small_events[] = "10,S,9,7,2,1,300:30 200:20 400:40\n"
                                   "11,D,10,7,1,2,250:25 400:0 500:50\n"
                                   "12,T,11,7,250000000,300000000,18446744073709551615,1\n"
                                   "13,D,12,7,0,0,\n"
                                   "14,S,13,3,0,1,100000000:1\n"
                                   "15,S,14,7,1,1,900:90 950:95\n"
                                   "16,D,15,7,2,0,800:80 700:0\n"
                                   "17,T,16,7,100000000,50000000,1,0\n"
                                   "18,D,17,7,1,0,900:91";

static const char small_books[] =
    "symbol 3\n"
    "  buy trades 0 quantity 0.00000000 value 0.0000000000000000\n"
    "  sell trades 0 quantity 0.00000000 value 0.0000000000000000\n"
    "  bids 0\n"
    "  asks 1\n"
    "    1.00000000 0.00000001\n"
    "symbol 7\n"
    "  buy trades 1 quantity 0.50000000 value 0.5000000000000000\n"
    "  sell trades 1 quantity 3.00000000 value 7.5000000000000000\n"
    "  last trade price 1.00000000 quantity 0.50000000 id 1 side buy received 17 stamped 16\n"
    "  bids 2\n"
    "    0.00000900 0.00000091\n"
    "    0.00000800 0.00000080\n"
    "  asks 1\n"
    "    0.00000950 0.00000095\n";

START_TEST(books_known_by_hand)
{
    const char *events = rig_write("small.csv", small_events);
    const char *expected = rig_write("small.txt", small_books);
    const char *reference[] = {MARKET_REFERENCE, events, NULL};
    rig_run("reference", reference, 0);
    rig_same(rig_path("reference.out"), expected);
    feed_and_compare(events, expected);
}
END_TEST

START_TEST(no_events_at_all)
{
    feed_and_compare(rig_write("none.csv", ""), rig_write("none.txt", ""));
}
END_TEST

static int by_value(const void *left, const void *right)
{
    long a = *(const long *)left, b = *(const long *)right;
    return (a > b) - (a < b);
}

/* Where a line's column begins, from 1. */
static const char *column_of(const char *line, int number)
{
    for (int i = 1; i < number; i++) {
        line = strchr(line, ',');
        ck_assert_ptr_nonnull(line);
        line++;
    }
    return line;
}

/* The made-up data has the shape of the recording: many sizes, the large ones among them. */
START_TEST(made_up_data_has_the_real_shape)
{
    const char *sim[] = {MARKET_SIM, "5", "4000", NULL};
    const char *other[] = {MARKET_SIM, "6", "4000", NULL};
    size_t bytes, other_bytes;
    static long sizes[4000];
    size_t deltas = 0, snapshots = 0, trades = 0, removals = 0;

    rig_run("sim", sim, 0);
    rig_run("again", sim, 0);
    rig_run("other", other, 0);
    rig_same(rig_path("sim.out"), rig_path("again.out"));
    char *text = rig_read(rig_path("sim.out"), &bytes);
    char *other_text = rig_read(rig_path("other.out"), &other_bytes);
    ck_assert_str_ne(text, other_text);

    char *rest = text;
    for (const char *line; (line = strtok_r(rest, "\n", &rest)) != NULL;) {
        char kind = *column_of(line, 2);
        trades += kind == 'T';
        snapshots += kind == 'S';
        removals += kind == 'D' && strstr(line, ":0 ") != NULL;
        if (kind == 'D')
            sizes[deltas++] =
                strtol(column_of(line, 5), NULL, 10) + strtol(column_of(line, 6), NULL, 10);
    }
    ck_assert_uint_eq(trades + snapshots + deltas, 4000);
    ck_assert_uint_ge(snapshots, 2);
    ck_assert_uint_gt(trades, 1800);
    ck_assert_uint_gt(removals, deltas / 2);
    qsort(sizes, deltas, sizeof(*sizes), by_value);
    ck_assert_int_ge(sizes[deltas / 2], 35);
    ck_assert_int_le(sizes[deltas / 2], 50);
    ck_assert_int_gt(sizes[deltas - 1], 400);
    ck_assert_int_le(sizes[deltas - 1], 500);
    free(text);
    free(other_text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("market books");
    TCase *tcase = tcase_create("books");
    tcase_add_unchecked_fixture(tcase, rig_setup, rig_teardown);
    tcase_add_loop_test(tcase, books_from_made_up_data, 0, (int)(sizeof(seeds) / sizeof(*seeds)));
    if (getenv("SHMBUS_TEST_DATA") != NULL)
        tcase_add_test(tcase, books_from_the_recording);
    tcase_add_test(tcase, books_known_by_hand);
    tcase_add_test(tcase, no_events_at_all);
    tcase_add_test(tcase, made_up_data_has_the_real_shape);
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
