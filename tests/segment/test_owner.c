/* SPDX-License-Identifier: MIT */
/* Who owns a name: a living producer, its successor, and nobody once it is unlinked. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int call_create(void *context)
{
    return rig_try_create("bus", context);
}

static int call_open(void *context)
{
    (void)context;
    return rig_try_open("bus");
}

static int call_unlink(void *context)
{
    (void)context;
    return shmbus_unlink("bus", NULL);
}

/* Nobody else may have the name, from this process or another. */
static void owned(void)
{
    struct shmbus_bus_options options = rig_small();
    assert_error(rig_try_create("bus", &options), -EBUSY, "bus", "living producer");
    assert_error(rig_try_open("bus"), -EBUSY, "bus", "living producer");
    assert_error(shmbus_unlink("bus", NULL), -EBUSY, "bus", "living producer");
    assert_answer(rig_elsewhere(call_create, &options), -EBUSY, "bus", "living producer");
    assert_answer(rig_elsewhere(call_open, NULL), -EBUSY, "bus", "living producer");
    assert_answer(rig_elsewhere(call_unlink, NULL), -EBUSY, "bus", "living producer");
    ck_assert_int_eq(rig_count_names(rig_path("shmbus.bus")), 3);
    ck_assert_int_eq(rig_count_names(rig_folder()), 1);
}

START_TEST(a_living_producer_owns_the_name)
{
    struct shmbus_bus_options options = rig_small();
    struct shmbus_producer *producer = rig_create("bus", &options);
    owned();
    rig_stream("bus", producer, 20);
    /* Another geometry does not matter as long as it lives. */
    options.capacity = 32;
    assert_error(rig_try_create("bus", &options), -EBUSY, "living producer");
    shmbus_producer_close(producer);
    assert_ok(rig_try_open("bus"));
}
END_TEST

START_TEST(the_lock_lasts_as_long_as_the_mapping)
{
    struct shmbus_bus_options options = rig_small();
    struct shmbus_producer *producer = rig_create("bus", &options);
    int pipe_ends[2];
    char byte;
    /* Closing another description of the same file does not end it, */
    int other = open(rig_path("shmbus.bus/owner"), O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(other, 0);
    close(other);
    owned();
    /* nor does a child that was forked meanwhile, or its end; and it keeps nothing alive. */
    ck_assert_int_eq(pipe(pipe_ends), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        close(pipe_ends[1]);
        _exit(read(pipe_ends[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(pipe_ends[0]);
    owned();
    shmbus_producer_close(producer);
    assert_ok(rig_try_open("bus"));
    close(pipe_ends[1]);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
}
END_TEST

/* A process that creates the bus, publishes, says so, and waits to be killed. */
static pid_t start_owner(uint32_t count)
{
    int ends[2];
    char byte;
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct shmbus_bus_options options = rig_small();
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        struct shmbus_producer *producer = rig_create("bus", &options);
        for (uint32_t i = 0; i < count; i++)
            shmbus_producer_publish(producer, 1, 0, "x", 1);
        if (write(ends[1], "r", 1) == 1)
            pause();
        _exit(1);
    }
    close(ends[1]);
    ck_assert_int_eq(read(ends[0], &byte, 1), 1);
    close(ends[0]);
    return child;
}

static uint32_t state_of(const char *name)
{
    struct shmbus_bus_info bus;
    assert_ok(rig_look(name, &bus, NULL, 0));
    return bus.state;
}

START_TEST(a_stopped_producer_still_owns_it)
{
    pid_t owner = start_owner(5);
    int status;
    ck_assert_uint_eq(state_of("bus"), SHMBUS_STATE_OPEN);
    ck_assert_int_eq(kill(owner, SIGSTOP), 0);
    ck_assert_int_eq(waitpid(owner, &status, WUNTRACED), owner);
    owned();
    ck_assert_uint_eq(state_of("bus"), SHMBUS_STATE_OPEN);
    ck_assert_int_eq(kill(owner, SIGKILL), 0);
    ck_assert_int_eq(waitpid(owner, &status, 0), owner);
    ck_assert_uint_eq(state_of("bus"), SHMBUS_STATE_DEAD);
    assert_ok(rig_try_open("bus"));
    ck_assert_uint_eq(state_of("bus"), SHMBUS_STATE_CLOSED);
}
END_TEST

START_TEST(a_dead_producer_is_taken_over)
{
    struct shmbus_bus_options options = rig_small();
    struct shmbus_consumer_options joins = rig_required();
    struct shmbus_consumer *consumer;
    struct shmbus_producer *producer;
    struct shmbus_message message;
    pid_t owner = start_owner(5);
    assert_ok(shmbus_consumer_open("bus", &joins, &consumer));
    ck_assert_int_eq(kill(owner, SIGKILL), 0);
    ck_assert_int_eq(waitpid(owner, NULL, 0), owner);
    for (uint64_t i = 0; i < 5; i++) {
        assert_ok(shmbus_consumer_wait(consumer, SHMBUS_FOREVER));
        ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
        ck_assert_uint_eq(message.sequence, i);
    }
    assert_error(shmbus_consumer_wait(consumer, SHMBUS_FOREVER), -EOWNERDEAD, "bus", "died");
    producer = rig_create("bus", &options);
    ck_assert_uint_eq(shmbus_producer_next_sequence(producer), 5);
    assert_ok(shmbus_producer_publish(producer, 1, 0, "y", 1));
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
    ck_assert_uint_eq(message.sequence, 5);
    shmbus_producer_close(producer);
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), -EPIPE);
    shmbus_consumer_close(consumer);
}
END_TEST

START_TEST(a_kept_bus_goes_on)
{
    struct shmbus_bus_options options = rig_small();
    struct shmbus_producer *producer = rig_create("bus", &options);
    rig_stream("bus", producer, 21);
    shmbus_producer_close(producer);
    ck_assert_uint_eq(state_of("bus"), SHMBUS_STATE_CLOSED);
    /* What is no geometry does not matter: it stays as it was made. */
    options.first_sequence = 1000;
    options.mode = 0644;
    options.numa = SHMBUS_NUMA_LOCAL;
    producer = rig_create("bus", &options);
    ck_assert_uint_eq(shmbus_producer_next_sequence(producer), 21);
    ck_assert_uint_eq(state_of("bus"), SHMBUS_STATE_OPEN);
    rig_stream("bus", producer, 21);
    shmbus_producer_close(producer);
    assert_ok(shmbus_producer_open("bus", NULL, NULL, 0, &producer));
    ck_assert_uint_eq(shmbus_producer_next_sequence(producer), 42);
    shmbus_producer_close(producer);
}
END_TEST

static void differs(const struct shmbus_bus_options *options, const char *field, const char *have,
                    const char *want)
{
    char before[8192];
    char after[8192];
    rig_listing(before, sizeof before);
    assert_error(rig_try_create("bus", options), -EEXIST, "bus", field, have);
    ck_assert_msg(strstr(shmbus_error_text(), want) != NULL, "%s", shmbus_error_text());
    rig_listing(after, sizeof after);
    ck_assert_str_eq(before, after);
}

START_TEST(another_geometry_is_refused)
{
    struct shmbus_bus_options options = rig_small();
    rig_make("bus", &options);
    options.capacity = 32;
    differs(&options, "capacity", "with capacity 16", "for with 32");
    options = rig_small();
    options.slot_bytes = 128;
    differs(&options, "slot_bytes", "with slot_bytes 64", "for with 128");
    options = rig_small();
    options.max_consumers = 3;
    differs(&options, "max_consumers", "with max_consumers 2", "for with 3");
    options = rig_small();
    options.class_count = 1;
    differs(&options, "class_count", "with class_count 2", "for with 1");
    options = rig_small();
    options.classes[0].slab_bytes = 64;
    differs(&options, "slab_bytes", "128", "for with 64");
    options = rig_small();
    options.classes[1].slab_count = 5;
    differs(&options, "slab_count", "4", "for with 5");
    options = rig_small();
    options.flags = SHMBUS_BUS_TIMESTAMPS;
    differs(&options, "flags", "with flags 0", "for with 1");
    options = rig_small();
    assert_ok(rig_try_create("bus", &options));
}
END_TEST

START_TEST(unlinked_while_attached)
{
    struct shmbus_bus_options options = rig_small();
    struct shmbus_consumer_options joins = rig_required();
    struct shmbus_producer *producer = rig_create("bus", &options);
    struct shmbus_consumer *consumer;
    struct shmbus_snapshot *snapshot;
    struct shmbus_message message;
    assert_ok(shmbus_consumer_open("bus", &joins, &consumer));
    assert_ok(shmbus_snapshot_open("bus", NULL, &snapshot));
    for (int i = 0; i < 3; i++)
        assert_ok(shmbus_producer_publish(producer, 1, 0, "old", 3));
    shmbus_producer_close(producer);
    assert_ok(shmbus_unlink("bus", NULL));
    ck_assert_int_eq(rig_count_names(rig_folder()), 0);
    assert_error(shmbus_unlink("bus", NULL), -ENOENT, "bus");
    /* A new bus of the name is another one. */
    producer = rig_create("bus", &options);
    assert_ok(shmbus_producer_publish(producer, 1, 0, "new", 3));
    for (uint64_t i = 0; i < 3; i++) {
        ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
        ck_assert_uint_eq(message.sequence, i);
        ck_assert_mem_eq(message.data, "old", 3);
    }
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), -EPIPE);
    assert_ok(shmbus_snapshot_update(snapshot));
    ck_assert_uint_eq(shmbus_snapshot_bus(snapshot)->tail, 3);
    shmbus_snapshot_close(snapshot);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
}
END_TEST

RIG_MAIN("owner", a_living_producer_owns_the_name, the_lock_lasts_as_long_as_the_mapping,
         a_stopped_producer_still_owns_it, a_dead_producer_is_taken_over, a_kept_bus_goes_on,
         another_geometry_is_refused, unlinked_while_attached)
