/* SPDX-License-Identifier: MIT */
/*
 * Takeover: producers that are killed at any moment at full speed, one after the other. Consumers
 * that stay attached see every sequence once, in order and whole, and need do nothing; every slab
 * is accounted for afterwards.
 */
#include "rig.h"

#include <errno.h>
#include <stdio.h>

#define GENERATIONS 60
#define KEPT        3

static struct shmbus_bus_options bus;

/* ---- a producer at full speed ---- */

static int one_batch(struct shmbus_producer *producer, uint64_t *random)
{
    static unsigned char data[32][256];
    struct shmbus_outgoing messages[32];
    uint64_t first = shmbus_producer_next_sequence(producer);
    uint32_t count = 1 + (uint32_t)support_below(random, 32);
    uint32_t pooled = support_below(random, 3) == 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t length = pooled && i % 2 ? 256 : (uint32_t)support_below(random, 49);
        support_fill(data[i], length, first + i);
        messages[i] = (struct shmbus_outgoing){.data = data[i], .length = length, .type = 1};
    }
    return shmbus_producer_publish_batch(producer, messages, count);
}

static int one_slab(struct shmbus_producer *producer)
{
    struct shmbus_slab slab;
    int result = shmbus_producer_slab_acquire(producer, 4096, 1, &slab);
    if (result < 0)
        return result;
    support_fill(slab.data, 1000, shmbus_producer_next_sequence(producer));
    result = shmbus_producer_slab_publish(producer, slab.handle, 1000, 2, 0);
    return result < 0 ? result : shmbus_producer_slab_release(producer, slab.handle);
}

static int one_claim(struct shmbus_producer *producer, uint32_t length)
{
    struct shmbus_claim claim;
    int result = shmbus_producer_claim(producer, length, &claim);
    if (result < 0)
        return result;
    support_fill(claim.data, length, claim.sequence);
    return claim.sequence % 5 == 0 ? shmbus_producer_abort(producer, &claim)
                                   : shmbus_producer_commit(producer, &claim, 3, 0);
}

static int do_something(struct shmbus_producer *producer, uint64_t *random)
{
    static const uint32_t lengths[] = {0, 8, 48, 64, 200, 256, 4096};
    switch (support_below(random, 10)) {
    case 0:
    case 1:
        return one_batch(producer, random);
    case 2:
        return one_slab(producer);
    case 3:
        return one_claim(producer, lengths[support_below(random, 7)]);
    case 4:
        return shmbus_producer_skip(producer,
                                    support_below(random, 8) ? support_below(random, 5) : 1000);
    default:
        return rig_publish(producer, lengths[support_below(random, 7)]);
    }
}

/* Takes the bus over and publishes until it is killed. */
static void publisher(int line, void *context)
{
    uint64_t random = *(uint64_t *)context;
    struct shmbus_producer *producer;
    int result = rig_try_create(&bus, &producer);
    ck_assert_msg(result == 0, "%d: %s", result, shmbus_error_text());
    child_tell(line, shmbus_producer_next_sequence(producer));
    while (result >= 0)
        result = do_something(producer, &random);
    ck_abort_msg("%d: %s", result, shmbus_error_text());
}

/* ---- consumers that stay ---- */

enum { BY_POLL, BY_NEXT, KEEPING, OPTIONAL, OBSERVING, ROLES };

struct witness {
    struct shmbus_consumer *consumer;
    uint32_t role;
    uint64_t next;  /* what must come next */
    uint64_t count; /* messages */
    uint64_t lost;
    uint64_t hash; /* of every lost range */
    uint64_t kept[KEPT];
    uint64_t keeps;
};

static void on_event(void *context, const struct shmbus_event *event)
{
    struct witness *witness = context;
    ck_assert_uint_eq(event->kind, SHMBUS_EVENT_LOST);
    ck_assert_uint_eq(event->first, witness->next);
    ck_assert_uint_gt(event->count, 0);
    witness->next += event->count;
    witness->lost += event->count;
    witness->hash = (witness->hash ^ event->first) * UINT64_C(0x9e3779b97f4a7c15) + event->count;
}

static void keep(struct witness *witness, const struct shmbus_message *message)
{
    uint64_t *place = &witness->kept[witness->keeps++ % KEPT];
    struct shmbus_message held;
    if (*place != 0) {
        ck_assert_int_eq(shmbus_consumer_held(witness->consumer, *place, &held), 0);
        rig_check(&held);
        ck_assert_int_eq(shmbus_consumer_release(witness->consumer, *place), 0);
    }
    ck_assert_int_eq(shmbus_consumer_retain(witness->consumer, message, place), 0);
}

static int see(const struct shmbus_message *message, void *context)
{
    struct witness *witness = context;
    ck_assert_uint_eq(message->sequence, witness->next);
    rig_check(message);
    witness->next++;
    witness->count++;
    if (witness->role == KEEPING && message->handle != 0 && message->sequence % 7 == 0)
        keep(witness, message);
    return 0;
}

static int take(struct witness *witness)
{
    struct shmbus_message message;
    if (witness->role == BY_POLL || witness->role == OBSERVING)
        return shmbus_consumer_poll(witness->consumer, see, witness, 7);
    int result = shmbus_consumer_next(witness->consumer, &message);
    if (result > 0)
        see(&message, witness);
    return result;
}

static void witness_body(int line, void *context)
{
    static const uint32_t kinds[] = {SHMBUS_REQUIRED, SHMBUS_REQUIRED, SHMBUS_REQUIRED,
                                     SHMBUS_OPTIONAL, SHMBUS_OBSERVER};
    struct witness witness = {.role = *(uint32_t *)context};
    struct shmbus_consumer_options options = rig_options("witness", kinds[witness.role], 0);
    struct shmbus_consumer_stats stats;
    options.on_event = on_event;
    options.context = &witness;
    ck_assert_int_eq(shmbus_consumer_open(BUS, &options, &witness.consumer), 0);
    child_tell(line, 0);
    int result = 0;
    while (result >= 0) {
        result = take(&witness);
        if (result == 0)
            result = shmbus_consumer_wait(witness.consumer, MILLISECOND);
        /* Nothing more to be done about a producer that is dead, or slow. */
        if (result == -EOWNERDEAD || result == -ETIMEDOUT)
            result = 0;
    }
    ck_assert_msg(result == -EPIPE, "%d: %s", result, shmbus_error_text());
    ck_assert_int_eq(shmbus_consumer_stats(witness.consumer, &stats), 0);
    ck_assert_uint_eq(stats.received, witness.count);
    ck_assert_uint_eq(stats.lost, witness.lost);
    for (int i = 0; i < KEPT; i++)
        if (witness.kept[i] != 0)
            ck_assert_int_eq(shmbus_consumer_release(witness.consumer, witness.kept[i]), 0);
    shmbus_consumer_close(witness.consumer);
    child_tell(line, witness.next);
    child_tell(line, witness.count);
    child_tell(line, witness.hash);
}

/* ---- */

static void passer_by_event(void *context, const struct shmbus_event *event)
{
    uint64_t *next = context;
    ck_assert(*next == 0 || event->first == *next);
    *next = event->first + event->count;
}

/* One that joins at the oldest finds whole messages without a gap from there to the end, whether a
 * producer lives or not. Returns where it came to. */
static uint64_t join_at_oldest(uint32_t most)
{
    uint64_t next = 0;
    struct shmbus_consumer_options options = rig_options("passer-by", SHMBUS_REQUIRED, 0);
    struct shmbus_consumer *consumer;
    struct shmbus_consumer_stats stats;
    struct shmbus_message message;
    options.from = SHMBUS_FROM_OLDEST;
    options.on_event = passer_by_event;
    options.context = &next;
    ck_assert_int_eq(shmbus_consumer_open(BUS, &options, &consumer), 0);
    for (uint32_t i = 0; i < most && shmbus_consumer_next(consumer, &message) == 1; i++) {
        ck_assert(next == 0 || message.sequence == next);
        rig_check(&message);
        next = message.sequence + 1;
    }
    ck_assert_int_eq(shmbus_consumer_stats(consumer, &stats), 0);
    shmbus_consumer_close(consumer);
    return stats.cursor;
}

/* The last one ends the stream; what everybody saw is compared. */
static void finish(struct shmbus_producer *producer, struct child *witnesses)
{
    uint64_t heard[ROLES][3];
    uint64_t next = shmbus_producer_next_sequence(producer);
    ck_assert_int_eq(shmbus_producer_flush(producer, GUARD_NS), 0);
    shmbus_producer_close(producer);
    for (int i = 0; i < ROLES; i++) {
        for (int j = 0; j < 3; j++)
            heard[i][j] = child_hear(witnesses[i].line);
        child_end(&witnesses[i]);
        ck_assert_uint_eq(heard[i][0], next);
        if (i <= KEEPING)
            for (int j = 0; j < 3; j++)
                ck_assert_uint_eq(heard[i][j], heard[0][j]);
        else
            ck_assert_uint_le(heard[i][1], heard[0][1]);
    }
    printf("takeover: %llu sequences, %llu messages\n", (unsigned long long)next,
           (unsigned long long)heard[0][1]);
    ck_assert_int_eq(rig_try_create(&bus, &producer), 0);
    ck_assert_uint_eq(shmbus_producer_next_sequence(producer), next);
    rig_all_slabs(producer, &bus);
    shmbus_producer_close(producer);
}

START_TEST(killed_at_full_speed_again_and_again)
{
    uint64_t random = support_seed("takeover");
    struct child witnesses[ROLES];
    struct shmbus_producer *producer;
    uint64_t next = 0;
    bus = rig_bus();
    bus.capacity = _i == 2 ? 256 : 16;
    bus.history = _i == 1 ? 12 : 0;
    bus.flags = _i == 2 ? SHMBUS_BUS_TIMESTAMPS : 0;
    rig_create_and_die(&bus);
    for (uint32_t i = 0; i < ROLES; i++) {
        witnesses[i] = child_start(witness_body, &i);
        child_hear(witnesses[i].line);
    }
    for (int generation = 0; generation < GENERATIONS; generation++) {
        uint64_t seed = support_random(&random);
        struct child child = child_start(publisher, &seed);
        uint64_t begun_at = child_hear(child.line);
        ck_assert_uint_ge(begun_at, next);
        next = begun_at;
        if (generation % 4 == 0)
            join_at_oldest(64);
        rig_sleep((int64_t)support_below(&random, 6000000));
        ck_assert(!child_has_said(child.line));
        child_kill(&child);
        /* Nobody publishes now: this one reads to the end. */
        uint64_t end = join_at_oldest(UINT32_MAX);
        ck_assert_uint_ge(end, next);
        for (int i = 0; i < ROLES; i++)
            ck_assert_msg(!child_has_said(witnesses[i].line), "witness %d is gone", i);
    }
    ck_assert_int_eq(rig_try_create(&bus, &producer), 0);
    finish(producer, witnesses);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("death takeover");
    TCase *tcase = support_case(suite, "takeover", 120);
    tcase_add_loop_test(tcase, killed_at_full_speed_again_and_again, 0, 3);
    return support_run(suite);
}
