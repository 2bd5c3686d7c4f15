/* SPDX-License-Identifier: MIT */
/*
 * shmbus-replay in time: the recorded pace and faster, catching up, the report, and on a terminal
 * progress and the pause key. Only "at least so long" is asserted, never "at most".
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "recording.h"

/* Some 2 seconds long: 21 lines at 10 a second. */
static const char *record_paced(void)
{
    const struct bytes input = numbered_lines(21, 0);
    const char *path = path_in("paced.lz4");
    remove(path);
    struct tool pub = tool_start(ARGUMENTS(PUB, "--rate", "10", "--wait-consumers", "1", "paced"));
    struct tool record = tool_start(
        ARGUMENTS(RECORD, "--required", "--from", "oldest", "--wait", "50", "-o", path, "paced"));
    tool_write(&pub, input.data, input.length);
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    const struct ending recorded = tool_end(&record);
    assert_code(recorded, 0);
    return path;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* How long the recording is, from its own times. */
static double seconds_of(const char *path)
{
    const struct bytes stats = dump(path, ARGUMENTS("--stats"));
    const char *at = strstr(stats.data, "\nseconds ");
    ck_assert_ptr_nonnull(at);
    return strtod(at + 9, NULL);
}

START_TEST(paces)
{
    static const char *const speeds[] = {"1", "4", "100", "max"};
    static const double factors[] = {1, 4, 100, 0};
    const char *path = record_paced();
    const double seconds = seconds_of(path);
    ck_assert(seconds > 1.0);
    for (size_t i = 0; i < 4; i++) {
        const int64_t begun_ns = now_ns();
        const struct ending replay =
            tool_run(ARGUMENTS(REPLAY, "--speed", speeds[i], path, "pace"), NULL, 0);
        const double took = (double)(now_ns() - begun_ns) / 1e9;
        assert_code(replay, 0);
        if (factors[i] > 0) {
            ck_assert_msg(took >= seconds / factors[i], "%f s, not %f / %f", took, seconds,
                          factors[i]);
            assert_in(replay.err, "late_ns count=21 p50=");
        } else {
            ck_assert_str_eq(replay.err.data, "");
        }
    }
}
END_TEST

START_TEST(signal_ends_it)
{
    const char *path = record_paced();
    struct tool replay = tool_start(ARGUMENTS(REPLAY, "--speed", "0.001", "--keep", path, "stop"));
    await_tail("stop", 1);
    ck_assert_int_eq(kill(replay.pid, SIGINT), 0);
    const struct ending ended = tool_end(&replay);
    assert_code(ended, 0);
    ck_assert_str_eq(read_kept("stop", "lines").data, "line 0\n");
    ck_assert_int_eq(shmbus_unlink("stop", NULL), 0);
}
END_TEST

/* Reads what a terminal shows until this text is in it. */
static void await_shown(int terminal, struct bytes *seen, const char *text)
{
    bytes_add(seen, "", 0);
    while (!strstr(seen->data, text)) {
        char block[1000];
        const ssize_t count = read(terminal, block, sizeof(block));
        ck_assert_int_gt(count, 0);
        bytes_add(seen, block, (size_t)count);
    }
}

/* A process whose terminal that is; it runs a tool with its output there. */
static pid_t run_on_terminal(const char *const *arguments, int *out_terminal)
{
    const int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(terminal, 0);
    ck_assert_int_eq(grantpt(terminal), 0);
    ck_assert_int_eq(unlockpt(terminal), 0);
    const char *name = ptsname(terminal);
    const pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        setsid();
        const int other = open(name, O_RDWR);
        ioctl(other, TIOCSCTTY, 0);
        for (int fd = 0; fd <= 2; fd++) {
            dup2(other, fd);
        }
        execv(arguments[0], (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    *out_terminal = terminal;
    return pid;
}

START_TEST(pause_key)
{
    const char *path = record_paced();
    struct bytes seen = {0};
    int terminal = -1;
    int status = 0;
    const pid_t pid =
        run_on_terminal(ARGUMENTS(REPLAY, "--speed", "0.5", "--keep", path, "keys"), &terminal);
    await_tail("keys", 2);
    ck_assert_int_eq(write(terminal, " ", 1), 1);
    await_shown(terminal, &seen, "paused at sequence ");
    const uint64_t at = number_after(seen.data, "paused at sequence ");
    /* Longer than from one message to the next: none comes. */
    usleep(600000);
    const struct ending stat = tool_run(ARGUMENTS(STAT, "--json", "keys"), NULL, 0);
    ck_assert_uint_eq(number_after(stat.out.data, "\"tail\":"), at);
    ck_assert_int_eq(write(terminal, " ", 1), 1);
    await_tail("keys", at + 2);
    await_shown(terminal, &seen, "replaying: ");
    ck_assert_int_eq(kill(pid, SIGINT), 0);
    await_shown(terminal, &seen, "late_ns count=");
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(shmbus_unlink("keys", NULL), 0);
    close(terminal);
}
END_TEST

/* The recorder's own line: messages, bytes, ratio, lag, lost. */
START_TEST(progress_of_the_recorder)
{
    const char *path = path_in("shown.lz4");
    struct tool pub = tool_start(ARGUMENTS(PUB, "--wait-consumers", "1", "shown"));
    struct bytes seen = {0};
    int terminal = -1;
    int status = 0;
    const pid_t pid = run_on_terminal(
        ARGUMENTS(RECORD, "--required", "--from", "oldest", "--wait", "50", "-o", path, "shown"),
        &terminal);
    tool_write(&pub, "1\n2\n3\n", 6);
    await_shown(terminal, &seen, "recording: 3 messages, ");
    await_shown(terminal, &seen, " MB, ratio ");
    await_shown(terminal, &seen, ", 0 behind, 0 lost");
    const struct ending published = tool_end(&pub);
    assert_code(published, 0);
    await_shown(terminal, &seen, "recorded 3 messages in 1 file, ");
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    close(terminal);
}
END_TEST

int main(void)
{
    return recording_run("recording_pace", (const TTest *const[]){paces, signal_ends_it, pause_key,
                                                                  progress_of_the_recorder, NULL});
}
