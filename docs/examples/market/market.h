/* SPDX-License-Identifier: MIT */
/*
 * What goes over the market bus: the one thing that market-feed and market-strategy agree on.
 *
 * A trade is one fixed struct that fits a slot of 64 bytes. A book event is a header followed by
 * two arrays of levels, in one slab; the header says where the arrays are as offsets from the
 * payload's first byte, because a pointer would mean nothing in another process. A last message
 * says that the feed came to its end, so that a feed that was stopped half way cannot be taken for
 * a whole one. Prices and quantities are integers scaled by MARKET_SCALE; times are nanoseconds
 * since the epoch.
 */
#ifndef MARKET_H
#define MARKET_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define MARKET_SCALE 100000000 /* of prices and quantities: 1e8 is one */

/* Message types. */
#define MARKET_TRADE    1 /* struct market_trade */
#define MARKET_SNAPSHOT 2 /* struct market_book and levels: replaces the book */
#define MARKET_DELTA    3 /* struct market_book and levels: changes the book */
#define MARKET_END      4 /* struct market_end: there is nothing more to come */

#define MARKET_BUY  0
#define MARKET_SELL 1

struct market_trade {
    int64_t recv_ns;     /* when it was received */
    int64_t exchange_ns; /* the exchange's own stamp */
    int64_t price;
    int64_t qty;
    uint64_t trade_id;
    uint32_t symbol;
    uint32_t side; /* MARKET_BUY or MARKET_SELL */
};

struct market_level {
    int64_t price;
    int64_t qty; /* what is there now; 0 removes the level */
};

struct market_book {
    int64_t recv_ns;
    int64_t exchange_ns;
    uint32_t symbol;
    uint32_t bid_count;   /* levels at bids_offset */
    uint32_t ask_count;   /* levels at asks_offset */
    uint32_t bids_offset; /* from the payload's first byte, like asks_offset */
    uint32_t asks_offset;
    uint32_t reserved; /* 0 */
};

struct market_end {
    uint64_t events; /* how many messages came before this one */
};

static_assert(sizeof(struct market_trade) == 48, "a trade fits a slot of 64 bytes");
static_assert(offsetof(struct market_trade, symbol) == 40, "a trade has no padding");
static_assert(sizeof(struct market_level) == 16, "a level has no padding");
static_assert(sizeof(struct market_book) == 40, "a book's header is 40 bytes");
static_assert(offsetof(struct market_book, symbol) == 16, "a book's header has no padding");
static_assert(sizeof(struct market_end) == 8, "the end is 8 bytes");

#endif
