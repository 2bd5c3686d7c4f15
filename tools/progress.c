/* SPDX-License-Identifier: MIT */
/* The line on a terminal that says how publishing goes: see progress.h. */
#include "progress.h"

#include <stdio.h>
#include <unistd.h>

#include "cli.h"

#define TICK_NS 500000000

void progress_begin(struct progress *progress)
{
    *progress = (struct progress){
        .shown = isatty(STDERR_FILENO) == 1,
        .begun_ns = cli_now_ns(),
    };
    progress->last_ns = progress->begun_ns;
}

static double rate_of(uint64_t count, int64_t elapsed_ns)
{
    return elapsed_ns > 0 ? (double)count * 1e9 / (double)elapsed_ns : 0;
}

bool progress_due(struct progress *progress, uint64_t sent, double *out_rate)
{
    if (!progress->shown) {
        return false;
    }
    const int64_t now_ns = cli_now_ns();
    if (now_ns - progress->last_ns < TICK_NS) {
        return false;
    }
    *out_rate = rate_of(sent - progress->last_sent, now_ns - progress->last_ns);
    progress->last_ns = now_ns;
    progress->last_sent = sent;
    return true;
}

void progress_tick(struct progress *progress, const char *doing, struct shmbus_producer *producer,
                   uint64_t sent)
{
    double rate = 0;
    uint64_t lag = 0;
    if (!progress_due(progress, sent, &rate)) {
        return;
    }
    const int consumers = shmbus_producer_required(producer, &lag);
    fprintf(stderr, "\r\033[K%s: %llu sent, %.0f/s, ", doing, (unsigned long long)sent, rate);
    if (consumers > 0) {
        fprintf(stderr, "slowest of %d required consumers %llu behind", consumers,
                (unsigned long long)lag);
    } else {
        fputs("no required consumer", stderr);
    }
    progress->line_open = true;
}

void progress_break(struct progress *progress)
{
    if (progress->line_open) {
        fputc('\n', stderr);
        progress->line_open = false;
    }
}

void progress_end(struct progress *progress, uint64_t sent)
{
    if (!progress->shown) {
        return;
    }
    const int64_t elapsed_ns = cli_now_ns() - progress->begun_ns;
    fprintf(stderr, "\r\033[Ksent %llu in %.1f s, %.0f/s\n", (unsigned long long)sent,
            (double)elapsed_ns / 1e9, rate_of(sent, elapsed_ns));
    progress->line_open = false;
}
