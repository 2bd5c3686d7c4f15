/* SPDX-License-Identifier: MIT */
/*
 * Reads /sys/devices/system/cpu. A file that is not there counts as "not known", and what is not
 * known is taken for different cores of one package.
 */
#include "topology.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int read_number(int cpu, const char *file)
{
    char path[128];
    int number = -1;
    snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/%s", cpu, file);
    FILE *stream = fopen(path, "re");
    if (stream == NULL)
        return -1;
    if (fscanf(stream, "%d", &number) != 1)
        number = -1;
    fclose(stream);
    return number;
}

/* Is cpu in a file that lists processors as "0-3,8"? */
static int list_has(int owner, const char *file, int cpu)
{
    char path[128], list[4096];
    snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/%s", owner, file);
    FILE *stream = fopen(path, "re");
    if (stream == NULL)
        return 0;
    char *got = fgets(list, sizeof(list), stream);
    fclose(stream);
    for (char *at = got; at != NULL && *at != '\0' && *at != '\n';) {
        char *end = at;
        long first = strtol(at, &end, 10), last = first;
        if (end == at)
            return 0;
        if (*end == '-')
            last = strtol(end + 1, &end, 10);
        if (cpu >= first && cpu <= last)
            return 1;
        at = *end == ',' ? end + 1 : end;
    }
    return 0;
}

static int node_of(int cpu)
{
    char path[64];
    int node = -1;
    snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d", cpu);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return -1;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
        if (sscanf(entry->d_name, "node%d", &node) == 1)
            break;
    closedir(folder);
    return node;
}

static enum nearness nearness_of(int first, int second)
{
    if (first == second)
        return NEAR_ONE_CPU;
    if (list_has(first, "topology/thread_siblings_list", second))
        return NEAR_SIBLINGS;
    int packages[2] = {read_number(first, "topology/physical_package_id"),
                       read_number(second, "topology/physical_package_id")};
    return packages[0] == packages[1] ? NEAR_CORES : NEAR_PACKAGES;
}

static int shared_cache(int first, int second)
{
    for (int index = 0; index < 10; index++) {
        char file[64];
        snprintf(file, sizeof(file), "cache/index%d/level", index);
        int level = read_number(first, file);
        snprintf(file, sizeof(file), "cache/index%d/shared_cpu_list", index);
        if (level > 0 && list_has(first, file, second))
            return level;
    }
    return 0;
}

static struct pinning describe(int first, int second, int allowed_count)
{
    struct pinning pinning = {.cpu = {first, second},
                              .node = {node_of(first), node_of(second)},
                              .shared_cache = shared_cache(first, second),
                              .allowed_count = allowed_count,
                              .nearness = nearness_of(first, second)};
    return pinning;
}

struct pinning topology_choose(void)
{
    /* Best first; within one kind the last pair wins, since interrupts favour low numbers. */
    static const enum nearness wishes[] = {NEAR_CORES, NEAR_PACKAGES, NEAR_SIBLINGS};
    int cpus[CPU_SETSIZE], count = 0;
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
        CPU_SET(0, &allowed);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed))
            cpus[count++] = cpu;
    for (unsigned wish = 0; wish < sizeof(wishes) / sizeof(wishes[0]); wish++)
        for (int first = count - 2; first >= 0; first--)
            if (nearness_of(cpus[first], cpus[count - 1]) == wishes[wish])
                return describe(cpus[first], cpus[count - 1], count);
    return describe(cpus[0], cpus[0], count);
}

int topology_take(int first, int second, struct pinning *out_pinning)
{
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (first < 0 || second < 0 || first >= CPU_SETSIZE || second >= CPU_SETSIZE)
        return -1;
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
        return -1;
    if (!CPU_ISSET(first, &allowed) || !CPU_ISSET(second, &allowed))
        return -1;
    *out_pinning = describe(first, second, CPU_COUNT(&allowed));
    return 0;
}

int topology_pin(int cpu)
{
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(cpu, &only);
    return sched_setaffinity(0, sizeof(only), &only) == 0 ? 0 : -errno;
}

const char *topology_words(enum nearness nearness)
{
    switch (nearness) {
    case NEAR_ONE_CPU:
        return "one processor for both: the figures mean nothing";
    case NEAR_SIBLINGS:
        return "SMT siblings: two threads of one core";
    case NEAR_PACKAGES:
        return "cores of two packages";
    case NEAR_CORES:
    default:
        return "two cores of one package";
    }
}
