/* SPDX-License-Identifier: MIT */
/* The command line of shmbus-dump: see dump_options.h. */
#include "dump_options.h"

#include <getopt.h>
#include <string.h>

#include "cli.h"

static const char help_text[] =
    "Usage: shmbus-dump [OPTION]... FILE\n"
    "Prints what shmbus-record wrote into FILE, says what is in it, or checks it.\n"
    "\n"
    "What to do (default: print the messages as lines):\n"
    "  --format lines|raw|len32|hex\n"
    "                      each message with a newline behind it (default), as it is, with a "
    "32-bit\n"
    "                      little-endian length before it, or as a line of hex digits\n"
    "  --format csv        a table with a heading: event (message, lost or aborted), sequence, "
    "count,\n"
    "                      publish_ns, receive_ns, type, flags, length; a column TYPE.FIELD for "
    "each\n"
    "                      field of the types that the bus had registered; what has none in data, "
    "or\n"
    "                      in data_hex where it is not UTF-8\n"
    "  --format json       the same as a line with an object each: fields by name, or data, or\n"
    "                      data_base64 where it is not UTF-8; what was lost or aborted is an "
    "object "
    "with\n"
    "                      event first count\n"
    "  --stats             say what was recorded, how much of each type, how fast, what was lost, "
    "and\n"
    "                      how far it was compressed\n"
    "  --verify            read all of it and check every checksum; exit status 1 if it is "
    "damaged\n"
    "                      or cut\n"
    "\n"
    "Which messages:\n"
    "  --type TYPE[,...]   only those of these types: numbers, or names registered with the bus\n"
    "  --from WHERE        begin there: a sequence (12000), seconds since the first message "
    "(+90.5), or\n"
    "                      a time in UTC (2026-11-27T13:45:00.5)\n"
    "  --to WHERE          end there, after that message; times are those of receiving\n"
    "  --count N           end after N messages\n"
    "\n"
    "  --help, --version\n"
    "\n"
    "A recording whose recorder was killed is read up to where it is whole, which is said on "
    "standard\n"
    "error.\n"
    "Exit status: 0 if all is well, 1 if something failed, 2 if the command line is wrong.\n";

enum option_code {
    OPTION_FORMAT = 1000,
    OPTION_STATS,
    OPTION_VERIFY,
    OPTION_TYPE,
    OPTION_FROM,
    OPTION_TO,
    OPTION_COUNT,
    OPTION_HELP,
    OPTION_VERSION,
};

static const struct option long_options[] = {
    {"format", required_argument, NULL, OPTION_FORMAT},
    {"stats", no_argument, NULL, OPTION_STATS},
    {"verify", no_argument, NULL, OPTION_VERIFY},
    {"type", required_argument, NULL, OPTION_TYPE},
    {"from", required_argument, NULL, OPTION_FROM},
    {"to", required_argument, NULL, OPTION_TO},
    {"count", required_argument, NULL, OPTION_COUNT},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

/* One thing is done at a time. */
static int set_task(struct dump_options *options, enum dump_task task, bool *chosen)
{
    if (*chosen && options->task != (uint32_t)task) {
        return cli_usage("--format, --stats, --verify: one of them at a time");
    }
    *chosen = true;
    options->task = task;
    return CLI_OK;
}

static int read_format(const char *text, struct dump_options *options, bool *chosen)
{
    if (strcmp(text, "csv") == 0) {
        return set_task(options, DUMP_CSV, chosen);
    }
    if (format_find(text, &options->format) != 0) {
        return cli_usage("--format: '%s' is none of lines, raw, len32, hex, csv, json", text);
    }
    return set_task(options, options->format == FORMAT_JSON ? DUMP_JSON : DUMP_MESSAGES, chosen);
}

static int read_option(int code, char *text, struct dump_options *options, bool *chosen)
{
    switch (code) {
    case OPTION_FORMAT:
        return read_format(text, options, chosen);
    case OPTION_STATS:
        return set_task(options, DUMP_STATS, chosen);
    case OPTION_VERIFY:
        return set_task(options, DUMP_VERIFY, chosen);
    case OPTION_TYPE:
        return type_filter_add(&options->filter, text);
    case OPTION_FROM:
        return span_read("--from", text, &options->span.from);
    case OPTION_TO:
        return span_read("--to", text, &options->span.to);
    case OPTION_COUNT:
        return cli_number("--count", text, 1, UINT64_MAX, &options->count);
    default:
        return -1;
    }
}

static int check_operands(int count, char **operands, struct dump_options *options)
{
    if (count == 0) {
        return cli_usage("no file given (name one that shmbus-record wrote)");
    }
    if (count > 1) {
        return cli_usage("'%s' is too much: one file is read", operands[1]);
    }
    if (options->task == DUMP_VERIFY &&
        (options->filter.count > 0 || options->count > 0 || options->span.from.unit != SPAN_OPEN ||
         options->span.to.unit != SPAN_OPEN)) {
        return cli_usage(
            "--verify: all of it is checked (leave out --type, --from, --to, --count)");
    }
    options->path = operands[0];
    return CLI_OK;
}

bool dump_options_read(int count, char **arguments, struct dump_options *out_options, int *out_exit)
{
    bool chosen = false;
    int code = 0;
    *out_options = (struct dump_options){.task = DUMP_MESSAGES, .format = FORMAT_LINES};
    opterr = 0;
    *out_exit = CLI_OK;
    while (*out_exit == CLI_OK &&
           (code = getopt_long(count, arguments, ":", long_options, NULL)) != -1) {
        if (code == OPTION_HELP || code == OPTION_VERSION) {
            *out_exit = code == OPTION_HELP ? cli_help(help_text) : cli_version();
            return false;
        }
        *out_exit = read_option(code, optarg, out_options, &chosen);
        if (*out_exit == -1) {
            *out_exit = cli_bad_option(code, arguments);
        }
    }
    if (*out_exit == CLI_OK) {
        *out_exit = check_operands(count - optind, arguments + optind, out_options);
    }
    return *out_exit == CLI_OK;
}
