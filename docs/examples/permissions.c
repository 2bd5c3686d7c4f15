/* SPDX-License-Identifier: MIT */
/* Who may observe and who may consume: the mode and group of a bus. */
#include "example.h"

#include <unistd.h>

int main(void)
{
    char group[32];
    snprintf(group, sizeof(group), "%lu", (unsigned long)getegid()); /* a name does as well */

    struct shmbus_bus_options bus = {
        .struct_bytes = sizeof(bus),
        .mode = 0664, /* the group may consume, everybody may look on */
        .group = group,
    };
    struct shmbus_producer *producer;
    must(shmbus_producer_create("example-permissions", &bus, NULL, &producer), "create");

    struct shmbus_snapshot *snapshot;
    must(shmbus_snapshot_open("example-permissions", NULL, &snapshot), "look");
    const struct shmbus_bus_info *info = shmbus_snapshot_bus(snapshot);
    expect(info->mode == 0664 && info->owner_gid == getegid(), "the bus has that mode and group");
    shmbus_snapshot_close(snapshot);

    shmbus_producer_close(producer);
    must(shmbus_unlink("example-permissions", NULL), "unlink");
    return 0;
}
