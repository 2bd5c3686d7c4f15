/* SPDX-License-Identifier: MIT */
/* Names, folders, creating, opening, waiting for a bus, closing, unlinking, and what errors say. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LONGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

START_TEST(names_that_are_allowed)
{
    static const char *const names[] = {
        "a",           "Z",      "0",     "_",
        "-",           "a.b",    "a..",   "-x",
        "_.x",         "--help", LONGEST, "ABCDEFGHIJKLMNOPQRSTUVWXYZ.abcdefghijklmnopqrstuvwxyz",
        "0123456789_-"};
    struct shmbus_bus_options options = rig_small();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct shmbus_bus_info bus;
        rig_make(names[i], &options);
        assert_ok(rig_look(names[i], &bus, NULL, 0));
        ck_assert_str_eq(bus.name, names[i]);
        assert_ok(rig_try_join(names[i]));
        assert_ok(rig_try_open(names[i]));
        assert_ok(shmbus_unlink(names[i], NULL));
    }
    ck_assert_int_eq(rig_count_names(rig_folder()), 0);
}
END_TEST

START_TEST(names_that_are_not)
{
    static const char *const names[] = {
        NULL,  "",      ".",        "..", ".a",  "a/b", "/a",   "../a",      "a b",  " a",
        "a\n", "a\x7f", "\xc3\xa4", "a*", "a:b", "a,b", "a\\b", LONGEST "0", "a\tb", "~"};
    struct shmbus_bus_options options = rig_small();
    struct shmbus_bus_info bus;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_error(rig_try_create(names[i], &options), -EINVAL, "bus");
        assert_error(rig_try_open(names[i]), -EINVAL, "bus");
        assert_error(rig_try_join(names[i]), -EINVAL, "bus");
        assert_error(shmbus_unlink(names[i], NULL), -EINVAL, "bus");
        assert_error(rig_look(names[i], &bus, NULL, 0), -EINVAL, "bus");
    }
    ck_assert_int_eq(rig_count_names(rig_folder()), 0);
    assert_error(rig_try_create("a b", &options), -EINVAL, "\"a b\"", "A-Z a-z 0-9 . _ -");
}
END_TEST

START_TEST(every_byte_is_allowed_or_refused)
{
    struct shmbus_bus_options options = rig_small();
    for (int byte = 1; byte < 256; byte++) {
        char name[3] = {'x', (char)byte, 0};
        int allowed = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                      (byte >= '0' && byte <= '9') || byte == '.' || byte == '_' || byte == '-';
        int result = rig_try_create(name, &options);
        ck_assert_msg(result == (allowed ? 0 : -EINVAL), "byte %d: %d", byte, result);
    }
    ck_assert_int_eq(rig_count_names(rig_folder()), 26 + 26 + 10 + 3);
}
END_TEST

START_TEST(a_bus_is_a_folder_of_three_files)
{
    static const char *const files[] = {"feed", "control", "owner"};
    struct shmbus_bus_options options = rig_small();
    struct shmbus_producer *producer = rig_create("bus", &options);
    ck_assert_int_eq(rig_count_names(rig_folder()), 1);
    ck_assert_int_eq(rig_count_names(rig_path("shmbus.bus")), 3);
    for (size_t i = 0; i < 3; i++) {
        struct stat found;
        ck_assert_int_eq(lstat(rig_path("shmbus.bus/%s", files[i]), &found), 0);
        ck_assert(S_ISREG(found.st_mode));
    }
    rig_stream("bus", producer, 40);
    shmbus_producer_close(producer);
    ck_assert_int_eq(rig_count_names(rig_path("shmbus.bus")), 3);
    assert_ok(shmbus_unlink("bus", NULL));
    ck_assert_int_eq(rig_count_names(rig_folder()), 0);
    shmbus_producer_close(NULL);
    shmbus_consumer_close(NULL);
    shmbus_snapshot_close(NULL);
}
END_TEST

START_TEST(what_is_not_there)
{
    struct shmbus_bus_info bus;
    assert_error(rig_try_open("absent"), -ENOENT, "absent", "no such bus");
    assert_error(rig_try_join("absent"), -ENOENT, "absent", "no such bus");
    assert_error(shmbus_unlink("absent", NULL), -ENOENT, "absent", "no such bus");
    assert_error(rig_look("absent", &bus, NULL, 0), -ENOENT, "absent", "no such bus");
}
END_TEST

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

START_TEST(waiting_ends)
{
    const int64_t wait = 30000000;
    struct shmbus_producer *producer;
    struct shmbus_consumer *consumer;
    struct shmbus_consumer_options options = rig_required();
    options.wait_ns = wait;
    int64_t begin = now();
    assert_error(shmbus_consumer_open("absent", &options, &consumer), -ENOENT, "absent");
    ck_assert_int_ge(now() - begin, wait);
    begin = now();
    assert_error(shmbus_producer_open("absent", NULL, NULL, wait, &producer), -ENOENT, "absent");
    ck_assert_int_ge(now() - begin, wait);
    options.wait_ns = -2;
    assert_error(shmbus_consumer_open("absent", &options, &consumer), -EINVAL, "wait_ns");
    assert_error(shmbus_producer_open("absent", NULL, NULL, -2, &producer), -EINVAL, "wait_ns");
}
END_TEST

/* Forks one that opens a bus which is not there yet; says so on the pipe just before. */
static pid_t wait_for_bus(int publishes, int *out_ready)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child > 0) {
        close(ends[1]);
        *out_ready = ends[0];
        return child;
    }
    struct shmbus_consumer_options options = rig_required();
    struct shmbus_consumer *consumer = NULL;
    struct shmbus_producer *producer = NULL;
    options.wait_ns = SHMBUS_FOREVER;
    int result = (int)write(ends[1], "r", 1);
    result = publishes ? shmbus_producer_open("late", NULL, NULL, SHMBUS_FOREVER, &producer)
                       : shmbus_consumer_open("late", &options, &consumer);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(producer);
    _exit(result == 0 ? 0 : 1);
}

START_TEST(waiting_for_a_bus_that_comes)
{
    struct shmbus_bus_options options = rig_small();
    for (int publishes = 0; publishes < 2; publishes++) {
        int ready;
        int status;
        char byte;
        struct timespec pause = {.tv_nsec = 20000000};
        pid_t child = wait_for_bus(publishes, &ready);
        rig_make("ready", &options);
        ck_assert_int_eq(read(ready, &byte, 1), 1);
        close(ready);
        /* Time for the child to look at least once, so that not waiting is seen. */
        nanosleep(&pause, NULL);
        ck_assert_int_eq(rename(rig_path("shmbus.ready"), rig_path("shmbus.late")), 0);
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
        assert_ok(shmbus_unlink("late", NULL));
    }
}
END_TEST

START_TEST(where_buses_live)
{
    struct shmbus_bus_options options = rig_small();
    struct shmbus_consumer_options joins = rig_required();
    struct shmbus_consumer *consumer;
    struct shmbus_snapshot *snapshot;
    char name[32];
    ck_assert_int_eq(mkdir(rig_path("one"), 0755), 0);
    options.folder = rig_path("one");
    rig_make("bus", &options);
    ck_assert_int_eq(access(rig_path("one/shmbus.bus/feed"), F_OK), 0);
    ck_assert_int_ne(access(rig_path("shmbus.bus"), F_OK), 0);
    assert_error(rig_try_join("bus"), -ENOENT, "no such bus");
    joins.folder = options.folder;
    assert_ok(shmbus_consumer_open("bus", &joins, &consumer));
    shmbus_consumer_close(consumer);
    assert_ok(shmbus_snapshot_open("bus", options.folder, &snapshot));
    shmbus_snapshot_close(snapshot);
    assert_ok(shmbus_unlink("bus", options.folder));

    /* Without either: /dev/shm. */
    snprintf(name, sizeof name, "shmbus-test.%d", (int)getpid());
    for (int empty = 0; empty < 2; empty++) {
        char path[96];
        options.folder = NULL;
        ck_assert_int_eq(empty ? setenv("SHMBUS_DIR", "", 1) : unsetenv("SHMBUS_DIR"), 0);
        rig_make(name, &options);
        snprintf(path, sizeof path, "/dev/shm/shmbus.%s/feed", name);
        int there = access(path, F_OK);
        int removed = shmbus_unlink(name, NULL);
        ck_assert_int_eq(there, 0);
        ck_assert_int_eq(removed, 0);
    }
}
END_TEST

START_TEST(folders_that_cannot_be_used)
{
    struct shmbus_bus_options options = rig_small();
    struct shmbus_snapshot *snapshot;
    int file = open(rig_path("file"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    ck_assert_int_ge(file, 0);
    close(file);
    options.folder = rig_path("absent");
    assert_error(rig_try_create("bus", &options), -ENOENT, "/absent", "folder of buses");
    assert_error(shmbus_unlink("bus", options.folder), -ENOENT, "/absent");
    assert_error(shmbus_snapshot_open("bus", options.folder, &snapshot), -ENOENT, "/absent");
    options.folder = rig_path("file");
    assert_error(rig_try_create("bus", &options), -ENOTDIR, "/file", "not a folder");
    assert_error(shmbus_unlink("bus", options.folder), -ENOTDIR, "/file");
    ck_assert_int_eq(rig_count_names(rig_folder()), 1);
}
END_TEST

static void *fail_differently(void *context)
{
    (void)context;
    ck_assert_str_eq(shmbus_error_text(), "");
    assert_error(shmbus_unlink("other", NULL), -ENOENT, "other");
    return NULL;
}

START_TEST(texts_belong_to_a_thread)
{
    static const int codes[] = {E2BIG,           EACCES,  EAGAIN,     EBADMSG,   EBUSY,  ECHILD,
                                EDQUOT,          EEXIST,  EINVAL,     EIO,       EMFILE, EMSGSIZE,
                                ENFILE,          ENOBUFS, ENOENT,     ENOMEM,    ENOSPC, ENOTDIR,
                                ENOTSUP,         ENXIO,   EOWNERDEAD, EPERM,     EPIPE,  EPROTO,
                                EPROTONOSUPPORT, ERANGE,  ESTALE,     ETIMEDOUT, EUSERS};
    pthread_t thread;
    ck_assert_str_eq(shmbus_error_text(), "");
    assert_error(shmbus_unlink("mine", NULL), -ENOENT, "mine");
    ck_assert_int_eq(pthread_create(&thread, NULL, fail_differently, NULL), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_ptr_nonnull(strstr(shmbus_error_text(), "mine"));
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        ck_assert_str_ne(shmbus_strerror(codes[i]), "unknown error");
        ck_assert_ptr_eq(shmbus_strerror(codes[i]), shmbus_strerror(-codes[i]));
        for (size_t j = 0; j < i; j++)
            ck_assert_str_ne(shmbus_strerror(codes[i]), shmbus_strerror(codes[j]));
    }
    ck_assert_str_eq(shmbus_strerror(12345), "unknown error");
    ck_assert_str_eq(shmbus_strerror(INT32_MIN), "unknown error");
}
END_TEST

static int count_names(const char *name, void *context)
{
    (void)name;
    (void)context;
    return 0;
}

#define LEAVES_ERRNO(call)                                                                         \
    do {                                                                                           \
        errno = 4321;                                                                              \
        call;                                                                                      \
        ck_assert_msg(errno == 4321, "%s: errno %d", #call, errno);                                \
    } while (0)

START_TEST(errno_is_left_alone)
{
    struct shmbus_bus_options options = rig_small();
    struct shmbus_snapshot *snapshot;
    struct shmbus_placement placement;
    struct shmbus_bus_info bus;
    LEAVES_ERRNO(rig_try_open("absent"));
    LEAVES_ERRNO(rig_try_join("absent"));
    LEAVES_ERRNO(shmbus_unlink("absent", NULL));
    LEAVES_ERRNO(rig_look("absent", &bus, NULL, 0));
    LEAVES_ERRNO(shmbus_list(rig_path("absent"), count_names, NULL));
    LEAVES_ERRNO(rig_make("bus", &options));
    LEAVES_ERRNO(rig_try_join("bus"));
    LEAVES_ERRNO(shmbus_list(NULL, count_names, NULL));
    assert_ok(shmbus_snapshot_open("bus", NULL, &snapshot));
    LEAVES_ERRNO(shmbus_snapshot_placement(snapshot, &placement));
    shmbus_snapshot_close(snapshot);
    options.group = "no-such-group";
    LEAVES_ERRNO(rig_try_create("other", &options));
    options.group = NULL;
    options.pages = SHMBUS_PAGES_HUGETLB;
    LEAVES_ERRNO(rig_try_create("other", &options));
    LEAVES_ERRNO(shmbus_unlink("bus", NULL));
}
END_TEST

RIG_MAIN("names", names_that_are_allowed, names_that_are_not, every_byte_is_allowed_or_refused,
         a_bus_is_a_folder_of_three_files, what_is_not_there, waiting_ends,
         waiting_for_a_bus_that_comes, where_buses_live, folders_that_cannot_be_used,
         texts_belong_to_a_thread, errno_is_left_alone)
