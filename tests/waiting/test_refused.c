/* SPDX-License-Identifier: MIT */
/*
 * A kernel that refuses membarrier, by a seccomp filter in the process that asks: whoever would
 * park sleeps in slices, and whoever publishes or moves on fences by itself, so that the others,
 * who do park, are called.
 */
#include "rig.h"

#include <errno.h>

static const int numbers[] = {ENOSYS, EPERM};
static const struct shmbus_wait park = {.strategy = SHMBUS_WAIT_PARK};
static const struct shmbus_wait adaptive;
static const struct shmbus_wait *const ways[] = {&park, &adaptive};

START_TEST(a_consumer_does_not_park)
{
    struct shmbus_producer *producer = rig_create(&park, 0);
    const struct control_shared *shared = segment_shared(&producer->segment);
    struct rig_child how = {SHMBUS_REQUIRED, *ways[_i / 2], numbers[_i % 2]};
    struct child consumer = rig_start(&how);
    for (int i = 0; i < 20; i++) {
        rig_tell(&consumer, RIG_WAIT, 0);
        rig_until_consumer(SHMBUS_WAITING_SLEEP);
        rig_until_asleep(consumer.pid, 0);
        rig_publish(producer);
        ck_assert_int_eq((int64_t)child_hear(consumer.line), i);
    }
    /* It said so once, and then found its door shut. */
    ck_assert_uint_eq(atomic_load_explicit(&shared->parked, memory_order_seq_cst), 0);
    ck_assert_int_eq(rig_order(&consumer, RIG_LEAVE, 0), 0);
    child_end(&consumer);
    shmbus_producer_close(producer);
}
END_TEST

struct maker {
    struct shmbus_wait wait;
    int number;
    uint64_t count;
};

/* A producer without membarrier: publishes when it is told to, and once waits for all of it. */
static void make(int line, void *context)
{
    const struct maker *maker = context;
    rig_refuse_membarrier(maker->number);
    struct shmbus_producer *producer = rig_create(&maker->wait, 0);
    ck_assert(producer->must_fence);
    child_tell(line, 0);
    for (uint64_t i = 0; i < maker->count; i++) {
        child_hear(line);
        rig_publish(producer);
    }
    child_hear(line);
    int result = shmbus_producer_flush(producer, SHMBUS_FOREVER);
    ck_assert_uint_eq(producer->door.is_shut, 1);
    child_tell(line, (uint64_t)result);
    child_hear(line);
    shmbus_producer_close(producer);
}

static void read_all(int line, void *context)
{
    const struct maker *maker = context;
    struct shmbus_consumer *consumer = rig_join(SHMBUS_REQUIRED, SHMBUS_FROM_OLDEST, &park);
    consumer->wait.slice_ns = NO_SLICE_NS;
    child_tell(line, 0);
    for (uint64_t i = 0; i < maker->count; i++) {
        rig_take(consumer, i);
        child_tell(line, i);
        if (i + 1 == maker->count)
            child_hear(line);
    }
    /* Moves the cursor past the last. */
    ck_assert_int_eq(shmbus_consumer_wait(consumer, 0), -ETIMEDOUT);
    child_hear(line);
    shmbus_consumer_close(consumer);
}

/* Its consumers park, for slices without end, and it calls them. */
START_TEST(a_producer_fences_and_calls)
{
    struct maker maker = {*ways[_i / 2], numbers[_i % 2], 20};
    struct child producer = child_start(make, &maker);
    child_hear(producer.line);
    struct child consumer = child_start(read_all, &maker);
    child_hear(consumer.line);
    for (uint64_t i = 0; i < maker.count; i++) {
        rig_until_consumer(SHMBUS_WAITING_PARK);
        rig_until_asleep(consumer.pid, 1);
        child_tell(producer.line, 0);
        ck_assert_uint_eq(child_hear(consumer.line), i);
    }
    child_tell(producer.line, 0);
    rig_until_producer(SHMBUS_WAITING_SLEEP);
    rig_until_asleep(producer.pid, 0);
    child_tell(consumer.line, 0);
    ck_assert_int_eq((int64_t)child_hear(producer.line), 0);
    child_tell(consumer.line, 0);
    child_end(&consumer);
    child_tell(producer.line, 0);
    child_end(&producer);
}
END_TEST

/* A consumer without membarrier calls the producer, which parks. */
static void flush_forever(int line, void *context)
{
    struct shmbus_producer *producer = rig_create(context, 0);
    producer->wait.slice_ns = NO_SLICE_NS;
    child_tell(line, 0);
    child_hear(line);
    for (uint64_t i = 0; i < 20; i++) {
        rig_publish(producer);
        child_tell(line, (uint64_t)shmbus_producer_flush(producer, SHMBUS_FOREVER));
    }
    child_hear(line);
    shmbus_producer_close(producer);
}

START_TEST(a_consumer_fences_and_calls)
{
    struct rig_child how = {SHMBUS_REQUIRED, park, numbers[_i]};
    struct shmbus_wait wait = park;
    struct child producer = child_start(flush_forever, &wait);
    child_hear(producer.line);
    struct child consumer = rig_start(&how);
    child_tell(producer.line, 0);
    for (int i = 0; i < 20; i++) {
        rig_until_producer(SHMBUS_WAITING_PARK);
        rig_until_asleep(producer.pid, 1);
        ck_assert_int_eq(rig_order(&consumer, RIG_READ, 1), i + 1);
        ck_assert_int_eq((int64_t)child_hear(producer.line), 0);
    }
    ck_assert_int_eq(rig_order(&consumer, RIG_LEAVE, 0), 0);
    child_end(&consumer);
    child_tell(producer.line, 0);
    child_end(&producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("waiting refused");
    TCase *tcase = support_case(suite, "refused", 60);
    tcase_add_loop_test(tcase, a_consumer_does_not_park, 0, 4);
    tcase_add_loop_test(tcase, a_producer_fences_and_calls, 0, 4);
    tcase_add_loop_test(tcase, a_consumer_fences_and_calls, 0, 2);
    return support_run(suite);
}
