/* SPDX-License-Identifier: MIT */
/*
 * Taking over, refusing and replacing: a bus of the same geometry goes on; another is refused, both
 * named, or replaced if that is asked; and one whose producer lives, stopped or not, is nobody
 * else's.
 */
#include "rig.h"

#include <errno.h>
#include <unistd.h>

static struct shmbus_bus_options bus;

static int try_create(const struct shmbus_bus_options *options)
{
    struct shmbus_producer *producer;
    int result = rig_try_create(options, &producer);
    if (result == 0)
        shmbus_producer_close(producer);
    return result;
}

static void owner(int line, void *context)
{
    struct shmbus_producer *producer;
    (void)context;
    ck_assert_int_eq(rig_try_create(&bus, &producer), 0);
    for (;;) {
        child_tell(line, shmbus_producer_next_sequence(producer));
        if (child_hear(line) == 0)
            break;
        rig_publish_many(producer, 1, 8);
    }
    shmbus_producer_close(producer);
}

START_TEST(a_stopped_producer_never_loses_its_bus)
{
    struct shmbus_producer *producer;
    bus = rig_bus();
    struct child child = child_start(owner, NULL);
    ck_assert_uint_eq(child_hear(child.line), 0);
    struct shmbus_consumer *consumer = rig_join("stays", SHMBUS_REQUIRED, 0);
    child_stop(&child);
    for (int i = 0; i < 3; i++) {
        struct shmbus_bus_options other = bus;
        other.capacity = 32;
        other.flags = SHMBUS_BUS_REPLACE;
        ck_assert_int_eq(try_create(&bus), -EBUSY);
        ck_assert_int_eq(try_create(&other), -EBUSY);
        ck_assert_int_eq(shmbus_producer_open(BUS, NULL, NULL, STALL_NS, &producer), -EBUSY);
        ck_assert_int_eq(shmbus_unlink(BUS, NULL), -EBUSY);
        ck_assert(support_says("living"));
        ck_assert_int_eq(shmbus_consumer_wait(consumer, STALL_NS), -ETIMEDOUT);
    }
    child_continue(&child);
    for (uint64_t i = 0; i < 40; i++) {
        child_tell(child.line, 1);
        ck_assert_uint_eq(child_hear(child.line), i + 1);
        rig_next(consumer, i);
    }
    child_tell(child.line, 0);
    child_end(&child);
    ck_assert_int_eq(shmbus_consumer_wait(consumer, GUARD_NS), -EPIPE);
    ck_assert_int_eq(try_create(&bus), 0);
    shmbus_consumer_close(consumer);
}
END_TEST

/* A closed bus that is kept: the stream goes on where it ended, for those that stayed too. */
START_TEST(a_closed_bus_goes_on)
{
    bus = rig_bus();
    struct shmbus_producer *producer = rig_create(&bus, 0);
    struct shmbus_consumer *consumer = rig_join("stays", SHMBUS_REQUIRED, 0);
    struct shmbus_message message;
    for (uint64_t i = 0; i < 50; i++) {
        rig_publish_many(producer, 1, i % 2 ? 8 : 4096);
        shmbus_producer_close(producer);
        if (i % 3 == 0)
            rig_next(consumer, i);
        if (i % 3 == 0 && i % 2 == 0)
            ck_assert_int_eq(shmbus_consumer_next(consumer, &message), -EPIPE);
        if (i % 2)
            ck_assert_int_eq(shmbus_producer_open(BUS, NULL, NULL, 0, &producer), 0);
        else
            ck_assert_int_eq(rig_try_create(&bus, &producer), 0);
        ck_assert_uint_eq(shmbus_producer_next_sequence(producer), i + 1);
        if (i % 3 != 0)
            rig_next(consumer, i);
    }
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 0);
    shmbus_consumer_close(consumer);
    rig_all_slabs(producer, &bus);
    shmbus_producer_close(producer);
}
END_TEST

static void refuses(const struct shmbus_bus_options *other, const char *what, const char *have,
                    const char *want)
{
    ck_assert_int_eq(try_create(other), -EEXIST);
    ck_assert_msg(support_says(what) && support_says(have) && support_says(want), "%s",
                  shmbus_error_text());
}

START_TEST(another_geometry_is_refused)
{
    struct shmbus_bus_options other;
    bus = rig_bus();
    shmbus_producer_close(rig_create(&bus, 0));
#define DIFFERS(field, value, have, want)                                                          \
    other = bus;                                                                                   \
    other.field = value;                                                                           \
    refuses(&other, #field, have, want)
    DIFFERS(capacity, 64, "16", "64");
    DIFFERS(slot_bytes, 128, "64", "128");
    DIFFERS(max_consumers, 9, "8", "9");
    DIFFERS(history, 5, "0", "5");
    DIFFERS(stall_ns, 77, "30000000", "77");
    DIFFERS(flags, SHMBUS_BUS_EVICT, "0", "8");
    DIFFERS(required_rule, SHMBUS_REQUIRED_NOBODY, "0", "1");
#undef DIFFERS
    other = bus;
    other.classes[1].slab_bytes = 512;
    refuses(&other, "slab_bytes", "256", "512");
    other = bus;
    other.classes[2].slab_count = 5;
    refuses(&other, "slab_count", "4", "5");
    /* A wish to replace is none of the geometry: the same one goes on. */
    other = bus;
    other.flags = SHMBUS_BUS_REPLACE;
    struct shmbus_consumer *consumer = rig_join("stays", SHMBUS_REQUIRED, 0);
    struct shmbus_producer *producer;
    ck_assert_int_eq(rig_try_create(&other, &producer), 0);
    rig_publish_many(producer, 1, 8);
    rig_next(consumer, 0);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
    ck_assert_int_eq(try_create(&bus), 0);
}
END_TEST

START_TEST(other_tables_are_refused)
{
    const struct shmbus_type quote = {.type = 1, .bytes = 16, .name = "quote", .fields = "p:<i8"};
    const struct shmbus_type trade = {.type = 1, .bytes = 24, .name = "trade", .fields = "q:<i8"};
    const char *recorder[] = {"recorder"};
    const char *strategy[] = {"strategy"};
    struct shmbus_bus_options other;
    bus = rig_bus();
    bus.types = &quote;
    bus.type_count = 1;
    bus.required_rule = SHMBUS_REQUIRED_NAMED;
    bus.required_names = recorder;
    bus.required_count = 1;
    shmbus_producer_close(rig_create(&bus, 0));
    other = bus;
    other.types = &trade;
    refuses(&other, "type", "quote", "trade");
    refuses(&other, "16", "24", "p:<i8");
    other = bus;
    other.type_count = 0;
    refuses(&other, "type_count", "1", "0");
    other = bus;
    other.required_names = strategy;
    ck_assert_int_eq(try_create(&other), -EEXIST);
    ck_assert_msg(support_says("strategy"), "%s", shmbus_error_text());
    ck_assert_int_eq(try_create(&bus), 0);
    other.flags = SHMBUS_BUS_REPLACE;
    ck_assert_int_eq(try_create(&other), 0);
    ck_assert_int_eq(try_create(&bus), -EEXIST);
}
END_TEST

/* Those of the old bus read to its end, whoever they are, and can open the new one. */
START_TEST(replaced_if_asked)
{
    static const uint32_t kinds[] = {SHMBUS_REQUIRED, SHMBUS_OPTIONAL, SHMBUS_OBSERVER};
    struct shmbus_consumer *consumers[3];
    struct shmbus_message message;
    bus = rig_bus();
    struct shmbus_producer *producer = rig_create(&bus, 0);
    for (int i = 0; i < 3; i++)
        consumers[i] = rig_join("stays", kinds[i], 0);
    rig_publish_many(producer, 6, 100);
    shmbus_producer_close(producer);
    struct shmbus_bus_options other = bus;
    other.slot_bytes = 128;
    other.flags = SHMBUS_BUS_REPLACE;
    ck_assert_int_eq(rig_try_create(&other, &producer), 0);
    ck_assert_uint_eq(shmbus_producer_next_sequence(producer), 0);
    for (int i = 0; i < 3; i++) {
        for (uint64_t sequence = 0; sequence < 6; sequence++)
            rig_next(consumers[i], sequence);
        for (int again = 0; again < 2; again++) {
            ck_assert_int_eq(shmbus_consumer_next(consumers[i], &message), -ESTALE);
            ck_assert_msg(support_says("replaced"), "%s", shmbus_error_text());
            ck_assert_int_eq(shmbus_consumer_wait(consumers[i], GUARD_NS), -ESTALE);
        }
        ck_assert_int_eq(shmbus_consumer_rejoin(consumers[i], SHMBUS_FROM_TAIL, 0), -ESTALE);
        shmbus_consumer_close(consumers[i]);
        consumers[i] = rig_join("stays", kinds[i], 0);
    }
    for (uint64_t sequence = 0; sequence < 40; sequence++) {
        rig_publish_many(producer, 1, 100);
        for (int i = 0; i < 3; i++)
            rig_next(consumers[i], sequence);
    }
    for (int i = 0; i < 3; i++)
        shmbus_consumer_close(consumers[i]);
    rig_all_slabs(producer, &bus);
    shmbus_producer_close(producer);
}
END_TEST

/* A dead producer's bus is replaced as a closed one's, while its consumers wait. */
START_TEST(replaced_after_a_death)
{
    struct shmbus_producer *producer;
    bus = rig_bus();
    shmbus_unlink(BUS, NULL);
    struct child child = child_start(owner, NULL);
    ck_assert_uint_eq(child_hear(child.line), 0);
    struct shmbus_consumer *consumer = rig_join("stays", SHMBUS_REQUIRED, 0);
    child_tell(child.line, 1);
    ck_assert_uint_eq(child_hear(child.line), 1);
    child_kill(&child);
    rig_next(consumer, 0);
    ck_assert_int_eq(shmbus_consumer_wait(consumer, GUARD_NS), -EOWNERDEAD);
    struct shmbus_bus_options other = bus;
    other.max_consumers = 3;
    ck_assert_int_eq(try_create(&other), -EEXIST);
    ck_assert_int_eq(shmbus_consumer_wait(consumer, GUARD_NS), -EOWNERDEAD);
    other.flags = SHMBUS_BUS_REPLACE;
    ck_assert_int_eq(rig_try_create(&other, &producer), 0);
    ck_assert_int_eq(shmbus_consumer_wait(consumer, GUARD_NS), -ESTALE);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("death replace");
    TCase *tcase = support_case(suite, "replace", 60);
    tcase_add_test(tcase, a_stopped_producer_never_loses_its_bus);
    tcase_add_test(tcase, a_closed_bus_goes_on);
    tcase_add_test(tcase, another_geometry_is_refused);
    tcase_add_test(tcase, other_tables_are_refused);
    tcase_add_test(tcase, replaced_if_asked);
    tcase_add_test(tcase, replaced_after_a_death);
    return support_run(suite);
}
