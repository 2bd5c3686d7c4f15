/* SPDX-License-Identifier: MIT */
/* A message with parts of variable size: offsets given out by an arena, resolved by the reader. */
#include "example.h"

#include <errno.h>
#include <string.h>

struct order {
    uint64_t id;
    uint32_t price_count;
    uint32_t prices_offset; /* from the payload's first byte */
};

int main(void)
{
    struct shmbus_producer *producer = example_producer("example-arena");
    struct shmbus_consumer *consumer = example_consumer("example-arena");
    const int64_t prices[] = {101, 102, 103};

    struct shmbus_claim claim;
    struct shmbus_arena arena;
    uint32_t order_offset, prices_offset;
    must(shmbus_producer_claim(producer, 1024, &claim), "claim");
    must(shmbus_arena_begin(&arena, claim.data, claim.length), "begin");
    must(shmbus_arena_take(&arena, sizeof(struct order), 8, &order_offset), "take");
    must(shmbus_arena_take(&arena, sizeof(prices), 8, &prices_offset), "take");
    struct order header = {.id = 42, .price_count = 3, .prices_offset = prices_offset};
    memcpy(arena.base + order_offset, &header, sizeof(header));
    memcpy(arena.base + prices_offset, prices, sizeof(prices));
    claim.length = arena.used; /* send no more than was taken */
    must(shmbus_producer_commit(producer, &claim, 1, 0), "commit");

    struct shmbus_message message;
    const void *order, *found, *nothing;
    must(shmbus_consumer_wait(consumer, SHMBUS_FOREVER), "wait");
    must(shmbus_consumer_next(consumer, &message), "next");
    must(shmbus_message_at(&message, 0, sizeof(struct order), 8, &order), "at");
    const struct order *got = order;
    must(shmbus_message_at(&message, got->prices_offset, got->price_count * sizeof(int64_t), 8,
                           &found),
         "at");
    expect(memcmp(found, prices, sizeof(prices)) == 0, "the prices were found by their offset");
    expect(shmbus_message_at(&message, got->prices_offset, 4096, 8, &nothing) == -EBADMSG,
           "an array that would reach beyond the message is refused");

    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
    must(shmbus_unlink("example-arena", NULL), "unlink");
    return 0;
}
