/* SPDX-License-Identifier: MIT */
/*
 * Target: files of types, lists of names and of types wanted; a bus is made with what they say, and
 * must show it again. An input is three strings, each ended by a byte of 0: names, types wanted,
 * and the file of types.
 */
#include "bed.h"

#include "cli.h"
#include "pub_lists.h"
#include "type_filter.h"

#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int file = -1;
static char path[64];

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count;
    (void)arguments;
    bed_begin();
    file = memfd_create("types", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    return 0;
}

/* The same types, in the same order. */
static void check_types(const struct shmbus_snapshot *snapshot, const struct pub_lists *lists)
{
    for (uint32_t i = 0; i < lists->type_count; i++) {
        const struct shmbus_type *wanted = &lists->types[i];
        const struct shmbus_type *found = shmbus_snapshot_type(snapshot, i);
        if (found == NULL || found->type != wanted->type || found->bytes != wanted->bytes ||
            strcmp(found->name, wanted->name) != 0)
            bed_fail("a type that is not as it was given");
        if (wanted->fields != NULL && strcmp(found->fields, wanted->fields) != 0)
            bed_fail("fields that are not as they were given");
    }
    if (shmbus_snapshot_type(snapshot, lists->type_count) != NULL)
        bed_fail("a type that nobody gave");
}

static void make_bus(struct pub_lists *lists, struct type_filter *filter)
{
    const struct shmbus_bus_options bus = {
        .struct_bytes = sizeof bus,
        .capacity = 16,
        .max_consumers = 1,
        .flags = SHMBUS_BUS_NO_POOL,
        .types = lists->types,
        .type_count = lists->type_count,
        .required_names = lists->names,
        .required_count = lists->name_count,
        .required_rule = lists->name_count > 0 ? SHMBUS_REQUIRED_NAMED : SHMBUS_REQUIRED_ANYONE,
    };
    struct shmbus_producer *producer;
    struct shmbus_snapshot *snapshot;
    if (shmbus_producer_create(BED_BUS, &bus, NULL, &producer) != 0)
        return;
    if (shmbus_snapshot_open(BED_BUS, NULL, &snapshot) != 0)
        bed_fail("a bus that cannot be looked at");
    check_types(snapshot, lists);
    type_filter_look_up(filter, snapshot);
    shmbus_snapshot_close(snapshot);
    shmbus_producer_close(producer);
    if (shmbus_unlink(BED_BUS, NULL) != 0)
        bed_fail("a bus that cannot be removed");
}

/* The tool keeps the file's lines for as long as it runs: they go here, so that memory does not
 * grow. A type's name is inside its line, whose beginning the sanitizer knows. */
static void forget_lines(const struct pub_lists *read)
{
#if __has_feature(address_sanitizer)
    for (uint32_t i = 0; i < read->type_count; i++) {
        char name[1];
        void *line;
        size_t length;
        __asan_locate_address((void *)(uintptr_t)read->types[i].name, name, sizeof name, &line,
                              &length);
        free(line);
    }
#else
    (void)read;
#endif
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static struct pub_lists lists;
    static struct type_filter filter;
    struct bed_input rest = {input, size};
    char *names = bed_string(&rest);
    char *wanted = bed_string(&rest);
    uint16_t type;
    memset(&lists, 0, sizeof lists);
    memset(&filter, 0, sizeof filter);
    if (ftruncate(file, 0) != 0 || pwrite(file, rest.at, rest.left, 0) != (ssize_t)rest.left)
        bed_fail("no file");
    char *word = strdup(wanted);
    int result = pub_lists_read_types(&lists, path);
    if (result == CLI_OK && names[0] != 0)
        result = pub_lists_add_names(&lists, names);
    pub_lists_find_type(&lists, word, &type);
    if (type_filter_add(&filter, wanted) == CLI_OK && result == CLI_OK)
        make_bus(&lists, &filter);
    free(word);
    free(names);
    free(wanted);
    forget_lines(&lists);
    return 0;
}
