/* SPDX-License-Identifier: MIT */
/* The command line of shmbus-stat: see stat_options.h. */
#include "stat_options.h"

#include <getopt.h>
#include <stddef.h>

#include "cli.h"

static const char help_text[] =
    "Usage: shmbus-stat [OPTION]... [BUS]\n"
    "Without BUS prints a line for each bus of the host; with it a page: state, geometry, ring "
    "fill,\n"
    "rate, producers, consumers, pools, types, and where its memory is. Looks on only: changes "
    "nothing\n"
    "and holds nobody up.\n"
    "\n"
    "  --reap              instead, repair what dead consumers left, on BUS or on every bus, and "
    "say\n"
    "                      how many entries that were; the living do it by themselves when they "
    "need\n"
    "                      what is left. One with a grace time keeps its place until that is "
    "over\n"
    "  --json              print an object of JSON: that of BUS, or {\"buses\":[...]} with one "
    "for\n"
    "                      each; null is what you may not know\n"
    "  --interval SECONDS  how long to measure the rate on a page (default 0.2, 0: not at all)\n"
    "  --folder DIR        where buses live (default $SHMBUS_DIR, or /dev/shm)\n"
    "  --help, --version\n"
    "\n"
    "In the list, LAG is what the slowest required consumer has still to read. Of a bus whose "
    "consumers\n"
    "you may not see, what is about them is unknown; observers leave no trace to be seen. LIFE "
    "is\n"
    "alive, stalled (does not go on), dead, grace (died, and its place is kept) or evicted.\n"
    "Exit status: 0 also for a bus that is closed or whose producer died; 1 if BUS is damaged, "
    "not\n"
    "there, not yours to read or to repair, or something else failed; 2 if the command line is "
    "wrong.\n";

enum option_code {
    OPTION_JSON = 1000,
    OPTION_REAP,
    OPTION_INTERVAL,
    OPTION_FOLDER,
    OPTION_HELP,
    OPTION_VERSION,
};

static const struct option long_options[] = {
    {"json", no_argument, NULL, OPTION_JSON},
    {"reap", no_argument, NULL, OPTION_REAP},
    {"interval", required_argument, NULL, OPTION_INTERVAL},
    {"folder", required_argument, NULL, OPTION_FOLDER},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

/* Takes one option. Returns CLI_OK, or what the tool ends with. */
static int take_option(int code, char *const *arguments, struct stat_options *options)
{
    switch (code) {
    case OPTION_JSON:
        options->json = true;
        return CLI_OK;
    case OPTION_REAP:
        options->reap = true;
        return CLI_OK;
    case OPTION_INTERVAL:
        return cli_seconds("--interval", optarg, &options->interval_ns);
    case OPTION_FOLDER:
        options->folder = optarg;
        return CLI_OK;
    default:
        return cli_bad_option(code, arguments);
    }
}

bool stat_options_read(int count, char **arguments, struct stat_options *out_options, int *out_exit)
{
    struct stat_options options = {.interval_ns = 200000000};
    int code = 0;
    opterr = 0;
    *out_exit = CLI_OK;
    while ((code = getopt_long(count, arguments, ":", long_options, NULL)) != -1) {
        if (code == OPTION_HELP || code == OPTION_VERSION) {
            *out_exit = code == OPTION_HELP ? cli_help(help_text) : cli_version();
            return false;
        }
        *out_exit = take_option(code, arguments, &options);
        if (*out_exit != CLI_OK) {
            return false;
        }
    }
    if (count - optind > 1) {
        *out_exit = cli_usage("'%s' is too much: one bus is shown", arguments[optind + 1]);
        return false;
    }
    options.bus_name = arguments[optind];
    *out_options = options;
    return true;
}
