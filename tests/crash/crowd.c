/* SPDX-License-Identifier: MIT */
/*
 * The survivors on a bus of many producers. See crowd.h.
 */
#include "crowd.h"

#include <errno.h>
#include <string.h>

#define PRELUDE "ipiPiiipiiPiiiipiiii" /* more than a lap */

struct crowd crowd;

static void drop(void)
{
    shmbus_producer_close(crowd.partner);
    shmbus_producer_close(crowd.third);
    shmbus_consumer_close(crowd.stays.consumer);
    memset(&crowd, 0, sizeof crowd);
}

static int publish(struct shmbus_producer *producer, enum author author, uint64_t number, char kind)
{
    unsigned char data[LARGE_BYTES];
    uint32_t bytes = body_bytes(number, kind);
    body_fill(data, bytes, number, author);
    return shmbus_producer_publish(producer, body_type(number, author), 0, data, bytes);
}

int crowd_say(struct shmbus_producer *producer, enum author author, char kind)
{
    int result = publish(producer, author, crowd.said[author], kind);
    crowd.said[author] += result == 0;
    return result;
}

void crowd_before(struct world *world)
{
    struct shmbus_bus_options bus = *world_bus();
    drop();
    bus.max_producers = PRODUCERS;
    if (shmbus_producer_create(BUS, &bus, NULL, &crowd.partner) < 0 ||
        listener_open(&crowd.stays, "stays") < 0) {
        world_fail(world, "before: %s", shmbus_error_text());
        return;
    }
    for (uint32_t i = 0; i < AUTHOR_COUNT; i++)
        crowd.stays.knows[i] = 1;
    for (const char *kind = PRELUDE; *kind != 0; kind++) {
        if (crowd_say(crowd.partner, AUTHOR_BEFORE, *kind) < 0)
            world_fail(world, "prelude: %s", shmbus_error_text());
        crowd_hear(world);
    }
}

/* What crowd_dies() counts. */
#define DEAD_SAYS "pi"

static void work(struct victim *victim)
{
    struct shmbus_producer *producer;
    struct shmbus_claim claim;
    uint64_t number = crowd.said[AUTHOR_DEAD];
    if (shmbus_producer_open(BUS, NULL, NULL, 0, &producer) < 0)
        victim_fail(victim, "one that is to die: %s", shmbus_error_text());
    for (const char *kind = DEAD_SAYS; *kind != 0; kind++)
        if (publish(producer, AUTHOR_DEAD, number++, *kind) < 0)
            victim_fail(victim, "one that is to die: %s", shmbus_error_text());
    if (shmbus_producer_claim(producer, SMALL_BYTES, &claim) < 0)
        victim_fail(victim, "one that is to die: %s", shmbus_error_text());
}

void crowd_dies(struct world *world)
{
    struct victim dead = {.path = world->path, .record = world->record};
    sacrifice(work, &dead);
    crowd.said[AUTHOR_DEAD] += strlen(DEAD_SAYS);
}

void crowd_hold(struct world *world)
{
    uint32_t bytes = body_bytes(crowd.said[AUTHOR_HEIR], 'i');
    int result = shmbus_producer_open(BUS, NULL, NULL, 0, &crowd.third);
    if (result < 0) {
        crowd.third = NULL;
        if (result != -EUSERS)
            world_fail(world, "the third cannot join: %d: %s", result, shmbus_error_text());
        return;
    }
    if (shmbus_producer_claim(crowd.third, bytes, &crowd.held) < 0)
        world_fail(world, "the third cannot claim: %s", shmbus_error_text());
    body_fill(crowd.held.data, bytes, crowd.said[AUTHOR_HEIR], AUTHOR_HEIR);
    crowd.holds = 1;
}

void crowd_let_go(struct world *world)
{
    if (!crowd.holds)
        return;
    crowd.holds = 0;
    if (shmbus_producer_commit(crowd.third, &crowd.held,
                               body_type(crowd.said[AUTHOR_HEIR], AUTHOR_HEIR), 0) < 0)
        world_fail(world, "the third's claim: %s", shmbus_error_text());
    crowd.said[AUTHOR_HEIR]++;
}

int crowd_hear(struct world *world)
{
    struct listener *stays = &crowd.stays;
    const struct record *record = world->record;
    int result = listener_hear(stays);
    if (result != -ETIMEDOUT && result != -EPIPE && result != -EOWNERDEAD)
        world_fail(world, "the one that stays: %d: %s", result, shmbus_error_text());
    if (stays->fault[0] != 0)
        world_fail(world, "the one that stays: %s", stays->fault);
    if (stays->numbers[AUTHOR_VICTIM] > record->started)
        world_fail(world, "%lld of the victim's came, and %lld were begun",
                   (long long)stays->numbers[AUTHOR_VICTIM], (long long)record->started);
    return result;
}

/* All that was said is heard. What the victim began is there or is not, once and for all. */
static void hear_all(struct world *world)
{
    static const enum author living[] = {AUTHOR_BEFORE, AUTHOR_HEIR, AUTHOR_DEAD};
    struct record *record = world->record;
    crowd_hear(world);
    for (uint32_t i = 0; i < 3; i++)
        if (crowd.stays.numbers[living[i]] != crowd.said[living[i]])
            world_fail(world, "of %lld of author %d came %lld", (long long)crowd.said[living[i]],
                       (int)living[i], (long long)crowd.stays.numbers[living[i]]);
    uint64_t came = crowd.stays.numbers[AUTHOR_VICTIM];
    if (came < record->returned)
        world_fail(world, "%lld of the victim's came, and %lld were published", (long long)came,
                   (long long)record->returned);
    record->returned = came;
    record->started = came;
}

uint32_t crowd_scribble(struct world *world, struct shmbus_producer *producer, uint64_t bytes)
{
    struct shmbus_slab slabs[ALL_SLABS + 1];
    uint32_t count = 0;
    while (count <= ALL_SLABS &&
           shmbus_producer_slab_acquire(producer, bytes, 1, &slabs[count]) == 0) {
        memset(slabs[count].data, 0xee, slabs[count].bytes);
        count++;
    }
    listener_check(&crowd.stays);
    for (uint32_t i = 0; i < count; i++)
        if (shmbus_producer_slab_release(producer, slabs[i].handle) < 0)
            world_fail(world, "cannot give a slab back: %s", shmbus_error_text());
    return count;
}

void crowd_press(struct world *world)
{
    struct shmbus_producer *rival;
    crowd_hear(world);
    for (const char *kind = "ipiPip"; *kind != 0; kind++)
        if (crowd_say(crowd.partner, AUTHOR_BEFORE, *kind) < 0)
            world_fail(world, "the partner cannot publish: %s", shmbus_error_text());
    crowd_hear(world);
    /* Some laps, unless a claim or a consumer of the victim's is in the way. */
    for (uint32_t i = 0; i < 2 * CAPACITY; i++) {
        if (crowd.stays.numbers[AUTHOR_BEFORE] != crowd.said[AUTHOR_BEFORE] ||
            crowd_say(crowd.partner, AUTHOR_BEFORE, 'i') < 0)
            break;
        crowd_hear(world);
    }
    crowd_scribble(world, crowd.partner, SMALL_BYTES);
    crowd_scribble(world, crowd.partner, LARGE_BYTES);
    int result = shmbus_producer_open(BUS, NULL, NULL, 0, &rival);
    if (result == 0)
        shmbus_producer_close(rival);
    else if (result != -EUSERS)
        world_fail(world, "a rival gets %d: %s", result, shmbus_error_text());
    result = shmbus_unlink(BUS, NULL);
    if (result != -EBUSY)
        world_fail(world, "removing the bus of a living producer gives %d", result);
}

/* The whole ring can be filled, and not a slot more: so nobody's hole is left. */
static void use_ring(struct world *world)
{
    uint64_t before = crowd.stays.next;
    for (uint32_t i = 0; i < CAPACITY; i++)
        if (crowd_say(crowd.partner, AUTHOR_BEFORE, 'i') < 0) {
            world_fail(world, "the ring is full after %u of %u: %s", i, CAPACITY,
                       shmbus_error_text());
            return;
        }
    if (crowd_say(crowd.partner, AUTHOR_BEFORE, 'i') != -EAGAIN)
        world_fail(world, "the ring takes more than its capacity");
    hear_all(world);
    if (crowd.stays.next - before != CAPACITY)
        world_fail(world, "of %u messages %lld came", CAPACITY,
                   (long long)(crowd.stays.next - before));
}

/* What onlookers see. */
static void look(struct world *world, uint32_t most_holes)
{
    struct shmbus_snapshot *snapshot;
    if (shmbus_snapshot_open(BUS, NULL, &snapshot) < 0) {
        world_fail(world, "cannot look: %s", shmbus_error_text());
        return;
    }
    const struct shmbus_bus_info *bus = shmbus_snapshot_bus(snapshot);
    if (bus->state == SHMBUS_STATE_DAMAGED)
        world_fail(world, "damaged: %s", shmbus_snapshot_why(snapshot));
    if (bus->floor > bus->tail || bus->tail - bus->first_sequence > 1000)
        world_fail(world, "floor %llu, tail %llu", (unsigned long long)bus->floor,
                   (unsigned long long)bus->tail);
    if (bus->hole_count > most_holes)
        world_fail(world, "%u claims are open", bus->hole_count);
    if (most_holes == 0 && bus->tail != crowd.stays.next)
        world_fail(world, "the tail is %lld, and all was heard up to %lld",
                   (long long)(bus->tail - FIRST_SEQUENCE),
                   (long long)(crowd.stays.next - FIRST_SEQUENCE));
    for (uint32_t i = 0; i < bus->producer_count; i++)
        world->repairs += !shmbus_snapshot_producer(snapshot, i)->alive;
    for (uint32_t i = 0; i < bus->consumer_count; i++) {
        const struct shmbus_consumer_info *info = shmbus_snapshot_consumer(snapshot, i);
        world->repairs += info->life == SHMBUS_LIFE_DEAD;
        if (info->life == SHMBUS_LIFE_EVICTED)
            world_fail(world, "%s is evicted", info->name);
    }
    for (uint32_t i = 0; i < bus->class_count; i++) {
        const struct shmbus_pool_stats *pool = shmbus_snapshot_pool(snapshot, i);
        if (pool->in_use > pool->slab_count)
            world_fail(world, "class %u: %llu slabs in use", i, (unsigned long long)pool->in_use);
    }
    shmbus_snapshot_close(snapshot);
}

/* The partner is the only one that lives: it can have all slabs of all parts but what is held. */
static void use_pool(struct world *world)
{
    uint32_t kept = crowd.stays.kept != 0;
    uint32_t small = crowd_scribble(world, crowd.partner, SMALL_BYTES);
    uint32_t large = crowd_scribble(world, crowd.partner, LARGE_BYTES);
    if (small != PRODUCERS * SMALL_COUNT - kept || large != PRODUCERS * LARGE_COUNT)
        world_fail(world, "%u small and %u large slabs are to be had, with %u held", small, large,
                   kept);
    if (kept && shmbus_consumer_release(crowd.stays.consumer, crowd.stays.kept) < 0)
        world_fail(world, "cannot release: %s", shmbus_error_text());
    crowd.stays.kept = 0;
}

/* All numbers are used again, and whoever has one gets its part. */
static void use_numbers(struct world *world)
{
    struct shmbus_producer *heirs[PRODUCERS] = {0};
    struct shmbus_producer *more;
    for (uint32_t i = 1; i < PRODUCERS; i++)
        if (shmbus_producer_open(BUS, NULL, NULL, 0, &heirs[i]) < 0)
            world_fail(world, "an heir cannot join: %s", shmbus_error_text());
    int result = shmbus_producer_open(BUS, NULL, NULL, 0, &more);
    if (result == 0)
        shmbus_producer_close(more);
    if (result != -EUSERS)
        world_fail(world, "one more than there are numbers gets %d", result);
    /* The partner comes by where it gives back what it adopted. */
    for (uint32_t i = 0; i < CAPACITY / 4; i++)
        crowd_say(crowd.partner, AUTHOR_BEFORE, 'i');
    heirs[0] = crowd.partner;
    for (uint32_t i = 0; i < PRODUCERS && world->failure[0] == 0; i++) {
        uint32_t small = crowd_scribble(world, heirs[i], SMALL_BYTES);
        uint32_t large = crowd_scribble(world, heirs[i], LARGE_BYTES);
        if (small != SMALL_COUNT || large != LARGE_COUNT)
            world_fail(world, "producer %u of %u has %u small and %u large slabs", i, PRODUCERS,
                       small, large);
        for (const char *kind = "ipP"; *kind != 0; kind++)
            if (crowd_say(heirs[i], i == 0 ? AUTHOR_BEFORE : AUTHOR_HEIR, *kind) < 0)
                world_fail(world, "producer %u cannot publish: %s", i, shmbus_error_text());
    }
    hear_all(world);
    for (uint32_t i = 1; i < PRODUCERS; i++)
        shmbus_producer_close(heirs[i]);
}

/* Every entry can be joined. */
static void use_entries(struct world *world)
{
    struct listener joined[CONSUMERS] = {0};
    for (uint32_t i = 0; i + 1 < CONSUMERS; i++)
        if (listener_open(&joined[i], "joined") < 0)
            world_fail(world, "cannot join: %s", shmbus_error_text());
    for (uint32_t i = 0; i < CONSUMERS; i++)
        shmbus_consumer_close(joined[i].consumer);
}

static void end(struct world *world)
{
    struct shmbus_snapshot *snapshot;
    shmbus_producer_close(crowd.partner);
    crowd.partner = NULL;
    int result = crowd_hear(world);
    if (result != -EPIPE)
        world_fail(world, "the last one closed, and waiting gives %d", result);
    if (shmbus_snapshot_open(BUS, NULL, &snapshot) == 0) {
        const struct shmbus_bus_info *bus = shmbus_snapshot_bus(snapshot);
        if (bus->state != SHMBUS_STATE_CLOSED || bus->producer_count != 0)
            world_fail(world, "at the end its state is %u, with %u producers", bus->state,
                       bus->producer_count);
        shmbus_snapshot_close(snapshot);
    }
}

void crowd_after(struct world *world)
{
    look(world, PRODUCERS);
    hear_all(world);
    shmbus_producer_close(crowd.third);
    crowd.third = NULL;
    if (crowd.partner == NULL && shmbus_producer_open(BUS, NULL, NULL, 0, &crowd.partner) < 0) {
        world_fail(world, "cannot join: %s", shmbus_error_text());
        crowd.partner = NULL;
    }
    if (crowd.partner != NULL && world->failure[0] == 0) {
        use_ring(world);
        look(world, 0);
        use_pool(world);
        use_entries(world);
        use_numbers(world);
        end(world);
    }
    drop();
}
