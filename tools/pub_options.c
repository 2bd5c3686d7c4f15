/* SPDX-License-Identifier: MIT */
/*
 * The command line of shmbus-pub: see pub_options.h. Only what the library cannot check is checked
 * here (a word, a number that does not fit its field); limits of a bus are the library's to know,
 * whose error then names them.
 */
#include "pub_options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

/* In two parts: no string need be longer than the language asks of compilers. */
static const char help_begin[] =
    "Usage: shmbus-pub [OPTION]... BUS [FILE]\n"
    "Creates the bus BUS and publishes FILE (or standard input, also as '-') on it, a message a\n"
    "record, each as soon as it has been read. Then waits until every required consumer has read\n"
    "all of it, and removes the bus. A BUS that exists, has the same geometry and no living "
    "producer\n"
    "is taken over and goes on at its next sequence, which is said if that producer died. On a "
    "bus\n"
    "of many producers it publishes beside the others, and the last one to end removes the bus.\n"
    "\n"
    "Input:\n"
    "  --format lines|raw:N|len32  a message is a line without its newline (default), N bytes, or\n"
    "                            a 32-bit little-endian length and so many bytes\n"
    "  --rate N                  publish at most N messages a second\n"
    "  --wait-consumers N        begin once N required consumers are attached\n"
    "  --wait-strategy spin|yield|adaptive|park  how to wait (default adaptive, ending in park)\n"
    "  --keep                    leave the bus behind, closed, for those who read it later\n"
    "  --type TYPE               the messages' type: a number (default 0), or the name of a type\n"
    "                            that is registered here\n"
    "  --cpu N|node|isolated[:N]  run on that CPU, those of the bus's node, or an isolated one\n"
    "  --fifo PRIORITY           run with SCHED_FIFO, 1 to 99; what came of both is said\n"
    "\n"
    "The bus (sizes may end in K, M or G):\n"
    "  --capacity N              slots of the ring, a power of two (default 65536)\n"
    "  --slot BYTES              bytes of a slot, a power of two, 16 of them header (default 64)\n"
    "  --pool SIZE:COUNT[,...]   slabs for messages that do not fit a slot, or 'none'\n"
    "                            (default 1024:4096,16384:512,262144:16)\n"
    "  --scrub                   zero each slab when it comes back to the pool\n"
    "  --no-park                 nobody parks on it: who waits long sleeps in slices\n"
    "  --max-consumers N         consumers at one time (default 64)\n"
    "  --producers N             make, or join, a bus of up to N producers at one time (default "
    "1);\n"
    "                            COUNT of --pool is for each of them\n"
    "  --join                    publish on BUS as it is, whatever its geometry; the options of "
    "the\n"
    "                            bus but --folder mean nothing then\n"
    "  --first-sequence N        sequence of the first message of a new bus (default 0)\n"
    "  --timestamps              give each message its publish time, in 8 bytes of its slot\n"
    "  --numa NODE|local|interleave|none  where its memory is to be (default none)\n"
    "  --huge none|thp|hugetlb   the pages it is to have (default none)\n"
    "  --mode OCTAL              permissions: r may observe, w may consume (default 0600)\n"
    "  --group NAME              its group\n"
    "  --folder DIR              where buses live (default $SHMBUS_DIR, or /dev/shm)\n"
    "  --replace                 replace a bus of other geometry that no living producer owns;\n"
    "                            needs room for both\n"
    "  --register NUMBER:NAME:BYTES[:FIELDS]  register a type of message: its number and name, "
    "the\n"
    "                            length of a message (0: it varies), and its fields as numpy has\n"
    "                            them, e.g. 7:trade:16:price:<i8,qty:<i8; may be given often\n"
    "  --types FILE              register the types of FILE, one a line in that form\n";
static const char help_end[] =
    "\n"
    "Its consumers:\n"
    "  --history N               keep the last N messages for those that join late\n"
    "  --required anyone|nobody|NAME[,...]  who may be a required consumer, which can stop this\n"
    "                            (default anyone)\n"
    "  --stall SECONDS           a required consumer that has messages to read and did not go on\n"
    "                            for so long is stalled, which is said (default 1)\n"
    "  --evict SECONDS           the same, and one that is stalled while it stops this is evicted\n"
    "\n"
    "  --help, --version\n"
    "\n"
    "A full ring or pool blocks without limit: a required consumer that stops, stops this, unless "
    "it\n"
    "is evicted. Consumers that stall, die or are evicted are named on standard error. SIGINT or\n"
    "SIGTERM ends it as the end of input does; a second one does not wait for consumers any more.\n"
    "On a terminal, standard error shows what was sent, the rate and the slowest consumer's lag.\n"
    "Exit status: 0 if all is well, 1 if something failed, 2 if the command line is wrong.\n";

enum option_code {
    OPTION_FORMAT = 1000,
    OPTION_RATE,
    OPTION_WAIT_CONSUMERS,
    OPTION_WAIT_STRATEGY,
    OPTION_KEEP,
    OPTION_TYPE,
    OPTION_CPU,
    OPTION_FIFO,
    OPTION_CAPACITY,
    OPTION_SLOT,
    OPTION_POOL,
    OPTION_SCRUB,
    OPTION_NO_PARK,
    OPTION_MAX_CONSUMERS,
    OPTION_PRODUCERS,
    OPTION_JOIN,
    OPTION_FIRST_SEQUENCE,
    OPTION_TIMESTAMPS,
    OPTION_NUMA,
    OPTION_HUGE,
    OPTION_MODE,
    OPTION_GROUP,
    OPTION_FOLDER,
    OPTION_REPLACE,
    OPTION_REGISTER,
    OPTION_TYPES,
    OPTION_HISTORY,
    OPTION_REQUIRED,
    OPTION_STALL,
    OPTION_EVICT,
    OPTION_HELP,
    OPTION_VERSION,
};

static const struct option long_options[] = {
    {"format", required_argument, NULL, OPTION_FORMAT},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"wait-consumers", required_argument, NULL, OPTION_WAIT_CONSUMERS},
    {"wait-strategy", required_argument, NULL, OPTION_WAIT_STRATEGY},
    {"keep", no_argument, NULL, OPTION_KEEP},
    {"type", required_argument, NULL, OPTION_TYPE},
    {"cpu", required_argument, NULL, OPTION_CPU},
    {"fifo", required_argument, NULL, OPTION_FIFO},
    {"capacity", required_argument, NULL, OPTION_CAPACITY},
    {"slot", required_argument, NULL, OPTION_SLOT},
    {"pool", required_argument, NULL, OPTION_POOL},
    {"scrub", no_argument, NULL, OPTION_SCRUB},
    {"no-park", no_argument, NULL, OPTION_NO_PARK},
    {"max-consumers", required_argument, NULL, OPTION_MAX_CONSUMERS},
    {"producers", required_argument, NULL, OPTION_PRODUCERS},
    {"join", no_argument, NULL, OPTION_JOIN},
    {"first-sequence", required_argument, NULL, OPTION_FIRST_SEQUENCE},
    {"timestamps", no_argument, NULL, OPTION_TIMESTAMPS},
    {"numa", required_argument, NULL, OPTION_NUMA},
    {"huge", required_argument, NULL, OPTION_HUGE},
    {"mode", required_argument, NULL, OPTION_MODE},
    {"group", required_argument, NULL, OPTION_GROUP},
    {"folder", required_argument, NULL, OPTION_FOLDER},
    {"replace", no_argument, NULL, OPTION_REPLACE},
    {"register", required_argument, NULL, OPTION_REGISTER},
    {"types", required_argument, NULL, OPTION_TYPES},
    {"history", required_argument, NULL, OPTION_HISTORY},
    {"required", required_argument, NULL, OPTION_REQUIRED},
    {"stall", required_argument, NULL, OPTION_STALL},
    {"evict", required_argument, NULL, OPTION_EVICT},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

static int read_format(const char *text, struct pub_options *options)
{
    if (strcmp(text, "lines") == 0) {
        options->framing = FRAMING_LINES;
        return CLI_OK;
    }
    if (strcmp(text, "len32") == 0) {
        options->framing = FRAMING_LEN32;
        return CLI_OK;
    }
    if (strncmp(text, "raw:", 4) == 0) {
        options->framing = FRAMING_RAW;
        return cli_size("--format raw:N", text + 4, 1, SHMBUS_SLAB_BYTES_MAX,
                        &options->record_bytes);
    }
    return cli_usage("--format: '%s' is none of lines, raw:N, len32", text);
}

/* Reads one SIZE:COUNT. */
static int read_class(const char *text, struct shmbus_pool_class *out_class)
{
    char size[32];
    const char *colon = strchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof(size)) {
        return cli_usage("--pool: '%s' is not of the form SIZE:COUNT", text);
    }
    snprintf(size, sizeof(size), "%.*s", (int)(colon - text), text);
    const int result =
        cli_size("--pool SIZE", size, 1, SHMBUS_SLAB_BYTES_MAX, &out_class->slab_bytes);
    if (result != CLI_OK) {
        return result;
    }
    return cli_number("--pool COUNT", colon + 1, 1, SHMBUS_SLABS_MAX, &out_class->slab_count);
}

static int read_pool(char *text, struct shmbus_bus_options *bus)
{
    char *rest = NULL;
    bus->class_count = 0;
    bus->flags &= ~SHMBUS_BUS_NO_POOL;
    if (strcmp(text, "none") == 0) {
        bus->flags |= SHMBUS_BUS_NO_POOL;
        return CLI_OK;
    }
    for (char *part = strtok_r(text, ",", &rest); part; part = strtok_r(NULL, ",", &rest)) {
        if (bus->class_count == SHMBUS_CLASSES_MAX) {
            return cli_usage("--pool: more than %d size classes", SHMBUS_CLASSES_MAX);
        }
        const int result = read_class(part, &bus->classes[bus->class_count]);
        if (result != CLI_OK) {
            return result;
        }
        bus->class_count++;
    }
    if (bus->class_count == 0) {
        return cli_usage("--pool: no size class given (for a bus without a pool say none)");
    }
    return CLI_OK;
}

static int read_numa(const char *text, struct shmbus_bus_options *bus)
{
    uint64_t node = 0;
    if (strcmp(text, "none") == 0) {
        bus->numa = SHMBUS_NUMA_NONE;
    } else if (strcmp(text, "local") == 0) {
        bus->numa = SHMBUS_NUMA_LOCAL;
    } else if (strcmp(text, "interleave") == 0) {
        bus->numa = SHMBUS_NUMA_INTERLEAVE;
    } else if (text[0] < '0' || text[0] > '9') {
        return cli_usage("--numa: '%s' is none of a node's number, local, interleave, none", text);
    } else {
        const int result = cli_number("--numa", text, 0, UINT32_MAX, &node);
        bus->numa = SHMBUS_NUMA_NODE;
        bus->numa_node = (uint32_t)node;
        return result;
    }
    return CLI_OK;
}

static int read_huge(const char *text, struct shmbus_bus_options *bus)
{
    if (strcmp(text, "none") == 0) {
        bus->pages = SHMBUS_PAGES_BASE;
    } else if (strcmp(text, "thp") == 0) {
        bus->pages = SHMBUS_PAGES_THP;
    } else if (strcmp(text, "hugetlb") == 0) {
        bus->pages = SHMBUS_PAGES_HUGETLB;
    } else {
        return cli_usage("--huge: '%s' is none of none, thp, hugetlb", text);
    }
    return CLI_OK;
}

int pub_options_read_mode(const char *text, struct shmbus_bus_options *bus)
{
    uint32_t mode = 0;
    size_t digits = 0;
    while (text[digits] >= '0' && text[digits] <= '7' && digits < 5) {
        mode = mode * 8 + (uint32_t)(text[digits] - '0');
        digits++;
    }
    if (digits == 0 || text[digits] != '\0' || mode == 0 || mode > 0777) {
        return cli_usage("--mode: '%s' is not an octal number from 1 to 777", text);
    }
    bus->mode = mode;
    return CLI_OK;
}

/* Reads a number into a field of 32 bits. */
static int read_32(const char *option, const char *text, uint32_t least, uint32_t most,
                   uint32_t *out_field)
{
    uint64_t number = 0;
    const int result = cli_size(option, text, least, most, &number);
    if (result == CLI_OK) {
        *out_field = (uint32_t)number;
    }
    return result;
}

/* The options that make the bus; -1 when it is none of them. */
static int read_bus_option(int code, char *text, struct shmbus_bus_options *bus)
{
    switch (code) {
    case OPTION_CAPACITY:
        return cli_size("--capacity", text, SHMBUS_CAPACITY_MIN, SHMBUS_CAPACITY_MAX,
                        &bus->capacity);
    case OPTION_SLOT:
        return read_32("--slot", text, SHMBUS_SLOT_BYTES_MIN, SHMBUS_SLOT_BYTES_MAX,
                       &bus->slot_bytes);
    case OPTION_POOL:
        return read_pool(text, bus);
    case OPTION_SCRUB:
        bus->flags |= SHMBUS_BUS_SCRUB;
        return CLI_OK;
    case OPTION_NO_PARK:
        bus->flags |= SHMBUS_BUS_NO_PARK;
        return CLI_OK;
    case OPTION_MAX_CONSUMERS:
        return read_32("--max-consumers", text, 1, SHMBUS_CONSUMERS_MAX, &bus->max_consumers);
    case OPTION_PRODUCERS:
        return read_32("--producers", text, 1, SHMBUS_PRODUCERS_MAX, &bus->max_producers);
    case OPTION_FIRST_SEQUENCE:
        return cli_number("--first-sequence", text, 0, SHMBUS_FIRST_SEQUENCE_MAX,
                          &bus->first_sequence);
    case OPTION_TIMESTAMPS:
        bus->flags |= SHMBUS_BUS_TIMESTAMPS;
        return CLI_OK;
    case OPTION_NUMA:
        return read_numa(text, bus);
    case OPTION_HUGE:
        return read_huge(text, bus);
    case OPTION_MODE:
        return pub_options_read_mode(text, bus);
    case OPTION_GROUP:
        bus->group = text;
        return CLI_OK;
    case OPTION_FOLDER:
        bus->folder = text;
        return CLI_OK;
    case OPTION_REPLACE:
        bus->flags |= SHMBUS_BUS_REPLACE;
        return CLI_OK;
    default:
        return -1;
    }
}

static int read_required(char *text, struct pub_options *options)
{
    struct shmbus_bus_options *bus = &options->bus;
    options->lists.name_count = 0;
    if (strcmp(text, "anyone") == 0) {
        bus->required_rule = SHMBUS_REQUIRED_ANYONE;
        return CLI_OK;
    }
    if (strcmp(text, "nobody") == 0) {
        bus->required_rule = SHMBUS_REQUIRED_NOBODY;
        return CLI_OK;
    }
    bus->required_rule = SHMBUS_REQUIRED_NAMED;
    return pub_lists_add_names(&options->lists, text);
}

/* The options about consumers and types; -1 when it is none of them. */
static int read_consumer_option(int code, char *text, struct pub_options *options)
{
    switch (code) {
    case OPTION_REGISTER:
        return pub_lists_register(&options->lists, "--register", text);
    case OPTION_TYPES:
        return pub_lists_read_types(&options->lists, text);
    case OPTION_HISTORY:
        return cli_size("--history", text, 0, SHMBUS_CAPACITY_MAX - 1, &options->bus.history);
    case OPTION_REQUIRED:
        return read_required(text, options);
    case OPTION_STALL:
        return cli_duration("--stall", text, &options->bus.stall_ns);
    case OPTION_EVICT:
        options->bus.flags |= SHMBUS_BUS_EVICT;
        return cli_duration("--evict", text, &options->bus.stall_ns);
    default:
        return -1;
    }
}

/* The options of the tool itself; -1 when it is none of them. */
static int read_own_option(int code, const char *text, struct pub_options *options)
{
    switch (code) {
    case OPTION_FORMAT:
        return read_format(text, options);
    case OPTION_RATE:
        return cli_number("--rate", text, 1, 1000000000, &options->rate);
    case OPTION_WAIT_CONSUMERS:
        return cli_number("--wait-consumers", text, 0, SHMBUS_CONSUMERS_MAX,
                          &options->wait_consumers);
    case OPTION_WAIT_STRATEGY:
        return cli_wait_strategy(text, &options->wait_strategy);
    case OPTION_KEEP:
        options->keep = true;
        return CLI_OK;
    case OPTION_JOIN:
        options->join = true;
        return CLI_OK;
    case OPTION_TYPE:
        options->type_word = text;
        return CLI_OK;
    case OPTION_CPU:
        return settle_read_cpu(text, &options->settle);
    case OPTION_FIFO:
        return settle_read_fifo(text, &options->settle);
    default:
        return -1;
    }
}

static int read_operands(int count, char **operands, struct pub_options *options)
{
    if (count == 0) {
        return cli_usage("no bus given (name one, e.g. shmbus-pub ticks)");
    }
    if (count > 2) {
        return cli_usage("'%s' is too much: a bus and at most one file are published", operands[2]);
    }
    options->bus_name = operands[0];
    if (count == 2 && strcmp(operands[1], "-") != 0) {
        options->file_name = operands[1];
    }
    return CLI_OK;
}

/* What can be told only when all options are known. */
static int settle(struct pub_options *options)
{
    struct shmbus_bus_options *bus = &options->bus;
    bus->types = options->lists.types;
    bus->type_count = options->lists.type_count;
    bus->required_names = options->lists.names;
    bus->required_count = options->lists.name_count;
    if (options->wait_consumers > 0 && bus->required_rule == SHMBUS_REQUIRED_NOBODY) {
        return cli_usage("--wait-consumers: with --required nobody there is none to wait for");
    }
    return options->type_word
               ? pub_lists_find_type(&options->lists, options->type_word, &options->type)
               : CLI_OK;
}

static int help(void)
{
    fputs(help_begin, stdout);
    return cli_help(help_end);
}

bool pub_options_read(int count, char **arguments, struct pub_options *out_options, int *out_exit)
{
    struct pub_options *options = out_options;
    int code = 0;
    *options = (struct pub_options){.bus = {.struct_bytes = sizeof(options->bus)}};
    opterr = 0;
    *out_exit = CLI_OK;
    while (*out_exit == CLI_OK &&
           (code = getopt_long(count, arguments, ":", long_options, NULL)) != -1) {
        if (code == OPTION_HELP || code == OPTION_VERSION) {
            *out_exit = code == OPTION_HELP ? help() : cli_version();
            return false;
        }
        *out_exit = read_bus_option(code, optarg, &options->bus);
        if (*out_exit == -1) {
            *out_exit = read_consumer_option(code, optarg, options);
        }
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
        *out_exit = settle(options);
    }
    return *out_exit == CLI_OK;
}
