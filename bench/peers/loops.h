/* SPDX-License-Identifier: MIT */
/*
 * The loops of a peer's roles, in C or C++. The file that includes this has before it struct end,
 * one side of one direction, and end_open, end_send, end_send_batch, end_receive and end_close,
 * static, so that what the peer offers inline is inlined here as well. Fill, check, laps and the
 * pause of who has caught up are those of the floors and of shmbus.
 */
#ifndef BENCH_PEERS_LOOPS_H
#define BENCH_PEERS_LOOPS_H

static int loop_send(struct role *role, struct end *end, uint64_t number)
{
    int sent;
    while ((sent = end_send(end, number)) == 0)
        cpu_pause(1);
    return sent > 0 ? ROLE_OK : role_fail(role, "%s: sending failed", role->runner->name);
}

static int loop_receive(struct role *role, struct end *end, uint64_t number)
{
    int got;
    while ((got = end_receive(end, number, 1)) == 0)
        ;
    return got > 0 ? ROLE_OK : role_wrong(role, number, end->got);
}

/* Both directions of a round trip: a role sends on the one of its own number. Both open the first
 * one first: some wait there for the other one. */
static int loop_open_both(struct role *role, struct end ends[ROLES])
{
    int result = ROLE_OK;
    for (int i = 0; i < ROLES && result == ROLE_OK; i++)
        result = end_open(role, i, i == role->index, &ends[i]);
    if (result == ROLE_OK)
        role_meet(role);
    role->started = cpu_ticks();
    return result;
}

static int loop_ask(struct role *role)
{
    struct end ends[ROLES] = {};
    uint64_t total = role_total(role);
    int result = loop_open_both(role, ends);
    for (uint64_t i = 0; i < total && result == ROLE_OK; i++) {
        result = loop_send(role, &ends[0], i);
        if (result == ROLE_OK)
            result = loop_receive(role, &ends[1], i);
        role_lap(role, i);
    }
    end_close(&ends[0]);
    end_close(&ends[1]);
    return result;
}

static int loop_answer(struct role *role)
{
    struct end ends[ROLES] = {};
    uint64_t total = role_total(role);
    int result = loop_open_both(role, ends);
    for (uint64_t i = 0; i < total && result == ROLE_OK; i++) {
        result = loop_receive(role, &ends[0], i);
        if (result == ROLE_OK)
            result = loop_send(role, &ends[1], i);
    }
    end_close(&ends[1]);
    end_close(&ends[0]);
    return result;
}

static int loop_produce(struct role *role)
{
    struct end end = {};
    uint64_t total = role_total(role);
    int result = end_open(role, 0, 1, &end);
    if (result != ROLE_OK)
        return result;
    role_meet(role);
    for (uint64_t i = 0; i < total && result == ROLE_OK; i++)
        result = loop_send(role, &end, i);
    end_close(&end);
    return result;
}

static int loop_produce_batches(struct role *role)
{
    struct end end = {};
    uint64_t total = role_total(role), batch = role->test->batch;
    int result = end_open(role, 0, 1, &end);
    if (result != ROLE_OK)
        return result;
    role_meet(role);
    for (uint64_t i = 0; i < total && result == ROLE_OK;) {
        int sent = end_send_batch(&end, i, total - i < batch ? total - i : batch);
        if (sent < 0)
            result = role_fail(role, "%s: sending failed", role->runner->name);
        else if (sent == 0)
            cpu_pause(1);
        else
            i += (uint64_t)sent;
    }
    end_close(&end);
    return result;
}

static int loop_consume(struct role *role)
{
    struct end end = {};
    uint64_t total = role_total(role), next = 0;
    uint32_t burst = role->test->burst;
    int result = end_open(role, 0, 0, &end);
    if (result != ROLE_OK)
        return result;
    role_meet(role);
    while (next < total && result == ROLE_OK) {
        int got = end_receive(&end, next, burst);
        if (got < 0)
            result = role_wrong(role, next, end.got);
        else if (got == 0)
            cpu_pause(role->test->pause);
        else
            next += (uint64_t)got;
        role_span_begin(role, next);
    }
    role_span_end(role, next);
    end_close(&end);
    return result;
}

extern const struct peer_module peer_module;
const struct peer_module peer_module = {{{NULL, NULL},
                                         {loop_ask, loop_answer},
                                         {loop_produce, loop_consume},
                                         {loop_produce_batches, loop_consume}}};

#endif
