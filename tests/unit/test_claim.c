/* SPDX-License-Identifier: MIT */
/*
 * Claims among many producers with threads, on plain memory: producers that publish, abort and die
 * in the middle of a claim, one that repairs them, and a reader that steps over their holes. What
 * must hold: every sequence is gone past once, what was published is whole and in its author's
 * order, and what was given up or died is nobody's message. Stamps go through their wrap.
 */
#include "consumer/consumer.h"
#include "plain.h"
#include "ring/claim.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#define AUTHORS  4u
#define CAPACITY 16u
#define EACH     8000u /* claims of each author */
#define FIRST    ((UINT64_C(1) << 56) - 5000)

static struct plain plain;
static _Atomic uint64_t cursor;
static _Atomic uint32_t lives[AUTHORS];
static pthread_mutex_t repair[AUTHORS];

struct author {
    uint32_t index;
    uint64_t random;
    uint64_t next;
    uint64_t published;
    uint64_t given_up;
};

struct body {
    uint64_t sequence;
    uint32_t author;
    uint32_t salt;
    uint64_t number;
};

/* As recovery does it: proof of death, under the repair byte, holes, and then it is free. */
static void repair_the_dead(uint32_t own)
{
    for (uint32_t i = 0; i < AUTHORS; i++) {
        if (i == own || GET(lives[i]) || pthread_mutex_trylock(&repair[i]) != 0)
            continue;
        if (!GET(lives[i])) {
            claim_abort_all_of(&plain.ring, i);
            PUT(lives[i], 1);
        }
        pthread_mutex_unlock(&repair[i]);
    }
}

/* The next slot that nobody has. */
static struct slot_header *take(struct author *author)
{
    for (;;) {
        author->next = claim_find_free(&plain.ring, author->next);
        if (author->next - GET(cursor) >= CAPACITY) {
            repair_the_dead(author->index);
            sched_yield();
            continue;
        }
        struct slot_header *slot = ring_slot(&plain.ring, author->next);
        uint64_t stamp = ring_poll(slot);
        if (stamp_ahead(stamp, author->next) == UINT64_MAX &&
            claim_take(slot, stamp, author->next, author->index))
            return slot;
    }
}

/* Ends in the middle of a claim, and comes again with the same number once that is repaired. */
static void die(struct author *author)
{
    PUT(lives[author->index], 0);
    while (!GET(lives[author->index]))
        sched_yield();
    author->given_up++;
}

static void publish(struct author *author, struct slot_header *slot)
{
    struct body body = {author->next, author->index, (uint32_t)author->next * 7,
                        author->published++};
    memcpy(ring_payload(&plain.ring, slot), &body, sizeof body);
    ck_assert(claim_end(slot, author->next, author->index, meta_make(sizeof body, 1, 0),
                        STAMP_PUBLISHED));
}

static void *write_all(void *context)
{
    struct author *author = context;
    for (uint32_t i = 0; i < EACH; i++) {
        struct slot_header *slot = take(author);
        uint64_t draw = support_below(&author->random, 32);
        if (draw == 0) {
            die(author);
        } else if (draw < 4) {
            ck_assert(claim_end(slot, author->next, author->index, 0, STAMP_ABORTED));
            author->given_up++;
        } else {
            publish(author, slot);
        }
    }
    return NULL;
}

struct reading {
    uint64_t numbers[AUTHORS];
    uint64_t aborted;
    uint64_t stepped;
};

/* As a consumer does it: the proof between two looks at the same stamp. */
static int steps_over(struct slot_header *slot, uint64_t stamp, uint64_t sequence)
{
    return stamp_is_of(stamp, sequence) && stamp_is_writing(stamp) &&
           !GET(lives[stamp_writer(stamp)]) && ring_poll(slot) == stamp;
}

/* Goes past one sequence, if it can. */
static int read_one(struct reading *reading, uint64_t sequence)
{
    struct slot_header *slot = ring_slot(&plain.ring, sequence);
    uint64_t stamp = ring_poll(slot);
    struct body body;
    if (steps_over(slot, stamp, sequence)) {
        reading->stepped++;
        return 1;
    }
    if (stamp == stamp_make(sequence, STAMP_ABORTED)) {
        reading->aborted++;
        return 1;
    }
    if (stamp != stamp_make(sequence, STAMP_PUBLISHED))
        return 0;
    memcpy(&body, ring_payload(&plain.ring, slot), sizeof body);
    ck_assert_uint_eq(meta_length(ring_meta(slot)), sizeof body);
    ck_assert_uint_eq(body.sequence, sequence);
    ck_assert_uint_lt(body.author, AUTHORS);
    ck_assert_uint_eq(body.salt, (uint32_t)sequence * 7);
    ck_assert_uint_eq(body.number, reading->numbers[body.author]);
    reading->numbers[body.author]++;
    return 1;
}

START_TEST(claims_commits_aborts_and_deaths)
{
    struct shmbus_bus_options options = {.capacity = CAPACITY,
                                         .flags = SHMBUS_BUS_NO_POOL,
                                         .max_producers = AUTHORS,
                                         .first_sequence = FIRST};
    struct author authors[AUTHORS] = {0};
    struct reading reading = {0};
    pthread_t threads[AUTHORS];
    uint64_t random = support_seed("claims");
    plain_begin(&plain, &options);
    PUT(cursor, FIRST);
    for (uint32_t i = 0; i < AUTHORS; i++) {
        authors[i] = (struct author){.index = i, .random = support_random(&random), .next = FIRST};
        PUT(lives[i], 1);
        ck_assert_int_eq(pthread_mutex_init(&repair[i], NULL), 0);
    }
    for (uint32_t i = 0; i < AUTHORS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_all, &authors[i]), 0);
    for (uint64_t sequence = FIRST; sequence < FIRST + AUTHORS * EACH;) {
        if (read_one(&reading, sequence)) {
            PUT(cursor, ++sequence);
        } else {
            repair_the_dead(AUTHORS);
            sched_yield();
        }
    }
    repair_the_dead(AUTHORS);
    uint64_t given_up = 0;
    for (uint32_t i = 0; i < AUTHORS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_uint_eq(reading.numbers[i], authors[i].published);
        given_up += authors[i].given_up;
    }
    ck_assert_uint_eq(reading.aborted + reading.stepped, given_up);
    ck_assert_uint_eq(claim_find_free(&plain.ring, FIRST), FIRST + AUTHORS * EACH);
    printf("claims: %llu aborted, %llu stepped over\n", (unsigned long long)reading.aborted,
           (unsigned long long)reading.stepped);
    plain_end(&plain);
}
END_TEST

/* ---- two that want the same ---- */

#define WIDE 65536u

struct lap {
    uint32_t index;
    uint64_t first;
    uint64_t taken;
    pthread_t thread;
};

static void *take_a_lap(void *context)
{
    struct lap *lap = context;
    uint64_t at = lap->first;
    while ((at = claim_find_free(&plain.ring, at)) < lap->first + WIDE) {
        struct slot_header *slot = ring_slot(&plain.ring, at);
        uint64_t stamp = ring_poll(slot);
        if (stamp_ahead(stamp, at) == UINT64_MAX && claim_take(slot, stamp, at, lap->index)) {
            lap->taken++;
            ck_assert(claim_end(slot, at, lap->index, 0, STAMP_PUBLISHED));
        }
    }
    return NULL;
}

/* They run after each other from slot to slot: each slot is one's. */
START_TEST(each_claim_is_ones_own)
{
    struct shmbus_bus_options options = {.capacity = WIDE,
                                         .flags = SHMBUS_BUS_NO_POOL,
                                         .max_producers = AUTHORS,
                                         .first_sequence = FIRST};
    uint64_t least = UINT64_MAX;
    plain_begin(&plain, &options);
    for (uint64_t lap = 0; lap < 20; lap++) {
        struct lap both[2] = {{.index = 0}, {.index = 1}};
        for (uint32_t i = 0; i < 2; i++) {
            both[i].first = FIRST + lap * WIDE;
            ck_assert_int_eq(pthread_create(&both[i].thread, NULL, take_a_lap, &both[i]), 0);
        }
        for (uint32_t i = 0; i < 2; i++) {
            pthread_join(both[i].thread, NULL);
            least = both[i].taken < least ? both[i].taken : least;
        }
        ck_assert_uint_eq(both[0].taken + both[1].taken, WIDE);
    }
    printf("claims: at least %llu of %u to each of two\n", (unsigned long long)least, WIDE);
    plain_end(&plain);
}
END_TEST

/* ---- the end of the stream ---- */

static _Atomic uint32_t done;

static void come(uint32_t index)
{
    PUT(segment_producer(&plain.segment, index)->state, PRODUCER_ACTIVE);
}

static void go(uint32_t index)
{
    struct producer_entry *entry = segment_producer(&plain.segment, index);
    PUT(entry->epoch, GET(entry->epoch) + 1);
    PUT(entry->state, PRODUCER_FREE);
}

/* One of them is always there: the next comes before the last one goes. */
static void *take_turns(void *context)
{
    uint64_t random = *(const uint64_t *)context;
    uint32_t last = 0;
    while (!GET(done)) {
        uint32_t next = (uint32_t)support_below(&random, SHMBUS_PRODUCERS_MAX);
        if (next == last)
            continue;
        come(next);
        go(last);
        last = next;
    }
    return NULL;
}

/* Though a "closed" that came late stands there all the time, it is never taken for the end. */
START_TEST(no_end_while_one_of_them_is_there)
{
    struct shmbus_bus_options options = {
        .capacity = CAPACITY, .flags = SHMBUS_BUS_NO_POOL, .max_producers = SHMBUS_PRODUCERS_MAX};
    struct shmbus_consumer consumer = {0};
    uint64_t random = support_seed("ends");
    pthread_t thread;
    plain_begin(&plain, &options);
    consumer.segment = plain.segment;
    consumer.header = &plain.segment.header;
    ck_assert(consumer_stream_ended(&consumer));
    come(0);
    ck_assert(!consumer_stream_ended(&consumer));
    PUT(done, 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, take_turns, &random), 0);
    for (int i = 0; i < 300000; i++)
        ck_assert(!consumer_stream_ended(&consumer));
    PUT(done, 1);
    pthread_join(thread, NULL);
    for (uint32_t i = 0; i < SHMBUS_PRODUCERS_MAX; i++)
        go(i);
    ck_assert(consumer_stream_ended(&consumer));
    plain_end(&plain);
}
END_TEST

/* ---- walks ---- */

/* A walk goes over laps that it missed, and back from none. */
START_TEST(a_walk_that_is_overtaken)
{
    struct shmbus_bus_options options = {.capacity = CAPACITY,
                                         .flags = SHMBUS_BUS_NO_POOL,
                                         .max_producers = AUTHORS,
                                         .first_sequence = FIRST};
    uint64_t end = (UINT64_C(1) << 56) + 3 * CAPACITY + 5;
    plain_begin(&plain, &options);
    ck_assert_uint_eq(claim_find_free(&plain.ring, FIRST), FIRST);
    ck_assert(!claim_is_known(&plain.ring, FIRST));
    for (uint64_t at = FIRST; at < end; at++) {
        struct slot_header *slot = ring_slot(&plain.ring, at);
        ck_assert(claim_take(slot, ring_poll(slot), at, at % AUTHORS));
        ck_assert(!claim_take(slot, stamp_make(at, STAMP_PUBLISHED), at, 0));
        ck_assert(claim_is_known(&plain.ring, at));
        ck_assert(!claim_is_known(&plain.ring, at + 1));
    }
    for (uint64_t behind = 0; behind < 5000; behind += 7)
        ck_assert_uint_eq(claim_find_free(&plain.ring, end - behind), end);
    ck_assert_uint_eq(claim_find_free(&plain.ring, FIRST), end);
    /* Each of the last lap is its producer's, until it is ended once. */
    claim_abort_all_of(&plain.ring, 1);
    for (uint64_t at = end - CAPACITY; at < end; at++) {
        struct slot_header *slot = ring_slot(&plain.ring, at);
        uint32_t writer = at % AUTHORS;
        ck_assert(!claim_end(slot, at, (writer + 1) % AUTHORS, 0, STAMP_PUBLISHED));
        ck_assert_int_eq(claim_end(slot, at, writer, 0, STAMP_PUBLISHED), writer != 1);
        ck_assert(!claim_end(slot, at, writer, 0, STAMP_ABORTED));
        ck_assert_uint_eq(ring_poll(slot),
                          stamp_make(at, writer == 1 ? STAMP_ABORTED : STAMP_PUBLISHED));
    }
    plain_end(&plain);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("unit claim");
    TCase *tcase = support_case(suite, "claim", 180);
    tcase_add_test(tcase, claims_commits_aborts_and_deaths);
    tcase_add_test(tcase, each_claim_is_ones_own);
    tcase_add_test(tcase, no_end_while_one_of_them_is_there);
    tcase_add_test(tcase, a_walk_that_is_overtaken);
    return support_run(suite);
}
