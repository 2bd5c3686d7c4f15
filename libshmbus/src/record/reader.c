/* SPDX-License-Identifier: MIT */
/*
 * Reading a recording. Nothing in the file is believed before it is checked: sizes against the
 * file, checksums against content, records against their block. The heads of all blocks are in
 * memory, from the index or, without one, from going through the file; then one block at a time is
 * unpacked.
 */
#include "record/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <lz4frame.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLAIN_MAX (UINT64_C(2) << 30) /* bytes of a block, unpacked */
#define RATIO_MAX 255                 /* LZ4 packs no closer */

struct shmbus_recording {
    int file;
    int owned; /* the file is to be closed */
    struct shmbus_recording_info info;
    char *header; /* with the types' strings */
    struct shmbus_type *types;
    struct format_head *heads;
    uint64_t head_count;
    uint64_t end; /* of the last whole block */
    uint64_t file_bytes;
    LZ4F_dctx *unpacker;
    char *packed;
    size_t packed_room;
    char *plain; /* the block that is being read */
    size_t plain_room;
    uint64_t block;    /* its number, + 1; 0: none is unpacked */
    uint64_t position; /* in it */
    uint64_t least;    /* no record from there on is of a lower sequence */
    uint64_t passed;   /* records of it before there */
};

static int damaged(uint64_t offset, const char *what)
{
    return format_failed(-EBADMSG, "damaged at byte %llu: %s", (unsigned long long)offset, what);
}

/* Makes a buffer at least so large; what was in it is lost. */
static int make_room(char **buffer, size_t *room, uint64_t bytes)
{
    if (bytes <= *room)
        return 0;
    free(*buffer);
    *buffer = malloc(bytes);
    *room = *buffer != NULL ? bytes : 0;
    return *buffer != NULL ? 0 : format_failed(-ENOMEM, "no memory left for a block");
}

static int check_head(const struct shmbus_recording *recording, const struct format_head *head,
                      uint64_t offset)
{
    return head->checksum == format_own_checksum(head, sizeof *head) && head->offset == offset &&
           offset <= recording->file_bytes && head->frame_bytes <= recording->file_bytes - offset &&
           head->plain_bytes <= PLAIN_MAX && head->plain_bytes <= head->frame_bytes * RATIO_MAX &&
           head->records > 0 && head->next_sequence > head->first_sequence;
}

/* Is the head that stands before a block that of the index? */
static int check_copy(struct shmbus_recording *recording, const struct format_head *head)
{
    struct {
        struct format_skip skip;
        struct format_head head;
    } copy;
    if (head->offset < sizeof copy)
        return damaged(head->offset, "a block has no head");
    int result = format_read(recording->file, &copy, sizeof copy, head->offset - sizeof copy);
    if (result != 0 || copy.skip.magic != FORMAT_HEAD || copy.skip.bytes != sizeof copy.head ||
        memcmp(&copy.head, head, sizeof copy.head) != 0)
        return damaged(head->offset - sizeof copy, "a block's head is not that of the index");
    return 0;
}

/* LZ4 unpacks into memory of its own, and copies, where there is no room for as much as a block of
 * that frame may have. */
static uint64_t unpack_room(const struct format_head *head)
{
    static const uint64_t most[] = {65536, 262144, 1048576};
    for (size_t i = 0; i < sizeof most / sizeof most[0]; i++)
        if (head->plain_bytes <= most[i])
            return most[i];
    return head->plain_bytes;
}

/* Unpacks a block into `plain`. */
static int unpack(struct shmbus_recording *recording, const struct format_head *head)
{
    recording->block = 0;
    int result = check_copy(recording, head);
    if (result == 0)
        result = make_room(&recording->packed, &recording->packed_room, head->frame_bytes);
    if (result == 0)
        result = make_room(&recording->plain, &recording->plain_room, unpack_room(head));
    if (result == 0)
        result = format_read(recording->file, recording->packed, head->frame_bytes, head->offset);
    if (result != 0)
        return result == -EBADMSG ? damaged(head->offset, "a block is cut") : result;

    size_t plain = recording->plain_room, packed = head->frame_bytes;
    LZ4F_resetDecompressionContext(recording->unpacker);
    /* What was checked packed need not be checked once more unpacked. */
    static const LZ4F_decompressOptions_t checked = {.skipChecksums = 1};
    if (format_frame_checksum(recording->packed, packed) != head->frame_checksum)
        return damaged(head->offset, "a block's checksum is wrong");
    size_t left = LZ4F_decompress(recording->unpacker, recording->plain, &plain, recording->packed,
                                  &packed, &checked);
    if (left != 0 || plain != head->plain_bytes || packed != head->frame_bytes)
        return damaged(head->offset, "a block is no LZ4 frame of that length");
    return 0;
}

static int read_index(struct shmbus_recording *recording)
{
    struct {
        struct format_skip skip;
        struct format_footer footer;
    } last;
    if (recording->file_bytes < sizeof last ||
        format_read(recording->file, &last, sizeof last, recording->file_bytes - sizeof last) != 0)
        return -EBADMSG;
    const struct format_footer *footer = &last.footer;
    const uint64_t before = recording->file_bytes - sizeof last;
    if (last.skip.magic != FORMAT_FOOTER || last.skip.bytes != sizeof *footer ||
        footer->checksum != format_own_checksum(footer, sizeof *footer) ||
        footer->magic != FORMAT_MAGIC || footer->blocks > before / sizeof(struct format_head) ||
        footer->index_offset !=
            before - sizeof(struct format_skip) - footer->blocks * sizeof(struct format_head))
        return -EBADMSG;
    const size_t bytes = footer->blocks * sizeof(struct format_head);
    recording->heads = malloc(bytes + 1);
    if (recording->heads == NULL)
        return format_failed(-ENOMEM, "no memory left for an index");
    recording->head_count = footer->blocks;
    recording->end = footer->index_offset;
    struct format_skip skip;
    if (format_read(recording->file, &skip, sizeof skip, footer->index_offset) != 0 ||
        skip.magic != FORMAT_INDEX || skip.bytes != bytes ||
        format_read(recording->file, recording->heads, bytes, footer->index_offset + sizeof skip) !=
            0 ||
        format_checksum(recording->heads, bytes) != footer->index_checksum)
        return -EBADMSG;
    for (uint64_t i = 0; i < footer->blocks; i++) {
        const struct format_head *head = &recording->heads[i];
        if (!check_head(recording, head, head->offset) || head->offset > recording->end ||
            head->frame_bytes > recording->end - head->offset ||
            (i > 0 && head->first_sequence < head[-1].next_sequence))
            return -EBADMSG;
    }
    return 0;
}

/* Goes from head to head, as far as all is whole. */
static int scan(struct shmbus_recording *recording, uint64_t offset)
{
    struct {
        struct format_skip skip;
        struct format_head head;
    } next;
    recording->head_count = 0;
    recording->end = offset;
    while (format_read(recording->file, &next, sizeof next, offset) == 0) {
        const uint64_t frame = offset + sizeof next;
        const uint64_t count = recording->head_count;
        if (next.skip.magic != FORMAT_HEAD || next.skip.bytes != sizeof next.head ||
            !check_head(recording, &next.head, frame) ||
            (count > 0 && next.head.first_sequence < recording->heads[count - 1].next_sequence))
            break;
        int result = unpack(recording, &next.head);
        if (result == -EBADMSG)
            break;
        if (result == 0)
            result = format_keep_head(&recording->heads, &recording->head_count, &next.head);
        if (result != 0)
            return result;
        offset = frame + next.head.frame_bytes;
        recording->end = offset;
    }
    return 0;
}

/* The types behind the fixed part of the header. */
static int read_types(struct shmbus_recording *recording, const struct format_header *header,
                      uint64_t bytes)
{
    uint64_t at = sizeof *header;
    recording->types = calloc((size_t)header->type_count + 1, sizeof *recording->types);
    if (recording->types == NULL)
        return format_failed(-ENOMEM, "no memory left for types");
    for (uint32_t i = 0; i < header->type_count; i++) {
        struct format_type type;
        if (bytes - at < sizeof type)
            return damaged(at, "a type is cut");
        memcpy(&type, recording->header + at, sizeof type);
        at += sizeof type;
        if (type.name_bytes == 0 || type.fields_bytes == 0 ||
            type.name_bytes > SHMBUS_NAME_MAX + 1 ||
            type.fields_bytes > SHMBUS_TYPE_FIELDS_MAX + 1 ||
            bytes - at < (uint64_t)type.name_bytes + type.fields_bytes)
            return damaged(at, "a type is cut");
        const char *name = recording->header + at;
        const char *fields = name + type.name_bytes;
        at += (uint64_t)type.name_bytes + type.fields_bytes;
        if (name[type.name_bytes - 1] != '\0' || fields[type.fields_bytes - 1] != '\0')
            return damaged(at, "a type's name has no end");
        recording->types[i] = (struct shmbus_type){
            .type = type.type, .bytes = type.bytes, .name = name, .fields = fields};
    }
    return 0;
}

static void take_geometry(struct shmbus_recording *recording, const struct format_header *header)
{
    struct shmbus_bus_options *bus = &recording->info.bus;
    *bus = (struct shmbus_bus_options){
        .struct_bytes = sizeof *bus,
        .capacity = header->capacity,
        .slot_bytes = header->slot_bytes,
        .max_consumers = header->max_consumers,
        .max_producers = header->max_producers,
        .class_count = header->class_count,
        .flags = header->flags,
        .first_sequence = header->first_sequence,
        .history = header->history,
        .stall_ns = header->stall_ns,
        .types = recording->types,
        .type_count = header->type_count,
    };
    for (uint32_t i = 0; i < header->class_count; i++)
        bus->classes[i] = (struct shmbus_pool_class){.slab_bytes = header->classes[i].slab_bytes,
                                                     .slab_count = header->classes[i].slab_count};
}

/* Reads the header; *out_end receives where the first head is. */
static int read_header(struct shmbus_recording *recording, uint64_t *out_end)
{
    struct format_skip skip;
    struct format_header header;
    if (format_read(recording->file, &skip, sizeof skip, 0) != 0 || skip.magic != FORMAT_HEADER ||
        skip.bytes < sizeof header || skip.bytes > FORMAT_HEADER_MAX)
        return format_failed(-EBADMSG, "is no recording");
    recording->header = malloc(skip.bytes);
    if (recording->header == NULL)
        return format_failed(-ENOMEM, "no memory left for a header");
    if (format_read(recording->file, recording->header, skip.bytes, sizeof skip) != 0)
        return damaged(0, "the header is cut");
    memcpy(&header, recording->header, sizeof header);
    if (header.magic != FORMAT_MAGIC)
        return format_failed(-EBADMSG, "is no recording");
    if (header.version != FORMAT_VERSION)
        return format_failed(-EPROTONOSUPPORT, "has format %u, and this reads %u",
                             (unsigned)header.version, (unsigned)FORMAT_VERSION);
    memset(recording->header + offsetof(struct format_header, checksum), 0, sizeof header.checksum);
    if (header.checksum != format_checksum(recording->header, skip.bytes) ||
        header.type_count > SHMBUS_TYPES_MAX || header.class_count > SHMBUS_CLASSES_MAX ||
        header.bus_name[SHMBUS_NAME_MAX] != '\0' || header.boot_id[36] != '\0')
        return damaged(0, "the header's checksum is wrong");
    int result = read_types(recording, &header, skip.bytes);
    if (result != 0)
        return result;
    take_geometry(recording, &header);
    memcpy(recording->info.bus_name, header.bus_name, sizeof recording->info.bus_name);
    memcpy(recording->info.boot_id, header.boot_id, sizeof recording->info.boot_id);
    recording->info.bus_created_ns = header.bus_created_ns;
    recording->info.begun_real_ns = header.begun_real_ns;
    recording->info.begun_ns = header.begun_ns;
    recording->info.next_sequence = header.next_sequence;
    *out_end = sizeof skip + skip.bytes;
    return 0;
}

static void count_blocks(struct shmbus_recording *recording)
{
    struct shmbus_recording_info *info = &recording->info;
    const struct format_head *heads = recording->heads;
    const uint64_t count = recording->head_count;
    info->file_bytes = recording->file_bytes;
    info->cut_bytes = info->whole ? 0 : recording->file_bytes - recording->end;
    for (uint64_t i = 0; i < count; i++) {
        info->record_count += heads[i].records;
        info->plain_bytes += heads[i].plain_bytes;
    }
    if (count > 0) {
        info->first_sequence = heads[0].first_sequence;
        info->next_sequence = heads[count - 1].next_sequence;
        info->first_receive_ns = heads[0].first_receive_ns;
        info->last_receive_ns = heads[count - 1].last_receive_ns;
    }
}

static int read_all_heads(struct shmbus_recording *recording)
{
    struct stat status;
    uint64_t first = 0;
    if (fstat(recording->file, &status) != 0)
        return format_failed(-errno, "%s", strerror(errno));
    recording->file_bytes = status.st_size > 0 ? (uint64_t)status.st_size : 0;
    int result = read_header(recording, &first);
    if (result != 0)
        return result;
    result = read_index(recording);
    recording->info.whole = result == 0;
    if (result == -EBADMSG)
        result = scan(recording, first);
    if (result == 0)
        count_blocks(recording);
    return result;
}

int reader_open(int file, struct shmbus_recording **out_recording)
{
    struct shmbus_recording *recording = calloc(1, sizeof *recording);
    if (recording == NULL)
        return format_failed(-ENOMEM, "no memory left for a recording");
    recording->file = file;
    int result = LZ4F_isError(LZ4F_createDecompressionContext(&recording->unpacker, LZ4F_VERSION))
                     ? format_failed(-ENOMEM, "no memory left for unpacking")
                     : read_all_heads(recording);
    if (result != 0) {
        shmbus_recording_close(recording);
        return result;
    }
    *out_recording = recording;
    return 0;
}

const struct format_head *reader_heads(const struct shmbus_recording *recording,
                                       uint64_t *out_count, uint64_t *out_end)
{
    *out_count = recording->head_count;
    *out_end = recording->end;
    return recording->heads;
}

int shmbus_recording_open(const char *path, struct shmbus_recording **out_recording)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return format_failed(-errno, "%s", strerror(errno));
    int result = reader_open(file, out_recording);
    if (result != 0)
        close(file);
    else
        (*out_recording)->owned = 1;
    return result;
}

void shmbus_recording_close(struct shmbus_recording *recording)
{
    if (recording == NULL)
        return;
    if (recording->owned)
        close(recording->file);
    LZ4F_freeDecompressionContext(recording->unpacker);
    free(recording->header);
    free(recording->types);
    free(recording->heads);
    free(recording->packed);
    free(recording->plain);
    free(recording);
}

const struct shmbus_recording_info *shmbus_recording_info(const struct shmbus_recording *recording)
{
    return &recording->info;
}

/* Unpacks that block and stands at its first record; past the last one there is none. */
static int go_to(struct shmbus_recording *recording, uint64_t block)
{
    recording->position = 0;
    recording->passed = 0;
    if (block < recording->head_count) {
        recording->least = recording->heads[block].first_sequence;
        int result = unpack(recording, &recording->heads[block]);
        if (result != 0)
            return result;
    }
    recording->block = block + 1;
    return 0;
}

/* The record at the place that is read next, in the block that is unpacked; 1, or 0 at its end. */
static int look_at(const struct shmbus_recording *recording, struct shmbus_record *out_record)
{
    const struct format_head *head = &recording->heads[recording->block - 1];
    const uint64_t left = head->plain_bytes - recording->position;
    struct format_record record;
    if (left == 0)
        return recording->passed == head->records
                   ? 0
                   : damaged(head->offset, "a block has another number of records");
    if (left < sizeof record)
        return damaged(head->offset, "a record is cut");
    memcpy(&record, recording->plain + recording->position, sizeof record);
    if (format_record_bytes(record.length) > left || record.count == 0 ||
        record.kind < SHMBUS_RECORD_MESSAGE || record.kind > SHMBUS_RECORD_ABORTED ||
        record.sequence < recording->least || record.sequence >= head->next_sequence ||
        record.count > head->next_sequence - record.sequence)
        return damaged(head->offset, "a record is none");
    *out_record = (struct shmbus_record){
        .kind = record.kind,
        .length = record.length,
        .sequence = record.sequence,
        .count = record.count,
        .publish_ns = record.publish_ns,
        .receive_ns = record.receive_ns,
        .type = record.type,
        .flags = record.flags,
        .data = recording->plain + recording->position + sizeof record,
    };
    return 1;
}

/* The next record without going past it. */
static int peek(struct shmbus_recording *recording, struct shmbus_record *out_record)
{
    int result = recording->block == 0 ? go_to(recording, 0) : 0;
    while (result == 0 && recording->block <= recording->head_count) {
        result = look_at(recording, out_record);
        if (result != 0)
            return result;
        result = go_to(recording, recording->block);
    }
    return result;
}

static void go_past(struct shmbus_recording *recording, const struct shmbus_record *record)
{
    recording->position += format_record_bytes(record->length);
    recording->least = record->sequence + record->count;
    recording->passed++;
}

int shmbus_recording_next(struct shmbus_recording *recording, struct shmbus_record *out_record)
{
    int result = peek(recording, out_record);
    if (result > 0)
        go_past(recording, out_record);
    return result;
}

int shmbus_recording_seek(struct shmbus_recording *recording, uint64_t sequence)
{
    uint64_t low = 0, high = recording->head_count;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if (recording->heads[middle].next_sequence > sequence)
            high = middle;
        else
            low = middle + 1;
    }
    struct shmbus_record record;
    int result = go_to(recording, low);
    while (result == 0 && (result = peek(recording, &record)) > 0) {
        if (record.sequence + record.count > sequence)
            return 0;
        go_past(recording, &record);
        result = 0;
    }
    return result;
}

int shmbus_recording_seek_time(struct shmbus_recording *recording, int64_t receive_ns)
{
    uint64_t low = 0, high = recording->head_count;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if (recording->heads[middle].last_receive_ns >= receive_ns)
            high = middle;
        else
            low = middle + 1;
    }
    struct shmbus_record record;
    int result = go_to(recording, low);
    while (result == 0 && (result = peek(recording, &record)) > 0) {
        if (record.receive_ns >= receive_ns)
            return 0;
        go_past(recording, &record);
        result = 0;
    }
    return result;
}
