/* SPDX-License-Identifier: MIT */
/*
 * shmbus-sub: attaches to a bus and writes its messages to standard output. Messages are taken in
 * batches, in place, into a block of output, which is written when it is full and whenever the
 * consumer has caught up, before it waits: nobody who reads the output waits for a block to fill.
 * With --follow what ends a consumer (its producer's death, a replaced bus, an eviction) leads to
 * the next message that there is to be had, and what lies between is said.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "histogram.h"
#include "output.h"
#include "pace.h"
#include "stop.h"
#include "sub_attach.h"
#include "sub_options.h"
#include "sub_report.h"

#define SLICE_NS   200000000
#define BEREFT_NS  20000000
#define POLL_COUNT 1024
#define WHY_BYTES  512

struct sub {
    struct sub_options options;
    struct attachment bus;
    uint64_t left;     /* messages still to be read */
    bool bereft;       /* the producer died, which was said */
    int64_t looked_ns; /* when the name was last looked at, while bereft */
    struct report report;
    struct histogram latency;
    struct output output;
};

/* --latency on a bus without timestamps is said at once, not after hours. */
static int check_timestamps(const struct sub *sub)
{
    if (sub->bus.created_ns >= 0 && (sub->bus.flags & SHMBUS_BUS_TIMESTAMPS) == 0) {
        return cli_failed("bus '%s': no timestamps, so there is no --latency to tell (publish it "
                          "with shmbus-pub --timestamps)",
                          sub->options.bus_name);
    }
    return CLI_OK;
}

/* What cannot be written is not passed: this ends as if it had been killed, so that its place is
 * kept before the message, and all that is on the bus from there on. */
static void leave_place(struct sub *sub, int error)
{
    report_end(&sub->report, (sub->options.count ? sub->options.count : UINT64_MAX) - sub->left);
    cli_failed("standard output: %s (the place of '%s' is kept for %.0f s: make room, and start it "
               "again under that name)",
               strerror(-error), sub->options.consumer.name,
               (double)sub->options.consumer.grace_ns / 1e9);
    _exit(CLI_FAILED);
}

static int on_message(const struct shmbus_message *message, void *context)
{
    struct sub *sub = context;
    report_flush(&sub->report);
    if (sub->options.latency) {
        const int64_t latency_ns = cli_now_ns() - message->timestamp_ns;
        histogram_add(&sub->latency, latency_ns > 0 ? (uint64_t)latency_ns : 0);
    }
    int result = format_message(sub->options.format, message, &sub->output);
    /* Who goes on at this place after a kill must not find it ahead of what was written. */
    if (sub->options.consumer.grace_ns > 0) {
        result = output_flush(&sub->output);
        if (result != 0 && result != -EPIPE) {
            leave_place(sub, result);
        }
    }
    sub->left--;
    return result;
}

static void on_event(void *context, const struct shmbus_event *event)
{
    struct sub *sub = context;
    report_event(&sub->report, event);
}

/* Attaches to the bus of this name that there is, or that will be, from its oldest message on. */
static bool reopen(struct sub *sub, int *out_result)
{
    shmbus_consumer_close(sub->bus.consumer);
    sub->bus.consumer = NULL;
    sub->bus.options.from = SHMBUS_FROM_OLDEST;
    sub->bus.options.flags &= ~SHMBUS_JOIN_MOVE_UP;
    sub->bereft = false;
    *out_result = attach_open(&sub->bus, SHMBUS_FOREVER);
    if (*out_result == CLI_OK && sub->options.latency) {
        *out_result = check_timestamps(sub);
    }
    if (*out_result == ATTACH_STOPPED) {
        *out_result = CLI_OK;
        return false;
    }
    return *out_result == CLI_OK;
}

/* The producer died: another may take over, or the bus may go, and its name be another's. */
static bool wait_for_takeover(struct sub *sub, int *out_result)
{
    const char *name = sub->options.bus_name;
    const int64_t now_ns = cli_now_ns();
    if (!sub->bereft) {
        cli_note("bus '%s': its producer died without ending the stream; waiting for another to "
                 "take over",
                 name);
        sub->bereft = true;
        sub->looked_ns = now_ns;
    }
    if (now_ns - sub->looked_ns >= SLICE_NS) {
        sub->looked_ns = now_ns;
        if (attach_is_gone(&sub->bus)) {
            cli_note("bus '%s': removed; reading the next one of that name from its oldest message",
                     name);
            return reopen(sub, out_result);
        }
    }
    pace_sleep(now_ns + BEREFT_NS);
    return true;
}

/* Evicted, or the bus was replaced. What is between the last message and the next is lost. */
static bool join_again(struct sub *sub, int *out_result)
{
    const char *name = sub->options.bus_name;
    struct shmbus_consumer_stats before;
    struct shmbus_consumer_stats after;
    char why[WHY_BYTES];
    snprintf(why, sizeof(why), "%s", cli_why(-ESTALE));
    char *advice = strstr(why, " (join again");
    if (advice) {
        *advice = '\0';
    }
    int error = shmbus_consumer_stats(sub->bus.consumer, &before);
    if (error == 0) {
        error = shmbus_consumer_rejoin(sub->bus.consumer, SHMBUS_FROM_SEQUENCE, before.cursor);
    }
    if (error == -ERANGE) {
        error = shmbus_consumer_rejoin(sub->bus.consumer, SHMBUS_FROM_OLDEST, 0);
    }
    if (error == -ESTALE) {
        cli_note("bus '%s': replaced by another one; reading that from its oldest message", name);
        return reopen(sub, out_result);
    }
    if (error == 0) {
        error = shmbus_consumer_stats(sub->bus.consumer, &after);
    }
    if (error != 0) {
        *out_result = cli_bus_failed(name, error, NULL);
        return false;
    }
    cli_note("bus '%s': %s: joined again at sequence %llu", name, why,
             (unsigned long long)after.cursor);
    if (after.cursor > before.cursor) {
        const struct shmbus_event lost = {
            .kind = SHMBUS_EVENT_LOST,
            .first = before.cursor,
            .count = after.cursor - before.cursor,
        };
        report_event(&sub->report, &lost);
    }
    return true;
}

/* Is there more to read after this error? If not, *out_result receives the exit code. */
static bool goes_on(struct sub *sub, int error, int *out_result)
{
    const char *name = sub->options.bus_name;
    *out_result = CLI_OK;
    if (error == -EPIPE) {
        return false;
    }
    if (error == -EOWNERDEAD && sub->options.follow) {
        return wait_for_takeover(sub, out_result);
    }
    if (error == -ESTALE && sub->options.follow) {
        return join_again(sub, out_result);
    }
    if (error == -EOWNERDEAD) {
        *out_result = cli_failed("bus '%s': its producer died without ending the stream; all that "
                                 "it published was read (--follow waits for another)",
                                 name);
    } else {
        *out_result = cli_bus_failed(name, error, NULL);
    }
    return false;
}

/* Reads until something ends it; the exit code. */
static int read_messages(struct sub *sub)
{
    while (sub->left > 0 && sub->output.error == 0 && stop_count() == 0) {
        const uint32_t most = sub->left < POLL_COUNT ? (uint32_t)sub->left : POLL_COUNT;
        int result = shmbus_consumer_poll(sub->bus.consumer, on_message, sub, most);
        if (result == 0) {
            report_flush(&sub->report);
            if (output_flush(&sub->output) != 0) {
                break;
            }
            result = shmbus_consumer_wait(sub->bus.consumer, SLICE_NS);
        }
        /* All that the dead one published was read: what comes now is another's. */
        sub->bereft = sub->bereft && result == -EOWNERDEAD;
        int code = CLI_OK;
        if (result < 0 && result != -ETIMEDOUT && !goes_on(sub, result, &code)) {
            return code;
        }
    }
    return CLI_OK;
}

static int write_rest(struct sub *sub)
{
    const int error = output_flush(&sub->output);
    if (error == -EPIPE) {
        return CLI_FAILED;
    }
    return error == 0 ? CLI_OK : cli_failed("standard output: %s", strerror(-error));
}

static void print_latency(const struct histogram *latency)
{
    fprintf(
        stderr, "latency_ns count=%llu p50=%llu p90=%llu p99=%llu p99.9=%llu max=%llu\n",
        (unsigned long long)latency->total, (unsigned long long)histogram_permille(latency, 500),
        (unsigned long long)histogram_permille(latency, 900),
        (unsigned long long)histogram_permille(latency, 990),
        (unsigned long long)histogram_permille(latency, 999), (unsigned long long)latency->most);
}

static void say_if_resumed(const struct sub *sub)
{
    struct shmbus_consumer_stats stats;
    if (shmbus_consumer_stats(sub->bus.consumer, &stats) == 0 && stats.resumed) {
        cli_note("bus '%s': goes on where '%s' was before, at sequence %llu", sub->options.bus_name,
                 sub->options.consumer.name, (unsigned long long)stats.cursor);
    }
}

/* Puts this thread where the options want it. */
static int settle(const struct sub *sub)
{
    struct shmbus_settled settled;
    if (!sub->options.settle.wanted) {
        return CLI_OK;
    }
    const int error =
        shmbus_consumer_settle(sub->bus.consumer, &sub->options.settle.options, &settled);
    if (error != 0) {
        return cli_bus_failed(sub->options.bus_name, error, NULL);
    }
    settle_say(sub->options.bus_name, &settled);
    return CLI_OK;
}

static int run(struct sub *sub)
{
    const uint64_t wanted = sub->left;
    const int opened = attach_open(&sub->bus, sub->options.wait_ns);
    if (opened != CLI_OK) {
        return opened == ATTACH_STOPPED ? CLI_OK : opened;
    }
    say_if_resumed(sub);
    int checked = settle(sub);
    if (checked == CLI_OK && sub->options.latency) {
        checked = check_timestamps(sub);
    }
    int result = checked;
    if (checked == CLI_OK) {
        result = read_messages(sub);
    }
    /* The bus before the output: its producer may be waiting for this consumer. */
    shmbus_consumer_close(sub->bus.consumer);
    report_flush(&sub->report);
    const int written = write_rest(sub);
    report_end(&sub->report, wanted - sub->left);
    if (checked == CLI_OK && sub->options.latency) {
        print_latency(&sub->latency);
    }
    return written > result ? written : result;
}

int main(int count, char **arguments)
{
    static struct sub sub;
    int result = CLI_OK;
    cli_begin("shmbus-sub");
    if (!sub_options_read(count, arguments, &sub.options, &result)) {
        return result;
    }
    sub.left = sub.options.count ? sub.options.count : UINT64_MAX;
    output_begin(&sub.output, STDOUT_FILENO);
    report_begin(&sub.report, sub.options.bus_name, sub.options.format, &sub.output);
    sub.report.deadline_ns = sub.options.consumer.deadline_ns;
    sub.report.after = sub.options.after;
    sub.bus = (struct attachment){
        .bus_name = sub.options.bus_name,
        .options = sub.options.consumer,
        .filter = &sub.options.filter,
    };
    sub.bus.options.on_event = on_event;
    sub.bus.options.context = &sub;
    const int error = stop_install();
    if (error != 0) {
        return cli_failed("signals: %s", strerror(-error));
    }
    return run(&sub);
}
