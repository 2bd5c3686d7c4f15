/* SPDX-License-Identifier: MIT */
/* What shmbus-pub is given as lists: see pub_lists.h. */
#include "pub_lists.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

#define WHERE_BYTES 512

/* A bus's, a consumer's or a type's name: the library checks it too, with less to say where. */
static int check_name(const char *where, const char *name)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    const size_t length = strlen(name);
    if (length == 0 || length > SHMBUS_NAME_MAX || name[0] == '.' ||
        strspn(name, letters) != length) {
        return cli_usage("%s: '%s' is not a name: 1 to %d of A-Z a-z 0-9 . _ -, no dot first",
                         where, name, SHMBUS_NAME_MAX);
    }
    return CLI_OK;
}

int pub_lists_register(struct pub_lists *lists, const char *where, char *text)
{
    char *name = strchr(text, ':');
    char *bytes = name ? strchr(name + 1, ':') : NULL;
    char *fields = bytes ? strchr(bytes + 1, ':') : NULL;
    uint64_t number = 0;
    uint64_t size = 0;
    if (!bytes) {
        return cli_usage("%s: '%s' is not of the form NUMBER:NAME:BYTES[:FIELDS], as in "
                         "7:trade:24:price:<i8,qty:<i8,side:<i8",
                         where, text);
    }
    if (lists->type_count == SHMBUS_TYPES_MAX) {
        return cli_usage("%s: more than %d types", where, SHMBUS_TYPES_MAX);
    }
    *name++ = '\0';
    *bytes++ = '\0';
    if (fields) {
        *fields++ = '\0';
    }
    int result = cli_number(where, text, 0, UINT16_MAX, &number);
    if (result == CLI_OK) {
        result = check_name(where, name);
    }
    if (result == CLI_OK) {
        result = cli_number(where, bytes, 0, UINT32_MAX, &size);
    }
    if (result == CLI_OK && fields && strlen(fields) > SHMBUS_TYPE_FIELDS_MAX) {
        result = cli_usage("%s: the fields of type '%s' have more than %d characters", where, name,
                           SHMBUS_TYPE_FIELDS_MAX);
    }
    if (result == CLI_OK) {
        lists->types[lists->type_count++] = (struct shmbus_type){
            .type = (uint16_t)number,
            .bytes = (uint32_t)size,
            .name = name,
            .fields = fields,
        };
    }
    return result;
}

static int file_failed(const char *path)
{
    return cli_failed("--types: %s: %s", path, strerror(errno));
}

int pub_lists_read_types(struct pub_lists *lists, const char *path)
{
    char where[WHERE_BYTES];
    unsigned long number = 0;
    int result = CLI_OK;
    FILE *file = fopen(path, "re");
    if (!file) {
        return file_failed(path);
    }
    while (result == CLI_OK) {
        char *line = NULL;
        size_t room = 0;
        const ssize_t length = getline(&line, &room, file);
        if (length < 0) {
            result = ferror(file) ? file_failed(path) : CLI_OK;
            free(line);
            break;
        }
        line[strcspn(line, "\n")] = '\0';
        number++;
        if (line[0] == '\0' || line[0] == '#') {
            free(line);
            continue;
        }
        /* Kept for as long as this runs: the types point into it. */
        snprintf(where, sizeof(where), "--types: %s: line %lu", path, number);
        result = pub_lists_register(lists, where, line);
        if (result != CLI_OK) {
            free(line);
        }
    }
    fclose(file);
    return result;
}

int pub_lists_add_names(struct pub_lists *lists, char *text)
{
    char *rest = NULL;
    int result = CLI_OK;
    if (text[0] == '\0') {
        return cli_usage("--required: '' is none of anyone, nobody, names with commas between "
                         "them");
    }
    for (char *name = strtok_r(text, ",", &rest); name && result == CLI_OK;
         name = strtok_r(NULL, ",", &rest)) {
        if (lists->name_count == SHMBUS_REQUIRED_MAX) {
            return cli_usage("--required: more than %d names", SHMBUS_REQUIRED_MAX);
        }
        result = check_name("--required", name);
        lists->names[lists->name_count++] = name;
    }
    return result;
}

int pub_lists_find_type(const struct pub_lists *lists, const char *word, uint16_t *out_type)
{
    uint64_t number = 0;
    for (uint32_t i = 0; i < lists->type_count; i++) {
        if (strcmp(lists->types[i].name, word) == 0) {
            *out_type = lists->types[i].type;
            return CLI_OK;
        }
    }
    if (word[0] < '0' || word[0] > '9') {
        return cli_usage("--type: '%s' is neither a number from 0 to %u nor a type that --register "
                         "or --types names",
                         word, UINT16_MAX);
    }
    const int result = cli_number("--type", word, 0, UINT16_MAX, &number);
    *out_type = (uint16_t)number;
    return result;
}
