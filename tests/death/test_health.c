/* SPDX-License-Identifier: MIT */
/*
 * The health of required consumers: stalled, recovered, in grace, dead and evicted, as a query, as
 * a callback out of the producer's own calls that tells each transition once, and in snapshots.
 */
#include "rig.h"

#include <errno.h>

#define ROOM 64

static struct shmbus_health told[ROOM];
static uint32_t count;
static struct shmbus_producer *producer;

static void on_health(void *context, const struct shmbus_health *health)
{
    ck_assert_ptr_eq(context, &count);
    ck_assert_uint_lt(count, ROOM);
    told[count++] = *health;
}

static void begin(uint32_t flags, int64_t full_timeout_ns)
{
    struct shmbus_bus_options bus = rig_bus();
    struct shmbus_producer_options options = {.struct_bytes = sizeof options,
                                              .full_timeout_ns = full_timeout_ns,
                                              .on_health = on_health,
                                              .context = &count};
    bus.flags = flags;
    producer = support_create(BUS, &bus, &options);
}

/* Asks until the one consumer is in this state. */
static struct shmbus_health until(uint32_t state)
{
    struct shmbus_health health;
    do {
        ck_assert_int_eq(shmbus_producer_health(producer, &health, 1), 1);
    } while (health.state != state);
    return health;
}

/* So many transitions were told, the last one this. */
static void expect_told(uint32_t number, uint32_t before, uint32_t state)
{
    ck_assert_uint_eq(count, number);
    ck_assert_uint_eq(told[number - 1].before, before);
    ck_assert_uint_eq(told[number - 1].state, state);
    ck_assert_str_eq(told[number - 1].name, "watched");
}

START_TEST(stalled_and_recovered)
{
    struct shmbus_health health;
    begin(0, 0);
    ck_assert_int_eq(shmbus_producer_health(producer, &health, 1), 0);
    struct child consumer = rig_start("watched", SHMBUS_REQUIRED, 0, NULL, NULL);
    child_stop(&consumer);
    /* With nothing to read it is well, however long. */
    until(SHMBUS_HEALTH_WELL);
    rig_sleep(2 * STALL_NS);
    health = until(SHMBUS_HEALTH_WELL);
    ck_assert_int_eq(health.since_ns, 0);
    rig_publish_many(producer, 5, 8);
    ck_assert_uint_eq(count, 0);
    health = until(SHMBUS_HEALTH_STALLED);
    ck_assert_str_eq(health.name, "watched");
    ck_assert_uint_eq(health.entry, 0);
    ck_assert_uint_eq(health.cursor, 0);
    ck_assert_uint_eq(health.lag, 5);
    ck_assert_int_ge(health.since_ns, STALL_NS);
    expect_told(1, SHMBUS_HEALTH_WELL, SHMBUS_HEALTH_STALLED);
    ck_assert_uint_eq(rig_life("watched"), SHMBUS_LIFE_STALLED);
    for (int i = 0; i < 5; i++)
        until(SHMBUS_HEALTH_STALLED);
    ck_assert_uint_eq(count, 1);
    child_continue(&consumer);
    ck_assert_uint_eq(rig_order(&consumer, RIG_READ, 2), 2);
    health = until(SHMBUS_HEALTH_WELL);
    ck_assert_uint_eq(health.lag, 3);
    expect_told(2, SHMBUS_HEALTH_STALLED, SHMBUS_HEALTH_WELL);
    ck_assert_uint_eq(rig_life("watched"), SHMBUS_LIFE_ALIVE);
    /* And once more, out of a call that waits. */
    child_stop(&consumer);
    ck_assert_int_eq(shmbus_producer_flush(producer, 4 * STALL_NS), -ETIMEDOUT);
    expect_told(3, SHMBUS_HEALTH_WELL, SHMBUS_HEALTH_STALLED);
    child_continue(&consumer);
    ck_assert_uint_eq(rig_order(&consumer, RIG_READ, 3), 5);
    until(SHMBUS_HEALTH_WELL);
    expect_told(4, SHMBUS_HEALTH_STALLED, SHMBUS_HEALTH_WELL);
    rig_leave(&consumer);
    ck_assert_int_eq(shmbus_producer_health(producer, NULL, 0), 0);
    ck_assert_uint_eq(count, 4);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(dead)
{
    begin(0, GUARD_NS);
    struct child consumer = rig_start("watched", SHMBUS_REQUIRED, 0, NULL, NULL);
    rig_publish_many(producer, 16, 8);
    until(SHMBUS_HEALTH_WELL);
    child_kill(&consumer);
    ck_assert_uint_eq(rig_life("watched"), SHMBUS_LIFE_DEAD);
    /* The first call that needs its place finds out, repairs and goes on. */
    rig_publish_many(producer, 1, 8);
    ck_assert_uint_ge(count, 1);
    expect_told(count, count > 1 ? SHMBUS_HEALTH_STALLED : SHMBUS_HEALTH_WELL, SHMBUS_HEALTH_DEAD);
    struct shmbus_consumer_info info;
    ck_assert(!rig_look("watched", &info));
    ck_assert_int_eq(shmbus_producer_required(producer, NULL), 0);
    ck_assert_int_eq(shmbus_producer_health(producer, NULL, 0), 0);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(in_grace_and_then_dead)
{
    begin(0, GUARD_NS);
    struct child consumer = rig_start("watched", SHMBUS_REQUIRED, 4 * STALL_NS, NULL, NULL);
    rig_publish_many(producer, 16, 8);
    child_kill(&consumer);
    ck_assert_uint_eq(until(SHMBUS_HEALTH_GRACE).lag, 16);
    expect_told(1, SHMBUS_HEALTH_WELL, SHMBUS_HEALTH_GRACE);
    rig_publish_many(producer, 1, 8);
    expect_told(2, SHMBUS_HEALTH_GRACE, SHMBUS_HEALTH_DEAD);
    ck_assert_int_eq(shmbus_producer_health(producer, NULL, 0), 0);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(in_grace_and_back)
{
    uint64_t cursor;
    uint64_t resumed;
    begin(0, 0);
    struct child consumer = rig_start("watched", SHMBUS_REQUIRED, GUARD_NS, NULL, NULL);
    rig_publish_many(producer, 16, 8);
    child_kill(&consumer);
    ck_assert_int_eq(rig_publish(producer, 8), -EAGAIN);
    expect_told(1, SHMBUS_HEALTH_WELL, SHMBUS_HEALTH_GRACE);
    ck_assert_uint_eq(rig_life("watched"), SHMBUS_LIFE_GRACE);
    consumer = rig_start("watched", SHMBUS_REQUIRED, GUARD_NS, &cursor, &resumed);
    ck_assert_uint_eq(resumed, 1);
    ck_assert_uint_eq(cursor, 0);
    ck_assert_uint_eq(rig_order(&consumer, RIG_READ, 16), 16);
    until(SHMBUS_HEALTH_WELL);
    expect_told(2, SHMBUS_HEALTH_GRACE, SHMBUS_HEALTH_WELL);
    ck_assert_uint_eq(rig_life("watched"), SHMBUS_LIFE_ALIVE);
    rig_leave(&consumer);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(evicted)
{
    struct shmbus_health health;
    struct shmbus_consumer_info info;
    begin(SHMBUS_BUS_EVICT, GUARD_NS);
    struct child consumer = rig_start("watched", SHMBUS_REQUIRED, GUARD_NS, NULL, NULL);
    rig_publish_many(producer, 16, 8);
    child_stop(&consumer);
    rig_publish_many(producer, 1, 8);
    expect_told(1, SHMBUS_HEALTH_WELL, SHMBUS_HEALTH_EVICTED);
    ck_assert_int_eq(shmbus_producer_health(producer, &health, 1), 1);
    ck_assert_uint_eq(health.state, SHMBUS_HEALTH_EVICTED);
    ck_assert_uint_eq(count, 1);
    ck_assert_uint_eq(rig_life("watched"), SHMBUS_LIFE_EVICTED);
    ck_assert(rig_look("watched", &info));
    ck_assert_uint_eq(info.gates, 0);
    /* One that is evicted and dies has no place to be kept, whatever its grace. */
    child_kill(&consumer);
    ck_assert(rig_look("watched", &info));
    ck_assert_uint_eq(info.life, SHMBUS_LIFE_DEAD);
    ck_assert_uint_eq(info.gates, 0);
    ck_assert_int_eq(shmbus_reap(BUS, NULL), 1);
    ck_assert(!rig_look("watched", &info));
    shmbus_producer_close(producer);
}
END_TEST

/* Looks until nobody but the other one is there, or nobody at all. */
static void look(int number)
{
    ck_assert_int_eq(shmbus_producer_health(producer, NULL, 0), number);
}

/* Whoever comes before the producer does: a reap by hand, one that joins in the entry, and one of
 * another kind, or one more death in it that nobody saw. */
START_TEST(dead_and_repaired_by_another)
{
    struct shmbus_consumer *other = NULL;
    begin(0, 0);
    struct child consumer = rig_start("watched", SHMBUS_REQUIRED, 0, NULL, NULL);
    rig_publish_many(producer, 3, 8);
    until(SHMBUS_HEALTH_WELL);
    child_kill(&consumer);
    if (_i == 0)
        ck_assert_int_eq(shmbus_reap(BUS, NULL), 1);
    else
        other = rig_join("other", _i == 1 ? SHMBUS_REQUIRED : SHMBUS_OPTIONAL, 0);
    look(_i == 1);
    expect_told(1, SHMBUS_HEALTH_WELL, SHMBUS_HEALTH_DEAD);
    ck_assert_uint_eq(told[0].entry, 0);
    ck_assert_uint_eq(told[0].cursor, 0);
    ck_assert_uint_eq(told[0].lag, 3);
    for (int i = 0; i < 3; i++)
        look(_i == 1);
    ck_assert_uint_eq(count, 1);
    shmbus_consumer_close(other);
    look(0);
    ck_assert_uint_eq(count, 1);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(its_grace_ended_by_another)
{
    begin(0, 0);
    struct child consumer = rig_start("watched", SHMBUS_REQUIRED, STALL_NS, NULL, NULL);
    rig_publish_many(producer, 3, 8);
    until(SHMBUS_HEALTH_WELL);
    child_kill(&consumer);
    until(SHMBUS_HEALTH_GRACE);
    ck_assert_int_eq(shmbus_reap(BUS, NULL), 1);
    rig_sleep(2 * STALL_NS);
    ck_assert_int_eq(shmbus_reap(BUS, NULL), 1);
    look(0);
    expect_told(2, SHMBUS_HEALTH_GRACE, SHMBUS_HEALTH_DEAD);
    shmbus_producer_close(producer);
}
END_TEST

/* Those that leave, resumed or not, did not die, and one that was evicted has been told of. */
START_TEST(gone_and_not_dead)
{
    uint64_t resumed;
    begin(SHMBUS_BUS_EVICT, 0);
    struct child consumer = rig_start("watched", SHMBUS_REQUIRED, GUARD_NS, NULL, NULL);
    rig_publish_many(producer, 3, 8);
    until(SHMBUS_HEALTH_WELL);
    child_kill(&consumer);
    ck_assert_int_eq(shmbus_reap(BUS, NULL), 1);
    until(SHMBUS_HEALTH_GRACE);
    consumer = rig_start("watched", SHMBUS_REQUIRED, GUARD_NS, NULL, &resumed);
    ck_assert_uint_eq(resumed, 1);
    until(SHMBUS_HEALTH_WELL);
    rig_leave(&consumer);
    look(0);
    expect_told(2, SHMBUS_HEALTH_GRACE, SHMBUS_HEALTH_WELL);
    consumer = rig_start("watched", SHMBUS_REQUIRED, 0, NULL, NULL);
    rig_publish_many(producer, 16, 8);
    child_stop(&consumer);
    while (told[count - 1].state != SHMBUS_HEALTH_EVICTED) {
        int result = rig_publish(producer, 8);
        ck_assert(result == -EAGAIN || told[count - 1].state == SHMBUS_HEALTH_EVICTED);
    }
    uint32_t before = count;
    child_kill(&consumer);
    ck_assert_int_eq(shmbus_reap(BUS, NULL), 1);
    look(0);
    ck_assert_uint_eq(count, before);
    shmbus_producer_close(producer);
}
END_TEST

/* Stalled first, by a call that does not wait for it; evicted once it blocks. */
START_TEST(stalled_and_then_evicted)
{
    begin(SHMBUS_BUS_EVICT, GUARD_NS);
    struct child consumer = rig_start("watched", SHMBUS_REQUIRED, 0, NULL, NULL);
    rig_publish_many(producer, 16, 8);
    child_stop(&consumer);
    until(SHMBUS_HEALTH_STALLED);
    expect_told(1, SHMBUS_HEALTH_WELL, SHMBUS_HEALTH_STALLED);
    rig_publish_many(producer, 1, 8);
    expect_told(2, SHMBUS_HEALTH_STALLED, SHMBUS_HEALTH_EVICTED);
    child_continue(&consumer);
    ck_assert_int_eq((int)rig_order(&consumer, RIG_POLL, 100), -ESTALE);
    ck_assert_int_eq((int)rig_order(&consumer, RIG_REJOIN, 0), 0);
    until(SHMBUS_HEALTH_WELL);
    rig_publish_many(producer, 3, 8);
    ck_assert_uint_eq(rig_order(&consumer, RIG_READ, 3), 20);
    rig_leave(&consumer);
    shmbus_producer_close(producer);
}
END_TEST

/* Optional ones have no health: they never hold the producer up. */
START_TEST(only_required_ones)
{
    struct shmbus_health health[4];
    begin(SHMBUS_BUS_EVICT, 0);
    struct shmbus_consumer *first = rig_join("watched", SHMBUS_REQUIRED, 0);
    struct shmbus_consumer *second = rig_join("optional", SHMBUS_OPTIONAL, 0);
    struct shmbus_consumer *third = rig_join("third", SHMBUS_REQUIRED, 0);
    ck_assert_int_eq(shmbus_producer_health(producer, health, 4), 2);
    ck_assert_str_eq(health[0].name, "watched");
    ck_assert_uint_eq(health[0].entry, 0);
    ck_assert_str_eq(health[1].name, "third");
    ck_assert_uint_eq(health[1].entry, 2);
    health[1].entry = 77;
    ck_assert_int_eq(shmbus_producer_health(producer, health, 1), 2);
    ck_assert_uint_eq(health[1].entry, 77);
    rig_publish_many(producer, 3, 8);
    rig_next(third, 0);
    ck_assert_int_eq(shmbus_producer_health(producer, health, 4), 2);
    ck_assert_uint_eq(health[0].lag, 3);
    shmbus_consumer_close(first);
    shmbus_consumer_close(second);
    shmbus_consumer_close(third);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("death health");
    TCase *tcase = support_case(suite, "health", 60);
    tcase_add_test(tcase, stalled_and_recovered);
    tcase_add_test(tcase, dead);
    tcase_add_test(tcase, in_grace_and_then_dead);
    tcase_add_test(tcase, in_grace_and_back);
    tcase_add_test(tcase, evicted);
    tcase_add_loop_test(tcase, dead_and_repaired_by_another, 0, 3);
    tcase_add_test(tcase, its_grace_ended_by_another);
    tcase_add_test(tcase, gone_and_not_dead);
    tcase_add_test(tcase, stalled_and_then_evicted);
    tcase_add_test(tcase, only_required_ones);
    return support_run(suite);
}
