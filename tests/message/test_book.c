/* SPDX-License-Identifier: MIT */
/*
 * A book message: a header and two arrays of levels, built in an arena over a claim without a heap,
 * and read in place by another process, which believes no offset before it is checked.
 */
#include "expect.h"

#include <errno.h>

#define BUS   "book"
#define BOOKS 500

struct level {
    int64_t price;
    uint64_t amount;
};

struct book {
    uint64_t instrument;
    uint32_t bids_offset;
    uint32_t bid_count;
    uint32_t asks_offset;
    uint32_t ask_count;
};

static uint32_t bid_count(uint64_t number)
{
    return (uint32_t)(number * 7 % 40);
}

static uint32_t ask_count(uint64_t number)
{
    return (uint32_t)(number * 11 % 37);
}

static struct level level_of(uint64_t number, uint32_t index, int64_t side)
{
    return (struct level){(int64_t)number * 100 + side * (int64_t)index, number ^ index};
}

static uint32_t add_levels(struct shmbus_arena *arena, uint64_t number, uint32_t count,
                           int64_t side)
{
    uint32_t offset;
    ck_assert_int_eq(shmbus_arena_take(arena, count * (uint32_t)sizeof(struct level), 16, &offset),
                     0);
    struct level *levels = (struct level *)(void *)(arena->base + offset);
    for (uint32_t i = 0; i < count; i++)
        levels[i] = level_of(number, i, side);
    return offset;
}

static void publish_book(struct shmbus_producer *producer, uint64_t number)
{
    struct shmbus_claim claim;
    struct shmbus_arena arena;
    uint32_t offset;
    ck_assert_int_eq(shmbus_producer_claim(producer, 2048, &claim), 0);
    ck_assert_int_eq(shmbus_arena_begin(&arena, claim.data, claim.room), 0);
    ck_assert_int_eq(shmbus_arena_take(&arena, sizeof(struct book), 8, &offset), 0);
    struct book *book = (struct book *)(void *)(arena.base + offset);
    book->instrument = number;
    book->bid_count = bid_count(number);
    book->ask_count = ask_count(number);
    book->bids_offset = add_levels(&arena, number, book->bid_count, -1);
    book->asks_offset = add_levels(&arena, number, book->ask_count, 1);
    claim.length = arena.used;
    ck_assert_int_eq(shmbus_producer_commit(producer, &claim, 2, 0), 0);
}

static void check_levels(const struct shmbus_message *message, uint32_t offset, uint32_t count,
                         int64_t side)
{
    const void *at;
    uint64_t bytes = (uint64_t)count * sizeof(struct level);
    ck_assert_int_eq(shmbus_message_at(message, offset, bytes, 16, &at), 0);
    const struct level *levels = at;
    for (uint32_t i = 0; i < count; i++) {
        struct level expected = level_of(message->sequence, i, side);
        if (levels[i].price != expected.price || levels[i].amount != expected.amount)
            ck_abort_msg("book %llu: level %u is not its own",
                         (unsigned long long)message->sequence, i);
    }
}

static int check_book(const struct shmbus_message *message, void *books)
{
    const void *at;
    ck_assert_uint_eq(message->type, 2);
    ck_assert_int_eq(shmbus_message_at(message, 0, sizeof(struct book), 8, &at), 0);
    const struct book *book = at;
    ck_assert_uint_eq(book->instrument, message->sequence);
    ck_assert_uint_eq(book->bid_count, bid_count(message->sequence));
    ck_assert_uint_eq(book->ask_count, ask_count(message->sequence));
    check_levels(message, book->bids_offset, book->bid_count, -1);
    check_levels(message, book->asks_offset, book->ask_count, 1);
    /* One level more than the last array has would be beyond the message. */
    ck_assert_int_eq(shmbus_message_at(message, book->asks_offset,
                                       (book->ask_count + 1) * sizeof(struct level), 16, &at),
                     -EBADMSG);
    ++*(uint64_t *)books;
    return 0;
}

static void read_books(int line, void *unused)
{
    (void)unused;
    struct shmbus_consumer *reader = support_join(BUS, SHMBUS_FROM_OLDEST);
    uint64_t books = 0;
    int result;
    child_tell(line, 0);
    while ((result = shmbus_consumer_wait(reader, GUARD_NS)) == 0)
        ck_assert_int_gt(shmbus_consumer_poll(reader, check_book, &books, 100), 0);
    ck_assert_int_eq(result, -EPIPE);
    shmbus_consumer_close(reader);
    child_tell(line, books);
}

START_TEST(two_level_arrays)
{
    struct shmbus_producer_options how = {.struct_bytes = sizeof how, .full_timeout_ns = GUARD_NS};
    struct shmbus_bus_options options = expect_bus();
    struct shmbus_producer *producer = support_create(BUS, &options, &how);
    struct child reader = child_start(read_books, NULL);
    child_hear(reader.line);
    for (uint64_t number = 0; number < BOOKS; number++)
        publish_book(producer, number);
    shmbus_producer_close(producer);
    ck_assert_uint_eq(child_hear(reader.line), BOOKS);
    child_end(&reader);
}
END_TEST

START_TEST(a_claim_in_the_slot_has_room_for_a_small_one)
{
    struct shmbus_bus_options options = expect_bus();
    struct shmbus_claim claim;
    struct shmbus_arena arena;
    uint32_t offset;
    struct shmbus_producer *producer = support_create(BUS, &options, NULL);
    ck_assert_int_eq(shmbus_producer_claim(producer, 48, &claim), 0);
    ck_assert_int_eq(shmbus_arena_begin(&arena, claim.data, claim.room), 0);
    ck_assert_int_eq(shmbus_arena_take(&arena, sizeof(struct book), 8, &offset), 0);
    ck_assert_int_eq(shmbus_arena_take(&arena, 25, 8, &offset), -ENOSPC);
    ck_assert_int_eq(shmbus_arena_take(&arena, 24, 8, &offset), 0);
    ck_assert_int_eq(shmbus_producer_abort(producer, &claim), 0);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message book");
    TCase *tcase = support_case(suite, "book", 60);
    tcase_add_test(tcase, two_level_arrays);
    tcase_add_test(tcase, a_claim_in_the_slot_has_room_for_a_small_one);
    return support_run(suite);
}
