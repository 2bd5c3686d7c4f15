/* SPDX-License-Identifier: MIT */
/*
 * shmbus: messages between the processes of one Linux host through shared memory.
 *
 * Caveats first:
 *  - A required consumer that stops reading stops its producer: that is what "required" means.
 *  - A pointer from a message is good until the consumer moves on (next call of poll or next, or
 *    the end of the callback). Use shmbus_consumer_retain() to keep a message longer.
 *  - A producer or consumer object belongs to one thread at a time and to the process that opened
 *    it: after fork() the child's calls are refused with -ECHILD.
 *  - Members of the group that may consume can stop a bus, and never change a published byte.
 *
 * Conventions. An int result is 0 or a count, or a negative errno out of the set that the
 * function's comment lists; shmbus_error_text() then says what exactly, for the calling thread.
 * Out-parameters are named out_... and are written only on success. Options structs begin with
 * their own size; zero in a field means its default; a struct longer than this library knows whose
 * unknown tail is not all zero is -E2BIG. The library never logs, never exits, leaves errno alone.
 * Times are int64_t nanoseconds: 0 does not wait, SHMBUS_FOREVER waits without limit.
 *
 * Every function's comment has the same fields: Returns, Errors, Ownership, Threads, Blocks. The
 * manual pages are made from them.
 */
#ifndef SHMBUS_SHMBUS_H
#define SHMBUS_SHMBUS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SHMBUS_VERSION_MAJOR 0
#define SHMBUS_VERSION_MINOR 1
#define SHMBUS_VERSION_PATCH 0

#define SHMBUS_API __attribute__((visibility("default")))

/* Limits of every bus. */
#define SHMBUS_NAME_MAX           64               /* characters of a bus's or a consumer's name */
#define SHMBUS_CLASSES_MAX        8                /* size classes of a pool */
#define SHMBUS_CONSUMERS_MAX      1024             /* entries for consumers */
#define SHMBUS_PRODUCERS_MAX      64               /* producers at once */
#define SHMBUS_AFTER_MAX          8                /* consumers that one runs after */
#define SHMBUS_SELECTOR_MAX       128              /* consumers of one selector */
#define SHMBUS_CAPACITY_MIN       16               /* slots */
#define SHMBUS_CAPACITY_MAX       16777216         /* slots */
#define SHMBUS_SLOT_BYTES_MIN     32               /* bytes, 16 of them header */
#define SHMBUS_SLOT_BYTES_MAX     4096             /* bytes */
#define SHMBUS_SLAB_BYTES_MAX     1073741824       /* bytes */
#define SHMBUS_SLABS_MAX          268435456        /* slabs of one class */
#define SHMBUS_FIRST_SEQUENCE_MAX (UINT64_MAX / 2) /* greatest first sequence */
#define SHMBUS_SKIP_MAX           (UINT64_MAX >> 10) /* sequences that one call leaves out */
#define SHMBUS_NODES_MAX          64                 /* NUMA nodes that a report has room for */

#define SHMBUS_FOREVER (-1) /* a timeout without limit */

/* Flags of a message. The low byte is the publisher's; the rest is the library's. */
#define SHMBUS_MESSAGE_USER_FLAGS 0x00ffu
#define SHMBUS_MESSAGE_POOLED     0x0100u /* the payload is in a slab */

#define SHMBUS_TYPES_MAX       1024 /* registered types of a bus */
#define SHMBUS_REQUIRED_MAX    1024 /* names that may be required */
#define SHMBUS_TYPE_FIELDS_MAX 943  /* characters of a type's list of fields */

struct shmbus_producer;
struct shmbus_consumer;
struct shmbus_selector;
struct shmbus_snapshot;

/* ---------------------------------------------------------------------------------------------
 * Errors
 * ------------------------------------------------------------------------------------------- */

/**
 * Names the version of the library that is running.
 *
 * Returns: a constant string, "MAJOR.MINOR.PATCH".
 * Errors: none.
 * Ownership: the library's; never free it.
 * Threads: any.
 * Blocks: never; allocates nothing.
 */
SHMBUS_API const char *shmbus_version(void);

/**
 * Says in a few words what an error code of this library means.
 *
 * @param error  a negative errno as a call returned it, or the positive one.
 *
 * Returns: a constant string; "unknown error" for a code that this library never returns.
 * Errors: none.
 * Ownership: the library's; never free it.
 * Threads: any.
 * Blocks: never; allocates nothing.
 */
SHMBUS_API const char *shmbus_strerror(int error);

/**
 * Says what exactly was wrong with the calling thread's last call that failed: the thing, both
 * sides of a mismatch, and what to do where that is known.
 *
 * Returns: a string of at most 511 characters, empty if no call of this thread failed yet.
 * Errors: none.
 * Ownership: the library's, one for each thread; good until that thread's next failing call.
 * Threads: any.
 * Blocks: never; allocates nothing.
 */
SHMBUS_API const char *shmbus_error_text(void);

/* ---------------------------------------------------------------------------------------------
 * Waiting
 * ------------------------------------------------------------------------------------------- */

/* What a call that waits does until what it waits for is there. */
enum shmbus_wait_strategy {
    SHMBUS_WAIT_ADAPTIVE = 0, /* spin, then yield, then park */
    SHMBUS_WAIT_SPIN = 1,     /* spin: the shortest delay, for a core of its own */
    SHMBUS_WAIT_YIELD = 2,    /* spin, then yield */
    SHMBUS_WAIT_PARK = 3,     /* park at once: costs the other side a system call to wake it */
};

/* How a participant waits. All zero: adaptive, with the defaults. Who may not park sleeps instead,
 * in slices of up to a millisecond: an observer, anybody on a bus with SHMBUS_BUS_NO_PARK, and a
 * process that the kernel refuses membarrier(2). */
struct shmbus_wait {
    uint32_t strategy; /* enum shmbus_wait_strategy */
    uint32_t spins;    /* yield, adaptive: looks before it yields, 8 PAUSEs apart; 0: 400 */
    uint32_t yields;   /* adaptive: of the core, before it parks; 0: 16 */
    uint32_t unused;   /* 0 */
    int64_t slice_ns;  /* between two looks at who lives, 1 ms to 1 s; 0: 20 ms */
};

/* ---------------------------------------------------------------------------------------------
 * A bus
 * ------------------------------------------------------------------------------------------- */

/* Where the pages of feed and control are to be. */
enum shmbus_numa {
    SHMBUS_NUMA_NONE = 0,       /* wherever the kernel puts them */
    SHMBUS_NUMA_LOCAL = 1,      /* the creating thread's node; no error without NUMA support */
    SHMBUS_NUMA_INTERLEAVE = 2, /* page by page over all nodes */
    SHMBUS_NUMA_NODE = 3,       /* the node that numa_node names */
};

/* How large the pages of feed are to be. */
enum shmbus_pages {
    SHMBUS_PAGES_BASE = 0,    /* the machine's base page, 4 KiB on x86 */
    SHMBUS_PAGES_THP = 1,     /* transparent huge pages where the kernel gives them */
    SHMBUS_PAGES_HUGETLB = 2, /* from the huge page pool, through a hugetlbfs folder */
};

/* One size class of the pool. */
struct shmbus_pool_class {
    uint64_t slab_bytes; /* 64 to SHMBUS_SLAB_BYTES_MAX; rounded up to 64, from 4 KiB up to 4 KiB */
    uint64_t slab_count; /* 1 to SHMBUS_SLABS_MAX in all; of each producer */
};

/* Flags of a bus and of one mapping of it. */
#define SHMBUS_BUS_TIMESTAMPS 0x1u   /* each message carries its publish time */
#define SHMBUS_BUS_NO_POOL    0x2u   /* no pool at all; class_count must be 0 */
#define SHMBUS_BUS_SCRUB      0x4u   /* zero each slab as it comes back to the free list */
#define SHMBUS_BUS_EVICT      0x8u   /* a stalled required consumer that blocks is evicted */
#define SHMBUS_BUS_REPLACE    0x10u  /* create: replace a bus of other geometry that nobody owns */
#define SHMBUS_BUS_NO_PARK    0x20u  /* nobody parks on it: whoever waits long sleeps in slices */
#define SHMBUS_MAP_PREFAULT   0x100u /* fill this mapping's page tables at open */
#define SHMBUS_MAP_LOCK       0x200u /* mlock this mapping */

/* Who may be a required consumer, which can stop production. */
enum shmbus_required_rule {
    SHMBUS_REQUIRED_ANYONE = 0, /* whoever may consume */
    SHMBUS_REQUIRED_NOBODY = 1,
    SHMBUS_REQUIRED_NAMED = 2, /* those whose name is on the bus's list */
};

/* A type of message, registered with the bus so that any program can read it. */
struct shmbus_type {
    uint16_t type;      /* its number in messages */
    uint16_t unused;    /* 0 */
    uint32_t bytes;     /* length of a message of this type; 0: it varies */
    const char *name;   /* as a bus's name */
    const char *fields; /* names and numpy's types, "price:<i8,qty:<i8,side:u1"; NULL: none given */
};

/* The geometry of a bus: what it is made with, and what it must have to be taken over. */
struct shmbus_bus_options {
    size_t struct_bytes;    /* sizeof(struct shmbus_bus_options) */
    const char *folder;     /* NULL: $SHMBUS_DIR, and without that /dev/shm */
    uint64_t capacity;      /* slots, a power of two; 0: 65,536 */
    uint32_t slot_bytes;    /* bytes, a power of two; 0: 64 */
    uint32_t max_consumers; /* entries; 0: 64 */
    uint32_t class_count;   /* classes in use; 0: 1024:4096, 16384:512, 262144:16 */
    uint32_t flags;         /* SHMBUS_BUS_... and SHMBUS_MAP_... */
    struct shmbus_pool_class classes[SHMBUS_CLASSES_MAX]; /* rising slab_bytes */
    uint32_t mode;              /* permission bits: r may observe, w may consume; 0: 0600 */
    uint32_t numa;              /* enum shmbus_numa */
    uint32_t numa_node;         /* with SHMBUS_NUMA_NODE */
    uint32_t pages;             /* enum shmbus_pages */
    const char *group;          /* name or number; NULL: the creator's */
    const char *hugetlb_folder; /* a hugetlbfs folder; NULL: the first one mounted */
    uint64_t first_sequence;    /* of the first message; at most SHMBUS_FIRST_SEQUENCE_MAX */
    uint64_t history;           /* messages kept for those that join late; less than capacity */
    int64_t stall_ns;           /* no progress for so long is stalled; 0: one second */
    const struct shmbus_type *types;   /* type_count of them, each number once */
    const char *const *required_names; /* with SHMBUS_REQUIRED_NAMED: required_count of them */
    uint32_t type_count;
    uint32_t required_count;
    uint32_t required_rule; /* enum shmbus_required_rule */
    uint32_t max_producers; /* at once; 0 or 1: one. slab_count is for each */
};

/**
 * Removes a bus by name. Those that are attached keep what they have mapped.
 *
 * @param name    the bus's name: 1 to SHMBUS_NAME_MAX of [A-Za-z0-9._-], no leading dot.
 * @param folder  where the bus lives; NULL: $SHMBUS_DIR, and without that /dev/shm.
 *
 * Returns: 0.
 * Errors: -EINVAL bad name; -ENOENT no such bus, or no such folder of buses; -ENOTDIR that is no
 *         folder; -EBUSY a living producer owns it; -EBADMSG what has the bus's name is no folder
 *         and is left alone; -EACCES or -EPERM not allowed; -EMFILE, -ENFILE no descriptor; -EIO
 *         the file system failed.
 * Ownership: none.
 * Threads: any.
 * Blocks: not beyond file system calls.
 */
SHMBUS_API int shmbus_unlink(const char *name, const char *folder);

/**
 * Repairs by hand what the dead left: entries of consumers that died, or whose grace is over.
 * Whoever may consume may do it; the living do it by themselves when they need what is left.
 *
 * @param name    the bus's name.
 * @param folder  where the bus lives; NULL: $SHMBUS_DIR, and without that /dev/shm.
 *
 * Returns: how many entries were repaired.
 * Errors: as shmbus_consumer_open() for a bus that cannot be opened.
 * Ownership: none.
 * Threads: any.
 * Blocks: not beyond file system calls.
 */
SHMBUS_API int shmbus_reap(const char *name, const char *folder);

/* ---------------------------------------------------------------------------------------------
 * Producer
 * ------------------------------------------------------------------------------------------- */

/* How a required consumer is doing, as its producer sees it. */
enum shmbus_health_state {
    SHMBUS_HEALTH_WELL = 0,    /* has nothing that it may read, or goes on */
    SHMBUS_HEALTH_STALLED = 1, /* has messages to read, and did not go on for stall_ns */
    SHMBUS_HEALTH_GRACE = 2,   /* died, and its place is kept for a while */
    SHMBUS_HEALTH_DEAD = 3,    /* died; no longer gates */
    SHMBUS_HEALTH_EVICTED = 4, /* was stalled, or its words were forged; no longer gates */
};

/* One required consumer's health. */
struct shmbus_health {
    char name[SHMBUS_NAME_MAX + 1];
    uint32_t entry;   /* its index in control */
    uint32_t state;   /* enum shmbus_health_state */
    uint32_t before;  /* in a callback: the state that it had */
    uint64_t cursor;  /* the next sequence that it will read */
    uint64_t lag;     /* messages that it has to read */
    int64_t since_ns; /* how long it did not go on; 0 when it has nothing that it may read */
};

/* How a producer behaves. */
struct shmbus_producer_options {
    size_t struct_bytes;     /* sizeof(struct shmbus_producer_options) */
    int64_t full_timeout_ns; /* how long a full ring or pool is waited for; 0: fail at once */
    /* Called, in the producer's own thread, each time that a class has no slab left. Must not call
     * into the same producer. NULL: nobody. */
    void (*on_exhausted)(void *context, uint32_t class_index, uint64_t exhausted);
    void *context; /* handed to the callbacks */
    /* Called, in the producer's own thread, when a waiting call or shmbus_producer_health() finds
     * that a required consumer's health has changed. Must not call into the same producer. */
    void (*on_health)(void *context, const struct shmbus_health *health);
    struct shmbus_wait wait; /* how its calls wait */
};

/* A place lent for one message. */
struct shmbus_claim {
    void *data;        /* where the payload goes: 8-byte aligned; a slab is 64-byte aligned */
    uint64_t sequence; /* that the message will have; among many it stops them until it is ended */
    uint64_t handle;   /* of the slab, or 0 for a payload in the slot */
    uint32_t length;   /* bytes asked for; may be lowered before commit */
    uint32_t room;     /* bytes that there are */
};

/* One message of a batch to be copied in. */
struct shmbus_outgoing {
    const void *data; /* payload; may be NULL when length is 0 */
    uint32_t length;  /* bytes */
    uint16_t type;    /* any number: the bus's users agree on it */
    uint16_t flags;   /* within SHMBUS_MESSAGE_USER_FLAGS */
};

/* A slab acquired by hand. */
struct shmbus_slab {
    void *data;      /* its first byte, 64-byte aligned (page aligned from 4 KiB up) */
    uint64_t handle; /* what to publish and to release */
    uint64_t bytes;  /* its size */
};

/* The counts of one size class. */
struct shmbus_pool_stats {
    uint64_t slab_bytes; /* bytes of a slab */
    uint64_t slab_count; /* slabs of the class */
    uint64_t acquired;   /* slabs ever taken from the free list */
    uint64_t released;   /* slabs ever put back */
    uint64_t in_use;     /* acquired - released */
    uint64_t held;       /* of those in use, kept by some consumer's hold */
    uint64_t high_water; /* the most that were ever in use */
    uint64_t exhausted;  /* times that no slab was left */
};

/* Where a mapping's pages are, as the kernel has them. */
struct shmbus_placement {
    uint64_t
        page_bytes; /* the size of feed's pages as they are: the largest that feed has any of */
    uint64_t huge_bytes; /* how much of feed is in pages larger than the base page */
    uint32_t numa_known; /* 1 if the kernel answered where the pages are, else 0 */
    uint32_t node_count; /* used length of pages_by_node */
    uint64_t pages_by_node[SHMBUS_NODES_MAX]; /* base pages of feed and control on each node */
    uint64_t pages_elsewhere; /* not present, or on a node beyond SHMBUS_NODES_MAX */
};

/**
 * Creates a bus and opens it for publishing; or takes over the one of that name that has no living
 * producer, if its geometry is the one asked for, and goes on at its next sequence. With
 * max_producers above 1 it joins the living, up to so many. With SHMBUS_BUS_REPLACE one of other
 * geometry is replaced: the new bus is made whole beside it, which needs room for both, and takes
 * its name in one step. If that fails the old one is as it was. Those that are attached to the old
 * one read it to its end and then get -ESTALE; if this process dies over it, they do when somebody
 * publishes on the new one or creates another bus.
 *
 * @param name      the bus's name: 1 to SHMBUS_NAME_MAX of [A-Za-z0-9._-], no leading dot.
 * @param bus       its geometry; NULL: all defaults.
 * @param options   the producer's behaviour; NULL: all defaults.
 * @param out_producer  receives the producer.
 *
 * Returns: 0.
 * Errors: -EINVAL a name or option is out of range (named in the text); -E2BIG options of a newer
 *         library; -EBUSY a living producer owns the name; -EUSERS as many as max_producers do;
 *         -EEXIST there is a bus of that name with other geometry, both named; -ENOSPC no room
 *         (beside the one that is to be replaced), with what was asked and what is left;
 *         -ENOMEM no memory (of the node, the memory cgroup, the huge page pool, the process);
 *         -ENXIO no such NUMA node, those that there are named; -ENOTSUP no NUMA or huge page
 *         support for an explicit wish; -ENOENT, -ENOTDIR there is no such folder of buses;
 *         -EACCES, -EPERM not allowed; -EMFILE, -ENFILE no descriptor; -EPROTO, -EPROTONOSUPPORT,
 *         -EBADMSG, -ESTALE the bus that is there cannot be used (as for shmbus_consumer_open);
 *         -EIO the file system failed.
 * Ownership: the producer is the caller's, to be ended with shmbus_producer_close().
 * Threads: any; the producer then belongs to one thread at a time.
 * Blocks: allocates, and touches every page of the bus.
 */
SHMBUS_API int shmbus_producer_create(const char *name, const struct shmbus_bus_options *bus,
                                      const struct shmbus_producer_options *options,
                                      struct shmbus_producer **out_producer);

/**
 * Opens for publishing a bus that exists and has no living producer, with the geometry that it has,
 * and goes on at its next sequence.
 *
 * @param name      the bus's name.
 * @param folder    where the bus lives; NULL: $SHMBUS_DIR, and without that /dev/shm.
 * @param options   the producer's behaviour; NULL: all defaults.
 * @param wait_ns   how long to wait for a bus that is not there yet.
 * @param out_producer  receives the producer.
 *
 * Returns: 0.
 * Errors: as shmbus_producer_create(); -ENOENT no such bus (after wait_ns).
 * Ownership: the producer is the caller's, to be ended with shmbus_producer_close().
 * Threads: any; the producer then belongs to one thread at a time.
 * Blocks: for up to wait_ns; allocates.
 */
SHMBUS_API int shmbus_producer_open(const char *name, const char *folder,
                                    const struct shmbus_producer_options *options, int64_t wait_ns,
                                    struct shmbus_producer **out_producer);

/**
 * Says in the segment that the stream has ended, gives up the bus and frees the producer. The bus
 * stays until shmbus_unlink(); consumers read to its end and then get -EPIPE. An open claim is
 * aborted, acquired slabs are given back.
 *
 * @param producer  may be NULL, which does nothing.
 *
 * Returns: nothing.
 * Errors: none.
 * Ownership: the producer and all that it lent are gone.
 * Threads: the one that owns the producer.
 * Blocks: does not wait for consumers: see shmbus_producer_flush().
 */
SHMBUS_API void shmbus_producer_close(struct shmbus_producer *producer);

/**
 * Lends a writable place for the next message: in its slot if length fits there, else in a slab of
 * the smallest class that fits. One claim is open at a time; fill it, then commit or abort it.
 *
 * @param producer  the producer.
 * @param length    bytes of payload, 0 to the largest slab's size.
 * @param out_claim receives the place.
 *
 * Returns: 0.
 * Errors: -EMSGSIZE longer than the largest slab, which the text names; -EAGAIN the ring is full
 *         (after full_timeout_ns); -ENOBUFS no slab left in the class (after full_timeout_ns);
 *         -EBUSY a claim is open already, or another thread is inside (debug builds); -ECHILD the
 *         producer is another process's.
 * Ownership: the place is lent until commit or abort.
 * Threads: the one that owns the producer.
 * Blocks: only when ring or pool is full, up to full_timeout_ns. Allocates nothing.
 */
SHMBUS_API int shmbus_producer_claim(struct shmbus_producer *producer, uint32_t length,
                                     struct shmbus_claim *out_claim);

/**
 * Publishes the open claim: consumers see it at once.
 *
 * @param producer  the producer.
 * @param claim     as shmbus_producer_claim() gave it; its length may be lowered.
 * @param type      the message's type, any number.
 * @param flags     within SHMBUS_MESSAGE_USER_FLAGS.
 *
 * Returns: 0.
 * Errors: -EINVAL not the open claim, a length that was raised, or flags out of range; the claim
 *         then stays open. -EBUSY another thread is inside (debug builds); -ECHILD the producer is
 *         another process's.
 * Ownership: the place goes back to the bus; do not touch it any more.
 * Threads: the one that owns the producer.
 * Blocks: never; allocates nothing; no system call.
 */
SHMBUS_API int shmbus_producer_commit(struct shmbus_producer *producer,
                                      const struct shmbus_claim *claim, uint16_t type,
                                      uint16_t flags);

/**
 * Gives the open claim back unpublished. Its sequence goes to the next message.
 *
 * @param producer  the producer.
 * @param claim     as shmbus_producer_claim() gave it.
 *
 * Returns: 0.
 * Errors: -EINVAL not the open claim; -EBUSY another thread is inside (debug builds); -ECHILD the
 *         producer is another process's.
 * Ownership: the place goes back to the bus.
 * Threads: the one that owns the producer.
 * Blocks: never; allocates nothing; no system call.
 */
SHMBUS_API int shmbus_producer_abort(struct shmbus_producer *producer,
                                     const struct shmbus_claim *claim);

/**
 * Publishes a copy of a payload: claim, copy and commit in one call.
 *
 * @param producer  the producer.
 * @param type      the message's type, any number.
 * @param flags     within SHMBUS_MESSAGE_USER_FLAGS.
 * @param data      the payload; may be NULL when length is 0.
 * @param length    bytes, 0 to the largest slab's size.
 *
 * Returns: 0.
 * Errors: as shmbus_producer_claim(); -EINVAL flags out of range.
 * Ownership: data stays the caller's.
 * Threads: the one that owns the producer.
 * Blocks: only when ring or pool is full, up to full_timeout_ns. Allocates nothing.
 */
SHMBUS_API int shmbus_producer_publish(struct shmbus_producer *producer, uint16_t type,
                                       uint16_t flags, const void *data, uint32_t length);

/**
 * Publishes copies of several payloads in order, releasing them to consumers together: the first
 * one's stamp is stored last. A batch that does not fit the room that there is is released in as
 * few parts as that takes.
 *
 * @param producer  the producer.
 * @param messages  count of them.
 * @param count     how many; 0 does nothing.
 *
 * Returns: how many were published: all, or those before one that failed.
 * Errors: as shmbus_producer_publish(), if not even the first was published; -EINVAL also for a
 *         count above INT_MAX.
 * Ownership: the payloads stay the caller's.
 * Threads: the one that owns the producer.
 * Blocks: only when ring or pool is full, up to full_timeout_ns. Allocates nothing.
 */
SHMBUS_API int shmbus_producer_publish_batch(struct shmbus_producer *producer,
                                             const struct shmbus_outgoing *messages, size_t count);

/**
 * Acquires slabs by hand: all of them or none.
 *
 * @param producer  the producer.
 * @param bytes     the least size; the smallest class that fits is used.
 * @param count     how many, at least 1.
 * @param out_slabs receives count slabs.
 *
 * Returns: 0.
 * Errors: -EMSGSIZE larger than the largest slab; -ENOBUFS not as many left (after
 *         full_timeout_ns); -EINVAL count is 0 or more than the class has; -EBUSY another thread is
 *         inside (debug builds); -ECHILD the producer is another process's.
 * Ownership: the slabs are the caller's until shmbus_producer_slab_release(), however often they
 *         are published; while a published message may still be read, do not change them.
 * Threads: the one that owns the producer.
 * Blocks: only when the pool is exhausted, up to full_timeout_ns. Allocates nothing.
 */
SHMBUS_API int shmbus_producer_slab_acquire(struct shmbus_producer *producer, uint64_t bytes,
                                            uint32_t count, struct shmbus_slab *out_slabs);

/**
 * Publishes the content of an acquired slab, which stays acquired and can be published again.
 *
 * @param producer  the producer.
 * @param handle    of the slab.
 * @param length    bytes of payload from the slab's start, at most its size.
 * @param type      the message's type, any number.
 * @param flags     within SHMBUS_MESSAGE_USER_FLAGS.
 *
 * Returns: 0.
 * Errors: -EINVAL flags out of range or length beyond the slab; -ESTALE not the handle of a slab
 *         that is acquired; -EAGAIN the ring is full (after full_timeout_ns); -EBUSY a claim is
 *         open, or another thread is inside (debug builds); -ECHILD the producer is another
 *         process's.
 * Ownership: unchanged.
 * Threads: the one that owns the producer.
 * Blocks: only when the ring is full, up to full_timeout_ns. Allocates nothing.
 */
SHMBUS_API int shmbus_producer_slab_publish(struct shmbus_producer *producer, uint64_t handle,
                                            uint32_t length, uint16_t type, uint16_t flags);

/**
 * Gives an acquired slab back. What was published of it stays whole until every required consumer
 * is past it and nobody holds it; one never published is free at once.
 *
 * @param producer  the producer.
 * @param handle    of the slab.
 *
 * Returns: 0.
 * Errors: -ESTALE not the handle of a slab that is acquired: released before, forged, or stale;
 *         -EBUSY another thread is inside (debug builds); -ECHILD the producer is another
 * process's. Ownership: the slab is the bus's again. Threads: the one that owns the producer.
 * Blocks: never; allocates nothing.
 */
SHMBUS_API int shmbus_producer_slab_release(struct shmbus_producer *producer, uint64_t handle);

/**
 * Waits until every required consumer has consumed all that was published.
 *
 * @param producer    the producer.
 * @param timeout_ns  how long at most.
 *
 * Returns: 0; at once when there is no required consumer.
 * Errors: -ETIMEDOUT; -EBUSY a claim is open, or another thread is inside (debug builds); -ECHILD
 *         the producer is another process's.
 * Ownership: none.
 * Threads: the one that owns the producer.
 * Blocks: up to timeout_ns; a consumer that dies meanwhile is not waited for.
 */
SHMBUS_API int shmbus_producer_flush(struct shmbus_producer *producer, int64_t timeout_ns);

/**
 * Waits until every required consumer has consumed one message.
 *
 * @param producer    the producer.
 * @param sequence    the message's sequence.
 * @param timeout_ns  how long at most.
 *
 * Returns: 0.
 * Errors: -EINVAL that sequence is not published yet; else as shmbus_producer_flush().
 * Ownership: none.
 * Threads: the one that owns the producer.
 * Blocks: up to timeout_ns; a consumer that dies meanwhile is not waited for.
 */
SHMBUS_API int shmbus_producer_wait_consumed(struct shmbus_producer *producer, uint64_t sequence,
                                             int64_t timeout_ns);

/**
 * Tells the sequence that the next message will have. Among many producers, the first one that this
 * producer does not know to be taken: right after it published, the one after its own message.
 *
 * @param producer  the producer.
 *
 * Returns: the sequence.
 * Errors: none.
 * Ownership: none.
 * Threads: the one that owns the producer.
 * Blocks: never; allocates nothing; no system call.
 */
SHMBUS_API uint64_t shmbus_producer_next_sequence(const struct shmbus_producer *producer);

/**
 * Counts the required consumers that gate this producer now, and finds the slowest.
 *
 * @param producer  the producer.
 * @param out_lag   receives how many messages the slowest is behind, 0 without one; may be NULL.
 *
 * Returns: how many there are.
 * Errors: -EBUSY another thread is inside (debug builds); -ECHILD the producer is another
 * process's. Ownership: none. Threads: the one that owns the producer. Blocks: never; allocates
 * nothing; no system call.
 */
SHMBUS_API int shmbus_producer_required(struct shmbus_producer *producer, uint64_t *out_lag);

/**
 * Leaves sequences out on purpose: a replay or a bridge has gaps. Consumers are told of them as
 * lost. All of them are left out, or none. After a gap of more than a quarter ring the next message
 * waits, as for a full ring, until every required consumer is past the gap.
 *
 * @param producer  the producer.
 * @param count     how many sequences, at most SHMBUS_SKIP_MAX; 0 does nothing.
 *
 * Returns: 0.
 * Errors: -EINVAL more than that, or the sequences would end; -EAGAIN the ring is full (after
 *         full_timeout_ns): nothing was left out; -ENOTSUP the bus is one of many producers; -EBUSY
 * a claim is open, or another thread is inside (debug builds); -ECHILD the producer is another
 *         process's.
 * Ownership: none.
 * Threads: the one that owns the producer.
 * Blocks: only when the ring is full, up to full_timeout_ns. Allocates nothing.
 */
SHMBUS_API int shmbus_producer_skip(struct shmbus_producer *producer, uint64_t count);

/**
 * Looks at the health of every required consumer, and calls on_health for those that changed, also
 * for one that it saw before and that died, whoever repaired what it left.
 *
 * @param producer    the producer.
 * @param out_health  receives up to room of them, in the order of their entries; may be NULL when
 *                    room is 0.
 * @param room        how many fit.
 *
 * Returns: how many required consumers there are, whether they fit or not.
 * Errors: -EBUSY another thread is inside (debug builds); -ECHILD the producer is another
 * process's. Ownership: none. Threads: the one that owns the producer. Blocks: not beyond a system
 * call for each consumer; allocates nothing.
 */
SHMBUS_API int shmbus_producer_health(struct shmbus_producer *producer,
                                      struct shmbus_health *out_health, uint32_t room);

/**
 * Reads the counts of one size class.
 *
 * @param producer     the producer.
 * @param class_index  0 to the number of classes less 1.
 * @param out_stats    receives the counts.
 *
 * Returns: 0.
 * Errors: -EINVAL no such class; -EBUSY another thread is inside (debug builds); -ECHILD the
 *         producer is another process's.
 * Ownership: none.
 * Threads: the one that owns the producer.
 * Blocks: never; allocates nothing; no system call.
 */
SHMBUS_API int shmbus_producer_pool_stats(struct shmbus_producer *producer, uint32_t class_index,
                                          struct shmbus_pool_stats *out_stats);

/**
 * Asks the kernel where the bus's pages are and how large.
 *
 * @param producer       the producer.
 * @param out_placement  receives the answer.
 *
 * Returns: 0.
 * Errors: -ECHILD the producer is another process's; -ENOMEM; -EBUSY another thread is inside
 *         (debug builds).
 * Ownership: none.
 * Threads: the one that owns the producer.
 * Blocks: system calls for every page; allocates.
 */
SHMBUS_API int shmbus_producer_placement(struct shmbus_producer *producer,
                                         struct shmbus_placement *out_placement);

/* ---------------------------------------------------------------------------------------------
 * Variable-sized content inside a claim or slab: a bump arena
 * ------------------------------------------------------------------------------------------- */

/* A bump arena over memory that somebody else owns. Offsets count from its first byte. */
struct shmbus_arena {
    unsigned char *base; /* first byte */
    uint32_t room;       /* bytes in all */
    uint32_t used;       /* bytes given out, padding included: the message's length at the end */
};

/**
 * Begins an arena over the place that a claim lends, or any other memory.
 *
 * @param arena  the arena.
 * @param data   its first byte, 8-byte aligned.
 * @param room   its size in bytes.
 *
 * Returns: 0.
 * Errors: -EINVAL data is NULL or not aligned.
 * Ownership: data stays the caller's.
 * Threads: the one that owns the memory.
 * Blocks: never; allocates nothing.
 */
SHMBUS_API int shmbus_arena_begin(struct shmbus_arena *arena, void *data, uint32_t room);

/**
 * Takes the next aligned block out of an arena.
 *
 * @param arena       the arena.
 * @param bytes       the block's size; 0 gives an offset and takes nothing but padding.
 * @param alignment   a power of two up to 64; beyond 8 the arena's own start must have it too.
 * @param out_offset  receives the block's offset from the arena's first byte, to be sent along.
 *
 * Returns: 0.
 * Errors: -ENOSPC it does not fit: nothing was taken; -EINVAL alignment out of range.
 * Ownership: the block is part of the arena.
 * Threads: the one that owns the memory.
 * Blocks: never; allocates nothing.
 */
SHMBUS_API int shmbus_arena_take(struct shmbus_arena *arena, uint32_t bytes, uint32_t alignment,
                                 uint32_t *out_offset);

/* ---------------------------------------------------------------------------------------------
 * Consumer
 * ------------------------------------------------------------------------------------------- */

/* What a consumer may ask of the producer. */
enum shmbus_kind {
    SHMBUS_OPTIONAL = 0, /* is skipped ahead when it lags */
    SHMBUS_REQUIRED = 1, /* gates the producer */
    SHMBUS_OBSERVER = 2, /* opens only feed, leaves no trace */
};

#define SHMBUS_JOIN_MOVE_UP 0x1000u /* a from_sequence that is too old begins at the oldest */

/* For throughput: a consumer that has caught up takes from the producer's processor each line that
 * is being written. With this flag it stays some 64 to 128 slots behind while more is coming: poll
 * and next give 0 once when no more than that is there, and read it when they are called again;
 * wait rests for 5 microseconds in between. */
#define SHMBUS_READ_STAND_OFF 0x2000u

/* Where a consumer begins. */
enum shmbus_from {
    SHMBUS_FROM_TAIL = 0,     /* with the next message */
    SHMBUS_FROM_OLDEST = 1,   /* with the oldest that is whole */
    SHMBUS_FROM_SEQUENCE = 2, /* with the one that from_sequence names */
};

/* What a consumer is told besides messages. */
enum shmbus_event_kind {
    SHMBUS_EVENT_LOST = 1, /* sequences that it will never see: it lagged, or they were skipped */
    SHMBUS_EVENT_ABORTED = 2,    /* sequences whose claims were never published */
    SHMBUS_EVENT_DEADLINE = 3,   /* no message for deadline_ns; once until the next message */
    SHMBUS_EVENT_AFTER_GONE = 4, /* nobody is there any more of a name that it runs after */
    SHMBUS_EVENT_AFTER_BACK = 5, /* with SHMBUS_AFTER_WAIT: somebody is again */
};

/* An event, in the order of the stream: before the message that follows it. */
struct shmbus_event {
    uint32_t kind;   /* enum shmbus_event_kind */
    uint32_t unused; /* 0 */
    uint64_t first; /* sequence; of a deadline the one that is waited for; of SHMBUS_EVENT_AFTER_...
                       the name's index in after */
    uint64_t count; /* sequences from first on; 0 of a deadline and of SHMBUS_EVENT_AFTER_... */
};

/* What becomes of one that runs after another when that one is gone, or is not there yet. */
enum shmbus_after_gone {
    SHMBUS_AFTER_WAIT = 0,  /* it waits until one of that name is there, and then runs after that */
    SHMBUS_AFTER_GO_ON = 1, /* it goes on for good as if the other had passed everything */
};

/* How a consumer attaches. hold_quota bounds what it keeps of the pool: each handle keeps at most
 * one slab. The message that is being read has no handle and keeps its slab too, so that one more
 * is to be reckoned with for each consumer. */
struct shmbus_consumer_options {
    size_t struct_bytes;    /* sizeof(struct shmbus_consumer_options) */
    const char *folder;     /* NULL: $SHMBUS_DIR, and without that /dev/shm */
    const char *name;       /* shown by shmbus-stat, as a bus's name; NULL: the process's */
    uint32_t kind;          /* enum shmbus_kind */
    uint32_t from;          /* enum shmbus_from */
    uint64_t from_sequence; /* with SHMBUS_FROM_SEQUENCE */
    int64_t wait_ns;        /* how long to wait for a bus that is not there yet */
    uint32_t hold_quota;    /* the most handles at one time; 0: 1,024 */
    uint32_t flags;         /* SHMBUS_MAP_..., SHMBUS_JOIN_... and SHMBUS_READ_... */
    uint64_t slack;         /* optional: messages behind from which it is skipped ahead; 0: a lap */
    int64_t deadline_ns;    /* an event when no message came for so long; 0: none */
    int64_t grace_ns;       /* required, with a name: how long its place is kept if it dies */
    const uint16_t *types;  /* the types wanted, type_count of them; NULL: all */
    const struct shmbus_type *expected; /* layouts that the bus must have, expected_count of them */
    uint32_t type_count;
    uint32_t expected_count;
    /* Called, in the consumer's own thread and from its own calls. Must not call into the same
     * consumer. NULL: nobody. */
    void (*on_event)(void *context, const struct shmbus_event *event);
    void *context;            /* handed to on_event */
    struct shmbus_wait wait;  /* how its calls wait */
    const char *const *after; /* required: names of required ones that it runs after, after_count */
    uint32_t after_count;     /* at most SHMBUS_AFTER_MAX */
    uint32_t after_gone;      /* enum shmbus_after_gone */
};

/* A message as a consumer sees it. */
struct shmbus_message {
    const void *data;     /* payload, in place; 8-byte aligned, 64 in a slab */
    uint64_t sequence;    /* its number on the bus */
    int64_t timestamp_ns; /* CLOCK_MONOTONIC at publishing; 0 on a bus without timestamps */
    uint64_t handle;      /* of its slab, or 0 */
    uint32_t length;      /* bytes of payload */
    uint16_t type;        /* as published */
    uint16_t flags;       /* the publisher's, and SHMBUS_MESSAGE_POOLED */
};

/* A callback for one message: 0 goes on, anything else ends the poll after this message. */
typedef int shmbus_handler(const struct shmbus_message *message, void *context);

/* The counts of one consumer. */
struct shmbus_consumer_stats {
    uint64_t cursor;   /* the next sequence that it will read */
    uint64_t received; /* messages handed out */
    uint64_t lost;     /* never seen: it lagged, or they were skipped on purpose */
    uint64_t filtered; /* of a type that it does not want */
    uint64_t aborted;  /* claims that were never published */
    uint64_t held;     /* handles that it keeps now */
    uint64_t resumed;  /* 1 if it goes on at the place that one of its name left, else 0 */
    uint64_t trusted;  /* messages below were read in time; after -ESTALE those from here on, up to
                        * cursor, are not to be trusted */
};

/**
 * Attaches to a bus.
 *
 * @param name     the bus's name.
 * @param options  how; NULL: all defaults.
 * @param out_consumer  receives the consumer.
 *
 * Returns: 0.
 * Errors: -EINVAL a name or option is out of range; -E2BIG options of a newer library; -ENOENT no
 *         such bus (after wait_ns); -EACCES, -EPERM not allowed, with who may; -EUSERS every entry
 *         is taken, or kept for one that died; -EBUSY with grace_ns: one of that name lives, or is
 *         being repaired; -ERANGE from_sequence is not on the bus, with the oldest and newest that
 *         are; -ELOOP it would run after itself, with the way back; -ENOTDIR the folder of buses is
 *         no folder; -EBADMSG damaged header, a file that is missing or not a file, or one shorter
 *         than the header says, both sizes named; -EPROTO another byte order or not a bus at all;
 *         -EPROTONOSUPPORT another layout version or a feature that this library does not know,
 *         both sides named; -EPROTOTYPE a type is not registered as expected, both layouts named;
 *         -ESTALE a bus of an earlier boot, or one that was replaced meanwhile; -ENOTSUP that kind
 *         of consumer is not to be had; -ENOMEM, -EMFILE, -ENFILE out of it; -EIO the file system
 *         failed.
 * Ownership: the consumer is the caller's, to be ended with shmbus_consumer_close().
 * Threads: any; the consumer then belongs to one thread at a time.
 * Blocks: for up to wait_ns; allocates.
 */
SHMBUS_API int shmbus_consumer_open(const char *name, const struct shmbus_consumer_options *options,
                                    struct shmbus_consumer **out_consumer);

/**
 * Leaves the bus, ends every hold and frees the consumer.
 *
 * @param consumer  may be NULL, which does nothing.
 *
 * Returns: nothing.
 * Errors: none.
 * Ownership: the consumer, its messages and handles are gone. What it has read counts for those
 *            that run after it, but for the message that next() gave last.
 * Threads: the one that owns the consumer.
 * Blocks: never.
 */
SHMBUS_API void shmbus_consumer_close(struct shmbus_consumer *consumer);

/**
 * Hands the messages that are there to a callback, in place and in order, then moves the cursor.
 * The message that next() gave last is finished with first.
 *
 * @param consumer  the consumer.
 * @param handler   called for each; may call retain, held and release of this consumer, no other.
 * @param context   handed to it.
 * @param most      how many at most; 0 is none.
 *
 * Returns: how many were handed out; 0 when there is none now, or none that those that it runs
 *          after have passed; with SHMBUS_READ_STAND_OFF also once before the newest are read.
 * Errors: -EPIPE the stream has ended and all of it was read; -ESTALE this consumer was evicted, or
 *         its own words were changed by somebody else: do not trust the last batch; -EBADMSG the
 *         feed is damaged at the cursor, which stays; -EBUSY another thread is inside (debug
 *         builds); -ECHILD the consumer is another process's; -EINVAL handler is NULL.
 * Ownership: a message's data is good until its callback returns.
 * Threads: the one that owns the consumer.
 * Blocks: never; allocates nothing; no system call, but for one that runs after others: when these
 *         keep a message from it for 20 ms, it asks the kernel whether they live, and again every
 *         20 ms.
 */
SHMBUS_API int shmbus_consumer_poll(struct shmbus_consumer *consumer, shmbus_handler *handler,
                                    void *context, uint32_t most);

/**
 * Gives the next message, finishing with the one before. The shared cursor follows at the latest
 * when there is no further message, and every so many in between.
 *
 * @param consumer     the consumer.
 * @param out_message  receives the message.
 *
 * Returns: 1, or 0 as shmbus_consumer_poll().
 * Errors: as shmbus_consumer_poll().
 * Ownership: the message's data is good until the next call of next, poll, wait or close.
 * Threads: the one that owns the consumer.
 * Blocks: never; allocates nothing; no system call, but as shmbus_consumer_poll().
 */
SHMBUS_API int shmbus_consumer_next(struct shmbus_consumer *consumer,
                                    struct shmbus_message *out_message);

/**
 * Waits until there is a message, finishing with the one that next() gave last.
 *
 * @param consumer    the consumer.
 * @param timeout_ns  how long at most.
 *
 * Returns: 0 when there is one.
 * Errors: -ETIMEDOUT; -EPIPE the stream has ended and all of it was read; -EOWNERDEAD the producer
 *         died and all that it published was read; -ESTALE, -EBADMSG, -EBUSY, -ECHILD as
 *         shmbus_consumer_poll().
 * Ownership: the last message of next() is gone.
 * Threads: the one that owns the consumer.
 * Blocks: up to timeout_ns. Allocates nothing.
 */
SHMBUS_API int shmbus_consumer_wait(struct shmbus_consumer *consumer, int64_t timeout_ns);

/**
 * Gives a descriptor for event loops (poll, epoll, io_uring): readable when there is a message to
 * read or something to be told, until next, poll or wait finds that there is nothing more. It may
 * be readable once too often. That a producer died is told by wait, with a timeout of 0.
 *
 * The first call starts a thread that parks in this consumer's place; from then on next, poll and
 * wait make two system calls each time that they find nothing after the descriptor was readable.
 *
 * @param consumer  the consumer.
 * @param out_fd    receives the descriptor: only to be watched, never read, written or closed.
 *
 * Returns: 0.
 * Errors: -ENOMEM, -EMFILE, -ENFILE out of it; -EIO no thread is to be had; -EBUSY another thread
 * is inside (debug builds); -ECHILD the consumer is another process's. Ownership: the consumer's,
 * until it is closed; the same one each time. Threads: the one that owns the consumer. Blocks:
 * never; the first call allocates and starts a thread.
 */
SHMBUS_API int shmbus_consumer_fd(struct shmbus_consumer *consumer, int *out_fd);

/**
 * Keeps a message beyond its callback: one in a slab by a hold on the slab, one in a slot by a copy
 * in this consumer's memory.
 *
 * @param consumer    the consumer.
 * @param message     one that poll is handing out, or that next gave last.
 * @param out_handle  receives a handle, never 0.
 *
 * Returns: 0.
 * Errors: -EDQUOT hold_quota handles are out; -EINVAL not such a message; -EBUSY another thread is
 *         inside (debug builds); -ECHILD the consumer is another process's.
 * Ownership: the handle is the caller's, to be ended with shmbus_consumer_release().
 * Threads: the one that owns the consumer.
 * Blocks: never; allocates nothing; no system call.
 */
SHMBUS_API int shmbus_consumer_retain(struct shmbus_consumer *consumer,
                                      const struct shmbus_message *message, uint64_t *out_handle);

/**
 * Makes another handle of a kept message, which has to be released on its own.
 *
 * @param consumer    the consumer.
 * @param handle      of the kept message.
 * @param out_handle  receives the new handle.
 *
 * Returns: 0.
 * Errors: -ESTALE released already, forged, or another consumer's; -EDQUOT, -EBUSY, -ECHILD as
 *         shmbus_consumer_retain().
 * Ownership: both handles are the caller's.
 * Threads: the one that owns the consumer.
 * Blocks: never; allocates nothing; no system call.
 */
SHMBUS_API int shmbus_consumer_copy(struct shmbus_consumer *consumer, uint64_t handle,
                                    uint64_t *out_handle);

/**
 * Finds the message that a handle keeps.
 *
 * @param consumer     the consumer.
 * @param handle       of the kept message.
 * @param out_message  receives the message.
 *
 * Returns: 0.
 * Errors: -ESTALE, -EBUSY, -ECHILD as shmbus_consumer_copy().
 * Ownership: the data is good until the handle is released.
 * Threads: the one that owns the consumer.
 * Blocks: never; allocates nothing; no system call.
 */
SHMBUS_API int shmbus_consumer_held(struct shmbus_consumer *consumer, uint64_t handle,
                                    struct shmbus_message *out_message);

/**
 * Ends one handle. The last one of a slab ends the hold on it.
 *
 * @param consumer  the consumer.
 * @param handle    of the kept message.
 *
 * Returns: 0.
 * Errors: -ESTALE released already, forged, or another consumer's: nothing was changed; or, as the
 *         text says, somebody else ended the hold: the handle is gone, the message was not to be
 *         trusted, and the consumer is to join again. -EBUSY, -ECHILD as shmbus_consumer_copy().
 * Ownership: the handle is gone.
 * Threads: the one that owns the consumer.
 * Blocks: never; allocates nothing; no system call.
 */
SHMBUS_API int shmbus_consumer_release(struct shmbus_consumer *consumer, uint64_t handle);

/**
 * Asks whether what was read of a message can be trusted: the consumer is not evicted, its words
 * are as it left them, and the hold that keeps the message is there: nothing of it was overwritten.
 *
 * @param consumer  the consumer.
 * @param message   one that poll is handing out, that next gave last, or that is held.
 *
 * Returns: 1 if it is, 0 if not.
 * Errors: -EBUSY another thread is inside (debug builds); -ECHILD the consumer is another
 * process's. Ownership: none. Threads: the one that owns the consumer. Blocks: never; allocates
 * nothing; no system call.
 */
SHMBUS_API int shmbus_consumer_valid(struct shmbus_consumer *consumer,
                                     const struct shmbus_message *message);

/**
 * Joins the same bus anew after -ESTALE, with the options of the first time but for the place. All
 * handles end.
 *
 * @param consumer       the consumer.
 * @param from           enum shmbus_from.
 * @param from_sequence  with SHMBUS_FROM_SEQUENCE.
 *
 * Returns: 0.
 * Errors: as shmbus_consumer_open(), and then the consumer stays as it is and can try again, in the
 *         entry that it keeps. It may be at the very moment of joining that a sequence goes: with
 *         that -ERANGE its handles and its place have ended, and other calls return -ESTALE until
 *         it has joined. -ESTALE the bus was replaced (open it again).
 * Ownership: handles and messages are gone.
 * Threads: the one that owns the consumer.
 * Blocks: not beyond file system calls.
 */
SHMBUS_API int shmbus_consumer_rejoin(struct shmbus_consumer *consumer, uint32_t from,
                                      uint64_t from_sequence);

/**
 * Reads this consumer's counts.
 *
 * @param consumer   the consumer.
 * @param out_stats  receives them.
 *
 * Returns: 0.
 * Errors: -EBUSY another thread is inside (debug builds); -ECHILD the consumer is another
 * process's. Ownership: none. Threads: the one that owns the consumer. Blocks: never; allocates
 * nothing; no system call.
 */
SHMBUS_API int shmbus_consumer_stats(struct shmbus_consumer *consumer,
                                     struct shmbus_consumer_stats *out_stats);

/**
 * Resolves an offset inside a message, as an arena gave it to the sender, with its length checked.
 *
 * @param message    the message.
 * @param offset     from the payload's first byte.
 * @param bytes      how many are needed there.
 * @param alignment  a power of two up to 64 that the place must have.
 * @param out_data   receives its address.
 *
 * Returns: 0.
 * Errors: -EBADMSG it reaches beyond the message or is not aligned; -EINVAL alignment out of range.
 * Ownership: as the message's data.
 * Threads: any that may read the message.
 * Blocks: never; allocates nothing.
 */
SHMBUS_API int shmbus_message_at(const struct shmbus_message *message, uint32_t offset,
                                 uint64_t bytes, uint32_t alignment, const void **out_data);

/* ---------------------------------------------------------------------------------------------
 * Several buses from one thread
 * ------------------------------------------------------------------------------------------- */

/* Which consumer's message comes next. */
enum shmbus_select_order {
    SHMBUS_SELECT_FAIR = 0,   /* in turn, up to burst messages of each in a row */
    SHMBUS_SELECT_MERGED = 1, /* the one with the least timestamp; every bus must have them */
};

/* How a selector hands messages out. */
struct shmbus_selector_options {
    size_t struct_bytes; /* sizeof(struct shmbus_selector_options) */
    uint32_t order;      /* enum shmbus_select_order */
    uint32_t burst;      /* in turn: messages of one consumer in a row, at most; 0: 16 */
    int64_t hold_ns; /* merged: how long a message waits for older ones of buses that are silent;
                      * 0: not at all */
    struct shmbus_wait wait; /* how it waits */
};

/* What a selector hands out: a message of one of its consumers, or how that one ended. */
struct shmbus_selected {
    struct shmbus_consumer *consumer;
    void *context;                 /* as given with the consumer */
    int result;                    /* 0: message is there; else what its next() returned */
    struct shmbus_message message; /* as next() gave it */
};

/**
 * Makes a selector: one thread reads up to SHMBUS_SELECTOR_MAX consumers through it, in turn or
 * merged by timestamp.
 *
 * @param options       how; NULL: all defaults.
 * @param out_selector  receives the selector.
 *
 * Returns: 0.
 * Errors: -EINVAL an option is out of range; -E2BIG options of a newer library; -ENOMEM.
 * Ownership: the selector is the caller's, to be ended with shmbus_selector_close().
 * Threads: any; the selector then belongs to one thread at a time, as its consumers do.
 * Blocks: never; allocates.
 */
SHMBUS_API int shmbus_selector_open(const struct shmbus_selector_options *options,
                                    struct shmbus_selector **out_selector);

/**
 * Ends a selector. Its consumers stay as they are.
 *
 * @param selector  may be NULL, which does nothing.
 *
 * Returns: nothing.
 * Errors: none.
 * Ownership: the selector is gone; its consumers are the caller's, as before.
 * Threads: the one that owns the selector.
 * Blocks: never.
 */
SHMBUS_API void shmbus_selector_close(struct shmbus_selector *selector);

/**
 * Puts a consumer of any kind into a selector. Until it is removed, only the selector reads it.
 *
 * @param selector  the selector.
 * @param consumer  the consumer, open.
 * @param context   handed out with its messages.
 *
 * Returns: 0.
 * Errors: -EEXIST it is in there already; -ENOSPC SHMBUS_SELECTOR_MAX are; -EINVAL consumer is
 * NULL, or its bus has no timestamps to merge by. Ownership: the consumer stays the caller's, and
 * must be removed before it is closed. Threads: the one that owns the selector. Blocks: never;
 * allocates nothing.
 */
SHMBUS_API int shmbus_selector_add(struct shmbus_selector *selector,
                                   struct shmbus_consumer *consumer, void *context);

/**
 * Takes a consumer out of a selector.
 *
 * @param selector  the selector.
 * @param consumer  the consumer.
 *
 * Returns: 0.
 * Errors: -EINVAL it is not in there; -EBUSY its next message is fetched already, to be merged:
 * take that one first, or close the selector. Ownership: the consumer is read by the caller again.
 * Threads: the one that owns the selector.
 * Blocks: never; allocates nothing.
 */
SHMBUS_API int shmbus_selector_remove(struct shmbus_selector *selector,
                                      struct shmbus_consumer *consumer);

/**
 * Gives the next message of any of its consumers, or tells that one of them has ended or failed:
 * once, after which that one is passed over until it is removed.
 *
 * @param selector      the selector.
 * @param out_selected  receives it.
 *
 * Returns: 1, or 0 when there is none now.
 * Errors: -EPIPE no consumer is in there, or all have ended.
 * Ownership: the message's data is good until the selector's next call of next or wait.
 * Threads: the one that owns the selector.
 * Blocks: never; allocates nothing.
 */
SHMBUS_API int shmbus_selector_next(struct shmbus_selector *selector,
                                    struct shmbus_selected *out_selected);

/**
 * Waits until next has something to give, parked at all of the buses at once.
 *
 * @param selector    the selector.
 * @param timeout_ns  how long at most.
 *
 * Returns: 0 when there is something.
 * Errors: -ETIMEDOUT; -EPIPE no consumer is in there, or all have ended.
 * Ownership: the last message of next is gone.
 * Threads: the one that owns the selector.
 * Blocks: up to timeout_ns. Allocates nothing.
 */
SHMBUS_API int shmbus_selector_wait(struct shmbus_selector *selector, int64_t timeout_ns);

/* ---------------------------------------------------------------------------------------------
 * CPUs and priority of the thread that does the work
 * ------------------------------------------------------------------------------------------- */

#define SHMBUS_CPUS_MAX 8192 /* CPUs are numbered below that */

/* On which CPUs a thread is to run. */
enum shmbus_cpus {
    SHMBUS_CPUS_AS_IS = 0,    /* where it may run already */
    SHMBUS_CPUS_ONE = 1,      /* the one that cpu names */
    SHMBUS_CPUS_NODE = 2,     /* those of the NUMA node that node names */
    SHMBUS_CPUS_BUS = 3,      /* those of the node that most of the bus's pages are on */
    SHMBUS_CPUS_ISOLATED = 4, /* one that the host keeps free of other work; cpu counts them from 0,
                               * those of the bus's node first */
};

#define SHMBUS_SETTLE_BEST_EFFORT 0x1u /* what cannot be had is reported, and is no error */
#define SHMBUS_SETTLE_FORCE       0x2u /* an endless spin may starve a CPU that is not isolated */

/* What a thread is to have. All zero changes nothing, and reports. */
struct shmbus_settle_options {
    size_t struct_bytes;    /* sizeof(struct shmbus_settle_options) */
    uint32_t cpus;          /* enum shmbus_cpus */
    uint32_t cpu;           /* with SHMBUS_CPUS_ONE and SHMBUS_CPUS_ISOLATED */
    uint32_t node;          /* with SHMBUS_CPUS_NODE */
    uint32_t fifo_priority; /* 1 to 99: SCHED_FIFO with it; 0: as it is */
    uint32_t flags;         /* SHMBUS_SETTLE_... */
};

#define SHMBUS_MISSED_CPUS      0x1u /* it runs where it ran before */
#define SHMBUS_MISSED_SOME_CPUS 0x2u /* it may use some of them only */
#define SHMBUS_MISSED_FIFO      0x4u /* it has the policy that it had before */

/* What a thread has, as the kernel says. */
struct shmbus_settled {
    char cpus[256];     /* that it may run on, "0-3,8"; ends in "..." if that is too long */
    uint32_t cpu_count; /* of them */
    uint32_t isolated;  /* of them, isolated from the scheduler's balancing at boot */
    uint32_t tickless;  /* of them, without a tick while one thread runs (nohz_full) */
    uint32_t policy;    /* SCHED_OTHER, SCHED_FIFO... of <sched.h> */
    uint32_t priority;  /* of a real-time policy, else 0 */
    int32_t node;       /* that all of them are on; -1: on several, or not known */
    int32_t bus_node;   /* that most of the bus's pages are on; -1: not known */
    uint32_t missed;    /* SHMBUS_MISSED_...: what was asked for and is not so */
    char why[512];      /* of each of those; empty without */
};

/**
 * Puts the calling thread, which is to work with this producer, on CPUs and into a real-time
 * policy, and says what it then has. SCHED_FIFO together with SHMBUS_WAIT_SPIN is refused on CPUs
 * that are not isolated, unless forced: such a thread would leave nothing of them to anybody else.
 *
 * @param producer     the producer.
 * @param options      what it is to have; NULL: nothing new.
 * @param out_settled  receives what it has; may be NULL.
 *
 * Returns: 0.
 * Errors: -EINVAL an option is out of range; -E2BIG options of a newer library; -ENXIO there is no
 *         such CPU or node, or no isolated CPU, those that there are named; -ENOTSUP the kernel
 *         does not say which node the bus is on; -EPERM the CPU is outside of the process's cpuset,
 *         or SCHED_FIFO is not permitted, with the limit, or it would starve a CPU; -EBUSY another
 *         thread is inside (debug builds); -ECHILD the producer is another process's. The thread is
 *         as it was then. With SHMBUS_SETTLE_BEST_EFFORT -ENXIO, -ENOTSUP and -EPERM are in the
 *         report instead.
 * Ownership: none.
 * Threads: the one that owns the producer.
 * Blocks: not beyond system calls; allocates.
 */
SHMBUS_API int shmbus_producer_settle(struct shmbus_producer *producer,
                                      const struct shmbus_settle_options *options,
                                      struct shmbus_settled *out_settled);

/**
 * Does for a consumer's thread what shmbus_producer_settle() does for a producer's.
 *
 * @param consumer     the consumer, of any kind.
 * @param options      what it is to have; NULL: nothing new.
 * @param out_settled  receives what it has; may be NULL.
 *
 * Returns: 0.
 * Errors: as shmbus_producer_settle().
 * Ownership: none.
 * Threads: the one that owns the consumer.
 * Blocks: not beyond system calls; allocates.
 */
SHMBUS_API int shmbus_consumer_settle(struct shmbus_consumer *consumer,
                                      const struct shmbus_settle_options *options,
                                      struct shmbus_settled *out_settled);

/* ---------------------------------------------------------------------------------------------
 * Looking on
 * ------------------------------------------------------------------------------------------- */

/* What a bus is doing. */
enum shmbus_state {
    SHMBUS_STATE_OPEN = 1,    /* a living producer owns it */
    SHMBUS_STATE_CLOSED = 2,  /* its stream has ended; kept */
    SHMBUS_STATE_DEAD = 3,    /* its producer died without closing */
    SHMBUS_STATE_DAMAGED = 4, /* its files are not those of a whole bus; see shmbus_snapshot_why */
};

/* What an entry's consumer is. */
enum shmbus_life {
    SHMBUS_LIFE_UNKNOWN = 0, /* control is not ours to read */
    SHMBUS_LIFE_ALIVE = 1,
    SHMBUS_LIFE_DEAD = 2,    /* died without leaving; whoever needs its place repairs it */
    SHMBUS_LIFE_EVICTED = 3, /* alive, and no longer heeded */
    SHMBUS_LIFE_GRACE = 4,   /* died, and its place is kept for a while */
    SHMBUS_LIFE_STALLED = 5, /* alive, and its producer found that it does not go on */
};

/* A bus as a whole. */
struct shmbus_bus_info {
    char name[SHMBUS_NAME_MAX + 1];
    uint32_t state;     /* enum shmbus_state */
    uint32_t owner_uid; /* of its files */
    uint32_t owner_gid;
    uint32_t mode;  /* permission bits: r may observe, w may consume */
    uint64_t tail;  /* the next sequence, by the true end */
    uint64_t floor; /* nothing at or above it is overwritten or reclaimed */
    uint64_t first_sequence;
    uint64_t capacity; /* slots */
    uint32_t slot_bytes;
    uint32_t flags;      /* SHMBUS_BUS_... */
    uint64_t ring_used;  /* slots that the slowest required consumer has still to read */
    uint64_t feed_bytes; /* size of the file */
    uint64_t control_bytes;
    int64_t created_ns; /* CLOCK_REALTIME */
    uint32_t max_consumers;
    uint32_t control_known; /* 1 if control could be read */
    uint32_t numa;          /* enum shmbus_numa, as asked */
    uint32_t numa_node;     /* as asked */
    uint32_t pages;         /* enum shmbus_pages, as asked */
    uint32_t layout_major;
    uint32_t layout_minor;
    uint32_t producer_count;
    uint32_t consumer_count;
    uint32_t class_count;
    uint32_t type_count;
    uint32_t required_rule; /* enum shmbus_required_rule */
    uint64_t history;       /* as asked */
    int64_t stall_ns;
    uint32_t max_producers; /* at once */
    uint32_t hole_count;    /* claims that are not ended */
};

/* How somebody waits at this moment. */
enum shmbus_waiting {
    SHMBUS_WAITING_NOT = 0,
    SHMBUS_WAITING_SPIN = 1,
    SHMBUS_WAITING_YIELD = 2,
    SHMBUS_WAITING_SLEEP = 3, /* in short slices, where it may not park */
    SHMBUS_WAITING_PARK = 4,
};

/* One producer. */
struct shmbus_producer_info {
    uint32_t index;           /* its number */
    uint32_t pid;             /* in its own PID namespace */
    uint32_t alive;           /* 1 or 0 */
    uint64_t published;       /* messages, over all producers that this entry had */
    uint64_t blocked;         /* times that it found the ring full */
    uint64_t exhausted;       /* times that it found a class of the pool empty */
    uint64_t evicted;         /* consumers */
    uint64_t skipped;         /* sequences left out on purpose */
    uint64_t history_yielded; /* times that it kept less history than asked for */
    uint32_t part_owner; /* number of the producer that gives out this one's slabs, + 1; 0: none */
    uint32_t waiting;    /* enum shmbus_waiting; 0 of a dead one */
};

/* A claim among many producers that is not ended, with others behind it or not. The first one stops
 * the stream until it is committed or aborted, or its producer is proven dead. */
struct shmbus_hole_info {
    uint64_t sequence;
    uint32_t producer; /* its number */
    uint32_t pid;      /* in its own PID namespace */
    uint32_t alive;    /* 1 or 0: then it is stepped over, and aborted by who needs it */
    uint32_t unused;   /* 0 */
};

/* One consumer. */
struct shmbus_consumer_info {
    char name[SHMBUS_NAME_MAX + 1];
    uint32_t entry;  /* its index in control */
    uint32_t pid;    /* in its own PID namespace */
    uint32_t kind;   /* enum shmbus_kind */
    uint32_t life;   /* enum shmbus_life */
    uint32_t gates;  /* 1 for the slowest required one that is heeded; of two as slow, the one that
                        the other runs after */
    uint64_t cursor; /* the next sequence that it will read */
    uint64_t lag;    /* messages between it and the true tail */
    uint64_t received;
    uint64_t lost;
    uint64_t held; /* slabs */
    uint64_t filtered;
    uint64_t aborted;
    int64_t grace_ns;      /* how long its place is kept if it dies */
    int64_t grace_left_ns; /* in grace: how long it is still kept */
    uint32_t after_count;  /* how many names it runs after */
    uint32_t after_gone;   /* enum shmbus_after_gone */
    uint32_t behind;       /* 1: one of them has not passed what it is to read next */
    uint32_t unused;       /* 0 */
    char after[SHMBUS_AFTER_MAX][SHMBUS_NAME_MAX + 1]; /* the names */
    uint32_t waiting;                                  /* enum shmbus_waiting; 0 of a dead one */
};

/**
 * Looks at a bus without leaving a trace: everything is mapped read-only and no lock is taken. A
 * bus that is damaged can be looked at too.
 *
 * @param name    the bus's name.
 * @param folder  where the bus lives; NULL: $SHMBUS_DIR, and without that /dev/shm.
 * @param out_snapshot  receives the picture.
 *
 * Returns: 0.
 * Errors: -EINVAL bad name; -ENOENT no such bus; -ENOTDIR the folder of buses is no folder; -EACCES
 *         feed is not ours to read; -ENOMEM, -EMFILE, -ENFILE out of it; -EIO the file system
 *         failed.
 * Ownership: the snapshot is the caller's, to be ended with shmbus_snapshot_close().
 * Threads: any; the snapshot then belongs to one thread at a time.
 * Blocks: not beyond file system calls; allocates.
 */
SHMBUS_API int shmbus_snapshot_open(const char *name, const char *folder,
                                    struct shmbus_snapshot **out_snapshot);

/**
 * Reads all of the bus's words anew.
 *
 * @param snapshot  the snapshot.
 *
 * Returns: 0.
 * Errors: -ENOMEM.
 * Ownership: what info, producer, consumer and pool gave before is overwritten.
 * Threads: the one that owns the snapshot.
 * Blocks: not beyond file system calls.
 */
SHMBUS_API int shmbus_snapshot_update(struct shmbus_snapshot *snapshot);

/**
 * Ends a snapshot.
 *
 * @param snapshot  may be NULL, which does nothing.
 *
 * Returns: nothing.
 * Errors: none.
 * Ownership: the snapshot and all that it gave are gone.
 * Threads: the one that owns the snapshot.
 * Blocks: never.
 */
SHMBUS_API void shmbus_snapshot_close(struct shmbus_snapshot *snapshot);

/**
 * Gives the bus as a whole. For a damaged bus only name, state and sizes are set.
 *
 * @param snapshot  the snapshot.
 *
 * Returns: the picture.
 * Errors: none.
 * Ownership: the snapshot's; good until its next update or close.
 * Threads: the one that owns the snapshot.
 * Blocks: never.
 */
SHMBUS_API const struct shmbus_bus_info *shmbus_snapshot_bus(
    const struct shmbus_snapshot *snapshot);

/**
 * Says why a bus is damaged.
 *
 * @param snapshot  the snapshot.
 *
 * Returns: a sentence; empty for a bus that is not damaged.
 * Errors: none.
 * Ownership: the snapshot's; good until its next update or close.
 * Threads: the one that owns the snapshot.
 * Blocks: never.
 */
SHMBUS_API const char *shmbus_snapshot_why(const struct shmbus_snapshot *snapshot);

/**
 * Gives one producer.
 *
 * @param snapshot  the snapshot.
 * @param index     0 to producer_count less 1.
 *
 * Returns: the picture, or NULL when index is out of range.
 * Errors: none.
 * Ownership: the snapshot's; good until its next update or close.
 * Threads: the one that owns the snapshot.
 * Blocks: never.
 */
SHMBUS_API const struct shmbus_producer_info *shmbus_snapshot_producer(
    const struct shmbus_snapshot *snapshot, uint32_t index);

/**
 * Gives one claim that is not ended, on a bus of many producers.
 *
 * @param snapshot  the snapshot.
 * @param index     0 to hole_count less 1, in the order of their sequences.
 *
 * Returns: the picture, or NULL when index is out of range.
 * Errors: none.
 * Ownership: the snapshot's; good until its next update or close.
 * Threads: the one that owns the snapshot.
 * Blocks: never.
 */
SHMBUS_API const struct shmbus_hole_info *shmbus_snapshot_hole(
    const struct shmbus_snapshot *snapshot, uint32_t index);

/**
 * Gives one consumer.
 *
 * @param snapshot  the snapshot.
 * @param index     0 to consumer_count less 1.
 *
 * Returns: the picture, or NULL when index is out of range.
 * Errors: none.
 * Ownership: the snapshot's; good until its next update or close.
 * Threads: the one that owns the snapshot.
 * Blocks: never.
 */
SHMBUS_API const struct shmbus_consumer_info *shmbus_snapshot_consumer(
    const struct shmbus_snapshot *snapshot, uint32_t index);

/**
 * Gives one size class of the pool.
 *
 * @param snapshot  the snapshot.
 * @param index     0 to class_count less 1.
 *
 * Returns: the picture, or NULL when index is out of range.
 * Errors: none.
 * Ownership: the snapshot's; good until its next update or close.
 * Threads: the one that owns the snapshot.
 * Blocks: never.
 */
SHMBUS_API const struct shmbus_pool_stats *shmbus_snapshot_pool(
    const struct shmbus_snapshot *snapshot, uint32_t index);

/**
 * Gives one registered type.
 *
 * @param snapshot  the snapshot.
 * @param index     0 to type_count less 1.
 *
 * Returns: the type, or NULL when index is out of range.
 * Errors: none.
 * Ownership: the snapshot's; good until its close.
 * Threads: the one that owns the snapshot.
 * Blocks: never.
 */
SHMBUS_API const struct shmbus_type *shmbus_snapshot_type(const struct shmbus_snapshot *snapshot,
                                                          uint32_t index);

/**
 * Asks the kernel where the bus's pages are and how large. This fills the snapshot's page tables.
 *
 * @param snapshot       the snapshot.
 * @param out_placement  receives the answer.
 *
 * Returns: 0.
 * Errors: -EBADMSG the bus is damaged; -ENOMEM.
 * Ownership: none.
 * Threads: the one that owns the snapshot.
 * Blocks: system calls for every page; allocates.
 */
SHMBUS_API int shmbus_snapshot_placement(struct shmbus_snapshot *snapshot,
                                         struct shmbus_placement *out_placement);

/* Called with each bus's name: 0 goes on, anything else ends the listing. */
typedef int shmbus_lister(const char *name, void *context);

/**
 * Names every bus in a folder, in the order of their names.
 *
 * @param folder   where to look; NULL: $SHMBUS_DIR, and without that /dev/shm.
 * @param lister   called for each.
 * @param context  handed to it.
 *
 * Returns: how many were named.
 * Errors: -ENOENT, -EACCES, -ENOTDIR the folder cannot be read; -ENOMEM, -EMFILE, -ENFILE out of
 *         it; -EINVAL lister is NULL; -EIO the file system failed.
 * Ownership: the name is good until lister returns.
 * Threads: any.
 * Blocks: not beyond file system calls; allocates.
 */
SHMBUS_API int shmbus_list(const char *folder, shmbus_lister *lister, void *context);

#ifdef __cplusplus
}
#endif

#endif
