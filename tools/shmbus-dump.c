/* SPDX-License-Identifier: MIT */
/*
 * shmbus-dump: prints a recording, says what is in it, or checks it. Reads it once, from where the
 * wanted span begins, and keeps nothing but a block.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "dump_options.h"
#include "dump_rows.h"
#include "dump_stats.h"
#include "format.h"
#include "output.h"
#include "replay_source.h"
#include "stop.h"

struct dump {
    struct dump_options options;
    struct replay_source source;
    struct dump_rows rows;
    struct dump_stats stats;
    struct output output;
    bool wanted[UINT16_MAX + 1]; /* types */
};

static int put(struct dump *dump, const struct shmbus_record *record)
{
    const struct shmbus_message message = {
        .data = record->data,
        .sequence = record->sequence,
        .timestamp_ns = record->publish_ns,
        .length = record->length,
        .type = record->type,
        .flags = record->flags,
    };
    switch (dump->options.task) {
    case DUMP_CSV:
    case DUMP_JSON:
        return dump_rows_put(&dump->rows, record);
    case DUMP_MESSAGES:
        return record->kind == SHMBUS_RECORD_MESSAGE
                   ? format_message(dump->options.format, &message, &dump->output)
                   : 0;
    default:
        dump_stats_add(&dump->stats, record);
        return 0;
    }
}

/* All records of the span; an exit code. */
static int put_all(struct dump *dump)
{
    uint64_t left = dump->options.count ? dump->options.count : UINT64_MAX;
    int result = replay_source_rewind(&dump->source);
    while (result == CLI_OK && dump->source.has && left > 0 && stop_count() == 0 &&
           put(dump, &dump->source.record) == 0) {
        left -= dump->source.record.kind == SHMBUS_RECORD_MESSAGE;
        result = replay_source_next(&dump->source);
    }
    return result;
}

static int write_rest(struct dump *dump)
{
    const int error = output_flush(&dump->output);
    if (error == -EPIPE) {
        return CLI_FAILED;
    }
    return error == 0 ? CLI_OK : cli_failed("standard output: %s", strerror(-error));
}

static int begin_rows(struct dump *dump)
{
    const struct shmbus_bus_options *bus = &shmbus_recording_info(dump->source.geometry)->bus;
    const bool json = dump->options.task == DUMP_JSON;
    for (uint32_t type = 0; type <= UINT16_MAX; type++) {
        dump->wanted[type] = type_filter_wants(&dump->options.filter, (uint16_t)type);
    }
    const int error = dump_rows_begin(&dump->rows, bus->types, bus->type_count, dump->wanted, json,
                                      &dump->output);
    return error == -ENOMEM ? cli_failed("%s: %s", dump->options.path, strerror(ENOMEM)) : CLI_OK;
}

static int dump_records(struct dump *dump)
{
    const bool rows = dump->options.task == DUMP_CSV || dump->options.task == DUMP_JSON;
    int result = rows ? begin_rows(dump) : CLI_OK;
    if (result == CLI_OK) {
        result = put_all(dump);
    }
    dump_rows_end(&dump->rows);
    const int written = write_rest(dump);
    return written > result ? written : result;
}

static int print_stats(struct dump *dump)
{
    const int result = put_all(dump);
    if (result == CLI_OK) {
        dump_stats_print(&dump->stats, shmbus_recording_info(dump->source.geometry));
    }
    const int flushed = cli_flush_stdout();
    return flushed > result ? flushed : result;
}

/* Every block is read; what is cut at the end is a fault here. */
static int verify(struct dump *dump)
{
    const struct shmbus_recording_info *info = shmbus_recording_info(dump->source.geometry);
    const int result = put_all(dump);
    if (result != CLI_OK) {
        return result;
    }
    if (!info->whole) {
        return cli_failed("%s: not closed; %llu records are whole, %llu bytes behind them are not "
                          "(shmbus-record --append drops these)",
                          dump->options.path, (unsigned long long)dump->stats.records,
                          (unsigned long long)info->cut_bytes);
    }
    if (dump->stats.records != info->record_count) {
        return cli_failed("%s: has %llu records, and says %llu", dump->options.path,
                          (unsigned long long)dump->stats.records,
                          (unsigned long long)info->record_count);
    }
    printf("%s: whole, %llu records\n", dump->options.path,
           (unsigned long long)dump->stats.records);
    return cli_flush_stdout();
}

static int run(struct dump *dump)
{
    char *files[] = {dump->options.path};
    dump->source = (struct replay_source){
        .files = files,
        .file_count = 1,
        .span = dump->options.span,
        .filter = &dump->options.filter,
        .cut_said = dump->options.task == DUMP_VERIFY || dump->options.task == DUMP_STATS,
    };
    int result = replay_source_open(&dump->source);
    if (result == CLI_OK) {
        dump->source.begun_ns = replay_source_begun(&dump->source);
        result = dump->options.task == DUMP_STATS    ? print_stats(dump)
                 : dump->options.task == DUMP_VERIFY ? verify(dump)
                                                     : dump_records(dump);
    }
    replay_source_close(&dump->source);
    return result;
}

int main(int count, char **arguments)
{
    static struct dump dump;
    int result = CLI_OK;
    cli_begin("shmbus-dump");
    if (!dump_options_read(count, arguments, &dump.options, &result)) {
        return result;
    }
    output_begin(&dump.output, STDOUT_FILENO);
    const int error = stop_install();
    if (error != 0) {
        return cli_failed("signals: %s", strerror(-error));
    }
    return run(&dump);
}
