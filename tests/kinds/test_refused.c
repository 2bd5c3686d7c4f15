/* SPDX-License-Identifier: MIT */
/*
 * Options that cannot be: each is refused by its name, nothing is joined or made, and the same with
 * that one put right is taken.
 */
#include "support/support.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define BUS "refused"

/* One field of a struct of options, and what is written there. */
struct change {
    const char *says; /* what the error's text has to name */
    size_t offset;
    size_t bytes;
    int64_t value;
    uint32_t kind; /* of a consumer */
};

#define FIELD(type, field) offsetof(struct type, field), sizeof(((struct type *)0)->field)
#define CONSUMER(field)    FIELD(shmbus_consumer_options, field)

static const struct change of_consumers[] = {
    {"kind", CONSUMER(kind), 3, 0},
    {"from", CONSUMER(from), 3, 0},
    {"flags", CONSUMER(flags), 0x80000000, 0},
    {"hold_quota", CONSUMER(hold_quota), UINT32_MAX, 0},
    {"types", CONSUMER(type_count), 1, 0},
    {"expected", CONSUMER(expected_count), 1, 0},
    {"wait_ns", CONSUMER(wait_ns), -2, 0},
    {"deadline_ns", CONSUMER(deadline_ns), -1, 0},
    {"grace_ns", CONSUMER(grace_ns), -1, SHMBUS_REQUIRED},
    {"grace_ns", CONSUMER(grace_ns), 1, SHMBUS_OPTIONAL},
    {"grace_ns", CONSUMER(grace_ns), 1, SHMBUS_REQUIRED}, /* without a name */
    {"slack", CONSUMER(slack), 1, SHMBUS_REQUIRED},
};
#define OF_CONSUMERS (int)(sizeof of_consumers / sizeof of_consumers[0])

static void apply(void *options, const struct change *change)
{
    memcpy((char *)options + change->offset, &change->value, change->bytes);
}

static void expect_refused(int result, const struct change *change)
{
    ck_assert_msg(result == -EINVAL && support_says(change->says), "%s: %d: %s", change->says,
                  result, shmbus_error_text());
}

START_TEST(a_consumer_is_refused)
{
    const struct change *change = &of_consumers[_i];
    const struct shmbus_bus_options bus = {.struct_bytes = sizeof bus, .capacity = 16};
    struct shmbus_consumer_options options = {.struct_bytes = sizeof options, .kind = change->kind};
    struct shmbus_producer *producer = support_create(BUS, &bus, NULL);
    struct shmbus_consumer *consumer = NULL;
    apply(&options, change);
    expect_refused(shmbus_consumer_open(BUS, &options, &consumer), change);
    ck_assert_ptr_null(consumer);
    struct shmbus_snapshot *snapshot = support_look(BUS);
    ck_assert_uint_eq(shmbus_snapshot_bus(snapshot)->consumer_count, 0);
    shmbus_snapshot_close(snapshot);
    options =
        (struct shmbus_consumer_options){.struct_bytes = sizeof options, .kind = change->kind};
    ck_assert_int_eq(shmbus_consumer_open(BUS, &options, &consumer), 0);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(a_rejoin_is_refused)
{
    const struct shmbus_bus_options bus = {.struct_bytes = sizeof bus, .capacity = 16};
    struct shmbus_producer *producer = support_create(BUS, &bus, NULL);
    struct shmbus_consumer *consumer = support_join(BUS, SHMBUS_FROM_TAIL);
    ck_assert_int_eq(shmbus_consumer_rejoin(consumer, 3, 0), -EINVAL);
    ck_assert(support_says("from"));
    ck_assert_int_eq(shmbus_consumer_rejoin(consumer, SHMBUS_FROM_TAIL, 0), 0);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(a_producer_is_refused)
{
    struct shmbus_bus_options bus = {.struct_bytes = sizeof bus, .capacity = 16, .stall_ns = -1};
    struct shmbus_producer_options options = {.struct_bytes = sizeof options,
                                              .full_timeout_ns = -2};
    struct shmbus_producer *producer = NULL;
    struct shmbus_snapshot *snapshot = NULL;
    shmbus_unlink(BUS, NULL); /* what another test has closed */
    ck_assert_int_eq(shmbus_producer_create(BUS, &bus, NULL, &producer), -EINVAL);
    ck_assert(support_says("stall_ns"));
    bus.stall_ns = 1;
    ck_assert_int_eq(shmbus_producer_create(BUS, &bus, &options, &producer), -EINVAL);
    ck_assert(support_says("full_timeout_ns"));
    ck_assert_int_eq(shmbus_snapshot_open(BUS, NULL, &snapshot), -ENOENT);
    options.full_timeout_ns = SHMBUS_FOREVER;
    ck_assert_int_eq(shmbus_producer_create(BUS, &bus, &options, &producer), 0);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kinds refused");
    TCase *tcase = support_case(suite, "refused", 60);
    tcase_add_loop_test(tcase, a_consumer_is_refused, 0, OF_CONSUMERS);
    tcase_add_test(tcase, a_rejoin_is_refused);
    tcase_add_test(tcase, a_producer_is_refused);
    return support_run(suite);
}
