/* SPDX-License-Identifier: MIT */
/*
 * Paths whose victim is a required consumer.
 */
#include "victim.h"

#include <errno.h>
#include <string.h>

static void call_poll(struct victim *victim)
{
    poll_all(victim, (uint32_t)strlen(victim->path->messages));
}

static void call_retain(struct victim *victim)
{
    victim->keeps = 1;
    call_poll(victim);
    victim->keeps = 0;
}

/* One message at a time; each is used after a call in between. */
static void call_next(struct victim *victim)
{
    struct shmbus_consumer_stats stats;
    for (const char *kind = victim->path->messages; *kind != 0; kind++) {
        if (shmbus_consumer_next(victim->consumer, &victim->lent) != 1)
            victim_fail(victim, "next: %s", shmbus_error_text());
        shmbus_consumer_stats(victim->consumer, &stats);
        take_message(&victim->lent, victim);
    }
    if (shmbus_consumer_next(victim->consumer, &victim->lent) < 0)
        victim_fail(victim, "next: %s", shmbus_error_text());
}

/* What the pressure brought meanwhile is the one that next() lends last. */
static void finish_next(struct victim *victim)
{
    if (victim->lent.sequence == victim->record->next)
        take_message(&victim->lent, victim);
    finish_consumer(victim);
}

static void call_copy(struct victim *victim)
{
    uint32_t count = victim->kept_count;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t copy;
        if (shmbus_consumer_copy(victim->consumer, victim->kept[i], &copy) < 0)
            victim_fail(victim, "copy: %s", shmbus_error_text());
        if (shmbus_consumer_release(victim->consumer, victim->kept[i]) < 0)
            victim_fail(victim, "release: %s", shmbus_error_text());
        victim->kept[i] = copy;
    }
    check_kept_messages(victim);
}

static void call_release(struct victim *victim)
{
    while (victim->kept_count > 0) {
        uint64_t handle = victim->kept[--victim->kept_count];
        if (shmbus_consumer_release(victim->consumer, handle) < 0)
            victim_fail(victim, "release: %s", shmbus_error_text());
        check_kept_messages(victim);
    }
}

static void call_close(struct victim *victim)
{
    struct shmbus_consumer *consumer = victim->consumer;
    victim->consumer = NULL;
    victim->kept_count = 0;
    shmbus_consumer_close(consumer);
}

static void open_from(struct victim *victim, enum shmbus_from from)
{
    struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options, .name = "victim", .kind = SHMBUS_REQUIRED, .from = from};
    struct shmbus_consumer_stats stats;
    if (shmbus_consumer_open(BUS, &options, &victim->consumer) < 0)
        victim_fail(victim, "join: %s", shmbus_error_text());
    if (shmbus_consumer_stats(victim->consumer, &stats) < 0)
        victim_fail(victim, "stats: %s", shmbus_error_text());
    victim->record->next = stats.cursor;
}

static void call_open_tail(struct victim *victim)
{
    open_from(victim, SHMBUS_FROM_TAIL);
}

static void call_open_oldest(struct victim *victim)
{
    open_from(victim, SHMBUS_FROM_OLDEST);
}

#define CONSUMER(row, what, start, how, end)                                                       \
    .name = (row), .messages = (what), .before = before_consumer, .setup = (start), .call = (how), \
    .pressure = world_press, .late = late_messages, .finish = (end), .repair = repair_by_reap,     \
    .after = world_after_consumer

const struct path paths_consume[] = {
    {CONSUMER("poll_inline", "iiiiii", setup_consumer, call_poll, finish_consumer)},
    {CONSUMER("poll_pooled", "pPipi", setup_consumer, call_poll, finish_consumer)},
    {CONSUMER("next", "ipiPip", setup_consumer, call_next, finish_next)},
    {CONSUMER("short_poll", "iiipi", setup_consumer, call_poll, finish_consumer), .is_untimed = 1},
    {CONSUMER("short_next", "iipii", setup_consumer, call_next, finish_next), .is_untimed = 1},
    {CONSUMER("retain", "pPip", setup_consumer, call_retain, finish_consumer)},
    {CONSUMER("copy", "pPi", setup_holder, call_copy, finish_consumer)},
    {CONSUMER("release", "pPip", setup_holder, call_release, finish_consumer)},
    {CONSUMER("consumer_close", "pPip", setup_holder, call_close, finish_consumer)},
    {CONSUMER("open_tail", "", NULL, call_open_tail, finish_consumer)},
    {CONSUMER("open_oldest", "ipi", NULL, call_open_oldest, finish_consumer)},
    {.name = NULL},
};
