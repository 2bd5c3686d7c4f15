/* SPDX-License-Identifier: MIT */
/*
 * What another process does between two system calls of one that creates, opens or unlinks: each
 * window is held open by standing in for the call that ends it.
 */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int openat(int folder, const char *path, int flags, ...);
int fcntl(int descriptor, int command, ...);

/* The call that is waited for: an openat() of this name, or a lock when it is NULL. */
static struct {
    int armed;
    const char *path;
    int skip; /* so many of them first */
    int ask;  /* to the other process and back */
    int answer;
} window;

static void let_other_in(void)
{
    char byte = 'g';
    window.armed = 0;
    ck_assert_int_eq(write(window.ask, &byte, 1), 1);
    ck_assert_int_eq(read(window.answer, &byte, 1), 1);
    ck_assert_msg(byte == 'y', "the other process failed");
}

int openat(int folder, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    unsigned mode = flags & O_CREAT ? va_arg(arguments, unsigned) : 0;
    va_end(arguments);
    if (window.armed && window.path != NULL && strcmp(path, window.path) == 0 && window.skip-- == 0)
        let_other_in();
    return (int)syscall(SYS_openat, folder, path, flags, mode);
}

int fcntl(int descriptor, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (window.armed && window.path == NULL && command == F_OFD_SETLK)
        let_other_in();
    return (int)syscall(SYS_fcntl, descriptor, command, argument);
}

/* Forks one that does this once it is let in, and keeps what it has open until the test ends. */
static void other_does(int (*action)(void), const char *path)
{
    int ask[2];
    int answer[2];
    ck_assert_int_eq(pipe(ask), 0);
    ck_assert_int_eq(pipe(answer), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        char byte;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (read(ask[0], &byte, 1) != 1)
            _exit(1);
        byte = action() == 0 ? 'y' : 'n';
        if (write(answer[1], &byte, 1) == 1)
            pause();
        _exit(1);
    }
    window.path = path;
    window.skip = 0;
    window.ask = ask[1];
    window.answer = answer[0];
    window.armed = 1;
}

static int replace_and_live(void)
{
    struct shmbus_bus_options options = rig_small();
    struct shmbus_producer *producer;
    int result = shmbus_unlink("bus", NULL);
    return result < 0 ? result : shmbus_producer_create("bus", &options, NULL, &producer);
}

static int replace_and_leave(void)
{
    struct shmbus_bus_options options = rig_small();
    int result = shmbus_unlink("bus", NULL);
    return result < 0 ? result : rig_try_create("bus", &options);
}

static int move_and_live(void)
{
    struct shmbus_bus_options options = rig_small();
    struct shmbus_producer *producer;
    if (rename(rig_path("shmbus.bus"), rig_path("shmbus.moved")) < 0)
        return -errno;
    return shmbus_producer_create("bus", &options, NULL, &producer);
}

static int remove_it(void)
{
    return shmbus_unlink("bus", NULL);
}

static int sweep(void)
{
    struct shmbus_bus_options options = rig_small();
    int result = rig_try_create("sweeper", &options);
    return result < 0 ? result : shmbus_unlink("sweeper", NULL);
}

START_TEST(replaced_while_it_is_unlinked)
{
    static const char *const before[] = {"owner", NULL};
    struct shmbus_bus_options options = rig_small();
    for (int i = 0; i < 2; i++) {
        char name[8];
        rig_make("bus", &options);
        other_does(replace_and_live, before[i]);
        assert_error(shmbus_unlink("bus", NULL), -ENOENT, "bus");
        ck_assert_int_eq(window.armed, 0);
        /* The living one that has the name by now keeps it. */
        assert_error(rig_try_open("bus"), -EBUSY, "living producer");
        ck_assert_int_eq(rig_count_names(rig_folder()), 1 + i);
        snprintf(name, sizeof name, "old%d", i);
        ck_assert_int_eq(rename(rig_path("shmbus.bus"), rig_path("shmbus.%s", name)), 0);
    }
}
END_TEST

START_TEST(swept_while_it_is_made)
{
    static const char *const before[] = {"owner", NULL};
    struct shmbus_bus_options options = rig_small();
    for (int i = 0; i < 2; i++) {
        other_does(sweep, before[i]);
        struct shmbus_producer *producer = rig_create("bus", &options);
        ck_assert_int_eq(window.armed, 0);
        ck_assert_int_eq(rig_count_names(rig_folder()), 1);
        rig_stream("bus", producer, 20);
        assert_error(rig_try_open("bus"), -EBUSY, "living producer");
        shmbus_producer_close(producer);
        assert_ok(shmbus_unlink("bus", NULL));
    }
}
END_TEST

/* Another bus is there, so that is the one that is opened, without having to wait for it. */
START_TEST(replaced_while_it_is_joined)
{
    static const char *const before[] = {"feed", "control"};
    struct shmbus_bus_info bus;
    struct shmbus_bus_options options = rig_small();
    struct shmbus_consumer_options joins = rig_required();
    for (int i = 0; i < 2; i++) {
        struct shmbus_consumer *consumer;
        rig_make("bus", &options);
        other_does(replace_and_leave, before[i]);
        assert_ok(shmbus_consumer_open("bus", &joins, &consumer));
        ck_assert_int_eq(window.armed, 0);
        shmbus_consumer_close(consumer);
        other_does(replace_and_leave, before[i]);
        assert_ok(rig_look("bus", &bus, NULL, 0));
        ck_assert_int_eq(window.armed, 0);
        other_does(remove_it, before[i]);
        assert_error(rig_try_join("bus"), -ENOENT, "no such bus");
        ck_assert_int_eq(window.armed, 0);
    }
}
END_TEST

/* After the bus was opened: control is opened twice again, for the locks of an entry. Another bus
 * is there, so that is the one that it gets. */
START_TEST(replaced_while_an_entry_is_taken)
{
    struct shmbus_bus_options options = rig_small();
    struct shmbus_consumer_options joins = rig_required();
    int let_in = 0;
    for (int skip = 1; skip < 3; skip++) {
        struct shmbus_consumer *consumer;
        rig_make("bus", &options);
        other_does(replace_and_leave, "control");
        window.skip = skip;
        assert_ok(shmbus_consumer_open("bus", &joins, &consumer));
        let_in += !window.armed;
        shmbus_consumer_close(consumer);
        other_does(remove_it, "control");
        window.skip = skip;
        assert_error(shmbus_consumer_open("bus", &joins, &consumer), -ENOENT, "no such bus");
        let_in += !window.armed;
    }
    ck_assert_int_eq(let_in, 4);
}
END_TEST

/* Before its own lock keeps the name for it. */
START_TEST(replaced_while_it_is_taken_over)
{
    static const char *const before[] = {"owner", NULL};
    struct shmbus_bus_options options = rig_small();
    for (int i = 0; i < 2; i++) {
        rig_make("bus", &options);
        other_does(replace_and_leave, before[i]);
        assert_ok(rig_try_open("bus"));
        ck_assert_int_eq(window.armed, 0);
        other_does(replace_and_leave, before[i]);
        assert_ok(rig_try_create("bus", &options));
        ck_assert_int_eq(window.armed, 0);
        other_does(remove_it, before[i]);
        assert_error(rig_try_open("bus"), -ENOENT, "no such bus");
        ck_assert_int_eq(window.armed, 0);
    }
    /* One that was only moved has all its files: the one that has its name now is opened. */
    rig_make("bus", &options);
    other_does(move_and_live, NULL);
    assert_error(rig_try_open("bus"), -EBUSY, "living producer");
    ck_assert_int_eq(window.armed, 0);
}
END_TEST

START_TEST(removed_while_it_is_looked_at)
{
    static const char *const before[] = {"feed", "control"};
    struct shmbus_bus_options options = rig_small();
    struct shmbus_bus_info bus;
    for (int i = 0; i < 2; i++) {
        rig_make("bus", &options);
        other_does(remove_it, before[i]);
        assert_error(rig_look("bus", &bus, NULL, 0), -ENOENT, "bus");
        ck_assert_int_eq(window.armed, 0);
        ck_assert_int_eq(rig_count_names(rig_folder()), 0);
    }
}
END_TEST

RIG_MAIN("windows", replaced_while_it_is_unlinked, swept_while_it_is_made,
         replaced_while_it_is_joined, replaced_while_an_entry_is_taken,
         replaced_while_it_is_taken_over, removed_while_it_is_looked_at)
