/* SPDX-License-Identifier: MIT */
/*
 * Consumers on a bus of many producers: each message whole, each author's in their order, each
 * sequence gone past once.
 */
#include "crowd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void fault(struct listener *listener, uint64_t sequence, const char *what)
{
    if (listener->fault[0] == 0)
        snprintf(listener->fault, sizeof listener->fault, "at %lld, sequence %lld: %s",
                 (long long)(listener->next - FIRST_SEQUENCE),
                 (long long)(sequence - FIRST_SEQUENCE), what);
}

static void on_event(void *context, const struct shmbus_event *event)
{
    struct listener *listener = context;
    if (event->kind != SHMBUS_EVENT_ABORTED)
        fault(listener, event->first, "an event that cannot be");
    if (event->first != listener->next || event->count != 1)
        fault(listener, event->first, "an aborted one that does not follow");
    listener->next += event->count;
    listener->aborted++;
}

static void keep(struct listener *listener, const struct shmbus_message *message, int author,
                 uint64_t number)
{
    listener->keeps = 0;
    listener->kept_author = (enum author)author;
    listener->kept_number = number;
    if (shmbus_consumer_retain(listener->consumer, message, &listener->kept) < 0)
        fault(listener, message->sequence, "cannot be retained");
}

static int take(const struct shmbus_message *message, void *context)
{
    struct listener *listener = context;
    const void *data;
    uint64_t number = 0;
    int author = body_read(message, &number);
    if (message->sequence != listener->next)
        fault(listener, message->sequence, "another sequence");
    listener->next++;
    if (author < 0 || author >= AUTHOR_COUNT) {
        fault(listener, message->sequence, "of nobody");
        return 1;
    }
    const char *what = body_fault_of(message, number, (enum author)author);
    /* An instruction of the library between two looks. */
    if (what == NULL && shmbus_message_at(message, 0, 8, 8, &data) < 0)
        what = "message_at fails";
    if (what == NULL)
        what = body_fault_of(message, number, (enum author)author);
    if (what == NULL && listener->knows[author] && number != listener->numbers[author])
        what = "not its author's next";
    if (what != NULL)
        fault(listener, message->sequence, what);
    listener->knows[author] = 1;
    listener->numbers[author] = number + 1;
    if (listener->keeps == author + 1 && message->handle != 0)
        keep(listener, message, author, number);
    return 0;
}

int listener_open(struct listener *listener, const char *name)
{
    struct shmbus_consumer_options options = {.struct_bytes = sizeof options,
                                              .name = name,
                                              .kind = SHMBUS_REQUIRED,
                                              .on_event = on_event,
                                              .context = listener};
    struct shmbus_consumer_stats stats;
    int result = shmbus_consumer_open(BUS, &options, &listener->consumer);
    if (result < 0)
        return result;
    result = shmbus_consumer_stats(listener->consumer, &stats);
    listener->next = stats.cursor;
    return result;
}

int listener_poll(struct listener *listener, uint32_t most)
{
    return shmbus_consumer_poll(listener->consumer, take, listener, most);
}

int listener_hear(struct listener *listener)
{
    uint64_t before;
    int result;
    /* A hole that it stepped over is no message: it waits again. */
    do {
        before = listener->next;
        do
            result = listener_poll(listener, CAPACITY);
        while (result > 0 && listener->fault[0] == 0);
        if (result == 0)
            result = shmbus_consumer_wait(listener->consumer, 0);
    } while ((result == 0 || (result == -ETIMEDOUT && listener->next != before)) &&
             listener->fault[0] == 0);
    listener_check(listener);
    return result;
}

void listener_check(struct listener *listener)
{
    struct shmbus_message message;
    const char *what = NULL;
    if (listener->kept == 0)
        return;
    if (shmbus_consumer_held(listener->consumer, listener->kept, &message) < 0)
        what = "its hold is gone";
    else
        what = body_fault_of(&message, listener->kept_number, listener->kept_author);
    if (what != NULL)
        fault(listener, listener->next, what);
}
