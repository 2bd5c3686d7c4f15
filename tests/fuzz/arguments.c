/* SPDX-License-Identifier: MIT */
/*
 * Target: the command lines of the tools. An input is which of them, then the arguments, each ended
 * by a byte of 0.
 */
#include "bed.h"

#include "cli.h"
#include "dump_options.h"
#include "pub_options.h"
#include "record_options.h"
#include "replay_options.h"
#include "stat_options.h"
#include "sub_options.h"

#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ARGUMENTS_MOST 40

enum tool { TOOL_SUB, TOOL_PUB, TOOL_STAT, TOOL_RECORD, TOOL_REPLAY, TOOL_DUMP, TOOLS };

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count;
    (void)arguments;
    bed_begin();
    return 0;
}

static void check_filter(const struct type_filter *filter)
{
    for (uint32_t i = 0; i < filter->count; i++)
        bed_touch(filter->words[i], strlen(filter->words[i]));
}

/* What a tool goes on with is what the library takes. */
static void check_pub(const struct pub_options *options)
{
    if (options->bus_name == NULL || (options->type_word == NULL && options->type != 0))
        bed_fail("no bus, or a type out of nothing");
    for (uint32_t i = 0; i < options->lists.type_count; i++)
        bed_touch(options->lists.types[i].name, strlen(options->lists.types[i].name));
    for (uint32_t i = 0; i < options->lists.name_count; i++)
        bed_touch(options->lists.names[i], strlen(options->lists.names[i]));
}

static void check_sub(const struct sub_options *options)
{
    if (options->bus_name == NULL || options->format > FORMAT_JSON || options->wait_ns < 0)
        bed_fail("options that cannot be");
    check_filter(&options->filter);
    for (uint32_t i = 0; i < options->consumer.after_count; i++)
        bed_touch(options->after[i], strlen(options->after[i]));
}

static void check_stat(const struct stat_options *options, int count)
{
    if (options->interval_ns < 0 || count - optind > 1)
        bed_fail("an interval that cannot be, or a word too many");
    if (options->bus_name != NULL)
        bed_touch(options->bus_name, strlen(options->bus_name));
    if (options->folder != NULL)
        bed_touch(options->folder, strlen(options->folder));
}

static void check_span(const struct span *span)
{
    bed_touch(span, sizeof *span);
}

static void check_record(const struct record_options *options)
{
    if (options->bus_name == NULL || options->path == NULL || options->wait_ns < 0 ||
        options->level > 12 || options->queue_blocks == 1 || options->rotate_ns < 0 ||
        options->sync > RECORD_SYNC_TIME ||
        (options->sync == RECORD_SYNC_TIME && options->sync_ns <= 0))
        bed_fail("options of a recorder that cannot be");
    bed_touch(options->path, strlen(options->path));
    check_filter(&options->filter);
}

static void check_replay(const struct replay_options *options)
{
    if (options->part_count == 0 || options->part_count > REPLAY_PARTS_MOST ||
        !isfinite(options->speed) || options->speed < 0)
        bed_fail("options of a replay that cannot be");
    for (uint32_t i = 0; i < options->part_count; i++) {
        const struct replay_part *part = &options->parts[i];
        if (part->file_count == 0 || part->bus_name == NULL)
            bed_fail("a replay without a file or a bus");
        bed_touch(part->bus_name, strlen(part->bus_name));
        for (uint32_t k = 0; k < part->file_count; k++)
            bed_touch(part->files[k], strlen(part->files[k]));
    }
    check_span(&options->span);
    check_filter(&options->filter);
}

static void check_dump(const struct dump_options *options)
{
    if (options->path == NULL || options->task > DUMP_VERIFY || options->format > FORMAT_JSON)
        bed_fail("options of a dump that cannot be");
    bed_touch(options->path, strlen(options->path));
    check_span(&options->span);
    check_filter(&options->filter);
}

/* The same of those for recordings. */
static int read_recording_tool(int tool, int count, char **arguments)
{
    static struct record_options record;
    static struct replay_options replay;
    static struct dump_options dump;
    int code = 0;
    if (tool == TOOL_RECORD && record_options_read(count, arguments, &record, &code))
        check_record(&record);
    if (tool == TOOL_REPLAY && replay_options_read(count, arguments, &replay, &code))
        check_replay(&replay);
    if (tool == TOOL_DUMP && dump_options_read(count, arguments, &dump, &code))
        check_dump(&dump);
    return code;
}

/* Reads a command line as the tool of that number does, and returns the exit code that it gives. */
static int read_as(int tool, int count, char **arguments)
{
    static struct pub_options pub;
    static struct sub_options sub;
    static struct stat_options stat;
    int code = 0;
    if (tool == TOOL_PUB && pub_options_read(count, arguments, &pub, &code))
        check_pub(&pub);
    if (tool == TOOL_SUB && sub_options_read(count, arguments, &sub, &code))
        check_sub(&sub);
    if (tool == TOOL_STAT && stat_options_read(count, arguments, &stat, &code))
        check_stat(&stat, count);
    return tool < TOOL_RECORD ? code : read_recording_tool(tool, count, arguments);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct bed_input rest = {input, size};
    char *given[ARGUMENTS_MOST + 2] = {NULL};
    char *kept[ARGUMENTS_MOST + 2] = {NULL};
    int count = 1;
    const int tool = (int)bed_take(&rest, 1) % TOOLS;
    given[0] = (char[]){"tool"};
    for (; rest.left > 0 && count <= ARGUMENTS_MOST; count++) {
        given[count] = kept[count] = bed_string(&rest);
        /* Files of this machine are no input. */
        for (char *at = given[count]; *at != 0; at++)
            *at = *at == '/' ? '_' : *at;
    }
    cli_begin("tool");
    optind = 0;
    const int code = read_as(tool, count, given);
    if (code < CLI_OK || code > CLI_USAGE)
        bed_fail("an exit code that there is not");
    for (int i = 1; i < count; i++)
        free(kept[i]);
    return 0;
}
