/* SPDX-License-Identifier: MIT */
/*
 * Who may do what: every mode against its owner's group and others, as real users. r may observe,
 * w may consume, and only the owner publishes.
 */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMBER 2001 /* the bus's group, and a user in it */
#define OTHER  2002 /* a user and group of their own */

static int call_look(void *context)
{
    struct shmbus_bus_info bus;
    int result = rig_look("bus", &bus, context, 512);
    if (result == 0 && bus.state == SHMBUS_STATE_DAMAGED)
        return 1;
    return result;
}

static int call_join(void *context)
{
    (void)context;
    return rig_try_join("bus");
}

static int call_open(void *context)
{
    (void)context;
    return rig_try_open("bus");
}

static int call_create(void *context)
{
    return rig_try_create("bus", context);
}

static int call_unlink(void *context)
{
    (void)context;
    return shmbus_unlink("bus", NULL);
}

/* Tries to map feed for writing, and to open owner, as a hostile peer would. */
static int call_write(void *context)
{
    (void)context;
    int feed = open(rig_path("shmbus.bus/feed"), O_RDWR | O_CLOEXEC);
    int owner = open(rig_path("shmbus.bus/owner"), O_RDONLY | O_CLOEXEC);
    int file = open(rig_path("shmbus.bus/x"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    return feed >= 0 || owner >= 0 || file >= 0;
}

static unsigned mode_of(const char *file)
{
    struct stat found;
    ck_assert_int_eq(stat(rig_path("%s", file), &found), 0);
    return (unsigned)found.st_mode & 07777;
}

static void may(uid_t user, unsigned bits, unsigned mode)
{
    struct shmbus_bus_options options = rig_small();
    char said[32];
    snprintf(said, sizeof said, "this is user %u", (unsigned)user);
    if ((bits & 4) && (bits & 2))
        assert_answer(rig_as(user, user, call_join, NULL), 0, "");
    else
        assert_answer(rig_as(user, user, call_join, NULL), -EACCES, "bus", said, "of user 0");
    if (bits & 4)
        assert_answer(rig_as(user, user, call_look, NULL), 0, "");
    else
        assert_answer(rig_as(user, user, call_look, NULL), -EACCES, "bus", said);
    assert_answer(rig_as(user, user, call_open, NULL), -EACCES, "bus", said);
    assert_answer(rig_as(user, user, call_create, &options), -EACCES, "bus", said);
    ck_assert_msg(rig_as(user, user, call_unlink, NULL).result == -EACCES, "mode 0%o", mode);
    ck_assert_msg(rig_as(user, user, call_write, NULL).result == 0, "mode 0%o", mode);
}

static void try_mode(unsigned mode)
{
    struct shmbus_bus_options options = rig_small();
    struct shmbus_bus_info bus;
    options.mode = mode;
    options.group = "2001";
    rig_make("bus", &options);
    unsigned kept = mode != 0 ? mode : 0600;
    unsigned reads = kept & 0444;
    ck_assert_uint_eq(mode_of("shmbus.bus/feed"), reads | 0600);
    ck_assert_uint_eq(mode_of("shmbus.bus/control"), kept | 0600);
    ck_assert_uint_eq(mode_of("shmbus.bus/owner"), 0600);
    ck_assert_uint_eq(mode_of("shmbus.bus"), 0700 | reads | reads >> 2);
    assert_ok(rig_try_join("bus"));
    assert_ok(rig_try_open("bus"));
    assert_ok(rig_look("bus", &bus, NULL, 0));
    ck_assert_uint_eq(bus.owner_uid, 0);
    ck_assert_uint_eq(bus.owner_gid, MEMBER);
    ck_assert_uint_eq(bus.mode | 0600, kept | 0600);
    may(MEMBER, kept >> 3 & 7, kept);
    may(OTHER, kept & 7, kept);
    assert_ok(shmbus_unlink("bus", NULL));
}

START_TEST(every_mode)
{
    static const unsigned modes[] = {0,    0600, 0640, 0660, 0644, 0664, 0666,
                                     0604, 0606, 0646, 0620, 0602, 0400, 0444};
    static const mode_t masks[] = {022, 0, 077};
    if (!rig_needs_root("every_mode"))
        return;
    for (size_t mask = 0; mask < 3; mask++) {
        umask(masks[mask]);
        for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
            try_mode(modes[i]);
    }
}
END_TEST

START_TEST(groups)
{
    struct shmbus_bus_options options = rig_small();
    struct shmbus_bus_info bus;
    static const char *const bad[] = {"no-such-group", "", "-1", "12x", "4294967295", " 1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        options.group = bad[i];
        assert_error(rig_try_create("bus", &options), -EINVAL, "group", bad[i]);
        ck_assert_int_eq(rig_count_names(rig_folder()), 0);
    }
    if (!rig_needs_root("groups"))
        return;
    options.group = "nogroup";
    rig_make("bus", &options);
    assert_ok(rig_look("bus", &bus, NULL, 0));
    ck_assert_uint_eq(bus.owner_gid, 65534);
}
END_TEST

START_TEST(an_unprivileged_owner)
{
    struct shmbus_bus_options options = rig_small();
    if (!rig_needs_root("an_unprivileged_owner"))
        return;
    assert_answer(rig_as(MEMBER, MEMBER, call_create, &options), -EACCES, "bus", "user 2001");
    ck_assert_int_eq(rig_count_names(rig_folder()), 0);
    ck_assert_int_eq(chmod(rig_folder(), 01777), 0);
    options.group = "0";
    assert_answer(rig_as(MEMBER, MEMBER, call_create, &options), -EPERM, "bus", "group");
    ck_assert_int_eq(rig_count_names(rig_folder()), 0);
    options.group = NULL;
    assert_answer(rig_as(MEMBER, MEMBER, call_create, &options), 0, "");
    /* Of no use to others, and root may not publish in its owner's name either. */
    assert_answer(rig_as(OTHER, OTHER, call_unlink, NULL), -EACCES, "bus");
    assert_answer(rig_as(OTHER, OTHER, call_join, NULL), -EACCES, "of user 2001");
    assert_error(rig_try_open("bus"), -EACCES, "user 2001", "this is user 0");
    assert_answer(rig_as(MEMBER, MEMBER, call_join, NULL), 0, "");
    assert_answer(rig_as(MEMBER, MEMBER, call_open, NULL), 0, "");
    assert_answer(rig_as(MEMBER, MEMBER, call_unlink, NULL), 0, "");
    ck_assert_int_eq(rig_count_names(rig_folder()), 0);
}
END_TEST

/* One user's temporary folders are not another's to sweep. */
START_TEST(nobody_sweeps_for_others)
{
    struct shmbus_bus_options options = rig_small();
    if (!rig_needs_root("nobody_sweeps_for_others"))
        return;
    ck_assert_int_eq(chmod(rig_folder(), 01777), 0);
    ck_assert_int_eq(mkdir(rig_path(".shmbus-tmp.x"), 0700), 0);
    ck_assert_int_eq(chown(rig_path(".shmbus-tmp.x"), OTHER, OTHER), 0);
    rig_make("bus", &options);
    ck_assert_int_eq(access(rig_path(".shmbus-tmp.x"), F_OK), 0);
    assert_ok(shmbus_unlink("bus", NULL));
    assert_answer(rig_as(OTHER, OTHER, call_create, &options), 0, "");
    ck_assert_int_ne(access(rig_path(".shmbus-tmp.x"), F_OK), 0);
}
END_TEST

static int call_locked_create(void *context)
{
    const struct rlimit *limit = context;
    struct shmbus_bus_options options = rig_small();
    options.flags = SHMBUS_MAP_LOCK;
    setrlimit(RLIMIT_MEMLOCK, limit);
    return rig_try_create("locked", &options);
}

static int call_locked_join(void *context)
{
    const struct rlimit *limit = context;
    struct shmbus_consumer_options options = rig_required();
    struct shmbus_consumer *consumer = NULL;
    options.flags = SHMBUS_MAP_LOCK;
    setrlimit(RLIMIT_MEMLOCK, limit);
    int result = shmbus_consumer_open("bus", &options, &consumer);
    shmbus_consumer_close(consumer);
    return result;
}

START_TEST(locking_beyond_the_limit)
{
    struct rlimit none = {0, 0};
    struct rlimit little = {8192, 8192};
    struct rlimit enough = {RLIM_INFINITY, RLIM_INFINITY};
    struct shmbus_bus_options options = rig_small();
    if (!rig_needs_mlock("locking_beyond_the_limit"))
        return;
    setrlimit(RLIMIT_MEMLOCK, &enough);
    ck_assert_int_eq(chmod(rig_folder(), 01777), 0);
    options.mode = 0666;
    struct shmbus_producer *producer = rig_create("bus", &options);
    assert_answer(rig_as(OTHER, OTHER, call_locked_create, &none), -EPERM, "mlock", "limit is 0");
    assert_answer(rig_as(OTHER, OTHER, call_locked_create, &little), -ENOMEM, "mlock",
                  "limit is 8192");
    ck_assert_int_eq(rig_count_names(rig_folder()), 1);
    assert_answer(rig_as(OTHER, OTHER, call_locked_join, &none), -EPERM, "mlock", "limit is 0");
    assert_answer(rig_as(OTHER, OTHER, call_locked_join, &little), -ENOMEM, "mlock",
                  "limit is 8192");
    ck_assert_int_eq(shmbus_producer_required(producer, NULL), 0);
    assert_answer(rig_as(OTHER, OTHER, call_locked_join, &enough), 0, "");
    assert_answer(rig_as(OTHER, OTHER, call_locked_create, &enough), 0, "");
    shmbus_producer_close(producer);
}
END_TEST

RIG_MAIN("permission", every_mode, groups, an_unprivileged_owner, nobody_sweeps_for_others,
         locking_beyond_the_limit)
