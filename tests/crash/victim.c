/* SPDX-License-Identifier: MIT */
/*
 * The usual parts of paths. See victim.h.
 */
#include "victim.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

void victim_fail(struct victim *victim, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(victim->record->failure, sizeof victim->record->failure, format, list);
    va_end(list);
    _exit(1);
}

void before_producer(struct world *world)
{
    uint64_t next = shmbus_producer_next_sequence(world->producer);
    shmbus_producer_close(world->producer);
    world->producer = NULL;
    world->record->returned = next;
    world->record->started = next;
}

void before_consumer(struct world *world)
{
    world->record->next = shmbus_producer_next_sequence(world->producer);
    for (const char *kind = world->path->messages; *kind != 0; kind++)
        if (body_send(world->producer, *kind, AUTHOR_BEFORE) < 0)
            world_fail(world, "before: %s", shmbus_error_text());
}

void pressure_on_producer(struct world *world)
{
    struct shmbus_producer *rival;
    world_check_published(world);
    int result = shmbus_producer_open(BUS, NULL, NULL, 0, &rival);
    if (result == 0)
        shmbus_producer_close(rival);
    if (result != -EBUSY)
        world_fail(world, "a second producer gets %d", result);
    result = shmbus_unlink(BUS, NULL);
    if (result != -EBUSY)
        world_fail(world, "removing the bus of a living producer gives %d", result);
}

void late_messages(struct world *world)
{
    for (const char *kind = "ipi"; *kind != 0; kind++)
        if (body_send(world->producer, *kind, AUTHOR_BEFORE) < 0)
            break; /* as full as the pressure left it */
    world->record->tail = shmbus_producer_next_sequence(world->producer);
    world_drain(world);
}

void adopt(struct victim *victim)
{
    uint64_t next = shmbus_producer_next_sequence(victim->producer);
    victim->record->author_from = next;
    victim->record->returned = next;
    victim->record->started = next;
}

void setup_producer(struct victim *victim)
{
    if (shmbus_producer_open(BUS, NULL, NULL, 0, &victim->producer) < 0)
        victim_fail(victim, "setup: %s", shmbus_error_text());
    adopt(victim);
}

void send(struct victim *victim, char kind)
{
    victim->record->started = shmbus_producer_next_sequence(victim->producer) + 1;
    if (body_send(victim->producer, kind, AUTHOR_VICTIM) < 0)
        victim_fail(victim, "publish: %s", shmbus_error_text());
    victim->record->returned = victim->record->started;
}

void finish_producer(struct victim *victim)
{
    if (victim->producer == NULL)
        return;
    for (const char *kind = "ipi"; *kind != 0; kind++)
        send(victim, *kind);
    shmbus_producer_close(victim->producer);
}

void setup_consumer(struct victim *victim)
{
    struct shmbus_consumer_options options = {
        .struct_bytes = sizeof options,
        .name = "victim",
        .kind = SHMBUS_REQUIRED,
        .from = SHMBUS_FROM_SEQUENCE,
        .from_sequence = victim->record->next,
    };
    if (shmbus_consumer_open(BUS, &options, &victim->consumer) < 0)
        victim_fail(victim, "setup: %s", shmbus_error_text());
}

static void check(struct victim *victim, const struct shmbus_message *message, uint64_t sequence,
                  const char *when)
{
    const char *fault = body_fault(message, sequence, AUTHOR_BEFORE);
    if (fault != NULL)
        victim_fail(victim, "message %lld, %s: %s", (long long)(sequence - FIRST_SEQUENCE), when,
                    fault);
}

int take_message(const struct shmbus_message *message, void *context)
{
    struct victim *victim = context;
    const void *data;
    uint64_t sequence = victim->record->next;
    check(victim, message, sequence, "as it comes");
    if (victim->keeps) {
        if (shmbus_consumer_retain(victim->consumer, message, &victim->kept[victim->kept_count]) <
            0)
            victim_fail(victim, "retain: %s", shmbus_error_text());
        victim->kept_sequence[victim->kept_count++] = sequence;
    } else if (shmbus_message_at(message, 0, 8, 8, &data) < 0) {
        victim_fail(victim, "message_at: %s", shmbus_error_text());
    }
    check(victim, message, sequence, "while it is read");
    victim->record->next = sequence + 1;
    return 0;
}

void poll_all(struct victim *victim, uint32_t most)
{
    int result = shmbus_consumer_poll(victim->consumer, take_message, victim, most);
    if (result != (int)most)
        victim_fail(victim, "poll gives %d of %u: %s", result, most, shmbus_error_text());
}

void setup_holder(struct victim *victim)
{
    setup_consumer(victim);
    victim->keeps = 1;
    poll_all(victim, (uint32_t)strlen(victim->path->messages));
    victim->keeps = 0;
}

void check_kept_messages(struct victim *victim)
{
    struct shmbus_message message;
    for (uint32_t i = 0; i < victim->kept_count; i++) {
        if (shmbus_consumer_held(victim->consumer, victim->kept[i], &message) < 0)
            victim_fail(victim, "a hold is gone: %s", shmbus_error_text());
        check(victim, &message, victim->kept_sequence[i], "held");
    }
}

void finish_consumer(struct victim *victim)
{
    int result = 1;
    if (victim->consumer == NULL)
        return;
    check_kept_messages(victim);
    while (result > 0)
        result = shmbus_consumer_poll(victim->consumer, take_message, victim, CAPACITY);
    if (result < 0 || victim->record->next != victim->record->tail)
        victim_fail(victim, "got to %lld of %lld: %d",
                    (long long)(victim->record->next - FIRST_SEQUENCE),
                    (long long)(victim->record->tail - FIRST_SEQUENCE), result);
    check_kept_messages(victim);
    shmbus_consumer_close(victim->consumer);
}

void sacrifice(void (*work)(struct victim *victim), struct victim *victim)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        work(victim);
        raise(SIGKILL);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFSIGNALED(status))
        victim_fail(victim, "setup: no process to kill, or it failed");
}

int repair_by_heir(void)
{
    struct shmbus_producer *heir;
    return shmbus_producer_open(BUS, NULL, NULL, 0, &heir);
}

int repair_by_creator(void)
{
    struct shmbus_producer *heir;
    return shmbus_producer_create(BUS, world_bus(), NULL, &heir);
}

int repair_by_reap(void)
{
    int result = shmbus_reap(BUS, NULL);
    return result > 0 ? 0 : result;
}

int repair_by_removal(void)
{
    int result = shmbus_unlink(BUS, NULL);
    return result == -ENOENT ? 0 : result;
}
