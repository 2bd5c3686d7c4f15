/* SPDX-License-Identifier: MIT */
/* The command line of shmbus-record: see record_options.h. */
#include "record_options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "attach_words.h"
#include "cli.h"

#define LEVEL_MOST        12    /* of HC */
#define ACCELERATION_MOST 65537 /* the largest that LZ4 heeds */
#define BLOCK_LEAST       4096
#define BLOCK_MOST        1073741824
#define QUEUE_MOST        4096

/* In two parts: no string need be longer than the language asks of compilers. */
static const char help_begin[] =
    "Usage: shmbus-record [OPTION]... BUS -o FILE\n"
    "Records the messages of the bus BUS in FILE, compressed, to the end of the stream.\n"
    "\n"
    "The recording:\n"
    "  -o, --output FILE   where to; one that exists is refused, unless it is to be gone on with\n"
    "  --append            go on with FILE: where the killed recorder of it was cut off, a part of "
    "a\n"
    "                      block is dropped; begins with the message after the last one in it, or\n"
    "                      with the oldest that the bus still has\n"
    "  --rotate-size BYTES  begin another file when this one is so large. Files are named by the\n"
    "                      sequence that they begin with: out of ticks.lz4 comes\n"
    "                      ticks.00000000000000012000.lz4, so that sorted by name they are in "
    "order\n"
    "  --rotate-time SECONDS  begin another file when this one is so old\n"
    "  --level LEVEL       how hard to compress: 1 (default) to 12, from 3 on slowly (HC), or\n"
    "                      fast:N, faster and less the greater N is\n"
    "  --block BYTES       compressed and checked together; a kill costs one at most\n"
    "  --queue N           blocks that wait for the disk before the reading stops\n"
    "  --sync none|block|SECONDS  force what was written to the disk: when the kernel likes\n"
    "                      (default), with each block, or so often; a power cut costs what came "
    "after\n"
    "  --count N           end after N messages\n";
static const char help_end[] =
    "\n"
    "What kind of consumer to be (default: an optional one, which is skipped ahead when the\n"
    "producer laps it; what it lost is recorded):\n"
    "  --required          miss nothing: a disk that is too slow then stops the producer\n"
    "  --observe           leave no trace: read permission on the bus is enough\n"
    "  --name NAME         what shmbus-stat calls this consumer (default: the program's name)\n"
    "  --from tail|oldest|SEQ  begin with the next message (default), the oldest that the bus "
    "still\n"
    "                      has, or the one with that sequence\n"
    "  --move-up           begin with the oldest if the one with that sequence is gone\n"
    "  --type TYPE[,...]   only messages of these types: numbers, or names registered with the "
    "bus\n"
    "  --wait SECONDS      wait so long for the bus to appear (fractions are fine)\n"
    "  --wait-strategy spin|yield|adaptive|park  how to wait for messages (default adaptive)\n"
    "  --cpu N|node|isolated[:N]  run on that CPU, on those of the node that the bus is on, or on\n"
    "                      an isolated one (the Nth, from 0: those of that node first)\n"
    "  --fifo PRIORITY     run with SCHED_FIFO, 1 to 99; what came of both is said\n"
    "  --folder DIR        where buses live (default $SHMBUS_DIR, or /dev/shm)\n"
    "\n"
    "  --help, --version\n"
    "\n"
    "SIGINT or SIGTERM ends it as the end of the stream does: what was read is written, and the\n"
    "index behind it. A recorder that cannot keep up with the bus says so, and how much it lost, "
    "on\n"
    "standard error; which messages these were is in the recording. On a terminal, standard error\n"
    "shows messages, bytes, how far they were compressed, the lag and what was lost.\n"
    "Exit status: 0 at the end of the stream, after --count, or on a signal; 1 if the producer "
    "died\n"
    "or this was evicted, FILE could not be written (what is in it is whole), or something else\n"
    "failed; 2 if the command line is wrong.\n";

enum option_code {
    OPTION_OUTPUT = 'o',
    OPTION_APPEND = 1000,
    OPTION_ROTATE_SIZE,
    OPTION_ROTATE_TIME,
    OPTION_LEVEL,
    OPTION_BLOCK,
    OPTION_QUEUE,
    OPTION_SYNC,
    OPTION_COUNT,
    OPTION_REQUIRED,
    OPTION_OBSERVE,
    OPTION_NAME,
    OPTION_FROM,
    OPTION_MOVE_UP,
    OPTION_TYPE,
    OPTION_WAIT,
    OPTION_WAIT_STRATEGY,
    OPTION_CPU,
    OPTION_FIFO,
    OPTION_FOLDER,
    OPTION_HELP,
    OPTION_VERSION,
};

static const struct option long_options[] = {
    {"output", required_argument, NULL, OPTION_OUTPUT},
    {"append", no_argument, NULL, OPTION_APPEND},
    {"rotate-size", required_argument, NULL, OPTION_ROTATE_SIZE},
    {"rotate-time", required_argument, NULL, OPTION_ROTATE_TIME},
    {"level", required_argument, NULL, OPTION_LEVEL},
    {"block", required_argument, NULL, OPTION_BLOCK},
    {"queue", required_argument, NULL, OPTION_QUEUE},
    {"sync", required_argument, NULL, OPTION_SYNC},
    {"count", required_argument, NULL, OPTION_COUNT},
    {"required", no_argument, NULL, OPTION_REQUIRED},
    {"observe", no_argument, NULL, OPTION_OBSERVE},
    {"name", required_argument, NULL, OPTION_NAME},
    {"from", required_argument, NULL, OPTION_FROM},
    {"move-up", no_argument, NULL, OPTION_MOVE_UP},
    {"type", required_argument, NULL, OPTION_TYPE},
    {"wait", required_argument, NULL, OPTION_WAIT},
    {"wait-strategy", required_argument, NULL, OPTION_WAIT_STRATEGY},
    {"cpu", required_argument, NULL, OPTION_CPU},
    {"fifo", required_argument, NULL, OPTION_FIFO},
    {"folder", required_argument, NULL, OPTION_FOLDER},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

static int read_level(const char *text, int32_t *out_level)
{
    static const char fast[] = "fast:";
    uint64_t number = 0;
    if (strncmp(text, fast, sizeof(fast) - 1) == 0) {
        const int result =
            cli_number("--level fast:N", text + sizeof(fast) - 1, 1, ACCELERATION_MOST, &number);
        *out_level = -(int32_t)number;
        return result;
    }
    const int result = cli_number("--level", text, 1, LEVEL_MOST, &number);
    *out_level = (int32_t)number;
    return result;
}

static int read_sync(const char *text, struct record_options *options)
{
    if (strcmp(text, "none") == 0) {
        options->sync = RECORD_SYNC_NONE;
        return CLI_OK;
    }
    if (strcmp(text, "block") == 0) {
        options->sync = RECORD_SYNC_BLOCK;
        return CLI_OK;
    }
    if (text[0] < '0' || text[0] > '9') {
        return cli_usage("--sync: '%s' is none of none, block, a number of seconds", text);
    }
    options->sync = RECORD_SYNC_TIME;
    return cli_duration("--sync", text, &options->sync_ns);
}

static int read_queue(const char *text, struct record_options *options)
{
    uint64_t number = 0;
    const int result = cli_number("--queue", text, 2, QUEUE_MOST, &number);
    options->queue_blocks = (uint32_t)number;
    return result;
}

/* The options about the recording; -1 when it is none of them. */
static int read_file_option(int code, const char *text, struct record_options *options)
{
    switch (code) {
    case OPTION_OUTPUT:
        options->path = text;
        return text[0] != '\0' ? CLI_OK : cli_usage("--output: no file given");
    case OPTION_APPEND:
        options->append = true;
        return CLI_OK;
    case OPTION_ROTATE_SIZE:
        return cli_size("--rotate-size", text, BLOCK_LEAST, INT64_MAX, &options->rotate_bytes);
    case OPTION_ROTATE_TIME:
        return cli_duration("--rotate-time", text, &options->rotate_ns);
    case OPTION_LEVEL:
        return read_level(text, &options->level);
    case OPTION_BLOCK:
        return cli_size("--block", text, BLOCK_LEAST, BLOCK_MOST, &options->block_bytes);
    case OPTION_QUEUE:
        return read_queue(text, options);
    case OPTION_SYNC:
        return read_sync(text, options);
    case OPTION_COUNT:
        return cli_number("--count", text, 1, UINT64_MAX, &options->count);
    default:
        return -1;
    }
}

/* The options that say how to attach; -1 when it is none of them. */
static int read_attach_option(int code, char *text, struct record_options *options)
{
    struct shmbus_consumer_options *consumer = &options->consumer;
    switch (code) {
    case OPTION_REQUIRED:
        return attach_read_kind(SHMBUS_REQUIRED, consumer);
    case OPTION_OBSERVE:
        return attach_read_kind(SHMBUS_OBSERVER, consumer);
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
    case OPTION_WAIT:
        return cli_seconds("--wait", text, &options->wait_ns);
    case OPTION_WAIT_STRATEGY:
        return cli_wait_strategy(text, &consumer->wait.strategy);
    case OPTION_CPU:
        return settle_read_cpu(text, &options->settle);
    case OPTION_FIFO:
        return settle_read_fifo(text, &options->settle);
    case OPTION_FOLDER:
        consumer->folder = text;
        return CLI_OK;
    default:
        return -1;
    }
}

static int check(int count, char **operands, struct record_options *options)
{
    if (count == 0) {
        return cli_usage("no bus given (shmbus-stat lists those there are)");
    }
    if (count > 1) {
        return cli_usage("'%s' is too much: one bus is recorded (give the file with -o)",
                         operands[1]);
    }
    if (!options->path) {
        return cli_usage("no file given to record in (give one with -o FILE)");
    }
    if (options->append && options->consumer.from != SHMBUS_FROM_TAIL) {
        return cli_usage("--from: --append goes on where the recording ends");
    }
    options->bus_name = operands[0];
    return attach_check_from(&options->consumer);
}

static int help(void)
{
    fputs(help_begin, stdout);
    return cli_help(help_end);
}

bool record_options_read(int count, char **arguments, struct record_options *out_options,
                         int *out_exit)
{
    struct record_options *options = out_options;
    int code = 0;
    *options = (struct record_options){
        .consumer = {.struct_bytes = sizeof(options->consumer), .kind = SHMBUS_OPTIONAL},
        .level = 1,
    };
    opterr = 0;
    *out_exit = CLI_OK;
    while (*out_exit == CLI_OK &&
           (code = getopt_long(count, arguments, ":o:", long_options, NULL)) != -1) {
        if (code == OPTION_HELP || code == OPTION_VERSION) {
            *out_exit = code == OPTION_HELP ? help() : cli_version();
            return false;
        }
        *out_exit = read_file_option(code, optarg, options);
        if (*out_exit == -1) {
            *out_exit = read_attach_option(code, optarg, options);
        }
        if (*out_exit == -1) {
            *out_exit = cli_bad_option(code, arguments);
        }
    }
    if (*out_exit == CLI_OK) {
        *out_exit = check(count - optind, arguments + optind, options);
    }
    return *out_exit == CLI_OK;
}
