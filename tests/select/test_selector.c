/* SPDX-License-Identifier: MIT */
/*
 * A selector: many buses read by one thread, in turn or merged by timestamp, with producers in
 * processes of their own that publish, stop, die and end.
 */
#include "support/support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define BUSES 6

static const char *name_of(uint32_t index)
{
    static char names[SHMBUS_SELECTOR_MAX + 1][16];
    snprintf(names[index], sizeof names[index], "select%u", index);
    return names[index];
}

static struct shmbus_producer *make(uint32_t index, uint32_t flags)
{
    struct shmbus_bus_options bus = {.struct_bytes = sizeof bus,
                                     .capacity = 64,
                                     .flags = flags | SHMBUS_BUS_NO_POOL,
                                     .max_consumers = 4};
    struct shmbus_producer_options options = {.struct_bytes = sizeof options,
                                              .full_timeout_ns = GUARD_NS};
    return support_create(name_of(index), &bus, &options);
}

static struct shmbus_selector *open_selector(uint32_t order, int64_t hold_ns, uint32_t strategy)
{
    struct shmbus_selector_options options = {.struct_bytes = sizeof options,
                                              .order = order,
                                              .hold_ns = hold_ns,
                                              .burst = 4,
                                              .wait = {.strategy = strategy}};
    struct shmbus_selector *selector;
    ck_assert_int_eq(shmbus_selector_open(&options, &selector), 0);
    return selector;
}

static void publish(struct shmbus_producer *producer, uint64_t number)
{
    ck_assert_int_eq(shmbus_producer_publish(producer, 1, 0, &number, sizeof number), 0);
}

static uint64_t number_of(const struct shmbus_selected *selected)
{
    uint64_t number;
    ck_assert_int_eq(selected->result, 0);
    ck_assert_uint_eq(selected->message.length, sizeof number);
    memcpy(&number, selected->message.data, sizeof number);
    return number;
}

START_TEST(in_turn_and_fair)
{
    struct shmbus_producer *producers[3];
    struct shmbus_consumer *consumers[3];
    struct shmbus_selector *selector = open_selector(SHMBUS_SELECT_FAIR, 0, 0);
    struct shmbus_selected selected;
    uint32_t in_a_row[3] = {0};
    uint64_t seen[3] = {0};
    ck_assert_int_eq(shmbus_selector_next(selector, &selected), -EPIPE);
    ck_assert_int_eq(shmbus_selector_wait(selector, 0), -EPIPE);
    for (uint32_t i = 0; i < 3; i++) {
        producers[i] = make(i, 0);
        consumers[i] = support_join(name_of(i), SHMBUS_FROM_OLDEST);
        ck_assert_int_eq(shmbus_selector_add(selector, consumers[i], &seen[i]), 0);
    }
    ck_assert_int_eq(shmbus_selector_add(selector, consumers[1], NULL), -EEXIST);
    ck_assert_int_eq(shmbus_selector_add(selector, NULL, NULL), -EINVAL);
    ck_assert_int_eq(shmbus_selector_next(selector, &selected), 0);
    ck_assert_int_eq(shmbus_selector_wait(selector, 1000000), -ETIMEDOUT);
    /* The first has always more; none of the others waits for longer than a burst. */
    for (uint64_t i = 0; i < 60; i++)
        publish(producers[0], i);
    for (uint64_t i = 0; i < 9; i++) {
        publish(producers[1], i);
        publish(producers[2], i);
    }
    uint32_t last = 3;
    uint32_t others_waited = 0;
    for (int i = 0; i < 78; i++) {
        ck_assert_int_eq(shmbus_selector_wait(selector, 0), 0);
        ck_assert_int_eq(shmbus_selector_next(selector, &selected), 1);
        uint64_t *count = selected.context;
        uint32_t which = (uint32_t)(count - seen);
        ck_assert_ptr_eq(selected.consumer, consumers[which]);
        ck_assert_uint_eq(number_of(&selected), (*count)++);
        in_a_row[which] = which == last ? in_a_row[which] + 1 : 1;
        ck_assert(in_a_row[which] <= 4 || (seen[1] == 9 && seen[2] == 9));
        others_waited = which == 0 ? others_waited + 1 : 0;
        last = which;
    }
    ck_assert_int_eq(shmbus_selector_next(selector, &selected), 0);
    /* One ends: told once; the others go on; it can be removed. */
    shmbus_producer_close(producers[1]);
    ck_assert_int_eq(shmbus_selector_wait(selector, GUARD_NS), 0);
    ck_assert_int_eq(shmbus_selector_next(selector, &selected), 1);
    ck_assert_int_eq(selected.result, -EPIPE);
    ck_assert_ptr_eq(selected.consumer, consumers[1]);
    ck_assert_int_eq(shmbus_selector_next(selector, &selected), 0);
    publish(producers[2], 9);
    ck_assert_int_eq(shmbus_selector_next(selector, &selected), 1);
    ck_assert_uint_eq(number_of(&selected), 9);
    ck_assert_int_eq(shmbus_selector_remove(selector, consumers[1]), 0);
    ck_assert_int_eq(shmbus_selector_remove(selector, consumers[1]), -EINVAL);
    shmbus_producer_close(producers[0]);
    shmbus_producer_close(producers[2]);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(shmbus_selector_wait(selector, GUARD_NS), 0);
        ck_assert_int_eq(shmbus_selector_next(selector, &selected), 1);
        ck_assert_int_eq(selected.result, -EPIPE);
    }
    ck_assert_int_eq(shmbus_selector_next(selector, &selected), -EPIPE);
    ck_assert_int_eq(shmbus_selector_wait(selector, GUARD_NS), -EPIPE);
    shmbus_selector_close(selector);
    for (int i = 0; i < 3; i++)
        shmbus_consumer_close(consumers[i]);
}
END_TEST

START_TEST(merged_by_timestamp)
{
    struct shmbus_producer *producers[BUSES];
    struct shmbus_consumer *consumers[BUSES];
    struct shmbus_selector *selector = open_selector(SHMBUS_SELECT_MERGED, 0, 0);
    struct shmbus_selected selected;
    uint64_t seed = support_seed("merged_by_timestamp");
    struct shmbus_producer *plain = make(BUSES, 0);
    struct shmbus_consumer *without = support_join(name_of(BUSES), SHMBUS_FROM_TAIL);
    ck_assert_int_eq(shmbus_selector_add(selector, without, NULL), -EINVAL);
    ck_assert(support_says("SHMBUS_BUS_TIMESTAMPS"));
    for (uint32_t i = 0; i < BUSES; i++) {
        producers[i] = make(i, SHMBUS_BUS_TIMESTAMPS);
        consumers[i] = support_join(name_of(i), SHMBUS_FROM_OLDEST);
        ck_assert_int_eq(shmbus_selector_add(selector, consumers[i], NULL), 0);
    }
    /* What is published one after the other comes in that order, over all buses. */
    for (uint64_t i = 0; i < 60; i++)
        publish(producers[support_below(&seed, BUSES)], i);
    for (uint64_t i = 0; i < 60; i++) {
        ck_assert_int_eq(shmbus_selector_next(selector, &selected), 1);
        ck_assert_uint_eq(number_of(&selected), i);
    }
    ck_assert_int_eq(shmbus_selector_next(selector, &selected), 0);
    publish(producers[0], 60);
    publish(producers[1], 61);
    ck_assert_int_eq(shmbus_selector_next(selector, &selected), 1);
    ck_assert_int_eq(shmbus_selector_remove(selector, consumers[1]), -EBUSY);
    ck_assert_int_eq(shmbus_selector_next(selector, &selected), 1);
    ck_assert_uint_eq(number_of(&selected), 61);
    ck_assert_int_eq(shmbus_selector_remove(selector, consumers[1]), 0);
    shmbus_selector_close(selector);
    for (uint32_t i = 0; i < BUSES; i++) {
        shmbus_consumer_close(consumers[i]);
        shmbus_producer_close(producers[i]);
    }
    shmbus_consumer_close(without);
    shmbus_producer_close(plain);
}
END_TEST

/* A message waits for buses that are silent, for hold_ns at least, and no longer once they have
 * something or have ended. */
START_TEST(merged_waits_for_the_silent)
{
    const int64_t hold_ns = 50000000;
    struct shmbus_producer *producers[2];
    struct shmbus_consumer *consumers[2];
    struct shmbus_selector *selector = open_selector(SHMBUS_SELECT_MERGED, hold_ns, 0);
    struct shmbus_selected selected;
    for (uint32_t i = 0; i < 2; i++) {
        producers[i] = make(i, SHMBUS_BUS_TIMESTAMPS);
        consumers[i] = support_join(name_of(i), SHMBUS_FROM_OLDEST);
        ck_assert_int_eq(shmbus_selector_add(selector, consumers[i], NULL), 0);
    }
    publish(producers[0], 1);
    int result;
    while ((result = shmbus_selector_next(selector, &selected)) == 0)
        ck_assert_int_eq(shmbus_selector_wait(selector, GUARD_NS), 0);
    ck_assert_int_eq(result, 1);
    ck_assert_uint_eq(number_of(&selected), 1);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    ck_assert_int_ge(now.tv_sec * SECOND_NS + now.tv_nsec - selected.message.timestamp_ns, hold_ns);
    shmbus_selector_close(selector);
    /* With an hour to wait nothing comes before the other one has something, or has ended. */
    selector = open_selector(SHMBUS_SELECT_MERGED, 3600 * SECOND_NS, 0);
    for (uint32_t i = 0; i < 2; i++)
        ck_assert_int_eq(shmbus_selector_add(selector, consumers[i], NULL), 0);
    publish(producers[0], 2);
    ck_assert_int_eq(shmbus_selector_next(selector, &selected), 0);
    publish(producers[1], 3);
    ck_assert_int_eq(shmbus_selector_wait(selector, GUARD_NS), 0);
    ck_assert_int_eq(shmbus_selector_next(selector, &selected), 1);
    ck_assert_uint_eq(number_of(&selected), 2);
    ck_assert_int_eq(shmbus_selector_next(selector, &selected), 0);
    shmbus_producer_close(producers[0]);
    ck_assert_int_eq(shmbus_selector_wait(selector, GUARD_NS), 0);
    ck_assert_int_eq(shmbus_selector_next(selector, &selected), 1);
    ck_assert_int_eq(selected.result, -EPIPE);
    ck_assert_int_eq(shmbus_selector_next(selector, &selected), 1);
    ck_assert_uint_eq(number_of(&selected), 3);
    shmbus_selector_close(selector);
    for (uint32_t i = 0; i < 2; i++)
        shmbus_consumer_close(consumers[i]);
    shmbus_producer_close(producers[1]);
}
END_TEST

struct job {
    uint32_t index;
    uint64_t count;
    uint64_t seed;
};

/* Publishes so many, with pauses of all lengths, and ends the stream. */
static void publishes(int line, void *context)
{
    struct job job = *(const struct job *)context;
    struct shmbus_producer *producer = make(job.index, SHMBUS_BUS_TIMESTAMPS);
    child_tell(line, 0);
    child_hear(line);
    for (uint64_t i = 0; i < job.count; i++) {
        publish(producer, i);
        if (support_below(&job.seed, 20) == 0) {
            struct timespec pause = {.tv_nsec = (long)support_below(&job.seed, 2000000)};
            nanosleep(&pause, NULL);
        }
    }
    shmbus_producer_close(producer);
}

/* Many buses, whose producers live at their own pace; every message once, in its bus's order, and
 * nobody is slept past: in each way to wait, in both orders, observers and optional ones too. */
START_TEST(many_buses_and_paces)
{
    static const uint32_t strategies[] = {SHMBUS_WAIT_ADAPTIVE, SHMBUS_WAIT_PARK, SHMBUS_WAIT_YIELD,
                                          SHMBUS_WAIT_SPIN};
    const uint64_t each = 400;
    struct child children[BUSES];
    struct shmbus_consumer *consumers[BUSES];
    uint64_t seen[BUSES] = {0};
    uint64_t seed = support_seed("many_buses_and_paces");
    struct shmbus_selector *selector =
        open_selector((uint32_t)_i / 4, _i / 4 ? 1000000 : 0, strategies[_i % 4]);
    for (uint32_t i = 0; i < BUSES; i++) {
        struct job job = {i, each, support_random(&seed)};
        children[i] = child_start(publishes, &job);
        child_hear(children[i].line);
        struct shmbus_consumer_options options = {.struct_bytes = sizeof options,
                                                  .kind =
                                                      i == 5 ? SHMBUS_OBSERVER : SHMBUS_REQUIRED,
                                                  .from = SHMBUS_FROM_OLDEST};
        ck_assert_int_eq(shmbus_consumer_open(name_of(i), &options, &consumers[i]), 0);
        ck_assert_int_eq(shmbus_selector_add(selector, consumers[i], &seen[i]), 0);
    }
    for (uint32_t i = 0; i < BUSES; i++)
        child_tell(children[i].line, 0);
    struct shmbus_selected selected;
    int result;
    uint32_t ended = 0;
    for (;;) {
        while ((result = shmbus_selector_next(selector, &selected)) == 1) {
            uint64_t *count = selected.context;
            if (selected.result != 0) {
                ck_assert_int_eq(selected.result, -EPIPE);
                ended++;
                continue;
            }
            ck_assert_uint_ge(number_of(&selected), *count);
            ck_assert(number_of(&selected) == *count || count == &seen[5]);
            *count = number_of(&selected) + 1;
        }
        if (result < 0)
            break;
        ck_assert_int_eq(shmbus_selector_wait(selector, GUARD_NS), 0);
    }
    ck_assert_int_eq(result, -EPIPE);
    ck_assert_uint_eq(ended, BUSES);
    for (uint32_t i = 0; i < BUSES; i++) {
        if (i != 5)
            ck_assert_uint_eq(seen[i], each);
        child_end(&children[i]);
        shmbus_consumer_close(consumers[i]);
    }
    shmbus_selector_close(selector);
}
END_TEST

static void publishes_two(int line, void *context)
{
    (void)context;
    struct shmbus_producer *producer = make(1, 0);
    publish(producer, 0);
    child_tell(line, 0);
    child_hear(line);
    publish(producer, 1);
    child_tell(line, 0);
    child_hear(line);
}

/* A producer that is stopped, goes on, and is killed while the selector is parked. */
START_TEST(a_death_is_not_slept_past)
{
    struct shmbus_producer *producer = make(0, 0);
    struct child child = child_start(publishes_two, NULL);
    child_hear(child.line);
    struct shmbus_consumer *consumers[2];
    struct shmbus_selector *selector = open_selector(SHMBUS_SELECT_FAIR, 0, SHMBUS_WAIT_PARK);
    struct shmbus_selected selected;
    for (uint32_t i = 0; i < 2; i++) {
        consumers[i] = support_join(name_of(i), SHMBUS_FROM_OLDEST);
        ck_assert_int_eq(shmbus_selector_add(selector, consumers[i], NULL), 0);
    }
    ck_assert_int_eq(shmbus_selector_wait(selector, GUARD_NS), 0);
    ck_assert_int_eq(shmbus_selector_next(selector, &selected), 1);
    ck_assert_uint_eq(number_of(&selected), 0);
    child_stop(&child);
    ck_assert_int_eq(shmbus_selector_wait(selector, 100000000), -ETIMEDOUT);
    child_continue(&child);
    child_tell(child.line, 0);
    ck_assert_int_eq(shmbus_selector_wait(selector, GUARD_NS), 0);
    ck_assert_int_eq(shmbus_selector_next(selector, &selected), 1);
    ck_assert_uint_eq(number_of(&selected), 1);
    child_hear(child.line);
    child_kill(&child);
    /* Found while it waits: then the consumer says it, once. */
    int result;
    do {
        ck_assert_int_eq(shmbus_selector_wait(selector, GUARD_NS), 0);
        result = shmbus_selector_next(selector, &selected);
    } while (result == 0);
    ck_assert_int_eq(selected.result, -EOWNERDEAD);
    ck_assert_ptr_eq(selected.consumer, consumers[1]);
    publish(producer, 0);
    ck_assert_int_eq(shmbus_selector_wait(selector, GUARD_NS), 0);
    ck_assert_int_eq(shmbus_selector_next(selector, &selected), 1);
    ck_assert_ptr_eq(selected.consumer, consumers[0]);
    shmbus_selector_close(selector);
    shmbus_consumer_close(consumers[0]);
    shmbus_consumer_close(consumers[1]);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(as_many_as_there_may_be)
{
    static struct shmbus_producer *producers[SHMBUS_SELECTOR_MAX + 1];
    static struct shmbus_consumer *consumers[SHMBUS_SELECTOR_MAX + 1];
    struct shmbus_selector *selector = open_selector(SHMBUS_SELECT_FAIR, 0, SHMBUS_WAIT_PARK);
    struct shmbus_selected selected;
    for (uint32_t i = 0; i <= SHMBUS_SELECTOR_MAX; i++) {
        producers[i] = make(i, 0);
        consumers[i] = support_join(name_of(i), SHMBUS_FROM_OLDEST);
        ck_assert_int_eq(shmbus_selector_add(selector, consumers[i], NULL),
                         i < SHMBUS_SELECTOR_MAX ? 0 : -ENOSPC);
    }
    ck_assert_int_eq(shmbus_selector_wait(selector, 30000000), -ETIMEDOUT);
    for (uint32_t i = 0; i < SHMBUS_SELECTOR_MAX; i += 17) {
        publish(producers[i], i);
        ck_assert_int_eq(shmbus_selector_wait(selector, GUARD_NS), 0);
        ck_assert_int_eq(shmbus_selector_next(selector, &selected), 1);
        ck_assert_uint_eq(number_of(&selected), i);
    }
    shmbus_selector_close(selector);
    for (uint32_t i = 0; i <= SHMBUS_SELECTOR_MAX; i++) {
        shmbus_consumer_close(consumers[i]);
        shmbus_producer_close(producers[i]);
        ck_assert_int_eq(shmbus_unlink(name_of(i), NULL), 0);
    }
}
END_TEST

START_TEST(options_are_checked)
{
    struct shmbus_selector_options options = {.struct_bytes = sizeof options, .order = 2};
    struct shmbus_selector *selector;
    ck_assert_int_eq(shmbus_selector_open(&options, &selector), -EINVAL);
    options.order = 0;
    options.hold_ns = -1;
    ck_assert_int_eq(shmbus_selector_open(&options, &selector), -EINVAL);
    options.hold_ns = 0;
    options.wait.strategy = 9;
    ck_assert_int_eq(shmbus_selector_open(&options, &selector), -EINVAL);
    ck_assert_int_eq(shmbus_selector_open(NULL, &selector), 0);
    shmbus_selector_close(selector);
    shmbus_selector_close(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("selector");
    TCase *tcase = support_case(suite, "selector", 120);
    tcase_add_test(tcase, in_turn_and_fair);
    tcase_add_test(tcase, merged_by_timestamp);
    tcase_add_test(tcase, merged_waits_for_the_silent);
    tcase_add_loop_test(tcase, many_buses_and_paces, 0, 8);
    tcase_add_test(tcase, a_death_is_not_slept_past);
    tcase_add_test(tcase, as_many_as_there_may_be);
    tcase_add_test(tcase, options_are_checked);
    return support_run(suite);
}
