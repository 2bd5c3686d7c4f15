/* SPDX-License-Identifier: MIT */
/*
 * Parked behind others: consumers that run after others, and producers among many, which wait for
 * each other too. Slices are an hour long here, past the library: a wake-up that does not come
 * hangs the case.
 */
#include "rig.h"

#include <errno.h>
#include <sched.h>

static const struct shmbus_wait park = {.strategy = SHMBUS_WAIT_PARK};

/* ---- consumers behind others ---- */

static struct shmbus_consumer *join_as(const char *name, const char *after)
{
    struct shmbus_consumer *consumer = NULL;
    struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options,
        .name = name,
        .kind = SHMBUS_REQUIRED,
        .from = SHMBUS_FROM_OLDEST,
        .wait = park,
        .after = &after,
        .after_count = after != NULL,
    };
    ck_assert_msg(shmbus_consumer_open(BUS, &options, &consumer) == 0, "%s", shmbus_error_text());
    consumer->wait.slice_ns = NO_SLICE_NS;
    return consumer;
}

#define STEPS 20

static void follow(int line, void *context)
{
    (void)context;
    struct shmbus_consumer *consumer = join_as("follower", "leader");
    child_tell(line, 0);
    for (uint64_t i = 0; i < STEPS; i++) {
        child_hear(line);
        rig_take(consumer, i);
        child_tell(line, i);
    }
    child_tell(line, (uint64_t)shmbus_consumer_wait(consumer, SHMBUS_FOREVER));
    child_hear(line);
    shmbus_consumer_close(consumer);
}

static int take_one(const struct shmbus_message *message, void *context)
{
    (void)message;
    (void)context;
    return 1;
}

/* Looks until the follower says that it parks at this flag. */
static void until_set(const _Atomic uint32_t *flag)
{
    while (atomic_load_explicit(flag, memory_order_seq_cst) == 0)
        sched_yield();
}

/* It parks for a message, and once that is there, behind the leader. The leader's cursor calls it,
 * but does not call those that wait for messages. */
START_TEST(a_follower_is_called)
{
    struct shmbus_producer *producer = rig_create(&park, 0);
    const struct control_shared *shared = segment_shared(&producer->segment);
    const struct feed_state *state = segment_state(&producer->segment);
    struct shmbus_consumer *leader = join_as("leader", NULL);
    struct child child = child_start(follow, NULL);
    child_hear(child.line);
    for (uint64_t i = 0; i < STEPS; i++) {
        child_tell(child.line, 0);
        until_set(&shared->parked);
        rig_until_asleep(child.pid, 1);
        rig_publish(producer);
        until_set(&shared->parked_behind);
        rig_until_asleep(child.pid, 1);
        ck_assert(!child_has_said(child.line));
        uint32_t woken = atomic_load_explicit(&state->wake_consumers, memory_order_seq_cst);
        ck_assert_int_eq(shmbus_consumer_poll(leader, take_one, NULL, 1), 1);
        ck_assert_uint_eq(child_hear(child.line), i);
        ck_assert_uint_eq(atomic_load_explicit(&state->wake_consumers, memory_order_seq_cst),
                          woken);
    }
    until_set(&shared->parked);
    rig_until_asleep(child.pid, 1);
    shmbus_producer_close(producer);
    ck_assert_int_eq((int64_t)child_hear(child.line), -EPIPE);
    child_tell(child.line, 0);
    child_end(&child);
    shmbus_consumer_close(leader);
}
END_TEST

static void follow_one_that_leaves(int line, void *context)
{
    const char *after = "leader";
    struct shmbus_consumer *consumer = NULL;
    struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options,
        .name = "follower",
        .kind = SHMBUS_REQUIRED,
        .from = SHMBUS_FROM_OLDEST,
        .wait = park,
        .after = &after,
        .after_count = 1,
        .after_gone = SHMBUS_AFTER_GO_ON,
    };
    (void)context;
    ck_assert_int_eq(shmbus_consumer_open(BUS, &options, &consumer), 0);
    consumer->wait.slice_ns = NO_SLICE_NS;
    child_tell(line, 0);
    rig_take(consumer, 0);
    child_tell(line, 0);
    child_hear(line);
    shmbus_consumer_close(consumer);
}

/* One that leaves calls those behind it, which may go on without it. */
START_TEST(a_leader_that_leaves_calls)
{
    struct shmbus_producer *producer = rig_create(&park, 0);
    const struct control_shared *shared = segment_shared(&producer->segment);
    struct shmbus_consumer *leader = join_as("leader", NULL);
    struct child child = child_start(follow_one_that_leaves, NULL);
    child_hear(child.line);
    rig_publish(producer);
    until_set(&shared->parked_behind);
    rig_until_asleep(child.pid, 1);
    shmbus_consumer_close(leader);
    child_hear(child.line);
    child_tell(child.line, 0);
    child_end(&child);
    shmbus_producer_close(producer);
}
END_TEST

/* ---- producers among many ---- */

static struct shmbus_producer *create_among(void)
{
    struct shmbus_bus_options bus = rig_bus();
    struct shmbus_producer_options options = {
        .struct_bytes = sizeof options, .full_timeout_ns = SHMBUS_FOREVER, .wait = park};
    bus.max_producers = 3;
    return support_create(BUS, &bus, &options);
}

static struct shmbus_producer *open_among(void)
{
    struct shmbus_producer *producer = NULL;
    struct shmbus_producer_options options = {
        .struct_bytes = sizeof options, .full_timeout_ns = SHMBUS_FOREVER, .wait = park};
    ck_assert_msg(shmbus_producer_open(BUS, NULL, &options, 0, &producer) == 0, "%s",
                  shmbus_error_text());
    producer->wait.slice_ns = NO_SLICE_NS;
    return producer;
}

/* Publishes one message, whose room it has to wait for. */
static void publish_one(int line, void *context)
{
    (void)context;
    struct shmbus_producer *producer = open_among();
    child_tell(line, 0);
    child_hear(line);
    rig_publish(producer);
    child_tell(line, 0);
    child_hear(line);
    shmbus_producer_close(producer);
}

static void until_parked(const struct shmbus_producer *looker, pid_t pid)
{
    const struct feed_state *state = segment_state(&looker->segment);
    while (atomic_load_explicit(&state->parked_producers, memory_order_seq_cst) == 0)
        sched_yield();
    rig_until_asleep(pid, 1);
}

/* With nobody who gates, a claim that is open for a lap keeps the ring full: its end calls. */
START_TEST(the_end_of_a_claim_calls)
{
    struct shmbus_producer *producer = create_among();
    struct shmbus_claim claim;
    struct child child = child_start(publish_one, NULL);
    struct shmbus_producer *other = open_among();
    child_hear(child.line);
    ck_assert_int_eq(shmbus_producer_claim(producer, 8, &claim), 0);
    for (int i = 1; i < CAPACITY; i++)
        rig_publish(other);
    child_tell(child.line, 0);
    until_parked(producer, child.pid);
    if (_i == 0)
        ck_assert_int_eq(shmbus_producer_commit(producer, &claim, 1, 0), 0);
    else if (_i == 1)
        ck_assert_int_eq(shmbus_producer_abort(producer, &claim), 0);
    else
        shmbus_producer_close(producer);
    child_hear(child.line);
    child_tell(child.line, 0);
    child_end(&child);
    if (_i != 2)
        shmbus_producer_close(producer);
    shmbus_producer_close(other);
}
END_TEST

/* A consumer's cursor calls each of many that wait for room. */
START_TEST(a_consumer_calls_one_of_many)
{
    struct shmbus_producer *producer = create_among();
    struct child child = child_start(publish_one, NULL);
    child_hear(child.line);
    struct shmbus_consumer *consumer = join_as("reader", NULL);
    for (int i = 0; i < CAPACITY; i++)
        rig_publish(producer);
    child_tell(child.line, 0);
    until_parked(producer, child.pid);
    ck_assert_int_eq(shmbus_consumer_poll(consumer, take_one, NULL, 1), 1);
    child_hear(child.line);
    child_tell(child.line, 0);
    child_end(&child);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

static void wait_at_a_hole(int line, void *context)
{
    (void)context;
    struct shmbus_consumer *consumer = join_as("reader", NULL);
    child_tell(line, 0);
    child_tell(line, (uint64_t)shmbus_consumer_wait(consumer, SHMBUS_FOREVER));
    struct shmbus_message message;
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
    child_tell(line, message.sequence);
    child_hear(line);
    shmbus_consumer_close(consumer);
}

static void claim_and_die(int line, void *context)
{
    (void)context;
    struct shmbus_claim claim;
    struct shmbus_producer *producer = open_among();
    ck_assert_int_eq(shmbus_producer_claim(producer, 8, &claim), 0);
    child_tell(line, claim.sequence);
    child_hear(line);
}

/* A consumer parked at the hole of a dead producer hears of it from the one that repairs. */
START_TEST(who_aborts_a_hole_calls)
{
    struct shmbus_producer *producer = create_among();
    const struct control_shared *shared = segment_shared(&producer->segment);
    struct child reader = child_start(wait_at_a_hole, NULL);
    child_hear(reader.line);
    struct child dead = child_start(claim_and_die, NULL);
    ck_assert_uint_eq(child_hear(dead.line), 0);
    rig_publish(producer);
    until_set(&shared->parked);
    rig_until_asleep(reader.pid, 1);
    child_kill(&dead);
    /* One that comes repairs the dead. */
    struct shmbus_producer *other = open_among();
    ck_assert_int_eq((int64_t)child_hear(reader.line), 0);
    ck_assert_uint_eq(child_hear(reader.line), 1);
    child_tell(reader.line, 0);
    child_end(&reader);
    shmbus_producer_close(other);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("waiting others");
    TCase *tcase = support_case(suite, "others", 60);
    tcase_add_test(tcase, a_follower_is_called);
    tcase_add_test(tcase, a_leader_that_leaves_calls);
    tcase_add_loop_test(tcase, the_end_of_a_claim_calls, 0, 3);
    tcase_add_test(tcase, a_consumer_calls_one_of_many);
    tcase_add_test(tcase, who_aborts_a_hole_calls);
    return support_run(suite);
}
