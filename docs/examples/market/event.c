/* SPDX-License-Identifier: MIT */
/*
 * Reads one event out of a line. Nothing is guessed: a number is digits and nothing else, in its
 * range, and ends with what has to follow it; a line has its columns and no more.
 */
#include "event.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SEPARATOR ','
#define LAST      '\0' /* instead of a separator: the line has to end here */

static const char *const trade_columns[] = {"recv_ns", "kind", "exchange_ns", "symbol",
                                            "price",   "qty",  "trade_id",    "side"};
static const char *const book_columns[] = {"recv_ns", "kind",  "exchange_ns", "symbol",
                                           "nbids",   "nasks", "levels"};

void event_line_begin(struct event_line *line, const char *file, size_t number, const char *text,
                      size_t length)
{
    if (length > 0 && text[length - 1] == '\n')
        length--;
    line->file = file;
    line->number = number;
    line->start = text;
    line->cursor = text;
    line->end = text + length;
    line->column = 1;
}

/* Says what is wrong where the line is being read. Returns -1. */
static int line_error(const struct event_line *line, const char *const *columns, const char *wrong)
{
    fprintf(stderr, "%s:%zu: column %u (%s), character %td: %s", line->file, line->number,
            line->column, columns[line->column - 1], line->cursor - line->start + 1, wrong);
    if (line->cursor == line->end)
        fputs(", but the line ends here\n", stderr);
    else if (*line->cursor > ' ' && *line->cursor < 127)
        fprintf(stderr, ", but here is '%c'\n", *line->cursor);
    else
        fprintf(stderr, ", but here is byte 0x%02x\n", (unsigned char)*line->cursor);
    return -1;
}

static int number_error(const struct event_line *line, const char *const *columns, uint64_t most)
{
    char wrong[64];
    snprintf(wrong, sizeof(wrong), "the number must not exceed %" PRIu64, most);
    return line_error(line, columns, wrong);
}

/* Reads digits up to what is not one. */
static int read_number(struct event_line *line, const char *const *columns, uint64_t most,
                       uint64_t *out_value)
{
    const char *first = line->cursor;
    uint64_t value = 0;
    while (line->cursor < line->end && *line->cursor >= '0' && *line->cursor <= '9') {
        uint64_t digit = (uint64_t)(*line->cursor - '0');
        if (digit > most || value > (most - digit) / 10)
            return number_error(line, columns, most);
        value = value * 10 + digit;
        line->cursor++;
    }
    if (line->cursor == first)
        return line_error(line, columns, "expected a digit");
    *out_value = value;
    return 0;
}

/* Steps over what ends a column. */
static int read_end(struct event_line *line, const char *const *columns, char what)
{
    if (what == LAST) {
        if (line->cursor != line->end)
            return line_error(line, columns, "expected the end of the line");
        return 0;
    }
    if (line->cursor == line->end || *line->cursor != what) {
        char wrong[16];
        snprintf(wrong, sizeof(wrong), "expected '%c'", what);
        return line_error(line, columns, wrong);
    }
    line->cursor++;
    if (what == SEPARATOR)
        line->column++;
    return 0;
}

static int read_signed(struct event_line *line, const char *const *columns, char end,
                       int64_t *out_value)
{
    uint64_t value;
    if (read_number(line, columns, INT64_MAX, &value) != 0 || read_end(line, columns, end) != 0)
        return -1;
    *out_value = (int64_t)value;
    return 0;
}

static int read_small(struct event_line *line, const char *const *columns, uint32_t most, char end,
                      uint32_t *out_value)
{
    uint64_t value;
    if (read_number(line, columns, most, &value) != 0 || read_end(line, columns, end) != 0)
        return -1;
    *out_value = (uint32_t)value;
    return 0;
}

static int read_trade(struct event_line *line, struct event_head *head)
{
    struct market_trade *trade = &head->trade;
    if (read_signed(line, trade_columns, SEPARATOR, &trade->price) != 0 ||
        read_signed(line, trade_columns, SEPARATOR, &trade->qty) != 0 ||
        read_number(line, trade_columns, UINT64_MAX, &trade->trade_id) != 0 ||
        read_end(line, trade_columns, SEPARATOR) != 0 ||
        read_small(line, trade_columns, MARKET_SELL, LAST, &trade->side) != 0)
        return -1;
    trade->recv_ns = head->recv_ns;
    trade->exchange_ns = head->exchange_ns;
    trade->symbol = head->symbol;
    return 0;
}

int event_read_head(struct event_line *line, struct event_head *out_head)
{
    struct event_head head;
    const char *const *columns = book_columns;

    memset(&head, 0, sizeof(head));
    if (read_signed(line, columns, SEPARATOR, &head.recv_ns) != 0)
        return -1;
    if (line->cursor < line->end)
        head.kind = *line->cursor;
    if (head.kind != 'T' && head.kind != 'S' && head.kind != 'D')
        return line_error(line, columns, "expected T (trade), S (snapshot) or D (delta)");
    line->cursor++;
    if (head.kind == 'T')
        columns = trade_columns;
    if (read_end(line, columns, SEPARATOR) != 0 ||
        read_signed(line, columns, SEPARATOR, &head.exchange_ns) != 0 ||
        read_small(line, columns, UINT32_MAX, SEPARATOR, &head.symbol) != 0)
        return -1;
    if (head.kind == 'T') {
        if (read_trade(line, &head) != 0)
            return -1;
    } else if (read_small(line, columns, EVENT_LEVELS_MAX, SEPARATOR, &head.bid_count) != 0 ||
               read_small(line, columns, EVENT_LEVELS_MAX, SEPARATOR, &head.ask_count) != 0) {
        return -1;
    }
    *out_head = head;
    return 0;
}

int event_read_levels(struct event_line *line, const struct event_head *head,
                      struct market_level *bids, struct market_level *asks)
{
    uint32_t count = head->bid_count + head->ask_count;
    if (count == 0)
        return read_end(line, book_columns, LAST);
    for (uint32_t i = 0; i < count; i++) {
        struct market_level *level = i < head->bid_count ? &bids[i] : &asks[i - head->bid_count];
        char end = i + 1 < count ? ' ' : LAST;
        if (read_signed(line, book_columns, ':', &level->price) != 0 ||
            read_signed(line, book_columns, end, &level->qty) != 0)
            return -1;
    }
    return 0;
}
