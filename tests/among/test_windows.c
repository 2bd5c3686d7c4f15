/* SPDX-License-Identifier: MIT */
/*
 * Moments that hardly ever come by themselves, made by hand: a repairer that stopped in the middle,
 * a bus that is said to be closed over one that joined, a claim that is gone, a wish of the dead.
 */
#include "crew.h"
#include "liveness/liveness.h"
#include "ring/claim.h"
#include "segment/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static struct shmbus_bus_options bus;

/* The bus as its files are, feed writable; and what a producer that is stopped would hold. */
struct inside {
    struct segment segment;
    struct ring ring;
    int owner;
};

static void look_inside(struct inside *inside)
{
    struct segment *segment = &inside->segment;
    segment_begin(segment, BUS);
    ck_assert_int_eq(segment_open(segment, NULL, SEGMENT_LOOK), 0);
    ck_assert_int_eq(munmap(segment->feed, segment->feed_mapped), 0);
    int feed = segment_open_feed(segment, O_RDWR);
    ck_assert_int_ge(feed, 0);
    ck_assert_int_eq(
        segment_map(feed, segment->feed_mapped, PROT_READ | PROT_WRITE, 0, &segment->feed), 0);
    close(feed);
    inside->ring = ring_view(segment->feed, &segment->header);
    inside->owner = segment_open_owner(segment);
    ck_assert_int_ge(inside->owner, 0);
}

static void look_away(struct inside *inside)
{
    close(inside->owner);
    segment_close(&inside->segment);
}

static uint64_t stamp_of(const struct inside *inside, uint64_t sequence)
{
    return ring_poll(ring_slot(&inside->ring, sequence));
}

static void begin(uint32_t most, struct shmbus_producer **out_producer)
{
    shmbus_unlink(BUS, NULL);
    bus = crew_bus(most);
    *out_producer = crew_open(&bus, 0);
}

/* Whoever repairs number 1 is stopped: the others abort the hole without it, nobody takes the
 * number, and the stream ends when that one has gone on. */
START_TEST(a_repairer_is_stopped)
{
    struct shmbus_producer *producer;
    struct shmbus_producer *third;
    struct inside inside;
    begin(3, &producer);
    struct child dead = crew_start(&bus, 1, 0);
    uint64_t hole = crew_order(&dead, CREW_CLAIM, 0);
    look_inside(&inside);
    ck_assert_int_eq(lock_take(inside.owner, LOCK_REPAIR + 1), 0);
    child_kill(&dead);
    ck_assert_uint_eq(stamp_of(&inside, hole), stamp_make(hole, STAMP_WRITING + 1));
    for (uint64_t i = 0; i < 200; i++)
        ck_assert_int_eq(crew_publish(producer, 0, i), 0);
    ck_assert_uint_eq(crew_look().hole_count, 0);
    ck_assert_uint_eq(crew_look().producer_count, 2);
    /* Its entry is the repairer's still. */
    ck_assert_int_eq(shmbus_producer_open(BUS, NULL, NULL, 0, &third), 0);
    struct shmbus_snapshot *snapshot = support_look(BUS);
    ck_assert_uint_eq(shmbus_snapshot_bus(snapshot)->producer_count, 3);
    for (uint32_t i = 0; i < 3; i++)
        ck_assert_uint_eq(shmbus_snapshot_producer(snapshot, i)->alive, i != 1);
    shmbus_snapshot_close(snapshot);
    shmbus_producer_close(third);
    lock_drop(inside.owner, LOCK_REPAIR + 1);
    shmbus_producer_close(producer);
    ck_assert_uint_eq(crew_look().producer_count, 0);
    ck_assert_uint_eq(crew_look().state, SHMBUS_STATE_CLOSED);
    look_away(&inside);
}
END_TEST

/* One that lives in the number is not dead, whoever has the repair byte. */
START_TEST(a_repairer_of_one_that_lives)
{
    struct shmbus_producer *producer;
    struct inside inside;
    begin(2, &producer);
    struct child child = crew_start(&bus, 1, 0);
    uint64_t hole = crew_order(&child, CREW_CLAIM, 0);
    look_inside(&inside);
    ck_assert_int_eq(lock_take(inside.owner, LOCK_REPAIR + 1), 0);
    int result = 0;
    while (result == 0)
        result = shmbus_producer_publish(producer, 0, 0, "x", 1);
    ck_assert_int_eq(result, -EAGAIN);
    ck_assert_uint_eq(stamp_of(&inside, hole), stamp_make(hole, STAMP_WRITING + 1));
    ck_assert_int_eq((int)crew_order(&child, CREW_COMMIT, 0), 0);
    crew_close(&child);
    shmbus_producer_close(producer);
    look_away(&inside);
}
END_TEST

static uint32_t deadlines;

static void on_event(void *context, const struct shmbus_event *event)
{
    ck_assert_ptr_null(context);
    ck_assert_uint_eq(event->kind, SHMBUS_EVENT_DEADLINE);
    deadlines++;
}

/* The last one's "closed" came after another had joined: no end, and the deadline is watched. */
START_TEST(closed_over_one_that_joined)
{
    struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options, .deadline_ns = 1000000, .on_event = on_event};
    struct shmbus_producer *producer;
    struct shmbus_consumer *consumer;
    struct inside inside;
    begin(2, &producer);
    look_inside(&inside);
    atomic_store(&segment_state(&inside.segment)->bus_state, BUS_CLOSED);
    deadlines = 0;
    ck_assert_int_eq(shmbus_consumer_open(BUS, &options, &consumer), 0);
    while (deadlines == 0)
        ck_assert_int_eq(shmbus_consumer_wait(consumer, 2000000), -ETIMEDOUT);
    ck_assert_int_eq(crew_publish(producer, 0, 0), 0);
    ck_assert_int_eq(shmbus_consumer_wait(consumer, GUARD_NS), 0);
    ck_assert_uint_eq(crew_look().state, SHMBUS_STATE_OPEN);
    shmbus_producer_close(producer);
    struct shmbus_message message;
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), -EPIPE);
    shmbus_consumer_close(consumer);
    look_away(&inside);
}
END_TEST

/* A claim that is gone ends its producer: it says so in every call, can be closed, and has changed
 * nothing for the others. */
START_TEST(a_claim_is_gone)
{
    struct shmbus_producer *producer;
    struct inside inside;
    struct shmbus_claim claim;
    begin(2, &producer);
    struct child other = crew_start(&bus, 1, 0);
    struct crew_watch watch;
    crew_watch(&watch, SHMBUS_REQUIRED);
    look_inside(&inside);
    ck_assert_int_eq(shmbus_producer_claim(producer, _i == 0 ? 16 : 1000, &claim), 0);
    claim_abort_hole(ring_slot(&inside.ring, 0), stamp_of(&inside, 0));
    ck_assert_int_eq((int)crew_order(&other, CREW_PUBLISH, 1), 0);
    ck_assert_int_eq(shmbus_producer_commit(producer, &claim, 0, 0), -ESTALE);
    ck_assert(support_says("taken for dead"));
    ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, "x", 1), -ESTALE);
    ck_assert_int_eq(shmbus_producer_claim(producer, 1, &claim), -ESTALE);
    ck_assert_int_eq(crew_read(&watch), 0);
    ck_assert_uint_eq(watch.aborted, 1);
    ck_assert_uint_eq(watch.received, 1);
    shmbus_producer_close(producer);
    for (int i = 0; i < 40; i++) {
        ck_assert_int_eq((int)crew_order(&other, CREW_PUBLISH, 1), 0);
        ck_assert_int_eq(crew_read(&watch), 0);
    }
    crew_close(&other);
    ck_assert_int_eq(crew_read_to_the_end(&watch), -EPIPE);
    ck_assert_uint_eq(watch.received, 41);
    shmbus_consumer_close(watch.consumer);
    look_away(&inside);
}
END_TEST

static void adopt_all(struct shmbus_producer *producer)
{
    struct shmbus_slab slabs[2 * LARGE_COUNT];
    for (int i = 0; i < 2 * LARGE_COUNT; i++)
        ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 1000, 1, &slabs[i]), 0);
    for (int i = 0; i < 2 * LARGE_COUNT; i++)
        ck_assert_int_eq(shmbus_producer_slab_release(producer, slabs[i].handle), 0);
}

/* One that asked for its part and then died has no use for it. */
START_TEST(a_wish_of_the_dead)
{
    struct shmbus_producer *producer;
    struct inside inside;
    begin(2, &producer);
    adopt_all(producer);
    look_inside(&inside);
    struct child child = crew_start(&bus, 1, 0);
    const struct producer_entry *entry = segment_producer(&inside.segment, 1);
    ck_assert_uint_eq(atomic_load(&entry->part_wanted), 1);
    child_kill(&child);
    for (uint64_t i = 0; i < 100; i++)
        ck_assert_int_eq(crew_publish(producer, 0, i), 0);
    ck_assert_uint_eq(atomic_load(&entry->part_owner), 1);
    /* The next one with its number gets it. */
    child = crew_start(&bus, 1, 0);
    for (uint64_t i = 100; atomic_load(&entry->part_owner) == 1; i++)
        ck_assert_int_eq(crew_publish(producer, 0, i), 0);
    ck_assert_uint_eq(crew_order(&child, CREW_SLABS, 0), LARGE_COUNT);
    crew_close(&child);
    shmbus_producer_close(producer);
    look_away(&inside);
}
END_TEST

/* Two that publish in turn, without a slab: the one that has both parts never comes by a place
 * where the tail is stored. */
START_TEST(given_back_by_one_of_two_in_turn)
{
    struct shmbus_producer *producer;
    unsigned char byte = 0;
    begin(2, &producer);
    adopt_all(producer);
    struct child child = crew_start(&bus, 8, 0);
    struct shmbus_snapshot *snapshot;
    uint32_t owner = 1;
    for (int i = 0; i < 200 && owner == 1; i++) {
        ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, &byte, 1), 0);
        ck_assert_int_eq((int)crew_order(&child, CREW_CLAIM, 0) & 1, 1);
        ck_assert_int_eq((int)crew_order(&child, CREW_ABORT, 0), 0);
        snapshot = support_look(BUS);
        owner = shmbus_snapshot_producer(snapshot, 1)->part_owner;
        shmbus_snapshot_close(snapshot);
    }
    ck_assert_uint_eq(owner, 0);
    ck_assert_uint_eq(crew_order(&child, CREW_SLABS, 0), LARGE_COUNT);
    crew_close(&child);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("among windows");
    TCase *tcase = support_case(suite, "windows", 60);
    tcase_add_test(tcase, a_repairer_is_stopped);
    tcase_add_test(tcase, a_repairer_of_one_that_lives);
    tcase_add_test(tcase, closed_over_one_that_joined);
    tcase_add_loop_test(tcase, a_claim_is_gone, 0, 2);
    tcase_add_test(tcase, a_wish_of_the_dead);
    tcase_add_test(tcase, given_back_by_one_of_two_in_turn);
    return support_run(suite);
}
