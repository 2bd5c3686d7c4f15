/* SPDX-License-Identifier: MIT */
/*
 * Every byte that processes share: the structs of feed and control, and where each region lies.
 * Fixed-width types, natural alignment, no pointers. Each group of words says who writes it; words
 * of different writers stand 128 bytes apart, since processors fetch lines in pairs.
 *
 * layout_fields.h lists the fields once more with their offsets: the asserts at the end of this
 * file and docs/layout.md come from that list.
 */
#ifndef SHMBUS_LAYOUT_H
#define SHMBUS_LAYOUT_H

#include "shmbus/shmbus.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define LAYOUT_FEED_MAGIC    UINT64_C(0x0a0d7375626d6873) /* "shmbus\r\n" */
#define LAYOUT_CONTROL_MAGIC UINT64_C(0x0a0d6c7274636273) /* "sbctrl\r\n" */
#define LAYOUT_LOCATOR_MAGIC UINT64_C(0x0a0d636f6c6d6273) /* "sbmloc\r\n" */
#define LAYOUT_BYTE_ORDER    UINT32_C(0x01020304)
#define LAYOUT_MAJOR         1
#define LAYOUT_MINOR         0

#define LAYOUT_PAGE           4096u /* what regions are aligned to, and what the entries of control are */
#define LAYOUT_APART          128u /* distance between words of different writers */
#define LAYOUT_ID_BYTES       16u  /* of a segment's and a boot's random id */
#define LAYOUT_SLAB_ALIGN     64u
#define LAYOUT_FIELDS_BYTES   944u  /* of a type's list of fields */
#define LAYOUT_FEATURES_BYTES 512u  /* of the names of a bus's features */
#define LAYOUT_HEADER_LEAST   1176u /* bytes of a header of version 1.0: no later one has fewer */

/* Features that a reader must understand, and those that it may ignore. */
#define LAYOUT_REQUIRES_TIMESTAMPS                                                                 \
    UINT64_C(0x1)                          /* 8 bytes of each payload area are a timestamp         \
                                            */
#define LAYOUT_REQUIRES_POOL UINT64_C(0x2) /* messages may be in slabs */
#define LAYOUT_REQUIRES_PRODUCERS                                                                  \
    UINT64_C(0x4) /* many: claims by compare-and-swap, many floors                                 \
                   */
#define LAYOUT_REQUIRES_KNOWN                                                                      \
    (LAYOUT_REQUIRES_TIMESTAMPS | LAYOUT_REQUIRES_POOL | LAYOUT_REQUIRES_PRODUCERS)
#define LAYOUT_ALLOWS_SCRUB UINT64_C(0x1) /* slabs are zeroed as they come back */

/* A part of feed: whole within the file, checked before it is believed. */
struct layout_region {
    uint64_t offset; /* bytes from the file's start */
    uint64_t length; /* bytes */
};

/* One size class of the pool. Each producer has an equal part of it: those of producer P begin at
 * index P * slab_count / max_producers. */
struct layout_class {
    uint64_t slab_bytes;
    uint64_t slab_count;
    uint64_t slabs_offset; /* of its first slab, from feed's start */
    uint64_t first_slab;   /* number of its first slab among all classes: its bit and generation */
};

/* The beginning of feed. Written once by the creator, before the name exists; never changed. */
struct feed_header {
    uint64_t magic;
    uint32_t byte_order;
    uint16_t layout_major;
    uint16_t layout_minor;
    uint64_t checksum; /* of header_bytes from magic on, with this field 0 */
    uint32_t header_bytes;
    uint32_t flags; /* SHMBUS_BUS_... */
    uint8_t segment_id[LAYOUT_ID_BYTES];
    uint8_t boot_id[LAYOUT_ID_BYTES];
    int64_t created_realtime_ns;
    int64_t created_monotonic_ns;
    uint64_t features_required;
    uint64_t features_optional;
    uint64_t feed_bytes;
    uint64_t control_bytes;
    uint64_t capacity;
    uint64_t first_sequence;
    uint32_t slot_bytes;
    uint32_t max_consumers;
    uint32_t max_producers;
    uint32_t class_count;
    uint32_t entry_bytes;    /* of one consumer's part of control */
    uint32_t numa;           /* enum shmbus_numa, as asked */
    uint32_t numa_node;      /* as asked */
    uint32_t pages;          /* enum shmbus_pages, as asked */
    uint64_t entries_offset; /* of the first consumer's entry, from control's start */
    struct layout_region state;
    struct layout_region producers;
    struct layout_region verdicts;
    struct layout_region types;
    struct layout_region names;
    struct layout_region generations;
    struct layout_region ring;
    struct layout_region slabs;
    struct layout_class classes[SHMBUS_CLASSES_MAX];
    char name[SHMBUS_NAME_MAX + 8];
    uint64_t history;       /* messages kept below the tail for those that join late */
    int64_t stall_ns;       /* without progress for so long a required consumer is stalled */
    uint32_t required_rule; /* enum shmbus_required_rule */
    uint32_t type_count;
    uint32_t name_count;
    uint32_t unused;
    uint64_t tables_checksum; /* of types and names */
    /* The names of those in features_required, in the order of their bits, a space between two:
     * so that a library that does not know one can name it. */
    char features[LAYOUT_FEATURES_BYTES];
};

/* A registered type, in feed. Written once by the creator. */
struct layout_type {
    uint16_t type;
    uint16_t unused;
    uint32_t bytes; /* of a message of this type; 0: any */
    char name[SHMBUS_NAME_MAX + 8];
    char fields[LAYOUT_FIELDS_BYTES]; /* "price:<i8,qty:<i8", ended by zeros */
};

/* Who may be required, in feed. Written once by the creator. */
struct layout_name {
    char name[SHMBUS_NAME_MAX + 8];
};

/* What the producer says of one consumer's entry, in feed. */
struct layout_verdict {
    /* writer: the producer */
    _Atomic uint64_t evicted;       /* the epoch that is not heeded any more */
    _Atomic uint64_t stalled_epoch; /* the epoch that is stalled */
};

/* What stands in place of feed in the bus's folder when feed itself is on hugetlbfs. */
struct feed_locator {
    uint64_t magic;
    uint32_t byte_order;
    uint16_t layout_major;
    uint16_t layout_minor;
    uint8_t segment_id[LAYOUT_ID_BYTES];
    char path[480]; /* of feed, absolute */
};

/* States of the bus. */
#define BUS_OPEN     1u /* being published, or its producer died */
#define BUS_CLOSED   2u /* the stream has ended at tail */
#define BUS_REPLACED 3u /* gone from its name; another bus may have it */

/* The bus's own words, in feed. */
struct feed_state {
    /* writer: the producer */
    alignas(LAYOUT_APART) _Atomic uint32_t bus_state;
    /* writer: the producer; a hint, at most K behind: see ring.h */
    alignas(LAYOUT_APART) _Atomic uint64_t tail;
    /* writer: the producers; a futex that parked consumers sleep on */
    alignas(LAYOUT_APART) _Atomic uint32_t wake_consumers;
    /* writer: the producers, each its own bit, and who repairs it; a bit for each that is parked */
    alignas(LAYOUT_APART) _Atomic uint64_t parked_producers;
};

/* One class's counts, as one producer made them. */
struct producer_class {
    _Atomic uint64_t acquired;
    _Atomic uint64_t released;
    _Atomic uint64_t high_water;
    _Atomic uint64_t exhausted;
};

#define PRODUCER_FREE   0u
#define PRODUCER_ACTIVE 1u

/* One producer's words, in feed. */
struct producer_entry {
    /* writer: this producer */
    alignas(LAYOUT_APART) _Atomic uint32_t state;
    _Atomic uint32_t pid;
    _Atomic uint64_t epoch;     /* goes up when one takes it and, among many, when one leaves it */
    _Atomic uint64_t published; /* brought up to date together with the tail */
    _Atomic uint64_t blocked;
    _Atomic uint64_t exhausted;
    _Atomic uint64_t evicted;         /* consumers */
    _Atomic uint64_t history_yielded; /* times that less history was kept than asked for */
    _Atomic uint64_t skipped;         /* sequences left out on purpose */
    _Atomic uint32_t waiting;         /* enum shmbus_waiting: how it waits now */
    _Atomic uint32_t part_wanted;     /* 1: asks for its part of the pool back */
    _Atomic uint64_t waits_for;       /* parked: the cursor to be reached; 0: any move or release */
    /* writer: this producer; read by those that join */
    alignas(LAYOUT_APART) _Atomic uint64_t floor;
    /* writer: the producer that has this one's part of the pool */
    alignas(LAYOUT_APART) struct producer_class classes[SHMBUS_CLASSES_MAX];
    _Atomic uint32_t part_owner; /* the index of that producer + 1; 0: none */
};

/* The beginning of control. */
struct control_header {
    /* writer: the creator, before the name exists */
    uint64_t magic;
    uint32_t byte_order;
    uint16_t layout_major;
    uint16_t layout_minor;
    uint8_t segment_id[LAYOUT_ID_BYTES];
    uint64_t control_bytes;
    uint64_t entries_offset;
    uint32_t entry_bytes;
    uint32_t max_consumers;
};

/* The second page of control: the words that every consumer may write. */
struct control_shared {
    /* writer: any consumer that joins, by compare-and-swap, and only upwards:
     * docs/decisions/0001-entries-used.md */
    alignas(LAYOUT_APART) _Atomic uint32_t entries_used;
    /* writer: any consumer that parks, and the producer */
    alignas(LAYOUT_APART) _Atomic uint32_t parked;
    /* writer: any consumer that moves on; a futex that a parked producer sleeps on */
    alignas(LAYOUT_APART) _Atomic uint32_t wake_producers;
    /* writer: any consumer that parks behind others, and those */
    alignas(LAYOUT_APART) _Atomic uint32_t parked_behind;
    /* writer: any consumer that others wait behind; a futex that they sleep on */
    alignas(LAYOUT_APART) _Atomic uint32_t wake_behind;
};

/* States of a consumer's entry. */
#define ENTRY_FREE    0u
#define ENTRY_JOINING 1u /* its name, and whom it runs after, are filled in */
#define ENTRY_ACTIVE  2u
#define ENTRY_GRACE   3u /* its consumer died, and its place is kept for a while */

/* One consumer's words, in control, on pages of its own; its hold bitmap follows them. */
struct control_entry {
    /* writer: this consumer; state also by who repairs it once it is proven dead */
    alignas(LAYOUT_APART) _Atomic uint32_t state;
    _Atomic uint32_t kind;
    _Atomic uint64_t epoch;   /* how many consumers had this entry */
    _Atomic uint64_t cursor;  /* next sequence to be read: everything below is consumed */
    _Atomic uint64_t holding; /* bits set in the bitmap */
    _Atomic uint64_t received;
    _Atomic uint64_t lost;
    _Atomic uint64_t filtered;
    _Atomic uint64_t aborted;
    _Atomic uint32_t waiting; /* enum shmbus_waiting: how it waits now */
    /* writer: this consumer, when it joins */
    alignas(LAYOUT_APART) _Atomic uint32_t pid;
    uint32_t uid;
    int64_t joined_ns;
    int64_t grace_ns; /* how long its place is kept if it dies; 0: not at all */
    char name[SHMBUS_NAME_MAX + 8];
    /* writer: who repairs it */
    _Atomic int64_t grace_until_ns; /* CLOCK_MONOTONIC */
    /* writer: this consumer, when it joins */
    uint32_t after_gone;          /* enum shmbus_after_gone */
    _Atomic uint32_t after_count; /* how many it runs after */
    struct layout_name after[SHMBUS_AFTER_MAX];
    /* writer: who repairs it */
    _Atomic uint64_t died_epoch; /* of the last one that was found dead here */
    /* what follows is for later minor versions: layout_clear_unknown() begins here */
    /* writer: this consumer; one bit for each slab of all classes, in their order */
    alignas(LAYOUT_APART) _Atomic uint64_t holds[];
};

/* A slot's header. The payload follows: timestamp where the bus has them, then bytes or a handle.
 */
struct slot_header {
    /* writer: the producer */
    _Atomic uint64_t stamp; /* see stamp.h */
    _Atomic uint64_t meta;  /* see stamp.h: length, type, flags */
};

#define LAYOUT_SLOT_HEADER 16u
#define LAYOUT_TIMESTAMP   8u
#define LAYOUT_HANDLE      8u

/* Lock bytes. Life is held as long as the mapping; repair only while somebody repairs. */
#define LOCK_LIFE   0      /* + index: in owner and feed of a producer, in control of a consumer */
#define LOCK_REPAIR 65536  /* + index */
#define LOCK_PART   131072 /* + index, in owner: who has this producer's part of the pool */

/* Fills in header out of options: defaults, limits, offsets. Returns 0, -EINVAL or -E2BIG. */
int layout_plan(const struct shmbus_bus_options *options, const char *name, uint64_t page_bytes,
                struct feed_header *out_header);

/* Copies options over defaults, honouring their struct_bytes. Returns 0, -EINVAL or -E2BIG. */
int layout_take_options(const void *options, size_t known_bytes, const char *what, void *out_copy);

/* Checks and fills in the registered types and the names that may be required. */
int layout_plan_tables(const struct shmbus_bus_options *options, struct feed_header *header);

/* Writes them into a mapped feed. */
void layout_write_tables(const struct shmbus_bus_options *options, const struct feed_header *header,
                         unsigned char *feed);

/* The checksum of the tables of a mapped feed whose header was checked. */
uint64_t layout_tables_checksum(const struct feed_header *header, const unsigned char *feed);

/* Says whether a mapped feed's tables are those that options ask for; if not, names the first
 * difference. Returns 0 or -EEXIST. */
int layout_same_tables(const struct feed_header *header, const unsigned char *feed,
                       const struct shmbus_bus_options *options);

/* May a consumer of this name be required? */
int layout_may_require(const struct feed_header *header, const unsigned char *feed,
                       const char *name);

/* The registered type of this number, or NULL. */
const struct layout_type *layout_find_type(const struct feed_header *header,
                                           const unsigned char *feed, uint16_t type);

/* Is this type registered with this layout? Returns 0, or -EPROTOTYPE naming both. */
int layout_check_expected(const struct feed_header *header, const unsigned char *feed,
                          const struct shmbus_type *expected);

/* Checks the characters of a bus's, consumer's or type's name. */
int layout_check_name(const char *what, const char *name);

/* FNV-1a, 64 bits: goes on from a hash. */
#define LAYOUT_HASH_START UINT64_C(0xcbf29ce484222325)
uint64_t layout_hash(uint64_t hash, const void *bytes, uint64_t count);

/* The checksum of a header of so many bytes (FNV-1a, 64 bits): with its checksum taken as 0. */
uint64_t layout_checksum(const void *header, uint64_t bytes);

/* Writes the names of a header's features into it. */
void layout_name_features(struct feed_header *header);

/* Names those of its features that these bits stand for, as its creator did: "sealed (0x8)". What
 * the creator wrote is bounded and made printable. */
void layout_feature_names(const struct feed_header *header, uint64_t bits, char *out_text,
                          size_t room);

/* Checks an untrusted header, a private copy of feed's first got bytes, against the length of the
 * file, and takes of it what this library knows: one of an older minor version ends earlier, and
 * the rest of out_header is 0; one of a newer is longer. */
int layout_check(const void *page, uint64_t got, uint64_t file_bytes, const char *name,
                 struct feed_header *out_header);

/* May this library publish on a bus of that layout? Returns 0, or -EPROTONOSUPPORT naming both. */
int layout_check_publish(const struct feed_header *header);

/* Checks the tables of a mapped feed whose header was checked. */
int layout_check_tables(const struct feed_header *header, const unsigned char *feed);

/* Checks an untrusted control header against feed's. */
int layout_check_control(const struct control_header *control, const struct feed_header *header,
                         uint64_t mapped_bytes);

/* Says whether two headers have the same geometry; if not, names the first difference. */
int layout_same_geometry(const struct feed_header *have, const struct feed_header *want);

/* Bytes that a message can have in its slot. */
static inline uint32_t layout_inline_bytes(const struct feed_header *header)
{
    uint32_t taken = LAYOUT_SLOT_HEADER;
    if (header->features_required & LAYOUT_REQUIRES_TIMESTAMPS)
        taken += LAYOUT_TIMESTAMP;
    return header->slot_bytes - taken;
}

/* The NUMA node that the bus was asked to be on, or -1. */
static inline int32_t layout_asked_node(const struct feed_header *header)
{
    return header->numa == SHMBUS_NUMA_NODE ? (int32_t)header->numa_node : -1;
}

/* Slabs of all classes. */
static inline uint64_t layout_slab_total(const struct feed_header *header)
{
    if (header->class_count == 0)
        return 0;
    const struct layout_class *last = &header->classes[header->class_count - 1];
    return last->first_slab + last->slab_count;
}

/* Words of one consumer's hold bitmap. */
static inline uint64_t layout_hold_words(uint64_t slab_total)
{
    return (slab_total + 63) / 64;
}

/* Clears the words of an entry that only a later minor version knows: who joins does not have them,
 * and 0 says so. */
static inline void layout_clear_unknown(struct control_entry *entry)
{
    unsigned char *bytes = (unsigned char *)entry;
    size_t cold = offsetof(struct control_entry, pid);
    size_t holds = offsetof(struct control_entry, holds);
    size_t hot_end = offsetof(struct control_entry, waiting) + sizeof entry->waiting;
    size_t cold_end = offsetof(struct control_entry, died_epoch) + sizeof entry->died_epoch;
    memset(bytes + hot_end, 0, cold - hot_end);
    memset(bytes + cold_end, 0, holds - cold_end);
}

static inline struct control_entry *layout_entry(void *control, const struct feed_header *header,
                                                 uint32_t index)
{
    unsigned char *first = (unsigned char *)control + header->entries_offset;
    return (struct control_entry *)(void *)(first + (uint64_t)index * header->entry_bytes);
}

#include "layout/layout_fields.h"

#endif
