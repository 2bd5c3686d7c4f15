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
    unsigned long symbol;
    int ask; /* 1 for an ask, 0 for a bid */
    uint64_t price;
    uint64_t qty;
};

struct total {
    unsigned long symbol;
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

static struct total *total_of(unsigned long symbol)
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

static void forget_rows(unsigned long symbol)
{
    size_t kept = 0;
    for (size_t i = 0; i < row_count; i++)
        if (rows[i].symbol != symbol)
            rows[kept++] = rows[i];
    row_count = kept;
}

static void set_row(unsigned long symbol, int ask, uint64_t price, uint64_t qty)
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

static void read_trade(const char *line)
{
    uint64_t received, stamped, price, qty, id;
    unsigned long symbol;
    int side;
    if (sscanf(line, "%" SCNu64 ",T,%" SCNu64 ",%lu,%" SCNu64 ",%" SCNu64 ",%" SCNu64 ",%d",
               &received, &stamped, &symbol, &price, &qty, &id, &side) != 7)
        die("a trade cannot be read");
    if (side != 0 && side != 1)
        die("a trade's side is neither 0 nor 1");
    struct total *total = total_of(symbol);
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

static void read_book(char *line)
{
    unsigned long symbol, bids, asks;
    char kind;
    int levels_at = 0;
    if (sscanf(line, "%*u,%c,%*u,%lu,%lu,%lu,%n", &kind, &symbol, &bids, &asks, &levels_at) != 4 ||
        levels_at == 0)
        die("a book event cannot be read");
    total_of(symbol);
    if (kind == 'S')
        forget_rows(symbol);
    char *text = strtok(line + levels_at, " \n");
    for (unsigned long i = 0; i < bids + asks; i++) {
        uint64_t price, qty;
        if (text == NULL || sscanf(text, "%" SCNu64 ":%" SCNu64, &price, &qty) != 2)
            die("a level cannot be read");
        set_row(symbol, i >= bids, price, qty);
        text = strtok(NULL, " \n");
    }
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

static void print_side(const char *name, unsigned long symbol, int ask)
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
        printf("symbol %lu\n", total->symbol);
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
    while (getline(&line, &line_bytes, file) > 0) {
        const char *comma = strchr(line, ',');
        if (comma == NULL)
            die("a line without columns");
        if (comma[1] == 'T')
            read_trade(line);
        else
            read_book(line);
    }
    print_all();
    free(line);
    free(rows);
    free(totals);
    fclose(file);
    return 0;
}
