/* SPDX-License-Identifier: MIT */
/*
 * Every strategy, in both directions, over processes: how it shows while it waits, that a parked
 * one sleeps in a futex and is called, and that nobody is called who did not say that it parks.
 * Slices are an hour long here, past the library: a wake-up that does not come hangs the case.
 */
#include "rig.h"

#include <errno.h>

static const struct shmbus_wait ways[] = {
    {.strategy = SHMBUS_WAIT_SPIN},
    {.strategy = SHMBUS_WAIT_YIELD},
    {.strategy = SHMBUS_WAIT_ADAPTIVE},
    {.strategy = SHMBUS_WAIT_PARK},
};
static const uint32_t shown[] = {
    SHMBUS_WAITING_SPIN,
    SHMBUS_WAITING_YIELD,
    SHMBUS_WAITING_PARK,
    SHMBUS_WAITING_PARK,
};
#define WAYS 4

static uint32_t word_of(const _Atomic uint32_t *word)
{
    return atomic_load_explicit(word, memory_order_seq_cst);
}

/* ---- consumers that wait for a message ---- */

struct task {
    struct shmbus_wait wait;
    uint32_t kind;
    uint64_t count; /* messages */
};

static void read_all(int line, void *context)
{
    const struct task *task = context;
    struct shmbus_consumer *consumer = rig_join(task->kind, SHMBUS_FROM_OLDEST, &task->wait);
    consumer->wait.slice_ns = NO_SLICE_NS;
    child_tell(line, 0);
    for (uint64_t i = 0; i < task->count; i++) {
        rig_take(consumer, i);
        child_tell(line, i);
    }
    child_hear(line);
    shmbus_consumer_close(consumer);
}

START_TEST(a_consumer_is_called)
{
    struct task task = {ways[_i % WAYS], _i < WAYS ? SHMBUS_REQUIRED : SHMBUS_OPTIONAL, 20};
    struct shmbus_producer *producer = rig_create(&ways[_i % WAYS], 0);
    const struct control_shared *shared = segment_shared(&producer->segment);
    const struct feed_state *state = segment_state(&producer->segment);
    struct child child = child_start(read_all, &task);
    int parks = shown[_i % WAYS] == SHMBUS_WAITING_PARK;
    child_hear(child.line);
    for (uint64_t i = 0; i < task.count; i++) {
        rig_until_consumer(shown[_i % WAYS]);
        if (parks)
            rig_until_asleep(child.pid, 1);
        uint32_t before = word_of(&state->wake_consumers);
        ck_assert_uint_eq(word_of(&shared->parked), (uint32_t)parks);
        rig_publish(producer);
        ck_assert_uint_eq(word_of(&state->wake_consumers), before + (uint32_t)parks);
        ck_assert_uint_eq(child_hear(child.line), i);
    }
    child_tell(child.line, 0);
    child_end(&child);
    shmbus_producer_close(producer);
}
END_TEST

/* Every way to publish calls. */
static void publish_one_way(struct shmbus_producer *producer, int way)
{
    uint64_t number = shmbus_producer_next_sequence(producer);
    struct shmbus_outgoing two[2] = {{&number, 8, 1, 0}, {&number, 8, 1, 0}};
    struct shmbus_claim claim;
    struct shmbus_slab slab;
    if (way == 0) {
        ck_assert_int_eq(shmbus_producer_publish(producer, 1, 0, &number, 8), 0);
    } else if (way == 1) {
        ck_assert_int_eq(shmbus_producer_claim(producer, 8, &claim), 0);
        *(uint64_t *)claim.data = number;
        ck_assert_int_eq(shmbus_producer_commit(producer, &claim, 1, 0), 0);
    } else if (way == 2) {
        ck_assert_int_eq(shmbus_producer_publish_batch(producer, two, 1), 1);
    } else if (way == 3) {
        ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 64, 1, &slab), 0);
        *(uint64_t *)slab.data = number;
        ck_assert_int_eq(shmbus_producer_slab_publish(producer, slab.handle, 8, 1, 0), 0);
        ck_assert_int_eq(shmbus_producer_slab_release(producer, slab.handle), 0);
    }
}

START_TEST(every_way_to_publish_calls)
{
    struct task task = {ways[3], SHMBUS_REQUIRED, 4};
    struct shmbus_producer *producer = rig_create(&ways[3], 0);
    struct child child = child_start(read_all, &task);
    child_hear(child.line);
    for (int way = 0; way < 4; way++) {
        rig_until_consumer(SHMBUS_WAITING_PARK);
        rig_until_asleep(child.pid, 1);
        publish_one_way(producer, way);
        ck_assert_uint_eq(child_hear(child.line), (uint64_t)way);
    }
    child_tell(child.line, 0);
    child_end(&child);
    shmbus_producer_close(producer);
}
END_TEST

static void wait_once(int line, void *context)
{
    const struct task *task = context;
    struct shmbus_consumer *consumer = rig_join(task->kind, SHMBUS_FROM_OLDEST, &task->wait);
    consumer->wait.slice_ns = NO_SLICE_NS;
    child_tell(line, 0);
    child_tell(line, (uint64_t)shmbus_consumer_wait(consumer, SHMBUS_FOREVER));
    struct shmbus_consumer_stats stats;
    ck_assert_int_eq(shmbus_consumer_stats(consumer, &stats), 0);
    child_tell(line, stats.lost);
    shmbus_consumer_close(consumer);
}

/* A skipped range wakes, too: what is lost is told at once, and the wait goes on behind it. */
START_TEST(the_end_calls)
{
    struct task task = {ways[3], _i == 0 ? SHMBUS_REQUIRED : SHMBUS_OPTIONAL, 0};
    struct shmbus_producer *producer = rig_create(&ways[3], 0);
    struct child child = child_start(wait_once, &task);
    child_hear(child.line);
    rig_until_consumer(SHMBUS_WAITING_PARK);
    rig_until_asleep(child.pid, 1);
    const struct feed_state *state = segment_state(&producer->segment);
    uint32_t before = word_of(&state->wake_consumers);
    ck_assert_int_eq(shmbus_producer_skip(producer, 3), 0);
    ck_assert_uint_eq(word_of(&state->wake_consumers), before + 1);
    shmbus_producer_close(producer);
    ck_assert_int_eq((int64_t)child_hear(child.line), -EPIPE);
    ck_assert_uint_eq(child_hear(child.line), 3);
    child_end(&child);
}
END_TEST

START_TEST(a_bus_that_is_replaced_calls)
{
    struct task task = {ways[3], SHMBUS_OPTIONAL, 0};
    struct shmbus_bus_options bus = rig_bus();
    struct shmbus_producer *producer = rig_create(&ways[3], 0);
    shmbus_producer_close(producer);
    /* Open again, and dead: the one parked there hears of it only if the replacing one calls. */
    ck_assert_int_eq(shmbus_producer_open(BUS, NULL, NULL, 0, &producer), 0);
    struct child child = child_start(wait_once, &task);
    child_hear(child.line);
    rig_until_consumer(SHMBUS_WAITING_PARK);
    rig_until_asleep(child.pid, 1);
    segment_close(&producer->segment); /* as if it were killed: its locks go with its mappings */
    bus.capacity *= 2;
    bus.flags |= SHMBUS_BUS_REPLACE;
    ck_assert_msg(shmbus_producer_create(BUS, &bus, NULL, &producer) == 0, "%s",
                  shmbus_error_text());
    ck_assert_int_eq((int64_t)child_hear(child.line), -ESTALE);
    ck_assert_uint_eq(child_hear(child.line), 0);
    child_end(&child);
    shmbus_producer_close(producer);
}
END_TEST

/* ---- producers that wait for consumers ---- */

enum wish { FULL, FLUSH, CONSUMED, SLABS, HELD, WISHES };

struct maker {
    struct shmbus_wait wait;
    enum wish wish;
};

/* Publishes as much as there is room for, and then waits in one way; answers its result. */
static void make(int line, void *context)
{
    const struct maker *maker = context;
    struct shmbus_producer *producer = rig_create(&maker->wait, 0);
    struct shmbus_slab slabs[3];
    int result = 0;
    producer->wait.slice_ns = NO_SLICE_NS;
    child_tell(line, 0);
    child_hear(line);
    if (maker->wish == SLABS || maker->wish == HELD) {
        unsigned char large[4096] = {0};
        for (int i = 0; i < 2; i++)
            ck_assert_int_eq(shmbus_producer_publish(producer, 1, 0, large, sizeof large), 0);
    } else {
        for (int i = 0; i < CAPACITY; i++)
            rig_publish(producer);
    }
    child_tell(line, 0);
    child_hear(line);
    if (maker->wish == FULL)
        rig_publish(producer);
    else if (maker->wish == FLUSH)
        result = shmbus_producer_flush(producer, SHMBUS_FOREVER);
    else if (maker->wish == CONSUMED)
        result = shmbus_producer_wait_consumed(producer, 4, SHMBUS_FOREVER);
    else
        result = shmbus_producer_slab_acquire(producer, 4096, 1, slabs);
    child_tell(line, (uint64_t)result);
    child_hear(line);
    shmbus_producer_close(producer);
}

/* Starts one, which is blocked when this returns, behind a consumer of this process's. */
static struct child begin_blocked(const struct shmbus_wait *wait, enum wish wish,
                                  struct shmbus_consumer **out_consumer)
{
    struct maker maker = {*wait, wish};
    struct child child = child_start(make, &maker);
    child_hear(child.line);
    *out_consumer = rig_join(SHMBUS_REQUIRED, SHMBUS_FROM_TAIL, wait);
    child_tell(child.line, 0);
    child_hear(child.line);
    return child;
}

static int take_one(const struct shmbus_message *message, void *context)
{
    (void)message;
    (void)context;
    return 1;
}

/* Does what the producer waits for, in as many steps as that takes: only the last is worth a call.
 */
static void let_it_go_on(struct shmbus_consumer *consumer, enum wish wish, uint64_t kept)
{
    static const int cursors[WISHES] = {1, CAPACITY, 5, 1, 0};
    const struct control_shared *shared = segment_shared(&consumer->segment);
    uint32_t before = word_of(&shared->wake_producers);
    int parked = consumer_has_parked(consumer);
    for (int i = 0; i < cursors[wish]; i++) {
        ck_assert_uint_eq(word_of(&shared->wake_producers), before);
        ck_assert_int_eq(shmbus_consumer_poll(consumer, take_one, NULL, 1), 1);
    }
    if (wish == HELD)
        ck_assert_int_eq(shmbus_consumer_release(consumer, kept), 0);
    ck_assert_uint_eq(word_of(&shared->wake_producers), before + (uint32_t)parked);
}

static uint64_t keep_both(struct shmbus_consumer *consumer)
{
    struct shmbus_message message;
    uint64_t kept = 0;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
        ck_assert_int_eq(shmbus_consumer_retain(consumer, &message, &kept), 0);
    }
    /* None is there: the cursor moves past both. */
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 0);
    return kept;
}

START_TEST(a_producer_is_called)
{
    enum wish wish = (enum wish)(_i / WAYS);
    struct shmbus_consumer *consumer;
    struct child child = begin_blocked(&ways[_i % WAYS], wish, &consumer);
    uint64_t kept = wish == HELD ? keep_both(consumer) : 0;
    child_tell(child.line, 0);
    rig_until_producer(shown[_i % WAYS]);
    if (shown[_i % WAYS] == SHMBUS_WAITING_PARK)
        rig_until_asleep(child.pid, 1);
    ck_assert_int_eq(consumer_has_parked(consumer), shown[_i % WAYS] == SHMBUS_WAITING_PARK);
    let_it_go_on(consumer, wish, kept);
    ck_assert_int_eq((int64_t)child_hear(child.line), 0);
    ck_assert_int_eq(consumer_has_parked(consumer), 0);
    rig_until_producer(SHMBUS_WAITING_NOT);
    child_tell(child.line, 0);
    child_end(&child);
    shmbus_consumer_close(consumer);
}
END_TEST

/* One that leaves, or joins again, keeps nothing back any more, and says so. */
START_TEST(who_goes_calls)
{
    enum wish wish = (enum wish)(_i % WISHES);
    struct shmbus_consumer *consumer;
    struct child child = begin_blocked(&ways[3], wish, &consumer);
    if (wish == HELD)
        keep_both(consumer);
    child_tell(child.line, 0);
    rig_until_producer(SHMBUS_WAITING_PARK);
    rig_until_asleep(child.pid, 1);
    if (_i < WISHES) {
        shmbus_consumer_close(consumer);
    } else {
        ck_assert_int_eq(shmbus_consumer_rejoin(consumer, SHMBUS_FROM_TAIL, 0), 0);
    }
    ck_assert_int_eq((int64_t)child_hear(child.line), 0);
    child_tell(child.line, 0);
    child_end(&child);
    if (_i >= WISHES)
        shmbus_consumer_close(consumer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("waiting park");
    TCase *tcase = support_case(suite, "park", 60);
    tcase_add_loop_test(tcase, a_consumer_is_called, 0, 2 * WAYS);
    tcase_add_test(tcase, every_way_to_publish_calls);
    tcase_add_loop_test(tcase, the_end_calls, 0, 2);
    tcase_add_test(tcase, a_bus_that_is_replaced_calls);
    tcase_add_loop_test(tcase, a_producer_is_called, 0, WISHES * WAYS);
    tcase_add_loop_test(tcase, who_goes_calls, 0, 2 * WISHES);
    return support_run(suite);
}
