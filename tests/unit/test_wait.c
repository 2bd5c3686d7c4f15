/* SPDX-License-Identifier: MIT */
/* Waiting: at least so long, never when there is no time, and with a word when to probe. */
#include "wait/wait.h"

#include "support/support.h"

#include <errno.h>

START_TEST(no_time_is_no_wait)
{
    struct waiter waiter = wait_begin(0);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(wait_step(&waiter), -ETIMEDOUT);
}
END_TEST

START_TEST(it_ends_after_at_least_so_long)
{
    static const int64_t times[] = {1, 1000, 1000000, 30000000};
    struct waiter waiter = wait_begin(times[_i]);
    int64_t begun = wait_now();
    int step;
    while ((step = wait_step(&waiter)) != -ETIMEDOUT)
        ck_assert(step == WAIT_GO_ON || step == WAIT_PROBE);
    ck_assert_int_ge(wait_now() - begun, times[_i]);
    ck_assert_int_eq(wait_step(&waiter), -ETIMEDOUT);
}
END_TEST

START_TEST(without_limit_it_goes_on_and_probes)
{
    static const int64_t times[] = {-1, INT64_MIN, INT64_MAX, INT64_MAX - 1};
    struct waiter waiter = wait_begin(times[_i]);
    int64_t begun = wait_now();
    int probes = 0;
    while (probes < 3) {
        int step = wait_step(&waiter);
        ck_assert(step == WAIT_GO_ON || step == WAIT_PROBE);
        probes += step == WAIT_PROBE;
    }
    /* Probes are system calls: they are spread out. */
    ck_assert_int_ge(wait_now() - begun, 40000000);
}
END_TEST

START_TEST(errno_is_left_alone)
{
    struct waiter waiter = wait_begin(3000000);
    errno = ENOTTY;
    while (wait_step(&waiter) != -ETIMEDOUT)
        ck_assert_int_eq(errno, ENOTTY);
    ck_assert_int_eq(errno, ENOTTY);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("unit wait");
    TCase *tcase = support_case(suite, "wait", 60);
    tcase_add_test(tcase, no_time_is_no_wait);
    tcase_add_loop_test(tcase, it_ends_after_at_least_so_long, 0, 4);
    tcase_add_loop_test(tcase, without_limit_it_goes_on_and_probes, 0, 4);
    tcase_add_test(tcase, errno_is_left_alone);
    return support_run(suite);
}
