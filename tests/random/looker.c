/* SPDX-License-Identifier: MIT */
/*
 * The worker that looks on, and that repairs by hand.
 */
#include "random.h"

#include <errno.h>
#include <inttypes.h>

static void check_picture(struct world *root, struct shmbus_snapshot *snapshot)
{
    const struct shmbus_bus_info *bus = shmbus_snapshot_bus(snapshot);
    struct world *world = root;
    if (bus->state == SHMBUS_STATE_DAMAGED) {
        violate(world, "looks damaged: %s", shmbus_snapshot_why(snapshot));
        return;
    }
    world = world_of_entries(root, bus->max_consumers);
    if (world == NULL || world->number > atomic_load(&root->wanted)) {
        violate(root, "shows a bus of %" PRIu32 " entries, which nobody made", bus->max_consumers);
        return;
    }
    if (bus->type_count != world->bus.type_count || bus->required_rule != world->bus.required_rule)
        violate(world, "shows %" PRIu32 " types and rule %" PRIu32, bus->type_count,
                bus->required_rule);
    if (bus->tail > atomic_load(&world->intent))
        violate(world, "shows a tail of %" PRIu64 ", which nobody began", bus->tail);
    for (uint32_t i = 0; i < bus->class_count; i++) {
        const struct shmbus_pool_stats *pool = shmbus_snapshot_pool(snapshot, i);
        if (pool->slab_count !=
            world->bus.classes[i].slab_count * (world->many ? bus->max_producers : 1))
            violate(world, "shows %" PRIu64 " slabs", pool->slab_count);
    }
    for (uint32_t i = 0; i < bus->hole_count; i++) {
        const struct shmbus_hole_info *hole = shmbus_snapshot_hole(snapshot, i);
        if (!world->many || hole->producer >= bus->max_producers ||
            hole->sequence >= atomic_load(&world->intent))
            violate(world, "shows a claim at %" PRIu64 " of number %" PRIu32, hole->sequence,
                    hole->producer);
    }
    for (uint32_t i = 0; i < bus->consumer_count; i++)
        if (shmbus_snapshot_consumer(snapshot, i)->entry >= world->bus.max_consumers)
            violate(world, "shows an entry that there is not");
}

int looker_work(struct world *world, struct page *page, uint64_t seed)
{
    uint64_t state = seed;
    uint64_t rounds = 1 + random_below(&state, 5);
    int before = open_descriptors();
    for (uint64_t i = 0; i < rounds && page_order(page) == ORDER_GO; i++) {
        struct shmbus_snapshot *snapshot = NULL;
        int result;
        page_does(page, "reap");
        if (random_chance(&state, 60) && (result = shmbus_reap(world->name, NULL)) < 0 &&
            result != -ENOENT)
            violate(world, "reap: %d: %s", result, shmbus_error_text());
        page_does(page, "snapshot");
        result = shmbus_snapshot_open(world->name, NULL, &snapshot);
        if (result < 0) {
            if (result != -ENOENT)
                violate(world, "snapshot: %d: %s", result, shmbus_error_text());
            continue;
        }
        check_picture(world, snapshot);
        if (shmbus_snapshot_update(snapshot) == 0)
            check_picture(world, snapshot);
        shmbus_snapshot_close(snapshot);
        sleep_ns((int64_t)random_below(&state, 5) * MS_NS);
    }
    if (open_descriptors() != before || mapped_buses() != 0)
        violate(world, "one that looked on has %d descriptors and %d mappings more",
                open_descriptors() - before, mapped_buses());
    count(&world->counts.looks, 1);
    return 0;
}
