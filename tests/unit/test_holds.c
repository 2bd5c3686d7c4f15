/* SPDX-License-Identifier: MIT */
/*
 * Handles of kept messages against a naive list of them, at random, on a consumer that is nothing
 * but private memory and an entry: every handle that is out finds its message, no other value does,
 * and the bits in the entry are those of the slabs that handles are out for.
 */
#include "consumer/consumer.h"
#include "plain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define QUOTA  20
#define SLABS  70
#define INLINE 48
#define STEPS  60000

struct kept {
    uint64_t handle;
    uint64_t sequence; /* of its message: tells what the payload is */
    uint64_t slab;     /* or SLABS for a copied payload */
};

static struct plain plain;
static struct shmbus_consumer consumer;
static struct kept kept[QUOTA];
static uint32_t kept_count;
static uint64_t ended[256]; /* handles that were released */
static uint64_t ended_count;
static uint64_t random_state;
static alignas(8) unsigned char slot[INLINE];

static void begin(void)
{
    struct shmbus_bus_options options = {
        .capacity = 64, .max_consumers = 2, .class_count = 2, .classes = {{64, 6}, {128, 64}}};
    plain_begin(&plain, &options);
    memset(&consumer, 0, sizeof consumer);
    consumer.header = &plain.segment.header;
    consumer.generations = plain.pool.classes[0].generations;
    consumer.entry = plain_join(&plain, 0, SHMBUS_REQUIRED, 0);
    consumer.ring = plain.ring;
    consumer.parked_producers = &park_no_bits;
    consumer.parked_behind = &park_never;
    ck_assert_int_eq(holds_begin(&consumer.holds, QUOTA, INLINE, SLABS), 0);
}

static void end(void)
{
    holds_end(&consumer.holds);
    plain_end(&plain);
}

/* Makes a message the one that is lent: in slab number slab, or inline. */
static struct shmbus_message *lend(uint64_t sequence, uint64_t slab)
{
    struct shmbus_message *lent = &consumer.lent;
    *lent = (struct shmbus_message){.sequence = sequence, .data = slot, .type = 7};
    if (slab < SLABS) {
        uint32_t class_index = slab >= 6;
        uint32_t index = (uint32_t)(slab - (class_index ? 6 : 0));
        const struct pool_class *in = &plain.pool.classes[class_index];
        lent->handle = handle_make(class_index, pool_generation(in, index), index);
        lent->data = pool_data(in, index);
        lent->flags = SHMBUS_MESSAGE_POOLED;
    } else {
        lent->length = (uint32_t)(sequence % (INLINE + 1));
        support_fill(slot, lent->length, sequence);
    }
    consumer.is_lent = 1;
    return lent;
}

static void check(const struct kept *one)
{
    struct shmbus_message message;
    ck_assert_int_eq(shmbus_consumer_held(&consumer, one->handle, &message), 0);
    ck_assert_uint_eq(message.sequence, one->sequence);
    ck_assert_uint_eq(message.type, 7);
    if (one->slab < SLABS) {
        ck_assert_uint_ne(message.handle, 0);
    } else {
        ck_assert_ptr_ne(message.data, slot);
        ck_assert_uint_eq((uintptr_t)message.data % 8, 0);
        ck_assert(support_is(message.data, message.length, one->sequence));
    }
}

static void add(uint64_t handle, uint64_t sequence, uint64_t slab)
{
    ck_assert_uint_ne(handle, 0);
    for (uint32_t i = 0; i < kept_count; i++)
        ck_assert_uint_ne(kept[i].handle, handle);
    kept[kept_count++] = (struct kept){handle, sequence, slab};
}

static void retain(uint64_t sequence)
{
    uint64_t slab = support_below(&random_state, SLABS + 20);
    uint64_t handle = 1;
    struct shmbus_message *lent = lend(sequence, slab < SLABS ? slab : SLABS);
    int result = shmbus_consumer_retain(&consumer, lent, &handle);
    consumer.is_lent = 0;
    if (kept_count == QUOTA) {
        ck_assert_int_eq(result, -EDQUOT);
        ck_assert_uint_eq(handle, 1);
        return;
    }
    ck_assert_int_eq(result, 0);
    add(handle, sequence, slab < SLABS ? slab : SLABS);
}

static void copy(void)
{
    if (kept_count == 0)
        return;
    const struct kept from = kept[support_below(&random_state, kept_count)];
    uint64_t handle = 1;
    int result = shmbus_consumer_copy(&consumer, from.handle, &handle);
    ck_assert_int_eq(result, kept_count == QUOTA ? -EDQUOT : 0);
    if (result == 0)
        add(handle, from.sequence, from.slab);
}

static void release(void)
{
    if (kept_count == 0)
        return;
    uint64_t which = support_below(&random_state, kept_count);
    ck_assert_int_eq(shmbus_consumer_release(&consumer, kept[which].handle), 0);
    ended[ended_count++ % 256] = kept[which].handle;
    kept[which] = kept[--kept_count];
}

static void refused(uint64_t handle)
{
    struct shmbus_message message = {.sequence = 99};
    uint64_t other = 1;
    for (uint32_t i = 0; i < kept_count; i++)
        if (kept[i].handle == handle)
            return;
    ck_assert_int_eq(shmbus_consumer_held(&consumer, handle, &message), -ESTALE);
    ck_assert_int_eq(shmbus_consumer_copy(&consumer, handle, &other), -ESTALE);
    ck_assert_int_eq(shmbus_consumer_release(&consumer, handle), -ESTALE);
    ck_assert_uint_eq(message.sequence, 99);
    ck_assert_uint_eq(other, 1);
}

static void forge(void)
{
    uint64_t handle = support_random(&random_state);
    if (kept_count > 0 && handle % 2)
        handle =
            kept[support_below(&random_state, kept_count)].handle ^ (UINT64_C(1) << handle % 64);
    refused(handle);
    refused(ended[support_below(&random_state, 256)]);
}

static void compare(void)
{
    uint64_t bits[2] = {0, 0};
    uint64_t count = 0;
    for (uint32_t i = 0; i < kept_count; i++) {
        check(&kept[i]);
        if (kept[i].slab < SLABS)
            bits[kept[i].slab / 64] |= UINT64_C(1) << kept[i].slab % 64;
    }
    for (int i = 0; i < 2; i++) {
        ck_assert_uint_eq(GET(consumer.entry->holds[i]), bits[i]);
        count += (uint64_t)__builtin_popcountll(bits[i]);
    }
    ck_assert_uint_eq(GET(consumer.entry->holding), count);
    struct shmbus_consumer_stats stats;
    ck_assert_int_eq(shmbus_consumer_stats(&consumer, &stats), 0);
    ck_assert_uint_eq(stats.held, kept_count);
}

START_TEST(at_random)
{
    random_state = support_seed("holds");
    begin();
    for (uint64_t step = 0; step < STEPS; step++) {
        switch (support_below(&random_state, 8)) {
        case 0:
        case 1:
            retain(step);
            break;
        case 2:
            copy();
            break;
        case 3:
            forge();
            break;
        default:
            if (support_below(&random_state, 5) < 3 + step / 1000 % 2)
                release();
            break;
        }
        if (step % 16 == 0)
            compare();
    }
    while (kept_count > 0)
        release();
    compare();
    end();
}
END_TEST

START_TEST(every_handle_that_was_ended_stays_ended)
{
    uint64_t old[64];
    begin();
    /* One row, over and over: its generation goes through the wrap. */
    for (int i = 0; i < 64; i++) {
        ck_assert_int_eq(shmbus_consumer_retain(&consumer, lend(1, 3), &old[i]), 0);
        for (int j = 0; j < i; j++)
            refused(old[j]);
        ck_assert_int_eq(shmbus_consumer_release(&consumer, old[i]), 0);
        refused(old[i]);
    }
    end();
}
END_TEST

START_TEST(a_handle_of_another_consumer_is_none_of_ours)
{
    begin();
    struct shmbus_consumer other = consumer;
    ck_assert_int_eq(holds_begin(&other.holds, QUOTA, INLINE, SLABS), 0);
    other.entry = plain_join(&plain, 1, SHMBUS_REQUIRED, 0);
    for (uint64_t i = 0; i < QUOTA; i++) {
        uint64_t ours;
        uint64_t theirs;
        ck_assert_int_eq(shmbus_consumer_retain(&consumer, lend(i, i), &ours), 0);
        other.lent = consumer.lent;
        other.is_lent = 1;
        ck_assert_int_eq(shmbus_consumer_retain(&other, &other.lent, &theirs), 0);
        refused(theirs);
        ck_assert_int_eq(shmbus_consumer_release(&other, ours), -ESTALE);
    }
    holds_end(&other.holds);
    end();
}
END_TEST

START_TEST(only_the_message_that_is_lent_can_be_kept)
{
    uint64_t handle = 1;
    begin();
    struct shmbus_message message = *lend(5, 3);
    consumer.is_lent = 0;
    ck_assert_int_eq(shmbus_consumer_retain(&consumer, &message, &handle), -EINVAL);
    lend(6, 3);
    ck_assert_int_eq(shmbus_consumer_retain(&consumer, &message, &handle), -EINVAL);
    ck_assert_uint_eq(handle, 1);
    /* What the caller's copy says of slab and length is not believed. */
    message = consumer.lent;
    message.handle = handle_make(7, 1, 12345);
    message.length = UINT32_MAX;
    ck_assert_int_eq(shmbus_consumer_retain(&consumer, &message, &handle), 0);
    ck_assert_uint_eq(GET(consumer.entry->holds[0]), 1 << 3);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("unit holds");
    TCase *tcase = support_case(suite, "holds", 60);
    tcase_add_test(tcase, at_random);
    tcase_add_test(tcase, every_handle_that_was_ended_stays_ended);
    tcase_add_test(tcase, a_handle_of_another_consumer_is_none_of_ours);
    tcase_add_test(tcase, only_the_message_that_is_lent_can_be_kept);
    return support_run(suite);
}
