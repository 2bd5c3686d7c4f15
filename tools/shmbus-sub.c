/* SPDX-License-Identifier: MIT */
/*
 * shmbus-sub: attaches to a bus and writes its messages to standard output. Messages are taken in
 * batches, in place, into a block of output, which is written when it is full and whenever the
 * consumer has caught up, before it waits: nobody who reads the output waits for a block to fill.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "histogram.h"
#include "output.h"
#include "stop.h"
#include "sub_options.h"

#define SLICE_NS   200000000
#define POLL_COUNT 1024

struct sub {
    struct sub_options options;
    struct shmbus_consumer *consumer;
    uint64_t left; /* messages still to be read */
    struct histogram latency;
    struct output output;
};

/* The library waits in one go; here in slices, so that a signal ends it. */
static int open_consumer(struct sub *sub)
{
    struct shmbus_consumer_options options = sub->options.consumer;
    const int64_t until_ns = cli_now_ns() + sub->options.wait_ns;
    for (;;) {
        const int64_t left_ns = until_ns - cli_now_ns();
        options.wait_ns = left_ns < SLICE_NS ? left_ns : SLICE_NS;
        if (options.wait_ns < 0) {
            options.wait_ns = 0;
        }
        const int error = shmbus_consumer_open(sub->options.bus_name, &options, &sub->consumer);
        if (error != -ENOENT || left_ns <= 0 || stop_count() > 0) {
            return error;
        }
    }
}

static int open_failed(const struct sub *sub, int error)
{
    const char *hint = NULL;
    if (stop_count() > 0 && error == -ENOENT) {
        return CLI_OK;
    }
    if (error == -ENOENT) {
        hint = "shmbus-stat lists the buses there are, --wait SECONDS waits for one";
    }
    return cli_bus_failed(sub->options.bus_name, error, hint);
}

/* --latency on a bus without timestamps is said at once, not after hours. */
static int check_timestamps(const struct sub *sub)
{
    const char *name = sub->options.bus_name;
    struct shmbus_snapshot *snapshot = NULL;
    const int error = shmbus_snapshot_open(name, sub->options.consumer.folder, &snapshot);
    if (error != 0) {
        return cli_bus_failed(name, error, NULL);
    }
    const uint32_t flags = shmbus_snapshot_bus(snapshot)->flags;
    shmbus_snapshot_close(snapshot);
    if ((flags & SHMBUS_BUS_TIMESTAMPS) == 0) {
        return cli_failed("bus '%s': no timestamps, so there is no --latency to tell (publish it "
                          "with shmbus-pub --timestamps)",
                          name);
    }
    return CLI_OK;
}

static int on_message(const struct shmbus_message *message, void *context)
{
    struct sub *sub = context;
    if (sub->options.latency) {
        const int64_t latency_ns = cli_now_ns() - message->timestamp_ns;
        histogram_add(&sub->latency, latency_ns > 0 ? (uint64_t)latency_ns : 0);
    }
    sub->left--;
    return format_message(sub->options.format, message, &sub->output);
}

/* Reads until something ends it: 0 for --count or a signal, else a negative errno. */
static int read_messages(struct sub *sub)
{
    while (sub->left > 0 && sub->output.error == 0 && stop_count() == 0) {
        const uint32_t most = sub->left < POLL_COUNT ? (uint32_t)sub->left : POLL_COUNT;
        int result = shmbus_consumer_poll(sub->consumer, on_message, sub, most);
        if (result == 0 && output_flush(&sub->output) == 0) {
            result = shmbus_consumer_wait(sub->consumer, SLICE_NS);
        }
        if (result < 0 && result != -ETIMEDOUT) {
            return result;
        }
    }
    return 0;
}

static int ended(const struct sub *sub, int error)
{
    const char *name = sub->options.bus_name;
    if (error == 0 || error == -EPIPE) {
        return CLI_OK;
    }
    if (error == -EOWNERDEAD) {
        return cli_failed("bus '%s': its producer died without ending the stream; all that it "
                          "published was read",
                          name);
    }
    return cli_bus_failed(name, error, NULL);
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

static int run(struct sub *sub)
{
    const int error = open_consumer(sub);
    if (error != 0) {
        return open_failed(sub, error);
    }
    const int checked = sub->options.latency ? check_timestamps(sub) : CLI_OK;
    int result = checked;
    if (checked == CLI_OK) {
        result = ended(sub, read_messages(sub));
    }
    /* The bus before the output: its producer may be waiting for this consumer. */
    shmbus_consumer_close(sub->consumer);
    const int written = write_rest(sub);
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
    const int error = stop_install();
    if (error != 0) {
        return cli_failed("signals: %s", strerror(-error));
    }
    return run(&sub);
}
