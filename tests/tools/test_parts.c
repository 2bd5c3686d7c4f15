/* SPDX-License-Identifier: MIT */
/* The small parts of the tools by themselves: percentiles, pacing, numbers off a command line. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "harness.h"
#include "histogram.h"
#include "pace.h"

#define SECOND_NS 1000000000

static struct histogram histogram;

/* A seeded generator (xorshift), so that a failure can be had again. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static int compare(const void *one, const void *other)
{
    const uint64_t a = *(const uint64_t *)one;
    const uint64_t b = *(const uint64_t *)other;
    return (a > b) - (a < b);
}

START_TEST(test_histogram_empty)
{
    ck_assert_uint_eq(histogram_permille(&histogram, 500), 0);
}
END_TEST

START_TEST(test_histogram_small_exact)
{
    for (uint64_t value = 1; value <= 100; value++) {
        histogram_add(&histogram, value);
    }
    ck_assert_uint_eq(histogram_permille(&histogram, 500), 50);
    ck_assert_uint_eq(histogram_permille(&histogram, 900), 90);
    ck_assert_uint_eq(histogram_permille(&histogram, 990), 99);
    ck_assert_uint_eq(histogram_permille(&histogram, 999), 100);
    ck_assert_uint_eq(histogram_permille(&histogram, 0), 1);
    ck_assert_uint_eq(histogram.most, 100);
}
END_TEST

START_TEST(test_histogram_edges)
{
    /* One value alone is every percentile, wherever it lies to the powers of two. */
    for (unsigned shift = 0; shift < 64; shift++) {
        for (int64_t step = -1; step <= 1; step++) {
            const uint64_t value = ((uint64_t)1 << shift) + (uint64_t)step;
            memset(&histogram, 0, sizeof(histogram));
            histogram_add(&histogram, value);
            ck_assert_uint_eq(histogram_permille(&histogram, 1), value);
            ck_assert_uint_eq(histogram_permille(&histogram, 1000), value);
            ck_assert_uint_eq(histogram.most, value);
        }
    }
    histogram_add(&histogram, UINT64_MAX);
    ck_assert_uint_eq(histogram_permille(&histogram, 1000), UINT64_MAX);
}
END_TEST

START_TEST(test_histogram_against_sorted)
{
    enum { COUNT = 20000 };
    static uint64_t values[COUNT];
    static const unsigned permilles[] = {1, 10, 500, 900, 990, 999, 1000};
    uint64_t state = 20240229;
    for (size_t i = 0; i < COUNT; i++) {
        values[i] = next_random(&state) >> (next_random(&state) % 60);
        histogram_add(&histogram, values[i]);
    }
    qsort(values, COUNT, sizeof(values[0]), compare);
    for (size_t i = 0; i < sizeof(permilles) / sizeof(permilles[0]); i++) {
        const uint64_t exact = values[(COUNT * (size_t)permilles[i] + 999) / 1000 - 1];
        const uint64_t told = histogram_permille(&histogram, permilles[i]);
        ck_assert_msg(told >= exact && told - exact <= exact / 64,
                      "seed 20240229, %u: %lu, not %lu", permilles[i], (unsigned long)told,
                      (unsigned long)exact);
    }
}
END_TEST

/* Lets time go by as pace says, for so long; the messages sent. */
static uint64_t sent_in(struct pace *pace, int64_t duration_ns)
{
    int64_t now_ns = pace->origin_ns;
    const int64_t end_ns = now_ns + duration_ns;
    uint64_t sent = 0;
    while (now_ns < end_ns) {
        int64_t wake_ns = 0;
        const size_t due = pace_due(pace, now_ns, 1000000, &wake_ns);
        if (due == 0) {
            ck_assert_int_ge(wake_ns - now_ns, 1000000);
            now_ns = wake_ns;
        }
        sent += due;
        pace_sent(pace, due);
    }
    return sent;
}

START_TEST(test_pace_rates)
{
    static const uint64_t rates[] = {1, 3, 7, 100, 999, 1000, 12345, 1000000, 999999937};
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct pace pace;
        pace_begin(&pace, rates[i]);
        const uint64_t sent = sent_in(&pace, 5 * (int64_t)SECOND_NS);
        /* The first is due at once; none is lost and none too many. */
        ck_assert_msg(sent >= 5 * rates[i] - rates[i] / 500 && sent <= 5 * rates[i] + 1,
                      "rate %lu: %lu sent", (unsigned long)rates[i], (unsigned long)sent);
    }
}
END_TEST

START_TEST(test_pace_catch_up)
{
    struct pace pace;
    int64_t wake_ns = 0;
    pace_begin(&pace, 1000);
    const int64_t late_ns = pace.origin_ns + 3600 * (int64_t)SECOND_NS;
    /* After an hour without input only PACE_CATCH_UP_NS are made up for, and the one due now. */
    const size_t due = pace_due(&pace, late_ns, 1000000, &wake_ns);
    ck_assert_uint_eq(due, PACE_CATCH_UP_NS / 1000000 + 1);
    pace_sent(&pace, due);
    ck_assert_uint_eq(pace_due(&pace, late_ns, 1000000, &wake_ns), 0);
    ck_assert_int_eq(wake_ns, late_ns + 1000000);
}
END_TEST

START_TEST(test_pace_none)
{
    struct pace pace;
    int64_t wake_ns = 0;
    pace_begin(&pace, 0);
    ck_assert_uint_eq(pace_due(&pace, 0, 128, &wake_ns), 128);
    pace_sent(&pace, 128);
}
END_TEST

START_TEST(test_numbers)
{
    uint64_t number = 7;
    ck_assert_int_eq(cli_number("--n", "18446744073709551615", 0, UINT64_MAX, &number), CLI_OK);
    ck_assert_uint_eq(number, UINT64_MAX);
    number = 7;
    static const char *const bad[] = {"",
                                      " 1",
                                      "1 ",
                                      "-1",
                                      "+1",
                                      "0x1",
                                      "1K",
                                      "18446744073709551616",
                                      "99999999999999999999999",
                                      "1.5",
                                      "9",
                                      "101"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const int result =
            cli_number("--n", bad[i], 10, strlen(bad[i]) > 4 ? UINT64_MAX : 100, &number);
        ck_assert_msg(result == CLI_USAGE && number == 7, "'%s' was taken", bad[i]);
    }
}
END_TEST

START_TEST(test_sizes)
{
    uint64_t size = 7;
    ck_assert_int_eq(cli_size("--s", "64K", 1, UINT64_MAX, &size), CLI_OK);
    ck_assert_uint_eq(size, 65536);
    ck_assert_int_eq(cli_size("--s", "3M", 1, UINT64_MAX, &size), CLI_OK);
    ck_assert_uint_eq(size, 3145728);
    ck_assert_int_eq(cli_size("--s", "1G", 1, UINT64_MAX, &size), CLI_OK);
    ck_assert_uint_eq(size, 1073741824);
    ck_assert_int_eq(cli_size("--s", "12", 1, UINT64_MAX, &size), CLI_OK);
    ck_assert_uint_eq(size, 12);
    static const char *const bad[] = {"K", "1k", "1KB", "1T", "17179869184G", "1 K", "2G"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const uint64_t most = i == 6 ? 2147483647 : UINT64_MAX;
        ck_assert_msg(cli_size("--s", bad[i], 1, most, &size) == CLI_USAGE, "'%s' was taken",
                      bad[i]);
    }
    ck_assert_uint_eq(size, 12);
}
END_TEST

START_TEST(test_seconds)
{
    int64_t ns = 7;
    ck_assert_int_eq(cli_seconds("--t", "0.25", &ns), CLI_OK);
    ck_assert_int_eq(ns, 250000000);
    ck_assert_int_eq(cli_seconds("--t", "3", &ns), CLI_OK);
    ck_assert_int_eq(ns, 3 * (int64_t)SECOND_NS);
    ck_assert_int_eq(cli_seconds("--t", "1.0000000019", &ns), CLI_OK);
    ck_assert_int_eq(ns, 1000000001);
    static const char *const bad[] = {"", ".", "-1", "1e3", "1s", "1.2.3", "99999999999", "inf"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_msg(cli_seconds("--t", bad[i], &ns) == CLI_USAGE, "'%s' was taken", bad[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tools_parts");
    TCase *tcase = tcase_create("parts");
    cli_begin("test");
    tcase_add_test(tcase, test_histogram_empty);
    tcase_add_test(tcase, test_histogram_small_exact);
    tcase_add_test(tcase, test_histogram_edges);
    tcase_add_test(tcase, test_histogram_against_sorted);
    tcase_add_test(tcase, test_pace_rates);
    tcase_add_test(tcase, test_pace_catch_up);
    tcase_add_test(tcase, test_pace_none);
    tcase_add_test(tcase, test_numbers);
    tcase_add_test(tcase, test_sizes);
    tcase_add_test(tcase, test_seconds);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
