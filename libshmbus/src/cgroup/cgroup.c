/* SPDX-License-Identifier: MIT */
/*
 * The memory cgroup: see cgroup.h. What cannot be read is no limit.
 */
#include "cgroup/cgroup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One number out of a file; "max" and what is none are UINT64_MAX. */
static uint64_t read_number(const char *folder, const char *file)
{
    char path[CGROUP_PATH_MAX + 64];
    uint64_t number = UINT64_MAX;
    snprintf(path, sizeof path, "%s/%s", folder, file);
    FILE *opened = fopen(path, "re");
    if (opened == NULL)
        return number;
    if (fscanf(opened, "%" SCNu64, &number) != 1)
        number = UINT64_MAX;
    fclose(opened);
    return number;
}

/* The sum of some lines of memory.stat, each a name and a number of bytes. */
static uint64_t read_stat(const char *folder, const char *const *names)
{
    char path[CGROUP_PATH_MAX + 64];
    char name[64];
    uint64_t number;
    uint64_t sum = 0;
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    FILE *opened = fopen(path, "re");
    if (opened == NULL)
        return 0;
    while (fscanf(opened, "%63s %" SCNu64, name, &number) == 2)
        for (size_t i = 0; names[i] != NULL; i++)
            if (strcmp(name, names[i]) == 0)
                sum += number;
    fclose(opened);
    return sum;
}

static uint64_t minus(uint64_t from, uint64_t what)
{
    return from > what ? from - what : 0;
}

static uint64_t smaller(uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

/* What is reclaimed before anybody is killed: files on disk, and caches of the kernel; not the
 * pages of tmpfs, which are anonymous to it and go to swap only. */
void cgroup_read(const char *folder, int version, uint64_t swap, struct cgroup_room *out_room)
{
    static const char *const reclaimed_1[] = {"total_active_file", "total_inactive_file", NULL};
    static const char *const reclaimed_2[] = {"active_file", "inactive_file", "slab_reclaimable",
                                              NULL};
    int is_2 = version == 2;
    uint64_t limit = read_number(folder, is_2 ? "memory.max" : "memory.limit_in_bytes");
    uint64_t used = read_number(folder, is_2 ? "memory.current" : "memory.usage_in_bytes");
    snprintf(out_room->path, sizeof out_room->path, "%s", folder);
    out_room->limit = limit;
    out_room->left = UINT64_MAX;
    /* Version 1 says "none" by the largest number of whole pages. */
    if (limit >= INT64_MAX / 4096 * 4096 || used == UINT64_MAX)
        return;
    uint64_t kept = minus(used, read_stat(folder, is_2 ? reclaimed_2 : reclaimed_1));
    out_room->left = minus(limit, kept);
    if (is_2) {
        uint64_t swap_limit = read_number(folder, "memory.swap.max");
        uint64_t swap_used = read_number(folder, "memory.swap.current");
        if (swap_used != UINT64_MAX)
            swap = smaller(swap, minus(swap_limit, swap_used));
        out_room->left += swap;
        return;
    }
    /* Of memory and swap together, where that is accounted for. */
    uint64_t both = read_number(folder, "memory.memsw.limit_in_bytes");
    uint64_t both_used = read_number(folder, "memory.memsw.usage_in_bytes");
    out_room->left += swap;
    if (both_used != UINT64_MAX)
        out_room->left = smaller(out_room->left, minus(both, minus(both_used, minus(used, kept))));
}

/* Is a word in a list that commas part? */
static int is_in(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, word, length) == 0 && (at[length] == ',' || at[length] == 0))
            return 1;
    }
    return 0;
}

/* The path of this process's cgroup: of version 1 if the memory controller is there, else of 2. */
static int find_path(const char *cgroup_file, char *out_path)
{
    char *line = NULL;
    size_t room = 0;
    int version = 0;
    FILE *opened = fopen(cgroup_file, "re");
    if (opened == NULL)
        return 0;
    while (version != 1 && getline(&line, &room, opened) > 0) {
        line[strcspn(line, "\n")] = 0;
        char *list = strchr(line, ':');
        char *path = list != NULL ? strchr(list + 1, ':') : NULL;
        if (path == NULL || path[1] != '/' || strlen(path + 1) >= CGROUP_PATH_MAX)
            continue;
        *path = 0;
        int is_2 = list[1] == 0;
        if (!is_2 && !is_in(list + 1, "memory"))
            continue;
        snprintf(out_path, CGROUP_PATH_MAX, "%s", path + 1);
        version = is_2 ? 2 : 1;
    }
    free(line);
    fclose(opened);
    return version;
}

/* Where the hierarchy of a version is mounted, and which of its cgroups is at that place. */
static int find_mount(const char *mounts_file, int version, char *out_root, char *out_top)
{
    char *line = NULL;
    size_t room = 0;
    int found = 0;
    FILE *opened = fopen(mounts_file, "re");
    if (opened == NULL)
        return 0;
    while (!found && getline(&line, &room, opened) > 0) {
        char root[CGROUP_PATH_MAX];
        char top[CGROUP_PATH_MAX];
        char kind[32];
        char options[256];
        char *rest = strstr(line, " - ");
        if (rest == NULL || sscanf(line, "%*s %*s %*s %511s %511s", root, top) != 2 ||
            sscanf(rest, " - %31s %*s %255s", kind, options) != 2)
            continue;
        found = version == 2 ? strcmp(kind, "cgroup2") == 0
                             : strcmp(kind, "cgroup") == 0 && is_in(options, "memory");
        if (found) {
            memcpy(out_root, root, sizeof root);
            memcpy(out_top, top, sizeof top);
        }
    }
    free(line);
    fclose(opened);
    return found;
}

int cgroup_find(const char *cgroup_file, const char *mounts_file, char *out_folder, char *out_top)
{
    char path[CGROUP_PATH_MAX];
    char root[CGROUP_PATH_MAX];
    char top[CGROUP_PATH_MAX];
    int version = find_path(cgroup_file, path);
    if (version == 0 || !find_mount(mounts_file, version, root, top))
        return 0;
    /* The path is as the host sees it: what is mounted here may begin further down. What leads out
     * of it, or elsewhere, is a cgroup that cannot be seen from here: the top has to do. */
    size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    const char *below = "";
    if (strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == 0))
        below = path + length;
    if (strstr(below, "/..") != NULL || strcmp(below, "/") == 0)
        below = "";
    if (snprintf(out_folder, CGROUP_PATH_MAX, "%s%s", top, below) >= CGROUP_PATH_MAX)
        snprintf(out_folder, CGROUP_PATH_MAX, "%s", top);
    memcpy(out_top, top, sizeof top);
    return version;
}

static uint64_t swap_free(void)
{
    char name[64];
    uint64_t kilobytes = 0;
    uint64_t number;
    FILE *opened = fopen("/proc/meminfo", "re");
    if (opened == NULL)
        return 0;
    while (fscanf(opened, "%63s %" SCNu64 "%*[^\n]", name, &number) == 2)
        if (strcmp(name, "SwapFree:") == 0)
            kilobytes = number;
    fclose(opened);
    return kilobytes * 1024;
}

void cgroup_memory_room(struct cgroup_room *out_room)
{
    char folder[CGROUP_PATH_MAX];
    char top[CGROUP_PATH_MAX];
    int saved = errno;
    out_room->left = UINT64_MAX;
    int version = cgroup_find("/proc/self/cgroup", "/proc/self/mountinfo", folder, top);
    uint64_t swap = swap_free();
    /* Ends: each round is one folder up, and none is above the top. */
    while (version != 0) {
        struct cgroup_room one;
        cgroup_read(folder, version, swap, &one);
        if (one.left < out_room->left)
            *out_room = one;
        char *last = strrchr(folder, '/');
        if (last == NULL || strlen(folder) <= strlen(top))
            break;
        *last = 0;
    }
    errno = saved;
}
