/* SPDX-License-Identifier: MIT */
/*
 * The tables in feed that never change: registered types, and the names that may be required.
 */
#include "error/error.h"
#include "layout/layout.h"

#include <inttypes.h>
#include <string.h>

static int plan_types(const struct shmbus_bus_options *options, struct feed_header *header)
{
    if (options->type_count > SHMBUS_TYPES_MAX)
        return error_set(-EINVAL, "type_count: %" PRIu32 " is more than %d", options->type_count,
                         SHMBUS_TYPES_MAX);
    if (options->type_count > 0 && options->types == NULL)
        return error_constant(-EINVAL, "types: NULL with a type_count");
    for (uint32_t i = 0; i < options->type_count; i++) {
        const struct shmbus_type *type = &options->types[i];
        int result = layout_check_name("type", type->name);
        if (result < 0)
            return result;
        if (type->fields != NULL && strlen(type->fields) > SHMBUS_TYPE_FIELDS_MAX)
            return error_set(-EINVAL, "type %s: its fields have more than %d characters",
                             type->name, SHMBUS_TYPE_FIELDS_MAX);
        for (uint32_t j = 0; j < i; j++)
            if (options->types[j].type == type->type ||
                strcmp(options->types[j].name, type->name) == 0)
                return error_set(-EINVAL, "type %s, number %u: registered twice", type->name,
                                 (unsigned)type->type);
    }
    header->type_count = options->type_count;
    return 0;
}

int layout_plan_tables(const struct shmbus_bus_options *options, struct feed_header *header)
{
    int result = plan_types(options, header);
    if (result < 0)
        return result;
    if (options->required_rule > SHMBUS_REQUIRED_NAMED)
        return error_set(-EINVAL, "required_rule: %" PRIu32 " is no rule", options->required_rule);
    header->required_rule = options->required_rule;
    if (options->required_rule != SHMBUS_REQUIRED_NAMED) {
        if (options->required_count > 0)
            return error_constant(-EINVAL,
                                  "required_count: names are for SHMBUS_REQUIRED_NAMED only");
        return 0;
    }
    if (options->required_count > SHMBUS_REQUIRED_MAX ||
        (options->required_count > 0 && options->required_names == NULL))
        return error_set(-EINVAL, "required_count: %" PRIu32 " is more than %d, or without names",
                         options->required_count, SHMBUS_REQUIRED_MAX);
    for (uint32_t i = 0; i < options->required_count; i++) {
        result = layout_check_name("required consumer", options->required_names[i]);
        if (result < 0)
            return result;
    }
    header->name_count = options->required_count;
    return 0;
}

static struct layout_type *types_of(const struct feed_header *header, unsigned char *feed)
{
    return (struct layout_type *)(void *)(feed + header->types.offset);
}

static struct layout_name *names_of(const struct feed_header *header, unsigned char *feed)
{
    return (struct layout_name *)(void *)(feed + header->names.offset);
}

void layout_write_tables(const struct shmbus_bus_options *options, const struct feed_header *header,
                         unsigned char *feed)
{
    for (uint32_t i = 0; i < header->type_count; i++) {
        const struct shmbus_type *type = &options->types[i];
        struct layout_type *made = &types_of(header, feed)[i];
        made->type = type->type;
        made->bytes = type->bytes;
        memcpy(made->name, type->name, strlen(type->name) + 1);
        if (type->fields != NULL)
            memcpy(made->fields, type->fields, strlen(type->fields) + 1);
    }
    for (uint32_t i = 0; i < header->name_count; i++) {
        const char *name = options->required_names[i];
        memcpy(names_of(header, feed)[i].name, name, strlen(name) + 1);
    }
}

uint64_t layout_tables_checksum(const struct feed_header *header, const unsigned char *feed)
{
    uint64_t hash = layout_hash(LAYOUT_HASH_START, feed + header->types.offset,
                                header->type_count * sizeof(struct layout_type));
    return layout_hash(hash, feed + header->names.offset,
                       header->name_count * sizeof(struct layout_name));
}

int layout_may_require(const struct feed_header *header, const unsigned char *feed,
                       const char *name)
{
    if (header->required_rule != SHMBUS_REQUIRED_NAMED)
        return header->required_rule == SHMBUS_REQUIRED_ANYONE;
    const struct layout_name *names =
        (const struct layout_name *)(const void *)(feed + header->names.offset);
    for (uint32_t i = 0; i < header->name_count; i++)
        if (strncmp(names[i].name, name, sizeof names[i].name) == 0)
            return 1;
    return 0;
}

const struct layout_type *layout_find_type(const struct feed_header *header,
                                           const unsigned char *feed, uint16_t type)
{
    const struct layout_type *types =
        (const struct layout_type *)(const void *)(feed + header->types.offset);
    for (uint32_t i = 0; i < header->type_count; i++)
        if (types[i].type == type)
            return &types[i];
    return NULL;
}

int layout_check_expected(const struct feed_header *header, const unsigned char *feed,
                          const struct shmbus_type *expected)
{
    const struct layout_type *have = layout_find_type(header, feed, expected->type);
    const char *fields = expected->fields != NULL ? expected->fields : "";
    const char *name = expected->name != NULL ? expected->name : "";
    if (have == NULL)
        return error_set(-EPROTOTYPE,
                         "%s: type %u is not registered; expected %s, %" PRIu32 " bytes, \"%s\"",
                         header->name, (unsigned)expected->type, name, expected->bytes, fields);
    if (strcmp(have->name, name) != 0 || have->bytes != expected->bytes ||
        strcmp(have->fields, fields) != 0)
        return error_set(-EPROTOTYPE,
                         "%s: type %u is %s, %" PRIu32 " bytes, \"%s\"; expected %s, %" PRIu32
                         " bytes, \"%s\"",
                         header->name, (unsigned)expected->type, have->name, have->bytes,
                         have->fields, name, expected->bytes, fields);
    return 0;
}

int layout_same_tables(const struct feed_header *header, const unsigned char *feed,
                       const struct shmbus_bus_options *options)
{
    for (uint32_t i = 0; i < header->type_count; i++)
        if (layout_check_expected(header, feed, &options->types[i]) < 0)
            return -EEXIST;
    for (uint32_t i = 0; i < header->name_count; i++)
        if (!layout_may_require(header, feed, options->required_names[i]))
            return error_set(-EEXIST, "%s: exists, and its list of who may be required lacks %s",
                             header->name, options->required_names[i]);
    return 0;
}
