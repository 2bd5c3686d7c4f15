/* SPDX-License-Identifier: MIT */
/* Containers in the small: see box.h. */
#include "box.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY 4711

const struct shmbus_bus_options box_bus = {
    .struct_bytes = sizeof box_bus,
    .capacity = 16,
    .max_consumers = 4,
    .class_count = 1,
    .classes = {{1024, 16}},
    .mode = 0666,
};

/* What a worker has. */
struct worker {
    struct shmbus_producer *producer;
    struct shmbus_consumer *consumer;
};

static int create(struct worker *worker)
{
    const struct shmbus_producer_options options = {.struct_bytes = sizeof options,
                                                    .full_timeout_ns = 10000000};
    return shmbus_producer_create("bus", &box_bus, &options, &worker->producer);
}

static int join(struct worker *worker, uint32_t kind)
{
    const struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options, .name = "boxed", .kind = kind, .from = SHMBUS_FROM_OLDEST};
    return shmbus_consumer_open("bus", &options, &worker->consumer);
}

static uint64_t publish(struct worker *worker, uint64_t count)
{
    uint64_t done = 0;
    while (done < count) {
        uint64_t sequence = shmbus_producer_next_sequence(worker->producer);
        int result = shmbus_producer_publish(worker->producer, 1, 0, &sequence, sizeof sequence);
        ck_assert(result == 0 || result == -EAGAIN);
        done += result == 0;
    }
    return done;
}

static uint64_t read_some(struct worker *worker, uint64_t count)
{
    struct shmbus_consumer_stats stats;
    for (uint64_t i = 0; i < count; i++) {
        struct shmbus_message message;
        ck_assert_int_eq(shmbus_consumer_wait(worker->consumer, GUARD_NS), 0);
        ck_assert_int_eq(shmbus_consumer_next(worker->consumer, &message), 1);
        ck_assert_uint_eq(message.length, sizeof(uint64_t));
        ck_assert_int_eq(memcmp(message.data, &message.sequence, sizeof message.sequence), 0);
    }
    struct shmbus_message none;
    shmbus_consumer_next(worker->consumer, &none);
    ck_assert_int_eq(shmbus_consumer_stats(worker->consumer, &stats), 0);
    return stats.cursor;
}

static uint64_t obey(struct worker *worker, enum box_order order, uint64_t argument)
{
    uint64_t one = 0;
    switch (order) {
    case BOX_CREATE:
        return (uint64_t)-create(worker);
    case BOX_JOIN:
        return (uint64_t)-join(worker, (uint32_t)argument);
    case BOX_PUBLISH:
        return publish(worker, argument);
    case BOX_TRY:
        one = shmbus_producer_next_sequence(worker->producer);
        return (uint64_t)-shmbus_producer_publish(worker->producer, 1, 0, &one, sizeof one);
    case BOX_READ:
        return read_some(worker, argument);
    case BOX_WAIT:
        return (uint64_t)-shmbus_consumer_wait(worker->consumer, GUARD_NS);
    case BOX_NEXT:
        return shmbus_producer_next_sequence(worker->producer);
    default:
        shmbus_consumer_close(worker->consumer);
        shmbus_producer_close(worker->producer);
        return 0;
    }
}

static void work(int line)
{
    struct worker worker = {NULL, NULL};
    uint64_t words[2];
    while (recv(line, words, sizeof words, MSG_WAITALL) == (ssize_t)sizeof words)
        child_tell(line, obey(&worker, (enum box_order)words[0], words[1]));
    exit(0);
}

/* A fork whose child has a PID of choice in the innermost PID namespace. */
static pid_t fork_as(uint64_t wanted)
{
    pid_t pids[1] = {(pid_t)wanted};
    struct clone_args arguments = {.exit_signal = SIGCHLD};
    if (wanted == 0)
        return fork();
    arguments.set_tid = (uint64_t)(uintptr_t)pids;
    arguments.set_tid_size = 1;
    return (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
}

/* The first process of the box: starts and ends the worker, and hands orders on to it. */
static void serve(int line)
{
    uint64_t words[2];
    pid_t worker = 0;
    int lines[2] = {-1, -1};
    while (recv(line, words, sizeof words, MSG_WAITALL) == (ssize_t)sizeof words) {
        switch (words[0]) {
        case BOX_START:
            ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, lines), 0);
            worker = fork_as(words[1]);
            if (worker == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                close(lines[0]);
                work(lines[1]);
            }
            close(lines[1]);
            child_tell(line, worker > 0 ? (uint64_t)worker : 0);
            break;
        case BOX_KILL:
            ck_assert_int_eq(kill(worker, SIGKILL), 0);
            ck_assert_int_eq(waitpid(worker, NULL, 0), worker);
            close(lines[0]);
            child_tell(line, 0);
            break;
        case BOX_STOP:
            ck_assert_int_eq(kill(worker, SIGSTOP), 0);
            ck_assert_int_eq(waitpid(worker, NULL, WUNTRACED), worker);
            child_tell(line, 0);
            break;
        case BOX_CONTINUE:
            ck_assert_int_eq(kill(worker, SIGCONT), 0);
            child_tell(line, 0);
            break;
        default:
            ck_assert_int_eq(send(lines[0], words, sizeof words, MSG_NOSIGNAL),
                             (ssize_t)sizeof words);
            child_tell(line, child_hear(lines[0]));
            break;
        }
    }
    exit(0);
}

static int put(const char *path, const char *text)
{
    int descriptor = open(path, O_WRONLY | O_CLOEXEC);
    if (descriptor < 0)
        return -1;
    ssize_t wrote = write(descriptor, text, strlen(text));
    close(descriptor);
    return wrote == (ssize_t)strlen(text) ? 0 : -1;
}

/* Everything but the PID namespace, which begins with the next child. Returns 0 or an errno. */
static int enter(const struct box_kind *kind)
{
    char map[64];
    uid_t uid = kind->uid;
    if (uid != geteuid() && (setgroups(0, NULL) < 0 || setgid(uid) < 0 || setuid(uid) < 0))
        return errno;
    /* A process that has given up root may not write its maps until it may be looked at again. */
    prctl(PR_SET_DUMPABLE, 1);
    if (unshare(kind->namespaces) < 0)
        return errno;
    snprintf(map, sizeof map, "0 %u 1", (unsigned)uid);
    if (kind->maps && (put("/proc/self/setgroups", "deny") < 0 ||
                       put("/proc/self/uid_map", map) < 0 || put("/proc/self/gid_map", map) < 0))
        return errno;
    if (kind->namespaces & CLONE_NEWNS && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return errno;
    if (kind->has_own_shm && mount("none", getenv("SHMBUS_DIR"), "tmpfs", 0, "size=1m") < 0)
        return errno;
    if (kind->hides_proc && mount("none", "/proc", "tmpfs", 0, "size=4k") < 0)
        return errno;
    return 0;
}

/* The process outside: it says which its first one is, and ends when all in the box are gone. */
static void stand_for(int line, void *context)
{
    const struct box_kind *kind = context;
    int error = enter(kind);
    pid_t first = error == 0 ? fork() : 0;
    if (error != 0) {
        child_tell(line, (uint64_t)error);
        exit(0);
    }
    ck_assert_int_ge(first, 0);
    if (first == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(line);
    }
    child_tell(line, READY);
    child_tell(line, (uint64_t)first);
    close(line);
    waitpid(first, NULL, 0);
    /* No process can be started any more in a PID namespace whose first one is gone, and at exit()
     * a leak detector wants to. */
    _exit(0);
}

int box_start(struct box *out_box, const struct box_kind *kind, const char *test)
{
    struct box_kind copy = *kind;
    out_box->child = child_start(stand_for, &copy);
    uint64_t said = child_hear(out_box->child.line);
    if (said == READY) {
        out_box->first = (pid_t)child_hear(out_box->child.line);
        return 1;
    }
    child_end(&out_box->child);
    printf("SKIP %s: no namespaces: %s\n", test, strerror((int)said));
    fflush(stdout);
    return 0;
}

void box_tell(const struct box *box, enum box_order order, uint64_t argument)
{
    const uint64_t words[2] = {order, argument};
    ck_assert_int_eq(send(box->child.line, words, sizeof words, MSG_NOSIGNAL),
                     (ssize_t)sizeof words);
}

uint64_t box_hear(const struct box *box)
{
    return child_hear(box->child.line);
}

uint64_t box_order(const struct box *box, enum box_order order, uint64_t argument)
{
    box_tell(box, order, argument);
    return box_hear(box);
}

void box_end(struct box *box)
{
    if (box->child.pid == 0)
        return;
    /* With the first process of a PID namespace all others are killed, and it ends after them. */
    ck_assert_int_eq(kill(box->first, SIGKILL), 0);
    child_end(&box->child);
}
