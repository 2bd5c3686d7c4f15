/* SPDX-License-Identifier: MIT */
/* The command line of shmbus-sub: see sub_options.h. */
#include "sub_options.h"

#include <getopt.h>
#include <string.h>

#include "cli.h"

static const char help_text[] =
    "Usage: shmbus-sub --required [OPTION]... BUS\n"
    "Attaches to the bus BUS and writes its messages to standard output, to the end of the "
    "stream.\n"
    "\n"
    "  --required          be a required consumer: miss nothing, and stop the producer when this\n"
    "                      falls a whole ring or pool behind; must be asked for\n"
    "  --format lines|raw|len32|hex|json\n"
    "                      write each message with a newline behind it (default), as it is, with "
    "a\n"
    "                      32-bit little-endian length before it, as a line of hex digits, or as "
    "a\n"
    "                      line with a JSON object: sequence type length data, and data_base64 in\n"
    "                      place of data where it is not UTF-8\n"
    "  --from tail|oldest|SEQ  begin with the next message (default), the oldest that the bus "
    "still\n"
    "                      has, or the one with that sequence\n"
    "  --count N           end after N messages\n"
    "  --name NAME         what shmbus-stat calls this consumer (default: the program's name)\n"
    "  --wait SECONDS      wait so long for the bus to appear (fractions are fine)\n"
    "  --latency           at the end, print to standard error how long after their publishing "
    "the\n"
    "                      messages were read, in ns: count p50 p90 p99 p99.9 max; the bus needs\n"
    "                      timestamps; what was on it before this attached has waited since\n"
    "  --folder DIR        where buses live (default $SHMBUS_DIR, or /dev/shm)\n"
    "  --help, --version\n"
    "\n"
    "Output is written in large blocks, and whenever all that was published has been read.\n"
    "Exit status: 0 at the end of the stream, after --count, or on SIGINT or SIGTERM; 1 if the\n"
    "producer died, the output could not be written (quietly when its reader has left, as in\n"
    "'shmbus-sub ... | head'), or something else failed; 2 if the command line is wrong.\n";

enum option_code {
    OPTION_REQUIRED = 1000,
    OPTION_FORMAT,
    OPTION_FROM,
    OPTION_COUNT,
    OPTION_NAME,
    OPTION_WAIT,
    OPTION_LATENCY,
    OPTION_FOLDER,
    OPTION_HELP,
    OPTION_VERSION,
};

static const struct option long_options[] = {
    {"required", no_argument, NULL, OPTION_REQUIRED},
    {"format", required_argument, NULL, OPTION_FORMAT},
    {"from", required_argument, NULL, OPTION_FROM},
    {"count", required_argument, NULL, OPTION_COUNT},
    {"name", required_argument, NULL, OPTION_NAME},
    {"wait", required_argument, NULL, OPTION_WAIT},
    {"latency", no_argument, NULL, OPTION_LATENCY},
    {"folder", required_argument, NULL, OPTION_FOLDER},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

static int read_from(const char *text, struct shmbus_consumer_options *consumer)
{
    if (strcmp(text, "tail") == 0) {
        consumer->from = SHMBUS_FROM_TAIL;
        return CLI_OK;
    }
    if (strcmp(text, "oldest") == 0) {
        consumer->from = SHMBUS_FROM_OLDEST;
        return CLI_OK;
    }
    if (text[0] < '0' || text[0] > '9') {
        return cli_usage("--from: '%s' is none of tail, oldest, a sequence", text);
    }
    consumer->from = SHMBUS_FROM_SEQUENCE;
    return cli_number("--from", text, 0, UINT64_MAX, &consumer->from_sequence);
}

/* One option; -1 when there is none of that code. */
static int read_option(int code, const char *text, struct sub_options *options)
{
    switch (code) {
    case OPTION_REQUIRED:
        options->consumer.kind = SHMBUS_REQUIRED;
        return CLI_OK;
    case OPTION_FORMAT:
        if (format_find(text, &options->format) != 0) {
            return cli_usage("--format: '%s' is none of lines, raw, len32, hex, json", text);
        }
        return CLI_OK;
    case OPTION_FROM:
        return read_from(text, &options->consumer);
    case OPTION_COUNT:
        return cli_number("--count", text, 1, UINT64_MAX, &options->count);
    case OPTION_NAME:
        options->consumer.name = text;
        return CLI_OK;
    case OPTION_WAIT:
        return cli_seconds("--wait", text, &options->wait_ns);
    case OPTION_LATENCY:
        options->latency = true;
        return CLI_OK;
    case OPTION_FOLDER:
        options->consumer.folder = text;
        return CLI_OK;
    default:
        return -1;
    }
}

bool sub_options_read(int count, char **arguments, struct sub_options *out_options, int *out_exit)
{
    struct sub_options options = {
        .consumer = {.struct_bytes = sizeof(options.consumer), .kind = SHMBUS_OPTIONAL},
        .format = FORMAT_LINES,
    };
    int code = 0;
    opterr = 0;
    *out_exit = CLI_OK;
    while (*out_exit == CLI_OK &&
           (code = getopt_long(count, arguments, ":", long_options, NULL)) != -1) {
        if (code == OPTION_HELP || code == OPTION_VERSION) {
            *out_exit = code == OPTION_HELP ? cli_help(help_text) : cli_version();
            return false;
        }
        *out_exit = read_option(code, optarg, &options);
        if (*out_exit == -1) {
            *out_exit = cli_bad_option(code, arguments);
        }
    }
    if (*out_exit == CLI_OK && count - optind != 1) {
        *out_exit = count == optind
                        ? cli_usage("no bus given (shmbus-stat lists those there are)")
                        : cli_usage("'%s' is too much: one bus is read", arguments[optind + 1]);
    }
    options.bus_name = arguments[optind];
    *out_options = options;
    return *out_exit == CLI_OK;
}
