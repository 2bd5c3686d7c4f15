/* SPDX-License-Identifier: MIT */
/*
 * The floor for large payloads: memcpy into buffers that take turns and an index in each direction,
 * over the same number of buffers of the same size as the subject's pool has slabs.
 */
#include <stdatomic.h>

#include "payload.h"
#include "role.h"
#include "runners.h"

struct copies {
    _Alignas(128) _Atomic uint64_t written; /* writer: the producer */
    _Alignas(128) _Atomic uint64_t read;    /* writer: the consumer */
    _Alignas(4096) unsigned char buffers[]; /* writer: the producer */
};

static uint64_t copies_bytes(const struct test *test)
{
    return sizeof(struct copies) + (uint64_t)test->slabs * test->size;
}

static int write_copies(struct role *role)
{
    struct copies *copies = (struct copies *)(void *)role->memory;
    uint64_t slabs = role->test->slabs, size = role->test->size, total = role_total(role);
    uint64_t limit = slabs;
    struct bulk bulk;
    if (slabs == 0 || bulk_begin(&bulk, size) != 0)
        return role_fail(role, "no memory for the pattern");
    role_meet(role);
    for (uint64_t i = 0; i < total; i++) {
        if (i == limit) {
            uint64_t read;
            /* acquire: the consumer has read what is overwritten next */
            while ((read = atomic_load_explicit(&copies->read, memory_order_acquire)) + slabs == i)
                cpu_pause(1);
            limit = read + slabs;
        }
        bulk_fill(&bulk, copies->buffers + i % slabs * size, i);
        /* release: the payload before the index */
        atomic_store_explicit(&copies->written, i + 1, memory_order_release);
    }
    bulk_end(&bulk);
    return ROLE_OK;
}

static int read_copies(struct role *role)
{
    struct copies *copies = (struct copies *)(void *)role->memory;
    uint64_t slabs = role->test->slabs, size = role->test->size, total = role_total(role);
    struct bulk bulk;
    int result = ROLE_OK;
    if (bulk_begin(&bulk, size) != 0)
        return role_fail(role, "no memory for the pattern");
    role_meet(role);
    for (uint64_t i = 0; i < total && result == ROLE_OK;) {
        /* acquire: the payloads up to the index */
        uint64_t written = atomic_load_explicit(&copies->written, memory_order_acquire);
        if (written == i)
            cpu_pause(role->test->pause);
        for (; i < written && result == ROLE_OK; i++) {
            const unsigned char *buffer = copies->buffers + i % slabs * size;
            if (bulk_differs(&bulk, buffer, i) != 0)
                result = role_wrong(role, i, *(const uint64_t *)(const void *)buffer);
            /* release: reading before it is overwritten */
            atomic_store_explicit(&copies->read, i + 1, memory_order_release);
        }
        role_span_begin(role, i);
    }
    role_span_end(role, total);
    bulk_end(&bulk);
    return result;
}

const struct runner floor_memcpy = {
    .name = "memcpy", .is_floor = 1, .act = {write_copies, read_copies}, .bytes = copies_bytes};
