/* SPDX-License-Identifier: MIT */
/*
 * A bus that is replaced by one of another geometry: there is the old one, untouched, or the new
 * one, whole, whoever fails or dies in between; and those of the old one are told in the end.
 * System calls are stood in for to hold the places where that is decided.
 */
#include "rig.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int renameat2(int from, const char *path, int to, const char *name, unsigned flags);
int fchmod(int descriptor, mode_t mode);

/* What happens when the new one is to get its name. */
static enum { NOTHING, DIE_BEFORE, DIE_AFTER, FAIL } naming;
static int moves_by_hand; /* the old one's folder, while the new one is built */

int renameat2(int from, const char *path, int to, const char *name, unsigned flags)
{
    if (naming == FAIL) {
        errno = ENOSPC;
        return -1;
    }
    if (naming == DIE_BEFORE)
        raise(SIGKILL);
    long result = syscall(SYS_renameat2, from, path, to, name, flags);
    if (naming == DIE_AFTER)
        raise(SIGKILL);
    return (int)result;
}

int fchmod(int descriptor, mode_t mode)
{
    if (moves_by_hand) {
        moves_by_hand = 0;
        ck_assert_int_eq(rename(rig_path("shmbus.bus"), rig_path("shmbus.moved")), 0);
    }
    return (int)syscall(SYS_fchmod, descriptor, mode);
}

static struct shmbus_bus_options other_geometry(void)
{
    struct shmbus_bus_options options = rig_small();
    options.capacity = 64;
    options.flags |= SHMBUS_BUS_REPLACE;
    return options;
}

static struct shmbus_consumer *attach(uint32_t kind)
{
    struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options, .kind = kind, .from = SHMBUS_FROM_OLDEST};
    struct shmbus_consumer *consumer;
    assert_ok(shmbus_consumer_open("bus", &options, &consumer));
    return consumer;
}

/* A bus of two messages that nobody owns, and one consumer each that stays on it. */
struct old {
    struct shmbus_consumer *consumers[3];
};

static struct old make_old(void)
{
    static const uint32_t kinds[] = {SHMBUS_REQUIRED, SHMBUS_OPTIONAL, SHMBUS_OBSERVER};
    struct shmbus_bus_options options = rig_small();
    struct old old;
    options.max_consumers = 4;
    struct shmbus_producer *producer = rig_create("bus", &options);
    assert_ok(shmbus_producer_publish(producer, 1, 0, "one", 3));
    for (int i = 0; i < 3; i++)
        old.consumers[i] = attach(kinds[i]);
    assert_ok(shmbus_producer_publish(producer, 1, 0, "two", 3));
    shmbus_producer_close(producer);
    return old;
}

/* All of them read the next message, and then get this. */
static void reads_and_gets(struct old *old, uint64_t first, uint64_t count, int wanted)
{
    struct shmbus_message message;
    for (int i = 0; i < 3; i++) {
        for (uint64_t sequence = first; sequence < first + count; sequence++) {
            ck_assert_int_eq(shmbus_consumer_next(old->consumers[i], &message), 1);
            ck_assert_uint_eq(message.sequence, sequence);
        }
        ck_assert_int_eq(shmbus_consumer_next(old->consumers[i], &message), wanted);
        ck_assert_int_eq(shmbus_consumer_wait(old->consumers[i], SHMBUS_FOREVER), wanted);
    }
}

static void all_leave(struct old *old)
{
    for (int i = 0; i < 3; i++)
        shmbus_consumer_close(old->consumers[i]);
}

/* The old one is as it was: it can be taken over, goes on, and ends. */
static void old_goes_on(struct old *old, uint64_t read)
{
    struct shmbus_bus_options options = rig_small();
    struct shmbus_producer *producer;
    options.max_consumers = 4;
    ck_assert_int_eq(rig_count_names(rig_folder()), 1);
    assert_ok(shmbus_producer_create("bus", &options, NULL, &producer));
    ck_assert_uint_eq(shmbus_producer_next_sequence(producer), 2);
    assert_ok(shmbus_producer_publish(producer, 1, 0, "three", 5));
    ck_assert_uint_eq(rig_count_names(rig_folder()), 1);
    shmbus_producer_close(producer);
    reads_and_gets(old, read, 3 - read, -EPIPE);
}

static uint64_t capacity_now(void)
{
    struct shmbus_bus_info bus;
    assert_ok(rig_look("bus", &bus, NULL, 0));
    ck_assert_uint_ne(bus.state, SHMBUS_STATE_DAMAGED);
    return bus.capacity;
}

/* In a process that dies, or does not, when the new one gets its name. */
static void replaced_by_one_that_dies(int when)
{
    struct shmbus_bus_options other = other_geometry();
    int status;
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        naming = when;
        rig_try_create("bus", &other);
        _exit(1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

START_TEST(its_maker_dies_before_it_has_the_name)
{
    struct old old = make_old();
    replaced_by_one_that_dies(DIE_BEFORE);
    ck_assert_uint_eq(capacity_now(), 16);
    ck_assert_int_eq(rig_count_names(rig_folder()), 2);
    reads_and_gets(&old, 0, 2, -EPIPE);
    /* Whoever takes over sweeps what the dead one had begun, and tells nobody. */
    assert_ok(rig_try_open("bus"));
    reads_and_gets(&old, 2, 0, -EPIPE);
    old_goes_on(&old, 2);
    all_leave(&old);
}
END_TEST

static int take_over(void)
{
    struct shmbus_bus_options other = other_geometry();
    return rig_try_create("bus", &other);
}

static int open_it(void)
{
    return rig_try_open("bus");
}

static int create_another(void)
{
    struct shmbus_bus_options options = rig_small();
    int result = rig_try_create("another", &options);
    return result < 0 ? result : shmbus_unlink("another", NULL);
}

START_TEST(its_maker_dies_as_soon_as_it_has_the_name)
{
    int (*const heirs[])(void) = {take_over, open_it, create_another};
    for (int i = 0; i < 3; i++) {
        struct old old = make_old();
        replaced_by_one_that_dies(DIE_AFTER);
        /* Whole, and there for whoever comes. The old one is ended, as it was. */
        ck_assert_uint_eq(capacity_now(), 64);
        assert_ok(rig_try_join("bus"));
        reads_and_gets(&old, 0, 2, -EPIPE);
        ck_assert_int_eq(rig_count_names(rig_folder()), 2);
        assert_ok(heirs[i]());
        reads_and_gets(&old, 2, 0, -ESTALE);
        ck_assert_int_eq(shmbus_consumer_rejoin(old.consumers[0], SHMBUS_FROM_TAIL, 0), -ESTALE);
        ck_assert_int_eq(rig_count_names(rig_folder()), 1);
        ck_assert_uint_eq(capacity_now(), 64);
        all_leave(&old);
        assert_ok(shmbus_unlink("bus", NULL));
    }
}
END_TEST

/* One that is only unlinked was replaced by nobody. */
START_TEST(what_is_unlinked_is_not_called_replaced)
{
    struct shmbus_bus_options options = rig_small();
    struct old old = make_old();
    ck_assert_int_eq(rename(rig_path("shmbus.bus"), rig_path(".shmbus-tmp.0123456789abcdef")), 0);
    rig_make("bus", &options);
    ck_assert_int_eq(rig_count_names(rig_folder()), 1);
    reads_and_gets(&old, 0, 2, -EPIPE);
    all_leave(&old);
}
END_TEST

START_TEST(it_does_not_get_the_name)
{
    struct shmbus_bus_options other = other_geometry();
    struct old old = make_old();
    naming = FAIL;
    for (int i = 0; i < 5; i++) {
        assert_error(rig_try_create("bus", &other), -ENOSPC, "bus", "no room");
        ck_assert_uint_eq(capacity_now(), 16);
    }
    naming = NOTHING;
    old_goes_on(&old, 0);
    assert_ok(rig_try_create("bus", &other));
    ck_assert_uint_eq(capacity_now(), 64);
    reads_and_gets(&old, 3, 0, -ESTALE);
    all_leave(&old);
    ck_assert_int_eq(rig_count_mappings(), 0);
}
END_TEST

/* By somebody who moves folders: the name is free then, and the bus that was moved is whole. */
START_TEST(the_old_one_is_moved_by_hand_meanwhile)
{
    struct shmbus_bus_options other = other_geometry();
    struct old old = make_old();
    moves_by_hand = 1;
    assert_ok(rig_try_create("bus", &other));
    ck_assert_int_eq(moves_by_hand, 0);
    ck_assert_uint_eq(capacity_now(), 64);
    ck_assert_int_eq(rig_count_names(rig_folder()), 2);
    reads_and_gets(&old, 0, 2, -EPIPE);
    all_leave(&old);
}
END_TEST

/* There has to be room for both; the text says what to do. */
START_TEST(without_room_for_both)
{
    struct shmbus_bus_options large = rig_small();
    struct shmbus_message message;
    struct shmbus_producer *producer;
    if (!rig_needs_root("without_room_for_both") ||
        rig_mount("without_room_for_both", rig_path("small"), "tmpfs", "size=1m") < 0)
        return;
    setenv("SHMBUS_DIR", rig_path("small"), 1);
    large.capacity = 8192;
    rig_make("bus", &large);
    assert_ok(shmbus_producer_open("bus", NULL, NULL, 0, &producer));
    struct shmbus_consumer *consumer = attach(SHMBUS_REQUIRED);
    assert_ok(shmbus_producer_publish(producer, 1, 0, "one", 3));
    shmbus_producer_close(producer);
    large.slot_bytes = 128;
    large.capacity = 4096;
    large.flags |= SHMBUS_BUS_REPLACE;
    for (int i = 0; i < 5; i++)
        assert_error(rig_try_create("bus", &large), -ENOSPC,
                     "needed beside the bus that is to be replaced", "remove that one first");
    ck_assert_uint_eq(capacity_now(), 8192);
    ck_assert_int_eq(rig_count_names(rig_path("small")), 1);
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), -EPIPE);
    shmbus_consumer_close(consumer);
    assert_ok(rig_try_open("bus"));
    assert_ok(shmbus_unlink("bus", NULL));
    assert_ok(rig_try_create("bus", &large));
}
END_TEST

RIG_MAIN("replace", its_maker_dies_before_it_has_the_name,
         its_maker_dies_as_soon_as_it_has_the_name, what_is_unlinked_is_not_called_replaced,
         it_does_not_get_the_name, the_old_one_is_moved_by_hand_meanwhile, without_room_for_both)
