/* SPDX-License-Identifier: MIT */
/*
 * Types of messages: wanting some of them, registering them with the bus, and expecting a layout.
 */
#include "crowd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define KINDS 3

static int refused(const struct shmbus_bus_options *bus, const char *what)
{
    struct shmbus_producer *producer = NULL;
    shmbus_unlink(CROWD_BUS, NULL);
    int result = shmbus_producer_create(CROWD_BUS, bus, NULL, &producer);
    if (result == 0)
        shmbus_producer_close(producer);
    return result == -EINVAL && support_says(what);
}

/* Exactly those that are wanted, in order, and the others counted without a callback. */
START_TEST(only_what_is_wanted)
{
    uint32_t kind = (uint32_t)_i;
    for (uint32_t wanted = 0; wanted < 1u << CROWD_TYPES; wanted++) {
        uint16_t types[CROWD_TYPES + 3] = {9, 65535};
        struct shmbus_bus_options bus = crowd_bus();
        struct shmbus_consumer_options options = watch_options(kind, SHMBUS_FROM_TAIL);
        struct watch watch;
        uint64_t expected = 0;
        bus.first_sequence = (UINT64_C(1) << 56) - 100;
        options.types = types;
        options.type_count = 2;
        for (uint16_t type = 0; type < CROWD_TYPES; type++)
            if (wanted >> type & 1)
                types[options.type_count++] = type;
        types[options.type_count] = types[options.type_count - 1]; /* twice is as good as once */
        options.type_count++;
        struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, NULL);
        ck_assert_int_eq(watch_try(&watch, &options), 0);
        memset(types, 0xff, sizeof types); /* the caller's again */
        for (uint64_t i = 0; i < 200; i++) {
            uint64_t sequence = bus.first_sequence + i;
            expected += wanted >> crowd_type(sequence) & 1;
            ck_assert_int_eq(crowd_publish(producer, 1), 0);
            if (i % 7 == 0)
                ck_assert_int_eq(watch_drain(&watch), 0);
        }
        ck_assert_int_eq(watch_drain(&watch), 0);
        ck_assert_uint_eq(watch.received, expected);
        watch_settle(&watch);
        ck_assert_uint_eq(watch.unwanted, 200 - expected);
        watch_end(&watch);
        shmbus_producer_close(producer);
    }
}
END_TEST

/* One who wants nothing of what comes is in nobody's way. */
START_TEST(long_runs_of_what_is_not_wanted)
{
    static const uint16_t types[] = {1000};
    struct shmbus_bus_options bus = crowd_bus();
    struct shmbus_consumer_options options = watch_options((uint32_t)_i, SHMBUS_FROM_TAIL);
    struct watch watch;
    options.types = types;
    options.type_count = 1;
    struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, NULL);
    ck_assert_int_eq(watch_try(&watch, &options), 0);
    for (int i = 0; i < 200; i++) {
        struct shmbus_message message;
        /* In each way to look: nothing of it is a message, and room is there again. */
        for (int j = 0; j < CROWD_CAPACITY; j++)
            ck_assert_int_eq(shmbus_producer_publish(producer, 1, 0, NULL, 0), 0);
        if (i % 3 == 0)
            ck_assert_int_eq(watch_drain(&watch), 0);
        else if (i % 3 == 1)
            ck_assert_int_eq(shmbus_consumer_next(watch.consumer, &message), 0);
        else
            ck_assert_int_eq(shmbus_consumer_wait(watch.consumer, 0), -ETIMEDOUT);
        ck_assert_int_eq(shmbus_producer_flush(producer, 0), 0);
        struct shmbus_snapshot *snapshot = support_look(CROWD_BUS);
        if (options.kind != SHMBUS_OBSERVER) {
            const struct shmbus_consumer_info *info = shmbus_snapshot_consumer(snapshot, 0);
            ck_assert_uint_eq(info->lag, 0);
            ck_assert_uint_eq(info->filtered, (uint64_t)(i + 1) * CROWD_CAPACITY);
        }
        shmbus_snapshot_close(snapshot);
    }
    ck_assert_int_eq(shmbus_producer_publish(producer, 1000, 0, NULL, 0), 0);
    ck_assert_int_eq(shmbus_consumer_wait(watch.consumer, GUARD_NS), 0);
    struct shmbus_message message;
    ck_assert_int_eq(shmbus_consumer_next(watch.consumer, &message), 1);
    ck_assert_uint_eq(message.sequence, 200 * CROWD_CAPACITY);
    shmbus_consumer_close(watch.consumer);
    shmbus_producer_close(producer);
}
END_TEST

/* A filter that names nothing wants nothing; none wants everything. */
START_TEST(empty_filters)
{
    static const uint16_t types[] = {0};
    struct shmbus_producer *producer = support_create(CROWD_BUS, NULL, NULL);
    struct shmbus_consumer_options options = watch_options(SHMBUS_REQUIRED, SHMBUS_FROM_TAIL);
    struct watch nothing, all;
    options.types = types;
    ck_assert_int_eq(watch_try(&nothing, &options), 0);
    watch_join(&all, SHMBUS_REQUIRED, SHMBUS_FROM_TAIL);
    ck_assert_int_eq(crowd_publish(producer, 10), 0);
    ck_assert_int_eq(watch_drain(&nothing), 0);
    ck_assert_int_eq(watch_drain(&all), 0);
    ck_assert_uint_eq(all.received, 10);
    watch_settle(&nothing);
    ck_assert_uint_eq(nothing.unwanted, 10);
    watch_end(&nothing);
    watch_end(&all);
    options.types = NULL;
    options.type_count = 1;
    ck_assert_int_eq(watch_try(&all, &options), -EINVAL);
    shmbus_producer_close(producer);
}
END_TEST

static const struct shmbus_type market[] = {
    {.type = 7, .bytes = 24, .name = "trade", .fields = "price:<i8,qty:<i8,side:u1"},
    {.type = 65535, .bytes = 0, .name = "Text-1.x_", .fields = NULL},
    {.type = 0, .bytes = UINT32_MAX, .name = "zero", .fields = ""},
};

START_TEST(registered_and_shown)
{
    struct shmbus_bus_options bus = crowd_bus();
    bus.types = market;
    bus.type_count = 3;
    struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, NULL);
    struct shmbus_snapshot *snapshot = support_look(CROWD_BUS);
    ck_assert_uint_eq(shmbus_snapshot_bus(snapshot)->type_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        const struct shmbus_type *type = shmbus_snapshot_type(snapshot, i);
        ck_assert_uint_eq(type->type, market[i].type);
        ck_assert_uint_eq(type->bytes, market[i].bytes);
        ck_assert_str_eq(type->name, market[i].name);
        ck_assert_str_eq(type->fields, market[i].fields == NULL ? "" : market[i].fields);
    }
    ck_assert_ptr_null(shmbus_snapshot_type(snapshot, 3));
    shmbus_snapshot_close(snapshot);
    /* They say what is there, and forbid nothing. */
    ck_assert_int_eq(shmbus_producer_publish(producer, 99, 0, NULL, 0), 0);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(what_cannot_be_registered)
{
    static const char *const bad[] = {"", ".a", "a b", "a,b", "\xc3\xa4", NULL};
    struct shmbus_bus_options bus = crowd_bus();
    struct shmbus_type types[3] = {market[0], market[1], market[2]};
    char long_name[SHMBUS_NAME_MAX + 2], fields[SHMBUS_TYPE_FIELDS_MAX + 2];
    bus.types = types;
    bus.type_count = 3;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        types[1].name = bad[i];
        ck_assert(refused(&bus, "type"));
    }
    memset(long_name, 'n', sizeof long_name);
    long_name[SHMBUS_NAME_MAX + 1] = 0;
    types[1].name = long_name;
    ck_assert(refused(&bus, "type"));
    long_name[SHMBUS_NAME_MAX] = 0;
    ck_assert(!refused(&bus, ""));
    memset(fields, 'f', sizeof fields);
    fields[SHMBUS_TYPE_FIELDS_MAX + 1] = 0;
    types[2].fields = fields;
    ck_assert(refused(&bus, "943"));
    fields[SHMBUS_TYPE_FIELDS_MAX] = 0;
    ck_assert(!refused(&bus, ""));
    types[2].type = types[0].type;
    ck_assert(refused(&bus, "zero"));
    types[2].type = 1;
    types[2].name = types[0].name;
    ck_assert(refused(&bus, "trade"));
    bus.types = NULL;
    ck_assert(refused(&bus, "types"));
}
END_TEST

START_TEST(as_many_as_there_may_be)
{
    static struct shmbus_type types[SHMBUS_TYPES_MAX + 1];
    static char names[SHMBUS_TYPES_MAX + 1][16];
    struct shmbus_bus_options bus = crowd_bus();
    for (uint32_t i = 0; i <= SHMBUS_TYPES_MAX; i++) {
        snprintf(names[i], sizeof names[i], "t%u", i);
        types[i] = (struct shmbus_type){.type = (uint16_t)(i * 63), .name = names[i]};
    }
    bus.types = types;
    bus.type_count = SHMBUS_TYPES_MAX + 1;
    ck_assert(refused(&bus, "type_count"));
    bus.type_count = SHMBUS_TYPES_MAX;
    struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, NULL);
    struct shmbus_snapshot *snapshot = support_look(CROWD_BUS);
    for (uint32_t i = 0; i < SHMBUS_TYPES_MAX; i++)
        ck_assert_str_eq(shmbus_snapshot_type(snapshot, i)->name, names[i]);
    shmbus_snapshot_close(snapshot);
    struct shmbus_consumer_options options = watch_options(SHMBUS_REQUIRED, SHMBUS_FROM_TAIL);
    struct watch watch;
    options.expected = types;
    options.expected_count = SHMBUS_TYPES_MAX;
    ck_assert_int_eq(watch_try(&watch, &options), 0);
    watch_end(&watch);
    shmbus_producer_close(producer);
}
END_TEST

static int expects(uint32_t kind, const struct shmbus_type *types, uint32_t count)
{
    struct shmbus_consumer_options options = watch_options(kind, SHMBUS_FROM_TAIL);
    struct watch watch;
    options.expected = types;
    options.expected_count = count;
    int result = watch_try(&watch, &options);
    if (result == 0)
        watch_end(&watch);
    return result;
}

/* One that expects another layout is refused, with what there is and what it expected. */
START_TEST(expected_layouts)
{
    struct shmbus_bus_options bus = crowd_bus();
    bus.types = market;
    bus.type_count = 3;
    struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, NULL);
    for (uint32_t kind = 0; kind < KINDS; kind++) {
        struct shmbus_type own[3] = {market[2], market[0], market[1]};
        ck_assert_int_eq(expects(kind, own, 3), 0);
        own[1].fields = "price:<i8,qty:<i4,side:u1";
        ck_assert_int_eq(expects(kind, own, 3), -EPROTOTYPE);
        ck_assert(support_says(market[0].fields) && support_says(own[1].fields));
        ck_assert(support_says("type 7"));
        own[1] = market[0];
        own[1].bytes = 32;
        ck_assert_int_eq(expects(kind, own, 3), -EPROTOTYPE);
        ck_assert(support_says("24 bytes") && support_says("32 bytes"));
        own[1] = market[0];
        own[1].name = "trades";
        ck_assert_int_eq(expects(kind, own, 3), -EPROTOTYPE);
        ck_assert(support_says("trade,") && support_says("trades,"));
        own[1].name = NULL;
        ck_assert_int_eq(expects(kind, own, 3), -EPROTOTYPE);
        own[1] = market[0];
        own[1].type = 8;
        ck_assert_int_eq(expects(kind, own, 3), -EPROTOTYPE);
        ck_assert(support_says("type 8") && support_says("not registered"));
        ck_assert_int_eq(expects(kind, NULL, 1), -EINVAL);
    }
    ck_assert_str_ne(shmbus_strerror(-EPROTOTYPE), "unknown error");
    /* Who was refused took nothing. */
    struct shmbus_snapshot *snapshot = support_look(CROWD_BUS);
    ck_assert_uint_eq(shmbus_snapshot_bus(snapshot)->consumer_count, 0);
    shmbus_snapshot_close(snapshot);
    shmbus_producer_close(producer);
}
END_TEST

/* A producer with other types, or another rule, is not the bus's: no takeover. */
START_TEST(takeover_needs_the_same_types)
{
    struct shmbus_bus_options bus = crowd_bus();
    struct shmbus_type other[3] = {market[0], market[1], market[2]};
    struct shmbus_producer *producer;
    bus.types = market;
    bus.type_count = 3;
    producer = support_create(CROWD_BUS, &bus, NULL);
    shmbus_producer_close(producer);
    other[0].fields = "price:<f8";
    bus.types = other;
    ck_assert_int_eq(shmbus_producer_create(CROWD_BUS, &bus, NULL, &producer), -EEXIST);
    ck_assert(support_says("price:<f8") && support_says(market[0].fields));
    bus.type_count = 2;
    ck_assert_int_eq(shmbus_producer_create(CROWD_BUS, &bus, NULL, &producer), -EEXIST);
    bus.types = market;
    bus.type_count = 3;
    ck_assert_int_eq(shmbus_producer_create(CROWD_BUS, &bus, NULL, &producer), 0);
    shmbus_producer_close(producer);
}
END_TEST

Suite *types_suite(void);
Suite *types_suite(void)
{
    Suite *suite = suite_create("kinds_types");
    TCase *tcase = support_case(suite, "types", 60);
    tcase_add_loop_test(tcase, only_what_is_wanted, 0, KINDS);
    tcase_add_loop_test(tcase, long_runs_of_what_is_not_wanted, 0, KINDS);
    tcase_add_test(tcase, empty_filters);
    tcase_add_test(tcase, registered_and_shown);
    tcase_add_test(tcase, what_cannot_be_registered);
    tcase_add_test(tcase, as_many_as_there_may_be);
    tcase_add_test(tcase, expected_layouts);
    tcase_add_test(tcase, takeover_needs_the_same_types);
    return suite;
}

int main(void)
{
    return support_run(types_suite());
}
