/* SPDX-License-Identifier: MIT */
/*
 * Messages that prove themselves: each byte follows from the sequence and the author, so that a
 * torn, stale or misplaced one is seen at once.
 */
#include "crash.h"

#include <string.h>

struct body {
    uint64_t key; /* the sequence, or its author's number, that it was made for */
    uint32_t bytes;
    uint32_t author;
};

#define BODY_MAX LARGE_BYTES

static int has_timestamps = 1;

void body_expect_timestamps(int are_there)
{
    has_timestamps = are_there;
}

uint32_t body_bytes(uint64_t sequence, char kind)
{
    uint32_t vary = (uint32_t)(sequence % 4) * 8;
    if (kind == 'i')
        return (uint32_t)sizeof(struct body) + vary;
    return (kind == 'p' ? SMALL_BYTES : LARGE_BYTES) - 32 + vary;
}

uint16_t body_type(uint64_t sequence, enum author author)
{
    return (uint16_t)(sequence * 8 + author + 1);
}

void body_fill(void *data, uint32_t bytes, uint64_t sequence, enum author author)
{
    struct body body = {sequence, bytes, author};
    unsigned char *to = data;
    memcpy(to, &body, sizeof body);
    memset(to + sizeof body, (int)(sequence * 5 + author + 1) & 0xff, bytes - sizeof body);
}

int body_send(struct shmbus_producer *producer, char kind, enum author author)
{
    unsigned char data[BODY_MAX];
    uint64_t sequence = shmbus_producer_next_sequence(producer);
    uint32_t bytes = body_bytes(sequence, kind);
    body_fill(data, bytes, sequence, author);
    return shmbus_producer_publish(producer, body_type(sequence, author), 0, data, bytes);
}

const char *body_fault(const struct shmbus_message *message, uint64_t sequence, enum author author)
{
    return message->sequence != sequence ? "another sequence"
                                         : body_fault_of(message, sequence, author);
}

int body_read(const struct shmbus_message *message, uint64_t *out_number)
{
    struct body body;
    if (message->length < sizeof body)
        return -1;
    memcpy(&body, message->data, sizeof body);
    *out_number = body.key + (message->flags & SHMBUS_MESSAGE_USER_FLAGS);
    return (int)body.author;
}

const char *body_fault_of(const struct shmbus_message *message, uint64_t number, enum author author)
{
    unsigned char data[BODY_MAX];
    /* A slab that is published again says by how many. */
    uint64_t key = number - (message->flags & SHMBUS_MESSAGE_USER_FLAGS);
    if (message->length < sizeof(struct body) || message->length > BODY_MAX)
        return "a length that none has";
    body_fill(data, message->length, key, author);
    if (memcmp(message->data, data, message->length) != 0)
        return "torn, stale or overwritten";
    if (message->type != body_type(number, author))
        return "another message's type";
    if (has_timestamps ? message->timestamp_ns <= 0 : message->timestamp_ns != 0)
        return "a timestamp where there is none, or none";
    return NULL;
}
