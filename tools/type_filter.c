/* SPDX-License-Identifier: MIT */
/*
 * The types of messages that a tool is to read: see type_filter.h. A word of digits alone is a
 * number, any other one a name.
 */
#include "type_filter.h"

#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "text.h"

#define NAMES_BYTES 512

static bool is_number(const char *word)
{
    return word[strspn(word, "0123456789")] == '\0';
}

static int add_word(struct type_filter *filter, const char *word)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    const size_t length = strlen(word);
    uint64_t number = 0;
    if (filter->count == TYPE_FILTER_MOST) {
        return cli_usage("--type: more than %d types", TYPE_FILTER_MOST);
    }
    if (is_number(word)) {
        const int result = cli_number("--type", word, 0, UINT16_MAX, &number);
        if (result != CLI_OK) {
            return result;
        }
    } else if (word[0] == '.' || strspn(word, letters) != length || length > SHMBUS_NAME_MAX) {
        return cli_usage("--type: '%s' is neither a number from 0 to %u nor the name of a type",
                         word, UINT16_MAX);
    } else {
        filter->has_names = true;
    }
    filter->words[filter->count] = word;
    filter->numbers[filter->count] = (uint16_t)number;
    filter->count++;
    return CLI_OK;
}

int type_filter_add(struct type_filter *filter, char *list)
{
    const uint32_t before = filter->count;
    char *rest = NULL;
    for (char *word = strtok_r(list, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        const int result = add_word(filter, word);
        if (result != CLI_OK) {
            return result;
        }
    }
    if (filter->count == before) {
        return cli_usage("--type: no type given");
    }
    return CLI_OK;
}

static int unknown_name(const char *word, const char *where, const struct shmbus_type *types,
                        uint32_t count)
{
    char names[NAMES_BYTES] = "";
    char printable[SHMBUS_NAME_MAX * TEXT_PRINTABLE_GROWTH + 1];
    size_t length = 0;
    for (uint32_t i = 0; i < count; i++) {
        const int more = snprintf(names + length, sizeof(names) - length, "%s%s", i > 0 ? ", " : "",
                                  text_printable(types[i].name, printable));
        if ((size_t)more >= sizeof(names) - length) {
            snprintf(names + (length < sizeof(names) - 4 ? length : sizeof(names) - 4), 4, "...");
            break;
        }
        length += (size_t)more;
    }
    if (count == 0) {
        return cli_failed("%s: no type is called '%s': it has no registered types (give its "
                          "number)",
                          where, word);
    }
    return cli_failed("%s: no type is called '%s' (there are: %s)", where, word, names);
}

int type_filter_look_up_in(struct type_filter *filter, const char *where,
                           const struct shmbus_type *types, uint32_t count)
{
    for (uint32_t i = 0; i < filter->count; i++) {
        uint32_t index = 0;
        if (is_number(filter->words[i])) {
            continue;
        }
        while (index < count && strcmp(types[index].name, filter->words[i]) != 0) {
            index++;
        }
        if (index == count) {
            return unknown_name(filter->words[i], where, types, count);
        }
        filter->numbers[i] = types[index].type;
    }
    return CLI_OK;
}

int type_filter_look_up(struct type_filter *filter, const struct shmbus_snapshot *snapshot)
{
    static struct shmbus_type types[SHMBUS_TYPES_MAX];
    const struct shmbus_type *type = NULL;
    char where[SHMBUS_NAME_MAX + 8];
    uint32_t count = 0;
    while (count < SHMBUS_TYPES_MAX && (type = shmbus_snapshot_type(snapshot, count))) {
        types[count++] = *type;
    }
    snprintf(where, sizeof(where), "bus '%s'", shmbus_snapshot_bus(snapshot)->name);
    return type_filter_look_up_in(filter, where, types, count);
}

bool type_filter_wants(const struct type_filter *filter, uint16_t type)
{
    uint32_t i = 0;
    while (i < filter->count && filter->numbers[i] != type) {
        i++;
    }
    return filter->count == 0 || i < filter->count;
}
