/* SPDX-License-Identifier: MIT */
/*
 * One way, as fast as it goes: one producer, one required consumer that reads everything in place.
 * A consumer that has caught up leaves the ring alone for a few PAUSEs, as the floors' do, so that
 * it does not take each line away while it is being written. Those with "off" in their names stand
 * off besides.
 */
#include "runners.h"
#include "subject.h"

enum {
    BATCH_MAX = 1024,
};

static int flow_end(struct role *role, struct shmbus_producer *producer, int result)
{
    if (result == ROLE_OK) {
        int flushed = shmbus_producer_flush(producer, SHMBUS_FOREVER);
        if (flushed != 0)
            result = subject_failed(role, "flush", flushed);
    }
    shmbus_producer_close(producer);
    return result;
}

static int produce_publish(struct role *role)
{
    struct shmbus_producer *producer = NULL;
    uint64_t words[SMALL_WORDS], total = role_total(role);
    int result = subject_producer(role, 0, &producer);
    if (result != ROLE_OK)
        return result;
    role_meet(role);
    for (uint64_t i = 0; i < total && result == ROLE_OK; i++) {
        small_fill(words, i);
        int error = shmbus_producer_publish(producer, SUBJECT_TYPE, 0, words, SMALL_BYTES);
        if (error != 0)
            result = subject_failed(role, "publish", error);
    }
    return flow_end(role, producer, result);
}

static int produce_claim(struct role *role)
{
    struct shmbus_producer *producer = NULL;
    uint64_t total = role_total(role);
    int result = subject_producer(role, 0, &producer);
    if (result != ROLE_OK)
        return result;
    role_meet(role);
    for (uint64_t i = 0; i < total && result == ROLE_OK; i++) {
        struct shmbus_claim claim;
        int error = shmbus_producer_claim(producer, SMALL_BYTES, &claim);
        if (error == 0) {
            small_fill(claim.data, i);
            error = shmbus_producer_commit(producer, &claim, SUBJECT_TYPE, 0);
        }
        if (error != 0)
            result = subject_failed(role, "claim or commit", error);
    }
    return flow_end(role, producer, result);
}

static int produce_batches(struct role *role)
{
    static uint64_t words[BATCH_MAX][SMALL_WORDS];
    static struct shmbus_outgoing outgoing[BATCH_MAX];
    struct shmbus_producer *producer = NULL;
    uint64_t total = role_total(role), batch = role->test->batch;
    if (batch > BATCH_MAX)
        return role_fail(role, "a batch of more than %d", BATCH_MAX);
    int result = subject_producer(role, 0, &producer);
    if (result != ROLE_OK)
        return result;
    for (uint64_t j = 0; j < batch; j++)
        outgoing[j] = (struct shmbus_outgoing){words[j], SMALL_BYTES, SUBJECT_TYPE, 0};
    role_meet(role);
    for (uint64_t i = 0; i < total && result == ROLE_OK; i += batch) {
        uint64_t count = total - i < batch ? total - i : batch;
        for (uint64_t j = 0; j < count; j++)
            small_fill(words[j], i + j);
        int done = shmbus_producer_publish_batch(producer, outgoing, count);
        if (done < 0)
            result = subject_failed(role, "publish_batch", done);
        else if ((uint64_t)done != count)
            result = role_fail(role, "publish_batch published %d of %d", done, (int)count);
    }
    return flow_end(role, producer, result);
}

static int produce_pool(struct role *role)
{
    struct shmbus_producer *producer = NULL;
    uint64_t total = role_total(role);
    struct bulk bulk;
    if (bulk_begin(&bulk, role->test->size) != 0)
        return role_fail(role, "no memory for the pattern");
    int result = subject_producer(role, 0, &producer);
    if (result != ROLE_OK)
        goto out;
    role_meet(role);
    for (uint64_t i = 0; i < total && result == ROLE_OK; i++) {
        struct shmbus_claim claim;
        int error = shmbus_producer_claim(producer, role->test->size, &claim);
        if (error == 0) {
            bulk_fill(&bulk, claim.data, i);
            error = shmbus_producer_commit(producer, &claim, SUBJECT_TYPE, 0);
        }
        if (error != 0)
            result = subject_failed(role, "claim or commit", error);
    }
    result = flow_end(role, producer, result);
out:
    bulk_end(&bulk);
    return result;
}

/* Polls until all has come, with the handler that checks it. */
static int consume(struct role *role, uint32_t flags, shmbus_handler *handler, struct seen *seen)
{
    struct shmbus_consumer *consumer = NULL;
    uint64_t total = role_total(role);
    uint32_t burst = role->test->burst, pause = role->test->pause;
    int result = subject_consumer_as(role, 0, flags, &consumer);
    if (result != ROLE_OK)
        return result;
    role_meet(role);
    while (seen->next < total) {
        int got = shmbus_consumer_poll(consumer, handler, seen, burst);
        if (got < 0 || seen->wrong != 0) {
            result = got < 0 ? subject_failed(role, "poll", got)
                             : role_wrong(role, seen->next, seen->got);
            break;
        }
        role_span_begin(role, seen->next);
        if ((uint32_t)got < burst)
            cpu_pause(pause);
    }
    role_span_end(role, seen->next);
    shmbus_consumer_close(consumer);
    return result;
}

static int consume_small(struct role *role)
{
    struct seen seen = {0};
    return consume(role, 0, subject_small, &seen);
}

static int consume_off(struct role *role)
{
    struct seen seen = {0};
    return consume(role, SHMBUS_READ_STAND_OFF, subject_small, &seen);
}

static int consume_pool(struct role *role)
{
    struct seen seen = {0};
    if (bulk_begin(&seen.bulk, role->test->size) != 0)
        return role_fail(role, "no memory for the pattern");
    int result = consume(role, 0, subject_bulk, &seen);
    bulk_end(&seen.bulk);
    return result;
}

static int consume_next(struct role *role)
{
    struct shmbus_consumer *consumer = NULL;
    struct shmbus_message message;
    struct seen seen = {0};
    uint64_t total = role_total(role);
    int result = subject_consumer(role, 0, &consumer);
    if (result != ROLE_OK)
        return result;
    role_meet(role);
    while (seen.next < total && result == ROLE_OK) {
        int got = shmbus_consumer_next(consumer, &message);
        if (got == 1) {
            if (subject_small(&message, &seen) != 0)
                result = role_wrong(role, seen.next, seen.got);
            role_span_begin(role, seen.next);
        } else if (got == 0) {
            cpu_pause(role->test->pause);
        } else {
            result = subject_failed(role, "next", got);
        }
    }
    role_span_end(role, seen.next);
    shmbus_consumer_close(consumer);
    return result;
}

const struct runner shmbus_flow_publish = {.name = "shmbus-publish",
                                           .act = {produce_publish, consume_small}};
const struct runner shmbus_flow_claim = {.name = "shmbus-claim",
                                         .act = {produce_claim, consume_small}};
const struct runner shmbus_flow_next = {.name = "shmbus-publish-next",
                                        .act = {produce_publish, consume_next}};
const struct runner shmbus_flow_batch = {.name = "shmbus-batch",
                                         .act = {produce_batches, consume_small}};
const struct runner shmbus_flow_publish_off = {.name = "shmbus-publish-off",
                                               .act = {produce_publish, consume_off}};
const struct runner shmbus_flow_claim_off = {.name = "shmbus-claim-off",
                                             .act = {produce_claim, consume_off}};
const struct runner shmbus_flow_batch_off = {.name = "shmbus-batch-off",
                                             .act = {produce_batches, consume_off}};
const struct runner shmbus_flow_pool = {.name = "shmbus-claim-pool",
                                        .act = {produce_pool, consume_pool}};
