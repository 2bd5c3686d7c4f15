/* SPDX-License-Identifier: MIT */
/*
 * Many producers at once: one order for all consumers, each message once and whole, those of each
 * producer in the order of its calls.
 */
#include "crew.h"

#include <errno.h>

#define EACH 3000

static void watches(int line, void *context)
{
    const uint32_t *kind = context;
    struct crew_watch watch;
    crew_watch(&watch, *kind);
    child_tell(line, 0);
    ck_assert_int_eq(crew_read_to_the_end(&watch), -EPIPE);
    struct shmbus_consumer_stats stats;
    ck_assert_int_eq(shmbus_consumer_stats(watch.consumer, &stats), 0);
    ck_assert_uint_eq(stats.received, watch.received);
    ck_assert_uint_eq(stats.aborted, watch.aborted);
    ck_assert_uint_eq(stats.lost, watch.lost);
    shmbus_consumer_close(watch.consumer);
    child_tell(line, watch.received);
    child_tell(line, watch.aborted);
    child_tell(line, watch.lost);
    child_tell(line, watch.order);
}

/* Starts so many producers, and three consumers: two required, one of this kind. */
static void all_in_one_order(uint32_t count, uint32_t third, struct shmbus_bus_options bus)
{
    uint32_t kinds[3] = {SHMBUS_REQUIRED, SHMBUS_REQUIRED, third};
    struct child consumers[3];
    struct child producers[8];
    uint64_t seen[3][4];
    shmbus_unlink(BUS, NULL);
    for (uint32_t i = 0; i < count; i++)
        producers[i] = crew_start(&bus, i, GUARD_NS);
    for (int i = 0; i < 3; i++) {
        consumers[i] = child_start(watches, &kinds[i]);
        child_hear(consumers[i].line);
    }
    for (uint32_t i = 0; i < count; i++) {
        child_tell(producers[i].line, CREW_PUBLISH);
        child_tell(producers[i].line, EACH);
    }
    for (uint32_t i = 0; i < count; i++)
        ck_assert_int_eq((int)child_hear(producers[i].line), 0);
    struct shmbus_bus_info now = crew_look();
    ck_assert_uint_eq(now.producer_count, count);
    ck_assert_uint_eq(now.hole_count, 0);
    for (uint32_t i = 0; i < count; i++)
        crew_close(&producers[i]);
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 4; j++)
            seen[i][j] = child_hear(consumers[i].line);
        child_end(&consumers[i]);
    }
    ck_assert_uint_eq(seen[0][0], (uint64_t)count * EACH);
    ck_assert_uint_gt(seen[0][1], 0);
    for (int j = 0; j < 4; j++)
        ck_assert_uint_eq(seen[0][j], seen[1][j]);
    ck_assert_uint_eq(seen[2][0] + seen[2][1] + seen[2][2], seen[0][0] + seen[0][1]);
    now = crew_look();
    ck_assert_uint_eq(now.state, SHMBUS_STATE_CLOSED);
    ck_assert_uint_eq(now.tail - now.first_sequence, seen[0][0] + seen[0][1]);
    ck_assert_int_eq(shmbus_unlink(BUS, NULL), 0);
}

START_TEST(two_producers)
{
    all_in_one_order(2, SHMBUS_OPTIONAL, crew_bus(2));
}
END_TEST

START_TEST(eight_producers_and_an_observer)
{
    all_in_one_order(8, SHMBUS_OBSERVER, crew_bus(8));
}
END_TEST

START_TEST(stamps_timestamps_and_generations_wrap)
{
    struct shmbus_bus_options bus = crew_bus(3);
    bus.first_sequence = (UINT64_C(1) << 56) - 1000;
    bus.flags = SHMBUS_BUS_TIMESTAMPS | SHMBUS_BUS_SCRUB;
    bus.capacity = 16;
    all_in_one_order(3, SHMBUS_OPTIONAL, bus);
}
END_TEST

START_TEST(one_alone_on_a_bus_for_many)
{
    all_in_one_order(1, SHMBUS_OPTIONAL, crew_bus(64));
}
END_TEST

START_TEST(with_history)
{
    struct shmbus_bus_options bus = crew_bus(2);
    bus.history = 40;
    all_in_one_order(2, SHMBUS_REQUIRED, bus);
}
END_TEST

START_TEST(what_is_refused)
{
    struct shmbus_bus_options bus = crew_bus(65);
    struct shmbus_producer *producer;
    struct shmbus_claim claim;
    struct shmbus_claim other;
    shmbus_unlink(BUS, NULL);
    ck_assert_int_eq(shmbus_producer_create(BUS, &bus, NULL, &producer), -EINVAL);
    ck_assert(support_says("max_producers"));
    bus = crew_bus(2);
    producer = crew_open(&bus, 0);
    ck_assert_int_eq(shmbus_producer_skip(producer, 1), -ENOTSUP);
    ck_assert(support_says("max_producers"));
    ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, &bus, 1025), -EMSGSIZE);
    ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0x100, &bus, 1), -EINVAL);
    ck_assert_int_eq(shmbus_producer_claim(producer, 10, &claim), 0);
    ck_assert_int_eq(shmbus_producer_claim(producer, 10, &other), -EBUSY);
    ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, &bus, 1), -EBUSY);
    ck_assert_int_eq(shmbus_producer_flush(producer, 0), -EBUSY);
    other = claim;
    other.length = 11;
    ck_assert_int_eq(shmbus_producer_commit(producer, &other, 0, 0), -EINVAL);
    ck_assert_int_eq(shmbus_producer_commit(producer, &claim, 0, 0), 0);
    ck_assert_int_eq(shmbus_producer_commit(producer, &claim, 0, 0), -EINVAL);
    ck_assert_int_eq(shmbus_producer_abort(producer, &claim), -EINVAL);
    ck_assert_int_eq(shmbus_producer_claim(producer, 1000, &claim), 0);
    ck_assert_int_eq(shmbus_producer_slab_release(producer, claim.handle), -ESTALE);
    ck_assert_int_eq(shmbus_producer_abort(producer, &claim), 0);
    ck_assert_uint_eq(shmbus_producer_next_sequence(producer), 2);
    /* Another number of producers is another geometry. */
    struct shmbus_bus_options three = crew_bus(3);
    struct shmbus_producer *second;
    ck_assert_int_eq(shmbus_producer_create(BUS, &three, NULL, &second), -EEXIST);
    ck_assert(support_says("max_producers 2, asked for with 3"));
    three.flags = SHMBUS_BUS_REPLACE;
    struct child child = crew_start(&bus, 1, 0);
    shmbus_producer_close(producer);
    ck_assert_int_eq(shmbus_producer_create(BUS, &three, NULL, &second), -EBUSY);
    crew_close(&child);
    ck_assert_int_eq(shmbus_producer_create(BUS, &three, NULL, &second), 0);
    shmbus_producer_close(second);
}
END_TEST

START_TEST(a_full_ring_fails_at_once_or_waits)
{
    struct shmbus_bus_options bus = crew_bus(2);
    unsigned char byte = 0;
    shmbus_unlink(BUS, NULL);
    struct shmbus_producer *producer = crew_open(&bus, 0);
    struct shmbus_producer *second = crew_open(&bus, 20000000);
    struct shmbus_consumer *consumer = support_join(BUS, SHMBUS_FROM_OLDEST);
    for (int i = 0; i < 64; i++)
        ck_assert_int_eq(shmbus_producer_publish(i % 2 ? producer : second, 0, 0, &byte, 1), 0);
    ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, &byte, 1), -EAGAIN);
    ck_assert_int_eq(shmbus_producer_publish(second, 0, 0, &byte, 1), -EAGAIN);
    uint64_t lag;
    ck_assert_int_eq(shmbus_producer_required(producer, &lag), 1);
    ck_assert_uint_eq(lag, 64);
    ck_assert_int_eq(shmbus_producer_flush(producer, 0), -ETIMEDOUT);
    struct shmbus_message message;
    for (int i = 0; i < 64; i++)
        ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 0);
    ck_assert_int_eq(shmbus_producer_flush(producer, 0), 0);
    ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, &byte, 1), 0);
    ck_assert_int_eq(shmbus_producer_publish(second, 0, 0, &byte, 1), 0);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
    shmbus_producer_close(second);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("among order");
    TCase *tcase = support_case(suite, "order", 120);
    tcase_add_test(tcase, two_producers);
    tcase_add_test(tcase, eight_producers_and_an_observer);
    tcase_add_test(tcase, stamps_timestamps_and_generations_wrap);
    tcase_add_test(tcase, one_alone_on_a_bus_for_many);
    tcase_add_test(tcase, with_history);
    tcase_add_test(tcase, what_is_refused);
    tcase_add_test(tcase, a_full_ring_fails_at_once_or_waits);
    return support_run(suite);
}
