/* SPDX-License-Identifier: MIT */
/* The command line of shmbus-replay: see replay_options.h. */
#include "replay_options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

#define SPEED_MOST 1e9

static const char help_text[] =
    "Usage: shmbus-replay [OPTION]... FILE... BUS [+ FILE... BUS]...\n"
    "Publishes what shmbus-record wrote into FILE on the bus BUS, which it makes as the recorded "
    "one\n"
    "was: the same messages in the same order, with their sequences, types and gaps, in a ring and "
    "a\n"
    "pool of the same size. Ends as shmbus-pub does: waits until every required consumer has read "
    "all\n"
    "of it, and removes the bus. Of several FILEs (a recording that was rotated) each goes on "
    "where\n"
    "the one before ends. After a plus come FILEs of another bus: all are replayed in step, merged "
    "by\n"
    "the time at which they were received.\n"
    "\n"
    "  --speed 1|N|max     at the recorded pace (default), N times as fast (fractions are fine), "
    "or "
    "as\n"
    "                      fast as it goes\n"
    "  --from WHERE        begin there: a sequence (12000), seconds since the first message "
    "(+90.5), or\n"
    "                      a time in UTC (2026-11-27T13:45:00.5)\n"
    "  --to WHERE          end there, after that message; times are those of receiving\n"
    "  --type TYPE[,...]   only messages of these types: numbers, or registered names; the others\n"
    "                      are gaps\n"
    "  --loop N            all of it N times, or 0: until a signal; sequences go on rising\n"
    "  --wait-consumers N  begin once N required consumers are attached to each bus\n"
    "  --wait-strategy spin|yield|adaptive|park  how to wait (default adaptive, ending in park)\n"
    "  --keep              leave the bus behind, closed, for those who read it later\n"
    "  --replace           replace a bus of other geometry that no living producer owns\n"
    "  --stall SECONDS     a required consumer that has messages to read and did not go on for so\n"
    "                      long is stalled, which is said (default 1)\n"
    "  --evict SECONDS     the same, and one that is stalled while it stops this is evicted\n"
    "  --mode OCTAL        permissions: r may observe, w may consume (default 0600)\n"
    "  --group NAME        its group\n"
    "  --folder DIR        where buses live (default $SHMBUS_DIR, or /dev/shm)\n"
    "  --cpu N|node|isolated[:N]  run on that CPU, those of the bus's node, or an isolated one\n"
    "  --fifo PRIORITY     run with SCHED_FIFO, 1 to 99; what came of both is said\n"
    "\n"
    "  --help, --version\n"
    "\n"
    "At the end of a paced replay, how late messages were published is printed to standard error, "
    "in\n"
    "ns: count p50 p90 p99 p99.9 max. On a terminal the space bar pauses it and lets it go on, "
    "and\n"
    "standard error shows what was sent, the rate and the slowest consumer's lag. SIGINT or "
    "SIGTERM\n"
    "ends it as the end of the recording does; a second one does not wait for consumers any more.\n"
    "Exit status: 0 if all is well, 1 if something failed or FILE is damaged (what is whole "
    "before\n"
    "the damage is replayed), 2 if the command line is wrong.\n";

enum option_code {
    OPTION_SPEED = 1000,
    OPTION_FROM,
    OPTION_TO,
    OPTION_TYPE,
    OPTION_LOOP,
    OPTION_WAIT_CONSUMERS,
    OPTION_WAIT_STRATEGY,
    OPTION_KEEP,
    OPTION_REPLACE,
    OPTION_STALL,
    OPTION_EVICT,
    OPTION_MODE,
    OPTION_GROUP,
    OPTION_FOLDER,
    OPTION_CPU,
    OPTION_FIFO,
    OPTION_HELP,
    OPTION_VERSION,
};

static const struct option long_options[] = {
    {"speed", required_argument, NULL, OPTION_SPEED},
    {"from", required_argument, NULL, OPTION_FROM},
    {"to", required_argument, NULL, OPTION_TO},
    {"type", required_argument, NULL, OPTION_TYPE},
    {"loop", required_argument, NULL, OPTION_LOOP},
    {"wait-consumers", required_argument, NULL, OPTION_WAIT_CONSUMERS},
    {"wait-strategy", required_argument, NULL, OPTION_WAIT_STRATEGY},
    {"keep", no_argument, NULL, OPTION_KEEP},
    {"replace", no_argument, NULL, OPTION_REPLACE},
    {"stall", required_argument, NULL, OPTION_STALL},
    {"evict", required_argument, NULL, OPTION_EVICT},
    {"mode", required_argument, NULL, OPTION_MODE},
    {"group", required_argument, NULL, OPTION_GROUP},
    {"folder", required_argument, NULL, OPTION_FOLDER},
    {"cpu", required_argument, NULL, OPTION_CPU},
    {"fifo", required_argument, NULL, OPTION_FIFO},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

/* Digits and at most one point: strtod() alone would take signs, spaces, exponents and words. */
static int read_speed(const char *text, double *out_speed)
{
    if (strcmp(text, "max") == 0) {
        *out_speed = 0;
        return CLI_OK;
    }
    const size_t whole = strspn(text, "0123456789");
    const size_t point = text[whole] == '.';
    const size_t fraction = strspn(text + whole + point, "0123456789");
    *out_speed = strtod(text, NULL);
    if (text[whole + point + fraction] != '\0' || whole + fraction == 0 || *out_speed <= 0 ||
        *out_speed > SPEED_MOST) {
        return cli_usage("--speed: '%s' is neither max nor a number above 0 up to %.0f", text,
                         SPEED_MOST);
    }
    return CLI_OK;
}

/* What to replay, and how fast; -1 when it is none of these options. */
static int read_what(int code, char *text, struct replay_options *options)
{
    switch (code) {
    case OPTION_SPEED:
        return read_speed(text, &options->speed);
    case OPTION_FROM:
        return span_read("--from", text, &options->span.from);
    case OPTION_TO:
        return span_read("--to", text, &options->span.to);
    case OPTION_TYPE:
        return type_filter_add(&options->filter, text);
    case OPTION_LOOP:
        return cli_number("--loop", text, 0, UINT64_MAX, &options->loops);
    default:
        return -1;
    }
}

/* The options of each bus; -1 when it is none of them. */
static int read_bus_option(int code, const char *text, struct pub_options *common)
{
    struct shmbus_bus_options *bus = &common->bus;
    switch (code) {
    case OPTION_WAIT_CONSUMERS:
        return cli_number("--wait-consumers", text, 0, SHMBUS_CONSUMERS_MAX,
                          &common->wait_consumers);
    case OPTION_WAIT_STRATEGY:
        return cli_wait_strategy(text, &common->wait_strategy);
    case OPTION_KEEP:
        common->keep = true;
        return CLI_OK;
    case OPTION_REPLACE:
        bus->flags |= SHMBUS_BUS_REPLACE;
        return CLI_OK;
    case OPTION_STALL:
        return cli_duration("--stall", text, &bus->stall_ns);
    case OPTION_EVICT:
        bus->flags |= SHMBUS_BUS_EVICT;
        return cli_duration("--evict", text, &bus->stall_ns);
    case OPTION_MODE:
        return pub_options_read_mode(text, bus);
    case OPTION_GROUP:
        bus->group = text;
        return CLI_OK;
    case OPTION_FOLDER:
        bus->folder = text;
        return CLI_OK;
    case OPTION_CPU:
        return settle_read_cpu(text, &common->settle);
    case OPTION_FIFO:
        return settle_read_fifo(text, &common->settle);
    default:
        return -1;
    }
}

/* One part: the operands from `first` on, up to `end`. */
static int read_part(char **operands, int first, int end, struct replay_options *options)
{
    if (end - first < 2) {
        return cli_usage(end == first ? "no file and no bus given (name both, e.g. shmbus-replay "
                                        "ticks.lz4 ticks)"
                                      : "'%s' alone is not enough: give files, and the bus last",
                         operands[first]);
    }
    if (options->part_count == REPLAY_PARTS_MOST) {
        return cli_usage("more than %d buses", REPLAY_PARTS_MOST);
    }
    for (uint32_t i = 0; i < options->part_count; i++) {
        if (strcmp(options->parts[i].bus_name, operands[end - 1]) == 0) {
            return cli_usage("bus '%s' is given twice", operands[end - 1]);
        }
    }
    options->parts[options->part_count++] = (struct replay_part){
        .files = operands + first,
        .file_count = (uint32_t)(end - first - 1),
        .bus_name = operands[end - 1],
    };
    return CLI_OK;
}

static int read_operands(int count, char **operands, struct replay_options *options)
{
    int first = 0;
    int result = CLI_OK;
    for (int i = 0; i <= count && result == CLI_OK; i++) {
        if (i == count || strcmp(operands[i], "+") == 0) {
            result = read_part(operands, first, i, options);
            first = i + 1;
        }
    }
    if (result == CLI_OK && options->part_count > 1 &&
        (options->span.from.unit == SPAN_SEQUENCE || options->span.to.unit == SPAN_SEQUENCE)) {
        return cli_usage("--from, --to: several buses have no sequences in common (give a time)");
    }
    return result;
}

bool replay_options_read(int count, char **arguments, struct replay_options *out_options,
                         int *out_exit)
{
    struct replay_options *options = out_options;
    int code = 0;
    *options = (struct replay_options){
        .speed = 1,
        .loops = 1,
        .common = {.bus = {.struct_bytes = sizeof(options->common.bus)}},
    };
    opterr = 0;
    *out_exit = CLI_OK;
    while (*out_exit == CLI_OK &&
           (code = getopt_long(count, arguments, ":", long_options, NULL)) != -1) {
        if (code == OPTION_HELP || code == OPTION_VERSION) {
            *out_exit = code == OPTION_HELP ? cli_help(help_text) : cli_version();
            return false;
        }
        *out_exit = read_what(code, optarg, options);
        if (*out_exit == -1) {
            *out_exit = read_bus_option(code, optarg, &options->common);
        }
        if (*out_exit == -1) {
            *out_exit = cli_bad_option(code, arguments);
        }
    }
    if (*out_exit == CLI_OK) {
        *out_exit = read_operands(count - optind, arguments + optind, options);
    }
    return *out_exit == CLI_OK;
}
