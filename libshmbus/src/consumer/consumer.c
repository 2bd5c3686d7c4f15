/* SPDX-License-Identifier: MIT */
/*
 * Opening and closing a consumer, its counts, and offsets inside messages.
 */
#include "consumer/consumer.h"

#include "error/error.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_HOLD_QUOTA 1024u
#define HOLD_QUOTA_MAX     (1u << 24)
#define STORE_EVERY_MAX    256u

/* In the child of a fork: the mapping is not there, so nothing must touch it. */
static void orphan(struct process_object *object)
{
    struct shmbus_consumer *consumer =
        (struct shmbus_consumer *)(void *)((char *)object -
                                           offsetof(struct shmbus_consumer, object));
    consumer->orphaned = 1;
    consumer_fail(consumer, -ECHILD);
}

static int check_options(const struct shmbus_consumer_options *options)
{
    if (options->kind > SHMBUS_OBSERVER)
        return error_set(-EINVAL, "kind: %" PRIu32 " is no kind of consumer", options->kind);
    if (options->kind != SHMBUS_REQUIRED)
        return error_constant(-ENOTSUP, "kind: this version has required consumers only (ask for "
                                        "SHMBUS_REQUIRED)");
    if (options->from > SHMBUS_FROM_SEQUENCE)
        return error_set(-EINVAL, "from: %" PRIu32 " is no place to begin", options->from);
    if (options->flags & ~(SHMBUS_MAP_PREFAULT | SHMBUS_MAP_LOCK))
        return error_set(-EINVAL, "flags: 0x%" PRIx32 " has bits that mean nothing here",
                         options->flags);
    if (options->hold_quota > HOLD_QUOTA_MAX)
        return error_set(-EINVAL, "hold_quota: %" PRIu32 " is more than %u", options->hold_quota,
                         HOLD_QUOTA_MAX);
    if (options->wait_ns < SHMBUS_FOREVER)
        return error_set(-EINVAL, "wait_ns: %" PRId64 " is less than SHMBUS_FOREVER",
                         options->wait_ns);
    return options->name != NULL ? segment_check_name("consumer", options->name) : 0;
}

static int begin(struct shmbus_consumer *consumer, const struct shmbus_consumer_options *options)
{
    const struct feed_header *header = &consumer->segment.header;
    uint64_t every = header->capacity / 8;
    consumer->header = header;
    consumer->feed = consumer->segment.feed;
    consumer->state = segment_state(&consumer->segment);
    consumer->ring = ring_view(consumer->segment.feed, header);
    consumer->store_every = every < STORE_EVERY_MAX ? every : STORE_EVERY_MAX;
    uint32_t quota = options->hold_quota ? options->hold_quota : DEFAULT_HOLD_QUOTA;
    if (holds_begin(&consumer->holds, quota, layout_inline_bytes(header),
                    layout_slab_total(header)) < 0)
        return error_set(-ENOMEM, "%s: no memory left for %" PRIu32 " holds",
                         consumer->segment.name, quota);
    int result = consumer_join(consumer, options);
    if (result < 0)
        return result;
    result = segment_settle_mapping(&consumer->segment, options->flags);
    if (result < 0)
        consumer_leave(consumer);
    return result;
}

static void discard(struct shmbus_consumer *consumer)
{
    segment_close(&consumer->segment);
    holds_end(&consumer->holds);
    free(consumer);
}

int shmbus_consumer_open(const char *name, const struct shmbus_consumer_options *options,
                         struct shmbus_consumer **out_consumer)
{
    struct shmbus_consumer_options taken;
    int result = segment_check_name("bus", name);
    if (result == 0)
        result = layout_take_options(options, sizeof taken, "consumer options", &taken);
    if (result == 0)
        result = check_options(&taken);
    if (result < 0)
        return result;
    struct shmbus_consumer *consumer = calloc(1, sizeof *consumer);
    if (consumer == NULL)
        return error_set(-ENOMEM, "%s: no memory left for a consumer", name);
    int saved = errno;
    segment_begin(&consumer->segment, name);
    result = segment_open_wait(&consumer->segment, taken.folder, SEGMENT_CONSUME, taken.wait_ns);
    if (result == 0)
        result = begin(consumer, &taken);
    errno = saved;
    if (result < 0) {
        discard(consumer);
        return result;
    }
    process_hold();
    consumer->object.orphan = orphan;
    process_add(&consumer->object);
    process_release();
    *out_consumer = consumer;
    return 0;
}

void shmbus_consumer_close(struct shmbus_consumer *consumer)
{
    if (consumer == NULL)
        return;
    if (consumer->orphaned) {
        segment_forget(&consumer->segment);
        discard(consumer);
        return;
    }
    process_hold();
    process_remove(&consumer->object);
    process_release();
    consumer_leave(consumer);
    discard(consumer);
}

int shmbus_consumer_stats(struct shmbus_consumer *consumer, struct shmbus_consumer_stats *out_stats)
{
    int result = guard_enter(&consumer->guard);
    if (result < 0)
        return result;
    if (consumer->orphaned)
        result = error_constant(-ECHILD, "the consumer is another process's (open it again after "
                                         "fork)");
    else
        *out_stats = (struct shmbus_consumer_stats){
            .cursor = consumer->next,
            .received = consumer->received,
            .aborted = consumer->aborted,
            .held = consumer->holds.out,
        };
    guard_leave(&consumer->guard);
    return result;
}

int shmbus_message_at(const struct shmbus_message *message, uint32_t offset, uint64_t bytes,
                      uint32_t alignment, const void **out_data)
{
    if (alignment == 0 || alignment > 64 || (alignment & (alignment - 1)) != 0)
        return error_set(-EINVAL, "alignment %" PRIu32 ": not a power of two up to 64", alignment);
    const unsigned char *at = (const unsigned char *)message->data + offset;
    if (offset > message->length || bytes > message->length - offset)
        return error_set(-EBADMSG,
                         "%" PRIu64 " bytes at %" PRIu32 ": message %" PRIu64 " has %" PRIu32,
                         bytes, offset, message->sequence, message->length);
    if ((uintptr_t)at % alignment != 0)
        return error_set(-EBADMSG, "offset %" PRIu32 " is not a multiple of %" PRIu32, offset,
                         alignment);
    *out_data = at;
    return 0;
}
