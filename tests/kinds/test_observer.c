/* SPDX-License-Identifier: MIT */
/*
 * Observers: another user's feed, read by one who may only read, with whole messages and without a
 * trace; nobody waits for them, and what they cannot see they do not claim to know.
 */
#include "crowd.h"

#include "layout/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STOPS   8
#define VISITOR 2002 /* a user and a group that nothing is given to */

static const char *path_of(const char *file)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/shmbus." CROWD_BUS "/%s", getenv("SHMBUS_DIR"), file);
    return path;
}

/* Others get to the bus through the tests' folder. */
static int open_to_visitors(const char *test)
{
    if (geteuid() != 0) {
        printf("SKIP %s: not root\n", test);
        return 0;
    }
    ck_assert_int_eq(chmod(getenv("SHMBUS_DIR"), 0755), 0);
    return 1;
}

static void become_visitor(void)
{
    ck_assert_int_eq(setgroups(0, NULL), 0);
    ck_assert_int_eq(setgid(VISITOR), 0);
    ck_assert_int_eq(setuid(VISITOR), 0);
}

static struct shmbus_producer *begin(void)
{
    struct shmbus_bus_options bus = crowd_bus();
    bus.mode = 0644;
    bus.first_sequence = (UINT64_C(1) << 56) - 3000;
    return support_create(CROWD_BUS, &bus, NULL);
}

/* What stands on the disk and in the kernel's list of locks, of one file. */
struct trace {
    struct stat status;
    uint64_t content;
    char locks[1024];
};

static uint64_t hash_file(const char *path)
{
    unsigned char bytes[65536];
    uint64_t hash = LAYOUT_HASH_START;
    ssize_t got;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(descriptor, 0);
    while ((got = read(descriptor, bytes, sizeof bytes)) > 0)
        hash = layout_hash(hash, bytes, (uint64_t)got);
    ck_assert_int_eq(got, 0);
    close(descriptor);
    return hash;
}

static struct trace trace_of(const char *file)
{
    struct trace trace;
    const char *path = path_of(file);
    ck_assert_int_eq(stat(path, &trace.status), 0);
    trace.content = S_ISREG(trace.status.st_mode) ? hash_file(path) : 0;
    support_locks(path, trace.locks, sizeof trace.locks);
    return trace;
}

static void same_trace(const struct trace *before, const char *file)
{
    struct trace now = trace_of(file);
    ck_assert_msg(now.content == before->content, "%s: content", file);
    ck_assert_msg(strcmp(now.locks, before->locks) == 0, "%s: locks: before\n%sand now\n%s", file,
                  before->locks, now.locks);
    ck_assert_msg(now.status.st_size == before->status.st_size, "%s: size", file);
    ck_assert_msg(memcmp(&now.status.st_mtim, &before->status.st_mtim, sizeof now.status.st_mtim) ==
                      0,
                  "%s: mtime", file);
    ck_assert_msg(memcmp(&now.status.st_ctim, &before->status.st_ctim, sizeof now.status.st_ctim) ==
                      0,
                  "%s: ctime", file);
}

static void look_on(int line, void *context)
{
    (void)context;
    struct shmbus_message message;
    struct watch watch;
    uint64_t kept;
    become_visitor();
    watch_join(&watch, SHMBUS_OBSERVER, SHMBUS_FROM_OLDEST);
    ck_assert_int_eq(shmbus_consumer_next(watch.consumer, &message), 1);
    watch_message(&message, &watch);
    ck_assert_int_eq(shmbus_consumer_retain(watch.consumer, &message, &kept), 0);
    ck_assert_int_eq(watch_drain(&watch), 0);
    ck_assert_int_eq(shmbus_consumer_wait(watch.consumer, 1000), -ETIMEDOUT);
    child_tell(line, watch.received);
    child_hear(line);
    watch_end(&watch);
}

START_TEST(leaves_no_trace)
{
    if (!open_to_visitors("leaves_no_trace"))
        return;
    static const char *const files[] = {"feed", "control", "owner", ""};
    struct trace before[4];
    struct shmbus_producer *producer = begin();
    struct watch other;
    watch_join(&other, SHMBUS_REQUIRED, SHMBUS_FROM_TAIL);
    ck_assert_int_eq(crowd_publish(producer, 20), 0);
    for (int i = 0; i < 4; i++)
        before[i] = trace_of(files[i]);
    /* The list shows locks at all: the owner's right to publish. */
    ck_assert_str_ne(before[2].locks, "");
    struct child child = child_start(look_on, NULL);
    ck_assert_uint_eq(child_hear(child.line), 20);
    for (int i = 0; i < 4; i++)
        same_trace(&before[i], files[i]);
    child_tell(child.line, 1);
    child_end(&child);
    for (int i = 0; i < 4; i++)
        same_trace(&before[i], files[i]);
    ck_assert_int_eq(watch_drain(&other), 0);
    watch_end(&other);
    shmbus_producer_close(producer);
}
END_TEST

static void read_as_visitor(int line, void *context)
{
    const uint64_t *seed = context;
    struct watch watch;
    become_visitor();
    watch_join(&watch, SHMBUS_OBSERVER, SHMBUS_FROM_TAIL);
    child_tell(line, 1);
    watch_to_the_end(&watch, *seed);
    watch_settle(&watch);
    child_tell(line, watch.next);
    child_tell(line, watch.lost);
    shmbus_consumer_close(watch.consumer);
}

/* Written over while it copies, again and again, it hands out nothing that is not whole; stopped
 * with a message in its hands it is in nobody's way. */
START_TEST(whole_messages_at_full_speed)
{
    if (!open_to_visitors("whole_messages_at_full_speed"))
        return;
    uint64_t seed = support_seed("whole_messages_at_full_speed");
    uint64_t random = seed;
    struct shmbus_producer *producer = begin();
    struct child child = child_start(read_as_visitor, &seed);
    child_hear(child.line);
    for (int i = 0; i < STOPS; i++) {
        crowd_publish_unevenly(producer, 60000, &random);
        child_stop(&child);
        crowd_publish_unevenly(producer, 5 * CROWD_CAPACITY, &random);
        ck_assert_uint_eq(support_pool(producer, 0).held + support_pool(producer, 1).held, 0);
        child_continue(&child);
    }
    uint64_t end = shmbus_producer_next_sequence(producer);
    ck_assert_uint_eq(crowd_producer().blocked + crowd_producer().exhausted, 0);
    shmbus_producer_close(producer);
    ck_assert_uint_eq(child_hear(child.line), end);
    ck_assert_uint_ge(child_hear(child.line), STOPS * 4 * CROWD_CAPACITY);
    child_end(&child);
}
END_TEST

/* What it keeps is a copy of its own. */
START_TEST(keeps_copies)
{
    struct shmbus_producer *producer = begin();
    struct shmbus_message message, held;
    struct watch watch;
    uint64_t kept[8], more;
    watch_join(&watch, SHMBUS_OBSERVER, SHMBUS_FROM_TAIL);
    ck_assert_int_eq(crowd_publish(producer, 14), 0);
    for (int i = 0; i < 8; i++) {
        ck_assert_int_eq(shmbus_consumer_next(watch.consumer, &message), 1);
        ck_assert_int_eq(shmbus_consumer_retain(watch.consumer, &message, &kept[i]), 0);
        ck_assert_int_eq(shmbus_consumer_valid(watch.consumer, &message), 1);
    }
    ck_assert_int_eq(shmbus_consumer_retain(watch.consumer, &message, &more), -EDQUOT);
    ck_assert_uint_eq(support_pool(producer, 0).held + support_pool(producer, 1).held, 0);
    ck_assert_int_eq(crowd_publish(producer, 5 * CROWD_CAPACITY), 0);
    for (int i = 0; i < 8; i++) {
        ck_assert_int_eq(shmbus_consumer_held(watch.consumer, kept[i], &held), 0);
        ck_assert_uint_eq(held.sequence, watch.from + (uint64_t)i);
        ck_assert(crowd_is_whole(&held));
        ck_assert_int_eq(shmbus_consumer_valid(watch.consumer, &held), 1);
        ck_assert_int_eq(shmbus_consumer_release(watch.consumer, kept[i]), 0);
        ck_assert_int_eq(shmbus_consumer_release(watch.consumer, kept[i]), -ESTALE);
    }
    shmbus_consumer_close(watch.consumer);
    shmbus_producer_close(producer);
}
END_TEST

/* It may want its mapping filled or locked like anybody. */
START_TEST(flags_of_its_mapping)
{
    static const uint32_t flags[] = {SHMBUS_MAP_PREFAULT, SHMBUS_MAP_LOCK,
                                     SHMBUS_MAP_PREFAULT | SHMBUS_MAP_LOCK};
    struct shmbus_producer *producer = begin();
    for (int i = 0; i < 3; i++) {
        struct shmbus_consumer_options options = watch_options(SHMBUS_OBSERVER, SHMBUS_FROM_OLDEST);
        struct watch watch;
        options.flags = flags[i];
        int result = watch_try(&watch, &options);
        if (result == -ENOMEM || result == -EPERM) /* the right to lock so much */
            continue;
        ck_assert_msg(result == 0, "%d: %s", result, shmbus_error_text());
        watch_end(&watch);
    }
    shmbus_producer_close(producer);
}
END_TEST

static int try_as(uint32_t kind)
{
    struct shmbus_consumer_options options = watch_options(kind, SHMBUS_FROM_TAIL);
    struct watch watch;
    int result = watch_try(&watch, &options);
    if (result == 0)
        watch_end(&watch);
    return result;
}

static void see_what_may_be_seen(int line, void *context)
{
    (void)context;
    become_visitor();
    for (int known = 1; known >= 0; known--) {
        child_hear(line);
        struct shmbus_snapshot *snapshot = support_look(CROWD_BUS);
        const struct shmbus_bus_info *bus = shmbus_snapshot_bus(snapshot);
        ck_assert_int_eq(bus->state, SHMBUS_STATE_OPEN);
        ck_assert_uint_eq(bus->control_known, (uint32_t)known);
        ck_assert_uint_eq(bus->consumer_count, (uint32_t)known);
        ck_assert_uint_eq(bus->producer_count, 1);
        ck_assert_uint_eq(bus->tail, bus->first_sequence + 5);
        ck_assert((shmbus_snapshot_consumer(snapshot, 0) != NULL) == known);
        shmbus_snapshot_close(snapshot);
        ck_assert_int_eq(try_as(SHMBUS_OPTIONAL), -EACCES);
        ck_assert_int_eq(try_as(SHMBUS_REQUIRED), -EACCES);
        ck_assert_int_eq(try_as(SHMBUS_OBSERVER), 0);
        child_tell(line, 1);
    }
}

/* Where control is not for others to read, nobody is said to be there, and nobody not to be. */
START_TEST(without_control)
{
    if (!open_to_visitors("without_control"))
        return;
    struct shmbus_producer *producer = begin();
    struct watch other;
    watch_join(&other, SHMBUS_REQUIRED, SHMBUS_FROM_TAIL);
    ck_assert_int_eq(crowd_publish(producer, 5), 0);
    struct child child = child_start(see_what_may_be_seen, NULL);
    child_tell(child.line, 1);
    child_hear(child.line);
    ck_assert_int_eq(chmod(path_of("control"), 0600), 0);
    child_tell(child.line, 1);
    child_hear(child.line);
    child_end(&child);
    /* Not even a control that is gone is in an observer's way. */
    ck_assert_int_eq(watch_drain(&other), 0);
    watch_end(&other);
    ck_assert_int_eq(unlink(path_of("control")), 0);
    ck_assert_int_eq(try_as(SHMBUS_OBSERVER), 0);
    shmbus_producer_close(producer);
}
END_TEST

Suite *observer_suite(void);
Suite *observer_suite(void)
{
    Suite *suite = suite_create("kinds_observer");
    TCase *tcase = support_case(suite, "observer", 120);
    tcase_add_test(tcase, leaves_no_trace);
    tcase_add_test(tcase, whole_messages_at_full_speed);
    tcase_add_test(tcase, keeps_copies);
    tcase_add_test(tcase, flags_of_its_mapping);
    tcase_add_test(tcase, without_control);
    return suite;
}

int main(void)
{
    return support_run(observer_suite());
}
