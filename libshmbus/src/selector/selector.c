/* SPDX-License-Identifier: MIT */
/*
 * Several consumers read by one thread: in turn, or merged by timestamp. All of it is private to
 * that thread. It parks at all of their doors at once: each flag is set, one membarrier orders
 * them, every consumer is looked at once more, and futex_waitv sleeps until one of the words moves
 * on.
 *
 * In turn, each consumer may hand out so many messages in a row, and the next one begins behind the
 * last that did: none starves, however fast another bus is. Merged, each consumer's next message is
 * fetched, and the one with the least timestamp is handed out, at once if every consumer that has
 * not ended has one, or else when it is hold_ns old: a bus that is silent cannot have an older one
 * then, unless its producer took the time and was held up for longer than that.
 */
#include "consumer/consumer.h"
#include "error/error.h"
#include "selector/heads.h"
#include "wait/wait.h"

#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#define DEFAULT_BURST 16u

/* What is known of one consumer's next message. */
#define HEAD_UNKNOWN 0u
#define HEAD_FETCHED 1u /* in message: not handed out yet */
#define HEAD_ENDED   2u /* it failed or ended, which was told */

struct member {
    struct shmbus_consumer *consumer;
    void *context;
    struct shmbus_message message;
    uint32_t head; /* HEAD_... */
    int found;     /* what a probe found, to be told */
};

struct shmbus_selector {
    struct member members[SHMBUS_SELECTOR_MAX];
    uint32_t count;
    struct heads heads;                  /* merged: those whose next message is fetched */
    uint32_t quiet[SHMBUS_SELECTOR_MAX]; /* merged: those whose next message is not known */
    uint32_t quiet_count;
    uint32_t turn;  /* whose turn it is */
    uint32_t taken; /* that it handed out in a row */
    uint32_t order;
    uint32_t burst;
    int64_t hold_ns;
    struct wait_plan wait;
    struct park_door *doors[SHMBUS_SELECTOR_MAX];
    const _Atomic uint32_t *words[SHMBUS_SELECTOR_MAX];
    uint32_t seen[SHMBUS_SELECTOR_MAX];
};

int shmbus_selector_open(const struct shmbus_selector_options *options,
                         struct shmbus_selector **out_selector)
{
    struct shmbus_selector_options taken = {0};
    struct wait_plan wait = {0};
    int result = layout_take_options(options, sizeof taken, "selector options", &taken);
    if (result == 0)
        result = wait_take_options(&taken.wait, &wait);
    if (result < 0)
        return result;
    if (taken.order > SHMBUS_SELECT_MERGED)
        return error_set(-EINVAL, "order: %" PRIu32 " is no order", taken.order);
    if (taken.hold_ns < 0)
        return error_set(-EINVAL, "hold_ns: %" PRId64 " is less than 0", taken.hold_ns);
    struct shmbus_selector *selector = calloc(1, sizeof *selector);
    if (selector == NULL)
        return error_constant(-ENOMEM, "no memory left for a selector");
    selector->order = taken.order;
    selector->burst = taken.burst ? taken.burst : DEFAULT_BURST;
    selector->hold_ns = taken.hold_ns;
    selector->wait = wait;
    *out_selector = selector;
    return 0;
}

void shmbus_selector_close(struct shmbus_selector *selector)
{
    free(selector);
}

static uint32_t find(const struct shmbus_selector *selector, const struct shmbus_consumer *consumer)
{
    uint32_t i = 0;
    while (i < selector->count && selector->members[i].consumer != consumer)
        i++;
    return i;
}

int shmbus_selector_add(struct shmbus_selector *selector, struct shmbus_consumer *consumer,
                        void *context)
{
    if (consumer == NULL)
        return error_constant(-EINVAL, "consumer: NULL");
    if (find(selector, consumer) < selector->count)
        return error_constant(-EEXIST, "the consumer is in the selector already");
    if (selector->count == SHMBUS_SELECTOR_MAX)
        return error_set(-ENOSPC, "a selector has room for %d consumers (use another one)",
                         SHMBUS_SELECTOR_MAX);
    if (selector->order == SHMBUS_SELECT_MERGED && !consumer->ring.timestamps)
        return error_set(-EINVAL,
                         "%s: has no timestamps to merge by (create it with SHMBUS_BUS_TIMESTAMPS)",
                         consumer->segment.name);
    selector->quiet[selector->quiet_count++] = selector->count;
    selector->members[selector->count++] =
        (struct member){.consumer = consumer, .context = context};
    return 0;
}

/* Those above a removed one move down by one. */
static void renumber(struct shmbus_selector *selector, uint32_t removed)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < selector->quiet_count; i++) {
        uint32_t member = selector->quiet[i];
        if (member != removed)
            selector->quiet[kept++] = member - (member > removed);
    }
    selector->quiet_count = kept;
    heads_renumber(&selector->heads, removed);
}

int shmbus_selector_remove(struct shmbus_selector *selector, struct shmbus_consumer *consumer)
{
    uint32_t index = find(selector, consumer);
    if (index == selector->count)
        return error_constant(-EINVAL, "the consumer is not in the selector");
    if (selector->members[index].head == HEAD_FETCHED)
        return error_constant(-EBUSY, "its next message is fetched already (take it first)");
    /* The others keep their order. */
    for (uint32_t i = index; i + 1 < selector->count; i++)
        selector->members[i] = selector->members[i + 1];
    selector->count--;
    renumber(selector, index);
    if (selector->turn > index)
        selector->turn--;
    if (selector->turn >= selector->count)
        selector->turn = 0;
    selector->taken = 0;
    return 0;
}

static int tell(struct member *member, int result, struct shmbus_selected *out_selected)
{
    *out_selected = (struct shmbus_selected){
        .consumer = member->consumer, .context = member->context, .result = result};
    if (result < 0)
        member->head = HEAD_ENDED;
    else
        out_selected->message = member->message;
    return 1;
}

/* The consumer's next message, or what became of it. */
static int fetch(struct member *member)
{
    return member->found < 0 ? member->found
                             : shmbus_consumer_next(member->consumer, &member->message);
}

/* Nothing is there now: or has every consumer ended? */
static int nothing(const struct shmbus_selector *selector)
{
    for (uint32_t i = 0; i < selector->count; i++)
        if (selector->members[i].head != HEAD_ENDED)
            return 0;
    return error_constant(-EPIPE, "every consumer of the selector has ended (remove them)");
}

static void pass_on(struct shmbus_selector *selector)
{
    selector->turn = selector->turn + 1 < selector->count ? selector->turn + 1 : 0;
    selector->taken = 0;
}

static int next_in_turn(struct shmbus_selector *selector, struct shmbus_selected *out_selected)
{
    if (selector->taken >= selector->burst)
        pass_on(selector);
    for (uint32_t i = 0; i < selector->count; i++) {
        struct member *member = &selector->members[selector->turn];
        if (member->head != HEAD_ENDED) {
            int result = fetch(member);
            if (result != 0) {
                selector->taken++;
                return tell(member, result < 0 ? result : 0, out_selected);
            }
        }
        pass_on(selector);
    }
    return nothing(selector);
}

/* When a fetched message is old enough to be handed out though others are silent; INT64_MAX: none
 * is fetched. */
static int64_t due(const struct shmbus_selector *selector)
{
    const struct head *least = &selector->heads.heap[0];
    if (selector->heads.count == 0 || least->timestamp_ns > INT64_MAX - selector->hold_ns)
        return INT64_MAX;
    return least->timestamp_ns + selector->hold_ns;
}

/* Fetches what is not fetched yet. Returns 0, or the result of one that failed, which is then no
 * longer among the quiet ones. */
static int fetch_quiet(struct shmbus_selector *selector, struct member **out_failed)
{
    for (uint32_t i = 0; i < selector->quiet_count;) {
        uint32_t index = selector->quiet[i];
        struct member *member = &selector->members[index];
        int result = fetch(member);
        if (result == 0) {
            i++;
            continue;
        }
        selector->quiet[i] = selector->quiet[--selector->quiet_count];
        if (result < 0) {
            *out_failed = member;
            return result;
        }
        member->head = HEAD_FETCHED;
        heads_push(&selector->heads, member->message.timestamp_ns, index);
    }
    return 0;
}

static int next_merged(struct shmbus_selector *selector, struct shmbus_selected *out_selected)
{
    struct member *member = NULL;
    int result = fetch_quiet(selector, &member);
    if (result < 0)
        return tell(member, result, out_selected);
    if (selector->heads.count == 0)
        return nothing(selector);
    if (selector->quiet_count > 0 && selector->hold_ns > 0 && wait_now() < due(selector))
        return 0;
    uint32_t index = heads_pop(&selector->heads);
    selector->quiet[selector->quiet_count++] = index;
    member = &selector->members[index];
    member->head = HEAD_UNKNOWN;
    return tell(member, 0, out_selected);
}

int shmbus_selector_next(struct shmbus_selector *selector, struct shmbus_selected *out_selected)
{
    if (selector->count == 0)
        return error_constant(-EPIPE, "no consumer is in the selector (add one)");
    return selector->order == SHMBUS_SELECT_MERGED ? next_merged(selector, out_selected)
                                                   : next_in_turn(selector, out_selected);
}

/* Is there something to hand out or to tell? */
static int has_something(struct shmbus_selector *selector)
{
    uint32_t silent = 0;
    uint32_t news = 0;
    for (uint32_t i = 0; i < selector->count; i++) {
        struct member *member = &selector->members[i];
        if (member->head != HEAD_UNKNOWN)
            continue;
        if (member->found < 0 || consumer_peek(member->consumer))
            news++;
        else
            silent++;
    }
    if (selector->order == SHMBUS_SELECT_FAIR || news == 0 || silent == 0)
        return news > 0 || (silent == 0 && due(selector) != INT64_MAX);
    /* Merged: what came is fetched, to know whether it may go. */
    return 1;
}

/* Has a consumer something to tell that only the kernel knows: a death? */
static int probe(struct shmbus_selector *selector)
{
    int any = 0;
    for (uint32_t i = 0; i < selector->count; i++) {
        struct member *member = &selector->members[i];
        if (member->head != HEAD_UNKNOWN || member->found < 0)
            continue;
        int result = consumer_probe(member->consumer);
        member->found = result < 0 ? result : 0;
        any |= result != 0;
    }
    return any;
}

/* Parks at every door at once, for so long. Where one has none, or the kernel cannot, it sleeps for
 * a short while. */
static void park(void *context, int64_t ns)
{
    struct shmbus_selector *selector = context;
    uint32_t count = 0;
    int all = 1;
    for (uint32_t i = 0; i < selector->count; i++) {
        struct member *member = &selector->members[i];
        if (member->head != HEAD_UNKNOWN)
            continue;
        struct park_door *door = consumer_door(member->consumer);
        if (door == NULL || door->is_shut) {
            all = 0;
        } else {
            selector->words[count] = door->word;
            selector->doors[count++] = door;
        }
    }
    if (!all || count == 0 || park_say_all(selector->doors, count, selector->seen) < 0 ||
        (!has_something(selector) &&
         park_sleep_any(selector->words, selector->seen, count, ns) < 0))
        park_nap(ns);
}

static int wait_for_any(struct shmbus_selector *selector, struct waiter *waiter)
{
    for (;;) {
        if (has_something(selector))
            return 0;
        waiter->until_ns = due(selector);
        if (waiter->until_ns <= wait_now())
            return 0;
        int step = wait_step(waiter);
        if ((step == WAIT_PROBE || step < 0) && probe(selector))
            return 0;
        if (step < 0)
            return has_something(selector) ? 0 : error_constant(step, "no message came in time");
    }
}

int shmbus_selector_wait(struct shmbus_selector *selector, int64_t timeout_ns)
{
    if (selector->count == 0)
        return error_constant(-EPIPE, "no consumer is in the selector (add one)");
    int result = nothing(selector);
    if (result < 0)
        return result;
    struct waiter waiter = wait_begin_as(&selector->wait, timeout_ns, NULL);
    waiter.park = park;
    waiter.context = selector;
    result = wait_for_any(selector, &waiter);
    wait_end(&waiter);
    return result;
}
