/* SPDX-License-Identifier: MIT */
/*
 * Single keys of a terminal, without a newline behind them and without their echo. Only where
 * standard input is a terminal and this runs in its foreground; elsewhere there never is a key. The
 * terminal is as it was after keys_end(), and while this is stopped (Ctrl-Z) and in the background.
 */
#ifndef SHMBUS_TOOLS_KEYS_H
#define SHMBUS_TOOLS_KEYS_H

#include <stdbool.h>

/* Begins; true if there may be keys. */
bool keys_begin(void);

/* The key that was pressed, or 0; never waits. */
char keys_next(void);

/* A descriptor that is readable when there is a key, to be polled; -1 when there never is one. */
int keys_fd(void);

/* Gives the terminal back. Does nothing if keys_begin() found none. */
void keys_end(void);

#endif
