/* SPDX-License-Identifier: MIT */
/*
 * The handshake of gate.h with two threads: a producer that raises the floor as fast as it can, and
 * a joiner that begins at the floor or the tail as it last saw them. What must hold: from the
 * moment that its handshake is over until it leaves, no raise gives a floor above the joiner's
 * cursor.
 */
#include "plain.h"

#include <pthread.h>
#include <stdio.h>

#define ROUNDS 60000

static struct plain plain;
static _Atomic uint64_t published;
static _Atomic uint64_t reclaimed; /* everything below is gone */
static _Atomic uint32_t done;

static void *produce(void *unused)
{
    (void)unused;
    uint64_t next = 0;
    while (!GET(done)) {
        next += 3;
        PUT(published, next);
        PUT(reclaimed, gate_raise(&plain.gate, next, next));
    }
    return NULL;
}

/* As join.c does it: see the drawing in gate.h. */
static struct control_entry *join(uint64_t begin, uint64_t *out_cursor)
{
    struct control_entry *entry = plain_join(&plain, 0, SHMBUS_REQUIRED, begin);
    uint64_t floor = GET(plain.producer->floor);
    if (floor > begin) {
        begin = floor;
        PUT(entry->cursor, begin);
    }
    *out_cursor = begin;
    return entry;
}

START_TEST(no_raise_passes_a_joiner)
{
    struct shmbus_bus_options options = {.capacity = 16, .flags = SHMBUS_BUS_NO_POOL};
    pthread_t producer;
    uint64_t random = support_seed("joiner");
    uint64_t moved_up = 0;
    plain_begin(&plain, &options);
    ck_assert_int_eq(pthread_create(&producer, NULL, produce, NULL), 0);
    for (int round = 0; round < ROUNDS; round++) {
        int from_tail = (int)support_below(&random, 2);
        uint64_t begin = from_tail ? GET(published) : GET(plain.producer->floor);
        uint64_t cursor;
        struct control_entry *entry = join(begin, &cursor);
        moved_up += cursor > begin;
        uint64_t stays = support_below(&random, 30);
        for (uint64_t i = 0; i < stays; i++) {
            uint64_t gone = GET(reclaimed);
            ck_assert_msg(gone <= cursor, "round %d: %llu is gone, the joiner is at %llu", round,
                          (unsigned long long)gone, (unsigned long long)cursor);
            if (i % 8 == 7) {
                cursor = GET(published);
                PUT(entry->cursor, cursor);
            }
        }
        ck_assert(!gate_is_evicted(&plain.gate, 0, GET(entry->epoch)));
        plain_leave(&plain, 0);
    }
    PUT(done, 1);
    pthread_join(producer, NULL);
    printf("joiner: %llu of %d joins were moved up\n", (unsigned long long)moved_up, ROUNDS);
    plain_end(&plain);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("unit joiner");
    TCase *tcase = support_case(suite, "joiner", 60);
    tcase_add_test(tcase, no_raise_passes_a_joiner);
    return support_run(suite);
}
