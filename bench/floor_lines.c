/* SPDX-License-Identifier: MIT */
/*
 * Floors without any message in them: how fast a cache line goes to the other core and back, and
 * how fast a stream of lines goes one way when a single index is published for every 64 of them,
 * the reader relying on the hardware to fetch ahead, or fetching ahead itself. What the stream
 * carries in 64 bytes is a small payload and two words more, as a slot has.
 */
#include <stdatomic.h>

#include "payload.h"
#include "role.h"
#include "runners.h"

/* Ping-pong: each line has one writer. */
struct lines {
    _Alignas(128) _Atomic uint64_t ping;
    _Alignas(128) _Atomic uint64_t pong;
};

static uint64_t lines_bytes(const struct test *test)
{
    (void)test;
    return sizeof(struct lines);
}

static int ask(struct role *role)
{
    struct lines *lines = (struct lines *)(void *)role->memory;
    uint64_t total = role_total(role);
    role_meet(role);
    role->started = cpu_ticks();
    for (uint64_t i = 0; i < total; i++) {
        /* release, and acquire below: as a message would need */
        atomic_store_explicit(&lines->ping, i + 1, memory_order_release);
        while (atomic_load_explicit(&lines->pong, memory_order_acquire) != i + 1)
            ;
        role_lap(role, i);
    }
    return ROLE_OK;
}

static int answer(struct role *role)
{
    struct lines *lines = (struct lines *)(void *)role->memory;
    uint64_t total = role_total(role);
    role_meet(role);
    for (uint64_t i = 0; i < total; i++) {
        while (atomic_load_explicit(&lines->ping, memory_order_acquire) != i + 1)
            ;
        atomic_store_explicit(&lines->pong, i + 1, memory_order_release);
    }
    return ROLE_OK;
}

const struct runner floor_pingpong = {
    .name = "pingpong", .is_floor = 1, .act = {ask, answer}, .bytes = lines_bytes};

/* Streaming. */
enum {
    STREAM_EVERY = 64, /* lines for which the index is published once */
    LINE_WORDS = 8,
};

struct stream {
    _Alignas(128) _Atomic uint64_t written; /* writer: the producer */
    _Alignas(128) _Atomic uint64_t read;    /* writer: the consumer */
    _Alignas(128) uint64_t lines[];         /* writer: the producer */
};

static uint64_t stream_bytes(const struct test *test)
{
    return sizeof(struct stream) + test->capacity * LINE_WORDS * 8;
}

static int stream_write(struct role *role)
{
    struct stream *stream = (struct stream *)(void *)role->memory;
    uint64_t mask = role->test->capacity - 1, total = role_total(role), limit = mask + 1;
    role_meet(role);
    for (uint64_t i = 0; i < total; i++) {
        uint64_t *line = &stream->lines[(i & mask) * LINE_WORDS];
        __builtin_prefetch(&stream->lines[((i + role->test->ahead) & mask) * LINE_WORDS], 1);
        if (i == limit) {
            uint64_t read;
            /* acquire: the consumer has read what is overwritten next */
            while ((read = atomic_load_explicit(&stream->read, memory_order_acquire)) + mask + 1 ==
                   limit)
                cpu_pause(1);
            limit = read + mask + 1;
        }
        small_fill(line + 2, i);
        line[0] = i;
        line[1] = ~i;
        if ((i + 1) % STREAM_EVERY == 0 || i + 1 == total)
            /* release: the lines before the index */
            atomic_store_explicit(&stream->written, i + 1, memory_order_release);
    }
    return ROLE_OK;
}

/* ahead: lines that the reader fetches ahead; 0 leaves that to the hardware */
static inline int stream_take(struct role *role, uint64_t ahead)
{
    struct stream *stream = (struct stream *)(void *)role->memory;
    uint64_t mask = role->test->capacity - 1, total = role_total(role);
    role_meet(role);
    for (uint64_t i = 0; i < total;) {
        /* acquire: the lines up to the index */
        uint64_t written = atomic_load_explicit(&stream->written, memory_order_acquire);
        if (written == i) {
            cpu_pause(role->test->pause);
            continue;
        }
        if (written - i > role->test->burst)
            written = i + role->test->burst;
        for (; i < written; i++) {
            const uint64_t *line = &stream->lines[(i & mask) * LINE_WORDS];
            if (ahead != 0)
                __builtin_prefetch(&stream->lines[((i + ahead) & mask) * LINE_WORDS]);
            if (((line[0] ^ i) | (line[1] ^ ~i) | small_differs(line + 2, i)) != 0)
                return role_wrong(role, i, line[0]);
        }
        /* release: reading before it is overwritten */
        atomic_store_explicit(&stream->read, i, memory_order_release);
        role_span_begin(role, i);
    }
    role_span_end(role, total);
    return ROLE_OK;
}

static int stream_read(struct role *role)
{
    return stream_take(role, 0);
}

static int stream_read_ahead(struct role *role)
{
    return stream_take(role, role->test->ahead);
}

const struct runner floor_stream = {
    .name = "stream", .is_floor = 1, .act = {stream_write, stream_read}, .bytes = stream_bytes};
const struct runner floor_stream_ahead = {.name = "stream-ahead",
                                          .is_floor = 1,
                                          .act = {stream_write, stream_read_ahead},
                                          .bytes = stream_bytes};
