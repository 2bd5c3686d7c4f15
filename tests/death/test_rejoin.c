/* SPDX-License-Identifier: MIT */
/*
 * Joining again where the sequence that is asked for goes at the very moment of joining: between
 * choosing the place and the handshake, which is when the time of joining is taken.
 */
#include "rig.h"

#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *out_time);

static struct shmbus_producer *overtakes; /* a ring's round is published once by this one */

int clock_gettime(clockid_t clock, struct timespec *out_time)
{
    struct shmbus_producer *producer = overtakes;
    if (clock == CLOCK_REALTIME && producer != NULL) {
        overtakes = NULL;
        rig_publish_many(producer, 20, 8);
    }
    return (int)syscall(SYS_clock_gettime, clock, out_time);
}

static struct shmbus_bus_options bus;

/* One entry, and a consumer that keeps a message and, if it is required, is evicted over it. */
static struct shmbus_consumer *begin(uint32_t kind, uint32_t flags,
                                     struct shmbus_producer **out_producer, uint64_t *out_held)
{
    struct shmbus_consumer_options options = rig_options("one", kind, 0);
    struct shmbus_consumer *consumer;
    bus = rig_bus();
    bus.max_consumers = 1;
    bus.flags = SHMBUS_BUS_EVICT;
    options.flags = flags;
    *out_producer = rig_create(&bus, SHMBUS_FOREVER);
    ck_assert_int_eq(shmbus_consumer_open(BUS, &options, &consumer), 0);
    rig_publish_many(*out_producer, 1, 256);
    struct shmbus_message message = rig_next(consumer, 0);
    ck_assert_int_eq(shmbus_consumer_retain(consumer, &message, out_held), 0);
    rig_publish_many(*out_producer, 40, 8);
    return consumer;
}

START_TEST(its_place_goes_while_it_joins)
{
    static const uint32_t kinds[] = {SHMBUS_REQUIRED, SHMBUS_OPTIONAL};
    struct shmbus_consumer_options options = rig_options("two", SHMBUS_OPTIONAL, 0);
    struct shmbus_producer *producer;
    struct shmbus_consumer *other;
    struct shmbus_consumer_info info;
    struct shmbus_message message;
    uint64_t held;
    struct shmbus_consumer *consumer = begin(kinds[_i], 0, &producer, &held);
    for (uint64_t round = 0; round < 3; round++) {
        uint64_t wanted = shmbus_producer_next_sequence(producer) - 4;
        overtakes = producer;
        ck_assert_int_eq(shmbus_consumer_rejoin(consumer, SHMBUS_FROM_SEQUENCE, wanted), -ERANGE);
        ck_assert_ptr_null(overtakes);
        ck_assert_msg(support_says("not on the bus"), "%s", shmbus_error_text());
        for (int again = 0; again < 2; again++) {
            ck_assert_int_eq(shmbus_consumer_next(consumer, &message), -ESTALE);
            ck_assert_msg(support_says("join again"), "%s", shmbus_error_text());
            ck_assert_int_eq(shmbus_consumer_wait(consumer, GUARD_NS), -ESTALE);
        }
        ck_assert_int_eq(shmbus_consumer_release(consumer, held), -ESTALE);
        /* It gates nobody and holds nothing, but the entry is its own. */
        ck_assert_int_eq(shmbus_producer_required(producer, NULL), 0);
        ck_assert_int_eq(rig_look("one", &info), 0);
        ck_assert_int_eq(shmbus_reap(BUS, NULL), 0);
        ck_assert_int_eq(shmbus_consumer_open(BUS, &options, &other), -EUSERS);
        /* What is long gone leaves it as it is. */
        ck_assert_int_eq(shmbus_consumer_rejoin(consumer, SHMBUS_FROM_SEQUENCE, wanted), -ERANGE);
        ck_assert_int_eq(shmbus_consumer_next(consumer, &message), -ESTALE);
    }
    uint64_t next = shmbus_producer_next_sequence(producer);
    ck_assert_int_eq(shmbus_consumer_rejoin(consumer, SHMBUS_FROM_SEQUENCE, next - 2), 0);
    ck_assert_int_eq(rig_look("one", &info), 1);
    for (uint64_t i = 0; i < 40; i++) {
        rig_next(consumer, next - 2 + i);
        rig_publish_many(producer, 1, 256);
    }
    shmbus_consumer_close(consumer);
    ck_assert_int_eq(shmbus_consumer_open(BUS, &options, &other), 0);
    shmbus_consumer_close(other);
    rig_all_slabs(producer, &bus);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(it_moves_up_if_it_may)
{
    struct shmbus_producer *producer;
    struct shmbus_consumer_stats stats;
    uint64_t held;
    struct shmbus_consumer *consumer =
        begin(SHMBUS_REQUIRED, SHMBUS_JOIN_MOVE_UP, &producer, &held);
    uint64_t wanted = shmbus_producer_next_sequence(producer) - 4;
    overtakes = producer;
    ck_assert_int_eq(shmbus_consumer_rejoin(consumer, SHMBUS_FROM_SEQUENCE, wanted), 0);
    ck_assert_ptr_null(overtakes);
    ck_assert_int_eq(shmbus_consumer_stats(consumer, &stats), 0);
    ck_assert_uint_gt(stats.cursor, wanted);
    ck_assert_int_eq(shmbus_producer_required(producer, NULL), 1);
    while (stats.cursor < shmbus_producer_next_sequence(producer))
        rig_next(consumer, stats.cursor++);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("death rejoin");
    TCase *tcase = support_case(suite, "rejoin", 60);
    tcase_add_loop_test(tcase, its_place_goes_while_it_joins, 0, 2);
    tcase_add_test(tcase, it_moves_up_if_it_may);
    return support_run(suite);
}
