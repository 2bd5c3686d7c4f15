/* SPDX-License-Identifier: MIT */
/*
 * Paths over consumers that die, stall and come back: places that are kept and resumed, evictions,
 * joining again, and repairs by hand.
 */
#include "victim.h"

#include <errno.h>
#include <string.h>

#define LONG_NS INT64_C(60000000000)

static int open_kept(struct reader *reader, struct record *record, enum shmbus_from from,
                     int64_t grace_ns)
{
    struct shmbus_consumer_options options = {
        .name = "kept",
        .kind = SHMBUS_REQUIRED,
        .from = from,
        .from_sequence = record->next,
        .grace_ns = grace_ns,
    };
    reader->record = record;
    reader->heir_from = UINT64_MAX;
    return reader_open(reader, options);
}

/* Joins, keeps two messages and is to die. */
static void keep_two(struct victim *victim, enum shmbus_from from, int64_t grace_ns)
{
    victim->reader.is_victim = 1;
    victim->reader.keeps = 1;
    if (open_kept(&victim->reader, victim->record, from, grace_ns) < 0 ||
        reader_poll(&victim->reader, 2) != 2)
        victim_fail(victim, "setup: %s", shmbus_error_text());
}

static void die_before(struct victim *victim)
{
    keep_two(victim, SHMBUS_FROM_SEQUENCE, LONG_NS);
}

static void before_resume(struct world *world)
{
    struct victim dead = {.path = world->path, .record = world->record};
    before_consumer(world);
    sacrifice(die_before, &dead);
    world->record->returned = world->record->next;
}

/* Goes on where it was, and with the next message. */
static void call_resume(struct victim *victim)
{
    struct record *record = victim->record;
    uint64_t wanted = record->next;
    struct shmbus_consumer_stats stats;
    record->result = open_kept(&victim->reader, record, SHMBUS_FROM_TAIL, LONG_NS);
    if (record->result == -EBUSY)
        return;
    if (record->result < 0 || shmbus_consumer_stats(victim->reader.consumer, &stats) < 0)
        victim_fail(victim, "resume: %s", shmbus_error_text());
    if (!stats.resumed || stats.cursor != wanted)
        victim_fail(victim, "resumed %d at %lld, not at %lld", (int)stats.resumed,
                    (long long)(stats.cursor - FIRST_SEQUENCE),
                    (long long)(wanted - FIRST_SEQUENCE));
    victim->reader.is_victim = 1;
    if (reader_poll(&victim->reader, 1) != 1)
        victim_fail(victim, "poll: %s", shmbus_error_text());
    record->returned = record->next;
}

static void finish_resumer(struct victim *victim)
{
    struct reader *reader = &victim->reader;
    if (reader->consumer == NULL)
        return;
    int result = reader_drain(reader);
    reader_check(reader);
    if (result < 0 || reader->fault[0] != 0 || reader->next != victim->record->tail)
        victim_fail(victim, "got to %lld of %lld: %d %s",
                    (long long)(reader->next - FIRST_SEQUENCE),
                    (long long)(victim->record->tail - FIRST_SEQUENCE), result, reader->fault);
    reader_close(reader);
}

/* Another one of its name gets the place at the old cursor; returns -EBUSY if one lives in it,
 * or it is just being repaired. */
static int resume_another(struct world *world, uint64_t least)
{
    const struct record *record = world->record;
    struct reader *reader = &world->others[0];
    struct shmbus_consumer_stats stats;
    int result = open_kept(reader, world->record, SHMBUS_FROM_TAIL, LONG_NS);
    if (result < 0)
        return result;
    if (shmbus_consumer_stats(reader->consumer, &stats) < 0 || !stats.resumed ||
        stats.cursor < least || stats.cursor > record->next)
        world_fail(world, "another one resumed %d, at %lld of %lld to %lld", (int)stats.resumed,
                   (long long)(stats.cursor - FIRST_SEQUENCE), (long long)(least - FIRST_SEQUENCE),
                   (long long)(record->next - FIRST_SEQUENCE));
    return 0;
}

/* It reads all that there is, and leaves. */
static void finish_another(struct world *world, uint64_t tail)
{
    struct reader *reader = &world->others[0];
    world_read(world, reader);
    if (reader->next != tail)
        world_fail(world, "another one got to %lld of %lld",
                   (long long)(reader->next - FIRST_SEQUENCE), (long long)(tail - FIRST_SEQUENCE));
    reader_close(reader);
}

static void after_resume(struct world *world)
{
    if (!world->is_frozen) {
        /* In every other run somebody has looked after it before. */
        if (world->turn & 1)
            shmbus_reap(BUS, NULL);
        if (resume_another(world, world->record->returned) < 0)
            world_fail(world, "another one cannot resume: %s", shmbus_error_text());
        else
            finish_another(world, shmbus_producer_next_sequence(world->producer));
    }
    world_after_consumer(world);
}

static void pressure_rival(struct world *world)
{
    int result = resume_another(world, world->record->returned);
    if (result < 0 && result != -EBUSY)
        world_fail(world, "the second to resume gets %d: %s", result, shmbus_error_text());
}

static void late_rival(struct world *world)
{
    int wanted = world->others[0].consumer != NULL ? -EBUSY : 0;
    if (world->record->result != wanted)
        world_fail(world, "the resumer that was frozen gets %d, not %d", world->record->result,
                   wanted);
    late_messages(world);
    if (wanted < 0)
        finish_another(world, world->record->tail);
}

static void die_long(struct victim *victim)
{
    keep_two(victim, SHMBUS_FROM_OLDEST, LONG_NS);
}

static void die_short(struct victim *victim)
{
    keep_two(victim, SHMBUS_FROM_OLDEST, 1);
}

/* A consumer with a place to keep dies under this producer, and the ring is just full. */
static void setup_full(struct victim *victim, void (*die)(struct victim *victim))
{
    struct record *record = victim->record;
    setup_producer(victim);
    sacrifice(die, victim);
    uint64_t lowest = record->next < record->author_from ? record->next : record->author_from;
    while (record->returned - lowest < CAPACITY)
        send(victim, 'i');
}

static void be_blocked(struct victim *victim)
{
    int result = body_send(victim->producer, 'i', AUTHOR_VICTIM);
    if (result != -EAGAIN)
        victim_fail(victim, "the ring takes more than its capacity: %d", result);
}

static void setup_grace(struct victim *victim)
{
    setup_full(victim, die_long);
}

static void call_grace(struct victim *victim)
{
    be_blocked(victim);
    if (shmbus_producer_required(victim->producer, NULL) != 2)
        victim_fail(victim, "a place that is kept does not gate");
}

static void setup_over(struct victim *victim)
{
    setup_full(victim, die_short);
    be_blocked(victim);
}

/* The ring has room now, or is still full because of the one that stays. */
static void call_over(struct victim *victim)
{
    struct record *record = victim->record;
    record->started = record->returned + 1;
    int result = body_send(victim->producer, 'i', AUTHOR_VICTIM);
    if (result < 0 && result != -EAGAIN)
        victim_fail(victim, "publish: %s", shmbus_error_text());
    record->returned = shmbus_producer_next_sequence(victim->producer);
    record->started = record->returned;
    if (shmbus_producer_required(victim->producer, NULL) != 1)
        victim_fail(victim, "a place whose time is over still gates");
}

static void finish_closed(struct victim *victim)
{
    shmbus_producer_close(victim->producer);
}

/* Somebody resumes while the repairer stands still. */
static void pressure_grace(struct world *world)
{
    int result = resume_another(world, world->record->next);
    if (result < 0 && result != -EBUSY)
        world_fail(world, "resuming under a repair gets %d: %s", result, shmbus_error_text());
}

/* The place is resumed, now if not before, and all that came is read there. */
static void late_grace(struct world *world)
{
    world_drain(world);
    if (world->others[0].consumer == NULL && resume_another(world, world->record->next) < 0)
        world_fail(world, "its place is gone: %s", shmbus_error_text());
    else
        finish_another(world, world->stays_next);
}

/* The same under a dead producer. */
static void after_grace(struct world *world)
{
    if (!world->is_frozen)
        late_grace(world);
    world_after_producer(world);
}

/* A consumer that does not go on fills the ring; its producer has seen it once. */
static void before_stalled(struct world *world)
{
    static const struct shmbus_consumer_options options = {.name = "slow", .kind = SHMBUS_REQUIRED};
    struct reader *slow = &world->others[0];
    world_join(world, slow, &options);
    world->entries = 1;
    for (uint32_t i = 0; i < CAPACITY; i++) {
        if (body_send(world->producer, i % 4 == 1 && i < 12 ? 'p' : 'i', AUTHOR_BEFORE) < 0)
            world_fail(world, "before: %s", shmbus_error_text());
        world_drain(world);
    }
    before_producer(world);
}

static void setup_evictor(struct victim *victim)
{
    setup_producer(victim);
    be_blocked(victim);
}

static void call_evict(struct victim *victim)
{
    send(victim, 'i');
    send(victim, 'p');
}

/* What the slow one reads is whole, or it is told that it is not. */
static void read_slow(struct world *world)
{
    struct reader *slow = &world->others[0];
    uint32_t count;
    int was_evicted = world_life_of(world, "slow", &count) == SHMBUS_LIFE_EVICTED;
    if (world->failure[0] != 0)
        return;
    int result = world_read(world, slow);
    if (was_evicted && result != -ESTALE)
        world_fail(world, "one that is evicted reads on: %d", result);
    if (result != -ESTALE && slow->next != world->stays_next)
        world_fail(world, "the slow one got to %lld of %lld",
                   (long long)(slow->next - FIRST_SEQUENCE),
                   (long long)(world->stays_next - FIRST_SEQUENCE));
}

static void pressure_evict(struct world *world)
{
    pressure_on_producer(world);
    read_slow(world);
}

static void late_evict(struct world *world)
{
    world_check_published(world);
    read_slow(world);
}

/* The slow one comes back, if it was evicted, and reads on. */
static void slow_goes_on(struct world *world)
{
    struct reader *slow = &world->others[0];
    struct shmbus_consumer_stats stats;
    world_drain(world);
    read_slow(world);
    if (reader_poll(slow, 1) == -ESTALE) {
        slow->fault[0] = 0;
        if (shmbus_consumer_rejoin(slow->consumer, SHMBUS_FROM_OLDEST, 0) < 0) {
            world_fail(world, "cannot join again: %s", shmbus_error_text());
            return;
        }
        reader_begin(slow);
        if (shmbus_consumer_stats(slow->consumer, &stats) == 0 && stats.cursor > world->stays_next)
            world_fail(world, "joined again beyond the tail");
        read_slow(world);
    }
    reader_close(slow);
    world->entries = 0;
}

/* Before an heir writes over what it had, or after that, if it does not keep it. */
static void after_evict(struct world *world)
{
    uint32_t count;
    world_drain(world);
    int later = (world->turn & 1) && world_life_of(world, "slow", &count) == SHMBUS_LIFE_EVICTED;
    if (!later)
        slow_goes_on(world);
    world_after_producer(world);
    if (later)
        slow_goes_on(world);
}

static void setup_kept(struct victim *victim)
{
    victim->reader.is_victim = 1;
    if (open_kept(&victim->reader, victim->record, SHMBUS_FROM_SEQUENCE, 0) < 0)
        victim_fail(victim, "setup: %s", shmbus_error_text());
}

/* The producer goes on without the victim. */
static void ready_evict(struct world *world)
{
    for (uint32_t i = 0; i < 3 * CAPACITY; i++) {
        body_send(world->producer, 'i', AUTHOR_BEFORE);
        world_drain(world);
    }
}

static void call_rejoin(struct victim *victim)
{
    struct reader *reader = &victim->reader;
    int result = reader_drain(reader);
    if (result != -ESTALE)
        victim_fail(victim, "one that is evicted gets %d", result);
    reader->fault[0] = 0;
    if (shmbus_consumer_rejoin(reader->consumer, SHMBUS_FROM_OLDEST, 0) < 0)
        victim_fail(victim, "rejoin: %s", shmbus_error_text());
    reader_begin(reader);
}

/* Until the ring is full, and no further: who does not go on then is evicted again. */
static void pressure_gently(struct world *world)
{
    for (uint32_t i = 0; i < CAPACITY; i++) {
        if (body_send(world->producer, "ip"[i % 2], AUTHOR_BEFORE) < 0)
            break;
        world_drain(world);
    }
}

static void late_gently(struct world *world)
{
    world->record->tail = shmbus_producer_next_sequence(world->producer);
    world_drain(world);
}

static void before_dead(struct world *world)
{
    struct victim dead = {.path = world->path, .record = world->record};
    before_consumer(world);
    sacrifice(setup_holder, &dead);
}

static void call_reap(struct victim *victim)
{
    victim->record->result = shmbus_reap(BUS, NULL);
    victim->record->is_done = 1;
}

static void after_reap(struct world *world)
{
    const struct record *record = world->record;
    int least = world->is_pressed ? 0 : 1;
    if (record->is_done && (record->result < least || record->result > 1))
        world_fail(world, "%d entries were repaired", record->result);
    world_after_consumer(world);
}

#define RESUME(row, press, last)                                                                   \
    .name = (row), .messages = "pPiipi", .before = before_resume, .call = call_resume,             \
    .pressure = (press), .late = (last), .finish = finish_resumer, .repair = repair_by_reap,       \
    .after = after_resume
#define GRACE(row, start, how, then)                                                               \
    .name = (row), .messages = "", .before = before_producer, .setup = (start), .call = (how),     \
    .finish = finish_closed, .repair = repair_by_heir, .after = (then)

const struct path paths_grace[] = {
    {RESUME("resume", world_press, late_messages)},
    {RESUME("resume_rival", pressure_rival, late_rival)},
    {GRACE("reap_grace", setup_grace, call_grace, after_grace), .pressure = pressure_grace,
     .late = late_grace},
    {GRACE("reap_grace_over", setup_over, call_over, world_after_producer)},
    {.name = "reap_by_hand",
     .messages = "pPi",
     .before = before_dead,
     .call = call_reap,
     .pressure = world_press,
     .repair = repair_by_reap,
     .after = after_reap},
    {.name = "evict",
     .messages = "",
     .before = before_stalled,
     .setup = setup_evictor,
     .call = call_evict,
     .pressure = pressure_evict,
     .late = late_evict,
     .finish = finish_producer,
     .repair = repair_by_heir,
     .after = after_evict,
     .flags = SHMBUS_BUS_EVICT},
    {.name = "rejoin",
     .messages = "ipi",
     .before = before_consumer,
     .setup = setup_kept,
     .ready = ready_evict,
     .call = call_rejoin,
     .pressure = pressure_gently,
     .late = late_gently,
     .finish = finish_resumer,
     .repair = repair_by_reap,
     .after = world_after_consumer,
     .flags = SHMBUS_BUS_EVICT},
    {.name = NULL},
};
