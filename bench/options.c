/* SPDX-License-Identifier: MIT */
/*
 * Reads the command line. Everything that changes what is measured can be handed on to another
 * binary by --vs, so that both measure the same.
 */
#include "options.h"

#include <getopt.h>
#include <shmbus/shmbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"

enum {
    PASSED_MAX = 64,
    EXIT_USAGE = 2,
};

static const char usage[] =
    "Usage: shmbus-bench [OPTION]...\n"
    "Measures shmbus between two pinned processes, in turn with what the machine can do at best.\n"
    "\n"
    "      --quick            5 pairs instead of 20, without peers\n"
    "      --pairs N          N pairs: each runs every floor and subject once\n"
    "      --only TEST        this test alone; --list names them\n"
    "      --peer NAME        of the subjects this one alone\n"
    "      --no-peers         without what others offer\n"
    "      --json FILE        all results with every run, as JSON; - is standard output\n"
    "      --vs BINARY        compare with another shmbus-bench, run by run\n"
    "      --settle SECONDS   before each pair, wait so long at most for others to leave the "
    "machine\n"
    "                         alone\n"
    "      --realtime         at a real-time priority, so that nobody gets in between\n"
    "      --cpus A,B         these two processors instead of the ones that the topology suggests\n"
    "      --messages N       measure N messages a run\n"
    "      --capacity N       rings of N slots, a power of two\n"
    "      --burst N          consumers take at most N messages before their cursor moves\n"
    "      --pause N          PAUSEs of a consumer that has caught up, in throughput tests\n"
    "      --ahead N          lines that the floors fetch ahead\n"
    "      --single           one run of the one runner that --only and --peer name, in one line\n"
    "      --list             name the tests and what they run\n"
    "      --help, --version\n"
    "\n"
    "Exits with 0 when all was measured, 1 when a run failed or a content was wrong, 2 for "
    "usage.\n";

enum letter {
    OPTION_QUICK = 1000,
    OPTION_PAIRS,
    OPTION_ONLY,
    OPTION_PEER,
    OPTION_NO_PEERS,
    OPTION_JSON,
    OPTION_VS,
    OPTION_SETTLE,
    OPTION_REALTIME,
    OPTION_CPUS,
    OPTION_MESSAGES,
    OPTION_CAPACITY,
    OPTION_BURST,
    OPTION_PAUSE,
    OPTION_AHEAD,
    OPTION_SINGLE,
    OPTION_LIST,
    OPTION_HELP,
    OPTION_VERSION,
};

static const struct option long_options[] = {
    {"quick", no_argument, NULL, OPTION_QUICK},
    {"pairs", required_argument, NULL, OPTION_PAIRS},
    {"only", required_argument, NULL, OPTION_ONLY},
    {"peer", required_argument, NULL, OPTION_PEER},
    {"no-peers", no_argument, NULL, OPTION_NO_PEERS},
    {"json", required_argument, NULL, OPTION_JSON},
    {"vs", required_argument, NULL, OPTION_VS},
    {"settle", required_argument, NULL, OPTION_SETTLE},
    {"realtime", no_argument, NULL, OPTION_REALTIME},
    {"cpus", required_argument, NULL, OPTION_CPUS},
    {"messages", required_argument, NULL, OPTION_MESSAGES},
    {"capacity", required_argument, NULL, OPTION_CAPACITY},
    {"burst", required_argument, NULL, OPTION_BURST},
    {"pause", required_argument, NULL, OPTION_PAUSE},
    {"ahead", required_argument, NULL, OPTION_AHEAD},
    {"single", no_argument, NULL, OPTION_SINGLE},
    {"list", no_argument, NULL, OPTION_LIST},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

static const char *passed_options[PASSED_MAX + 1];
static unsigned passed_count;

/* Notes that --vs is to hand this option on; value may be NULL. */
static void pass(const char *name, const char *value)
{
    if (passed_count + 2 > PASSED_MAX)
        return;
    passed_options[passed_count++] = name;
    if (value != NULL)
        passed_options[passed_count++] = value;
}

static int wrong(const char *what, const char *value)
{
    fprintf(stderr, "shmbus-bench: %s: %s; see --help\n", what, value);
    return EXIT_USAGE;
}

/* A number in a range, or -1. */
static int64_t number(const char *text, int64_t least, int64_t most)
{
    char *end = NULL;
    long long value = strtoll(text, &end, 10);
    return end == text || *end != '\0' || value < least || value > most ? -1 : value;
}

static void list_tests(void)
{
    for (const struct test *test = bench_tests; test->name != NULL; test++) {
        printf("%-14s %s\n%14s", test->name, test->title, "");
        for (int i = 0; i < RUNNERS_MAX && test->runners[i] != NULL; i++)
            printf(" %s%s", test->runners[i]->name, test->runners[i]->is_floor ? " (floor)" : "");
        printf("\n");
    }
}

static int check_names(const struct options *options)
{
    const struct test *found = NULL;
    int peers = 0;
    for (const struct test *test = bench_tests; test->name != NULL; test++) {
        if (options->only != NULL && strcmp(test->name, options->only) != 0)
            continue;
        found = test;
        for (int i = 0; i < RUNNERS_MAX && test->runners[i] != NULL; i++)
            peers += options->peer != NULL && strcmp(test->runners[i]->name, options->peer) == 0;
    }
    for (int i = 0; i < PEERS && options->peer != NULL; i++)
        peers += strcmp(peer_name(i), options->peer) == 0;
    if (found == NULL)
        return wrong("no such test (--list names them)", options->only);
    if (options->peer != NULL && peers == 0)
        return wrong("no such runner (--list names them)", options->peer);
    if (options->single && (options->only == NULL || options->peer == NULL))
        return wrong("--single", "needs --only and --peer");
    if (options->versus != NULL && options->only == NULL)
        return wrong("--vs", "needs --only");
    return OPTIONS_GO;
}

static int take_number(int letter, const char *value, struct options *options)
{
    static const char *const names[] = {"--messages", "--capacity", "--burst", "--pause",
                                        "--ahead"};
    const char *name = names[letter - OPTION_MESSAGES];
    int64_t got = number(value, letter == OPTION_PAUSE ? 0 : 1, INT64_C(1) << 40);
    int is_power = got > 0 && (got & (got - 1)) == 0;
    if (got < 0 || (letter == OPTION_CAPACITY && (!is_power || got < 16 || got > 1 << 24)) ||
        (letter > OPTION_CAPACITY && got > 1 << 30))
        return wrong(name, value);
    pass(name, value);
    if (letter == OPTION_MESSAGES)
        options->messages = (uint64_t)got;
    else if (letter == OPTION_CAPACITY)
        options->capacity = (uint64_t)got;
    else if (letter == OPTION_BURST)
        options->burst = (uint32_t)got;
    else if (letter == OPTION_PAUSE)
        options->pause = got;
    else
        options->ahead = (uint32_t)got;
    return OPTIONS_GO;
}

static int take(int letter, const char *value, struct options *options)
{
    switch (letter) {
    case OPTION_QUICK:
        options->pairs = 5;
        options->no_peers = 1;
        return OPTIONS_GO;
    case OPTION_PAIRS:
        options->pairs = (int)number(value, 1, PAIRS_MAX);
        return options->pairs > 0 ? OPTIONS_GO : wrong("--pairs", value);
    case OPTION_ONLY:
        options->only = value;
        return OPTIONS_GO;
    case OPTION_PEER:
        options->peer = value;
        return OPTIONS_GO;
    case OPTION_NO_PEERS:
        options->no_peers = 1;
        return OPTIONS_GO;
    case OPTION_JSON:
        options->json = value;
        return OPTIONS_GO;
    case OPTION_VS:
        options->versus = value;
        return OPTIONS_GO;
    case OPTION_SETTLE:
        options->settle_s = (int)number(value, 0, 86400);
        return options->settle_s >= 0 ? OPTIONS_GO : wrong("--settle", value);
    case OPTION_REALTIME:
        options->realtime = 1;
        pass("--realtime", NULL);
        return OPTIONS_GO;
    case OPTION_CPUS:
        if (sscanf(value, "%d,%d", &options->cpus[0], &options->cpus[1]) != 2)
            return wrong("--cpus", value);
        pass("--cpus", value);
        return OPTIONS_GO;
    case OPTION_SINGLE:
        options->single = 1;
        return OPTIONS_GO;
    case OPTION_LIST:
        list_tests();
        return 0;
    case OPTION_HELP:
        fputs(usage, stdout);
        return 0;
    case OPTION_VERSION:
        printf("shmbus-bench %s\n", shmbus_version());
        return 0;
    case '?':
        fputs("see shmbus-bench --help\n", stderr);
        return EXIT_USAGE;
    default:
        return take_number(letter, value, options);
    }
}

int options_read(int argc, char **argv, struct options *out_options)
{
    struct options options = {.pairs = 20, .cpus = {-1, -1}, .pause = -1};
    int letter;
    while ((letter = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        int result = take(letter, optarg, &options);
        if (result != OPTIONS_GO)
            return result;
    }
    if (optind < argc)
        return wrong("not understood", argv[optind]);
    int result = check_names(&options);
    options.passed = passed_options;
    *out_options = options;
    return result;
}

struct test options_apply(const struct options *options, const struct test *test)
{
    struct test changed = *test;
    if (options->messages != 0)
        changed.messages = options->messages;
    if (options->capacity != 0)
        changed.capacity = options->capacity;
    if (options->burst != 0)
        changed.burst = options->burst;
    if (options->ahead != 0)
        changed.ahead = options->ahead;
    if (options->pause >= 0 && !test->is_latency)
        changed.pause = (uint32_t)options->pause;
    if (options->peer != NULL) {
        int kept = 0;
        for (int i = 0; i < RUNNERS_MAX && test->runners[i] != NULL; i++) {
            int named = strcmp(test->runners[i]->name, options->peer) == 0;
            if (named || (test->runners[i]->is_floor && !options->single))
                changed.runners[kept++] = test->runners[i];
        }
        if (kept < RUNNERS_MAX)
            changed.runners[kept] = NULL;
    }
    return changed;
}
