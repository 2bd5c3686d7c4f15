/* SPDX-License-Identifier: MIT */
/*
 * The bytes of a recording. All of it is LZ4 frames, so that `lz4 -t` and `lz4 -dc` work:
 *
 *   skippable 0: header     who was recorded: fixed part, then types, each with its two strings
 *   skippable 1: head       of the block that follows
 *   LZ4 frame: block        records, compressed, with a checksum of their content
 *   ... heads and blocks ...
 *   skippable 2: index      a copy of all heads, each with its block's place
 *   skippable 3: footer     where the index is; a fixed size, so that it is found from the end
 *
 * Index and footer are written at the end and overwritten by one who goes on: a file without them
 * is read from head to head. All numbers are little-endian; a machine of the other order refuses.
 * Checksums of what is not LZ4's are FNV-1a of 64 bits.
 */
#ifndef SHMBUS_SRC_RECORD_FORMAT_H
#define SHMBUS_SRC_RECORD_FORMAT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define FORMAT_MAGIC      0x4352534255424d53u /* "SMBUBSRC" */
#define FORMAT_VERSION    1
#define FORMAT_SKIPPABLE  0x184d2a50u /* LZ4's first magic number for a skippable frame */
#define FORMAT_HEADER     (FORMAT_SKIPPABLE + 0)
#define FORMAT_HEAD       (FORMAT_SKIPPABLE + 1)
#define FORMAT_INDEX      (FORMAT_SKIPPABLE + 2)
#define FORMAT_FOOTER     (FORMAT_SKIPPABLE + 3)
#define FORMAT_FRAME      0x184d2204u /* LZ4's own */
#define FORMAT_ALIGN      8           /* a record's payload is padded to it */
#define FORMAT_HEADER_MAX 4194304     /* bytes of the longest header: 1,024 types */

/* Before each skippable frame's content. */
struct format_skip {
    uint32_t magic;
    uint32_t bytes; /* that follow */
};

/* The content of the header, before the types. */
struct format_header {
    uint64_t magic;
    uint32_t version;
    uint32_t type_count;
    uint64_t checksum; /* of the whole content, with 0 in this place */
    char bus_name[72];
    char boot_id[40];
    int64_t bus_created_ns;
    int64_t begun_real_ns;
    int64_t begun_ns;
    uint64_t capacity;
    uint64_t first_sequence; /* of the bus */
    uint64_t next_sequence;  /* the first one to come */
    uint64_t history;
    int64_t stall_ns;
    uint32_t slot_bytes;
    uint32_t max_consumers;
    uint32_t max_producers;
    uint32_t flags;
    uint32_t class_count;
    uint32_t unused;
    struct {
        uint64_t slab_bytes;
        uint64_t slab_count;
    } classes[8];
};

/* A type, followed by its name and its fields, each with its NUL. */
struct format_type {
    uint16_t type;
    uint16_t name_bytes; /* its NUL among them, as below */
    uint32_t bytes;      /* of a message */
    uint32_t fields_bytes;
};

/* What is in a block. */
struct format_head {
    uint64_t checksum;    /* of what follows in this struct */
    uint64_t offset;      /* of the frame, from the file's beginning */
    uint64_t frame_bytes; /* as it is in the file */
    uint64_t plain_bytes; /* of records */
    uint64_t records;     /* how many */
    uint64_t first_sequence;
    uint64_t next_sequence; /* after the last one */
    int64_t first_receive_ns;
    int64_t last_receive_ns; /* the latest so far, over all blocks: never goes back */
    uint64_t frame_checksum; /* of the frame as it is in the file: format_frame_checksum() */
};

struct format_footer {
    uint64_t checksum; /* of what follows in this struct */
    uint64_t magic;
    uint64_t index_offset;   /* of its skippable frame */
    uint64_t blocks;         /* heads in it */
    uint64_t index_checksum; /* of the heads */
};

/* A record in a block, followed by its payload and zeros up to FORMAT_ALIGN. */
struct format_record {
    uint32_t length; /* bytes of payload */
    uint32_t kind;
    uint64_t sequence;
    uint64_t count;
    int64_t publish_ns;
    int64_t receive_ns;
    uint16_t type;
    uint16_t flags;
    uint32_t unused;
};

static_assert(sizeof(struct format_skip) == 8, "as LZ4 has it");
static_assert(sizeof(struct format_header) == 352, "no padding");
static_assert(sizeof(struct format_type) == 12, "no padding");
static_assert(sizeof(struct format_head) == 80, "no padding");
static_assert(sizeof(struct format_footer) == 40, "no padding");
static_assert(sizeof(struct format_record) == 48, "no padding");

/* Bytes of a record with so much payload. */
static inline uint64_t format_record_bytes(uint32_t length)
{
    return sizeof(struct format_record) +
           (((uint64_t)length + FORMAT_ALIGN - 1) & ~(uint64_t)(FORMAT_ALIGN - 1));
}

/* FNV-1a. */
uint64_t format_checksum(const void *data, size_t bytes);

/* A checksum for much data: four sums, into which words of 8 bytes go in turn, and then their
 * FNV-1a by words, the length last. Any one word that is changed changes it. Of LZ4's own, that of
 * the content is four times the work, and is for others who read the file. */
uint64_t format_frame_checksum(const void *data, size_t bytes);

/* The checksum of a head or a footer, which begins with its own. */
uint64_t format_own_checksum(const void *data, size_t bytes);

/* Reads or writes all of it at a place; 0 or a negative errno, -EBADMSG at the end of the file. */
int format_read(int file, void *data, size_t bytes, uint64_t offset);
int format_write(int file, const void *data, size_t bytes, uint64_t offset);

/* Adds a head to a list of them that grows. Returns 0, or -ENOMEM with its text. */
int format_keep_head(struct format_head **heads, uint64_t *count, const struct format_head *head);

/* What a clock says, in ns. */
int64_t format_now_ns(clockid_t clock);

/* Notes what was wrong, for shmbus_record_error_text(), and returns the error. */
int format_failed(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
