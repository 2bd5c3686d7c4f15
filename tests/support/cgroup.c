/* SPDX-License-Identifier: MIT */
/* Cgroups for tests: see cgroup.h. */
#include "support/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Is the controller one of a list, "cpu,cpuacct"? */
static int is_listed(const char *list, const char *controller)
{
    size_t length = strlen(controller);
    for (const char *at = list; at != NULL && *at != 0; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, controller, length) == 0 && (at[length] == ',' || at[length] == 0))
            return 1;
    }
    return 0;
}

/* The folder of this process's cgroup that has the controller; 0 without one. */
static int find_mine(const char *controller, char *out_path, size_t room)
{
    char line[512];
    int version = 0;
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file != NULL && version != 1 && fgets(line, sizeof line, file) != NULL) {
        char list[128] = "";
        char path[300] = "";
        if (sscanf(line, "0::%299[^\n]", path) == 1) {
            snprintf(out_path, room, "/sys/fs/cgroup%s", path);
            version = 2;
        } else if (sscanf(line, "%*d:%127[^:]:%299[^\n]", list, path) == 2 &&
                   is_listed(list, controller)) {
            snprintf(out_path, room, "/sys/fs/cgroup/%s%s", list, path);
            version = 1;
        }
    }
    if (file != NULL)
        fclose(file);
    return version;
}

int cgroup_make(const char *controller, struct cgroup *out_cgroup, char *why, size_t room)
{
    struct cgroup made;
    char parent[400];
    char path[600];
    made.version = find_mine(controller, parent, sizeof parent);
    snprintf(made.path, sizeof made.path, "%s/shmbus-test.%d", parent, (int)getpid());
    if (made.version == 0 || mkdir(made.path, 0755) < 0) {
        snprintf(why, room, "no cgroup of its own with %s: %s", controller,
                 made.version == 0 ? "it has none" : strerror(errno));
        return -1;
    }
    snprintf(path, sizeof path, "%s/%s", made.path,
             strcmp(controller, "cpuset") == 0 ? "cpuset.cpus"
             : made.version == 1               ? "memory.limit_in_bytes"
                                               : "memory.max");
    if (access(path, W_OK) < 0) {
        snprintf(why, room, "its cgroup does not hand the controller %s on", controller);
        rmdir(made.path);
        return -1;
    }
    *out_cgroup = made;
    return 0;
}

int cgroup_set(const struct cgroup *cgroup, const char *file, const char *value)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", cgroup->path, file);
    int descriptor = open(path, O_WRONLY | O_CLOEXEC);
    if (descriptor < 0)
        return -1;
    ssize_t wrote = write(descriptor, value, strlen(value));
    int number = errno;
    close(descriptor);
    errno = number;
    return wrote == (ssize_t)strlen(value) ? 0 : -1;
}

int cgroup_enter(const struct cgroup *cgroup, pid_t pid)
{
    char text[32];
    snprintf(text, sizeof text, "%d", (int)pid);
    return cgroup_set(cgroup, "cgroup.procs", text);
}

void cgroup_remove(const struct cgroup *cgroup)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    /* A process that has ended is gone from it a moment later. */
    for (int i = 0; i < 1000 && rmdir(cgroup->path) < 0 && errno == EBUSY; i++)
        nanosleep(&pause, NULL);
}
