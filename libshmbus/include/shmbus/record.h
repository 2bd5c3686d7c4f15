/* SPDX-License-Identifier: MIT */
/*
 * shmbus-record: recordings of a bus on disk, compressed by LZ4, in files that `lz4 -t` checks and
 * `lz4 -dc` unpacks. A library of its own on the public interface of shmbus.
 *
 * A recorder is filled by one thread and compresses and writes in another one of its own: between
 * them is a queue of blocks that are allocated when it is opened. A recording reads such a file,
 * also one whose recorder was killed: as far as it is whole.
 *
 * Conventions are those of shmbus.h: an int result is 0, a count or a negative errno;
 * shmbus_record_error_text() says what exactly, for the calling thread. A read or write that fails
 * returns what the kernel said (-ENOSPC, -EIO, -EACCES...).
 */
#ifndef SHMBUS_RECORD_H
#define SHMBUS_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include <shmbus/shmbus.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SHMBUS_RECORD_LENGTH_MAX SHMBUS_SLAB_BYTES_MAX /* bytes of a message */

struct shmbus_recorder;
struct shmbus_recording;

/* What a record is. */
enum shmbus_record_kind {
    SHMBUS_RECORD_MESSAGE = 1,
    SHMBUS_RECORD_LOST = 2,    /* sequences that the recorder never saw */
    SHMBUS_RECORD_ABORTED = 3, /* sequences whose claims were never published */
};

/* One record. */
struct shmbus_record {
    uint32_t kind;      /* enum shmbus_record_kind */
    uint32_t length;    /* bytes of payload; 0 of a range */
    uint64_t sequence;  /* of the message, or the first one of a range */
    uint64_t count;     /* sequences: 1 of a message */
    int64_t publish_ns; /* CLOCK_MONOTONIC at publishing; 0 where the bus has no timestamps */
    int64_t receive_ns; /* CLOCK_REALTIME when the recorder had it */
    uint16_t type;
    uint16_t flags;   /* the publisher's: within SHMBUS_MESSAGE_USER_FLAGS */
    uint32_t unused;  /* 0 */
    const void *data; /* payload */
};

/* When what was written is forced to the disk. */
enum shmbus_record_sync {
    SHMBUS_RECORD_SYNC_NONE = 0,  /* when the kernel likes */
    SHMBUS_RECORD_SYNC_BLOCK = 1, /* after each block */
    SHMBUS_RECORD_SYNC_TIME = 2,  /* every sync_ns, while there is something new */
};

#define SHMBUS_RECORD_APPEND 0x1u /* go on with a file that is there, or make it */
#define SHMBUS_RECORD_ASK    0x2u /* put() hands no block over by itself: see -ENOBUFS there */

/* How to record. All zero but the size and the bus: defaults. */
struct shmbus_recorder_options {
    size_t struct_bytes;                  /* sizeof(struct shmbus_recorder_options) */
    const char *bus_name;                 /* that is recorded */
    const struct shmbus_bus_options *bus; /* what it was made with, types among it; not when a file
                                           * is gone on with */
    int64_t bus_created_ns;               /* tells it from another one of its name */
    uint64_t next_sequence; /* the first one to come; not when a file is gone on with */
    int32_t level;          /* of LZ4: below 0 fast, 3 to 12 HC; 0: its default */
    uint32_t queue_blocks;  /* allocated at open, 2 to 4,096; 0: 8 */
    uint64_t block_bytes;   /* of records, compressed together, 4 KiB to 1 GiB; 0: 256 KiB */
    uint32_t sync;          /* enum shmbus_record_sync */
    uint32_t flags;         /* SHMBUS_RECORD_... */
    int64_t sync_ns;        /* with SHMBUS_RECORD_SYNC_TIME */
};

/* What was recorded so far, in this file. */
struct shmbus_recorder_stats {
    uint64_t records;       /* put so far by this recorder */
    uint64_t plain_bytes;   /* of records, before they were compressed, that were written */
    uint64_t file_bytes;    /* that they took in the file */
    uint64_t next_sequence; /* after the last record, also of a file that is gone on with */
    uint64_t queued_blocks; /* full, and not written yet */
};

/* What a recording says of itself. */
struct shmbus_recording_info {
    char bus_name[SHMBUS_NAME_MAX + 1];
    uint32_t whole;                /* 1 if it was closed; else it ends with the last whole block */
    char boot_id[37];              /* of the machine's boot that it was begun in */
    int64_t bus_created_ns;        /* CLOCK_REALTIME */
    int64_t begun_real_ns;         /* CLOCK_REALTIME when the recording was begun */
    int64_t begun_ns;              /* CLOCK_MONOTONIC then */
    uint64_t file_bytes;           /* of the file */
    uint64_t cut_bytes;            /* of them at its end that are no whole block */
    uint64_t plain_bytes;          /* of all records */
    uint64_t record_count;         /* records in it */
    uint64_t first_sequence;       /* of the first record; 0 without one */
    uint64_t next_sequence;        /* after the last record; without one, the first to come */
    int64_t first_receive_ns;      /* of the first record */
    int64_t last_receive_ns;       /* of the last record */
    struct shmbus_bus_options bus; /* what the bus was made with; its types lie in the recording */
};

/**
 * Says what exactly was wrong with the calling thread's last call of this library that failed.
 *
 * Returns: a string, empty if no call of this thread failed yet.
 * Errors: none.
 * Ownership: the library's, one for each thread; good until that thread's next failing call.
 * Threads: any.
 * Blocks: never; allocates nothing.
 */
SHMBUS_API const char *shmbus_record_error_text(void);

/**
 * Begins a recording in a new file, or goes on with one: then what its killed recorder left cut is
 * dropped, and the options say nothing of the bus.
 *
 * @param path          the file.
 * @param options       how.
 * @param out_recorder  receives the recorder.
 *
 * Returns: 0.
 * Errors: -EINVAL an option is out of range; -E2BIG options of a newer library; -EEXIST the file is
 *         there; -EBADMSG it is no recording, or damaged before its end; -ENOMEM; else as the
 *         kernel said.
 * Ownership: the recorder is the caller's, to be ended with shmbus_recorder_close().
 * Threads: any; the recorder then belongs to one thread at a time.
 * Blocks: file system calls; allocates, and starts a thread.
 */
SHMBUS_API int shmbus_recorder_open(const char *path, const struct shmbus_recorder_options *options,
                                    struct shmbus_recorder **out_recorder);

/**
 * Copies one record into the block that is being filled.
 *
 * @param recorder  the recorder.
 * @param record    the record: its sequence is not below the one after the last record.
 *
 * Returns: 0.
 * Errors: -EAGAIN the queue is full, nothing was taken; -ENOBUFS with SHMBUS_RECORD_ASK the block
 *         is full, nothing was taken: flush hands it over, once what is in it is known to be true;
 *         -EINVAL a record that is none, or before the last one; else what failed in writing, from
 *         then on each time: what was written before is a whole recording.
 * Ownership: the payload stays the caller's.
 * Threads: the one that owns the recorder.
 * Blocks: never for the disk; allocates only for a record that is longer than a block.
 */
SHMBUS_API int shmbus_recorder_put(struct shmbus_recorder *recorder,
                                   const struct shmbus_record *record);

/**
 * Waits until the queue has room.
 *
 * @param recorder    the recorder.
 * @param timeout_ns  how long at most.
 *
 * Returns: 0.
 * Errors: -ETIMEDOUT; else what failed in writing.
 * Ownership: none.
 * Threads: the one that owns the recorder.
 * Blocks: up to timeout_ns.
 */
SHMBUS_API int shmbus_recorder_wait(struct shmbus_recorder *recorder, int64_t timeout_ns);

/**
 * Hands over to the writing thread what was put so far, without waiting for a full block.
 *
 * @param recorder  the recorder.
 *
 * Returns: 0.
 * Errors: -EAGAIN the queue is full; else what failed in writing.
 * Ownership: none.
 * Threads: the one that owns the recorder.
 * Blocks: never.
 */
SHMBUS_API int shmbus_recorder_flush(struct shmbus_recorder *recorder);

/**
 * Takes back what was put from a sequence on and not handed over yet: a consumer that was evicted
 * may have read messages that were being overwritten (shmbus_consumer_stats: trusted).
 *
 * @param recorder  the recorder.
 * @param sequence  the first one that is taken back.
 *
 * Returns: how many messages were dropped; what was handed over before stays.
 * Errors: none.
 * Ownership: none.
 * Threads: the one that owns the recorder.
 * Blocks: never.
 */
SHMBUS_API int shmbus_recorder_drop(struct shmbus_recorder *recorder, uint64_t sequence);

/**
 * Reads the counts.
 *
 * @param recorder   the recorder.
 * @param out_stats  receives them.
 *
 * Returns: nothing.
 * Errors: none.
 * Ownership: none.
 * Threads: the one that owns the recorder.
 * Blocks: never.
 */
SHMBUS_API void shmbus_recorder_stats(struct shmbus_recorder *recorder,
                                      struct shmbus_recorder_stats *out_stats);

/**
 * Writes what is left, and the index behind it, and frees the recorder.
 *
 * @param recorder  may be NULL, which does nothing.
 *
 * Returns: 0.
 * Errors: what failed in writing; the recorder is gone all the same.
 * Ownership: the recorder is gone.
 * Threads: the one that owns the recorder.
 * Blocks: until all is written.
 */
SHMBUS_API int shmbus_recorder_close(struct shmbus_recorder *recorder);

/**
 * Opens a recording to read it from its beginning.
 *
 * @param path           the file.
 * @param out_recording  receives the recording.
 *
 * Returns: 0.
 * Errors: -EBADMSG no recording; -EPROTONOSUPPORT one of a newer format; -ENOMEM; else as the
 *         kernel said.
 * Ownership: the recording is the caller's, to be ended with shmbus_recording_close().
 * Threads: any; the recording then belongs to one thread at a time.
 * Blocks: file system calls, of one that was not closed for every block; allocates.
 */
SHMBUS_API int shmbus_recording_open(const char *path, struct shmbus_recording **out_recording);

/**
 * Ends the reading.
 *
 * @param recording  may be NULL, which does nothing.
 *
 * Returns: nothing.
 * Errors: none.
 * Ownership: the recording and all that it gave are gone.
 * Threads: the one that owns the recording.
 * Blocks: never.
 */
SHMBUS_API void shmbus_recording_close(struct shmbus_recording *recording);

/**
 * Tells what the recording says of itself.
 *
 * @param recording  the recording.
 *
 * Returns: the picture.
 * Errors: none.
 * Ownership: the recording's; good until its close.
 * Threads: the one that owns the recording.
 * Blocks: never.
 */
SHMBUS_API const struct shmbus_recording_info *shmbus_recording_info(
    const struct shmbus_recording *recording);

/**
 * Gives the next record.
 *
 * @param recording   the recording.
 * @param out_record  receives the record.
 *
 * Returns: 1, or 0 at the end of what is whole.
 * Errors: -EBADMSG damaged, with the place; -ENOMEM; else as the kernel said.
 * Ownership: the payload is good until the next call of next, seek or close.
 * Threads: the one that owns the recording.
 * Blocks: reads and unpacks a block now and then.
 */
SHMBUS_API int shmbus_recording_next(struct shmbus_recording *recording,
                                     struct shmbus_record *out_record);

/**
 * Goes to the first record that has that sequence in it or comes after it.
 *
 * @param recording  the recording.
 * @param sequence   the sequence.
 *
 * Returns: 0; past the last one next() then returns 0.
 * Errors: as shmbus_recording_next().
 * Ownership: what next gave is gone.
 * Threads: the one that owns the recording.
 * Blocks: reads and unpacks one block, found through the index.
 */
SHMBUS_API int shmbus_recording_seek(struct shmbus_recording *recording, uint64_t sequence);

/**
 * Goes to the first record that was received then or later.
 *
 * @param recording   the recording.
 * @param receive_ns  CLOCK_REALTIME.
 *
 * Returns: 0; past the last one next() then returns 0.
 * Errors: as shmbus_recording_next().
 * Ownership: what next gave is gone.
 * Threads: the one that owns the recording.
 * Blocks: reads and unpacks one block, found through the index.
 */
SHMBUS_API int shmbus_recording_seek_time(struct shmbus_recording *recording, int64_t receive_ns);

/* A recording, and then the bus that it was made of. */
struct shmbus_splice;

/* What is read one behind the other. */
struct shmbus_splice_options {
    size_t struct_bytes;      /* sizeof(struct shmbus_splice_options) */
    const char *const *paths; /* files of one bus, path_count of them, the oldest first */
    uint32_t path_count;      /* at least 1 */
    uint32_t unused;          /* 0 */
    const char *bus_name;     /* NULL: the one that the last file names */
    /* How the bus is joined: where from, flags of joining, types and on_event are the splice's own,
     * and must be 0. NULL: as an optional consumer. */
    const struct shmbus_consumer_options *consumer;
};

/**
 * Opens what was recorded of a bus to be read first, and then the bus itself. It is joined when the
 * files have been read, after their last sequence; a file that its recorder still writes is read on
 * when the bus no longer has that one. A file that was recorded with a filter by types has what was
 * left out at its end, and nowhere else, told as lost.
 *
 * @param options     what to read.
 * @param out_splice  receives the splice.
 *
 * Returns: 0.
 * Errors: -EINVAL an option is out of range; -E2BIG options of a newer library; else as
 *         shmbus_recording_open() for the first file.
 * Ownership: the splice is the caller's, to be ended with shmbus_splice_close(); all that options
 *            points to has to last as long.
 * Threads: any; the splice then belongs to one thread at a time.
 * Blocks: as shmbus_recording_open(); allocates.
 */
SHMBUS_API int shmbus_splice_open(const struct shmbus_splice_options *options,
                                  struct shmbus_splice **out_splice);

/**
 * Gives the next record or message, each sequence once. What neither the files nor the bus has any
 * more is a record SHMBUS_RECORD_LOST with just these sequences.
 *
 * @param splice      the splice.
 * @param out_record  receives it; of a message from the bus receive_ns is now.
 *
 * Returns: 1, or 0 when the bus has none now.
 * Errors: as shmbus_recording_next() and shmbus_recording_open() for a file; as
 *         shmbus_consumer_open() when the bus is joined, and another call tries again, with -ESTALE
 *         also for another bus of that name than the one recorded; as shmbus_consumer_next() from
 *         then on, -EPIPE at the end of the stream.
 * Ownership: the payload is good until the next call of next, wait or close.
 * Threads: the one that owns the splice.
 * Blocks: for files, and up to wait_ns to join the bus; from then on never.
 */
SHMBUS_API int shmbus_splice_next(struct shmbus_splice *splice, struct shmbus_record *out_record);

/**
 * Waits until there is something to be read.
 *
 * @param splice      the splice.
 * @param timeout_ns  how long at most.
 *
 * Returns: 0 when next is worth calling.
 * Errors: as shmbus_consumer_wait(), once the bus is joined.
 * Ownership: the last record of next() is gone.
 * Threads: the one that owns the splice.
 * Blocks: up to timeout_ns.
 */
SHMBUS_API int shmbus_splice_wait(struct shmbus_splice *splice, int64_t timeout_ns);

/**
 * Gives the consumer that reads the bus, for its counts and its descriptor.
 *
 * @param splice  the splice.
 *
 * Returns: the consumer, or NULL while the files are read and the bus is not joined.
 * Errors: none.
 * Ownership: the splice's; do not read its messages or close it.
 * Threads: the one that owns the splice.
 * Blocks: never.
 */
SHMBUS_API struct shmbus_consumer *shmbus_splice_consumer(struct shmbus_splice *splice);

/**
 * Leaves the bus and ends the reading.
 *
 * @param splice  may be NULL, which does nothing.
 *
 * Returns: nothing.
 * Errors: none.
 * Ownership: the splice and all that it gave are gone.
 * Threads: the one that owns the splice.
 * Blocks: never.
 */
SHMBUS_API void shmbus_splice_close(struct shmbus_splice *splice);

#ifdef __cplusplus
}
#endif

#endif
