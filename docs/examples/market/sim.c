/* SPDX-License-Identifier: MIT */
/*
 * market-sim: makes market data in the columns of a real recording, for where there is none. Two
 * symbols; each begins with a snapshot of its book and gets another one half way, as exchanges send
 * them; between those come trades, and changes of about 40 levels, now and then of hundreds, a
 * quarter of which take a level away. The same seed makes the same file.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SYMBOLS         2
#define SNAPSHOT_LEVELS 200 /* of each side */
#define CHANGED_MOST    249 /* levels of one side of a change */
#define START_NS        INT64_C(1765615823374082776)

struct instrument {
    uint32_t symbol;
    int64_t centre; /* bids are below it, asks are not */
    int64_t tick;
    int64_t lot;
};

static const struct instrument instruments[SYMBOLS] = {
    {1, 90500000000, 100000, 1000},
    {2, 3117500000, 1000, 10000},
};

static uint64_t state;

/* splitmix64 */
static uint64_t next_random(void)
{
    uint64_t mixed = state += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return mixed ^ (mixed >> 31);
}

/* A number from first to last. */
static int64_t between(int64_t first, int64_t last)
{
    return first + (int64_t)(next_random() % (uint64_t)(last - first + 1));
}

static void print_start(int64_t recv_ns, char kind, const struct instrument *instrument)
{
    int64_t exchange_ns = (recv_ns - between(0, 5000000)) / 1000000 * 1000000;
    printf("%" PRId64 ",%c,%" PRId64 ",%" PRIu32, recv_ns, kind, exchange_ns, instrument->symbol);
}

static void print_trade(int64_t recv_ns, const struct instrument *instrument)
{
    print_start(recv_ns, 'T', instrument);
    printf(",%" PRId64 ",%" PRId64 ",%" PRIu64 ",%" PRId64 "\n",
           instrument->centre + between(-3, 3) * instrument->tick,
           instrument->lot * between(1, 4000), next_random(), between(0, 1));
}

/* Prints levels from the centre outwards; each has a price of its own. */
static void print_side(const struct instrument *instrument, int64_t count, int ask, int removals,
                       const char **parting)
{
    int64_t away = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t qty = instrument->lot * between(1, 5000);
        away += between(1, 3);
        if (removals && between(0, 3) == 0)
            qty = 0;
        printf("%s%" PRId64 ":%" PRId64, *parting,
               instrument->centre + (ask ? away - 1 : -away) * instrument->tick, qty);
        *parting = " ";
    }
}

static void print_book(int64_t recv_ns, char kind, const struct instrument *instrument)
{
    int64_t bids = SNAPSHOT_LEVELS;
    int64_t asks = SNAPSHOT_LEVELS;
    if (kind == 'D') {
        int64_t size = between(0, 99);
        int64_t most = size < 90 ? 40 : size < 98 ? 100 : CHANGED_MOST;
        bids = between(size < 98 ? 0 : 100, most);
        asks = between(size < 98 ? 0 : 100, most);
    }
    const char *parting = "";
    print_start(recv_ns, kind, instrument);
    printf(",%" PRId64 ",%" PRId64 ",", bids, asks);
    print_side(instrument, bids, 0, kind == 'D', &parting);
    print_side(instrument, asks, 1, kind == 'D', &parting);
    putchar('\n');
}

static void simulate(uint64_t events)
{
    int64_t recv_ns = START_NS;
    for (uint64_t i = 0; i < events; i++) {
        const struct instrument *instrument = &instruments[next_random() % SYMBOLS];
        recv_ns += between(10000, 44000000);
        if (i < SYMBOLS)
            print_book(recv_ns, 'S', &instruments[i]);
        else if (i >= events / 2 && i < events / 2 + SYMBOLS)
            print_book(recv_ns, 'S', &instruments[i - events / 2]);
        else if (between(0, 99) < 55)
            print_trade(recv_ns, instrument);
        else
            print_book(recv_ns, 'D', instrument);
    }
}

static int parse_number(const char *text, uint64_t *out_value)
{
    char *end = NULL;
    *out_value = strtoull(text, &end, 10);
    return end == text || *end != '\0' || *text == '-' ? -1 : 0;
}

int main(int count, char **arguments)
{
    uint64_t events;
    if (count != 3 || parse_number(arguments[1], &state) != 0 ||
        parse_number(arguments[2], &events) != 0) {
        fprintf(stderr, "Usage: market-sim SEED EVENTS\n"
                        "Prints that many events of made-up market data.\n");
        return 2;
    }
    simulate(events);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("market-sim: cannot write");
        return 1;
    }
    return 0;
}
