/* SPDX-License-Identifier: MIT */
/*
 * Placement with libnuma's system call wrappers. Its higher functions print to stderr and are not
 * used.
 */
#include "numa/place.h"

#include "error/error.h"

#include <inttypes.h>
#include <numa.h>
#include <numaif.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

#define POPULATE_CHUNK (UINT64_C(64) << 20)
#define ASK_BATCH      1024
#define SAMPLE_PAGES   256

static int node_has_memory(uint32_t node)
{
    return node < SHMBUS_NODES_MAX && (int)node <= numa_max_node() &&
           numa_bitmask_isbitset(numa_all_nodes_ptr, node);
}

static void name_nodes(char *text, size_t room)
{
    size_t used = 0;
    text[0] = 0;
    for (int node = 0; node <= numa_max_node() && used + 12 < room; node++)
        if (node_has_memory((uint32_t)node))
            used += (size_t)snprintf(text + used, room - used, "%s%d", used ? " " : "", node);
}

/* What the kernel keeps back of a node's free memory: an allocation that may come from no other
 * node and would go below that ends in the OOM killer. */
static uint64_t node_reserve(uint32_t node)
{
    char line[256];
    uint64_t sum = 0;
    uint64_t free_pages = 0;
    uint64_t reserve = 0;
    uint32_t found = UINT32_MAX;
    FILE *file = fopen("/proc/zoneinfo", "re");
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL) {
        uint64_t pages;
        sscanf(line, "Node %" SCNu32 ", zone", &found);
        if (found != node)
            continue;
        if (sscanf(line, " pages free %" SCNu64, &pages) == 1) {
            free_pages = pages;
        } else if (sscanf(line, " high %" SCNu64, &pages) == 1) {
            reserve = pages;
        } else if (strstr(line, " protection: (") != NULL) {
            /* Kept for those that can use no other zone; rises to the last. The zone's own end. */
            const char *last = strrchr(line, ' ');
            if (sscanf(last, " %" SCNu64, &pages) == 1)
                reserve += pages;
            sum += reserve < free_pages ? reserve : free_pages;
        }
    }
    fclose(file);
    return sum * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* What a node can give: free memory but for the kernel's reserve, and that of files on disk, which
 * the kernel drops for it. UINT64_MAX when it does not say. */
static uint64_t node_room(uint32_t node)
{
    static const char *const parts[] = {"MemFree", "Active(file)", "Inactive(file)"};
    char path[64];
    char line[128];
    uint64_t room = 0;
    size_t found = 0;
    snprintf(path, sizeof path, "/sys/devices/system/node/node%" PRIu32 "/meminfo", node);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return UINT64_MAX;
    while (fgets(line, sizeof line, file) != NULL) {
        char name[32];
        uint64_t kilobytes;
        if (sscanf(line, "Node %*u %31[^:]: %" SCNu64, name, &kilobytes) != 2)
            continue;
        for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
            if (strcmp(name, parts[i]) == 0) {
                room += kilobytes * 1024;
                found++;
            }
    }
    fclose(file);
    if (found == 0)
        return UINT64_MAX;
    uint64_t reserve = node_reserve(node);
    room -= reserve < room ? reserve : room;
    /* The index and page tables of these pages are the kernel's, too: less than a hundredth. */
    return room - room / 100;
}

static int unavailable(void)
{
    return error_set(-ENOTSUP, "NUMA unavailable: this kernel has no support for it, or a "
                               "container's seccomp filter forbids it (docker run --cap-add "
                               "SYS_NICE; or leave the placement to none or local)");
}

static int bind_node(void *address, uint64_t bytes, uint64_t needed, uint32_t node)
{
    uint64_t room = node_room(node);
    if (room < needed)
        return error_set(-ENOMEM,
                         "NUMA node %" PRIu32 " has %" PRIu64
                         " bytes free beside the kernel's reserve, %" PRIu64
                         " are needed (use a smaller geometry or another node)",
                         node, room, needed);
    unsigned long mask = 1ul << node;
    if (mbind(address, bytes, MPOL_BIND, &mask, SHMBUS_NODES_MAX + 1, 0) == 0)
        return 0;
    if (errno == ENOSYS || errno == EPERM)
        return unavailable();
    return error_set(-ENOMEM, "NUMA node %" PRIu32 ": mbind: %s", node, strerror(errno));
}

int place_bound_node(uint32_t numa, uint32_t node)
{
    if (numa == SHMBUS_NUMA_LOCAL && numa_available() >= 0) {
        int here = numa_node_of_cpu(sched_getcpu());
        /* From a node that has CPUs only, the kernel goes to the nearest that has memory. */
        return here >= 0 && node_has_memory((uint32_t)here) ? here : -1;
    }
    return numa == SHMBUS_NUMA_NODE ? (int)node : -1;
}

int place_policy(void *address, uint64_t bytes, uint64_t needed, uint32_t numa, uint32_t node)
{
    if (numa == SHMBUS_NUMA_NONE)
        return 0;
    if (numa_available() < 0) {
        if (numa == SHMBUS_NUMA_LOCAL)
            return 0;
        return unavailable();
    }
    if (numa == SHMBUS_NUMA_INTERLEAVE) {
        unsigned long mask = 0;
        for (uint32_t i = 0; i < SHMBUS_NODES_MAX; i++)
            if (node_has_memory(i))
                mask |= 1ul << i;
        if (mbind(address, bytes, MPOL_INTERLEAVE, &mask, SHMBUS_NODES_MAX + 1, 0) < 0)
            return unavailable();
        return 0;
    }
    if (numa == SHMBUS_NUMA_LOCAL) {
        int here = place_bound_node(numa, node);
        int result = here < 0 ? 0 : bind_node(address, bytes, needed, (uint32_t)here);
        return result == -ENOTSUP ? 0 : result;
    }
    if (!node_has_memory(node)) {
        char nodes[256];
        name_nodes(nodes, sizeof nodes);
        if (node < SHMBUS_NODES_MAX && numa_bitmask_isbitset(numa_nodes_ptr, node))
            return error_set(-ENXIO, "NUMA node %" PRIu32 " has no memory (nodes that have: %s)",
                             node, nodes);
        return error_set(-ENXIO, "NUMA node %" PRIu32 " is not there: this machine has %s", node,
                         nodes);
    }
    return bind_node(address, bytes, needed, node);
}

int place_populate(void *address, uint64_t bytes, int for_writing)
{
    for (uint64_t done = 0; done < bytes;) {
        uint64_t chunk = bytes - done < POPULATE_CHUNK ? bytes - done : POPULATE_CHUNK;
        int advice = for_writing ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
        if (madvise((char *)address + done, chunk, advice) < 0) {
            /* Interrupted: what was populated stays, so each round gets further. */
            if (errno == EINTR)
                continue;
            /* EFAULT stands for what a touch would have got as SIGBUS. */
            return errno == EFAULT ? -ENOSPC : -errno;
        }
        done += chunk;
    }
    return 0;
}

int place_ask(const void *address, uint64_t bytes, struct shmbus_placement *out_placement)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t pages = (bytes + page - 1) / page;
    void *asked[ASK_BATCH];
    int status[ASK_BATCH];
    union {
        const void *read;
        void *any;
    } start = {address};
    place_populate(start.any, bytes, 0);
    for (uint64_t done = 0; done < pages;) {
        uint64_t count = pages - done < ASK_BATCH ? pages - done : ASK_BATCH;
        for (uint64_t i = 0; i < count; i++)
            asked[i] = (char *)start.any + (done + i) * page;
        if (numa_available() < 0 || move_pages(0, count, asked, NULL, status, 0) < 0) {
            out_placement->numa_known = 0;
            out_placement->pages_elsewhere += pages - done;
            return 0;
        }
        for (uint64_t i = 0; i < count; i++) {
            if (status[i] < 0 || status[i] >= SHMBUS_NODES_MAX) {
                out_placement->pages_elsewhere++;
                continue;
            }
            out_placement->pages_by_node[status[i]]++;
            if ((uint32_t)status[i] >= out_placement->node_count)
                out_placement->node_count = (uint32_t)status[i] + 1;
        }
        done += count;
    }
    out_placement->numa_known = 1;
    return 0;
}

int32_t place_node(const void *address, uint64_t bytes)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t pages = (bytes + page - 1) / page;
    uint64_t count = pages < SAMPLE_PAGES ? pages : SAMPLE_PAGES;
    uint32_t found[SHMBUS_NODES_MAX] = {0};
    void *asked[SAMPLE_PAGES];
    int status[SAMPLE_PAGES];
    union {
        const void *read;
        void *any;
    } start = {address};
    for (uint64_t i = 0; i < count; i++) {
        asked[i] = (char *)start.any + i * pages / count * page;
        place_populate(asked[i], page, 0);
    }
    if (count == 0 || numa_available() < 0 || move_pages(0, count, asked, NULL, status, 0) < 0)
        return -1;
    int32_t most = -1;
    for (uint64_t i = 0; i < count; i++)
        if (status[i] >= 0 && status[i] < SHMBUS_NODES_MAX) {
            found[status[i]]++;
            if (most < 0 || found[status[i]] > found[most])
                most = status[i];
        }
    return most;
}

void place_page_bytes(const void *address, uint64_t bytes, struct shmbus_placement *out_placement)
{
    uintptr_t from = (uintptr_t)address;
    uint64_t base = (uint64_t)sysconf(_SC_PAGESIZE);
    out_placement->page_bytes = base;
    FILE *maps = fopen("/proc/self/smaps", "re");
    if (maps == NULL)
        return;
    char *line = NULL;
    size_t room = 0;
    int inside = 0;
    while (getline(&line, &room, maps) > 0) {
        uintptr_t begin;
        uintptr_t end;
        uint64_t kilobytes;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &begin, &end) == 2) {
            inside = begin >= from && begin < from + bytes;
        } else if (inside && sscanf(line, "KernelPageSize: %" SCNu64, &kilobytes) == 1) {
            if (kilobytes * 1024 > base) {
                out_placement->page_bytes = kilobytes * 1024;
                out_placement->huge_bytes = bytes;
            }
        } else if (inside && (sscanf(line, "ShmemPmdMapped: %" SCNu64, &kilobytes) == 1 ||
                              sscanf(line, "FilePmdMapped: %" SCNu64, &kilobytes) == 1)) {
            out_placement->huge_bytes += kilobytes * 1024;
        }
    }
    free(line);
    fclose(maps);
    if (out_placement->huge_bytes > 0 && out_placement->page_bytes == base) {
        FILE *size = fopen("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", "re");
        if (size != NULL) {
            if (fscanf(size, "%" SCNu64, &out_placement->page_bytes) != 1)
                out_placement->page_bytes = base;
            fclose(size);
        }
    }
}
