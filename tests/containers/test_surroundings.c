/* SPDX-License-Identifier: MIT */
/*
 * What a container or a service manager does to a bus from around it: a small /dev/shm, a filter of
 * system calls, and files that are removed under those that use them, as systemd's RemoveIPC= does.
 */
#include "support/support.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct shmbus_bus_options small = {.struct_bytes = sizeof small,
                                                .capacity = 16,
                                                .max_consumers = 4,
                                                .class_count = 1,
                                                .classes = {{1024, 16}}};

static void skip(const char *test, const char *why)
{
    printf("SKIP %s: %s\n", test, why);
    fflush(stdout);
}

/* A container's /dev/shm as it comes: the default bus fits, a larger one is refused with both sizes
 * and what to raise, and whole or not at all. */
START_TEST(sixty_four_mebibytes)
{
    struct shmbus_bus_options large = {.struct_bytes = sizeof large, .capacity = 1 << 20};
    struct shmbus_producer *producer;
    struct shmbus_producer *other;
    struct statvfs before;
    struct statvfs after;
    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", "/dev/shm", "tmpfs", 0, "size=64m") < 0) {
        skip("sixty_four_mebibytes", "needs root and a mount namespace");
        return;
    }
    unsetenv("SHMBUS_DIR");
    ck_assert_msg(shmbus_producer_create("fits", NULL, NULL, &producer) == 0, "%s",
                  shmbus_error_text());
    ck_assert_int_eq(statvfs("/dev/shm", &before), 0);
    ck_assert_int_eq(shmbus_producer_create("large", &large, NULL, &other), -ENOSPC);
    char left[64];
    snprintf(left, sizeof left, "/dev/shm has %llu left",
             (unsigned long long)(before.f_bavail * before.f_frsize));
    ck_assert_msg(support_says(" bytes are needed") && support_says(left) &&
                      support_says("docker run --shm-size"),
                  "%s", shmbus_error_text());
    ck_assert_int_eq(statvfs("/dev/shm", &after), 0);
    ck_assert_uint_eq(after.f_bavail, before.f_bavail);
    ck_assert_int_eq(shmbus_producer_publish(producer, 1, 0, "on", 2), 0);
    shmbus_producer_close(producer);
    ck_assert_int_eq(shmbus_unlink("fits", NULL), 0);
}
END_TEST

/* What docker's own filter does to a process without CAP_SYS_NICE. */
static int filter_numa(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_get_mempolicy, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mbind, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_move_pages, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    };
    const struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
                   prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0
               ? -1
               : 0;
}

/* What was asked for is an error that names the filter; what was not goes on without. */
START_TEST(a_filter_of_numa_calls)
{
    struct shmbus_bus_options bus = small;
    struct shmbus_producer *producer;
    struct shmbus_placement placement;
    struct shmbus_settled settled;
    struct shmbus_settle_options next_to_it = {.struct_bytes = sizeof next_to_it,
                                               .cpus = SHMBUS_CPUS_BUS};
    if (filter_numa() < 0) {
        skip("a_filter_of_numa_calls", "no seccomp filters here");
        return;
    }
    bus.numa = SHMBUS_NUMA_NODE;
    ck_assert_int_eq(shmbus_producer_create("bus", &bus, NULL, &producer), -ENOTSUP);
    ck_assert_msg(support_says("seccomp") && support_says("--cap-add SYS_NICE"), "%s",
                  shmbus_error_text());
    bus.numa = SHMBUS_NUMA_LOCAL;
    producer = support_create("bus", &bus, NULL);
    ck_assert_int_eq(shmbus_producer_placement(producer, &placement), 0);
    ck_assert_uint_eq(placement.numa_known, 0);
    ck_assert_int_eq(shmbus_producer_settle(producer, &next_to_it, &settled), -ENOTSUP);
    ck_assert_int_eq(shmbus_producer_settle(producer, NULL, &settled), 0);
    ck_assert_int_eq(settled.bus_node, -1);
    ck_assert_int_eq(shmbus_producer_publish(producer, 1, 0, "on", 2), 0);
    shmbus_producer_close(producer);
}
END_TEST

/* Removes a file of the bus; with none, the folder. */
static void remove_part(const char *file)
{
    char path[512];
    snprintf(path, sizeof path, "%s/shmbus.bus%s%s", getenv("SHMBUS_DIR"), file[0] ? "/" : "",
             file);
    ck_assert_int_eq(file[0] ? unlink(path) : rmdir(path), 0);
}

/* Those that are attached go on to the end of the stream; nobody else finds the bus, which is said
 * as what it is at each step of the removal; and its name is free for another. */
START_TEST(files_are_removed)
{
    static const char *const parts[] = {"owner", "control", "feed", ""};
    struct shmbus_producer *producer = support_create("bus", &small, NULL);
    struct shmbus_consumer *consumer = support_join("bus", SHMBUS_FROM_OLDEST);
    struct shmbus_consumer_options options = {.struct_bytes = sizeof options};
    struct shmbus_consumer *late;
    struct shmbus_snapshot *snapshot;
    struct shmbus_message message;
    ck_assert_int_eq(shmbus_producer_publish(producer, 1, 0, "one", 3), 0);
    for (size_t i = 0; i < 4; i++) {
        remove_part(parts[i]);
        int result = shmbus_consumer_open("bus", &options, &late);
        if (i == 0) {
            ck_assert_int_eq(result, 0);
            shmbus_consumer_close(late);
        } else {
            ck_assert_int_eq(result, i < 3 ? -EBADMSG : -ENOENT);
        }
    }
    ck_assert_int_eq(shmbus_snapshot_open("bus", NULL, &snapshot), -ENOENT);
    for (uint64_t i = 0; i < 100; i++) {
        ck_assert_int_eq(shmbus_producer_publish(producer, 1, 0, &i, sizeof i), 0);
        ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
        ck_assert_uint_eq(message.sequence, i);
    }
    struct shmbus_producer *another = support_create("bus", &small, NULL);
    ck_assert_uint_eq(shmbus_producer_next_sequence(another), 0);
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), 1);
    shmbus_producer_close(producer);
    ck_assert_int_eq(shmbus_consumer_next(consumer, &message), -EPIPE);
    shmbus_consumer_close(consumer);
    shmbus_producer_close(another);
    ck_assert_int_eq(shmbus_unlink("bus", NULL), 0);
}
END_TEST

/* A consumer that is killed after the files are gone is found dead all the same. */
static void join_and_stay(int line, void *context)
{
    (void)context;
    support_join("bus", SHMBUS_FROM_OLDEST);
    child_tell(line, 1);
    child_hear(line);
}

START_TEST(killed_after_the_removal)
{
    static const char *const parts[] = {"owner", "control", "feed", ""};
    struct shmbus_producer *producer = support_create("bus", &small, NULL);
    struct child child = child_start(join_and_stay, NULL);
    ck_assert_uint_eq(child_hear(child.line), 1);
    for (size_t i = 0; i < 4; i++)
        remove_part(parts[i]);
    for (uint64_t i = 0; i < 16; i++)
        ck_assert_int_eq(shmbus_producer_publish(producer, 1, 0, &i, sizeof i), 0);
    ck_assert_int_eq(shmbus_producer_publish(producer, 1, 0, "", 0), -EAGAIN);
    child_kill(&child);
    ck_assert_int_eq(shmbus_producer_publish(producer, 1, 0, "", 0), 0);
    shmbus_producer_close(producer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("containers surroundings");
    TCase *tcase = support_case(suite, "surroundings", 60);
    tcase_add_test(tcase, sixty_four_mebibytes);
    tcase_add_test(tcase, a_filter_of_numa_calls);
    tcase_add_test(tcase, files_are_removed);
    tcase_add_test(tcase, killed_after_the_removal);
    return support_run(suite);
}
