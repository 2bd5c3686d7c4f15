/* SPDX-License-Identifier: MIT */
/* The command line of shmbus-sub: see sub_options.h. */
#include "sub_options.h"

#include <getopt.h>
#include <string.h>

#include "attach_words.h"
#include "cli.h"

static const char help_text[] =
    "Usage: shmbus-sub [OPTION]... BUS\n"
    "Attaches to the bus BUS and writes its messages to standard output, to the end of the "
    "stream.\n"
    "\n"
    "What kind of consumer to be (default: an optional one, which is skipped ahead when the\n"
    "producer laps it, and says what it lost):\n"
    "  --required          miss nothing, and stop the producer when this falls a whole ring or "
    "pool\n"
    "                      behind\n"
    "  --observe           leave no trace: read permission on the bus is enough\n"
    "  --slack N           be skipped ahead to the newest message when more than N behind\n"
    "  --grace SECONDS     with --required and --name: if this is killed, or its output cannot be\n"
    "                      written (but by a reader that left), its place is kept for\n"
    "                      so long; started again under its name it goes on there. Each message "
    "is\n"
    "                      written out before the place moves past it, and may come again\n"
    "  --after NAME        with --required: read no message before the required consumer NAME has\n"
    "                      passed it; may be given up to 8 times. A shmbus-sub passes what is\n"
    "                      written out with --grace, and else what it has read\n"
    "  --after-gone wait|go-on  when nobody of that name is there (any more): wait for one "
    "(default),\n"
    "                      or go on without\n"
    "  --wait-strategy spin|yield|adaptive|park  how to wait for messages (default adaptive: "
    "spin,\n"
    "                      yield, then park until the producer calls; an observer sleeps in "
    "slices)\n"
    "  --name NAME         what shmbus-stat calls this consumer (default: the program's name)\n"
    "\n"
    "What to read:\n"
    "  --from tail|oldest|SEQ  begin with the next message (default), the oldest that the bus "
    "still\n"
    "                      has, or the one with that sequence\n"
    "  --move-up           begin with the oldest if the one with that sequence is gone\n"
    "  --type TYPE[,...]   only messages of these types: numbers, or names registered with the "
    "bus\n"
    "  --count N           end after N messages\n"
    "  --wait SECONDS      wait so long for the bus to appear (fractions are fine)\n"
    "  --follow            read on when the producer died and another takes over; read a bus that\n"
    "                      replaces this one, or is made anew under its name, from its oldest\n"
    "                      message on; join again when evicted. Ends at the end of a stream\n"
    "  --deadline SECONDS  say so when no message came for so long\n"
    "  --cpu N|node|isolated[:N]  run on that CPU, on those of the node that the bus is on, or on\n"
    "                      an isolated one (the Nth, from 0: those of that node first)\n"
    "  --fifo PRIORITY     run with SCHED_FIFO, 1 to 99; what came of both is said\n"
    "  --folder DIR        where buses live (default $SHMBUS_DIR, or /dev/shm)\n"
    "\n"
    "How to write it:\n"
    "  --format lines|raw|len32|hex|json\n"
    "                      each message with a newline behind it (default), as it is, with a "
    "32-bit\n"
    "                      little-endian length before it, as a line of hex digits, or as a line\n"
    "                      with a JSON object: sequence type length data, and data_base64 in "
    "place\n"
    "                      of data where it is not UTF-8. In json what is lost, aborted or late "
    "is\n"
    "                      an object too, before the message that follows: event first count\n"
    "  --latency           at the end, print to standard error how long after their publishing "
    "the\n"
    "                      messages were read, in ns: count p50 p90 p99 p99.9 max; the bus needs\n"
    "                      timestamps; what was on it before this attached has waited since\n"
    "\n"
    "  --help, --version\n"
    "\n"
    "Output is written in large blocks, and whenever all that was published has been read. "
    "Messages\n"
    "that were lost, or aborted by their producer, are reported on standard error as ranges of\n"
    "sequences, and counted at the end.\n"
    "Exit status: 0 at the end of the stream, after --count, or on SIGINT or SIGTERM; 1 if the\n"
    "producer died or this was evicted (without --follow), the output could not be written "
    "(quietly\n"
    "when its reader has left, as in 'shmbus-sub ... | head'), or something else failed; 2 if the\n"
    "command line is wrong.\n";

enum option_code {
    OPTION_REQUIRED = 1000,
    OPTION_OBSERVE,
    OPTION_SLACK,
    OPTION_GRACE,
    OPTION_AFTER,
    OPTION_AFTER_GONE,
    OPTION_WAIT_STRATEGY,
    OPTION_MOVE_UP,
    OPTION_TYPE,
    OPTION_FOLLOW,
    OPTION_DEADLINE,
    OPTION_FORMAT,
    OPTION_FROM,
    OPTION_COUNT,
    OPTION_NAME,
    OPTION_WAIT,
    OPTION_LATENCY,
    OPTION_CPU,
    OPTION_FIFO,
    OPTION_FOLDER,
    OPTION_HELP,
    OPTION_VERSION,
};

static const struct option long_options[] = {
    {"required", no_argument, NULL, OPTION_REQUIRED},
    {"observe", no_argument, NULL, OPTION_OBSERVE},
    {"slack", required_argument, NULL, OPTION_SLACK},
    {"grace", required_argument, NULL, OPTION_GRACE},
    {"after", required_argument, NULL, OPTION_AFTER},
    {"after-gone", required_argument, NULL, OPTION_AFTER_GONE},
    {"wait-strategy", required_argument, NULL, OPTION_WAIT_STRATEGY},
    {"move-up", no_argument, NULL, OPTION_MOVE_UP},
    {"type", required_argument, NULL, OPTION_TYPE},
    {"follow", no_argument, NULL, OPTION_FOLLOW},
    {"deadline", required_argument, NULL, OPTION_DEADLINE},
    {"format", required_argument, NULL, OPTION_FORMAT},
    {"from", required_argument, NULL, OPTION_FROM},
    {"count", required_argument, NULL, OPTION_COUNT},
    {"name", required_argument, NULL, OPTION_NAME},
    {"wait", required_argument, NULL, OPTION_WAIT},
    {"latency", no_argument, NULL, OPTION_LATENCY},
    {"cpu", required_argument, NULL, OPTION_CPU},
    {"fifo", required_argument, NULL, OPTION_FIFO},
    {"folder", required_argument, NULL, OPTION_FOLDER},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

/* One more that this runs after; the library checks the names. */
static int read_after(const char *text, struct sub_options *options)
{
    struct shmbus_consumer_options *consumer = &options->consumer;
    if (consumer->after_count == SHMBUS_AFTER_MAX) {
        return cli_usage("--after: more than %d names", SHMBUS_AFTER_MAX);
    }
    options->after[consumer->after_count++] = text;
    consumer->after = options->after;
    return CLI_OK;
}

static int read_after_gone(const char *text, struct shmbus_consumer_options *consumer)
{
    if (strcmp(text, "wait") != 0 && strcmp(text, "go-on") != 0) {
        return cli_usage("--after-gone: '%s' is none of wait, go-on", text);
    }
    consumer->after_gone = strcmp(text, "wait") == 0 ? SHMBUS_AFTER_WAIT : SHMBUS_AFTER_GO_ON;
    return CLI_OK;
}

/* The options that say how to attach; -1 when it is none of them. */
static int read_attach_option(int code, char *text, struct sub_options *options)
{
    struct shmbus_consumer_options *consumer = &options->consumer;
    switch (code) {
    case OPTION_REQUIRED:
        return attach_read_kind(SHMBUS_REQUIRED, consumer);
    case OPTION_OBSERVE:
        return attach_read_kind(SHMBUS_OBSERVER, consumer);
    case OPTION_SLACK:
        return cli_number("--slack", text, 1, UINT64_MAX, &consumer->slack);
    case OPTION_GRACE:
        return cli_duration("--grace", text, &consumer->grace_ns);
    case OPTION_AFTER:
        return read_after(text, options);
    case OPTION_AFTER_GONE:
        return read_after_gone(text, consumer);
    case OPTION_WAIT_STRATEGY:
        return cli_wait_strategy(text, &consumer->wait.strategy);
    case OPTION_NAME:
        consumer->name = text;
        return CLI_OK;
    case OPTION_FROM:
        return attach_read_from(text, consumer);
    case OPTION_MOVE_UP:
        consumer->flags |= SHMBUS_JOIN_MOVE_UP;
        return CLI_OK;
    case OPTION_TYPE:
        return type_filter_add(&options->filter, text);
    case OPTION_DEADLINE:
        return cli_duration("--deadline", text, &consumer->deadline_ns);
    case OPTION_FOLDER:
        consumer->folder = text;
        return CLI_OK;
    default:
        return -1;
    }
}

/* The options of the tool itself; -1 when it is none of them. */
static int read_own_option(int code, const char *text, struct sub_options *options)
{
    switch (code) {
    case OPTION_FORMAT:
        if (format_find(text, &options->format) != 0) {
            return cli_usage("--format: '%s' is none of lines, raw, len32, hex, json", text);
        }
        return CLI_OK;
    case OPTION_COUNT:
        return cli_number("--count", text, 1, UINT64_MAX, &options->count);
    case OPTION_WAIT:
        return cli_seconds("--wait", text, &options->wait_ns);
    case OPTION_FOLLOW:
        options->follow = true;
        return CLI_OK;
    case OPTION_LATENCY:
        options->latency = true;
        return CLI_OK;
    case OPTION_CPU:
        return settle_read_cpu(text, &options->settle);
    case OPTION_FIFO:
        return settle_read_fifo(text, &options->settle);
    default:
        return -1;
    }
}

/* What is wrong only together. */
static int check_together(const struct shmbus_consumer_options *consumer)
{
    if (consumer->slack > 0 && consumer->kind == SHMBUS_REQUIRED) {
        return cli_usage("--slack: a required consumer is never skipped ahead");
    }
    if (consumer->grace_ns > 0 && (consumer->kind != SHMBUS_REQUIRED || !consumer->name)) {
        return cli_usage("--grace: only a required consumer with a name has a place to keep (give "
                         "--required and --name)");
    }
    if (consumer->after_count > 0 && consumer->kind != SHMBUS_REQUIRED) {
        return cli_usage("--after: only a required consumer runs after others (give --required)");
    }
    if (consumer->after_gone != SHMBUS_AFTER_WAIT && consumer->after_count == 0) {
        return cli_usage("--after-gone: there is nobody to be gone (give --after NAME)");
    }
    return attach_check_from(consumer);
}

static int read_operands(int count, char **operands, struct sub_options *options)
{
    if (count == 0) {
        return cli_usage("no bus given (shmbus-stat lists those there are)");
    }
    if (count > 1) {
        return cli_usage("'%s' is too much: one bus is read", operands[1]);
    }
    options->bus_name = operands[0];
    return CLI_OK;
}

bool sub_options_read(int count, char **arguments, struct sub_options *out_options, int *out_exit)
{
    struct sub_options *options = out_options;
    int code = 0;
    *options = (struct sub_options){
        .consumer = {.struct_bytes = sizeof(options->consumer), .kind = SHMBUS_OPTIONAL},
        .format = FORMAT_LINES,
    };
    opterr = 0;
    *out_exit = CLI_OK;
    while (*out_exit == CLI_OK &&
           (code = getopt_long(count, arguments, ":", long_options, NULL)) != -1) {
        if (code == OPTION_HELP || code == OPTION_VERSION) {
            *out_exit = code == OPTION_HELP ? cli_help(help_text) : cli_version();
            return false;
        }
        *out_exit = read_attach_option(code, optarg, options);
        if (*out_exit == -1) {
            *out_exit = read_own_option(code, optarg, options);
        }
        if (*out_exit == -1) {
            *out_exit = cli_bad_option(code, arguments);
        }
    }
    if (*out_exit == CLI_OK) {
        *out_exit = read_operands(count - optind, arguments + optind, options);
    }
    if (*out_exit == CLI_OK) {
        *out_exit = check_together(&options->consumer);
    }
    return *out_exit == CLI_OK;
}
