/* SPDX-License-Identifier: MIT */
/*
 * The worker that reads several consumers through one selector, in turn or merged: of its own bus,
 * of every kind, and an observer of the bus beside it where there is one. Each must see what it
 * would have to see by itself; and what a required one of a single producer surely has to read is
 * neither passed over for its turn nor for what is younger.
 */
#include "track.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define MEMBERS 4

struct member {
    struct track track;
    int is_in;             /* open, and in the selector */
    int was_sure;          /* it had a message to give before the call began */
    uint32_t passed_over;  /* so many times in a row another one gave its message then */
    int64_t not_before_ns; /* its next message is not older than that */
};

struct selecting {
    struct world *root;
    struct page *page;
    struct shmbus_selector *selector;
    struct shmbus_selector_options options;
    uint64_t state;
    struct member members[MEMBERS];
    uint32_t count; /* of members */
};

/* A required consumer of a single producer, and a call has returned for a message that it has not
 * seen: if it is not evicted it has one to give. */
static void look_who_is_sure(struct selecting *own)
{
    for (uint32_t i = 0; i < own->count; i++) {
        struct member *member = &own->members[i];
        const struct track *track = &member->track;
        member->was_sure = member->is_in && track->kind == SHMBUS_REQUIRED && !track->world->many &&
                           track->mask == 0xff &&
                           track->expected < atomic_load(&track->world->last);
    }
}

static void choose_member(struct selecting *own, struct member *member, struct world *root)
{
    struct track *track = &member->track;
    static const uint32_t kinds[] = {SHMBUS_REQUIRED, SHMBUS_REQUIRED, SHMBUS_REQUIRED,
                                     SHMBUS_OPTIONAL, SHMBUS_OBSERVER};
    uint64_t *state = &own->state;
    *track = (struct track){.root = root, .world = root, .page = own->page, .is_selected = 1};
    track->state = random_next(state);
    track->is_foreign = root != own->root;
    track->kind = track->is_foreign ? (uint32_t)SHMBUS_OBSERVER : kinds[random_below(state, 5)];
    track->slow = random_chance(state, 15) ? (uint32_t)random_below(state, 10) : 0;
    track->keeps = random_chance(state, 60) ? (uint32_t)random_below(state, 30) : 0;
    track->quota = 1 + (uint32_t)random_below(state, KEPT_MAX);
    track->mask = random_chance(state, 30) ? 1 + (uint32_t)random_below(state, 255) : 0xff;
}

static void put_in(struct selecting *own, struct member *member)
{
    int result = shmbus_selector_add(own->selector, member->track.consumer, member);
    if (result < 0)
        violate(own->root, "selector_add: %d: %s", result, shmbus_error_text());
    if (shmbus_selector_add(own->selector, member->track.consumer, member) != -EEXIST)
        violate(own->root, "a consumer could be put into a selector twice");
    member->not_before_ns = 0;
    member->passed_over = 0;
    member->is_in = 1;
}

static void open_members(struct selecting *own)
{
    int64_t holds[] = {0, 0, MS_NS, 5 * MS_NS};
    int have_times = own->root->bus.flags & SHMBUS_BUS_TIMESTAMPS;
    own->count = 2 + (uint32_t)random_below(&own->state, MEMBERS - 1);
    for (uint32_t i = 0; i < own->count; i++) {
        struct world *twin = own->root->twin;
        int beside = twin != NULL && atomic_load(&twin->made) && random_chance(&own->state, 40);
        choose_member(own, &own->members[i], beside ? twin : own->root);
        if (beside)
            have_times &= (int)twin->bus.flags;
    }
    own->options = (struct shmbus_selector_options){.struct_bytes = sizeof own->options};
    own->options.burst =
        (uint32_t)random_below(&own->state, random_chance(&own->state, 50) ? 4 : 20);
    own->options.hold_ns = holds[random_below(&own->state, 4)];
    if (have_times & SHMBUS_BUS_TIMESTAMPS && random_chance(&own->state, 60))
        own->options.order = SHMBUS_SELECT_MERGED;
    int result = shmbus_selector_open(&own->options, &own->selector);
    if (result < 0)
        violate(own->root, "selector_open: %d: %s", result, shmbus_error_text());
    for (uint32_t i = 0; i < own->count; i++)
        if (join_somehow(&own->members[i].track) == 0)
            put_in(own, &own->members[i]);
}

static void take_out(struct selecting *own, struct member *member)
{
    int result = shmbus_selector_remove(own->selector, member->track.consumer);
    if (result < 0)
        violate(own->root, "selector_remove: %d: %s", result, shmbus_error_text());
    member->is_in = 0;
}

/* One of them ended or failed: mostly it goes on. */
static void told(struct selecting *own, struct member *member, int result)
{
    take_out(own, member);
    /* What was handed out in a row is forgotten then. */
    for (uint32_t i = 0; i < own->count; i++)
        own->members[i].passed_over = 0;
    if (result == -EPIPE || result == -EOWNERDEAD)
        sleep_ns(MS_NS);
    if (consumer_judge(&member->track, "selector_next", result) < 0)
        consumer_leave(&member->track);
    else
        put_in(own, member);
}

/* The order of what was handed out, as far as it is certain what there was. */
static void check_order(struct selecting *own, struct member *from, int64_t timestamp_ns)
{
    uint32_t burst = own->options.burst != 0 ? own->options.burst : 16;
    int is_merged = own->options.order == SHMBUS_SELECT_MERGED;
    if (is_merged && timestamp_ns < from->not_before_ns)
        violate(own->root, "%" PRIu64 " came %" PRId64 " ns after a younger one",
                from->track.expected - 1, from->not_before_ns - timestamp_ns);
    from->passed_over = 0;
    for (uint32_t i = 0; i < own->count; i++) {
        struct member *other = &own->members[i];
        if (other == from)
            continue;
        other->passed_over = other->was_sure ? other->passed_over + 1 : 0;
        if (is_merged && other->was_sure && timestamp_ns > other->not_before_ns)
            other->not_before_ns = timestamp_ns;
        if (!is_merged && other->passed_over > burst * (own->count - 1))
            violate(own->root, "%" PRIu32 " messages of others, and %" PRIu64 " waits",
                    other->passed_over, other->track.expected);
    }
}

static void handed(struct selecting *own, const struct shmbus_selected *selected)
{
    struct member *member = selected->context;
    struct track *track = &member->track;
    if (selected->consumer != track->consumer || !member->is_in)
        violate(own->root, "a selector gave a consumer that is not in it");
    if (selected->result < 0) {
        told(own, member, selected->result);
        return;
    }
    track_message(track, &selected->message);
    if (page_order(own->page) == ORDER_GO && random_chance(&track->state, track->keeps))
        consumer_keep(track, &selected->message);
    if (track->doubted)
        track_settle(track, 0);
    check_order(own, member, selected->message.timestamp_ns);
    count(&own->root->counts.selected, 1);
}

/* Nothing is there of any of them, and nothing is fetched to be merged later. */
static void acknowledge(struct selecting *own)
{
    if (own->options.order == SHMBUS_SELECT_MERGED && own->options.hold_ns > 0)
        return;
    for (uint32_t i = 0; i < own->count; i++)
        if (own->members[i].is_in)
            track_acknowledged(&own->members[i].track);
}

static int by_next(struct selecting *own)
{
    struct shmbus_selected selected;
    uint64_t most = 1 + random_below(&own->state, 60);
    int result = 1;
    page_does(own->page, "selector_next");
    for (uint64_t i = 0; i < most && result > 0; i++) {
        look_who_is_sure(own);
        result = shmbus_selector_next(own->selector, &selected);
        if (result > 0)
            handed(own, &selected);
    }
    if (result == 0)
        acknowledge(own);
    if (result < 0 && result != -EPIPE)
        violate(own->root, "selector_next: %d: %s", result, shmbus_error_text());
    return result;
}

static void by_wait(struct selecting *own)
{
    int64_t most_ns = (int64_t)random_below(&own->state, 30) * MS_NS;
    page_does(own->page, "selector_wait");
    look_who_is_sure(own);
    int result = shmbus_selector_wait(own->selector, most_ns);
    if (result < 0 && result != -EPIPE && result != -ETIMEDOUT)
        violate(own->root, "selector_wait: %d: %s", result, shmbus_error_text());
    int may_hold = own->options.order == SHMBUS_SELECT_MERGED && own->options.hold_ns > 0;
    for (uint32_t i = 0; i < own->count && result == -ETIMEDOUT && !may_hold; i++)
        if (own->members[i].is_in && own->members[i].was_sure)
            violate(own->root, "no message came in time, and %" PRIu64 " was there",
                    own->members[i].track.expected);
}

static void drop_some(struct selecting *own)
{
    for (uint32_t i = 0; i < own->count; i++) {
        struct track *track = &own->members[i].track;
        if (own->members[i].is_in && track->kept_count > 0 && random_chance(&own->state, 40))
            consumer_drop(track, (uint32_t)random_below(&own->state, track->kept_count));
    }
}

static uint32_t members_in(const struct selecting *own)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < own->count; i++)
        found += (uint32_t)own->members[i].is_in;
    return found;
}

static void select_for_a_while(struct selecting *own)
{
    open_members(own);
    while (members_in(own) > 0 && page_order(own->page) == ORDER_GO) {
        int result = by_next(own);
        drop_some(own);
        if (result <= 0 && random_chance(&own->state, 70))
            by_wait(own);
        if (random_below(&own->state, 2000) == 0)
            break;
    }
    shmbus_selector_close(own->selector);
    for (uint32_t i = 0; i < own->count; i++)
        if (own->members[i].is_in)
            consumer_leave(&own->members[i].track);
}

int selector_work(struct world *root, struct page *page, uint64_t seed)
{
    static struct selecting own;
    int before = open_descriptors();
    own.root = root;
    own.page = page;
    own.state = seed;
    do {
        select_for_a_while(&own);
        if (open_descriptors() != before || mapped_buses() != 0)
            violate(root, "a selector's consumers closed, with %d descriptors and %d mappings more",
                    open_descriptors() - before, mapped_buses());
    } while (page_order(page) == ORDER_GO && random_chance(&own.state, 70));
    return 0;
}
