/* SPDX-License-Identifier: MIT */
/*
 * What others offer for the same work. Each peer is a module of its own in the folder peers/ beside
 * the program, loaded by the processes of its runs only, so that a peer that is not installed is
 * merely missing and one that starts threads disturbs nobody else. A module is one source file of
 * peers/: its way to open, send and receive, and the loops of peers/loops.h around these.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include "bench.h"
#include "role.h"

enum {
    PEERS = 10,
    PEER_PATH_MAX = 108, /* as in a socket's address */
};

/* What a module has under the name peer_module. */
struct peer_module {
    runner_role *act[PEER_PATTERNS][ROLES];
};

/* Finds out which modules there are. */
void peer_begin(void);

/* The runner of one peer, 0 to PEERS - 1, in one pattern; NULL if its module is not there. */
const struct runner *peer_runner(enum peer_pattern pattern, int peer);

const char *peer_name(int peer);

/* The path of what a peer names in the file system: role i's. */
void peer_path(const char *folder, const char *bus, char out_path[PEER_PATH_MAX]);

/* Removes what the peers left under such names. */
void peer_clean(const char *folder, char bus[ROLES][BUS_NAME_MAX]);

#endif
