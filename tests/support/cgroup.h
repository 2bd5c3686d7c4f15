/* SPDX-License-Identifier: MIT */
/*
 * A cgroup below the one that the test is in, for a process of the test's own; version 1 or 2,
 * whichever has the controller here. It goes when its process and the test are over.
 */
#ifndef SHMBUS_TESTS_SUPPORT_CGROUP_H
#define SHMBUS_TESTS_SUPPORT_CGROUP_H

#include <sys/types.h>

struct cgroup {
    char path[512];
    int version; /* 1 or 2 */
};

/* Makes one with this controller. Returns 0, or -1 with why in why. */
int cgroup_make(const char *controller, struct cgroup *out_cgroup, char *why, size_t room);

/* Writes one of its settings. Returns 0, or -1 with errno. */
int cgroup_set(const struct cgroup *cgroup, const char *file, const char *value);

/* Moves a process into it. Returns 0, or -1 with errno. */
int cgroup_enter(const struct cgroup *cgroup, pid_t pid);

/* Removes it, once nobody is in it any more. */
void cgroup_remove(const struct cgroup *cgroup);

#endif
