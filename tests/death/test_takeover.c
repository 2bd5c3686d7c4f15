/* SPDX-License-Identifier: MIT */
/*
 * Takeover: producers that are killed at any moment at full speed, one after the other. Consumers
 * that stay attached see every sequence once, in order and whole, and need do nothing; every slab
 * is accounted for afterwards.
 */
#include "rig.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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
static uint64_t join_at_oldest(void)
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
    for (int i = 0; i < 64 && shmbus_consumer_next(consumer, &message) == 1; i++) {
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

/* Creates the bus, and waits to be killed: nobody closes it. */
static void creator(int line, void *context)
{
    struct shmbus_producer *producer;
    (void)context;
    shmbus_unlink(BUS, NULL);
    ck_assert_int_eq(rig_try_create(&bus, &producer), 0);
    child_tell(line, 0);
    pause();
}

static void create_and_die(void)
{
    struct child child = child_start(creator, NULL);
    child_hear(child.line);
    child_kill(&child);
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
    create_and_die();
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
            join_at_oldest();
        rig_sleep((int64_t)support_below(&random, 6000000));
        ck_assert(!child_has_said(child.line));
        child_kill(&child);
        uint64_t end = join_at_oldest();
        ck_assert_uint_ge(end, next);
        for (int i = 0; i < ROLES; i++)
            ck_assert_msg(!child_has_said(witnesses[i].line), "witness %d is gone", i);
    }
    ck_assert_int_eq(rig_try_create(&bus, &producer), 0);
    finish(producer, witnesses);
}
END_TEST

/* ---- deaths at one exact place ---- */

static void die(int number)
{
    (void)number;
    kill(getpid(), SIGKILL);
}

struct doomed {
    uint32_t before; /* messages one by one */
    uint32_t good;   /* messages of the batch before the one that cannot be read */
};

/* Dies in the middle of a batch: the payload of one of its messages cannot be read. */
static void dies_in_a_batch(int line, void *context)
{
    const struct doomed *doomed = context;
    struct shmbus_producer *producer;
    struct shmbus_outgoing messages[16];
    static unsigned char data[16][8];
    void *hole = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(hole, MAP_FAILED);
    signal(SIGSEGV, die);
    signal(SIGBUS, die);
    ck_assert_int_eq(rig_try_create(&bus, &producer), 0);
    rig_publish_many(producer, doomed->before, 8);
    uint64_t first = shmbus_producer_next_sequence(producer);
    for (uint32_t i = 0; i < 16; i++) {
        support_fill(data[i], 8, first + i);
        messages[i] = (struct shmbus_outgoing){.data = data[i], .length = 8};
    }
    messages[doomed->good].data = hole;
    child_tell(line, first);
    child_hear(line);
    shmbus_producer_publish_batch(producer, messages, 16);
}

START_TEST(killed_in_the_middle_of_a_batch)
{
    bus = rig_bus();
    for (uint32_t before = 0; before < 12; before++) {
        struct doomed doomed = {before, (uint32_t)_i};
        struct shmbus_producer *producer;
        create_and_die();
        struct shmbus_consumer *required = rig_join("required", SHMBUS_REQUIRED, 0);
        struct shmbus_consumer *optional = rig_join("optional", SHMBUS_OPTIONAL, 0);
        struct child child = child_start(dies_in_a_batch, &doomed);
        ck_assert_uint_eq(child_hear(child.line), before);
        /* All is read, so the whole ring is free for the batch; the hint is behind. */
        for (uint64_t i = 0; i < before; i++) {
            rig_next(required, i);
            rig_next(optional, i);
        }
        struct shmbus_message message;
        ck_assert_int_eq(shmbus_consumer_next(required, &message), 0);
        child_tell(child.line, 0);
        while (shmbus_consumer_wait(required, GUARD_NS) != -EOWNERDEAD)
            ck_abort_msg("%s", shmbus_error_text());
        child_kill(&child);
        ck_assert_int_eq(rig_try_create(&bus, &producer), 0);
        ck_assert_uint_eq(shmbus_producer_next_sequence(producer), before);
        for (uint64_t i = 0; i < 30; i++) {
            rig_publish_many(producer, 1, 8);
            rig_next(required, before + i);
            rig_next(optional, before + i);
        }
        shmbus_consumer_close(required);
        shmbus_consumer_close(optional);
        shmbus_producer_close(producer);
    }
}
END_TEST

/* Sequences left out, then death, with messages before them that are not read yet. */
static void dies_after_a_skip(int line, void *context)
{
    struct shmbus_producer *producer;
    ck_assert_int_eq(rig_try_create(&bus, &producer), 0);
    rig_publish_many(producer, 6, 256);
    ck_assert_int_eq(shmbus_producer_skip(producer, *(uint64_t *)context), 0);
    child_tell(line, shmbus_producer_next_sequence(producer));
    pause();
}

START_TEST(killed_after_a_skip)
{
    static const uint64_t skips[] = {1, 3, 4, 5, 16, 1000, 1003};
    uint64_t skip = skips[_i];
    uint64_t next = 0;
    struct shmbus_consumer *consumers[3];
    struct shmbus_producer *producer;
    bus = rig_bus();
    create_and_die();
    for (uint32_t i = 0; i < 3; i++)
        consumers[i] = rig_join(i == 0 ? "required" : "other",
                                i == 0   ? SHMBUS_REQUIRED
                                : i == 1 ? SHMBUS_OPTIONAL
                                         : SHMBUS_OBSERVER,
                                0);
    struct child child = child_start(dies_after_a_skip, &skip);
    ck_assert_uint_eq(child_hear(child.line), 6 + skip);
    child_kill(&child);
    ck_assert_int_eq(rig_try_create(&bus, &producer), 0);
    next = shmbus_producer_next_sequence(producer);
    ck_assert_uint_eq(next, 6 + skip);
    for (int i = 0; i < 3; i++) {
        struct shmbus_message message;
        for (uint64_t sequence = 0; sequence < 6; sequence++)
            rig_next(consumers[i], sequence);
        ck_assert_int_eq(shmbus_consumer_next(consumers[i], &message), 0);
    }
    for (uint64_t sequence = next; sequence < next + 40; sequence++) {
        rig_publish_many(producer, 1, sequence % 2 ? 8 : 256);
        for (int i = 0; i < 3; i++)
            rig_next(consumers[i], sequence);
    }
    for (int i = 0; i < 3; i++) {
        struct shmbus_consumer_stats stats;
        ck_assert_int_eq(shmbus_consumer_stats(consumers[i], &stats), 0);
        ck_assert_uint_eq(stats.lost, skip);
        ck_assert_uint_eq(stats.received, 46);
        shmbus_consumer_close(consumers[i]);
    }
    rig_all_slabs(producer, &bus);
    shmbus_producer_close(producer);
}
END_TEST

/* It has claimed, acquired by hand, and published one slab twice: nothing of it is lost. */
static void dies_with_slabs(int line, void *context)
{
    struct shmbus_producer *producer;
    struct shmbus_slab slabs[4];
    struct shmbus_claim claim;
    (void)context;
    ck_assert_int_eq(rig_try_create(&bus, &producer), 0);
    ck_assert_int_eq(shmbus_producer_slab_acquire(producer, 64, 4, slabs), 0);
    support_fill(slabs[0].data, 0, 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(shmbus_producer_slab_publish(producer, slabs[0].handle, 0, 0, 0), 0);
    ck_assert_int_eq(shmbus_producer_claim(producer, 4096, &claim), 0);
    child_tell(line, 0);
    pause();
}

START_TEST(killed_with_slabs_of_its_own)
{
    struct shmbus_producer *producer;
    bus = rig_bus();
    create_and_die();
    struct shmbus_consumer *consumer = rig_join("required", SHMBUS_REQUIRED, 0);
    for (uint64_t round = 0; round < 5; round++) {
        struct child child = child_start(dies_with_slabs, NULL);
        child_hear(child.line);
        child_kill(&child);
        for (uint64_t i = 0; i < 3; i++)
            rig_next(consumer, 3 * round + i);
    }
    struct shmbus_message message;
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 0);
    ck_assert_int_eq(rig_try_create(&bus, &producer), 0);
    ck_assert_uint_eq(shmbus_producer_next_sequence(producer), 15);
    rig_all_slabs(producer, &bus);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("death takeover");
    TCase *tcase = support_case(suite, "takeover", 120);
    tcase_add_loop_test(tcase, killed_at_full_speed_again_and_again, 0, 3);
    tcase_add_loop_test(tcase, killed_in_the_middle_of_a_batch, 0, 16);
    tcase_add_loop_test(tcase, killed_after_a_skip, 0, 7);
    tcase_add_test(tcase, killed_with_slabs_of_its_own);
    return support_run(suite);
}
