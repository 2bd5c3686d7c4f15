/* SPDX-License-Identifier: MIT */
/*
 * The order book: sorted arrays, a binary search for each level, a move to make or close a gap.
 * Levels near the best price change most, and they are at the front, so this is not the fastest
 * book; it is one that can be read in a minute.
 */
#include "book.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void book_begin(struct book *book, uint32_t symbol)
{
    *book = (struct book){.symbol = symbol, .asks.rising = true};
}

void book_end(struct book *book)
{
    free(book->bids.levels);
    free(book->asks.levels);
}

void book_clear(struct book *book)
{
    book->bids.count = 0;
    book->asks.count = 0;
}

/* The place of the first level that is not better than a price. */
static size_t side_find(const struct book_side *side, int64_t price)
{
    size_t low = 0;
    size_t high = side->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int64_t there = side->levels[middle].price;
        if (side->rising ? there < price : there > price)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int side_grow(struct book_side *side)
{
    size_t room = side->room == 0 ? 256 : side->room * 2;
    struct market_level *levels = realloc(side->levels, room * sizeof(*levels));
    if (levels == NULL)
        return -1;
    side->levels = levels;
    side->room = room;
    return 0;
}

int book_side_set(struct book_side *side, const struct market_level *levels, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (side->count == side->room && side_grow(side) != 0)
            return -1;
        size_t at = side_find(side, levels[i].price);
        struct market_level *place = side->levels + at;
        bool known = at < side->count && place->price == levels[i].price;
        if (levels[i].qty == 0 && known) {
            side->count--;
            memmove(place, place + 1, (side->count - at) * sizeof(*place));
        } else if (known) {
            place->qty = levels[i].qty;
        } else if (levels[i].qty != 0) {
            memmove(place + 1, place, (side->count - at) * sizeof(*place));
            *place = levels[i];
            side->count++;
        }
    }
    return 0;
}

void book_trade(struct book *book, const struct market_trade *trade)
{
    struct book_trades *traded = &book->traded[trade->side];
    __extension__ unsigned __int128 qty = (uint64_t)trade->qty;
    traded->count++;
    traded->qty += (uint64_t)trade->qty;
    traded->value += qty * (uint64_t)trade->price;
    book->last = *trade;
}

static void print_scaled(FILE *output, const char *before, uint64_t value)
{
    fprintf(output, "%s%" PRIu64 ".%08" PRIu64, before, value / MARKET_SCALE, value % MARKET_SCALE);
}

static void print_traded(FILE *output, const char *side, const struct book_trades *traded)
{
    const uint64_t scale = (uint64_t)MARKET_SCALE * MARKET_SCALE;
    fprintf(output, "  %s trades %" PRIu64, side, traded->count);
    print_scaled(output, " quantity ", traded->qty);
    fprintf(output, " value %" PRIu64 ".%016" PRIu64 "\n", (uint64_t)(traded->value / scale),
            (uint64_t)(traded->value % scale));
}

static void print_side(FILE *output, const char *name, const struct book_side *side)
{
    fprintf(output, "  %s %zu\n", name, side->count);
    for (size_t i = 0; i < side->count; i++) {
        print_scaled(output, "    ", (uint64_t)side->levels[i].price);
        print_scaled(output, " ", (uint64_t)side->levels[i].qty);
        fputc('\n', output);
    }
}

void book_print(const struct book *book, FILE *output)
{
    const struct market_trade *last = &book->last;
    fprintf(output, "symbol %" PRIu32 "\n", book->symbol);
    print_traded(output, "buy", &book->traded[MARKET_BUY]);
    print_traded(output, "sell", &book->traded[MARKET_SELL]);
    if (book->traded[MARKET_BUY].count + book->traded[MARKET_SELL].count != 0) {
        print_scaled(output, "  last trade price ", (uint64_t)last->price);
        print_scaled(output, " quantity ", (uint64_t)last->qty);
        fprintf(output, " id %" PRIu64 " side %s received %" PRId64 " stamped %" PRId64 "\n",
                last->trade_id, last->side == MARKET_BUY ? "buy" : "sell", last->recv_ns,
                last->exchange_ns);
    }
    print_side(output, "bids", &book->bids);
    print_side(output, "asks", &book->asks);
}
