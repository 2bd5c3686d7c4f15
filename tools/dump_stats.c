/* SPDX-License-Identifier: MIT */
/* What is in a recording: see dump_stats.h. */
#include "dump_stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "text.h"

#define SECOND_NS 1000000000

void dump_stats_add(struct dump_stats *stats, const struct shmbus_record *record)
{
    if (stats->records == 0) {
        stats->first = record->sequence;
        stats->next = record->sequence;
    }
    stats->records++;
    stats->left_out += record->sequence - stats->next;
    stats->next = record->sequence + record->count;
    if (record->kind == SHMBUS_RECORD_LOST) {
        stats->lost += record->count;
        stats->lost_ranges++;
        return;
    }
    if (record->kind == SHMBUS_RECORD_ABORTED) {
        stats->aborted += record->count;
        return;
    }
    if (stats->messages == 0) {
        stats->first_receive_ns = record->receive_ns;
    }
    stats->last_receive_ns = record->receive_ns;
    stats->messages++;
    stats->bytes += record->length;
    stats->type_messages[record->type]++;
    stats->type_bytes[record->type] += record->length;
}

static void print_time(const char *name, int64_t ns)
{
    const time_t seconds = ns / SECOND_NS;
    struct tm parts;
    char text[32];
    gmtime_r(&seconds, &parts);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
    printf("%s %s.%09" PRId64 "Z\n", name, text, ns % SECOND_NS);
}

static const char *name_of(const struct shmbus_recording_info *info, uint32_t type,
                           char out[SHMBUS_NAME_MAX * TEXT_PRINTABLE_GROWTH + 1])
{
    for (uint32_t i = 0; i < info->bus.type_count; i++) {
        if (info->bus.types[i].type == type) {
            return text_printable(info->bus.types[i].name, out);
        }
    }
    return "-";
}

static void print_types(const struct dump_stats *stats, const struct shmbus_recording_info *info,
                        double seconds)
{
    char name[SHMBUS_NAME_MAX * TEXT_PRINTABLE_GROWTH + 1];
    for (uint32_t type = 0; type <= UINT16_MAX; type++) {
        const uint64_t messages = stats->type_messages[type];
        if (messages > 0) {
            printf("type %u %s messages %" PRIu64 " bytes %" PRIu64 " rate %.1f/s\n",
                   (unsigned)type, name_of(info, type, name), messages, stats->type_bytes[type],
                   seconds > 0 ? (double)messages / seconds : 0);
        }
    }
}

void dump_stats_print(const struct dump_stats *stats, const struct shmbus_recording_info *info)
{
    const double seconds = (double)(stats->last_receive_ns - stats->first_receive_ns) / SECOND_NS;
    char name[SHMBUS_NAME_MAX * TEXT_PRINTABLE_GROWTH + 1];
    printf("bus %s\n", text_printable(info->bus_name, name));
    printf("closed %s\n", info->whole ? "yes" : "no");
    if (stats->records > 0) {
        printf("sequences %" PRIu64 " to %" PRIu64 "\n", stats->first, stats->next - 1);
    }
    if (stats->messages > 0) {
        print_time("from", stats->first_receive_ns);
        print_time("to", stats->last_receive_ns);
    }
    printf("seconds %.9f\n", seconds);
    printf("messages %" PRIu64 "\n", stats->messages);
    printf("rate %.1f/s\n", seconds > 0 ? (double)stats->messages / seconds : 0);
    printf("payload_bytes %" PRIu64 "\n", stats->bytes);
    printf("lost %" PRIu64 " in %" PRIu64 " ranges\n", stats->lost, stats->lost_ranges);
    printf("aborted %" PRIu64 "\n", stats->aborted);
    printf("left_out %" PRIu64 "\n", stats->left_out);
    printf("file_bytes %" PRIu64 "\n", info->file_bytes);
    printf("record_bytes %" PRIu64 "\n", info->plain_bytes);
    printf("ratio %.2f\n",
           info->file_bytes > 0 ? (double)info->plain_bytes / (double)info->file_bytes : 1.0);
    print_types(stats, info, seconds);
}
