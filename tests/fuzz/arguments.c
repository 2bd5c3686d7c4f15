/* SPDX-License-Identifier: MIT */
/*
 * Target: the command lines of shmbus-pub and shmbus-sub. An input is which of the two, then the
 * arguments, each ended by a byte of 0.
 */
#include "bed.h"

#include "cli.h"
#include "pub_options.h"
#include "sub_options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define ARGUMENTS_MOST 40

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

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static struct pub_options pub;
    static struct sub_options sub;
    struct bed_input rest = {input, size};
    char *given[ARGUMENTS_MOST + 2] = {NULL};
    char *kept[ARGUMENTS_MOST + 2] = {NULL};
    int count = 1;
    int code = 0;
    int is_pub = (int)bed_take(&rest, 1) & 1;
    given[0] = (char[]){"tool"};
    for (; rest.left > 0 && count <= ARGUMENTS_MOST; count++) {
        given[count] = kept[count] = bed_string(&rest);
        /* Files of this machine are no input. */
        for (char *at = given[count]; *at != 0; at++)
            *at = *at == '/' ? '_' : *at;
    }
    cli_begin("tool");
    optind = 0;
    if (is_pub && pub_options_read(count, given, &pub, &code))
        check_pub(&pub);
    if (!is_pub && sub_options_read(count, given, &sub, &code))
        check_sub(&sub);
    if (code < CLI_OK || code > CLI_USAGE)
        bed_fail("an exit code that there is not");
    for (int i = 1; i < count; i++)
        free(kept[i]);
    return 0;
}
