/* SPDX-License-Identifier: MIT */
/*
 * Changes to an input of the target `recording`. A file is taken apart into header, heads and what
 * is in its blocks; one of these is changed, and the file is put together again with its checksums
 * right and its blocks packed, so that the change gets past them. Now and then bytes are changed as
 * they are.
 */
#include "record/format.h"

#include <lz4frame.h>
#include <string.h>

#define ROOM   (1u << 16)
#define BLOCKS 16

size_t LLVMFuzzerMutate(uint8_t *bytes, size_t size, size_t room);
size_t LLVMFuzzerCustomMutator(uint8_t *input, size_t size, size_t room, unsigned int seed);

struct part {
    struct format_head head;
    size_t bytes;
    uint8_t plain[ROOM];
};

static struct {
    size_t header_bytes;
    uint8_t header[ROOM];
    uint32_t block_count;
    struct part block[BLOCKS];
    int is_closed;
} parts;

static uint64_t state;

static uint64_t dice(uint64_t limit)
{
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
    uint64_t value = state >> 11;
    return limit == 0 ? value : value % limit;
}

static uint64_t some_number(uint64_t near)
{
    static const uint64_t known[] = {0, 1, 2, 7, 8, 4096, INT64_MAX, UINT64_MAX, UINT64_MAX - 1};
    switch (dice(4)) {
    case 0:
        return known[dice(sizeof known / sizeof known[0])];
    case 1:
        return dice(0);
    default:
        return near + dice(9) - 4;
    }
}

/* One frame, unpacked into a part. */
static int unpack(struct part *part, const uint8_t *from, size_t bytes)
{
    LZ4F_dctx *context = NULL;
    size_t used = bytes;
    part->bytes = sizeof part->plain;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)))
        return 0;
    size_t left = LZ4F_decompress(context, part->plain, &part->bytes, from, &used, NULL);
    LZ4F_freeDecompressionContext(context);
    return left == 0 && used == bytes;
}

/* Takes a file apart, as far as that goes. */
static int take_apart(const uint8_t *input, size_t size)
{
    struct format_skip skip;
    size_t at = sizeof skip;
    parts.block_count = 0;
    parts.is_closed = 0;
    if (size < sizeof skip + sizeof(struct format_header))
        return 0;
    memcpy(&skip, input, sizeof skip);
    if (skip.magic != FORMAT_HEADER || skip.bytes > size - at || skip.bytes > ROOM ||
        skip.bytes < sizeof(struct format_header))
        return 0;
    parts.header_bytes = skip.bytes;
    memcpy(parts.header, input + at, skip.bytes);
    at += skip.bytes;
    while (size - at > sizeof skip && parts.block_count < BLOCKS) {
        struct part *part = &parts.block[parts.block_count];
        memcpy(&skip, input + at, sizeof skip);
        at += sizeof skip;
        parts.is_closed = skip.magic == FORMAT_INDEX;
        if (skip.magic != FORMAT_HEAD || size - at < sizeof part->head)
            break;
        memcpy(&part->head, input + at, sizeof part->head);
        at += sizeof part->head;
        if (part->head.frame_bytes > size - at || !unpack(part, input + at, part->head.frame_bytes))
            break;
        at += part->head.frame_bytes;
        parts.block_count++;
    }
    return 1;
}

/* What the records of a block make of its head, as far as they are records. */
static void count_records(struct part *part)
{
    struct format_record record;
    struct format_head *head = &part->head;
    head->records = 0;
    for (size_t at = 0; part->bytes - at >= sizeof record; head->records++) {
        memcpy(&record, part->plain + at, sizeof record);
        if (head->records == 0)
            head->first_sequence = record.sequence;
        head->next_sequence = record.sequence + record.count;
        head->last_receive_ns = record.receive_ns;
        if (format_record_bytes(record.length) > part->bytes - at)
            break;
        at += format_record_bytes(record.length);
    }
}

/* Puts a head and its block behind what is there; returns where it ends, or 0 without room. */
static size_t put_block(struct part *part, uint8_t *out, size_t at, size_t room)
{
    static uint8_t packed[2 * ROOM];
    const LZ4F_preferences_t how = {.frameInfo = {.contentChecksumFlag = 1},
                                    .compressionLevel = (int)dice(3)};
    const struct format_skip skip = {FORMAT_HEAD, sizeof part->head};
    size_t bytes = LZ4F_compressFrame(packed, sizeof packed, part->plain, part->bytes, &how);
    if (LZ4F_isError(bytes) || room - at < sizeof skip + sizeof part->head + bytes)
        return 0;
    part->head.offset = at + sizeof skip + sizeof part->head;
    part->head.frame_bytes = bytes;
    if (dice(50) != 0)
        part->head.plain_bytes = part->bytes;
    part->head.frame_checksum = format_frame_checksum(packed, bytes);
    part->head.checksum = format_own_checksum(&part->head, sizeof part->head);
    memcpy(out + at, &skip, sizeof skip);
    memcpy(out + at + sizeof skip, &part->head, sizeof part->head);
    memcpy(out + at + sizeof skip + sizeof part->head, packed, bytes);
    return at + sizeof skip + sizeof part->head + bytes;
}

static size_t put_index(uint8_t *out, size_t at, size_t room)
{
    const size_t heads = parts.block_count * sizeof(struct format_head);
    const struct format_skip skip = {FORMAT_INDEX, (uint32_t)heads};
    const struct format_skip last = {FORMAT_FOOTER, sizeof(struct format_footer)};
    struct format_footer footer = {
        .magic = FORMAT_MAGIC, .index_offset = at, .blocks = parts.block_count};
    if (room - at < 2 * sizeof skip + heads + sizeof footer)
        return at;
    memcpy(out + at, &skip, sizeof skip);
    at += sizeof skip;
    for (uint32_t i = 0; i < parts.block_count; i++)
        memcpy(out + at + i * sizeof(struct format_head), &parts.block[i].head,
               sizeof(struct format_head));
    footer.index_checksum = format_checksum(out + at, heads);
    if (dice(30) == 0)
        footer.blocks = some_number(footer.blocks);
    if (dice(30) == 0)
        footer.index_offset = some_number(footer.index_offset);
    footer.checksum = format_own_checksum(&footer, sizeof footer);
    at += heads;
    memcpy(out + at, &last, sizeof last);
    memcpy(out + at + sizeof last, &footer, sizeof footer);
    return at + sizeof last + sizeof footer;
}

static size_t put_together(uint8_t *out, size_t room)
{
    const struct format_skip skip = {FORMAT_HEADER, (uint32_t)parts.header_bytes};
    struct format_header header;
    size_t at = sizeof skip + parts.header_bytes;
    if (room < at)
        return 0;
    memcpy(&header, parts.header, sizeof header);
    header.checksum = 0;
    memcpy(parts.header, &header, sizeof header);
    header.checksum = format_checksum(parts.header, parts.header_bytes);
    memcpy(out, &skip, sizeof skip);
    memcpy(out + sizeof skip, parts.header, parts.header_bytes);
    memcpy(out + sizeof skip, &header, sizeof header);
    for (uint32_t i = 0; i < parts.block_count; i++) {
        size_t end = put_block(&parts.block[i], out, at, room);
        if (end == 0)
            return at;
        at = end;
    }
    return parts.is_closed ? put_index(out, at, room) : at;
}

/* One field of one record of a block. */
static void change_record(struct part *part)
{
    struct format_record record;
    size_t at = 0;
    for (uint64_t skip = dice(20); part->bytes >= sizeof record; skip--) {
        memcpy(&record, part->plain + at, sizeof record);
        const uint64_t bytes = format_record_bytes(record.length);
        if (skip == 0 || bytes > part->bytes - at || part->bytes - at - bytes < sizeof record)
            break;
        at += bytes;
    }
    if (part->bytes - at < sizeof record)
        return;
    switch (dice(6)) {
    case 0:
        record.length = (uint32_t)some_number(record.length);
        break;
    case 1:
        record.kind = (uint32_t)dice(5);
        break;
    case 2:
        record.sequence = some_number(record.sequence);
        break;
    case 3:
        record.count = some_number(record.count);
        break;
    case 4:
        record.receive_ns = (int64_t)some_number((uint64_t)record.receive_ns);
        break;
    default:
        record.type = (uint16_t)some_number(record.type);
    }
    memcpy(part->plain + at, &record, sizeof record);
}

static void change_head(struct format_head *head)
{
    uint64_t *const words[] = {&head->plain_bytes, &head->records, &head->first_sequence,
                               &head->next_sequence};
    uint64_t *word = words[dice(sizeof words / sizeof words[0])];
    *word = some_number(*word);
}

/* Blocks that come twice, are missing, or in another order. */
static void change_order(void)
{
    static struct part other;
    uint32_t first = (uint32_t)dice(parts.block_count);
    uint32_t second = (uint32_t)dice(parts.block_count);
    if (dice(3) == 0) {
        parts.block_count--;
        memmove(&parts.block[first], &parts.block[first + 1],
                (parts.block_count - first) * sizeof parts.block[0]);
    } else if (dice(2) == 0 && parts.block_count < BLOCKS) {
        memcpy(&parts.block[parts.block_count++], &parts.block[first], sizeof other);
    } else {
        memcpy(&other, &parts.block[first], sizeof other);
        memcpy(&parts.block[first], &parts.block[second], sizeof other);
        memcpy(&parts.block[second], &other, sizeof other);
    }
}

static void change_parts(void)
{
    struct part *part = &parts.block[parts.block_count > 0 ? dice(parts.block_count) : 0];
    uint64_t way = parts.block_count > 0 ? dice(8) : dice(2);
    if (way == 0) {
        parts.header_bytes = LLVMFuzzerMutate(parts.header, parts.header_bytes, ROOM / 2);
        if (parts.header_bytes < sizeof(struct format_header))
            parts.header_bytes = sizeof(struct format_header);
    } else if (way == 1) {
        parts.is_closed = !parts.is_closed;
    } else if (way == 2) {
        change_order();
    } else if (way == 3) {
        change_head(&part->head);
    } else {
        if (way == 4)
            part->bytes = LLVMFuzzerMutate(part->plain, part->bytes, ROOM / 2);
        else
            change_record(part);
        if (dice(3) != 0)
            count_records(part);
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *input, size_t size, size_t room, unsigned int seed)
{
    state = seed;
    if (dice(10) == 0 || !take_apart(input, size))
        return LLVMFuzzerMutate(input, size, room);
    for (uint64_t i = 1 + dice(3); i > 0; i--)
        change_parts();
    size_t bytes = put_together(input, room);
    if (dice(20) == 0)
        bytes = dice(bytes + 1);
    return bytes > 0 ? bytes : LLVMFuzzerMutate(input, size, room);
}
