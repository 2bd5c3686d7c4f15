/* SPDX-License-Identifier: MIT */
/* The options of waiting: what is refused, by name, and what zero means. */
#include "rig.h"

#include <errno.h>

static const struct {
    struct shmbus_wait wait;
    const char *named;
} refused[] = {
    {{.strategy = SHMBUS_WAIT_PARK + 1}, "wait.strategy: 4"},
    {{.strategy = UINT32_MAX}, "wait.strategy"},
    {{.unused = 7}, "wait.unused: 7"},
    {{.slice_ns = -1}, "wait.slice_ns: -1"},
    {{.slice_ns = 999999}, "wait.slice_ns: 999999"},
    {{.slice_ns = LONGEST_NS + 1}, "wait.slice_ns: 1000000001"},
};

START_TEST(out_of_range_is_named)
{
    struct shmbus_bus_options bus = rig_bus();
    struct shmbus_producer_options producing = {.struct_bytes = sizeof producing};
    struct shmbus_consumer_options consuming = {.struct_bytes = sizeof consuming};
    struct shmbus_producer *producer = support_create(BUS, &bus, NULL);
    struct shmbus_producer *second = NULL;
    struct shmbus_consumer *consumer = NULL;
    producing.wait = refused[_i].wait;
    consuming.wait = refused[_i].wait;
    ck_assert_int_eq(shmbus_consumer_open(BUS, &consuming, &consumer), -EINVAL);
    ck_assert_msg(support_says(refused[_i].named), "%s", shmbus_error_text());
    shmbus_producer_close(producer);
    ck_assert_int_eq(shmbus_producer_create(BUS, &bus, &producing, &second), -EINVAL);
    ck_assert_msg(support_says(refused[_i].named), "%s", shmbus_error_text());
    ck_assert_int_eq(shmbus_producer_open(BUS, NULL, &producing, 0, &second), -EINVAL);
    ck_assert_ptr_null(second);
}
END_TEST

START_TEST(what_is_in_range_is_taken)
{
    static const struct shmbus_wait good[] = {
        {0},
        {.strategy = SHMBUS_WAIT_SPIN, .spins = 1, .yields = 1, .slice_ns = 1000000},
        {.strategy = SHMBUS_WAIT_YIELD, .spins = UINT32_MAX, .slice_ns = LONGEST_NS},
        {.strategy = SHMBUS_WAIT_PARK, .yields = UINT32_MAX},
    };
    struct shmbus_producer *producer = rig_create(&good[_i], 0);
    struct shmbus_consumer *consumer = rig_join(SHMBUS_REQUIRED, SHMBUS_FROM_TAIL, &good[_i]);
    const struct wait_plan *plan = &consumer->wait;
    ck_assert_uint_eq(plan->strategy, good[_i].strategy);
    ck_assert_uint_eq(plan->spins, good[_i].spins ? good[_i].spins : 400);
    ck_assert_uint_eq(plan->yields, good[_i].yields ? good[_i].yields : 16);
    ck_assert_int_eq(plan->slice_ns, good[_i].slice_ns ? good[_i].slice_ns : 20000000);
    ck_assert_uint_eq(producer->wait.strategy, plan->strategy);
    ck_assert_uint_eq(producer->wait.spins, plan->spins);
    ck_assert_uint_eq(producer->wait.yields, plan->yields);
    ck_assert_int_eq(producer->wait.slice_ns, plan->slice_ns);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

/* Whatever the strategy and however long it spins, time out is when it says. */
START_TEST(a_timeout_ends_every_wait)
{
    static const struct shmbus_wait ways[] = {
        {.strategy = SHMBUS_WAIT_SPIN},
        {.strategy = SHMBUS_WAIT_YIELD},
        {.strategy = SHMBUS_WAIT_ADAPTIVE},
        {.strategy = SHMBUS_WAIT_PARK},
        {.strategy = SHMBUS_WAIT_ADAPTIVE, .spins = UINT32_MAX},
        {.strategy = SHMBUS_WAIT_ADAPTIVE, .spins = 1, .yields = UINT32_MAX},
        {.strategy = SHMBUS_WAIT_PARK, .slice_ns = LONGEST_NS},
    };
    static const int64_t times[] = {0, 1, 3000000};
    struct shmbus_producer *producer = rig_create(&ways[_i], 0);
    struct shmbus_consumer *consumer = rig_join(SHMBUS_REQUIRED, SHMBUS_FROM_TAIL, &ways[_i]);
    for (size_t i = 0; i < 3; i++) {
        int64_t begun = wait_now();
        ck_assert_int_eq(shmbus_consumer_wait(consumer, times[i]), -ETIMEDOUT);
        ck_assert_int_ge(wait_now() - begun, times[i]);
    }
    rig_publish(producer);
    for (size_t i = 0; i < 3; i++) {
        int64_t begun = wait_now();
        ck_assert_int_eq(shmbus_producer_flush(producer, times[i]), -ETIMEDOUT);
        ck_assert_int_ge(wait_now() - begun, times[i]);
    }
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

/* Its word says nothing once the wait is over, and its bit is taken back. */
START_TEST(a_wait_that_is_over_leaves_nothing)
{
    static const struct shmbus_wait park = {.strategy = SHMBUS_WAIT_PARK};
    struct shmbus_producer *producer = rig_create(&park, 0);
    struct shmbus_consumer *consumer = rig_join(SHMBUS_REQUIRED, SHMBUS_FROM_TAIL, &park);
    struct feed_state *state = segment_state(&producer->segment);
    rig_publish(producer);
    ck_assert_int_eq(shmbus_producer_flush(producer, 1000000), -ETIMEDOUT);
    rig_take(consumer, 0);
    ck_assert_int_eq(shmbus_consumer_wait(consumer, 1000000), -ETIMEDOUT);
    ck_assert_uint_eq(atomic_load_explicit(&state->parked_producers, memory_order_seq_cst), 0);
    rig_until_producer(SHMBUS_WAITING_NOT);
    rig_until_consumer(SHMBUS_WAITING_NOT);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

/* A deadline shorter than a slice: its event comes from the middle of a sleep. */
static void note(void *context, const struct shmbus_event *event)
{
    ck_assert_uint_eq(event->kind, SHMBUS_EVENT_DEADLINE);
    ++*(int *)context;
}

START_TEST(a_deadline_is_told_while_parked)
{
    static const struct shmbus_wait park = {.strategy = SHMBUS_WAIT_PARK};
    struct shmbus_producer *producer = rig_create(&park, 0);
    struct shmbus_consumer *consumer = NULL;
    int deadlines = 0;
    struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options,
        .kind = SHMBUS_REQUIRED,
        .deadline_ns = 5000000,
        .on_event = note,
        .context = &deadlines,
        .wait = park,
    };
    ck_assert_int_eq(shmbus_consumer_open(BUS, &options, &consumer), 0);
    /* Only the deadline itself can end this sleep before the guard does. */
    consumer->wait.slice_ns = NO_SLICE_NS;
    int64_t begun = wait_now();
    int result = 0;
    while (deadlines == 0)
        result = shmbus_consumer_wait(consumer, 4000000);
    ck_assert_int_eq(result, -ETIMEDOUT);
    ck_assert_int_ge(wait_now() - begun, 5000000);
    ck_assert_int_eq(deadlines, 1);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("waiting options");
    TCase *tcase = support_case(suite, "options", 60);
    tcase_add_loop_test(tcase, out_of_range_is_named, 0, sizeof refused / sizeof refused[0]);
    tcase_add_loop_test(tcase, what_is_in_range_is_taken, 0, 4);
    tcase_add_loop_test(tcase, a_timeout_ends_every_wait, 0, 7);
    tcase_add_test(tcase, a_wait_that_is_over_leaves_nothing);
    tcase_add_test(tcase, a_deadline_is_told_while_parked);
    return support_run(suite);
}
