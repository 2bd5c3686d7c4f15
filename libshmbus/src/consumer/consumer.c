/* SPDX-License-Identifier: MIT */
/*
 * Opening and closing a consumer, joining again, its counts, and offsets inside messages.
 */
#include "consumer/after.h"

#include "error/error.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#define DEFAULT_HOLD_QUOTA 1024u
#define HOLD_QUOTA_MAX     (1u << 24)
#define STORE_EVERY_MAX    256u
#define TYPE_BITS          65536u
#define OPEN_TRIES         64

/* In the child of a fork: the mapping is not there, so nothing must touch it. */
static void orphan(struct process_object *object)
{
    struct shmbus_consumer *consumer =
        (struct shmbus_consumer *)(void *)((char *)object -
                                           offsetof(struct shmbus_consumer, object));
    consumer->orphaned = 1;
    consumer->lent_slab = HOLD_COPIED;
    /* A call that is going on in the child, if the fork was in its callback, stores nothing. */
    consumer->entry = NULL;
    consumer_fail(consumer, -ECHILD, "the consumer is another process's");
}

static int check_times(const struct shmbus_consumer_options *options)
{
    if (options->wait_ns < SHMBUS_FOREVER)
        return error_set(-EINVAL, "wait_ns: %" PRId64 " is less than SHMBUS_FOREVER",
                         options->wait_ns);
    if (options->deadline_ns < 0)
        return error_set(-EINVAL, "deadline_ns: %" PRId64 " is less than 0", options->deadline_ns);
    if (options->grace_ns < 0)
        return error_set(-EINVAL, "grace_ns: %" PRId64 " is less than 0", options->grace_ns);
    if (options->grace_ns > 0 && (options->kind != SHMBUS_REQUIRED || options->name == NULL))
        return error_constant(-EINVAL, "grace_ns: only a required consumer with a name has it");
    if (options->slack > 0 && options->kind == SHMBUS_REQUIRED)
        return error_constant(-EINVAL, "slack: a required consumer is never skipped ahead");
    return 0;
}

static int check_options(const struct shmbus_consumer_options *options)
{
    const uint32_t known =
        SHMBUS_MAP_PREFAULT | SHMBUS_MAP_LOCK | SHMBUS_JOIN_MOVE_UP | SHMBUS_READ_STAND_OFF;
    if (options->kind > SHMBUS_OBSERVER)
        return error_set(-EINVAL, "kind: %" PRIu32 " is no kind of consumer", options->kind);
    if (options->from > SHMBUS_FROM_SEQUENCE)
        return error_set(-EINVAL, "from: %" PRIu32 " is no place to begin", options->from);
    if (options->flags & ~known)
        return error_set(-EINVAL, "flags: 0x%" PRIx32 " has bits that mean nothing here",
                         options->flags & ~known);
    if (options->hold_quota > HOLD_QUOTA_MAX)
        return error_set(-EINVAL, "hold_quota: %" PRIu32 " is more than %u", options->hold_quota,
                         HOLD_QUOTA_MAX);
    if ((options->type_count > 0 && options->types == NULL) ||
        (options->expected_count > 0 && options->expected == NULL))
        return error_constant(-EINVAL, "types or expected: NULL with a count");
    int result = check_times(options);
    if (result == 0 && options->name != NULL)
        result = layout_check_name("consumer", options->name);
    return result;
}

/* The name that shmbus-stat shows: the one given, or the process's, made fit. */
static void choose_name(const char *given, char *out_name)
{
    char process[17] = "";
    if (given != NULL) {
        snprintf(out_name, SHMBUS_NAME_MAX + 1, "%s", given);
        return;
    }
    prctl(PR_GET_NAME, process);
    for (char *at = process; *at != 0; at++)
        if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-", *at) == NULL)
            *at = '_';
    snprintf(out_name, SHMBUS_NAME_MAX + 1, "%s", process[0] != 0 ? process : "consumer");
}

/* A bit for each type that is wanted. */
static int choose_types(struct shmbus_consumer *consumer)
{
    const struct shmbus_consumer_options *options = &consumer->options;
    if (options->types == NULL)
        return 0;
    uint64_t *wanted = calloc(TYPE_BITS / 64, sizeof *wanted);
    if (wanted == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < options->type_count; i++)
        wanted[options->types[i] / 64] |= UINT64_C(1) << (options->types[i] % 64);
    consumer->wanted = wanted;
    return 0;
}

/* The longest payload that this kind of consumer copies. */
static uint64_t copy_bytes(const struct shmbus_consumer *consumer)
{
    const struct feed_header *header = consumer->header;
    uint64_t bytes = layout_inline_bytes(header);
    if (consumer->options.kind == SHMBUS_OBSERVER && header->class_count > 0)
        bytes = header->classes[header->class_count - 1].slab_bytes;
    return bytes > layout_inline_bytes(header) ? bytes : layout_inline_bytes(header);
}

static int make_room(struct shmbus_consumer *consumer)
{
    const struct shmbus_consumer_options *options = &consumer->options;
    uint32_t quota = options->hold_quota ? options->hold_quota : DEFAULT_HOLD_QUOTA;
    int result = choose_types(consumer);
    if (result == 0 && options->kind != SHMBUS_REQUIRED) {
        consumer->copy = calloc(1, copy_bytes(consumer));
        result = consumer->copy == NULL ? -ENOMEM : 0;
    }
    if (result == 0)
        result = holds_begin(&consumer->holds, quota, copy_bytes(consumer),
                             layout_slab_total(consumer->header));
    return result < 0 ? error_set(result, "%s: no memory left for %" PRIu32 " holds",
                                  consumer->segment.name, quota)
                      : 0;
}

/* The private words as they are before a join. */
static void set_view(struct shmbus_consumer *consumer)
{
    const struct feed_header *header = &consumer->segment.header;
    uint64_t every = header->capacity / 8;
    consumer->header = header;
    consumer->feed = consumer->segment.feed;
    const void *generations = consumer->feed + header->generations.offset;
    consumer->generations = generations;
    consumer->state = segment_state(&consumer->segment);
    consumer->ring = ring_view(consumer->segment.feed, header);
    consumer->store_every = every < STORE_EVERY_MAX ? every : STORE_EVERY_MAX;
    consumer_watch_floor(consumer);
    consumer->lent_slab = HOLD_COPIED;
    consumer->limit = UINT64_MAX;
    consumer->is_plain = consumer->options.kind == SHMBUS_REQUIRED &&
                         consumer->options.types == NULL && consumer->options.after_count == 0;
    consumer->stands_off = (consumer->options.flags & SHMBUS_READ_STAND_OFF) != 0;
    consumer->look_at = consumer->is_plain || consumer->stands_off ? 0 : UINT64_MAX;
}

static int begin(struct shmbus_consumer *consumer)
{
    const struct shmbus_consumer_options *options = &consumer->options;
    int result = 0;
    set_view(consumer);
    for (uint32_t i = 0; result == 0 && i < options->expected_count; i++)
        result = layout_check_expected(consumer->header, consumer->feed, &options->expected[i]);
    if (result == 0)
        result = make_room(consumer);
    if (result == 0)
        result = after_make(consumer);
    if (result < 0)
        return result;
    consumer_begin_waking(consumer);
    result = consumer_join(consumer);
    if (result < 0)
        return result;
    consumer_begin_parking(consumer);
    result = segment_settle_mapping(&consumer->segment, options->flags);
    if (result < 0)
        consumer_leave(consumer);
    /* The caller's arrays may go when the call returns. */
    consumer->options.types = NULL;
    consumer->options.expected = NULL;
    consumer->options.name = consumer->name;
    consumer->options.after = NULL;
    return result;
}

static void discard(struct shmbus_consumer *consumer)
{
    union {
        const uint64_t *kept;
        void *given;
    } wanted = {consumer->wanted};
    consumer_event_end(consumer);
    segment_close(&consumer->segment);
    holds_end(&consumer->holds);
    after_end(consumer->after);
    free(wanted.given);
    free(consumer->copy);
    free(consumer);
}

/* Opens once. Says whether a bus was there that vanished while it was joined: it was removed, or
 * replaced by another one, which has its name by now. */
static int open_once(const char *name, const struct shmbus_consumer *like, int64_t wait_ns,
                     int *out_vanished, struct shmbus_consumer **out_consumer)
{
    struct shmbus_consumer *consumer = calloc(1, sizeof *consumer);
    *out_vanished = 0;
    if (consumer == NULL)
        return error_set(-ENOMEM, "%s: no memory left for a consumer", name);
    *consumer = *like;
    segment_begin(&consumer->segment, name);
    enum segment_role role =
        like->options.kind == SHMBUS_OBSERVER ? SEGMENT_OBSERVE : SEGMENT_CONSUME;
    int result = segment_open_wait(&consumer->segment, like->options.folder, role, wait_ns);
    if (result == 0) {
        result = begin(consumer);
        *out_vanished = result == -ENOENT;
    }
    if (result < 0) {
        discard(consumer);
        return result;
    }
    *out_consumer = consumer;
    return 0;
}

/* What is left of a time to wait. */
static int64_t left_of(int64_t wait_ns, int64_t began)
{
    int64_t gone = wait_now() - began;
    if (wait_ns < 0)
        return wait_ns;
    return gone < wait_ns ? wait_ns - gone : 0;
}

int shmbus_consumer_open(const char *name, const struct shmbus_consumer_options *options,
                         struct shmbus_consumer **out_consumer)
{
    struct shmbus_consumer *consumer = NULL;
    struct shmbus_consumer like = {0};
    struct shmbus_consumer_options taken = {0};
    char own[SHMBUS_NAME_MAX + 1];
    int result = layout_check_name("bus", name);
    if (result == 0)
        result = layout_take_options(options, sizeof taken, "consumer options", &taken);
    if (result == 0)
        result = check_options(&taken);
    struct wait_plan wait;
    if (result == 0)
        result = wait_take_options(&taken.wait, &wait);
    if (result < 0)
        return result;
    choose_name(taken.name, own);
    result = after_check(&taken, own);
    if (result < 0)
        return result;
    like.options = taken;
    like.wait = wait;
    memcpy(like.name, own, sizeof own);
    int saved = errno;
    int64_t began = wait_now();
    int vanished;
    int tries = OPEN_TRIES;
    do {
        result = open_once(name, &like, left_of(taken.wait_ns, began), &vanished, &consumer);
    } while (vanished && --tries > 0);
    errno = saved;
    if (result < 0)
        return result;
    process_hold();
    consumer->object.orphan = orphan;
    process_add(&consumer->object);
    process_release();
    *out_consumer = consumer;
    return 0;
}

/* What was read counts for those that run after it; the message that next() gave last does not,
 * since nothing says that it was finished with. */
static void finish_reading(struct shmbus_consumer *consumer)
{
    if (consumer->failed != 0 || consumer->entry == NULL)
        return;
    consumer->next -= consumer->is_lent;
    if (consumer->next > consumer->stored)
        consumer_advance(consumer);
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
    finish_reading(consumer);
    consumer_leave(consumer);
    discard(consumer);
}

static int refuse_child(void)
{
    return error_constant(-ECHILD, "the consumer is another process's (open it again after fork)");
}

static int rejoin(struct shmbus_consumer *consumer, uint32_t from, uint64_t from_sequence)
{
    if (consumer->orphaned)
        return refuse_child();
    /* ORDER(rejoin_state:B) pairs replaced:A: a bus that is gone is not joined again */
    uint32_t state = atomic_load_explicit(&consumer->state->bus_state, memory_order_acquire);
    if (from > SHMBUS_FROM_SEQUENCE)
        return error_set(-EINVAL, "from: %" PRIu32 " is no place to begin", from);
    if (state == BUS_REPLACED)
        return error_constant(-ESTALE, "the bus was replaced by one of another geometry (open it "
                                       "again)");
    int failed = consumer->failed;
    consumer->options.from = from;
    consumer->options.from_sequence = from_sequence;
    consumer->ring = ring_view(consumer->segment.feed, consumer->header);
    consumer->failed = 0;
    int result = consumer_join_again(consumer);
    /* It stays as it is. */
    if (result < 0 && failed != 0 && consumer->failed == 0)
        consumer_fail(consumer, failed, consumer->why);
    return result;
}

int shmbus_consumer_rejoin(struct shmbus_consumer *consumer, uint32_t from, uint64_t from_sequence)
{
    int result = guard_enter(&consumer->guard);
    if (result < 0)
        return result;
    result = rejoin(consumer, from, from_sequence);
    guard_leave(&consumer->guard);
    return result;
}

int shmbus_consumer_valid(struct shmbus_consumer *consumer, const struct shmbus_message *message)
{
    int result = guard_enter(&consumer->guard);
    if (result < 0)
        return result;
    if (consumer->orphaned)
        result = refuse_child();
    else if (consumer->failed != 0)
        result = 0;
    else if (consumer->options.kind != SHMBUS_REQUIRED && message->handle == 0)
        result = 1;
    else
        result = !consumer_words_changed(consumer) && !holds_lost(consumer, message->handle);
    guard_leave(&consumer->guard);
    return result;
}

int shmbus_consumer_stats(struct shmbus_consumer *consumer, struct shmbus_consumer_stats *out_stats)
{
    int result = guard_enter(&consumer->guard);
    if (result < 0)
        return result;
    if (consumer->orphaned)
        result = refuse_child();
    else
        *out_stats = (struct shmbus_consumer_stats){
            .cursor = consumer->next,
            .received = consumer->received,
            .lost = consumer->lost,
            .filtered = consumer->filtered,
            .aborted = consumer->aborted,
            .held = consumer->holds.out,
            .resumed = consumer->resumed,
            .trusted = consumer->failed != 0 ? consumer->trusted : consumer->stored,
        };
    guard_leave(&consumer->guard);
    return result;
}

int shmbus_message_at(const struct shmbus_message *message, uint32_t offset, uint64_t bytes,
                      uint32_t alignment, const void **out_data)
{
    if (alignment == 0 || alignment > 64 || (alignment & (alignment - 1)) != 0)
        return error_set(-EINVAL, "alignment %" PRIu32 ": not a power of two up to 64", alignment);
    if (offset > message->length || bytes > message->length - offset)
        return error_set(-EBADMSG,
                         "%" PRIu64 " bytes at %" PRIu32 ": message %" PRIu64 " has %" PRIu32,
                         bytes, offset, message->sequence, message->length);
    const unsigned char *at = (const unsigned char *)message->data + offset;
    if ((uintptr_t)at % alignment != 0)
        return error_set(-EBADMSG, "offset %" PRIu32 " is not a multiple of %" PRIu32, offset,
                         alignment);
    *out_data = at;
    return 0;
}
