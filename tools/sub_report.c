/* SPDX-License-Identifier: MIT */
/* What shmbus-sub says about messages that it will never have: see sub_report.h. */
#include "sub_report.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#include "cli.h"

#define OBJECT_BYTES 128 /* more than an event's object */

void report_begin(struct report *report, const char *bus_name, enum format format,
                  struct output *output)
{
    *report = (struct report){.bus_name = bus_name, .format = format, .output = output};
}

/* The event as a line of its own among the messages. */
static void put_object(const struct report *report, const char *word,
                       const struct shmbus_event *event)
{
    char *room = NULL;
    if (report->format != FORMAT_JSON) {
        return;
    }
    room = output_room(report->output, OBJECT_BYTES);
    if (room) {
        const int length = snprintf(
            room, OBJECT_BYTES, "{\"event\":\"%s\",\"first\":%" PRIu64 ",\"count\":%" PRIu64 "}\n",
            word, event->first, event->count);
        output_keep(report->output, (size_t)length);
    }
}

void report_flush(struct report *report)
{
    const struct shmbus_event event = report->pending;
    const char *word = event.kind == SHMBUS_EVENT_LOST ? "lost" : "aborted";
    report->pending.count = 0;
    if (event.count == 0) {
        return;
    }
    put_object(report, word, &event);
    if (event.count == 1) {
        cli_note("bus '%s': %s 1 message, sequence %" PRIu64, report->bus_name, word, event.first);
    } else {
        cli_note("bus '%s': %s %" PRIu64 " messages, sequences %" PRIu64 " to %" PRIu64,
                 report->bus_name, word, event.count, event.first, event.first + event.count - 1);
    }
}

void report_event(struct report *report, const struct shmbus_event *event)
{
    struct shmbus_event *pending = &report->pending;
    if (event->kind == SHMBUS_EVENT_DEADLINE) {
        report_flush(report);
        put_object(report, "deadline", event);
        cli_note("bus '%s': no message for %g s; the next is sequence %" PRIu64, report->bus_name,
                 (double)report->deadline_ns / 1e9, event->first);
        return;
    }
    if (event->kind == SHMBUS_EVENT_AFTER_GONE || event->kind == SHMBUS_EVENT_AFTER_BACK) {
        const bool gone = event->kind == SHMBUS_EVENT_AFTER_GONE;
        report_flush(report);
        put_object(report, gone ? "after_gone" : "after_back", event);
        cli_note("bus '%s': %s, which this runs after, is %s", report->bus_name,
                 report->after[event->first], gone ? "not there" : "there again");
        return;
    }
    if (event->kind != SHMBUS_EVENT_LOST && event->kind != SHMBUS_EVENT_ABORTED) {
        return;
    }
    *(event->kind == SHMBUS_EVENT_LOST ? &report->lost : &report->aborted) += event->count;
    if (pending->count > 0 && pending->kind == event->kind &&
        pending->first + pending->count == event->first) {
        pending->count += event->count;
        return;
    }
    report_flush(report);
    *pending = *event;
}

void report_end(struct report *report, uint64_t received)
{
    report_flush(report);
    if (report->lost > 0 || report->aborted > 0) {
        cli_note("bus '%s': received %" PRIu64 ", lost %" PRIu64 ", aborted %" PRIu64 " messages",
                 report->bus_name, received, report->lost, report->aborted);
    }
}
