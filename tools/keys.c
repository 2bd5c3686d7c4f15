/* SPDX-License-Identifier: MIT */
/*
 * Single keys of a terminal: see keys.h. A process in the background is stopped by the kernel when
 * it changes the terminal or reads from it, so it is asked first who is in the foreground.
 */
#include "keys.h"

#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static struct termios before;
static volatile sig_atomic_t changed; /* the terminal is not as it was before */

static bool in_foreground(void)
{
    return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

static void set_keys(void)
{
    struct termios keys = before;
    keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    keys.c_cc[VMIN] = 0;
    keys.c_cc[VTIME] = 0;
    changed = tcsetattr(STDIN_FILENO, TCSANOW, &keys) == 0;
}

static void restore(void)
{
    if (changed && in_foreground()) {
        tcsetattr(STDIN_FILENO, TCSANOW, &before);
    }
}

/* Ctrl-Z: gives the terminal back, and stops as if there were no handler. */
static void on_stop(int number)
{
    (void)number;
    restore();
    raise(SIGSTOP);
}

/* Only functions that a handler may call: tcsetattr() is one. */
static void on_continue(int number)
{
    (void)number;
    if (changed && in_foreground()) {
        set_keys();
    }
}

bool keys_begin(void)
{
    struct sigaction stop = {.sa_handler = on_stop};
    struct sigaction go_on = {.sa_handler = on_continue};
    if (isatty(STDIN_FILENO) != 1 || !in_foreground() || tcgetattr(STDIN_FILENO, &before) != 0) {
        return false;
    }
    sigemptyset(&stop.sa_mask);
    sigemptyset(&go_on.sa_mask);
    sigaction(SIGTSTP, &stop, NULL);
    sigaction(SIGCONT, &go_on, NULL);
    set_keys();
    atexit(keys_end);
    return changed;
}

int keys_fd(void)
{
    return changed ? STDIN_FILENO : -1;
}

char keys_next(void)
{
    char key = 0;
    if (!changed || !in_foreground() || read(STDIN_FILENO, &key, 1) != 1) {
        return 0;
    }
    return key;
}

void keys_end(void)
{
    restore();
    changed = 0;
}
