/* SPDX-License-Identifier: MIT */
/*
 * What the options may say, what everybody sees of it, and what a hostile member of the consuming
 * group can do to a pipeline: it can hold it up or let it run on by a ring, and harms nobody's
 * memory; nobody waits for it for ever to join.
 */
#include "rig.h"

#include "layout/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUIET_NS (60 * MILLISECOND)

static int try_options(const struct shmbus_consumer_options *options)
{
    struct shmbus_consumer *consumer;
    int result = shmbus_consumer_open(BUS, options, &consumer);
    if (result == 0)
        shmbus_consumer_close(consumer);
    return result;
}

START_TEST(options_are_checked)
{
    static const char long_name[] = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"
                                    "abcdefghijklm";
    const char *after[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};
    struct shmbus_producer *producer = rig_create(0, 0);
    const struct shmbus_consumer_options right = {
        .struct_bytes = sizeof right,
        .name = "own",
        .kind = SHMBUS_REQUIRED,
        .after = after,
        .after_count = SHMBUS_AFTER_MAX,
        .after_gone = SHMBUS_AFTER_GO_ON,
    };
    struct shmbus_consumer_options wrong = right;
    ck_assert_int_eq(try_options(&wrong), 0);
    wrong.name = NULL;
    ck_assert_int_eq(try_options(&wrong), 0);
    wrong = right;
    wrong.after_count = SHMBUS_AFTER_MAX + 1;
    ck_assert_int_eq(try_options(&wrong), -EINVAL);
    ck_assert_msg(support_says("after_count: 9"), "%s", shmbus_error_text());
    wrong = right;
    wrong.kind = SHMBUS_OPTIONAL;
    ck_assert_int_eq(try_options(&wrong), -EINVAL);
    ck_assert_msg(support_says("required"), "%s", shmbus_error_text());
    wrong.kind = SHMBUS_OBSERVER;
    ck_assert_int_eq(try_options(&wrong), -EINVAL);
    wrong = right;
    wrong.after = NULL;
    ck_assert_int_eq(try_options(&wrong), -EINVAL);
    ck_assert_msg(support_says("NULL"), "%s", shmbus_error_text());
    wrong = right;
    wrong.after_gone = 2;
    ck_assert_int_eq(try_options(&wrong), -EINVAL);
    ck_assert_msg(support_says("after_gone: 2"), "%s", shmbus_error_text());
    wrong.after_count = 0;
    ck_assert_int_eq(try_options(&wrong), -EINVAL);
    const char *bad[] = {"own", "a", "", ".a", "a b", long_name, NULL};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        wrong = right;
        wrong.after_count = 3;
        after[2] = bad[i];
        ck_assert_msg(try_options(&wrong) == -EINVAL, "%s", bad[i]);
        ck_assert_msg(support_says("after: "), "%s", shmbus_error_text());
    }
    shmbus_producer_close(producer);
}
END_TEST

/* A consumer without a name has its process's, and may not run after that either. An emulator's
 * process has the emulator's name, so the kernel is asked. */
START_TEST(not_after_the_process)
{
    char process[16];
    const char *after[] = {process};
    ck_assert_int_eq(prctl(PR_GET_NAME, process), 0);
    struct shmbus_producer *producer = rig_create(0, 0);
    const struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options,
        .kind = SHMBUS_REQUIRED,
        .after = after,
        .after_count = 1,
    };
    ck_assert_int_eq(try_options(&options), -EINVAL);
    ck_assert_msg(support_says("own name"), "%s", shmbus_error_text());
    shmbus_producer_close(producer);
}
END_TEST

START_TEST(the_picture)
{
    struct staged first;
    struct staged second;
    struct shmbus_producer *producer = rig_create(0, 0);
    rig_join(&(struct stage){.name = "first"}, &first);
    rig_join(&(struct stage){.name = "second", .after = "first third", .gone = 1}, &second);
    struct shmbus_consumer_info info = rig_look("first");
    ck_assert_uint_eq(info.after_count, 0);
    ck_assert_uint_eq(info.behind, 0);
    info = rig_look("second");
    ck_assert_uint_eq(info.after_count, 2);
    ck_assert_uint_eq(info.after_gone, SHMBUS_AFTER_GO_ON);
    ck_assert_str_eq(info.after[0], "first");
    ck_assert_str_eq(info.after[1], "third");
    ck_assert_uint_eq(info.behind, 0);
    rig_publish(producer, 2);
    ck_assert_uint_eq(rig_look("second").behind, 1);
    rig_gets(&first, 1);
    ck_assert_uint_eq(rig_look("second").behind, 0);
    rig_gets(&second, 1);
    ck_assert_uint_eq(rig_look("second").behind, 1);
    rig_leave(&first);
    ck_assert_uint_eq(rig_look("second").behind, 0);
    rig_leave(&second);
    /* The entry's next consumer does not inherit it. */
    rig_join(&(struct stage){.name = "first"}, &first);
    rig_join(&(struct stage){.name = "second"}, &second);
    ck_assert_uint_eq(rig_look("second").after_count, 0);
    rig_leave(&first);
    rig_leave(&second);
    shmbus_producer_close(producer);
}
END_TEST

/* Optional ones of the name do not count: they promise nothing. */
START_TEST(only_required_ones_count)
{
    struct staged second;
    struct shmbus_consumer *optional;
    struct shmbus_producer *producer = rig_create(0, 0);
    const struct shmbus_consumer_options options = {.struct_bytes = sizeof options,
                                                    .name = "first"};
    ck_assert_int_eq(shmbus_consumer_open(BUS, &options, &optional), 0);
    rig_join(&(struct stage){.name = "second", .after = "first", .gone = 1}, &second);
    rig_publish(producer, 3);
    rig_takes(&second, 3);
    ck_assert_uint_eq(second.gone, 1);
    rig_leave(&second);
    shmbus_consumer_close(optional);
    shmbus_producer_close(producer);
}
END_TEST

/* The types that it does not want, it goes past no earlier than the others. */
static int count_one(const struct shmbus_message *message, void *context)
{
    ck_assert_uint_eq(message->type, 1);
    ++*(uint32_t *)context;
    return 0;
}

START_TEST(with_a_filter)
{
    static const uint16_t types[] = {1};
    const char *after[] = {"first"};
    struct staged first;
    struct shmbus_consumer *second;
    struct shmbus_consumer_stats stats;
    uint32_t count = 0;
    struct shmbus_producer *producer = rig_create(0, 0);
    rig_join(&(struct stage){.name = "first"}, &first);
    const struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options,
        .name = "second",
        .kind = SHMBUS_REQUIRED,
        .types = types,
        .type_count = 1,
        .after = after,
        .after_count = 1,
    };
    ck_assert_int_eq(shmbus_consumer_open(BUS, &options, &second), 0);
    for (uint16_t i = 0; i < 9; i++)
        ck_assert_int_eq(shmbus_producer_publish(producer, i % 3, 0, NULL, 0), 0);
    ck_assert_int_eq(shmbus_consumer_poll(second, count_one, &count, 100), 0);
    ck_assert_int_eq(shmbus_consumer_stats(second, &stats), 0);
    ck_assert_uint_eq(stats.cursor, 0);
    struct shmbus_message message;
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(shmbus_consumer_next(first.consumer, &message), 1);
    ck_assert_int_eq(shmbus_consumer_wait(first.consumer, 0), 0);
    ck_assert_int_eq(shmbus_consumer_poll(second, count_one, &count, 100), 0);
    rig_leave(&first);
    ck_assert_int_eq(shmbus_consumer_poll(second, count_one, &count, 100), 2);
    ck_assert_int_eq(shmbus_consumer_stats(second, &stats), 0);
    ck_assert_uint_eq(stats.cursor, 6);
    ck_assert_uint_eq(stats.filtered, 4);
    shmbus_consumer_close(second);
    shmbus_producer_close(producer);
}
END_TEST

/* ---- what others can write ---- */

static unsigned char *control;

static struct control_entry *entry_of(const char *name)
{
    struct control_header *header = (struct control_header *)(void *)control;
    return (struct control_entry *)(void *)(control + header->entries_offset +
                                            (size_t)rig_look(name).entry * header->entry_bytes);
}

/* As whoever may consume can: control, writable. */
static struct shmbus_producer *begin(void)
{
    char path[256];
    struct stat found;
    struct shmbus_producer *producer = rig_create(0, 0);
    snprintf(path, sizeof path, "%s/shmbus.%s/control", getenv("SHMBUS_DIR"), BUS);
    int descriptor = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(descriptor, 0);
    ck_assert_int_eq(fstat(descriptor, &found), 0);
    control = mmap(NULL, (size_t)found.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    ck_assert_ptr_ne(control, MAP_FAILED);
    close(descriptor);
    return producer;
}

#define PUT(word, value) atomic_store_explicit(&(word), value, memory_order_seq_cst)

/* A cursor of the one before that is forged: what is not published does not come, what was read is
 * not read again, and after a ring at the most the truth counts. */
START_TEST(a_forged_cursor)
{
    static const uint64_t cursors[] = {0, 1, 5, 40, CAPACITY + 4, UINT64_MAX / 2, UINT64_MAX};
    struct staged first;
    struct staged second;
    uint64_t cursor = cursors[_i];
    struct shmbus_producer *producer = begin();
    rig_join(&(struct stage){.name = "first"}, &first);
    rig_join(&(struct stage){.name = "second", .after = "first"}, &second);
    rig_publish(producer, 20);
    rig_gets(&first, 4);
    rig_takes(&second, 4);
    PUT(entry_of("first")->cursor, cursor);
    rig_takes(&second, cursor <= 4 ? 0 : (uint32_t)(cursor < 20 ? cursor - 4 : 16));
    PUT(entry_of("first")->cursor, 4);
    rig_gets(&first, 16);
    rig_take(&second, 16);
    ck_assert_uint_eq(second.next, 20);
    for (int i = 0; i < CAPACITY; i++) {
        rig_publish(producer, 1);
        rig_gets(&first, 1);
        rig_take(&second, 1);
    }
    rig_publish(producer, 1);
    rig_takes(&second, 0);
    rig_gets(&first, 1);
    rig_takes(&second, 1);
    rig_leave(&first);
    rig_leave(&second);
    shmbus_producer_close(producer);
}
END_TEST

/* Any other word of it: then it is gone for its follower, or holds it back as before. */
START_TEST(other_forged_words)
{
    struct staged first;
    struct staged second;
    struct shmbus_producer *producer = begin();
    rig_join(&(struct stage){.name = "first"}, &first);
    rig_join(&(struct stage){.name = "second", .after = "first", .gone = 1}, &second);
    struct control_entry *entry = entry_of("first");
    rig_publish(producer, 10);
    rig_gets(&first, 4);
    rig_takes(&second, 4);
    switch (_i) {
    case 0:
        PUT(entry->state, ENTRY_FREE);
        rig_takes(&second, 6);
        break;
    case 1:
        PUT(entry->epoch, 77);
        rig_takes(&second, 6);
        break;
    case 2:
        PUT(entry->state, ENTRY_JOINING);
        rig_gets_nothing(&second, QUIET_NS);
        break;
    case 3:
        PUT(entry->state, UINT32_MAX);
        rig_gets_nothing(&second, QUIET_NS);
        break;
    default:
        memset(entry->name, 'x', sizeof entry->name);
        rig_gets_nothing(&second, QUIET_NS);
        rig_gets(&first, 6);
        rig_takes(&second, 6);
        break;
    }
    rig_leave(&first);
    rig_leave(&second);
    shmbus_producer_close(producer);
}
END_TEST

/* Names and counts that cannot be are bounded by everybody who reads them. */
START_TEST(forged_names)
{
    struct staged first;
    struct staged second;
    struct staged third;
    struct shmbus_health health[3];
    struct shmbus_producer *producer = begin();
    rig_join(&(struct stage){.name = "first"}, &first);
    rig_join(&(struct stage){.name = "second", .after = "first"}, &second);
    struct control_entry *entry = entry_of("first");
    memset(entry->after, 'x', sizeof entry->after);
    PUT(entry->after_count, UINT32_MAX);
    entry->after_gone = UINT32_MAX;
    struct shmbus_consumer_info info = rig_look("first");
    ck_assert_uint_eq(info.after_count, SHMBUS_AFTER_MAX);
    for (int i = 0; i < SHMBUS_AFTER_MAX; i++)
        ck_assert_uint_eq(strlen(info.after[i]), SHMBUS_NAME_MAX);
    rig_join(&(struct stage){.name = "third", .after = "first second"}, &third);
    rig_publish(producer, 3);
    ck_assert_int_eq(shmbus_producer_health(producer, health, 3), 3);
    ck_assert_int_eq(shmbus_producer_health(producer, health, 3), 3);
    /* A cycle that somebody forged holds up nobody who joined before it. */
    memset(entry->after, 0, sizeof entry->after);
    memcpy(entry->after[0].name, "third", 5);
    memcpy(entry->after[1].name, "first", 5);
    PUT(entry->after_count, 2u);
    ck_assert_int_eq(shmbus_producer_health(producer, health, 3), 3);
    ck_assert_uint_eq(rig_look("third").behind, 1);
    rig_takes(&first, 3);
    rig_takes(&second, 3);
    rig_takes(&third, 3);
    struct staged fourth;
    ck_assert_int_eq(rig_try(&(struct stage){.name = "fourth", .after = "third"}, &fourth), 0);
    rig_leave(&fourth);
    rig_leave(&first);
    rig_leave(&second);
    rig_leave(&third);
    shmbus_producer_close(producer);
}
END_TEST

/* One that stands still while it joins, as one would that was stopped there, is not waited for for
 * ever. */
START_TEST(a_rival_that_stands_still)
{
    struct staged first;
    struct staged low;
    struct staged second;
    struct shmbus_producer *producer = begin();
    rig_join(&(struct stage){.name = "low"}, &low);
    rig_join(&(struct stage){.name = "first", .after = "second"}, &first);
    struct control_entry *entry = entry_of("first");
    if (_i)
        rig_leave(&low);
    PUT(entry->state, ENTRY_JOINING);
    ck_assert_int_eq(rig_try(&(struct stage){.name = "second", .after = "first"}, &second), -ELOOP);
    PUT(entry->state, ENTRY_ACTIVE);
    rig_leave(&first);
    if (!_i)
        rig_leave(&low);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pipeline words");
    TCase *tcase = support_case(suite, "words", 60);
    tcase_add_test(tcase, options_are_checked);
    tcase_add_test(tcase, not_after_the_process);
    tcase_add_test(tcase, the_picture);
    tcase_add_test(tcase, only_required_ones_count);
    tcase_add_test(tcase, with_a_filter);
    tcase_add_loop_test(tcase, a_forged_cursor, 0, 7);
    tcase_add_loop_test(tcase, other_forged_words, 0, 5);
    tcase_add_test(tcase, forged_names);
    tcase_add_loop_test(tcase, a_rival_that_stands_still, 0, 2);
    return support_run(suite);
}
