/* SPDX-License-Identifier: MIT */
/*
 * The floor: never back, never above the slowest required cursor, and never moved by a cursor that
 * cannot be.
 */
#include "plain.h"

#define CONSUMERS 8

static struct plain plain;

static void begin(void)
{
    struct shmbus_bus_options options = {
        .capacity = 64, .max_consumers = CONSUMERS, .flags = SHMBUS_BUS_NO_POOL};
    plain_begin(&plain, &options);
}

static uint64_t raise(uint64_t wanted, uint64_t next)
{
    uint64_t floor = gate_raise(&plain.gate, wanted, next);
    ck_assert_uint_eq(plain.gate.floor, floor);
    ck_assert_uint_eq(GET(plain.producer->floor), floor);
    return floor;
}

START_TEST(without_a_required_consumer_the_floor_is_what_is_wanted)
{
    begin();
    ck_assert_uint_eq(raise(10, 20), 10);
    plain_join(&plain, 0, SHMBUS_OPTIONAL, 3);
    plain_join(&plain, 1, SHMBUS_OBSERVER, 3);
    PUT(plain_join(&plain, 2, SHMBUS_REQUIRED, 3)->state, ENTRY_JOINING);
    PUT(plain_join(&plain, 3, SHMBUS_REQUIRED, 3)->state, ENTRY_FREE);
    ck_assert_uint_eq(raise(20, 20), 20);
    struct gate_scan scan = gate_look(&plain.gate, 20);
    ck_assert_uint_eq(scan.required, 0);
    ck_assert_uint_eq(scan.slowest, 20);
    plain_end(&plain);
}
END_TEST

START_TEST(the_slowest_required_consumer_is_the_limit)
{
    begin();
    plain_join(&plain, 0, SHMBUS_REQUIRED, 9);
    plain_join(&plain, 5, SHMBUS_REQUIRED, 7);
    plain_join(&plain, 3, SHMBUS_REQUIRED, 12);
    plain_join(&plain, 4, SHMBUS_OPTIONAL, 1);
    struct gate_scan scan = gate_look(&plain.gate, 12);
    ck_assert_uint_eq(scan.required, 3);
    ck_assert_uint_eq(scan.slowest, 7);
    ck_assert_uint_eq(scan.slowest_entry, 5);
    ck_assert_uint_eq(raise(12, 12), 7);
    plain_leave(&plain, 5);
    ck_assert_uint_eq(raise(12, 12), 9);
    plain_end(&plain);
}
END_TEST

START_TEST(the_floor_never_goes_back)
{
    begin();
    ck_assert_uint_eq(raise(10, 20), 10);
    ck_assert_uint_eq(raise(4, 20), 10);
    ck_assert_uint_eq(raise(10, 20), 10);
    /* One that is about to move up to the floor, as in its handshake. */
    struct control_entry *joiner = plain_join(&plain, 0, SHMBUS_REQUIRED, 2);
    ck_assert_uint_eq(raise(15, 20), 10);
    PUT(joiner->cursor, 10);
    ck_assert_uint_eq(raise(15, 20), 10);
    PUT(joiner->cursor, 13);
    ck_assert_uint_eq(raise(15, 20), 13);
    plain_end(&plain);
}
END_TEST

START_TEST(a_cursor_beyond_what_is_published_evicts)
{
    begin();
    plain_join(&plain, 0, SHMBUS_REQUIRED, 6);
    struct control_entry *liar = plain_join(&plain, 1, SHMBUS_REQUIRED, 5);
    ck_assert_uint_eq(raise(8, 8), 5);
    PUT(liar->cursor, 9);
    ck_assert_uint_eq(raise(8, 8), 6);
    ck_assert(gate_is_evicted(&plain.gate, 1, GET(liar->epoch)));
    ck_assert(!gate_is_evicted(&plain.gate, 0, GET(gate_entry(&plain.gate, 0)->epoch)));
    ck_assert_uint_eq(GET(segment_verdicts(&plain.segment)[1].evicted), GET(liar->epoch));
    /* Its word counts for nothing from then on, whatever it says. */
    PUT(liar->cursor, 1);
    ck_assert_uint_eq(gate_look(&plain.gate, 8).required, 1);
    /* The next consumer of that entry is another epoch. */
    plain_join(&plain, 1, SHMBUS_REQUIRED, 7);
    ck_assert_uint_eq(gate_look(&plain.gate, 8).required, 2);
    plain_end(&plain);
}
END_TEST

START_TEST(a_cursor_at_the_tail_is_no_offence)
{
    begin();
    struct control_entry *entry = plain_join(&plain, 0, SHMBUS_REQUIRED, 8);
    ck_assert_uint_eq(raise(8, 8), 8);
    ck_assert(!gate_is_evicted(&plain.gate, 0, GET(entry->epoch)));
    plain_end(&plain);
}
END_TEST

START_TEST(a_cursor_that_moves_back_evicts)
{
    begin();
    struct control_entry *liar = plain_join(&plain, 2, SHMBUS_REQUIRED, 5);
    ck_assert_uint_eq(gate_look(&plain.gate, 9).slowest, 5);
    PUT(liar->cursor, 4);
    ck_assert_uint_eq(gate_look(&plain.gate, 9).required, 0);
    ck_assert(gate_is_evicted(&plain.gate, 2, GET(liar->epoch)));
    plain_end(&plain);
}
END_TEST

START_TEST(another_consumer_of_an_entry_may_begin_below_the_last)
{
    begin();
    plain_join(&plain, 0, SHMBUS_REQUIRED, 8);
    ck_assert_uint_eq(gate_look(&plain.gate, 9).slowest, 8);
    plain_leave(&plain, 0);
    struct control_entry *entry = plain_join(&plain, 0, SHMBUS_REQUIRED, 3);
    struct gate_scan scan = gate_look(&plain.gate, 9);
    ck_assert_uint_eq(scan.required, 1);
    ck_assert_uint_eq(scan.slowest, 3);
    ck_assert(!gate_is_evicted(&plain.gate, 0, GET(entry->epoch)));
    plain_end(&plain);
}
END_TEST

START_TEST(a_forged_count_of_entries_reaches_no_further_and_hides_nobody)
{
    begin();
    plain_join(&plain, 6, SHMBUS_REQUIRED, 5);
    PUT(*plain.gate.entries_used, UINT32_MAX);
    ck_assert_uint_eq(gate_look(&plain.gate, 9).slowest, 5);
    ck_assert_uint_eq(plain.gate.known, CONSUMERS);
    PUT(*plain.gate.entries_used, 0);
    ck_assert_uint_eq(gate_look(&plain.gate, 9).slowest, 5);
    ck_assert_uint_eq(raise(9, 9), 5);
    plain_end(&plain);
}
END_TEST

START_TEST(at_random)
{
    uint64_t random = support_seed("gate at random");
    uint64_t cursors[CONSUMERS];
    int required[CONSUMERS] = {0};
    uint64_t next = 0;
    begin();
    for (int round = 0; round < 50000; round++) {
        uint32_t i = (uint32_t)support_below(&random, CONSUMERS);
        uint64_t before = plain.gate.floor;
        next += support_below(&random, 4);
        if (!required[i] && support_below(&random, 4) == 0) {
            cursors[i] = before + support_below(&random, next - before + 1);
            plain_join(&plain, i, SHMBUS_REQUIRED, cursors[i]);
            required[i] = 1;
        } else if (required[i] && support_below(&random, 16) == 0) {
            plain_leave(&plain, i);
            required[i] = 0;
        } else if (required[i]) {
            cursors[i] += support_below(&random, next - cursors[i] + 1);
            PUT(gate_entry(&plain.gate, i)->cursor, cursors[i]);
        }
        uint64_t slowest = next;
        for (uint32_t j = 0; j < CONSUMERS; j++)
            if (required[j] && cursors[j] < slowest)
                slowest = cursors[j];
        uint64_t wanted = support_below(&random, next + 1);
        uint64_t expected = wanted < slowest ? wanted : slowest;
        ck_assert_uint_eq(raise(wanted, next), expected > before ? expected : before);
    }
    plain_end(&plain);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("unit gate");
    TCase *tcase = support_case(suite, "gate", 60);
    tcase_add_test(tcase, without_a_required_consumer_the_floor_is_what_is_wanted);
    tcase_add_test(tcase, the_slowest_required_consumer_is_the_limit);
    tcase_add_test(tcase, the_floor_never_goes_back);
    tcase_add_test(tcase, a_cursor_beyond_what_is_published_evicts);
    tcase_add_test(tcase, a_cursor_at_the_tail_is_no_offence);
    tcase_add_test(tcase, a_cursor_that_moves_back_evicts);
    tcase_add_test(tcase, another_consumer_of_an_entry_may_begin_below_the_last);
    tcase_add_test(tcase, a_forged_count_of_entries_reaches_no_further_and_hides_nobody);
    tcase_add_test(tcase, at_random);
    return support_run(suite);
}
