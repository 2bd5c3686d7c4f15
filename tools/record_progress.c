/* SPDX-License-Identifier: MIT */
/* The line on a terminal that says how recording goes: see record_progress.h. */
#include "record_progress.h"

#include <stddef.h>
#include <stdio.h>

#include "cli.h"

void record_progress_begin(struct record_progress *progress)
{
    progress_begin(&progress->line);
}

static void print_bytes(const struct record_file *file)
{
    uint64_t plain = 0;
    uint64_t written = 0;
    record_file_bytes(file, &plain, &written);
    fprintf(stderr, "%.1f MB, ratio %.2f, ", (double)written / 1e6,
            written > 0 ? (double)plain / (double)written : 1.0);
}

void record_progress_tick(struct record_progress *progress, const struct record_file *file,
                          uint64_t messages, uint64_t lost, uint64_t cursor)
{
    double rate = 0;
    uint64_t tail = 0;
    if (!progress_due(&progress->line, messages, &rate)) {
        return;
    }
    if (shmbus_snapshot_update(progress->snapshot) == 0) {
        tail = shmbus_snapshot_bus(progress->snapshot)->tail;
    }
    fprintf(stderr, "\r\033[Krecording: %llu messages, %.0f/s, ", (unsigned long long)messages,
            rate);
    print_bytes(file);
    fprintf(stderr, "%llu behind, %llu lost",
            (unsigned long long)(tail > cursor ? tail - cursor : 0), (unsigned long long)lost);
    progress->line.line_open = true;
}

void record_progress_end(struct record_progress *progress, const struct record_file *file,
                         uint64_t messages, uint64_t lost)
{
    if (progress->line.shown) {
        fprintf(stderr, "\r\033[Krecorded %llu messages in %u file%s, ",
                (unsigned long long)messages, file->number, file->number == 1 ? "" : "s");
        print_bytes(file);
        fprintf(stderr, "%llu lost\n", (unsigned long long)lost);
        progress->line.line_open = false;
    }
    shmbus_snapshot_close(progress->snapshot);
    progress->snapshot = NULL;
}
