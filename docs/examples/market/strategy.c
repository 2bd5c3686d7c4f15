/* SPDX-License-Identifier: MIT */
/*
 * market-strategy: a consumer that its feed must not outrun. It rebuilds the order book of each
 * symbol from the messages where they lie in shared memory, adds up the trades, and prints both
 * when the stream has ended. What a message says about itself is checked before it is used: its
 * length, the places of its levels, the side of a trade.
 */
#include "book.h"
#include "market.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <shmbus/shmbus.h>
#include <stdlib.h>
#include <string.h>

struct strategy {
    const char *bus;
    const char *name;   /* as shmbus-stat shows it */
    int64_t wait_ns;    /* for the bus to appear */
    struct book *books; /* one for each symbol, by rising symbol */
    size_t book_count;
    uint64_t events; /* taken in so far */
    bool ended;      /* the feed said that there is no more */
    bool failed;     /* why was said */
};

/* Says what is wrong with a message, and ends the poll. */
static int refuse(struct strategy *strategy, const struct shmbus_message *message, const char *why)
{
    fprintf(stderr, "market-strategy: message %" PRIu64 " of type %u, %" PRIu32 " bytes: %s\n",
            message->sequence, (unsigned)message->type, message->length, why);
    strategy->failed = true;
    return 1;
}

static struct book *find_book(struct strategy *strategy, uint32_t symbol)
{
    size_t at = 0;
    while (at < strategy->book_count && strategy->books[at].symbol < symbol)
        at++;
    if (at < strategy->book_count && strategy->books[at].symbol == symbol)
        return &strategy->books[at];

    size_t bytes = (strategy->book_count + 1) * sizeof(struct book);
    struct book *books = realloc(strategy->books, bytes);
    if (books == NULL)
        return NULL;
    strategy->books = books;
    memmove(&books[at + 1], &books[at], (strategy->book_count - at) * sizeof(struct book));
    strategy->book_count++;
    book_begin(&books[at], symbol);
    return &books[at];
}

static int take_trade(struct strategy *strategy, const struct shmbus_message *message)
{
    const struct market_trade *trade = message->data;
    if (message->length != sizeof(*trade))
        return refuse(strategy, message, "a trade has 48 bytes");
    if (trade->side > MARKET_SELL || trade->price < 0 || trade->qty < 0)
        return refuse(strategy, message, "a trade's side, price or quantity is out of range");
    struct book *book = find_book(strategy, trade->symbol);
    if (book == NULL)
        return refuse(strategy, message, "no memory for another symbol");
    book_trade(book, trade);
    strategy->events++;
    return 0;
}

/* Finds an array of levels in a message and puts it into one side of a book. */
static int take_side(const struct shmbus_message *message, uint32_t offset, uint32_t count,
                     struct book_side *side)
{
    const void *levels;
    int error = shmbus_message_at(message, offset, count * (uint64_t)sizeof(struct market_level),
                                  _Alignof(struct market_level), &levels);
    return error != 0 ? error : book_side_set(side, levels, count);
}

static int take_book(struct strategy *strategy, const struct shmbus_message *message)
{
    const struct market_book *event = message->data;
    if (message->length < sizeof(*event))
        return refuse(strategy, message, "a book event has 40 bytes at least");
    struct book *book = find_book(strategy, event->symbol);
    if (book == NULL)
        return refuse(strategy, message, "no memory for another symbol");
    if (message->type == MARKET_SNAPSHOT)
        book_clear(book);
    if (take_side(message, event->bids_offset, event->bid_count, &book->bids) != 0 ||
        take_side(message, event->asks_offset, event->ask_count, &book->asks) != 0)
        return refuse(strategy, message, "its levels are not inside it, or there is no memory");
    strategy->events++;
    return 0;
}

static int take_end(struct strategy *strategy, const struct shmbus_message *message)
{
    const struct market_end *end = message->data;
    if (message->length != sizeof(*end))
        return refuse(strategy, message, "the end has 8 bytes");
    if (end->events != strategy->events)
        return refuse(strategy, message,
                      "the feed sent more events than were seen: start before it");
    strategy->ended = true;
    return 0;
}

static int on_message(const struct shmbus_message *message, void *context)
{
    struct strategy *strategy = context;
    if (strategy->ended)
        return refuse(strategy, message, "there was to be nothing after the end");
    switch (message->type) {
    case MARKET_TRADE:
        return take_trade(strategy, message);
    case MARKET_SNAPSHOT:
    case MARKET_DELTA:
        return take_book(strategy, message);
    case MARKET_END:
        return take_end(strategy, message);
    default:
        return refuse(strategy, message, "not a type of a market bus");
    }
}

static int failed(const struct strategy *strategy, const char *what)
{
    fprintf(stderr, "market-strategy: %s '%s': %s\n", what, strategy->bus, shmbus_error_text());
    return -1;
}

/* Reads to the end of the stream. */
static int follow(struct strategy *strategy, struct shmbus_consumer *consumer)
{
    for (;;) {
        int count = shmbus_consumer_poll(consumer, on_message, strategy, 256);
        if (strategy->failed)
            return -1;
        if (count == 0)
            count = shmbus_consumer_wait(consumer, SHMBUS_FOREVER);
        if (count == -EPIPE)
            break;
        if (count < 0)
            return failed(strategy, "cannot read on from");
    }
    if (strategy->ended)
        return 0;
    fprintf(stderr, "market-strategy: '%s' was closed before the feed came to its end\n",
            strategy->bus);
    return -1;
}

static int run(struct strategy *strategy)
{
    const struct shmbus_consumer_options options = {
        .struct_bytes = sizeof(options),
        .name = strategy->name,
        .kind = SHMBUS_REQUIRED,
        .from = SHMBUS_FROM_OLDEST,
        .wait_ns = strategy->wait_ns,
    };
    struct shmbus_consumer *consumer;
    if (shmbus_consumer_open(strategy->bus, &options, &consumer) != 0)
        return failed(strategy, "cannot attach to");
    int result = follow(strategy, consumer);
    shmbus_consumer_close(consumer);

    for (size_t i = 0; i < strategy->book_count; i++) {
        if (result == 0)
            book_print(&strategy->books[i], stdout);
        book_end(&strategy->books[i]);
    }
    free(strategy->books);
    if (result == 0 && (fflush(stdout) != 0 || ferror(stdout))) {
        fprintf(stderr, "market-strategy: cannot write the result: %s\n", strerror(errno));
        result = -1;
    }
    return result;
}

static const char usage[] =
    "Usage: market-strategy BUS [OPTION]...\n"
    "Follows the market data on BUS to its end, then prints the order books and what was traded.\n"
    "\n"
    "  --name NAME     what shmbus-stat calls this consumer (default: market-strategy)\n"
    "  --wait SECONDS  how long to wait for the bus to appear (default: 10)\n"
    "  --help          show this text\n";

static int usage_error(const char *what, const char *value)
{
    fprintf(stderr, "market-strategy: %s%s; try 'market-strategy --help'\n", what, value);
    return 2;
}

int main(int count, char **arguments)
{
    static const struct option options[] = {
        {"name", required_argument, NULL, 'n'},
        {"wait", required_argument, NULL, 'w'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct strategy strategy = {.name = "market-strategy", .wait_ns = 10000000000};
    for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;) {
        if (option == 'n') {
            strategy.name = optarg;
        } else if (option == 'w') {
            char *end = NULL;
            long seconds = strtol(optarg, &end, 10);
            if (end == optarg || *end != '\0' || seconds < 0 || seconds > 1000000)
                return usage_error("--wait wants 0 to 1000000 seconds, not ", optarg);
            strategy.wait_ns = seconds * INT64_C(1000000000);
        } else if (option == 'h') {
            fputs(usage, stdout);
            return EXIT_SUCCESS;
        } else {
            return usage_error("unknown option", "");
        }
    }
    if (count - optind != 1)
        return usage_error("wants a BUS", "");
    strategy.bus = arguments[optind];
    return run(&strategy) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
