/* SPDX-License-Identifier: MIT */
/* What a process and the bus take up. See soak.h. */
#include "soak.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int64_t field(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at != NULL ? strtoll(at + strlen(name), NULL, 10) : -1;
}

static int64_t count_names(const char *path)
{
    DIR *folder = opendir(path);
    int64_t count = 0;
    if (folder == NULL)
        return -1;
    for (struct dirent *found = readdir(folder); found != NULL; found = readdir(folder))
        count += found->d_name[0] != '.';
    closedir(folder);
    return count;
}

struct measure measure_process(int pid)
{
    struct measure measure = {-1, -1, -1, -1};
    static char text[1 << 16];
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return measure;
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    measure.anonymous_kib = field(text, "RssAnon:");
    measure.data_kib = field(text, "VmData:");
    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    measure.descriptors = count_names(path);
    snprintf(path, sizeof path, "/proc/%d/map_files", pid);
    measure.mappings = count_names(path);
    return measure;
}

int64_t measure_bus(int64_t *out_files)
{
    char path[512];
    int64_t bytes = 0;
    snprintf(path, sizeof path, "%s/shmbus." BUS, getenv("SHMBUS_DIR"));
    DIR *folder = opendir(path);
    *out_files = 0;
    if (folder == NULL)
        return -1;
    for (struct dirent *found = readdir(folder); found != NULL; found = readdir(folder)) {
        struct stat state;
        if (found->d_name[0] == '.' || fstatat(dirfd(folder), found->d_name, &state, 0) < 0)
            continue;
        bytes += (int64_t)state.st_blocks * 512;
        ++*out_files;
    }
    closedir(folder);
    return bytes;
}
