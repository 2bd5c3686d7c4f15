/* SPDX-License-Identifier: MIT */
/*
 * Latency at a fixed rate, in an open loop: each message has a time at which it is meant to be
 * sent, whether those before it were late or not, and what is recorded is from that time to its
 * arrival. So a stop of either side counts for every message that it delays: no omission is
 * coordinated.
 */
#include "runners.h"
#include "subject.h"

enum {
    CALIBRATE_NS = 10000000,
};

static double ticks_a_second(void)
{
    uint64_t from = cpu_nanoseconds(), ticks = cpu_ticks(), now = from;
    while (now - from < CALIBRATE_NS)
        now = cpu_nanoseconds();
    return (double)(cpu_ticks() - ticks) * 1e9 / (double)(now - from);
}

/* As many messages as make up the same time at each rate; both roles come to the same number. */
static uint64_t open_total(const struct role *role)
{
    return role->test->warm + role->test->rate / 10;
}

static int produce_open(struct role *role)
{
    struct shmbus_producer *producer = NULL;
    uint64_t words[SMALL_WORDS], total = open_total(role);
    double step = ticks_a_second() / (double)role->test->rate;
    int result = subject_producer(role, 0, &producer);
    if (result == ROLE_OK)
        role_meet(role);
    uint64_t begin = cpu_ticks();
    for (uint64_t i = 0; i < total && result == ROLE_OK; i++) {
        uint64_t meant = begin + (uint64_t)((double)i * step);
        while (cpu_ticks() < meant)
            ;
        small_fill(words, i);
        words[1] = meant;
        int error = shmbus_producer_publish(producer, SUBJECT_TYPE, 0, words, SMALL_BYTES);
        if (error != 0)
            result = subject_failed(role, "publish", error);
    }
    if (result == ROLE_OK)
        shmbus_producer_flush(producer, SHMBUS_FOREVER);
    shmbus_producer_close(producer);
    return result;
}

/* What the consumer's handler needs. */
struct arrivals {
    struct role *role;
    uint64_t next;
    uint64_t wrong;
};

static int arrive(const struct shmbus_message *message, void *context)
{
    struct arrivals *arrivals = context;
    const uint64_t *words = message->data;
    uint64_t now = cpu_ticks_after();
    if (message->sequence != arrivals->next || words[0] != arrivals->next) {
        arrivals->wrong = 1;
        return 1;
    }
    role_took(arrivals->role, arrivals->next++, now > words[1] ? now - words[1] : 0);
    return 0;
}

static int consume_open(struct role *role)
{
    struct shmbus_consumer *consumer = NULL;
    struct arrivals arrivals = {.role = role};
    uint64_t total = open_total(role);
    int result = subject_consumer(role, 0, &consumer);
    if (result == ROLE_OK)
        role_meet(role);
    while (arrivals.next < total && result == ROLE_OK) {
        int got = shmbus_consumer_poll(consumer, arrive, &arrivals, role->test->burst);
        if (got < 0)
            result = subject_failed(role, "poll", got);
        else if (arrivals.wrong != 0)
            result = role_wrong(role, arrivals.next, 0);
    }
    shmbus_consumer_close(consumer);
    return result;
}

const struct runner open_rates[] = {
    {.name = "at-10k", .rate = 10000, .act = {produce_open, consume_open}},
    {.name = "at-100k", .rate = 100000, .act = {produce_open, consume_open}},
    {.name = "at-1M", .rate = 1000000, .act = {produce_open, consume_open}},
    {.name = "at-10M", .rate = 10000000, .act = {produce_open, consume_open}},
};
