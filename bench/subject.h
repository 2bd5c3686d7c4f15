/* SPDX-License-Identifier: MIT */
/*
 * What the shmbus runners have in common: a bus made for the test, opened by both, and the check of
 * each message that comes out of it.
 */
#ifndef BENCH_SUBJECT_H
#define BENCH_SUBJECT_H

#include <shmbus/shmbus.h>

#include "payload.h"
#include "role.h"

enum {
    SUBJECT_TYPE = 7, /* the messages' type, which is checked too */
};

/* What a consumer has seen; the context of its handler. */
struct seen {
    uint64_t next;  /* the message that is expected */
    uint64_t wrong; /* 0, or not */
    uint64_t got;   /* the first word of the one that was wrong */
    struct bulk bulk;
};

/* Each opens one side, or notes why it cannot. timeout_ns of a full ring is without limit. */
int subject_producer(struct role *role, int bus, struct shmbus_producer **out_producer);
int subject_consumer(struct role *role, int bus, struct shmbus_consumer **out_consumer);

/* The same with further flags. */
int subject_consumer_as(struct role *role, int bus, uint32_t flags,
                        struct shmbus_consumer **out_consumer);

/* Notes what a call of the library returned. */
int subject_failed(struct role *role, const char *call, int error);

static inline int subject_small(const struct shmbus_message *message, void *context)
{
    struct seen *seen = context;
    const uint64_t *words = message->data;
    uint64_t differs = (message->sequence ^ seen->next) | (message->length ^ SMALL_BYTES) |
                       (message->type ^ SUBJECT_TYPE);
    if (message->length == SMALL_BYTES)
        differs |= small_differs(words, seen->next);
    if (differs != 0) {
        seen->wrong = 1;
        seen->got = words[0];
        return 1;
    }
    seen->next++;
    return 0;
}

static inline int subject_bulk(const struct shmbus_message *message, void *context)
{
    struct seen *seen = context;
    uint64_t differs = (message->sequence ^ seen->next) | (message->type ^ SUBJECT_TYPE) |
                       (message->length ^ (seen->bulk.words * 8));
    if (message->length == seen->bulk.words * 8)
        differs |= bulk_differs(&seen->bulk, message->data, seen->next);
    if (differs != 0) {
        seen->wrong = 1;
        seen->got = *(const uint64_t *)message->data;
        return 1;
    }
    seen->next++;
    return 0;
}

#endif
