/* SPDX-License-Identifier: MIT */
/*
 * What more participants and what is switched on cost: any number of producers publish by turns in
 * one process, any number of consumers of one kind read by turns in the other. Each consumer checks
 * all that it gets; the producers' throughput is measured. So it is the work that shows, and not
 * how a scheduler shares two processors between more spinners than that.
 */
#include <errno.h>

#include "runners.h"
#include "subject.h"

enum {
    MANY_MAX = 64,
};

static int produce_many(struct role *role)
{
    struct shmbus_producer *producers[MANY_MAX] = {NULL};
    uint64_t words[SMALL_WORDS], total = role_total(role);
    uint32_t count = role->test->producers > 1 ? role->test->producers : 1, open = 0;
    int result = ROLE_OK;
    for (; open < count && result == ROLE_OK; open++)
        result = subject_producer(role, 0, &producers[open]);
    if (result == ROLE_OK)
        role_meet(role);
    for (uint64_t i = 0; i < total && result == ROLE_OK; i++) {
        role_span_begin(role, i);
        small_fill(words, i);
        int error =
            shmbus_producer_publish(producers[i % count], SUBJECT_TYPE, 0, words, SMALL_BYTES);
        if (error != 0)
            result = subject_failed(role, "publish", error);
    }
    if (result == ROLE_OK)
        shmbus_producer_flush(producers[0], SHMBUS_FOREVER);
    role_span_end(role, total);
    for (uint32_t i = 0; i < open; i++)
        shmbus_producer_close(producers[i]);
    return result;
}

static int check_many(const struct shmbus_message *message, void *context)
{
    struct seen *seen = context;
    const uint64_t *words = message->data;
    if (message->sequence < seen->next || message->length != SMALL_BYTES ||
        small_differs(words, message->sequence) != 0) {
        seen->wrong = 1;
        seen->got = words[0];
    }
    seen->next = message->sequence + 1;
    return 0;
}

/* Everything went by, and what a required one lost is nothing. */
static int check_counts(struct role *role, struct shmbus_consumer *consumer)
{
    struct shmbus_consumer_stats stats;
    int error = shmbus_consumer_stats(consumer, &stats);
    if (error != 0)
        return subject_failed(role, "stats", error);
    if (stats.received + stats.lost != role_total(role) ||
        (role->test->kind == SHMBUS_REQUIRED && stats.lost != 0))
        return role_fail(role, "%llu received and %llu lost are not all",
                         (unsigned long long)stats.received, (unsigned long long)stats.lost);
    return ROLE_OK;
}

static int consume_many(struct role *role)
{
    struct shmbus_consumer *consumers[MANY_MAX] = {NULL};
    struct seen seen[MANY_MAX] = {{0}};
    uint32_t count = role->test->consumers > 1 ? role->test->consumers : 1, open = 0, ended = 0;
    int result = ROLE_OK;
    for (; open < count && result == ROLE_OK; open++)
        result = subject_consumer(role, 0, &consumers[open]);
    if (result == ROLE_OK)
        role_meet(role);
    while (ended < count && result == ROLE_OK) {
        ended = 0;
        for (uint32_t i = 0; i < count && result == ROLE_OK; i++) {
            int got = shmbus_consumer_poll(consumers[i], check_many, &seen[i], role->test->burst);
            ended += got == -EPIPE;
            if (got < 0 && got != -EPIPE)
                result = subject_failed(role, "poll", got);
            else if (seen[i].wrong != 0)
                result = role_wrong(role, seen[i].next - 1, seen[i].got);
        }
        cpu_pause(role->test->pause);
    }
    for (uint32_t i = 0; i < open; i++) {
        if (result == ROLE_OK)
            result = check_counts(role, consumers[i]);
        shmbus_consumer_close(consumers[i]);
    }
    return result;
}

const struct runner many_required[] = {
    {.name = "required-1",
     .kind = SHMBUS_REQUIRED,
     .consumers = 1,
     .act = {produce_many, consume_many}},
    {.name = "required-4",
     .kind = SHMBUS_REQUIRED,
     .consumers = 4,
     .act = {produce_many, consume_many}},
    {.name = "required-16",
     .kind = SHMBUS_REQUIRED,
     .consumers = 16,
     .act = {produce_many, consume_many}},
    {.name = "required-64",
     .kind = SHMBUS_REQUIRED,
     .consumers = 64,
     .act = {produce_many, consume_many}},
};
const struct runner many_optional[] = {
    {.name = "optional-1",
     .kind = SHMBUS_OPTIONAL,
     .consumers = 1,
     .act = {produce_many, consume_many}},
    {.name = "optional-4",
     .kind = SHMBUS_OPTIONAL,
     .consumers = 4,
     .act = {produce_many, consume_many}},
    {.name = "optional-16",
     .kind = SHMBUS_OPTIONAL,
     .consumers = 16,
     .act = {produce_many, consume_many}},
    {.name = "optional-64",
     .kind = SHMBUS_OPTIONAL,
     .consumers = 64,
     .act = {produce_many, consume_many}},
};
const struct runner many_observer[] = {
    {.name = "observer-1",
     .kind = SHMBUS_OBSERVER,
     .consumers = 1,
     .act = {produce_many, consume_many}},
    {.name = "observer-4",
     .kind = SHMBUS_OBSERVER,
     .consumers = 4,
     .act = {produce_many, consume_many}},
    {.name = "observer-16",
     .kind = SHMBUS_OBSERVER,
     .consumers = 16,
     .act = {produce_many, consume_many}},
    {.name = "observer-64",
     .kind = SHMBUS_OBSERVER,
     .consumers = 64,
     .act = {produce_many, consume_many}},
};
const struct runner many_producers[] = {
    {.name = "producers-1",
     .kind = SHMBUS_REQUIRED,
     .producers = 1,
     .act = {produce_many, consume_many}},
    {.name = "producers-2",
     .kind = SHMBUS_REQUIRED,
     .producers = 2,
     .act = {produce_many, consume_many}},
    {.name = "producers-4",
     .kind = SHMBUS_REQUIRED,
     .producers = 4,
     .act = {produce_many, consume_many}},
    {.name = "producers-8",
     .kind = SHMBUS_REQUIRED,
     .producers = 8,
     .act = {produce_many, consume_many}},
};
const struct runner feature_plain = {
    .name = "plain", .is_floor = 1, .kind = SHMBUS_REQUIRED, .act = {produce_many, consume_many}};
const struct runner feature_no_park = {.name = "no-park",
                                       .kind = SHMBUS_REQUIRED,
                                       .bus_flags = SHMBUS_BUS_NO_PARK,
                                       .act = {produce_many, consume_many}};
const struct runner feature_timestamps = {.name = "timestamps",
                                          .kind = SHMBUS_REQUIRED,
                                          .bus_flags = SHMBUS_BUS_TIMESTAMPS,
                                          .act = {produce_many, consume_many}};
