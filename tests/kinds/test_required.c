/* SPDX-License-Identifier: MIT */
/*
 * Who may be required: anybody, nobody, or those whose names are listed. The library refuses the
 * others, and one that forges its entry past the library is evicted and never gates.
 */
#include "crowd.h"

#include "consumer/consumer.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char *const names[] = {"recorder", "risk-1"};

static struct shmbus_producer *begin(uint32_t rule)
{
    struct shmbus_bus_options bus = crowd_bus();
    bus.required_rule = rule;
    if (rule == SHMBUS_REQUIRED_NAMED) {
        bus.required_names = names;
        bus.required_count = 2;
    }
    return support_create(CROWD_BUS, &bus, NULL);
}

static int join_as(const char *name, uint32_t kind, int64_t grace_ns)
{
    struct shmbus_consumer_options options = watch_options(kind, SHMBUS_FROM_TAIL);
    struct watch watch;
    options.name = name;
    options.grace_ns = grace_ns;
    int result = watch_try(&watch, &options);
    if (result == 0)
        watch_end(&watch);
    return result;
}

START_TEST(refused_when_it_joins)
{
    uint32_t rule = (uint32_t)_i;
    struct shmbus_producer *producer = begin(rule);
    int stranger = rule == SHMBUS_REQUIRED_ANYONE ? 0 : -EPERM;
    int listed = rule == SHMBUS_REQUIRED_NOBODY ? -EPERM : 0;
    static const char *const strangers[] = {"stranger", "recorde", "recorder1",
                                            "Recorder", "risk-",   NULL};
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
        ck_assert_int_eq(join_as(strangers[i], SHMBUS_REQUIRED, 0), stranger);
        if (stranger != 0 && strangers[i] != NULL)
            ck_assert_msg(support_says(strangers[i]) && support_says("required"), "%s",
                          shmbus_error_text());
        if (strangers[i] != NULL)
            ck_assert_int_eq(join_as(strangers[i], SHMBUS_REQUIRED, SECOND_NS), stranger);
        ck_assert_int_eq(join_as(strangers[i], SHMBUS_OPTIONAL, 0), 0);
        ck_assert_int_eq(join_as(strangers[i], SHMBUS_OBSERVER, 0), 0);
    }
    for (size_t i = 0; i < 2; i++) {
        ck_assert_int_eq(join_as(names[i], SHMBUS_REQUIRED, 0), listed);
        ck_assert_int_eq(join_as(names[i], SHMBUS_REQUIRED, SECOND_NS), listed);
    }
    struct shmbus_snapshot *snapshot = support_look(CROWD_BUS);
    ck_assert_uint_eq(shmbus_snapshot_bus(snapshot)->required_rule, rule);
    shmbus_snapshot_close(snapshot);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(the_list_of_names)
{
    static const char *const bad[] = {"", ".x", "a b", "a/b", NULL};
    struct shmbus_bus_options bus = crowd_bus();
    struct shmbus_producer *producer = NULL;
    const char *many[SHMBUS_REQUIRED_MAX + 1];
    char long_name[SHMBUS_NAME_MAX + 2];
    memset(long_name, 'n', sizeof long_name);
    long_name[SHMBUS_NAME_MAX + 1] = 0;
    const char *const list[] = {long_name};
    for (size_t i = 0; i <= SHMBUS_REQUIRED_MAX; i++)
        many[i] = "same";
    bus.required_rule = 3;
    ck_assert_int_eq(shmbus_producer_create(CROWD_BUS, &bus, NULL, &producer), -EINVAL);
    bus.required_rule = SHMBUS_REQUIRED_NAMED;
    bus.required_count = 1;
    ck_assert_int_eq(shmbus_producer_create(CROWD_BUS, &bus, NULL, &producer), -EINVAL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bus.required_names = &bad[i];
        ck_assert_int_eq(shmbus_producer_create(CROWD_BUS, &bus, NULL, &producer), -EINVAL);
    }
    bus.required_names = list;
    ck_assert_int_eq(shmbus_producer_create(CROWD_BUS, &bus, NULL, &producer), -EINVAL);
    long_name[SHMBUS_NAME_MAX] = 0;
    producer = support_create(CROWD_BUS, &bus, NULL);
    ck_assert_int_eq(join_as(long_name, SHMBUS_REQUIRED, 0), 0);
    long_name[SHMBUS_NAME_MAX - 1] = 0;
    ck_assert_int_eq(join_as(long_name, SHMBUS_REQUIRED, 0), -EPERM);
    shmbus_producer_close(producer);
    bus.required_names = many;
    bus.required_count = SHMBUS_REQUIRED_MAX;
    producer = support_create(CROWD_BUS, &bus, NULL);
    shmbus_producer_close(producer);
    bus.required_count++;
    ck_assert_int_eq(shmbus_producer_create(CROWD_BUS, &bus, NULL, &producer), -EINVAL);
    bus.required_rule = SHMBUS_REQUIRED_NOBODY;
    bus.required_count = 1;
    ck_assert_int_eq(shmbus_producer_create(CROWD_BUS, &bus, NULL, &producer), -EINVAL);
}
END_TEST

/* With names or with nobody an empty list is the same. */
START_TEST(an_empty_list)
{
    struct shmbus_bus_options bus = crowd_bus();
    bus.required_rule = SHMBUS_REQUIRED_NAMED;
    struct shmbus_producer *producer = support_create(CROWD_BUS, &bus, NULL);
    ck_assert_int_eq(join_as("recorder", SHMBUS_REQUIRED, 0), -EPERM);
    shmbus_producer_close(producer);
}
END_TEST

#define FORGERIES 5

static void set(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_seq_cst);
}

/* Writes past the library what it refuses, and then reads nothing. */
static void forge(int line, void *context)
{
    int how = *(const int *)context;
    struct shmbus_message message;
    struct watch watch;
    watch_join(&watch, SHMBUS_OPTIONAL, SHMBUS_FROM_TAIL);
    struct control_entry *entry = watch.consumer->entry;
    if (how == 1)
        memcpy(entry->name, "recorder-too", 13);
    if (how == 2)
        memset(entry->name, 'x', sizeof entry->name);
    atomic_store_explicit(&entry->kind, SHMBUS_REQUIRED, memory_order_seq_cst);
    child_tell(line, 1);
    child_hear(line);
    ck_assert_int_eq(shmbus_consumer_next(watch.consumer, &message), -ESTALE);
    ck_assert_msg(support_says("evicted"), "%s", shmbus_error_text());
    /* Once evicted it tries again under other epochs. */
    for (uint64_t epoch = how == 3 ? 0 : 2; how >= 3 && epoch < 5; epoch++) {
        set(&entry->cursor, 0);
        set(&entry->epoch, epoch);
        child_tell(line, 1);
        child_hear(line);
    }
    child_tell(line, 2);
    child_hear(line);
    shmbus_consumer_close(watch.consumer);
}

START_TEST(a_forger_is_evicted_and_never_gates)
{
    struct shmbus_producer *producer =
        begin(_i < FORGERIES ? SHMBUS_REQUIRED_NOBODY : SHMBUS_REQUIRED_NAMED);
    int how = _i % FORGERIES;
    struct child child = child_start(forge, &how);
    while (child_hear(child.line) == 1) {
        for (int i = 0; i < 5 * CROWD_CAPACITY; i++)
            ck_assert_int_eq(crowd_publish(producer, 1), 0);
        ck_assert_int_eq(shmbus_producer_required(producer, NULL), 0);
        ck_assert_int_eq(shmbus_producer_flush(producer, 0), 0);
        child_tell(child.line, 1);
    }
    struct shmbus_snapshot *snapshot = support_look(CROWD_BUS);
    const struct shmbus_consumer_info *info = shmbus_snapshot_consumer(snapshot, 0);
    ck_assert_ptr_nonnull(info);
    if (how < 3)
        ck_assert_uint_eq(info->life, SHMBUS_LIFE_EVICTED);
    shmbus_snapshot_close(snapshot);
    ck_assert_uint_eq(crowd_producer().blocked, 0);
    child_tell(child.line, 1);
    child_end(&child);
    shmbus_producer_close(producer);
}
END_TEST

/* An epoch that changes all the time is nobody's. */
static void flicker(int line, void *context)
{
    (void)context;
    struct watch watch;
    watch_join(&watch, SHMBUS_OPTIONAL, SHMBUS_FROM_TAIL);
    struct control_entry *entry = watch.consumer->entry;
    atomic_store_explicit(&entry->kind, SHMBUS_REQUIRED, memory_order_seq_cst);
    child_tell(line, 1);
    for (uint64_t epoch = 2; !child_has_said(line); epoch++)
        for (int i = 0; i < 1000; i++)
            set(&entry->epoch, epoch * 1000 + (uint64_t)i);
}

START_TEST(one_that_flickers_does_not_gate)
{
    struct shmbus_producer *producer = begin(SHMBUS_REQUIRED_NOBODY);
    struct child child = child_start(flicker, NULL);
    child_hear(child.line);
    for (int i = 0; i < 30000; i++)
        ck_assert_int_eq(crowd_publish(producer, 1), 0);
    child_tell(child.line, 1);
    child_end(&child);
    shmbus_producer_close(producer);
}
END_TEST

/* Those that may, gate: the ring fills up, and goes on as they read. */
START_TEST(one_that_may_gates)
{
    struct shmbus_producer *producer = begin((uint32_t)_i);
    struct shmbus_consumer_options options = watch_options(SHMBUS_REQUIRED, SHMBUS_FROM_TAIL);
    struct watch watch;
    options.name = names[1];
    ck_assert_int_eq(watch_try(&watch, &options), 0);
    for (int i = 0; i < CROWD_CAPACITY; i++)
        ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, NULL, 0), 0);
    ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, NULL, 0), -EAGAIN);
    ck_assert_int_eq(shmbus_producer_required(producer, NULL), 1);
    struct shmbus_message message;
    for (int i = 0; i < CROWD_CAPACITY; i++)
        ck_assert_int_eq(shmbus_consumer_next(watch.consumer, &message), 1);
    ck_assert_int_eq(shmbus_consumer_next(watch.consumer, &message), 0);
    ck_assert_int_eq(shmbus_producer_publish(producer, 0, 0, NULL, 0), 0);
    shmbus_consumer_close(watch.consumer);
    shmbus_producer_close(producer);
}
END_TEST

Suite *required_suite(void);
Suite *required_suite(void)
{
    Suite *suite = suite_create("kinds_required");
    TCase *tcase = support_case(suite, "required", 60);
    tcase_add_loop_test(tcase, refused_when_it_joins, 0, 3);
    tcase_add_test(tcase, the_list_of_names);
    tcase_add_test(tcase, an_empty_list);
    tcase_add_loop_test(tcase, a_forger_is_evicted_and_never_gates, 0, 2 * FORGERIES);
    tcase_add_test(tcase, one_that_flickers_does_not_gate);
    tcase_add_loop_test(tcase, one_that_may_gates, SHMBUS_REQUIRED_ANYONE,
                        SHMBUS_REQUIRED_ANYONE + 1);
    tcase_add_loop_test(tcase, one_that_may_gates, SHMBUS_REQUIRED_NAMED,
                        SHMBUS_REQUIRED_NAMED + 1);
    return suite;
}

int main(void)
{
    return support_run(required_suite());
}
