/* SPDX-License-Identifier: MIT */
/*
 * A bus where nobody parks, and observers, which never do: they sleep in slices. Its producer does
 * not touch the page that consumers share, and its consumers none of the words of parking.
 */
#include "rig.h"

#include <errno.h>
#include <sys/mman.h>

static const struct shmbus_wait park = {.strategy = SHMBUS_WAIT_PARK};
static const struct shmbus_wait adaptive;
static const struct shmbus_wait *const ways[] = {&park, &adaptive};

static void wait_and_read(int line, void *context)
{
    struct shmbus_consumer *consumer = rig_join(SHMBUS_REQUIRED, SHMBUS_FROM_OLDEST, context);
    child_tell(line, 0);
    child_hear(line);
    for (uint64_t i = 0; i < CAPACITY + 1; i++)
        rig_take(consumer, i);
    ck_assert_int_eq(shmbus_consumer_wait(consumer, SHMBUS_FOREVER), -EPIPE);
    shmbus_consumer_close(consumer);
}

START_TEST(they_sleep_in_slices)
{
    struct shmbus_wait wait = *ways[_i];
    struct shmbus_producer *producer = rig_create(&wait, SHMBUS_BUS_NO_PARK);
    const struct control_shared *shared = segment_shared(&producer->segment);
    const struct feed_state *state = segment_state(&producer->segment);
    struct child consumer = child_start(wait_and_read, &wait);
    child_hear(consumer.line);
    for (int i = 0; i < CAPACITY; i++)
        rig_publish(producer);
    ck_assert_int_eq(shmbus_producer_flush(producer, 2000000), -ETIMEDOUT);
    child_tell(consumer.line, 0);
    rig_publish(producer);
    rig_until_consumer(SHMBUS_WAITING_SLEEP);
    rig_until_asleep(consumer.pid, 0);
    ck_assert_int_eq(shmbus_producer_flush(producer, SHMBUS_FOREVER), 0);
    ck_assert_uint_eq(atomic_load_explicit(&shared->parked, memory_order_seq_cst), 0);
    ck_assert_uint_eq(atomic_load_explicit(&shared->wake_producers, memory_order_seq_cst), 0);
    ck_assert_uint_eq(atomic_load_explicit(&state->wake_consumers, memory_order_seq_cst), 0);
    ck_assert_uint_eq(atomic_load_explicit(&state->parked_producers, memory_order_seq_cst), 0);
    struct shmbus_snapshot *snapshot = support_look(BUS);
    ck_assert_uint_eq(shmbus_snapshot_bus(snapshot)->flags & SHMBUS_BUS_NO_PARK,
                      SHMBUS_BUS_NO_PARK);
    shmbus_snapshot_close(snapshot);
    shmbus_producer_close(producer);
    child_end(&consumer);
}
END_TEST

/* A producer's time in the middle of what it does, blocked and not: the page that consumers share
 * cannot be touched meanwhile. */
static void publish_without_the_page(int line, void *context)
{
    struct shmbus_wait wait = *(const struct shmbus_wait *)context;
    struct shmbus_producer *producer = rig_create(&wait, SHMBUS_BUS_NO_PARK);
    (void)line;
    ck_assert_int_eq(mprotect(segment_shared(&producer->segment), LAYOUT_PAGE, PROT_NONE), 0);
    for (int i = 0; i < CAPACITY; i++)
        rig_publish(producer);
    ck_assert_int_eq(mprotect(segment_shared(&producer->segment), LAYOUT_PAGE, PROT_READ), 0);
    for (int i = 0; i < 2 * CAPACITY; i++)
        rig_publish(producer);
    ck_assert_int_eq(shmbus_producer_flush(producer, 1000000), 0);
    shmbus_producer_close(producer);
}

START_TEST(the_producer_never_touches_their_page)
{
    struct shmbus_wait wait = *ways[_i];
    struct child child = child_start(publish_without_the_page, &wait);
    child_end(&child);
}
END_TEST

/* A bus that was made without it is another. */
START_TEST(it_is_part_of_the_geometry)
{
    struct shmbus_bus_options bus = rig_bus();
    struct shmbus_producer *producer = rig_create(&park, SHMBUS_BUS_NO_PARK);
    shmbus_producer_close(producer);
    ck_assert_int_eq(shmbus_producer_create(BUS, &bus, NULL, &producer), -EEXIST);
    ck_assert_msg(support_says("flags"), "%s", shmbus_error_text());
    bus.flags = SHMBUS_BUS_NO_PARK;
    ck_assert_int_eq(shmbus_producer_create(BUS, &bus, NULL, &producer), 0);
    shmbus_producer_close(producer);
}
END_TEST

static void observe(int line, void *context)
{
    struct shmbus_consumer *consumer = rig_join(SHMBUS_OBSERVER, SHMBUS_FROM_OLDEST, context);
    child_tell(line, 0);
    for (uint64_t i = 0; i < 5; i++) {
        rig_take(consumer, i);
        child_tell(line, i);
    }
    child_hear(line);
    shmbus_consumer_close(consumer);
}

START_TEST(observers_sleep_in_slices)
{
    struct shmbus_wait wait = *ways[_i];
    struct shmbus_producer *producer = rig_create(&wait, 0);
    const struct control_shared *shared = segment_shared(&producer->segment);
    struct child child = child_start(observe, &wait);
    child_hear(child.line);
    for (uint64_t i = 0; i < 5; i++) {
        rig_until_asleep(child.pid, 0);
        ck_assert_uint_eq(atomic_load_explicit(&shared->parked, memory_order_seq_cst), 0);
        rig_publish(producer);
        ck_assert_uint_eq(child_hear(child.line), i);
    }
    child_tell(child.line, 0);
    child_end(&child);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("waiting no park");
    TCase *tcase = support_case(suite, "no park", 60);
    tcase_add_loop_test(tcase, they_sleep_in_slices, 0, 2);
    tcase_add_loop_test(tcase, the_producer_never_touches_their_page, 0, 2);
    tcase_add_test(tcase, it_is_part_of_the_geometry);
    tcase_add_loop_test(tcase, observers_sleep_in_slices, 0, 2);
    return support_run(suite);
}
