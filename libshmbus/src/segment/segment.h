/* SPDX-License-Identifier: MIT */
/*
 * The segment of one bus: a folder shmbus.NAME with feed, control and owner, and the mappings that
 * one participant has of them.
 *
 * It is built under a temporary name, whole, and renamed into place: nobody attaches to half of
 * one, and two creators cannot both win. Everything is opened relative to a descriptor of the
 * folder, without following symbolic links. Headers are copied out of the file and checked before
 * anything is mapped by them.
 */
#ifndef SHMBUS_SEGMENT_H
#define SHMBUS_SEGMENT_H

#include "layout/layout.h"

#include <sys/types.h>

/* What one participant has of a segment. Descriptors are -1 and mappings NULL when it has none. */
struct segment {
    struct feed_header header; /* private, checked */
    char name[SHMBUS_NAME_MAX + 1];
    int folder;        /* the bus's folder, to reopen files in for repairs */
    int probe_feed;    /* read-only, for probing producers' life bytes */
    int probe_control; /* read-only, for probing consumers' life bytes */
    unsigned char *feed;
    uint64_t feed_mapped;
    unsigned char *control;
    uint64_t control_mapped;
    unsigned char *owner; /* keeps the lock on owner */
    uint32_t producer;    /* this producer's number */
    int probe_owner;      /* of a producer among many: for probing the others' right to publish */
    uid_t uid;            /* of feed */
    gid_t gid;
    mode_t mode; /* permission bits: r of feed, w of control */
};

#define SEGMENT_PATH_MAX 96                        /* of a folder's name, temporary or not */
#define SEGMENT_HEX_MAX  (2 * LAYOUT_ID_BYTES + 1) /* of an id in digits */

/* How much of a segment to open. */
enum segment_role {
    SEGMENT_LOOK,    /* feed and, where permitted, control, read-only; no lock */
    SEGMENT_OBSERVE, /* feed alone, read-only; no lock */
    SEGMENT_REPAIR,  /* feed read-only, control writable; no lock */
    SEGMENT_CONSUME, /* feed read-only, control as a file to lock */
    SEGMENT_PUBLISH, /* everything, with the producer's locks */
};

/* Makes an empty segment, so that segment_close() is safe from here on. */
void segment_begin(struct segment *segment, const char *name);

/* Unmaps, closes and so unlocks everything. */
void segment_close(struct segment *segment);

/* In the child of a fork, where the mappings are not: forgets them, so that closing only closes. */
void segment_forget(struct segment *segment);

/* A new segment: whole, but under a temporary name until it is given its own. */
struct segment_draft {
    struct segment *segment;
    const struct shmbus_bus_options *options;
    const struct segment *replaced; /* the one that has the name, or NULL */
    int root;
    char path[SEGMENT_PATH_MAX]; /* of the temporary folder, in root; empty: none */
    char
        located[sizeof(((struct feed_locator *)0)->path)]; /* feed on hugetlbfs; empty: in folder */
    uint8_t id[LAYOUT_ID_BYTES];
};

/* Builds a new segment, with the producer's locks held, beside the one that it is to replace, which
 * is open for publishing, or NULL. Returns 0 or an errno with its text; segment_draft_end() follows
 * in any case. */
int segment_draft_begin(struct segment_draft *draft, struct segment *segment,
                        const struct shmbus_bus_options *options, const struct segment *replaced);

/* Gives it its name, in one step with taking that from the one to be replaced, which then says so
 * and is removed. Returns 0, -EEXIST when the name is another's, -ENOENT when the one to be
 * replaced has not got it any more, or another errno with its text. */
int segment_draft_name(struct segment_draft *draft);

/* Removes what has no name. */
void segment_draft_end(struct segment_draft *draft);

/* Opens one that exists, once. Returns 0 or an errno with its text. */
int segment_open(struct segment *segment, const char *folder, enum segment_role role);

/* As segment_open(), but waits for a segment that is not there, for up to wait_ns. */
int segment_open_wait(struct segment *segment, const char *folder, enum segment_role role,
                      int64_t wait_ns);

/* Removes the segment that a name leads to. */
int segment_unlink(const char *name, const char *folder);

/* Maps control through this descriptor, all of it read-only but the shared page and the entry with
 * this index, and gives up the descriptor: the mapping keeps its locks. */
int segment_map_control(struct segment *segment, int descriptor, uint32_t index);

/* Undoes that. */
void segment_unmap_control(struct segment *segment);

/* Maps control read-only, without any lock, for a look at its entries. */
int segment_peek_control(const struct segment *segment, unsigned char **out_control);
void segment_unpeek_control(const struct segment *segment, unsigned char *control);

/* Applies SHMBUS_MAP_PREFAULT and SHMBUS_MAP_LOCK to what is mapped. */
int segment_settle_mapping(struct segment *segment, uint32_t flags);

/* Wakes all that are parked on a bus and wait for its producers; control is mapped writable. */
void segment_wake(const struct segment *segment);

/* ---- parts that the above share ---- */

#define SEGMENT_PREFIX    "shmbus."
#define SEGMENT_TEMPORARY ".shmbus-tmp."

/* The folder of all buses: the one named, or $SHMBUS_DIR, or /dev/shm. */
const char *segment_root_path(const char *folder);
int segment_open_root(const char *folder);

/* Turns errno of a failed call on something of a bus into one of this library's codes. */
int segment_errno(int number, const char *name, const char *what);

/* Reads up to bytes from the start of a file. Returns how many, or a negative errno. */
int64_t segment_read(int descriptor, void *buffer, size_t bytes);

/* Reads the header at the start of feed and checks it: see layout_check(). */
int segment_read_header(int descriptor, uint64_t file_bytes, const char *name,
                        struct feed_header *out_header);

/* Fills in 16 random bytes; the id of this boot, zero where it cannot be had. */
int segment_random(uint8_t *out_bytes);
void segment_boot_id(uint8_t *out_bytes);

/* An id in digits. */
void segment_hex(const uint8_t *id, char *out_text);

/* Does a path in root lead to what this descriptor has open? */
int segment_leads_to(int root, const char *path, int descriptor);

/* Takes the life bytes of all other producers, so that none comes while the descriptor that this
 * returns is open; or -EBUSY when one lives. */
int segment_keep_others_out(const struct segment *segment);

/* Opens owner once more, to take locks of its own. Returns a descriptor or an errno with its text.
 */
int segment_open_owner(const struct segment *segment);

/* Opens feed itself, through its locator when it is on hugetlbfs. Returns a descriptor. */
int segment_open_feed(const struct segment *segment, int flags);

/* Opens control once more, to lock bytes of it for a repair: also when it was removed meanwhile, by
 * way of the descriptor for probing. Returns a descriptor, or -1 with errno. */
int segment_open_control(const struct segment *segment);

/* Removes the files in a bus's folder and the folder itself. The name in root is given. */
void segment_remove_folder(int root, const char *path);

/* Removes temporary folders whose maker is dead. What was replaced says so first. */
void segment_sweep(int root);

/* Says in a segment that it was replaced: its name is another's by now. */
void segment_say_replaced(unsigned char *feed, const struct feed_header *header);

/* Where feed on hugetlbfs goes, and the size of its pages. */
int segment_choose_hugetlbfs(const char *name, const struct shmbus_bus_options *options,
                             char *out_path, size_t room, uint64_t *out_page);

/* The error that the pool of huge pages, or a node's part of it (-1: the whole), has too few for
 * this file. */
int segment_no_huge_pages(const char *name, int descriptor, uint64_t asked, uint64_t page,
                          int node);

/* Writes the locator that leads from the bus's folder to feed on hugetlbfs. */
int segment_write_locator(const struct segment *segment, const uint8_t *id, const char *path);

/* Removes the hugetlbfs file that a folder's locator names, if it is of the same owner and
 * segment. */
void segment_remove_located(int folder);

/* Maps a file shared, not given to children; alignment is a power of two, 0 for none. */
int segment_map(int descriptor, uint64_t bytes, int protection, uint64_t alignment,
                unsigned char **out_address);

/* Where the producer's words and the state are in a mapped feed. */
static inline struct feed_state *segment_state(const struct segment *segment)
{
    return (struct feed_state *)(void *)(segment->feed + segment->header.state.offset);
}

static inline struct producer_entry *segment_producer(const struct segment *segment, uint32_t index)
{
    return (struct producer_entry *)(void *)(segment->feed + segment->header.producers.offset) +
           index;
}

static inline struct layout_verdict *segment_verdicts(const struct segment *segment)
{
    return (struct layout_verdict *)(void *)(segment->feed + segment->header.verdicts.offset);
}

static inline struct control_shared *segment_shared(const struct segment *segment)
{
    return (struct control_shared *)(void *)(segment->control + LAYOUT_PAGE);
}

#endif
