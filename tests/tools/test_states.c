/* SPDX-License-Identifier: MIT */
/*
 * What shmbus-stat shows of kinds and rules: who gates, who is stalled or evicted, history, types,
 * what was filtered, lost and skipped; as a page, as an object, in the list.
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

static struct bytes page_of(const char *bus)
{
    const struct ending stat = tool_run(ARGUMENTS(STAT, "--interval", "0", bus), NULL, 0);
    assert_code(stat, 0);
    return stat.out;
}

static struct bytes list_of_all(void)
{
    const struct ending stat = tool_run(ARGUMENTS(STAT), NULL, 0);
    assert_code(stat, 0);
    return stat.out;
}

START_TEST(test_stalled_and_evicted)
{
    /* This process's consumer lives and reads nothing. */
    const bool evict = _i == 1;
    const char *bus = evict ? "out" : "slow";
    struct tool pub = tool_start(ARGUMENTS(PUB, "--wait-consumers", "1", "--capacity", "16",
                                           evict ? "--evict" : "--stall", "0.1", bus));
    struct shmbus_consumer *consumer = attach(bus, "sleeper");
    for (int i = 0; i < (evict ? 100 : 3); i++) {
        tool_write(&pub, "line\n", 5);
    }
    tool_await_err(&pub,
                   evict ? "consumer 'sleeper' was evicted" : "consumer 'sleeper' is stalled");
    if (evict) {
        await_tail(bus, 100);
    }
    const struct bytes picture = picture_of(bus);
    const char *text = picture.data;
    ck_assert(json_is(text, "consumers.0.life", evict ? "\"evicted\"" : "\"stalled\""));
    ck_assert(json_is(text, "consumers.0.alive", "true"));
    ck_assert(json_is(text, "consumers.0.gates", evict ? "false" : "true"));
    ck_assert_uint_eq(json_number(text, "producers.0.evicted"), evict ? 1 : 0);
    ck_assert(json_is(text, "evict", evict ? "true" : "false"));
    ck_assert_uint_eq(json_number(text, "stall_ns"), 100000000);
    const struct bytes page = page_of(bus);
    assert_in(page, evict ? "  evicted " : "  stalled ");
    assert_in(page, "stalled after 0.1 s without progress, ");
    assert_in(page, evict ? "then evicted if it blocks" : "and waited for");
    assert_in(list_of_all(), evict ? "  1 evicted\n" : "  1 stalled\n");
    shmbus_consumer_close(consumer);
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
}
END_TEST

START_TEST(test_history)
{
    struct tool pub = tool_start(ARGUMENTS(PUB, "--capacity", "64", "--history", "20", "past"));
    for (int i = 0; i < 1000; i++) {
        tool_write(&pub, "line\n", 5);
    }
    await_tail("past", 1000);
    const struct bytes picture = picture_of("past");
    ck_assert_uint_eq(json_number(picture.data, "history.asked"), 20);
    ck_assert_uint_ge(json_number(picture.data, "history.kept"), 20);
    ck_assert_uint_le(json_number(picture.data, "history.kept"), 64);
    ck_assert_uint_eq(json_number(picture.data, "history.yielded"), 0);
    ck_assert_uint_eq(json_number(picture.data, "history.kept"),
                      1000 - json_number(picture.data, "floor"));
    ck_assert_uint_eq(json_number(picture.data, "producers.0.history_yielded"), 0);
    assert_in(page_of("past"), "history     20 asked for, ");
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
}
END_TEST

START_TEST(test_history_yields)
{
    /* Two slabs cannot keep twenty messages that need one each. */
    char line[41];
    memset(line, 'x', 40);
    line[40] = '\n';
    struct tool pub = tool_start(ARGUMENTS(PUB, "--capacity", "64", "--slot", "32", "--pool",
                                           "64:2", "--history", "20", "yield"));
    for (int i = 0; i < 50; i++) {
        tool_write(&pub, line, sizeof(line));
    }
    await_tail("yield", 50);
    const struct bytes picture = picture_of("yield");
    ck_assert_uint_eq(json_number(picture.data, "history.asked"), 20);
    ck_assert_uint_lt(json_number(picture.data, "history.kept"), 20);
    ck_assert_uint_gt(json_number(picture.data, "history.yielded"), 0);
    ck_assert_uint_eq(json_number(picture.data, "history.yielded"),
                      json_number(picture.data, "producers.0.history_yielded"));
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
}
END_TEST

START_TEST(test_who_may_be_required)
{
    static const struct {
        const char *option;
        const char *word;
        bool other;
        bool rec;
    } rules[] = {{"anyone", "\"anyone\"", true, true},
                 {"nobody", "\"nobody\"", false, false},
                 {"main,rec", "\"named\"", false, true}};
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        char bus[16];
        snprintf(bus, sizeof(bus), "rule%zu", i);
        const struct ending pub =
            tool_run(ARGUMENTS(PUB, "--keep", "--required", rules[i].option, bus), "x\n", 2);
        assert_code(pub, 0);
        ck_assert(json_is(picture_of(bus).data, "required", rules[i].word));
        const bool wanted[2] = {rules[i].other, rules[i].rec};
        for (int k = 0; k < 2; k++) {
            const struct ending sub = tool_run(ARGUMENTS(SUB, "--required", "--from", "oldest",
                                                         "--name", k ? "rec" : "other", bus),
                                               NULL, 0);
            assert_code(sub, wanted[k] ? 0 : 1);
            ck_assert_str_eq(sub.out.data, wanted[k] ? "x\n" : "");
            if (!wanted[k]) {
                assert_in(sub.err, "may not be a required consumer");
            }
        }
    }
}
END_TEST

START_TEST(test_types_are_shown)
{
    const struct ending pub =
        tool_run(ARGUMENTS(PUB, "--keep", "--register", "7:trade:16:price:<i8,qty:<i8",
                           "--register", "65535:book:0", "types"),
                 "x\n", 2);
    assert_code(pub, 0);
    const struct bytes picture = picture_of("types");
    ck_assert_int_eq(json_count(picture.data, "types"), 2);
    ck_assert_uint_eq(json_number(picture.data, "types.0.type"), 7);
    ck_assert(json_is(picture.data, "types.0.name", "\"trade\""));
    ck_assert_uint_eq(json_number(picture.data, "types.0.bytes"), 16);
    ck_assert(json_is(picture.data, "types.0.fields", "\"price:<i8,qty:<i8\""));
    ck_assert_uint_eq(json_number(picture.data, "types.1.type"), 65535);
    ck_assert_uint_eq(json_number(picture.data, "types.1.bytes"), 0);
    ck_assert(json_is(picture.data, "types.1.fields", "\"\""));
    const struct bytes page = page_of("types");
    assert_in(page, "types       2\n");
    assert_in(page, "trade                         16  price:<i8,qty:<i8\n");
    assert_in(page, "book                        vary  \n");
}
END_TEST

static int count_message(const struct shmbus_message *message, void *context)
{
    (void)message;
    ++*(uint64_t *)context;
    return 0;
}

START_TEST(test_counts)
{
    /* Filtered and skipped, by a producer and a consumer of this process. */
    static const uint16_t types[] = {1};
    const struct shmbus_consumer_options options = {
        .struct_bytes = sizeof(options),
        .name = "picky",
        .types = types,
        .type_count = 1,
    };
    struct shmbus_producer *producer = NULL;
    struct shmbus_consumer *consumer = NULL;
    uint64_t count = 0;
    ck_assert_int_eq(shmbus_producer_create("counts", NULL, NULL, &producer), 0);
    ck_assert_int_eq(shmbus_consumer_open("counts", &options, &consumer), 0);
    for (uint16_t i = 0; i < 10; i++) {
        ck_assert_int_eq(shmbus_producer_publish(producer, i % 5, 0, "x", 1), 0);
    }
    ck_assert_int_eq(shmbus_producer_skip(producer, 30), 0);
    ck_assert_int_eq(shmbus_producer_publish(producer, 1, 0, "x", 1), 0);
    while (count < 3) {
        ck_assert_int_ge(shmbus_consumer_poll(consumer, count_message, &count, 100), 0);
    }
    const struct bytes picture = picture_of("counts");
    ck_assert(json_is(picture.data, "consumers.0.kind", "\"optional\""));
    ck_assert(json_is(picture.data, "consumers.0.gates", "false"));
    ck_assert_uint_eq(json_number(picture.data, "consumers.0.received"), 3);
    ck_assert_uint_eq(json_number(picture.data, "consumers.0.filtered"), 8);
    ck_assert_uint_eq(json_number(picture.data, "consumers.0.lost"), 30);
    ck_assert_uint_eq(json_number(picture.data, "consumers.0.aborted"), 0);
    ck_assert_uint_eq(json_number(picture.data, "consumers.0.grace_ns"), 0);
    ck_assert(json_is(picture.data, "consumers.0.grace_left_ns", "null"));
    ck_assert_uint_eq(json_number(picture.data, "producers.0.skipped"), 30);
    const struct bytes page = page_of("counts");
    assert_in(page, "FILTERED");
    assert_in(page, "ABORTED");
    assert_in(page, "SKIPPED");
    assert_in(page, "HISTORY YIELDED");
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
    ck_assert_int_eq(shmbus_unlink("counts", NULL), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tools_states");
    TCase *tcase = tcase_create("states");
    tcase_add_checked_fixture(tcase, folder_make, folder_remove);
    tcase_add_loop_test(tcase, test_stalled_and_evicted, 0, 2);
    tcase_add_test(tcase, test_history);
    tcase_add_test(tcase, test_history_yields);
    tcase_add_test(tcase, test_who_may_be_required);
    tcase_add_test(tcase, test_types_are_shown);
    tcase_add_test(tcase, test_counts);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
