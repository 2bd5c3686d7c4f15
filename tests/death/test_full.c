/* SPDX-License-Identifier: MIT */
/*
 * When ring or pool is full: block with a timeout, fail at once, or evict who is stalled. A stopped
 * consumer is evicted only where the bus says so, and only if it is what blocks; it is told, and
 * can join again.
 */
#include "rig.h"

#include <errno.h>
#include <time.h>

static struct shmbus_bus_options bus;

static struct shmbus_producer *begin(uint32_t flags, int64_t full_timeout_ns)
{
    bus = rig_bus();
    bus.flags = flags;
    return rig_create(&bus, full_timeout_ns);
}

static uint64_t evictions(void)
{
    struct shmbus_snapshot *snapshot = support_look(BUS);
    uint64_t count = shmbus_snapshot_producer(snapshot, 0)->evicted;
    shmbus_snapshot_close(snapshot);
    return count;
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * SECOND_NS + time.tv_nsec;
}

START_TEST(fails_at_once)
{
    struct shmbus_producer *producer = begin(0, 0);
    struct child consumer = rig_start("slow", SHMBUS_REQUIRED, 0, NULL, NULL);
    child_stop(&consumer);
    rig_publish_many(producer, 16, 8);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(rig_publish(producer, 8), -EAGAIN);
        ck_assert(support_says("full"));
        rig_sleep(STALL_NS);
    }
    ck_assert_uint_eq(rig_life("slow"), SHMBUS_LIFE_STALLED);
    ck_assert_uint_eq(evictions(), 0);
    child_continue(&consumer);
    ck_assert_uint_eq(rig_order(&consumer, RIG_READ, 1), 1);
    ck_assert_int_eq(rig_publish(producer, 8), 0);
    ck_assert_uint_eq(rig_order(&consumer, RIG_READ, 16), 17);
    rig_leave(&consumer);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(blocks_with_a_timeout)
{
    const int64_t timeout = 3 * STALL_NS;
    struct shmbus_producer *producer = begin(0, timeout);
    struct child consumer = rig_start("slow", SHMBUS_REQUIRED, 0, NULL, NULL);
    child_stop(&consumer);
    rig_publish_many(producer, 16, 8);
    int64_t from = now();
    ck_assert_int_eq(rig_publish(producer, 8), -EAGAIN);
    ck_assert_int_ge(now() - from, timeout);
    child_continue(&consumer);
    ck_assert_uint_eq(rig_order(&consumer, RIG_READ, 16), 16);
    /* Slabs are waited for as long. */
    child_stop(&consumer);
    rig_publish_many(producer, 4, 4096);
    from = now();
    ck_assert_int_eq(rig_publish(producer, 4096), -ENOBUFS);
    ck_assert_int_ge(now() - from, timeout);
    child_continue(&consumer);
    ck_assert_uint_eq(rig_order(&consumer, RIG_READ, 4), 20);
    ck_assert_int_eq(rig_publish(producer, 4096), 0);
    rig_leave(&consumer);
    shmbus_producer_close(producer);
}
END_TEST

/* A bus that does not say so evicts nobody, however long it blocks. */
START_TEST(nobody_is_evicted_without_the_flag)
{
    struct shmbus_producer *producer = begin(0, 4 * STALL_NS);
    struct child consumer = rig_start("slow", SHMBUS_REQUIRED, 0, NULL, NULL);
    child_stop(&consumer);
    rig_publish_many(producer, 8, 256);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(rig_publish(producer, 256), -ENOBUFS);
    rig_publish_many(producer, 8, 8);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(rig_publish(producer, 8), -EAGAIN);
    ck_assert_uint_eq(evictions(), 0);
    ck_assert_uint_eq(rig_life("slow"), SHMBUS_LIFE_STALLED);
    child_continue(&consumer);
    ck_assert_uint_eq(rig_order(&consumer, RIG_READ, 16), 16);
    rig_leave(&consumer);
    shmbus_producer_close(producer);
}
END_TEST

/* What fills the ring, and what fills a class of the pool. */
static const uint32_t lengths[] = {8, 256, 4096};
static const uint32_t rooms[] = {16, 8, 4};

START_TEST(a_stopped_one_that_blocks_is_evicted)
{
    struct shmbus_producer *producer = begin(SHMBUS_BUS_EVICT, SHMBUS_FOREVER);
    struct child stopped = rig_start("stopped", SHMBUS_REQUIRED, 0, NULL, NULL);
    struct child other = rig_start("other", SHMBUS_REQUIRED, 0, NULL, NULL);
    rig_publish_many(producer, rooms[_i], lengths[_i]);
    child_stop(&stopped);
    ck_assert_uint_eq(rig_order(&other, RIG_READ, rooms[_i]), rooms[_i]);
    int64_t from = now();
    rig_publish_many(producer, 1, lengths[_i]);
    ck_assert_int_ge(now() - from, STALL_NS);
    ck_assert_uint_eq(evictions(), 1);
    ck_assert_uint_eq(rig_life("stopped"), SHMBUS_LIFE_EVICTED);
    ck_assert_int_eq(shmbus_producer_required(producer, NULL), 1);
    /* The other one loses nothing. */
    for (uint64_t i = 1; i <= 40; i++) {
        ck_assert_uint_eq(rig_order(&other, RIG_READ, 1), rooms[_i] + i);
        rig_publish_many(producer, 1, lengths[_i]);
    }
    child_continue(&stopped);
    ck_assert_int_eq((int)rig_order(&stopped, RIG_POLL, 100), -ESTALE);
    ck_assert_int_eq((int)rig_order(&stopped, RIG_POLL, 100), -ESTALE);
    ck_assert_int_eq((int)rig_order(&stopped, RIG_REJOIN, 0), 0);
    ck_assert_uint_eq(rig_life("stopped"), SHMBUS_LIFE_ALIVE);
    ck_assert_int_eq(shmbus_producer_required(producer, NULL), 2);
    uint64_t tail = shmbus_producer_next_sequence(producer);
    ck_assert_uint_eq(rig_order(&other, RIG_READ, 1), tail);
    for (uint64_t i = 1; i <= 40; i++) {
        rig_publish_many(producer, 1, lengths[_i]);
        ck_assert_uint_eq(rig_order(&stopped, RIG_READ, 1), tail + i);
        ck_assert_uint_eq(rig_order(&other, RIG_READ, 1), tail + i);
    }
    ck_assert_uint_eq(evictions(), 1);
    rig_leave(&stopped);
    rig_leave(&other);
    rig_all_slabs(producer, &bus);
    shmbus_producer_close(producer);
}
END_TEST

/* It has read on, but keeps every slab of the class, and then stops with messages to read. */
START_TEST(a_stopped_one_whose_holds_block_is_evicted)
{
    struct shmbus_producer *producer = begin(SHMBUS_BUS_EVICT, SHMBUS_FOREVER);
    struct child stopped = rig_start("stopped", SHMBUS_REQUIRED, 0, NULL, NULL);
    rig_publish_many(producer, 4, 4096);
    ck_assert_uint_eq(rig_order(&stopped, RIG_HOLD, 4), 4);
    child_stop(&stopped);
    rig_publish_many(producer, 1, 8);
    rig_publish_many(producer, 1, 4096);
    ck_assert_uint_eq(evictions(), 1);
    ck_assert_uint_eq(rig_life("stopped"), SHMBUS_LIFE_EVICTED);
    child_continue(&stopped);
    ck_assert_int_eq((int)rig_order(&stopped, RIG_POLL, 100), -ESTALE);
    rig_leave(&stopped);
    rig_all_slabs(producer, &bus);
    shmbus_producer_close(producer);
}
END_TEST

/* It holds slabs of another class than the one that is waited for: nobody else's are. */
START_TEST(a_stopped_one_that_does_not_block_stays)
{
    struct shmbus_producer *producer = begin(SHMBUS_BUS_EVICT, 5 * STALL_NS);
    struct child stopped = rig_start("stopped", SHMBUS_REQUIRED, 0, NULL, NULL);
    struct child keeper = rig_start("keeper", SHMBUS_OPTIONAL, 0, NULL, NULL);
    rig_publish_many(producer, 4, 4096);
    ck_assert_uint_eq(rig_order(&stopped, RIG_READ, 4), 4);
    ck_assert_uint_eq(rig_order(&keeper, RIG_HOLD, 4), 4);
    child_stop(&stopped);
    rig_publish_many(producer, 1, 8);
    ck_assert_int_eq(rig_publish(producer, 4096), -ENOBUFS);
    ck_assert_uint_eq(rig_life("stopped"), SHMBUS_LIFE_STALLED);
    ck_assert_uint_eq(evictions(), 0);
    child_continue(&stopped);
    ck_assert_uint_eq(rig_order(&stopped, RIG_READ, 1), 5);
    rig_leave(&stopped);
    rig_leave(&keeper);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(a_stopped_one_that_is_caught_up_stays)
{
    struct shmbus_producer *producer = begin(SHMBUS_BUS_EVICT, 5 * STALL_NS);
    struct child stopped = rig_start("stopped", SHMBUS_REQUIRED, 0, NULL, NULL);
    struct child blocker = rig_start("blocker", SHMBUS_OPTIONAL, 0, NULL, NULL);
    struct shmbus_health health;
    rig_publish_many(producer, 4, 4096);
    ck_assert_uint_eq(rig_order(&stopped, RIG_READ, 4), 4);
    ck_assert_uint_eq(rig_order(&blocker, RIG_HOLD, 4), 4);
    child_stop(&stopped);
    ck_assert_int_eq(rig_publish(producer, 4096), -ENOBUFS);
    ck_assert_uint_eq(evictions(), 0);
    ck_assert_uint_eq(rig_life("stopped"), SHMBUS_LIFE_ALIVE);
    ck_assert_int_eq(shmbus_producer_health(producer, &health, 1), 1);
    ck_assert_uint_eq(health.state, SHMBUS_HEALTH_WELL);
    ck_assert_int_eq(health.since_ns, 0);
    child_continue(&stopped);
    rig_leave(&stopped);
    rig_leave(&blocker);
    rig_all_slabs(producer, &bus);
    shmbus_producer_close(producer);
}
END_TEST

/* Both sides in one process, so that what the consumer is told can be looked at. */
START_TEST(it_is_told_what_not_to_trust)
{
    struct shmbus_producer *producer = begin(SHMBUS_BUS_EVICT, SHMBUS_FOREVER);
    struct shmbus_consumer *consumer = rig_join("slow", SHMBUS_REQUIRED, 0);
    uint64_t held;
    rig_publish_many(producer, 4, 200);
    for (uint64_t i = 0; i < 3; i++) {
        struct shmbus_message message = rig_next(consumer, i);
        if (i == 1)
            ck_assert_int_eq(shmbus_consumer_retain(consumer, &message, &held), 0);
    }
    struct shmbus_message lent = rig_next(consumer, 3);
    struct shmbus_message kept;
    ck_assert_int_eq(shmbus_consumer_held(consumer, held, &kept), 0);
    ck_assert_int_eq(shmbus_consumer_valid(consumer, &lent), 1);
    ck_assert_int_eq(shmbus_consumer_valid(consumer, &kept), 1);
    rig_publish_many(producer, 40, 8);
    ck_assert_uint_eq(evictions(), 1);
    ck_assert_int_eq(shmbus_consumer_valid(consumer, &lent), 0);
    ck_assert_int_eq(shmbus_consumer_valid(consumer, &kept), 0);
    struct shmbus_message message;
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), -ESTALE);
    /* The cursor was stored at 2 (capacity / 8 messages) and 3 was lent after that. */
    ck_assert_msg(support_says("evicted") && support_says("to 3"), "%s", shmbus_error_text());
    ck_assert_msg(support_says("from 2") || support_says("from 3"), "%s", shmbus_error_text());
    ck_assert_int_eq(shmbus_consumer_valid(consumer, &lent), 0);
    ck_assert_int_eq(shmbus_consumer_wait(consumer, 0), -ESTALE);
    ck_assert(support_says("evicted"));
    /* A place that is not there leaves it as it is. */
    ck_assert_int_eq(shmbus_consumer_rejoin(consumer, SHMBUS_FROM_SEQUENCE, 1), -ERANGE);
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), -ESTALE);
    ck_assert_int_eq(shmbus_consumer_rejoin(consumer, SHMBUS_FROM_OLDEST, 0), 0);
    ck_assert_int_eq(shmbus_consumer_release(consumer, held), -ESTALE);
    for (int count = 0; count < 30; count++) {
        struct shmbus_consumer_stats stats;
        ck_assert_int_eq(shmbus_consumer_stats(consumer, &stats), 0);
        if (stats.cursor == 44)
            rig_publish_many(producer, 1, 200);
        message = rig_next(consumer, stats.cursor);
        ck_assert_int_eq(shmbus_consumer_valid(consumer, &message), 1);
        if (stats.cursor >= 44)
            rig_publish_many(producer, 1, 200);
    }
    shmbus_consumer_close(consumer);
    rig_all_slabs(producer, &bus);
    shmbus_producer_close(producer);
}
END_TEST

struct inside {
    struct shmbus_producer *producer;
    struct shmbus_consumer *consumer;
    uint32_t count;
};

/* In the second message's callback the producer goes round the ring. */
static int overtaken(const struct shmbus_message *message, void *context)
{
    struct inside *inside = context;
    rig_check(message);
    ck_assert_int_eq(shmbus_consumer_valid(inside->consumer, message), 1);
    if (++inside->count < 2)
        return 0;
    rig_publish_many(inside->producer, 20, 8);
    ck_assert_int_eq(shmbus_consumer_valid(inside->consumer, message), 0);
    return 1;
}

START_TEST(evicted_inside_a_callback)
{
    struct shmbus_producer *producer = begin(SHMBUS_BUS_EVICT, SHMBUS_FOREVER);
    struct shmbus_consumer *consumer = rig_join("slow", SHMBUS_REQUIRED, 0);
    struct inside inside = {producer, consumer, 0};
    rig_publish_many(producer, 3, 8);
    ck_assert_int_eq(shmbus_consumer_poll(consumer, overtaken, &inside, 100), -ESTALE);
    ck_assert_msg(support_says("from 0 to 1"), "%s", shmbus_error_text());
    ck_assert_int_eq(shmbus_consumer_rejoin(consumer, SHMBUS_FROM_TAIL, 0), 0);
    rig_publish_many(producer, 1, 8);
    rig_next(consumer, 23);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

static uint32_t deadlines;
static uint64_t waited_for;

static void on_event(void *context, const struct shmbus_event *event)
{
    ck_assert_ptr_eq(context, &deadlines);
    ck_assert_uint_eq(event->kind, SHMBUS_EVENT_DEADLINE);
    ck_assert_uint_eq(event->count, 0);
    waited_for = event->first;
    deadlines++;
}

static void expect_deadline(struct shmbus_consumer *consumer, uint32_t count, uint64_t sequence)
{
    struct shmbus_message message;
    int64_t from = now();
    /* Each call looks at the clock; once it was told, it is not told again. */
    while (deadlines < count)
        ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 0);
    ck_assert_int_ge(now() - from, 0);
    ck_assert_uint_eq(waited_for, sequence);
    ck_assert_int_eq(shmbus_consumer_wait(consumer, 3 * STALL_NS), -ETIMEDOUT);
    ck_assert_uint_eq(deadlines, count);
}

START_TEST(a_deadline_is_told_once_until_the_next_message)
{
    struct shmbus_producer *producer = begin(0, 0);
    struct shmbus_consumer_options options = rig_options("watcher", (uint32_t)_i, 0);
    struct shmbus_consumer *consumer;
    options.deadline_ns = STALL_NS;
    options.on_event = on_event;
    options.context = &deadlines;
    ck_assert_int_eq(shmbus_consumer_open(BUS, &options, &consumer), 0);
    int64_t from = now();
    ck_assert_int_eq(shmbus_consumer_wait(consumer, 1), -ETIMEDOUT);
    expect_deadline(consumer, 1, 0);
    ck_assert_int_ge(now() - from, STALL_NS);
    rig_publish_many(producer, 2, 8);
    rig_next(consumer, 0);
    ck_assert_uint_eq(deadlines, 1);
    rig_next(consumer, 1);
    expect_deadline(consumer, 2, 2);
    shmbus_producer_close(producer);
    /* The end of the stream is no deadline. */
    ck_assert_int_eq(shmbus_consumer_wait(consumer, GUARD_NS), -EPIPE);
    rig_sleep(2 * STALL_NS);
    ck_assert_int_eq(shmbus_consumer_wait(consumer, GUARD_NS), -EPIPE);
    ck_assert_uint_eq(deadlines, 2);
    shmbus_consumer_close(consumer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("death full");
    TCase *tcase = support_case(suite, "full", 60);
    tcase_add_test(tcase, fails_at_once);
    tcase_add_test(tcase, blocks_with_a_timeout);
    tcase_add_test(tcase, nobody_is_evicted_without_the_flag);
    tcase_add_loop_test(tcase, a_stopped_one_that_blocks_is_evicted, 0, 3);
    tcase_add_test(tcase, a_stopped_one_whose_holds_block_is_evicted);
    tcase_add_test(tcase, a_stopped_one_that_does_not_block_stays);
    tcase_add_test(tcase, a_stopped_one_that_is_caught_up_stays);
    tcase_add_test(tcase, it_is_told_what_not_to_trust);
    tcase_add_test(tcase, evicted_inside_a_callback);
    tcase_add_loop_test(tcase, a_deadline_is_told_once_until_the_next_message, SHMBUS_OPTIONAL,
                        SHMBUS_OBSERVER + 1);
    return support_run(suite);
}
