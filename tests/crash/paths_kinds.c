/* SPDX-License-Identifier: MIT */
/*
 * Paths whose victim is an optional consumer or an observer. Under pressure they are lapped.
 */
#include "victim.h"

#include <string.h>

static void check_victim(struct victim *victim, const char *when)
{
    if (victim->reader.fault[0] != 0)
        victim_fail(victim, "%s: %s", when, victim->reader.fault);
}

static void open_as(struct victim *victim, enum shmbus_kind kind, enum shmbus_from from)
{
    struct shmbus_consumer_options options = {
        .name = "victim", .kind = kind, .from = from, .from_sequence = victim->record->next};
    victim->reader.record = victim->record;
    victim->reader.heir_from = UINT64_MAX;
    victim->reader.is_victim = 1;
    if (reader_open(&victim->reader, options) < 0)
        victim_fail(victim, "join: %s", shmbus_error_text());
}

static void setup_optional(struct victim *victim)
{
    open_as(victim, SHMBUS_OPTIONAL, SHMBUS_FROM_SEQUENCE);
}

static void setup_observer(struct victim *victim)
{
    open_as(victim, SHMBUS_OBSERVER, SHMBUS_FROM_SEQUENCE);
}

static void call_open_tail(struct victim *victim)
{
    open_as(victim, SHMBUS_OPTIONAL, SHMBUS_FROM_TAIL);
}

static void call_open_oldest(struct victim *victim)
{
    open_as(victim, SHMBUS_OPTIONAL, SHMBUS_FROM_OLDEST);
}

static void call_observe(struct victim *victim)
{
    open_as(victim, SHMBUS_OBSERVER, SHMBUS_FROM_OLDEST);
}

static void call_poll(struct victim *victim)
{
    uint32_t most = (uint32_t)strlen(victim->path->messages);
    int result = reader_poll(&victim->reader, most);
    if (result < 0 || result > (int)most)
        victim_fail(victim, "poll gives %d of %u: %s", result, most, shmbus_error_text());
    check_victim(victim, "poll");
}

static void call_retain(struct victim *victim)
{
    victim->reader.keeps = 1;
    call_poll(victim);
    victim->reader.keeps = 0;
    reader_check(&victim->reader);
    check_victim(victim, "retain");
}

static void setup_keeper(struct victim *victim)
{
    setup_optional(victim);
    call_retain(victim);
}

static void call_release(struct victim *victim)
{
    struct reader *reader = &victim->reader;
    while (reader->kept_count > 0) {
        if (shmbus_consumer_release(reader->consumer, reader->kept[--reader->kept_count]) < 0)
            victim_fail(victim, "release: %s", shmbus_error_text());
        reader_check(reader);
    }
    check_victim(victim, "release");
}

static void call_close(struct victim *victim)
{
    reader_close(&victim->reader);
}

static void finish_reader(struct victim *victim)
{
    struct reader *reader = &victim->reader;
    if (reader->consumer == NULL)
        return;
    reader_check(reader);
    check_victim(victim, "as it goes on");
    int result = reader_drain(reader);
    reader_check(reader);
    check_victim(victim, "at the end");
    if (result < 0 || reader->next != victim->record->tail)
        victim_fail(victim, "got to %lld of %lld: %d", (long long)(reader->next - FIRST_SEQUENCE),
                    (long long)(victim->record->tail - FIRST_SEQUENCE), result);
    reader_close(reader);
}

/* It left no trace, and there is nothing to repair. */
static void after_observer(struct world *world)
{
    uint32_t count = 0;
    if (world_life_of(world, "victim", &count) != -1 || count != 1)
        world_fail(world, "an observer is seen: %u consumers", count);
    if (shmbus_reap(BUS, NULL) != 0)
        world_fail(world, "an observer left something to repair");
    world_after_consumer(world);
}

#define KIND(row, what, start, how, then)                                                          \
    .name = (row), .messages = (what), .before = before_consumer, .setup = (start), .call = (how), \
    .pressure = world_press, .late = late_messages, .finish = finish_reader,                       \
    .repair = repair_by_reap, .after = (then)

const struct path paths_kinds[] = {
    {KIND("optional_open_tail", "", NULL, call_open_tail, world_after_consumer)},
    {KIND("optional_open_oldest", "ipi", NULL, call_open_oldest, world_after_consumer)},
    {KIND("optional_poll_inline", "iiii", setup_optional, call_poll, world_after_consumer)},
    {KIND("optional_poll_pooled", "pPpi", setup_optional, call_poll, world_after_consumer)},
    {KIND("optional_retain", "pPi", setup_optional, call_retain, world_after_consumer)},
    {KIND("optional_release", "pPi", setup_keeper, call_release, world_after_consumer)},
    {KIND("optional_close", "pPi", setup_keeper, call_close, world_after_consumer)},
    {KIND("observer_open", "ipi", NULL, call_observe, after_observer)},
    {KIND("observer_poll_inline", "iiii", setup_observer, call_poll, after_observer)},
    {KIND("observer_poll_pooled", "pPpi", setup_observer, call_poll, after_observer)},
    {.name = NULL},
};
