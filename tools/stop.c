/* SPDX-License-Identifier: MIT */
/*
 * SIGINT and SIGTERM as a wish to end in good order: see stop.h. Only the handler writes the count
 * and the pipe.
 */
#include "stop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t signals_seen;
static int pipe_ends[2] = {-1, -1};

static void on_signal(int number)
{
    const int saved = errno;
    (void)number;
    signals_seen = signals_seen + 1;
    /* A full pipe is readable already, and that is all it is for. */
    const ssize_t written = write(pipe_ends[1], "", 1);
    (void)written;
    errno = saved;
}

int stop_install(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigemptyset(&action.sa_mask);
    sigemptyset(&ignore.sa_mask);
    if (pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        return -errno;
    }
    if (sigaction(SIGINT, &action, NULL) != 0 || sigaction(SIGTERM, &action, NULL) != 0 ||
        sigaction(SIGPIPE, &ignore, NULL) != 0) {
        return -errno;
    }
    return 0;
}

int stop_count(void)
{
    return signals_seen;
}

int stop_fd(void)
{
    return pipe_ends[0];
}
