/* SPDX-License-Identifier: MIT */
/* Nodes, their memory and where pages are: see machine.h. */
#include "machine.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <numa.h>
#include <numaif.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE      4096u
#define ASK_BATCH 512u
#define POOL      "/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/%s"

int machine_nodes(void)
{
    return numa_available() < 0 ? 1 : numa_max_node() + 1;
}

int machine_has_memory(int node)
{
    return numa_bitmask_isbitset(numa_all_nodes_ptr, (unsigned)node);
}

void machine_run_on(int node)
{
    ck_assert_msg(numa_run_on_node(node) == 0, "node %d: %s", node, strerror(errno));
}

int machine_here(void)
{
    return numa_node_of_cpu(sched_getcpu());
}

uint64_t machine_free(int node)
{
    long long free_bytes = 0;
    ck_assert_int_gt(numa_node_size64(node, &free_bytes), 0);
    return (uint64_t)free_bytes;
}

void machine_set_pool(int node, uint64_t count)
{
    char path[128];
    uint64_t got = 0;
    snprintf(path, sizeof path, POOL, node, "nr_hugepages");
    FILE *file = fopen(path, "re+");
    ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
    fprintf(file, "%" PRIu64, count);
    rewind(file);
    ck_assert_int_eq(fscanf(file, "%" SCNu64, &got), 1);
    fclose(file);
    ck_assert_msg(got == count, "node %d gives %" PRIu64 " huge pages, not %" PRIu64, node, got,
                  count);
}

uint64_t machine_pool_free(int node)
{
    char path[128];
    uint64_t got = 0;
    snprintf(path, sizeof path, POOL, node, "free_hugepages");
    FILE *file = fopen(path, "re");
    ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
    ck_assert_int_eq(fscanf(file, "%" SCNu64, &got), 1);
    fclose(file);
    return got;
}

struct machine_file machine_map(const char *bus, const char *name)
{
    struct machine_file file;
    struct feed_locator locator;
    struct stat status;
    char path[512];
    snprintf(path, sizeof path, "%s/shmbus.%s/%s", getenv("SHMBUS_DIR"), bus, name);
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_msg(descriptor >= 0, "%s: %s", path, strerror(errno));
    if (read(descriptor, &locator, sizeof locator) == (ssize_t)sizeof locator &&
        locator.magic == LAYOUT_LOCATOR_MAGIC) {
        close(descriptor);
        descriptor = open(locator.path, O_RDONLY | O_CLOEXEC);
        ck_assert_msg(descriptor >= 0, "%s: %s", locator.path, strerror(errno));
    }
    ck_assert_int_eq(fstat(descriptor, &status), 0);
    file.bytes = (uint64_t)status.st_size;
    file.address = mmap(NULL, file.bytes, PROT_READ, MAP_SHARED, descriptor, 0);
    ck_assert_msg(file.address != MAP_FAILED, "%s: %s", path, strerror(errno));
    close(descriptor);
    return file;
}

void machine_unmap(struct machine_file *file)
{
    munmap(file->address, file->bytes);
    file->address = NULL;
}

void machine_ask(const struct machine_file *file, uint64_t offset, uint64_t bytes,
                 uint64_t out_pages[NODES_MAX])
{
    uint64_t first = offset / PAGE;
    uint64_t end = (offset + bytes + PAGE - 1) / PAGE;
    void *asked[ASK_BATCH];
    int status[ASK_BATCH];
    ck_assert_uint_le(offset + bytes, file->bytes);
    memset(out_pages, 0, NODES_MAX * sizeof *out_pages);
    while (first < end) {
        uint64_t count = end - first < ASK_BATCH ? end - first : ASK_BATCH;
        for (uint64_t i = 0; i < count; i++) {
            const volatile unsigned char *byte = file->address + (first + i) * PAGE;
            asked[i] = file->address + (first + i) * PAGE;
            (void)*byte; /* it has to be in this process's page table to be asked for */
        }
        ck_assert_msg(move_pages(0, count, asked, NULL, status, 0) == 0, "move_pages: %s",
                      strerror(errno));
        for (uint64_t i = 0; i < count; i++) {
            ck_assert_msg(status[i] >= 0 && status[i] < NODES_MAX, "page %" PRIu64 ": %s",
                          first + i, strerror(-status[i]));
            out_pages[status[i]]++;
        }
        first += count;
    }
}
