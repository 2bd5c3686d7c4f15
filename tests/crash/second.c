/* SPDX-License-Identifier: MIT */
/*
 * The usual parts of rows whose victim is the second of many producers. See crowd.h.
 */
#include "crowd.h"

void second_join(struct victim *victim)
{
    if (shmbus_producer_open(BUS, NULL, NULL, 0, &victim->producer) < 0)
        victim_fail(victim, "join: %s", shmbus_error_text());
}

void second_say(struct victim *victim, char kind)
{
    unsigned char data[LARGE_BYTES];
    struct record *record = victim->record;
    uint64_t number = record->returned;
    uint32_t bytes = body_bytes(number, kind);
    body_fill(data, bytes, number, AUTHOR_VICTIM);
    record->started = number + 1;
    if (shmbus_producer_publish(victim->producer, body_type(number, AUTHOR_VICTIM), 0, data,
                                bytes) < 0)
        victim_fail(victim, "publish: %s", shmbus_error_text());
    record->returned = number + 1;
}

/* One message in a slab, so that something of its part is held. */
void second_setup(struct victim *victim)
{
    second_join(victim);
    second_say(victim, 'p');
}

void second_keep(struct world *world)
{
    crowd.stays.keeps = AUTHOR_VICTIM + 1;
    crowd_hear(world);
}

void second_finish(struct victim *victim)
{
    for (const char *kind = "ipi"; *kind != 0; kind++)
        second_say(victim, *kind);
    shmbus_producer_close(victim->producer);
}

void second_hear(struct world *world)
{
    crowd_hear(world);
}

void second_publish(struct victim *victim)
{
    for (const char *kind = victim->path->messages; *kind != 0; kind++)
        second_say(victim, *kind);
}
