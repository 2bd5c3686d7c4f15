/* SPDX-License-Identifier: MIT */
/* What the NUMA tests ask of the kernel by themselves, without the library. */
#ifndef SHMBUS_TESTS_NUMA_MACHINE_H
#define SHMBUS_TESTS_NUMA_MACHINE_H

#include "layout/layout.h"

#include <stdint.h>

#define NODES_MAX 8

/* How many nodes this machine has; they are numbered from 0. */
int machine_nodes(void);

/* Has this node memory, or CPUs only? */
int machine_has_memory(int node);

/* Lets this process run on that node's CPUs only. */
void machine_run_on(int node);

/* The node that this process runs on. */
int machine_here(void);

/* Memory that a node has free, in bytes. */
uint64_t machine_free(int node);

/* The pool of 2 MiB pages of one node: sets how many there are; reads how many are free. */
void machine_set_pool(int node, uint64_t count);
uint64_t machine_pool_free(int node);

/* A file of a bus, mapped by the test itself. */
struct machine_file {
    unsigned char *address;
    uint64_t bytes;
};

/* Maps a file of a bus; where the bus has a locator in feed's place, what that leads to. */
struct machine_file machine_map(const char *bus, const char *file);
void machine_unmap(struct machine_file *file);

/* How many base pages of a part of a file are on each node, as move_pages() says. A page that is
 * nowhere fails the test. */
void machine_ask(const struct machine_file *file, uint64_t offset, uint64_t bytes,
                 uint64_t out_pages[NODES_MAX]);

#endif
