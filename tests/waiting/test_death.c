/* SPDX-License-Identifier: MIT */
/*
 * Parked, while the one that is waited for is killed, or stopped and continued; and the one that
 * wakes is killed in the middle of that. Nobody sleeps past it.
 */
#include "rig.h"

#include <errno.h>
#include <signal.h>

static const struct shmbus_wait park = {.strategy = SHMBUS_WAIT_PARK};
static const struct shmbus_wait adaptive = {.slice_ns = 50000000};
static const struct shmbus_wait *const ways[] = {&park, &adaptive};

/* ---- producers in processes of their own ---- */

/* Publishes one message whenever it is told to. */
static void publish_when_told(int line, void *context)
{
    struct shmbus_producer *producer = rig_create(context, 0);
    child_tell(line, 0);
    for (;;) {
        child_hear(line);
        rig_publish(producer);
        child_tell(line, 0);
    }
}

static struct child start_producer(const struct shmbus_wait *wait)
{
    struct shmbus_wait copy = *wait;
    struct child child = child_start(publish_when_told, &copy);
    child_hear(child.line);
    return child;
}

START_TEST(the_producer_is_killed)
{
    struct child producer = start_producer(ways[_i % 2]);
    struct rig_child how = {_i < 2 ? SHMBUS_REQUIRED : SHMBUS_OPTIONAL, *ways[_i % 2], 0};
    struct child consumer = rig_start(&how);
    rig_tell(&consumer, RIG_WAIT, 0);
    rig_until_consumer(SHMBUS_WAITING_PARK);
    child_kill(&producer);
    ck_assert_int_eq((int64_t)child_hear(consumer.line), -EOWNERDEAD);
    /* Parked again at once, and another takes over and publishes. */
    rig_tell(&consumer, RIG_WAIT, 0);
    ck_assert_int_eq((int64_t)child_hear(consumer.line), -EOWNERDEAD);
    struct shmbus_producer *heir = NULL;
    ck_assert_int_eq(shmbus_producer_open(BUS, NULL, NULL, 0, &heir), 0);
    rig_tell(&consumer, RIG_WAIT, 0);
    rig_until_consumer(SHMBUS_WAITING_PARK);
    rig_publish(heir);
    ck_assert_int_eq((int64_t)child_hear(consumer.line), 0);
    ck_assert_int_eq(rig_order(&consumer, RIG_LEAVE, 0), 0);
    child_end(&consumer);
    shmbus_producer_close(heir);
}
END_TEST

START_TEST(the_producer_is_stopped)
{
    struct child producer = start_producer(ways[_i]);
    struct rig_child how = {SHMBUS_REQUIRED, *ways[_i], 0};
    struct child consumer = rig_start(&how);
    rig_tell(&consumer, RIG_WAIT, 0);
    rig_until_consumer(SHMBUS_WAITING_PARK);
    child_stop(&producer);
    child_tell(producer.line, 0);
    /* Several slices go by: a stopped producer is not a dead one. */
    for (int i = 0; i < 5; i++)
        rig_until_asleep(consumer.pid, 1);
    ck_assert(!child_has_said(consumer.line));
    child_continue(&producer);
    child_hear(producer.line);
    ck_assert_int_eq((int64_t)child_hear(consumer.line), 0);
    child_kill(&producer);
    ck_assert_int_eq(rig_order(&consumer, RIG_LEAVE, 0), 0);
    child_end(&consumer);
}
END_TEST

/* Stopped while it is parked, and called meanwhile: it finds the message when it goes on. */
START_TEST(the_parked_one_is_stopped)
{
    struct shmbus_producer *producer = rig_create(ways[_i], 0);
    struct rig_child how = {SHMBUS_REQUIRED, *ways[_i], 0};
    struct child consumer = rig_start(&how);
    rig_tell(&consumer, RIG_WAIT, 0);
    rig_until_consumer(SHMBUS_WAITING_PARK);
    rig_until_asleep(consumer.pid, 1);
    child_stop(&consumer);
    rig_publish(producer);
    rig_publish(producer);
    ck_assert(!child_has_said(consumer.line));
    child_continue(&consumer);
    ck_assert_int_eq((int64_t)child_hear(consumer.line), 0);
    ck_assert_int_eq(rig_order(&consumer, RIG_LEAVE, 0), 0);
    child_end(&consumer);
    shmbus_producer_close(producer);
}
END_TEST

/* Killed while it is parked: the producer does not miss it, and its flag costs one call. */
START_TEST(the_parked_one_is_killed)
{
    struct shmbus_producer *producer = rig_create(ways[_i], 0);
    const struct control_shared *shared = segment_shared(&producer->segment);
    struct rig_child how = {SHMBUS_REQUIRED, *ways[_i], 0};
    struct child consumer = rig_start(&how);
    rig_tell(&consumer, RIG_WAIT, 0);
    rig_until_consumer(SHMBUS_WAITING_PARK);
    rig_until_asleep(consumer.pid, 1);
    child_kill(&consumer);
    struct shmbus_snapshot *snapshot = support_look(BUS);
    ck_assert_uint_eq(shmbus_snapshot_consumer(snapshot, 0)->life, SHMBUS_LIFE_DEAD);
    ck_assert_uint_eq(shmbus_snapshot_consumer(snapshot, 0)->waiting, SHMBUS_WAITING_NOT);
    shmbus_snapshot_close(snapshot);
    for (int i = 0; i < 3 * CAPACITY; i++)
        rig_publish(producer);
    ck_assert_uint_eq(atomic_load_explicit(&shared->parked, memory_order_seq_cst), 0);
    shmbus_producer_close(producer);
}
END_TEST

/* ---- the other direction ---- */

enum wish { FULL, FLUSH, SLABS, WISHES };

static int wait_for_it(struct shmbus_producer *producer, enum wish wish)
{
    struct shmbus_slab slab;
    if (wish == FLUSH)
        return shmbus_producer_flush(producer, SHMBUS_FOREVER);
    if (wish == SLABS)
        return shmbus_producer_slab_acquire(producer, 4096, 1, &slab);
    rig_publish(producer);
    return 0;
}

struct blocked {
    struct shmbus_wait wait;
    enum wish wish;
};

static void be_blocked(int line, void *context)
{
    const struct blocked *blocked = context;
    unsigned char large[4096] = {0};
    struct shmbus_producer *producer = rig_create(&blocked->wait, 0);
    child_tell(line, 0);
    child_hear(line);
    for (int i = 0; i < (blocked->wish == SLABS ? 2 : CAPACITY); i++)
        ck_assert_int_eq(shmbus_producer_publish(producer, 1, 0, large,
                                                 blocked->wish == SLABS ? sizeof large : 8),
                         0);
    child_tell(line, (uint64_t)wait_for_it(producer, blocked->wish));
    child_hear(line);
    shmbus_producer_close(producer);
}

/* A producer that is parked behind a consumer of the same way to wait. */
static void begin_blocked(const struct shmbus_wait *wait, enum wish wish,
                          struct child *out_producer, struct child *out_consumer)
{
    struct blocked blocked = {*wait, wish};
    struct rig_child how = {SHMBUS_REQUIRED, *wait, 0};
    *out_producer = child_start(be_blocked, &blocked);
    child_hear(out_producer->line);
    *out_consumer = rig_start(&how);
    child_tell(out_producer->line, 0);
    rig_until_producer(SHMBUS_WAITING_PARK);
    rig_until_asleep(out_producer->pid, 1);
}

START_TEST(the_consumer_is_killed)
{
    struct child producer;
    struct child consumer;
    begin_blocked(ways[_i % 2], (enum wish)(_i / 2), &producer, &consumer);
    child_kill(&consumer);
    ck_assert_int_eq((int64_t)child_hear(producer.line), 0);
    child_tell(producer.line, 0);
    child_end(&producer);
}
END_TEST

START_TEST(the_consumer_is_stopped)
{
    struct child producer;
    struct child consumer;
    begin_blocked(ways[_i % 2], (enum wish)(_i / 2), &producer, &consumer);
    child_stop(&consumer);
    rig_tell(&consumer, RIG_READ, _i / 2 == SLABS ? 2 : CAPACITY);
    for (int i = 0; i < 5; i++)
        rig_until_asleep(producer.pid, 1);
    ck_assert(!child_has_said(producer.line));
    child_continue(&consumer);
    child_hear(consumer.line);
    ck_assert_int_eq((int64_t)child_hear(producer.line), 0);
    child_tell(producer.line, 0);
    child_end(&producer);
    child_kill(&consumer);
}
END_TEST

/* The parked producer is killed: its bit stays, costs what it costs, and its heir clears it. */
START_TEST(the_parked_producer_is_killed)
{
    struct child producer;
    struct child consumer;
    begin_blocked(ways[_i % 2], (enum wish)(_i / 2), &producer, &consumer);
    child_kill(&producer);
    struct shmbus_snapshot *snapshot = support_look(BUS);
    ck_assert_uint_eq(shmbus_snapshot_producer(snapshot, 0)->alive, 0);
    ck_assert_uint_eq(shmbus_snapshot_producer(snapshot, 0)->waiting, SHMBUS_WAITING_NOT);
    shmbus_snapshot_close(snapshot);
    ck_assert_int_gt(rig_order(&consumer, RIG_READ, 1), 0);
    struct shmbus_producer *heir = NULL;
    ck_assert_int_eq(shmbus_producer_open(BUS, NULL, NULL, 0, &heir), 0);
    const struct feed_state *state = segment_state(&heir->segment);
    ck_assert_uint_eq(atomic_load_explicit(&state->parked_producers, memory_order_seq_cst), 0);
    ck_assert_int_eq(rig_order(&consumer, RIG_LEAVE, 0), 0);
    child_end(&consumer);
    shmbus_producer_close(heir);
}
END_TEST

/* ---- killed while it wakes: what it left is set here as it stands between two of its steps ----
 */

/* After its message: the flag is still set, or cleared, or the word has moved on, too. None of it
 * called the kernel. */
static void die_while_it_wakes(int line, void *context)
{
    int steps = *(const int *)context;
    struct shmbus_producer *producer = rig_create(&park, 0);
    struct slot_header *slot = ring_slot(&producer->ring, 0);
    child_tell(line, 0);
    child_hear(line);
    *(uint64_t *)(void *)ring_payload(&producer->ring, slot) = 0;
    ring_publish(slot, 0, meta_make(8, 1, 0));
    if (steps >= 1)
        atomic_store_explicit(&segment_shared(&producer->segment)->parked, 0, memory_order_seq_cst);
    if (steps >= 2)
        atomic_fetch_add_explicit(&segment_state(&producer->segment)->wake_consumers, 1,
                                  memory_order_seq_cst);
    raise(SIGKILL);
}

START_TEST(the_waker_is_killed)
{
    int steps = _i;
    struct child producer = child_start(die_while_it_wakes, &steps);
    child_hear(producer.line);
    struct rig_child how = {SHMBUS_REQUIRED, park, 0};
    struct child consumer = rig_start(&how);
    rig_tell(&consumer, RIG_WAIT, 0);
    rig_until_consumer(SHMBUS_WAITING_PARK);
    rig_until_asleep(consumer.pid, 1);
    child_tell(producer.line, 0);
    ck_assert_int_eq((int64_t)child_hear(consumer.line), 0);
    child_kill(&producer);
    rig_tell(&consumer, RIG_WAIT, 0);
    ck_assert_int_eq((int64_t)child_hear(consumer.line), -EOWNERDEAD);
    child_kill(&consumer);
}
END_TEST

/* The same of a consumer that a producer waits for: its cursor stands, and nobody calls. */
START_TEST(the_consumer_that_wakes_is_killed)
{
    struct child producer;
    struct child consumer;
    begin_blocked(&park, FLUSH, &producer, &consumer);
    struct rig_child how = {SHMBUS_REQUIRED, park, 0};
    struct child second = rig_start(&how);
    struct segment segment;
    segment_begin(&segment, BUS);
    ck_assert_int_eq(segment_open(&segment, NULL, SEGMENT_REPAIR), 0);
    child_stop(&consumer);
    struct control_entry *entry = layout_entry(segment.control, &segment.header, 0);
    atomic_store_explicit(&entry->cursor, CAPACITY, memory_order_seq_cst);
    child_kill(&consumer);
    segment_close(&segment);
    ck_assert_int_eq(rig_order(&second, RIG_READ, CAPACITY), CAPACITY);
    ck_assert_int_eq((int64_t)child_hear(producer.line), 0);
    child_tell(producer.line, 0);
    child_end(&producer);
    child_kill(&second);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("waiting death");
    TCase *tcase = support_case(suite, "death", 60);
    tcase_add_loop_test(tcase, the_producer_is_killed, 0, 4);
    tcase_add_loop_test(tcase, the_producer_is_stopped, 0, 2);
    tcase_add_loop_test(tcase, the_parked_one_is_stopped, 0, 2);
    tcase_add_loop_test(tcase, the_parked_one_is_killed, 0, 2);
    tcase_add_loop_test(tcase, the_consumer_is_killed, 0, 2 * WISHES);
    tcase_add_loop_test(tcase, the_consumer_is_stopped, 0, 2 * WISHES);
    tcase_add_loop_test(tcase, the_parked_producer_is_killed, 0, 2 * WISHES);
    tcase_add_loop_test(tcase, the_waker_is_killed, 0, 3);
    tcase_add_test(tcase, the_consumer_that_wakes_is_killed);
    return support_run(suite);
}
