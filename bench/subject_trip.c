/* SPDX-License-Identifier: MIT */
/*
 * Round trip over two buses, one for each direction, both sides spinning: claim, fill in place and
 * commit against poll; and publish against next.
 */
#include "runners.h"
#include "subject.h"

struct trip {
    struct shmbus_producer *producer;
    struct shmbus_consumer *consumer;
    struct seen seen;
};

static int trip_begin(struct role *role, struct trip *trip)
{
    int result = subject_producer(role, role->index, &trip->producer);
    if (result == ROLE_OK)
        result = subject_consumer(role, 1 - role->index, &trip->consumer);
    if (result == ROLE_OK)
        role_meet(role);
    role->started = cpu_ticks();
    return result;
}

static void trip_end(struct trip *trip)
{
    shmbus_consumer_close(trip->consumer);
    shmbus_producer_close(trip->producer);
}

static inline int send_claim(struct role *role, struct trip *trip, uint64_t number)
{
    struct shmbus_claim claim;
    int result = shmbus_producer_claim(trip->producer, SMALL_BYTES, &claim);
    if (result != 0)
        return subject_failed(role, "claim", result);
    small_fill(claim.data, number);
    result = shmbus_producer_commit(trip->producer, &claim, SUBJECT_TYPE, 0);
    return result == 0 ? ROLE_OK : subject_failed(role, "commit", result);
}

static inline int receive_poll(struct role *role, struct trip *trip, uint64_t number)
{
    int got = 0;
    while (got == 0)
        got = shmbus_consumer_poll(trip->consumer, subject_small, &trip->seen, role->test->burst);
    if (got < 0)
        return subject_failed(role, "poll", got);
    if (trip->seen.wrong != 0)
        return role_wrong(role, number, trip->seen.got);
    return ROLE_OK;
}

static inline int send_publish(struct role *role, struct trip *trip, uint64_t number)
{
    uint64_t words[SMALL_WORDS];
    small_fill(words, number);
    int result = shmbus_producer_publish(trip->producer, SUBJECT_TYPE, 0, words, SMALL_BYTES);
    return result == 0 ? ROLE_OK : subject_failed(role, "publish", result);
}

static inline int receive_next(struct role *role, struct trip *trip, uint64_t number)
{
    struct shmbus_message message;
    int got = 0;
    while (got == 0)
        got = shmbus_consumer_next(trip->consumer, &message);
    if (got < 0)
        return subject_failed(role, "next", got);
    if (subject_small(&message, &trip->seen) != 0)
        return role_wrong(role, number, trip->seen.got);
    return ROLE_OK;
}

static int ask_poll(struct role *role)
{
    struct trip trip = {0};
    uint64_t total = role_total(role);
    int result = trip_begin(role, &trip);
    for (uint64_t i = 0; i < total && result == ROLE_OK; i++) {
        result = send_claim(role, &trip, i);
        if (result == ROLE_OK)
            result = receive_poll(role, &trip, i);
        role_lap(role, i);
    }
    trip_end(&trip);
    return result;
}

static int answer_poll(struct role *role)
{
    struct trip trip = {0};
    uint64_t total = role_total(role);
    int result = trip_begin(role, &trip);
    for (uint64_t i = 0; i < total && result == ROLE_OK; i++) {
        result = receive_poll(role, &trip, i);
        if (result == ROLE_OK)
            result = send_claim(role, &trip, i);
    }
    if (result == ROLE_OK)
        shmbus_producer_flush(trip.producer, SHMBUS_FOREVER);
    trip_end(&trip);
    return result;
}

static int ask_next(struct role *role)
{
    struct trip trip = {0};
    uint64_t total = role_total(role);
    int result = trip_begin(role, &trip);
    for (uint64_t i = 0; i < total && result == ROLE_OK; i++) {
        result = send_publish(role, &trip, i);
        if (result == ROLE_OK)
            result = receive_next(role, &trip, i);
        role_lap(role, i);
    }
    trip_end(&trip);
    return result;
}

static int answer_next(struct role *role)
{
    struct trip trip = {0};
    uint64_t total = role_total(role);
    int result = trip_begin(role, &trip);
    for (uint64_t i = 0; i < total && result == ROLE_OK; i++) {
        result = receive_next(role, &trip, i);
        if (result == ROLE_OK)
            result = send_publish(role, &trip, i);
    }
    if (result == ROLE_OK)
        shmbus_producer_flush(trip.producer, SHMBUS_FOREVER);
    trip_end(&trip);
    return result;
}

const struct runner shmbus_trip_poll = {.name = "shmbus-claim-poll",
                                        .act = {ask_poll, answer_poll}};
const struct runner shmbus_trip_next = {.name = "shmbus-publish-next",
                                        .act = {ask_next, answer_next}};
