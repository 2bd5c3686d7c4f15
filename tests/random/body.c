/* SPDX-License-Identifier: MIT */
/*
 * Messages that prove themselves. Type and length follow from the bus's seed and a key, the
 * sequence; the bytes from these and the author, whose incarnation the message carries with a
 * checksum over all. Among many producers nobody knows the sequence beforehand: there the key is
 * the author with the number that the message has of its own ones, and stands in the first 8 bytes.
 * A slab that is published again keeps its first content: flags say by how many keys.
 */
#include "random.h"

#include <string.h>

struct body {
    uint64_t key; /* the sequence that it was made for */
    uint32_t incarnation;
    uint32_t bytes;
    uint64_t sum;
};

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t state = a ^ b * UINT64_C(0xd6e8feb86659fd93);
    return random_next(&state);
}

#define KEY_BITS 52

uint16_t body_type(const struct world *world, uint64_t key)
{
    return (uint16_t)(1 + mix(world->seed, key) % TYPES);
}

uint32_t body_bytes(const struct world *world, uint64_t key)
{
    uint64_t chance = mix(world->seed + 1, key);
    uint32_t most = chance % 100 < 55 ? world->inline_bytes : world->bytes_most;
    uint32_t least = world->many ? (uint32_t)sizeof key : 0;
    /* Often as long as it can be. */
    return chance % 7 == 0 ? most : least + (uint32_t)((chance >> 20) % (most - least + 1));
}

static uint64_t sum_of(const struct world *world, const struct body *body)
{
    return mix(mix(world->seed + 2, body->key), (uint64_t)body->incarnation << 32 | body->bytes);
}

/* The bytes from the sum on. A word at a time: the sum and the place say all. */
static void pattern(unsigned char *to, uint32_t bytes, uint64_t sum)
{
    for (uint32_t at = 0; at < bytes; at += 8) {
        sum = sum * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint64_t word = sum ^ sum >> 29;
        memcpy(to + at, &word, bytes - at < 8 ? bytes - at : 8);
    }
}

/* A key with a checksum over it. */
static uint64_t signed_key(const struct world *world, uint64_t key)
{
    return key | mix(world->seed + 3, key) << KEY_BITS;
}

void body_fill(const struct world *world, void *data, uint64_t key, uint32_t incarnation)
{
    unsigned char *to = data;
    if (world->many) {
        uint64_t word = signed_key(world, key);
        memcpy(to, &word, sizeof word);
        pattern(to + sizeof word, body_bytes(world, key) - (uint32_t)sizeof word, word);
        return;
    }
    struct body body = {.key = key, .bytes = body_bytes(world, key)};
    if (body.bytes < sizeof body) {
        pattern(to, body.bytes, sum_of(world, &body));
        return;
    }
    body.incarnation = incarnation;
    body.sum = sum_of(world, &body);
    memcpy(to, &body, sizeof body);
    pattern(to + sizeof body, body.bytes - (uint32_t)sizeof body, body.sum);
}

const char *body_fault(const struct world *world, const struct shmbus_message *message,
                       uint32_t *out_incarnation, uint64_t *out_key)
{
    unsigned char expected[BYTES_MAX];
    struct body body;
    uint64_t key = message->sequence - (message->flags & SHMBUS_MESSAGE_USER_FLAGS);
    *out_incarnation = 0;
    *out_key = message->sequence;
    if (world->many) {
        uint64_t word;
        if (message->length < sizeof word)
            return "no key";
        memcpy(&word, message->data, sizeof word);
        key = word & ((UINT64_C(1) << KEY_BITS) - 1);
        if (word != signed_key(world, key) || key >> NUMBER_BITS == 0)
            return "a key that is wrong";
        *out_key = key + (message->flags & SHMBUS_MESSAGE_USER_FLAGS);
    }
    if (message->type != body_type(world, *out_key))
        return "another type";
    if (message->length != body_bytes(world, key))
        return "another length";
    if ((world->bus.flags & SHMBUS_BUS_TIMESTAMPS) && message->timestamp_ns <= 0)
        return "no timestamp";
    if (!world->many && message->length >= sizeof body) {
        memcpy(&body, message->data, sizeof body);
        *out_incarnation = body.incarnation;
        if (body.key != key)
            return "another sequence's content";
        if (body.incarnation == 0 || body.sum != sum_of(world, &body))
            return "a checksum that is wrong";
    }
    body_fill(world, expected, key, *out_incarnation);
    return memcmp(message->data, expected, message->length) == 0 ? NULL : "bytes that are wrong";
}
