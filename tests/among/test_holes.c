/* SPDX-License-Identifier: MIT */
/*
 * A claim that is not ended: of one that died it is stepped over by consumers, and aborted by the
 * producer that needs it; of one that is stopped it stops the stream, and the picture names it.
 */
#include "crew.h"

#include <errno.h>
#include <signal.h>

static struct shmbus_bus_options bus;

static void expect_hole(uint64_t sequence, const struct child *child, uint32_t alive)
{
    struct shmbus_snapshot *snapshot = support_look(BUS);
    ck_assert_uint_eq(shmbus_snapshot_bus(snapshot)->hole_count, 1);
    const struct shmbus_hole_info *hole = shmbus_snapshot_hole(snapshot, 0);
    ck_assert_uint_eq(hole->sequence, sequence);
    ck_assert_uint_eq(hole->alive, alive);
    ck_assert_int_eq((pid_t)hole->pid, child->pid);
    ck_assert_ptr_null(shmbus_snapshot_hole(snapshot, 1));
    shmbus_snapshot_close(snapshot);
}

/* One message, a claim of one that dies, and one message more. */
static struct child leaves_a_hole(struct shmbus_producer *producer, uint64_t *out_hole)
{
    struct child child = crew_start(&bus, 1, 0);
    ck_assert_int_eq(crew_publish(producer, 0, 0), 0);
    *out_hole = crew_order(&child, CREW_CLAIM, 0);
    ck_assert_uint_eq(*out_hole, 1);
    ck_assert_int_eq(crew_publish(producer, 0, 1), 0);
    return child;
}

START_TEST(a_waiting_consumer_steps_over)
{
    static const uint32_t kinds[] = {SHMBUS_REQUIRED, SHMBUS_OPTIONAL, SHMBUS_OBSERVER};
    uint64_t hole;
    shmbus_unlink(BUS, NULL);
    bus = crew_bus(2);
    struct shmbus_producer *producer = crew_open(&bus, 0);
    struct crew_watch watch;
    crew_watch(&watch, kinds[_i]);
    struct child child = leaves_a_hole(producer, &hole);
    ck_assert_int_eq(crew_read(&watch), 0);
    ck_assert_uint_eq(watch.received, 1);
    expect_hole(hole, &child, 1);
    child_kill(&child);
    /* Nothing is repaired yet: it is the consumer that goes past it. */
    ck_assert_int_eq(shmbus_consumer_wait(watch.consumer, GUARD_NS), 0);
    ck_assert_int_eq(crew_read(&watch), 0);
    ck_assert_uint_eq(watch.received, 2);
    ck_assert_uint_eq(watch.aborted, 1);
    ck_assert_uint_eq(crew_look().hole_count, 1);
    /* One that comes later sees the same. */
    struct crew_watch late;
    crew_watch(&late, kinds[_i]);
    ck_assert_uint_eq(late.next, 0);
    ck_assert_int_eq(crew_read(&late), 0);
    ck_assert_int_eq(shmbus_consumer_wait(late.consumer, GUARD_NS), 0);
    ck_assert_int_eq(crew_read(&late), 0);
    ck_assert_uint_eq(late.order, watch.order);
    /* The producer's judgement of a cursor beyond what it knows to be final: it is heeded. */
    struct shmbus_health health;
    if (kinds[_i] == SHMBUS_REQUIRED) {
        ck_assert_int_eq(shmbus_producer_health(producer, &health, 1), 2);
        ck_assert_uint_eq(health.state, SHMBUS_HEALTH_WELL);
    }
    shmbus_producer_close(producer);
    ck_assert_int_eq(crew_read_to_the_end(&watch), -EPIPE);
    ck_assert_int_eq(crew_read_to_the_end(&late), -EPIPE);
    ck_assert_uint_eq(crew_look().state, SHMBUS_STATE_CLOSED);
    ck_assert_uint_eq(crew_look().hole_count, 0);
    shmbus_consumer_close(watch.consumer);
    shmbus_consumer_close(late.consumer);
}
END_TEST

START_TEST(one_that_only_polls_steps_over_too)
{
    uint64_t hole;
    shmbus_unlink(BUS, NULL);
    bus = crew_bus(2);
    struct shmbus_producer *producer = crew_open(&bus, 0);
    struct crew_watch watch;
    crew_watch(&watch, SHMBUS_REQUIRED);
    struct child child = leaves_a_hole(producer, &hole);
    child_kill(&child);
    while (watch.received < 2)
        ck_assert_int_eq(crew_read(&watch), 0);
    ck_assert_uint_eq(watch.aborted, 1);
    shmbus_consumer_close(watch.consumer);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(the_producer_that_needs_it_aborts)
{
    uint64_t hole;
    shmbus_unlink(BUS, NULL);
    bus = crew_bus(2);
    struct shmbus_producer *producer = crew_open(&bus, 0);
    struct child child = leaves_a_hole(producer, &hole);
    child_kill(&child);
    /* It has to use the slot again, after a lap. */
    for (uint64_t i = 2; i < 200; i++)
        ck_assert_int_eq(crew_publish(producer, 0, i), 0);
    ck_assert_uint_eq(crew_look().hole_count, 0);
    ck_assert_uint_eq(crew_look().producer_count, 1);
    ck_assert_uint_ge(crew_look().tail, 200);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(one_that_is_stopped_stops_the_stream)
{
    uint64_t hole;
    shmbus_unlink(BUS, NULL);
    bus = crew_bus(3);
    struct shmbus_producer *producer = crew_open(&bus, 0);
    struct crew_watch watch;
    crew_watch(&watch, SHMBUS_REQUIRED);
    struct child child = leaves_a_hole(producer, &hole);
    child_stop(&child);
    unsigned char byte = 0;
    for (int i = 3; i < 64; i++)
        ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, &byte, 1), 0);
    ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, &byte, 1), -EAGAIN);
    ck_assert_int_eq(crew_read(&watch), 0);
    ck_assert_uint_eq(watch.received, 1);
    ck_assert_int_eq(shmbus_consumer_wait(watch.consumer, 100000000), -ETIMEDOUT);
    expect_hole(hole, &child, 1);
    ck_assert_uint_eq(crew_look().tail, hole);
    /* It is no consumer's fault. */
    struct shmbus_health health;
    ck_assert_int_eq(shmbus_producer_health(producer, &health, 1), 1);
    ck_assert_uint_eq(health.state, SHMBUS_HEALTH_WELL);
    ck_assert_uint_eq(health.lag, 0);
    /* A third one that comes does not change that, nor does one that leaves. */
    struct child third = crew_start(&bus, 8, 0);
    /* The slot before the hole was read, the next one is the hole's. */
    ck_assert_int_eq((int)crew_order(&third, CREW_PUBLISH, 1), 0);
    ck_assert_int_eq((int)crew_order(&third, CREW_PUBLISH, 1), -EAGAIN);
    crew_close(&third);
    expect_hole(hole, &child, 1);
    child_continue(&child);
    ck_assert_int_eq((int)crew_order(&child, CREW_COMMIT, 0), 0);
    struct shmbus_message message;
    uint64_t sequence = hole;
    while (shmbus_consumer_next(watch.consumer, &message) == 1)
        ck_assert_uint_eq(message.sequence, sequence++);
    ck_assert_uint_eq(sequence, 65);
    ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, &byte, 1), 0);
    crew_close(&child);
    shmbus_consumer_close(watch.consumer);
    shmbus_producer_close(producer);
}
END_TEST

/* All of the producers die with a claim each. */
START_TEST(all_of_them_die)
{
    struct child children[5];
    shmbus_unlink(BUS, NULL);
    bus = crew_bus(5);
    for (uint32_t i = 0; i < 5; i++) {
        children[i] = crew_start(&bus, i, 0);
        ck_assert_int_eq((int)crew_order(&children[i], CREW_PUBLISH, 3), 0);
    }
    struct crew_watch watch;
    crew_watch(&watch, SHMBUS_REQUIRED);
    for (uint32_t i = 0; i < 5; i++)
        crew_order(&children[i], CREW_CLAIM, 0);
    ck_assert_uint_eq(crew_look().hole_count, 5);
    for (uint32_t i = 0; i < 5; i++)
        child_kill(&children[i]);
    ck_assert_uint_eq(crew_look().state, SHMBUS_STATE_DEAD);
    ck_assert_int_eq(crew_read_to_the_end(&watch), -EOWNERDEAD);
    ck_assert_uint_eq(watch.received, 15);
    ck_assert_uint_eq(watch.aborted, watch.next - 15);
    /* An heir goes on behind the highest claim, with one of their numbers. */
    struct shmbus_producer *heir = crew_open(&bus, 0);
    ck_assert_uint_eq(shmbus_producer_next_sequence(heir), watch.next);
    ck_assert_uint_eq(crew_look().hole_count, 0);
    ck_assert_uint_eq(crew_look().producer_count, 1);
    ck_assert_int_eq(crew_publish(heir, 9, 0), 0);
    ck_assert_int_eq(crew_read(&watch), 0);
    ck_assert_uint_eq(watch.numbers[9], 1);
    shmbus_producer_close(heir);
    ck_assert_int_eq(crew_read_to_the_end(&watch), -EPIPE);
    shmbus_consumer_close(watch.consumer);
}
END_TEST

static void reads_past_the_hole(int line, void *context)
{
    struct shmbus_consumer_options options = {.struct_bytes = sizeof options,
                                              .name = "keeps",
                                              .kind = SHMBUS_REQUIRED,
                                              .from = SHMBUS_FROM_OLDEST,
                                              .grace_ns = GUARD_NS};
    struct shmbus_consumer *consumer;
    struct shmbus_message message;
    (void)context;
    ck_assert_int_eq(shmbus_consumer_open(BUS, &options, &consumer), 0);
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
    child_tell(line, 0);
    child_hear(line);
    /* Goes past the hole, and past what is behind it or not. */
    do {
        ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 0);
        ck_assert_int_eq(shmbus_consumer_wait(consumer, 1000000), -ETIMEDOUT);
    } while (crew_look().consumer_count != 1);
    struct shmbus_consumer_stats stats;
    ck_assert_int_eq(shmbus_consumer_stats(consumer, &stats), 0);
    child_tell(line, stats.cursor);
    child_hear(line);
}

/* A consumer that stepped over a hole that nobody aborted, and dies, is resumed behind it. */
START_TEST(resumed_behind_a_hole)
{
    shmbus_unlink(BUS, NULL);
    bus = crew_bus(2);
    struct shmbus_producer *producer = crew_open(&bus, 0);
    ck_assert_int_eq(crew_publish(producer, 0, 0), 0);
    struct child dead = crew_start(&bus, 1, 0);
    struct child reader = child_start(reads_past_the_hole, NULL);
    child_hear(reader.line);
    ck_assert_uint_eq(crew_order(&dead, CREW_CLAIM, 0), 1);
    child_kill(&dead);
    child_tell(reader.line, 0);
    ck_assert_uint_eq(child_hear(reader.line), 2);
    ck_assert_uint_eq(crew_look().hole_count, 1);
    child_kill(&reader);
    struct shmbus_consumer_options options = {.struct_bytes = sizeof options,
                                              .name = "keeps",
                                              .kind = SHMBUS_REQUIRED,
                                              .grace_ns = GUARD_NS};
    struct shmbus_consumer *consumer;
    struct shmbus_consumer_stats stats;
    ck_assert_int_eq(shmbus_consumer_open(BUS, &options, &consumer), 0);
    ck_assert_int_eq(shmbus_consumer_stats(consumer, &stats), 0);
    ck_assert_uint_eq(stats.resumed, 1);
    ck_assert_uint_eq(stats.cursor, 2);
    ck_assert_int_eq(crew_publish(producer, 0, 1), 0);
    struct shmbus_message message;
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
    ck_assert_uint_eq(message.sequence, 2);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

/* A claim is aborted by hand, and by closing. */
START_TEST(given_up)
{
    shmbus_unlink(BUS, NULL);
    bus = crew_bus(2);
    struct shmbus_producer *producer = crew_open(&bus, 0);
    struct crew_watch watch;
    crew_watch(&watch, SHMBUS_REQUIRED);
    struct child child = crew_start(&bus, 1, 0);
    crew_order(&child, CREW_CLAIM, 0);
    ck_assert_int_eq(crew_publish(producer, 0, 0), 0);
    ck_assert_int_eq((int)crew_order(&child, CREW_ABORT, 0), 0);
    ck_assert_int_eq((int)crew_order(&child, CREW_PUBLISH, 5), 0);
    crew_order(&child, CREW_CLAIM, 0);
    ck_assert_int_eq(crew_publish(producer, 0, 1), 0);
    crew_close(&child);
    ck_assert_int_eq(crew_read(&watch), 0);
    ck_assert_uint_eq(watch.received, 7);
    ck_assert_uint_ge(watch.aborted, 2);
    shmbus_consumer_close(watch.consumer);
    shmbus_producer_close(producer);
}
END_TEST

/* Publishes one more, and reads whenever the ring or the pool is full. */
static void publish_and_read(struct shmbus_producer *producer, uint64_t number,
                             struct crew_watch *watch)
{
    int result;
    do {
        ck_assert_int_eq(crew_read(watch), 0);
        result = crew_publish(producer, 0, number);
    } while (result == -EAGAIN || result == -ENOBUFS);
    ck_assert_int_eq(result, 0);
}

/* Producers are killed all the time while they publish, and others come for them. */
START_TEST(killed_while_they_publish)
{
    uint64_t seed = support_seed("killed_while_they_publish");
    struct child children[4];
    uint32_t author = 0;
    shmbus_unlink(BUS, NULL);
    bus = crew_bus(5);
    struct shmbus_producer *producer = crew_open(&bus, 0);
    struct crew_watch watch;
    crew_watch(&watch, SHMBUS_REQUIRED);
    for (int i = 0; i < 4; i++)
        children[i] = (struct child){0, -1, -1};
    uint64_t own = 0;
    for (int round = 0; round < 300; round++) {
        struct child *child = &children[support_below(&seed, 4)];
        if (child->pid != 0) {
            child_kill(child);
        } else if (author < AUTHORS_MAX - 2) {
            *child = crew_start(&bus, ++author, GUARD_NS);
            child_tell(child->line, CREW_PUBLISH);
            child_tell(child->line, 1000000);
        }
        for (uint64_t i = support_below(&seed, 40); i > 0; i--)
            publish_and_read(producer, own++, &watch);
    }
    for (int i = 0; i < 4; i++)
        if (children[i].pid != 0)
            child_kill(&children[i]);
    for (int i = 0; i < 100; i++)
        publish_and_read(producer, own++, &watch);
    while (shmbus_producer_flush(producer, 0) != 0)
        ck_assert_int_eq(crew_read(&watch), 0);
    shmbus_producer_close(producer);
    ck_assert_int_eq(crew_read_to_the_end(&watch), -EPIPE);
    ck_assert_uint_eq(watch.numbers[0], own);
    ck_assert_uint_eq(crew_look().hole_count, 0);
    ck_assert_uint_eq(crew_look().tail, watch.next);
    shmbus_consumer_close(watch.consumer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("among holes");
    TCase *tcase = support_case(suite, "holes", 120);
    tcase_add_loop_test(tcase, a_waiting_consumer_steps_over, 0, 3);
    tcase_add_test(tcase, one_that_only_polls_steps_over_too);
    tcase_add_test(tcase, the_producer_that_needs_it_aborts);
    tcase_add_test(tcase, one_that_is_stopped_stops_the_stream);
    tcase_add_test(tcase, all_of_them_die);
    tcase_add_test(tcase, resumed_behind_a_hole);
    tcase_add_test(tcase, given_up);
    tcase_add_test(tcase, killed_while_they_publish);
    return support_run(suite);
}
