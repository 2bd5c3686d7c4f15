/* SPDX-License-Identifier: MIT */
/*
 * Target: the command lines of shmbus-pub, shmbus-sub and shmbus-stat. An input is which of them,
 * then the arguments, each ended by a byte of 0.
 */
#include "bed.h"

#include "cli.h"
#include "pub_options.h"
#include "stat_options.h"
#include "sub_options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define ARGUMENTS_MOST 40

enum tool { TOOL_SUB, TOOL_PUB, TOOL_STAT, TOOLS };

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count;
    (void)arguments;
    bed_begin();
    return 0;
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
    for (uint32_t i = 0; i < options->filter.count; i++)
        bed_touch(options->filter.words[i], strlen(options->filter.words[i]));
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
    return code;
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
