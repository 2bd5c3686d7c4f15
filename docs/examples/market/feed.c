/* SPDX-License-Identifier: MIT */
/*
 * market-feed: a feed handler. Reads market data from a file and publishes it on a bus that it
 * creates: a trade as one struct in a slot, a book event as header and two arrays of levels in a
 * slab. The levels are parsed straight into the slab, so between the text and the consumers' order
 * books nothing is copied. When the file is at its end it says so, waits until every consumer has
 * read all, closes the bus and removes it.
 */
#include "event.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <shmbus/shmbus.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Entries for consumers on the bus. */
#define CONSUMERS 64

/* How long one call waits for room or consumers before the stop flag is looked at again. */
#define SLICE_NS 100000000

struct feed {
    const char *bus;
    const char *file;
    uint32_t wait_consumers; /* required ones to wait for before the first message */
    double speed;            /* times as fast as recorded; 0: no pacing */
    bool keep;               /* leave the bus behind */
    struct shmbus_producer *producer;
    FILE *input;
    bool started;           /* the next two are set */
    int64_t first_recv_ns;  /* of the first event */
    int64_t first_sent_ns;  /* when that one was sent, CLOCK_MONOTONIC */
    uint64_t trades;        /* published so far */
    uint64_t books;         /* published so far */
    uint64_t largest_bytes; /* the longest message so far */
};

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

static int failed(const char *what, const char *name)
{
    fprintf(stderr, "market-feed: %s '%s': %s\n", what, name, shmbus_error_text());
    return -1;
}

static int stopped(const struct feed *feed)
{
    fprintf(stderr, "market-feed: stopped after %" PRIu64 " events\n", feed->trades + feed->books);
    return -1;
}

/* A small ring and pool, as this feed needs them: some 1,000 messages, 300 of them book events. */
static int create_bus(struct feed *feed)
{
    struct shmbus_bus_options bus = {
        .struct_bytes = sizeof(bus),
        .capacity = 1024,
        .max_consumers = CONSUMERS,
        .class_count = 3,
        .classes = {{1024, 256}, {8192, 64}, {262144, 4}},
    };
    struct shmbus_producer_options options = {
        .struct_bytes = sizeof(options),
        .full_timeout_ns = SLICE_NS,
    };
    static_assert(sizeof(struct market_book) + sizeof(struct market_level) * 2 * EVENT_LEVELS_MAX <=
                      262144,
                  "the longest event fits the largest slab");
    if (shmbus_producer_create(feed->bus, &bus, &options, &feed->producer) != 0)
        return failed("cannot create the bus", feed->bus);
    return 0;
}

static int wait_consumers(const struct feed *feed)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    for (;;) {
        int there = shmbus_producer_required(feed->producer, NULL);
        if (there < 0)
            return failed("cannot count the consumers of", feed->bus);
        if ((uint32_t)there >= feed->wait_consumers)
            return 0;
        if (stop)
            return stopped(feed);
        nanosleep(&pause, NULL);
    }
}

static int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Waits until an event is due. */
static int pace(struct feed *feed, int64_t recv_ns)
{
    if (!feed->started) {
        feed->first_recv_ns = recv_ns;
        feed->first_sent_ns = monotonic_ns();
        feed->started = true;
    }
    if (feed->speed > 0) {
        double after_ns = (double)(recv_ns - feed->first_recv_ns) / feed->speed;
        for (;;) {
            double left_ns = after_ns - (double)(monotonic_ns() - feed->first_sent_ns);
            if (left_ns <= 0 || stop)
                break;
            long slice_ns = left_ns < SLICE_NS ? (long)left_ns : SLICE_NS;
            nanosleep(&(struct timespec){.tv_nsec = slice_ns}, NULL);
        }
    }
    return stop ? stopped(feed) : 0;
}

/* Lends a place, however long the consumers take to make room for it. */
static int claim(struct feed *feed, uint32_t length, struct shmbus_claim *out_claim)
{
    for (;;) {
        int error = shmbus_producer_claim(feed->producer, length, out_claim);
        if (error == 0)
            return 0;
        if (error != -EAGAIN && error != -ENOBUFS)
            return failed("cannot publish on", feed->bus);
        if (stop)
            return stopped(feed);
    }
}

static int commit(struct feed *feed, const struct shmbus_claim *place, uint16_t type)
{
    if (shmbus_producer_commit(feed->producer, place, type, 0) != 0)
        return failed("cannot publish on", feed->bus);
    if (place->length > feed->largest_bytes)
        feed->largest_bytes = place->length;
    return 0;
}

static int publish_trade(struct feed *feed, const struct event_head *head)
{
    struct shmbus_claim place;
    if (claim(feed, sizeof(head->trade), &place) != 0)
        return -1;
    memcpy(place.data, &head->trade, sizeof(head->trade));
    feed->trades++;
    return commit(feed, &place, MARKET_TRADE);
}

static int publish_book(struct feed *feed, const struct event_head *head, struct event_line *line)
{
    const uint32_t bids_bytes = head->bid_count * (uint32_t)sizeof(struct market_level);
    const uint32_t asks_bytes = head->ask_count * (uint32_t)sizeof(struct market_level);
    struct shmbus_claim place;
    struct shmbus_arena arena;
    uint32_t book_offset, bids_offset, asks_offset;

    if (claim(feed, (uint32_t)sizeof(struct market_book) + bids_bytes + asks_bytes, &place) != 0)
        return -1;
    if (shmbus_arena_begin(&arena, place.data, place.length) != 0 ||
        shmbus_arena_take(&arena, sizeof(struct market_book), 8, &book_offset) != 0 ||
        shmbus_arena_take(&arena, bids_bytes, 8, &bids_offset) != 0 ||
        shmbus_arena_take(&arena, asks_bytes, 8, &asks_offset) != 0) {
        failed("cannot lay out a book event for", feed->bus);
        goto abort;
    }
    *(struct market_book *)(void *)(arena.base + book_offset) = (struct market_book){
        .recv_ns = head->recv_ns,
        .exchange_ns = head->exchange_ns,
        .symbol = head->symbol,
        .bid_count = head->bid_count,
        .ask_count = head->ask_count,
        .bids_offset = bids_offset,
        .asks_offset = asks_offset,
    };
    if (event_read_levels(line, head, (void *)(arena.base + bids_offset),
                          (void *)(arena.base + asks_offset)) != 0)
        goto abort;
    place.length = arena.used;
    feed->books++;
    return commit(feed, &place, head->kind == 'S' ? MARKET_SNAPSHOT : MARKET_DELTA);

abort:
    shmbus_producer_abort(feed->producer, &place);
    return -1;
}

static int publish_line(struct feed *feed, struct event_line *line)
{
    struct event_head head;
    if (event_read_head(line, &head) != 0 || pace(feed, head.recv_ns) != 0)
        return -1;
    return head.kind == 'T' ? publish_trade(feed, &head) : publish_book(feed, &head, line);
}

static int publish_end(struct feed *feed)
{
    const struct market_end end = {.events = feed->trades + feed->books};
    struct shmbus_claim place;
    if (claim(feed, sizeof(end), &place) != 0)
        return -1;
    memcpy(place.data, &end, sizeof(end));
    if (commit(feed, &place, MARKET_END) != 0)
        return -1;
    for (;;) {
        int error = shmbus_producer_flush(feed->producer, SLICE_NS);
        if (error == 0)
            return 0;
        if (error != -ETIMEDOUT)
            return failed("cannot flush", feed->bus);
        if (stop)
            return stopped(feed);
    }
}

static int publish_input(struct feed *feed)
{
    char *text = NULL;
    size_t text_bytes = 0;
    int result = 0;

    for (size_t number = 1; result == 0; number++) {
        struct event_line line;
        ssize_t length = getline(&text, &text_bytes, feed->input);
        if (length < 0)
            break;
        event_line_begin(&line, feed->file, number, text, (size_t)length);
        result = publish_line(feed, &line);
    }
    if (result == 0 && !feof(feed->input)) {
        fprintf(stderr, "market-feed: cannot read '%s': %s\n", feed->file, strerror(errno));
        result = -1;
    }
    free(text);
    return result;
}

static int publish_all(struct feed *feed)
{
    int result = create_bus(feed);
    if (result != 0)
        return result;
    if (wait_consumers(feed) != 0 || publish_input(feed) != 0 || publish_end(feed) != 0)
        result = -1;
    shmbus_producer_close(feed->producer);
    if (!feed->keep && shmbus_unlink(feed->bus, NULL) != 0)
        result = failed("cannot remove", feed->bus);
    return result;
}

static int run(struct feed *feed)
{
    feed->input = fopen(feed->file, "r");
    if (feed->input == NULL) {
        fprintf(stderr, "market-feed: cannot open '%s': %s\n", feed->file, strerror(errno));
        return -1;
    }
    int result = publish_all(feed);
    if (result == 0)
        printf("market-feed: %" PRIu64 " trades and %" PRIu64
               " book events published, the longest of %" PRIu64 " bytes\n",
               feed->trades, feed->books, feed->largest_bytes);
    fclose(feed->input);
    return result;
}

static const char usage[] =
    "Usage: market-feed BUS FILE [OPTION]...\n"
    "Publishes the market data in FILE on BUS.\n"
    "\n"
    "  --wait-consumers N  begin once N required consumers are attached\n"
    "  --speed FACTOR      pace the events FACTOR times as fast as they were recorded\n"
    "                      (default: as fast as the consumers can take them)\n"
    "  --keep              leave the bus behind at the end\n"
    "  --help              show this text\n"
    "\n"
    "The bus is made in $SHMBUS_DIR, and without that in /dev/shm.\n";

static int usage_error(const char *what, const char *value)
{
    fprintf(stderr, "market-feed: %s%s; try 'market-feed --help'\n", what, value);
    return 2;
}

/* -1 to go on, or the exit code. */
static int parse_arguments(int count, char **arguments, struct feed *feed)
{
    static const struct option options[] = {
        {"wait-consumers", required_argument, NULL, 'w'},
        {"speed", required_argument, NULL, 's'},
        {"keep", no_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;) {
        char *end = NULL;
        if (option == 'w') {
            long value = strtol(optarg, &end, 10);
            if (end == optarg || *end != '\0' || value < 0 || value > CONSUMERS)
                return usage_error("--wait-consumers wants 0 to 64, not ", optarg);
            feed->wait_consumers = (uint32_t)value;
        } else if (option == 's') {
            feed->speed = strtod(optarg, &end);
            if (end == optarg || *end != '\0' || !isfinite(feed->speed) || feed->speed <= 0)
                return usage_error("--speed wants a number above 0, not ", optarg);
        } else if (option == 'k') {
            feed->keep = true;
        } else if (option == 'h') {
            fputs(usage, stdout);
            return 0;
        } else {
            return usage_error("that is not how it is called", "");
        }
    }
    if (count - optind != 2)
        return usage_error("wants a BUS and a FILE", "");
    feed->bus = arguments[optind];
    feed->file = arguments[optind + 1];
    return -1;
}

int main(int count, char **arguments)
{
    struct feed feed = {0};
    struct sigaction action = {.sa_handler = on_signal};
    int code = parse_arguments(count, arguments, &feed);
    if (code >= 0)
        return code;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return run(&feed) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
