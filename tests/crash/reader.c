/* SPDX-License-Identifier: MIT */
/*
 * Consumers of every kind that check what they get: each message whole and the one that follows,
 * each event exact.
 */
#include "crash.h"

#include <stdio.h>
#include <string.h>

int record_has_gap(const struct record *record, uint64_t first, uint64_t count)
{
    for (uint32_t i = 0; i < record->gap_count; i++)
        if (record->gap_first[i] == first && record->gap_size[i] == count)
            return 1;
    return 0;
}

static void fault(struct reader *reader, uint64_t sequence, const char *what)
{
    if (reader->fault[0] == 0)
        snprintf(reader->fault, sizeof reader->fault, "at %lld, sequence %lld: %s",
                 (long long)(reader->next - FIRST_SEQUENCE), (long long)(sequence - FIRST_SEQUENCE),
                 what);
}

static void check(struct reader *reader, const struct shmbus_message *message, uint64_t sequence)
{
    enum author author = AUTHOR_BEFORE;
    if (sequence >= reader->heir_from)
        author = AUTHOR_HEIR;
    else if (sequence >= reader->record->author_from)
        author = AUTHOR_VICTIM;
    const char *what = body_fault(message, sequence, author);
    if (what != NULL)
        fault(reader, message->sequence, what);
}

static void move_on(struct reader *reader, uint64_t count)
{
    reader->next += count;
    if (reader->is_victim)
        reader->record->next = reader->next;
}

static void on_event(void *context, const struct shmbus_event *event)
{
    struct reader *reader = context;
    if (event->kind != SHMBUS_EVENT_LOST)
        fault(reader, event->first, "an event that cannot be");
    else if (event->first != reader->next)
        fault(reader, event->first, "a range is lost that does not follow");
    else if (!reader->may_lag && !record_has_gap(reader->record, event->first, event->count))
        fault(reader, event->first, "a range is lost that was not left out");
    reader->lost += event->count;
    move_on(reader, event->count);
}

static int take(const struct shmbus_message *message, void *context)
{
    struct reader *reader = context;
    const void *data;
    check(reader, message, reader->next);
    if (!reader->keeps) {
        /* An instruction of the library between the two looks. */
        if (shmbus_message_at(message, 0, 8, 8, &data) < 0)
            fault(reader, message->sequence, "message_at fails");
    } else if (reader->kept_count < KEPT_MAX) {
        if (shmbus_consumer_retain(reader->consumer, message, &reader->kept[reader->kept_count]) <
            0)
            fault(reader, message->sequence, "cannot retain it");
        else
            reader->kept_sequence[reader->kept_count++] = message->sequence;
    }
    check(reader, message, reader->next);
    reader->got++;
    move_on(reader, 1);
    return 0;
}

void reader_begin(struct reader *reader)
{
    struct shmbus_consumer_stats stats;
    if (shmbus_consumer_stats(reader->consumer, &stats) < 0)
        fault(reader, 0, "no stats");
    reader->from = stats.cursor;
    reader->got = 0;
    reader->lost = 0;
    reader->kept_count = 0;
    reader->next = stats.cursor;
    move_on(reader, 0);
}

int reader_open(struct reader *reader, struct shmbus_consumer_options options)
{
    struct shmbus_consumer_stats stats;
    options.struct_bytes = sizeof options;
    options.on_event = on_event;
    options.context = reader;
    reader->may_lag = options.kind != SHMBUS_REQUIRED;
    int result = shmbus_consumer_open(BUS, &options, &reader->consumer);
    if (result < 0) {
        reader->consumer = NULL;
        return result;
    }
    reader_begin(reader);
    /* One that resumes goes on with the counts that it had. */
    if (shmbus_consumer_stats(reader->consumer, &stats) == 0) {
        reader->got = stats.received;
        reader->lost = stats.lost;
        reader->from -= stats.received + stats.lost;
    }
    return 0;
}

int reader_poll(struct reader *reader, uint32_t most)
{
    return shmbus_consumer_poll(reader->consumer, take, reader, most);
}

int reader_drain(struct reader *reader)
{
    int result;
    do
        result = reader_poll(reader, CAPACITY);
    while (result > 0 && reader->fault[0] == 0);
    return result;
}

void reader_check(struct reader *reader)
{
    struct shmbus_message message;
    struct shmbus_consumer_stats stats;
    for (uint32_t i = 0; i < reader->kept_count; i++) {
        if (shmbus_consumer_held(reader->consumer, reader->kept[i], &message) < 0)
            fault(reader, reader->kept_sequence[i], "a hold is gone");
        else
            check(reader, &message, reader->kept_sequence[i]);
    }
    if (shmbus_consumer_stats(reader->consumer, &stats) < 0 || stats.received != reader->got ||
        stats.lost != reader->lost || reader->got + reader->lost != reader->next - reader->from)
        fault(reader, reader->next, "its counts are not what went by");
}

void reader_close(struct reader *reader)
{
    shmbus_consumer_close(reader->consumer);
    reader->consumer = NULL;
    reader->kept_count = 0;
}
