/* SPDX-License-Identifier: MIT */
/*
 * market-reference: the order books and trade totals straight from the file, to compare with what
 * the strategies print. It has nothing of the bus and shares no code with the other programs. It is
 * as simple as it can be on purpose: one unsorted table of levels, searched from its start, sorted
 * only to be printed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct row {
    uint64_t symbol;
    int ask; /* 1 for an ask, 0 for a bid */
    uint64_t price;
    uint64_t qty;
};

struct total {
    uint64_t symbol;
    uint64_t count[2]; /* buy, sell */
    uint64_t qty[2];
    __extension__ unsigned __int128 value[2];
    char last[256]; /* the line about the last trade */
};

static struct row *rows;
static size_t row_count;
static struct total *totals;
static size_t total_count;

__attribute__((noreturn)) static void die(const char *why)
{
    fprintf(stderr, "market-reference: %s\n", why);
    exit(1);
}

static struct total *total_of(uint64_t symbol)
{
    for (size_t i = 0; i < total_count; i++)
        if (totals[i].symbol == symbol)
            return &totals[i];
    totals = realloc(totals, (total_count + 1) * sizeof(*totals));
    if (totals == NULL)
        die("out of memory");
    memset(&totals[total_count], 0, sizeof(*totals));
    totals[total_count].symbol = symbol;
    return &totals[total_count++];
}

static void forget_rows(uint64_t symbol)
{
    size_t kept = 0;
    for (size_t i = 0; i < row_count; i++)
        if (rows[i].symbol != symbol)
            rows[kept++] = rows[i];
    row_count = kept;
}

static void set_row(uint64_t symbol, int ask, uint64_t price, uint64_t qty)
{
    for (size_t i = 0; i < row_count; i++) {
        if (rows[i].symbol == symbol && rows[i].ask == ask && rows[i].price == price) {
            rows[i].qty = qty;
            if (qty == 0)
                rows[i] = rows[--row_count];
            return;
        }
    }
    if (qty == 0)
        return;
    rows = realloc(rows, (row_count + 1) * sizeof(*rows));
    if (rows == NULL)
        die("out of memory");
    rows[row_count++] = (struct row){symbol, ask, price, qty};
}

/* The number at *at; moves *at behind it and the character that has to follow it. */
static uint64_t number(char **at, char follows)
{
    char *end;
    uint64_t value = strtoull(*at, &end, 10);
    if (end == *at || (*end != follows && !(*end == '\0' && follows == '\n')))
        die("a number is not where it should be");
    *at = end + (*end != '\0');
    return value;
}

static void read_trade(uint64_t received, char *at)
{
    uint64_t stamped = number(&at, ',');
    struct total *total = total_of(number(&at, ','));
    uint64_t price = number(&at, ',');
    uint64_t qty = number(&at, ',');
    uint64_t id = number(&at, ',');
    uint64_t side = number(&at, '\n');
    if (side > 1)
        die("a trade's side is neither 0 nor 1");
    __extension__ unsigned __int128 value = price;
    total->count[side] += 1;
    total->qty[side] += qty;
    total->value[side] += value * qty;
    snprintf(total->last, sizeof(total->last),
             "  last trade price %" PRIu64 ".%08" PRIu64 " quantity %" PRIu64 ".%08" PRIu64
             " id %" PRIu64 " side %s received %" PRIu64 " stamped %" PRIu64 "\n",
             price / 100000000, price % 100000000, qty / 100000000, qty % 100000000, id,
             side == 0 ? "buy" : "sell", received, stamped);
}

static void read_book(char kind, char *at)
{
    number(&at, ',');
    uint64_t symbol = number(&at, ',');
    uint64_t bids = number(&at, ',');
    uint64_t asks = number(&at, ',');
    total_of(symbol);
    if (kind == 'S')
        forget_rows(symbol);
    for (uint64_t i = 0; i < bids + asks; i++) {
        uint64_t price = number(&at, ':');
        uint64_t qty = number(&at, i + 1 < bids + asks ? ' ' : '\n');
        set_row(symbol, i >= bids, price, qty);
    }
}

static void read_line(char *at)
{
    uint64_t received = number(&at, ',');
    char kind = at[0];
    if (kind == '\0' || at[1] != ',')
        die("the kind is not where it should be");
    if (kind == 'T')
        read_trade(received, at + 2);
    else
        read_book(kind, at + 2);
}

static int by_symbol(const void *left, const void *right)
{
    const struct total *a = left, *b = right;
    return a->symbol < b->symbol ? -1 : a->symbol > b->symbol;
}

/* Bids from the highest price down, then asks from the lowest up. */
static int by_price(const void *left, const void *right)
{
    const struct row *a = left, *b = right;
    if (a->ask != b->ask)
        return a->ask - b->ask;
    int order = a->price < b->price ? -1 : a->price > b->price;
    return a->ask ? order : -order;
}

static void print_side(const char *name, uint64_t symbol, int ask)
{
    size_t count = 0;
    for (size_t i = 0; i < row_count; i++)
        count += rows[i].symbol == symbol && rows[i].ask == ask;
    printf("  %s %zu\n", name, count);
    for (size_t i = 0; i < row_count; i++)
        if (rows[i].symbol == symbol && rows[i].ask == ask)
            printf("    %" PRIu64 ".%08" PRIu64 " %" PRIu64 ".%08" PRIu64 "\n",
                   rows[i].price / 100000000, rows[i].price % 100000000, rows[i].qty / 100000000,
                   rows[i].qty % 100000000);
}

static void print_all(void)
{
    const uint64_t scale = 10000000000000000;
    qsort(totals, total_count, sizeof(*totals), by_symbol);
    qsort(rows, row_count, sizeof(*rows), by_price);
    for (size_t i = 0; i < total_count; i++) {
        const struct total *total = &totals[i];
        printf("symbol %" PRIu64 "\n", total->symbol);
        for (int side = 0; side < 2; side++)
            printf("  %s trades %" PRIu64 " quantity %" PRIu64 ".%08" PRIu64 " value %" PRIu64
                   ".%016" PRIu64 "\n",
                   side == 0 ? "buy" : "sell", total->count[side], total->qty[side] / 100000000,
                   total->qty[side] % 100000000, (uint64_t)(total->value[side] / scale),
                   (uint64_t)(total->value[side] % scale));
        printf("%s", total->last);
        print_side("bids", total->symbol, 0);
        print_side("asks", total->symbol, 1);
    }
}

int main(int count, char **arguments)
{
    char *line = NULL;
    size_t line_bytes = 0;
    FILE *file = count == 2 ? fopen(arguments[1], "r") : NULL;
    if (count != 2) {
        fprintf(stderr, "Usage: market-reference FILE\n");
        return 2;
    }
    if (file == NULL)
        die("the file cannot be opened");
    while (getline(&line, &line_bytes, file) > 0)
        read_line(line);
    print_all();
    free(line);
    free(rows);
    free(totals);
    fclose(file);
    return 0;
}
