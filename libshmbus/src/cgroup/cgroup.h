/* SPDX-License-Identifier: MIT */
/*
 * What this process's memory cgroup lets it have. A process that touches more than that is killed,
 * while it touches it: so it is asked before. Both versions of cgroups; a cgroup's limit holds for
 * all below it, so those above count too, as far as they can be seen from here.
 */
#ifndef SHMBUS_CGROUP_H
#define SHMBUS_CGROUP_H

#include <stddef.h>
#include <stdint.h>

#define CGROUP_PATH_MAX 512

/* The tightest limit, and what is left below it. */
struct cgroup_room {
    uint64_t left;              /* bytes; UINT64_MAX without a limit */
    uint64_t limit;             /* bytes */
    char path[CGROUP_PATH_MAX]; /* the folder of the cgroup that has it */
};

/* Says what is left. */
void cgroup_memory_room(struct cgroup_room *out_room);

/* ---- parts of it, which the tests take by themselves ---- */

/* Reads the limit and what is left of one cgroup of a version. swap: bytes free on this machine. */
void cgroup_read(const char *folder, int version, uint64_t swap, struct cgroup_room *out_room);

/* Finds the folder of the memory cgroup out of /proc's files cgroup and mountinfo, and the folder
 * that the hierarchy is mounted at. Returns the version, or 0 when there is none to be seen. */
int cgroup_find(const char *cgroup_file, const char *mounts_file, char *out_folder, char *out_top);

#endif
