/* SPDX-License-Identifier: MIT */
/*
 * The order book of one symbol, and what was traded in it: what a strategy keeps in its own memory.
 * Each side is an array sorted from the best price on, so that the best is the first.
 */
#ifndef MARKET_BOOK_H
#define MARKET_BOOK_H

#include "market.h"

#include <stdbool.h>
#include <stdio.h>

/* One side of a book. */
struct book_side {
    struct market_level *levels; /* best first; none has qty 0 */
    size_t count;
    size_t room;
    bool rising; /* asks: the lowest price is the best */
};

/* Sums over the trades of one side. */
struct book_trades {
    uint64_t count;
    uint64_t qty;
    __extension__ unsigned __int128 value; /* of price times qty */
};

struct book {
    uint32_t symbol;
    struct book_side bids;
    struct book_side asks;
    struct book_trades traded[2]; /* by MARKET_BUY and MARKET_SELL */
    struct market_trade last;     /* the last trade, if there was one */
};

void book_begin(struct book *book, uint32_t symbol);
void book_end(struct book *book);

/* Empties both sides. What was traded stays. */
void book_clear(struct book *book);

/* Sets count levels of one side; a qty of 0 removes. 0, or -1 when there is no memory. */
int book_side_set(struct book_side *side, const struct market_level *levels, size_t count);

void book_trade(struct book *book, const struct market_trade *trade);

/* Prints the book and the totals in the text that market-reference prints too. */
void book_print(const struct book *book, FILE *output);

#endif
