/* SPDX-License-Identifier: MIT */
/* A block of records that is being filled: see block.h. */
#include "record/block.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int block_make_room(struct block *block, uint64_t bytes)
{
    if (bytes <= block->room)
        return 0;
    char *larger = realloc(block->plain, bytes);
    if (larger == NULL)
        return format_failed(-ENOMEM, "no memory left for a record");
    block->plain = larger;
    block->room = bytes;
    return 0;
}

/* Counts a record into its block's head. */
static void count_record(struct format_head *head, const struct format_record *record)
{
    if (head->records == 0) {
        head->first_sequence = record->sequence;
        head->first_receive_ns = record->receive_ns;
        head->last_receive_ns = record->receive_ns;
    }
    if (record->receive_ns > head->last_receive_ns)
        head->last_receive_ns = record->receive_ns;
    head->next_sequence = record->sequence + record->count;
    head->plain_bytes += format_record_bytes(record->length);
    head->records++;
}

void block_add(struct block *block, const struct shmbus_record *record)
{
    char *at = block->plain + block->head.plain_bytes;
    const struct format_record entry = {
        .length = record->length,
        .kind = record->kind,
        .sequence = record->sequence,
        .count = record->count,
        .publish_ns = record->publish_ns,
        .receive_ns = record->receive_ns,
        .type = record->type,
        .flags = record->flags,
    };
    memset(at + format_record_bytes(record->length) - FORMAT_ALIGN, 0, FORMAT_ALIGN);
    memcpy(at, &entry, sizeof entry);
    if (record->length > 0)
        memcpy(at + sizeof entry, record->data, record->length);
    count_record(&block->head, &entry);
}

uint64_t block_cut(struct block *block, uint64_t sequence)
{
    const struct format_head all = block->head;
    struct format_head *kept = &block->head;
    uint64_t messages = 0;
    memset(kept, 0, sizeof *kept);
    for (uint64_t at = 0; at < all.plain_bytes;) {
        struct format_record record;
        memcpy(&record, block->plain + at, sizeof record);
        if (record.sequence < sequence)
            count_record(kept, &record);
        else
            messages += record.kind == SHMBUS_RECORD_MESSAGE;
        at += format_record_bytes(record.length);
    }
    return messages;
}
