/* SPDX-License-Identifier: MIT */
/* Child processes of tests: see support.h. */
#include "support/support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIFE_BYTES 4096
#define LIFE_LOW   0x10000000 /* below everything that is mapped */

/* libcheck notes each assertion in a file that this process shares with its parent. One that is
 * killed while it writes there, or two that write at once, leave what the parent cannot read: in a
 * child that file is /dev/null. An assertion that fails ends the child, which its parent sees. */
static void leave_the_notes(void)
{
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int descriptor = 3; nowhere >= 0 && descriptor < 64; descriptor++) {
        char path[64];
        char target[256] = "";
        snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
        if (readlink(path, target, sizeof target - 1) > 0 && strstr(target, "/check_") != NULL)
            dup2(nowhere, descriptor);
    }
}

/* A page of the file, mapped here, with a lock on this byte that lasts as long as the mapping. */
static void keep_lock(int life, off_t byte, void *address)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    char path[64];
    int flags = MAP_SHARED | (address != NULL ? MAP_FIXED_NOREPLACE : 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", life);
    int own = open(path, O_RDWR | O_CLOEXEC);
    if (own < 0 || fcntl(own, F_OFD_SETLK, &lock) < 0)
        _exit(1);
    void *page = mmap(address, LIFE_BYTES, PROT_READ, flags, own, 0);
    if (page == MAP_FAILED || madvise(page, LIFE_BYTES, MADV_DONTFORK) < 0)
        _exit(1);
    close(own);
}

/* Whoever reads /proc/PID/maps or cmdline, as ps does, keeps the mappings of a process that was
 * killed, and what they keep locked, until the read is over: it has been waited for and looks
 * alive. The kernel lets go of mappings in the order of their addresses, so these two go first and
 * last. */
static void begin_life(int life)
{
    keep_lock(life, 0, (void *)(uintptr_t)LIFE_LOW);
    keep_lock(life, 1, NULL);
    close(life);
}

/* One that a test has forked by itself has no such file. */
static void await_release(int life)
{
    if (life < 0)
        return;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 2};
    for (;;) {
        struct flock found = lock;
        ck_assert_int_eq(fcntl(life, F_OFD_GETLK, &found), 0);
        if (found.l_type == F_UNLCK)
            break;
        sched_yield();
    }
    close(life);
}

struct child child_start(child_body *body, void *context)
{
    int lines[2];
    pid_t parent = getpid();
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, lines), 0);
    int life = memfd_create("life", MFD_CLOEXEC);
    ck_assert_int_ge(life, 0);
    ck_assert_int_eq(ftruncate(life, LIFE_BYTES), 0);
    fflush(NULL);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        close(lines[0]);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        leave_the_notes();
        begin_life(life);
        body(lines[1], context);
        exit(0);
    }
    close(lines[1]);
    return (struct child){pid, lines[0], life};
}

void child_tell(int line, uint64_t word)
{
    ck_assert_int_eq(send(line, &word, sizeof word, MSG_NOSIGNAL), (ssize_t)sizeof word);
}

uint64_t child_hear(int line)
{
    uint64_t word = 0;
    ssize_t got = recv(line, &word, sizeof word, MSG_WAITALL);
    ck_assert_msg(got == (ssize_t)sizeof word, "the other side is gone");
    return word;
}

int child_has_said(int line)
{
    struct pollfd one = {.fd = line, .events = POLLIN};
    return poll(&one, 1, 0) > 0;
}

static int wait_for(pid_t pid, int options)
{
    int status;
    pid_t got;
    do {
        got = waitpid(pid, &status, options);
    } while (got < 0 && errno == EINTR);
    ck_assert_int_eq(got, pid);
    return status;
}

void child_end(struct child *child)
{
    int status = wait_for(child->pid, 0);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child ended with status 0x%x",
                  (unsigned)status);
    close(child->line);
    await_release(child->life);
    *child = (struct child){0, -1, -1};
}

void child_kill(struct child *child)
{
    ck_assert_int_eq(kill(child->pid, SIGKILL), 0);
    int status = wait_for(child->pid, 0);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
                  "child ended before it was killed: 0x%x", (unsigned)status);
    close(child->line);
    await_release(child->life);
    *child = (struct child){0, -1, -1};
}

void child_stop(const struct child *child)
{
    ck_assert_int_eq(kill(child->pid, SIGSTOP), 0);
    int status = wait_for(child->pid, WUNTRACED);
    ck_assert_msg(WIFSTOPPED(status), "child ended before it was stopped: 0x%x", (unsigned)status);
}

void child_continue(const struct child *child)
{
    ck_assert_int_eq(kill(child->pid, SIGCONT), 0);
}
