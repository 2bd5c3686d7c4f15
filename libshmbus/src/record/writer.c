/* SPDX-License-Identifier: MIT */
/*
 * Writing a recording. The caller's thread copies records into the block that it fills; a full one
 * is handed over by a count, and the writing thread compresses and writes it, and counts it as
 * free. Both counts are under the mutex; the caller takes it once a block. Whatever fails in the
 * writing thread is kept, and the file is cut back to its last whole block.
 */
#include "record/block.h"
#include "record/outline.h"
#include "record/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <lz4frame.h>
#include <pthread.h>
#include <shmbus/record.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define BLOCK_DEFAULT 262144
#define BLOCK_LEAST   4096
#define BLOCK_MOST    1073741824
#define QUEUE_DEFAULT 8
#define QUEUE_MOST    4096
#define SECOND_NS     1000000000

struct shmbus_recorder {
    int file;
    pthread_t thread;
    struct shmbus_recorder_options options;
    struct block *blocks;
    uint32_t block_count;
    /* The caller's: */
    struct block *filling; /* NULL: all wait for the disk */
    uint64_t records;
    uint64_t next_sequence;
    uint64_t handed_sequence; /* after the last one that was handed over */
    /* Under the mutex: */
    pthread_mutex_t mutex;
    pthread_cond_t work; /* for the writing thread */
    pthread_cond_t room; /* for the caller */
    uint64_t filled;     /* blocks handed over */
    uint64_t written;    /* of them */
    int ending;
    int error; /* the first that writing met */
    uint64_t plain_bytes;
    uint64_t file_bytes;
    /* The writing thread's: */
    struct format_head *heads;
    uint64_t head_count;
    uint64_t end; /* of the last whole block */
    int64_t latest_receive_ns;
    int64_t synced_ns; /* when it was last forced to the disk */
    int unsynced;      /* something was written since */
    LZ4F_cctx *packer;
    char *packed;
    size_t packed_room;
};

/* ---- the writing thread ---- */

/* How a block is packed: as one of LZ4's blocks, if it is no larger than these may be. */
static LZ4F_preferences_t how_to_pack(const struct shmbus_recorder *recorder, uint64_t bytes)
{
    return (LZ4F_preferences_t){
        .frameInfo = {.blockSizeID = bytes <= 65536     ? LZ4F_max64KB
                                     : bytes <= 262144  ? LZ4F_max256KB
                                     : bytes <= 1048576 ? LZ4F_max1MB
                                                        : LZ4F_max4MB,
                      .blockMode = LZ4F_blockIndependent,
                      .contentChecksumFlag = LZ4F_contentChecksumEnabled,
                      .contentSize = bytes},
        .compressionLevel = recorder->options.level,
        .autoFlush = 1,
    };
}

/* One frame of a block, at out. Returns its bytes, or an error of LZ4's. */
static size_t pack_frame(struct shmbus_recorder *recorder, const struct block *block, char *out,
                         size_t room)
{
    static const LZ4F_compressOptions_t stable = {.stableSrc = 1};
    const LZ4F_preferences_t how = how_to_pack(recorder, block->head.plain_bytes);
    size_t used = LZ4F_compressBegin(recorder->packer, out, room, &how);
    size_t more = used;
    if (!LZ4F_isError(more))
        more = LZ4F_compressUpdate(recorder->packer, out + used, room - used, block->plain,
                                   block->head.plain_bytes, &stable);
    if (LZ4F_isError(more))
        return more;
    used += more;
    more = LZ4F_compressEnd(recorder->packer, out + used, room - used, &stable);
    return LZ4F_isError(more) ? more : used + more;
}

/* Compresses a block behind its head, so that both are one write. */
static int pack(struct shmbus_recorder *recorder, struct block *block, size_t *out_bytes)
{
    const LZ4F_preferences_t how = how_to_pack(recorder, block->head.plain_bytes);
    const size_t before = sizeof(struct format_skip) + sizeof(struct format_head);
    const size_t room = before + LZ4F_compressFrameBound(block->head.plain_bytes, &how);
    if (room > recorder->packed_room) {
        free(recorder->packed);
        recorder->packed = malloc(room);
        recorder->packed_room = recorder->packed != NULL ? room : 0;
        if (recorder->packed == NULL)
            return -ENOMEM;
    }
    size_t bytes = pack_frame(recorder, block, recorder->packed + before, room - before);
    if (LZ4F_isError(bytes))
        return -ENOMEM;
    const struct format_skip skip = {.magic = FORMAT_HEAD, .bytes = sizeof(struct format_head)};
    struct format_head *head = &block->head;
    if (head->last_receive_ns < recorder->latest_receive_ns)
        head->last_receive_ns = recorder->latest_receive_ns;
    head->offset = recorder->end + before;
    head->frame_bytes = bytes;
    head->frame_checksum = format_frame_checksum(recorder->packed + before, bytes);
    head->checksum = format_own_checksum(head, sizeof *head);
    memcpy(recorder->packed, &skip, sizeof skip);
    memcpy(recorder->packed + sizeof skip, head, sizeof *head);
    *out_bytes = before + bytes;
    return 0;
}

static int sync_file(struct shmbus_recorder *recorder)
{
    recorder->unsynced = 0;
    recorder->synced_ns = format_now_ns(CLOCK_MONOTONIC);
    return fdatasync(recorder->file) == 0 ? 0 : -errno;
}

static int write_block(struct shmbus_recorder *recorder, struct block *block)
{
    size_t bytes = 0;
    int result = pack(recorder, block, &bytes);
    if (result == 0)
        result = format_write(recorder->file, recorder->packed, bytes, recorder->end);
    if (result == 0)
        result = format_keep_head(&recorder->heads, &recorder->head_count, &block->head);
    if (result != 0) {
        /* What is cut would be found out by its checksum; without it the file is smaller. */
        int cut = ftruncate(recorder->file, (off_t)recorder->end);
        (void)cut;
        return result;
    }
    recorder->end += bytes;
    recorder->latest_receive_ns = block->head.last_receive_ns;
    recorder->unsynced = 1;
    return recorder->options.sync == SHMBUS_RECORD_SYNC_BLOCK ? sync_file(recorder) : 0;
}

static int is_sync_due(const struct shmbus_recorder *recorder)
{
    return recorder->options.sync == SHMBUS_RECORD_SYNC_TIME && recorder->unsynced &&
           format_now_ns(CLOCK_MONOTONIC) - recorder->synced_ns >= recorder->options.sync_ns;
}

/* Waits for a block, or until it is time to force the disk. Called with the mutex. */
static void await_work(struct shmbus_recorder *recorder)
{
    if (recorder->options.sync != SHMBUS_RECORD_SYNC_TIME || !recorder->unsynced) {
        pthread_cond_wait(&recorder->work, &recorder->mutex);
        return;
    }
    const int64_t until_ns = recorder->synced_ns + recorder->options.sync_ns;
    const struct timespec until = {.tv_sec = until_ns / SECOND_NS, .tv_nsec = until_ns % SECOND_NS};
    pthread_cond_timedwait(&recorder->work, &recorder->mutex, &until);
}

static void *write_blocks(void *context)
{
    struct shmbus_recorder *recorder = context;
    pthread_mutex_lock(&recorder->mutex);
    while (recorder->written < recorder->filled || !recorder->ending) {
        struct block *block = NULL;
        int result = recorder->error;
        if (recorder->written < recorder->filled)
            block = &recorder->blocks[recorder->written % recorder->block_count];
        else if (!is_sync_due(recorder)) {
            await_work(recorder);
            continue;
        }
        pthread_mutex_unlock(&recorder->mutex);
        if (result == 0 && block != NULL)
            result = write_block(recorder, block);
        if (result == 0 && is_sync_due(recorder))
            result = sync_file(recorder);
        pthread_mutex_lock(&recorder->mutex);
        recorder->error = result;
        if (block != NULL) {
            recorder->written++;
            recorder->plain_bytes += result == 0 ? block->head.plain_bytes : 0;
        }
        recorder->file_bytes = recorder->end;
        pthread_cond_signal(&recorder->room);
    }
    pthread_mutex_unlock(&recorder->mutex);
    return NULL;
}

/* ---- opening ---- */

static int check_options(const struct shmbus_recorder_options *options)
{
    static const struct shmbus_recorder_options none;
    if (options == NULL || options->struct_bytes < sizeof none)
        return format_failed(-EINVAL, "options have no size");
    if (options->struct_bytes > sizeof none)
        return format_failed(-E2BIG, "options are of a newer library");
    if (options->queue_blocks == 1 || options->queue_blocks > QUEUE_MOST)
        return format_failed(-EINVAL, "queue_blocks is not 2 to %d", QUEUE_MOST);
    if (options->block_bytes != 0 &&
        (options->block_bytes < BLOCK_LEAST || options->block_bytes > BLOCK_MOST))
        return format_failed(-EINVAL, "block_bytes is not %d to %d", BLOCK_LEAST, BLOCK_MOST);
    if (options->sync > SHMBUS_RECORD_SYNC_TIME || options->sync_ns < 0 ||
        (options->sync == SHMBUS_RECORD_SYNC_TIME && options->sync_ns == 0))
        return format_failed(-EINVAL, "sync or sync_ns is out of range");
    if ((options->flags & ~(SHMBUS_RECORD_APPEND | SHMBUS_RECORD_ASK)) != 0 || options->level > 12)
        return format_failed(-EINVAL, "flags or level is out of range");
    return 0;
}

/* Takes the heads of what is there, and cuts off what is behind the last whole block. */
static int go_on(struct shmbus_recorder *recorder)
{
    struct shmbus_recording *recording = NULL;
    uint64_t count = 0;
    int result = reader_open(recorder->file, &recording);
    if (result != 0)
        return result;
    const struct format_head *heads = reader_heads(recording, &count, &recorder->end);
    for (uint64_t i = 0; i < count && result == 0; i++)
        result = format_keep_head(&recorder->heads, &recorder->head_count, &heads[i]);
    if (count > 0)
        recorder->latest_receive_ns = heads[count - 1].last_receive_ns;
    recorder->next_sequence = shmbus_recording_info(recording)->next_sequence;
    shmbus_recording_close(recording);
    if (result != 0)
        return result;
    return ftruncate(recorder->file, (off_t)recorder->end) == 0
               ? 0
               : format_failed(-errno, "%s", strerror(errno));
}

static int make_blocks(struct shmbus_recorder *recorder)
{
    recorder->block_count =
        recorder->options.queue_blocks != 0 ? recorder->options.queue_blocks : QUEUE_DEFAULT;
    if (recorder->options.block_bytes == 0)
        recorder->options.block_bytes = BLOCK_DEFAULT;
    recorder->blocks = calloc(recorder->block_count, sizeof *recorder->blocks);
    for (uint32_t i = 0; recorder->blocks != NULL && i < recorder->block_count; i++) {
        recorder->blocks[i].plain = malloc(recorder->options.block_bytes);
        recorder->blocks[i].room = recorder->options.block_bytes;
        if (recorder->blocks[i].plain == NULL)
            return format_failed(-ENOMEM, "no memory left for blocks");
    }
    recorder->filling = recorder->blocks;
    return recorder->blocks != NULL ? 0 : format_failed(-ENOMEM, "no memory left for blocks");
}

static void free_all(struct shmbus_recorder *recorder)
{
    for (uint32_t i = 0; recorder->blocks != NULL && i < recorder->block_count; i++)
        free(recorder->blocks[i].plain);
    if (recorder->file >= 0)
        close(recorder->file);
    free(recorder->blocks);
    free(recorder->heads);
    free(recorder->packed);
    LZ4F_freeCompressionContext(recorder->packer);
    free(recorder);
}

static int start_thread(struct shmbus_recorder *recorder)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&recorder->mutex, NULL);
    pthread_cond_init(&recorder->work, &attributes);
    pthread_cond_init(&recorder->room, &attributes);
    pthread_condattr_destroy(&attributes);
    recorder->file_bytes = recorder->end;
    recorder->synced_ns = format_now_ns(CLOCK_MONOTONIC);
    int error = pthread_create(&recorder->thread, NULL, write_blocks, recorder);
    return error == 0 ? 0 : format_failed(-error, "no thread: %s", strerror(error));
}

/* Opens the file; *out_is_new says whether it was made. */
static int open_file(struct shmbus_recorder *recorder, const char *path, int *out_is_new)
{
    *out_is_new = 0;
    if (recorder->options.flags & SHMBUS_RECORD_APPEND)
        recorder->file = open(path, O_RDWR | O_CLOEXEC);
    else
        errno = ENOENT;
    if (recorder->file < 0 && errno == ENOENT) {
        recorder->file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        *out_is_new = recorder->file >= 0;
    }
    if (recorder->file < 0)
        return format_failed(-errno, "%s", strerror(errno));
    if (flock(recorder->file, LOCK_EX | LOCK_NB) != 0)
        return format_failed(-EBUSY, "another recorder writes it");
    if (!*out_is_new)
        return go_on(recorder);
    recorder->next_sequence = recorder->options.next_sequence;
    int result = outline_write_header(recorder->file, &recorder->options, &recorder->end);
    return result == 0 && recorder->options.sync != SHMBUS_RECORD_SYNC_NONE
               ? outline_sync_name(path)
               : result;
}

int shmbus_recorder_open(const char *path, const struct shmbus_recorder_options *options,
                         struct shmbus_recorder **out_recorder)
{
    int is_new = 0;
    int result = check_options(options);
    if (result != 0)
        return result;
    struct shmbus_recorder *recorder = calloc(1, sizeof *recorder);
    if (recorder == NULL)
        return format_failed(-ENOMEM, "no memory left for a recorder");
    recorder->file = -1;
    recorder->options = *options;
    result = make_blocks(recorder);
    if (result == 0 && LZ4F_isError(LZ4F_createCompressionContext(&recorder->packer, LZ4F_VERSION)))
        result = format_failed(-ENOMEM, "no memory left for packing");
    if (result == 0)
        result = open_file(recorder, path, &is_new);
    if (result == 0)
        result = start_thread(recorder);
    if (result != 0) {
        if (is_new)
            unlink(path);
        free_all(recorder);
        return result;
    }
    recorder->handed_sequence = recorder->next_sequence;
    *out_recorder = recorder;
    return 0;
}

/* ---- the caller's thread ---- */

static int told(int error)
{
    return error == 0 ? 0 : format_failed(error, "%s", strerror(-error));
}

/* Hands the block over that is filled, if there is something in it, and takes the next one. */
static int turn(struct shmbus_recorder *recorder, int hand_over)
{
    pthread_mutex_lock(&recorder->mutex);
    if (hand_over && recorder->filling != NULL && recorder->filling->head.records > 0) {
        recorder->handed_sequence = recorder->filling->head.next_sequence;
        recorder->filled++;
        recorder->filling = NULL;
        pthread_cond_signal(&recorder->work);
    }
    if (recorder->filling == NULL && recorder->filled - recorder->written < recorder->block_count) {
        recorder->filling = &recorder->blocks[recorder->filled % recorder->block_count];
        memset(&recorder->filling->head, 0, sizeof recorder->filling->head);
    }
    int error = recorder->error;
    pthread_mutex_unlock(&recorder->mutex);
    if (error == 0 && recorder->filling == NULL)
        return format_failed(-EAGAIN, "all blocks wait for the disk");
    return told(error);
}

int shmbus_recorder_put(struct shmbus_recorder *recorder, const struct shmbus_record *record)
{
    const uint64_t bytes = format_record_bytes(record->length);
    int result = 0;
    if (record->kind < SHMBUS_RECORD_MESSAGE || record->kind > SHMBUS_RECORD_ABORTED ||
        record->count == 0 || record->count > UINT64_MAX - record->sequence ||
        record->length > SHMBUS_RECORD_LENGTH_MAX)
        return format_failed(-EINVAL, "the record is none");
    if (record->sequence < recorder->next_sequence)
        return format_failed(-EINVAL, "sequence %llu comes after %llu",
                             (unsigned long long)record->sequence,
                             (unsigned long long)recorder->next_sequence - 1);
    const struct block *filling = recorder->filling;
    if (filling == NULL)
        result = turn(recorder, 0);
    else if (filling->head.records > 0 &&
             filling->head.plain_bytes + bytes > recorder->options.block_bytes)
        result = recorder->options.flags & SHMBUS_RECORD_ASK
                     ? format_failed(-ENOBUFS, "the block is full (flush it)")
                     : turn(recorder, 1);
    if (result == 0)
        result = block_make_room(recorder->filling, recorder->filling->head.plain_bytes + bytes);
    if (result != 0)
        return result;
    block_add(recorder->filling, record);
    recorder->next_sequence = record->sequence + record->count;
    recorder->records++;
    return 0;
}

int shmbus_recorder_wait(struct shmbus_recorder *recorder, int64_t timeout_ns)
{
    const int64_t until_ns = format_now_ns(CLOCK_MONOTONIC) + timeout_ns;
    const struct timespec until = {.tv_sec = until_ns / SECOND_NS, .tv_nsec = until_ns % SECOND_NS};
    int waited = 0;
    pthread_mutex_lock(&recorder->mutex);
    while (recorder->error == 0 && waited == 0 && recorder->filling == NULL &&
           recorder->filled - recorder->written == recorder->block_count)
        waited = pthread_cond_timedwait(&recorder->room, &recorder->mutex, &until);
    int error = recorder->error;
    pthread_mutex_unlock(&recorder->mutex);
    if (error == 0 && waited != 0)
        return format_failed(-ETIMEDOUT, "all blocks wait for the disk");
    return told(error);
}

int shmbus_recorder_flush(struct shmbus_recorder *recorder)
{
    return turn(recorder, 1);
}

int shmbus_recorder_drop(struct shmbus_recorder *recorder, uint64_t sequence)
{
    struct block *block = recorder->filling;
    if (block == NULL || recorder->next_sequence <= sequence)
        return 0;
    const uint64_t records = block->head.records;
    const uint64_t messages = block_cut(block, sequence);
    recorder->records -= records - block->head.records;
    recorder->next_sequence =
        block->head.records > 0 ? block->head.next_sequence : recorder->handed_sequence;
    return (int)messages;
}

void shmbus_recorder_stats(struct shmbus_recorder *recorder,
                           struct shmbus_recorder_stats *out_stats)
{
    pthread_mutex_lock(&recorder->mutex);
    *out_stats = (struct shmbus_recorder_stats){
        .records = recorder->records,
        .plain_bytes = recorder->plain_bytes,
        .file_bytes = recorder->file_bytes,
        .next_sequence = recorder->next_sequence,
        .queued_blocks = recorder->filled - recorder->written,
    };
    pthread_mutex_unlock(&recorder->mutex);
}

int shmbus_recorder_close(struct shmbus_recorder *recorder)
{
    if (recorder == NULL)
        return 0;
    /* Whether there is a block free to be filled next is no matter any more. */
    (void)turn(recorder, 1);
    pthread_mutex_lock(&recorder->mutex);
    recorder->ending = 1;
    pthread_cond_signal(&recorder->work);
    pthread_mutex_unlock(&recorder->mutex);
    pthread_join(recorder->thread, NULL);
    int result = recorder->error;
    if (result == 0)
        result = outline_write_index(recorder->file, recorder->heads, recorder->head_count,
                                     recorder->end);
    if (result == 0 && recorder->options.sync != SHMBUS_RECORD_SYNC_NONE)
        result = sync_file(recorder);
    pthread_mutex_destroy(&recorder->mutex);
    pthread_cond_destroy(&recorder->work);
    pthread_cond_destroy(&recorder->room);
    free_all(recorder);
    return told(result);
}
