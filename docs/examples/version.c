/* SPDX-License-Identifier: MIT */
/* Which layout a bus has: what libraries of other versions go by. */
#include "example.h"

int main(void)
{
    struct shmbus_producer *producer = example_producer("example-version");
    struct shmbus_snapshot *snapshot;

    must(shmbus_snapshot_open("example-version", NULL, &snapshot), "snapshot");
    const struct shmbus_bus_info *bus = shmbus_snapshot_bus(snapshot);
    expect(bus->layout_major == 1, "a reader of another major version refuses");
    printf("layout %u.%u: another minor version is read\n", (unsigned)bus->layout_major,
           (unsigned)bus->layout_minor);
    /* A bus that needs what this library does not know is shown as damaged, with why. */
    expect(shmbus_snapshot_why(snapshot)[0] == '\0', "this library knows all that it needs");
    shmbus_snapshot_close(snapshot);
    shmbus_producer_close(producer);
    must(shmbus_unlink("example-version", NULL), "unlink");
    return 0;
}
