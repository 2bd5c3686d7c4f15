/* SPDX-License-Identifier: MIT */
/*
 * Reading one event out of a line of a market data file.
 *
 * It is done in two steps, because the second one writes where the message is to be: the head says
 * how many levels there are, the caller claims a place for that many, and the levels are parsed
 * straight into it. Each error says the line, the column and what was expected there.
 */
#ifndef MARKET_EVENT_H
#define MARKET_EVENT_H

#include "market.h"

#include <stddef.h>

#define EVENT_LEVELS_MAX 8000 /* of one side of one event */

/* A line that is being read. */
struct event_line {
    const char *file;   /* its name, for errors */
    size_t number;      /* of the line, from 1 */
    const char *start;  /* first character */
    const char *cursor; /* next character */
    const char *end;    /* one past the last one, its newline not counted */
    unsigned column;    /* that the cursor is in, from 1 */
};

/* What comes before the levels. */
struct event_head {
    char kind; /* 'T', 'S' or 'D' */
    uint32_t symbol;
    int64_t recv_ns;
    int64_t exchange_ns;
    struct market_trade trade; /* kind T: all of it */
    uint32_t bid_count;        /* kinds S and D */
    uint32_t ask_count;
};

/* Begins with a line of length characters, its newline among them or not. */
void event_line_begin(struct event_line *line, const char *file, size_t number, const char *text,
                      size_t length);

/* Reads a trade whole, or a book event up to its levels. 0, or -1 with the reason on stderr. */
int event_read_head(struct event_line *line, struct event_head *out_head);

/*
 * Reads the levels: bid_count into bids, ask_count into asks, and nothing after them. Returns as
 * event_read_head().
 */
int event_read_levels(struct event_line *line, const struct event_head *head,
                      struct market_level *bids, struct market_level *asks);

#endif
