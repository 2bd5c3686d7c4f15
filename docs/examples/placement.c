/* SPDX-License-Identifier: MIT */
/* Where the memory of a bus lies: asked for at create, and what the kernel then says. */
#include "example.h"

#include <errno.h>

int main(void)
{
    struct shmbus_bus_options bus = {
        .struct_bytes = sizeof(bus),
        .numa = SHMBUS_NUMA_LOCAL,    /* the node that this thread runs on */
        .pages = SHMBUS_PAGES_THP,    /* large pages where the kernel gives them */
        .flags = SHMBUS_MAP_PREFAULT, /* no page fault at the first message */
    };
    struct shmbus_placement placement;
    struct shmbus_producer *producer;

    must(shmbus_producer_create("example-placement", &bus, NULL, &producer), "create");
    must(shmbus_producer_placement(producer, &placement), "placement");
    printf("pages of %llu bytes\n", (unsigned long long)placement.page_bytes);
    for (uint32_t node = 0; node < placement.node_count; node++)
        printf("node %u: %llu base pages\n", (unsigned)node,
               (unsigned long long)placement.pages_by_node[node]);
    expect(placement.page_bytes >= 4096, "the kernel said how large the pages are");
    shmbus_producer_close(producer);
    must(shmbus_unlink("example-placement", NULL), "unlink");

    bus.numa = SHMBUS_NUMA_NODE;
    bus.numa_node = 63;
    int error = shmbus_producer_create("example-placement", &bus, NULL, &producer);
    printf("%s\n", shmbus_error_text());
    expect(error == -ENXIO || error == -ENOTSUP, "a node that is not there is an error");
    return 0;
}
