/* SPDX-License-Identifier: MIT */
/*
 * A bus as one object of JSON: see stat.h. What this process may not know (control belongs to those
 * who consume) is null, so that a reader never takes "not to be seen" for zero.
 */
#include <stdio.h>

#include "stat.h"

static void print_string(const char *string)
{
    char printable[STAT_TEXT_BYTES];
    char json[STAT_TEXT_BYTES * 2];
    stat_text(string, printable);
    size_t length = 0;
    while (printable[length] != '\0') {
        length++;
    }
    /* Printable text has no control characters: only quotes and backslashes grow, to two bytes. */
    printf("\"%.*s\"", (int)text_json(printable, length, json), json);
}

static void print_key(const char *key, bool *first)
{
    printf(*first ? "\"%s\":" : ",\"%s\":", key);
    *first = false;
}

/* A number, or null where it is not known. */
static void print_number(const char *key, bool known, uint64_t number, bool *first)
{
    print_key(key, first);
    if (known) {
        printf("%llu", (unsigned long long)number);
    } else {
        fputs("null", stdout);
    }
}

static void print_word(const char *key, const char *word, bool *first)
{
    print_key(key, first);
    print_string(word);
}

static void print_flag(const char *key, bool known, bool flag, bool *first)
{
    print_key(key, first);
    fputs(!known ? "null" : flag ? "true" : "false", stdout);
}

/* How somebody waits at this moment; null: not at all. */
static void print_waiting(uint32_t waiting, bool *first)
{
    const char *word = stat_waiting_word(waiting);
    if (word) {
        print_word("waiting", word, first);
    } else {
        print_flag("waiting", false, false, first);
    }
}

static void print_producers(const struct shmbus_snapshot *snapshot, uint32_t count)
{
    fputs(",\"producers\":[", stdout);
    for (uint32_t i = 0; i < count; i++) {
        const struct shmbus_producer_info *producer = shmbus_snapshot_producer(snapshot, i);
        bool first = true;
        fputs(i > 0 ? ",{" : "{", stdout);
        print_number("number", true, producer->index, &first);
        print_number("pid", true, producer->pid, &first);
        print_flag("alive", true, producer->alive != 0, &first);
        print_number("published", true, producer->published, &first);
        print_number("blocked", true, producer->blocked, &first);
        print_number("exhausted", true, producer->exhausted, &first);
        print_number("evicted", true, producer->evicted, &first);
        print_number("skipped", true, producer->skipped, &first);
        print_number("history_yielded", true, producer->history_yielded, &first);
        print_number("part_owner", producer->part_owner > 0, producer->part_owner - 1, &first);
        print_waiting(producer->waiting, &first);
        putchar('}');
    }
    putchar(']');
}

static void print_holes(const struct shmbus_snapshot *snapshot, uint32_t count)
{
    fputs(",\"holes\":[", stdout);
    for (uint32_t i = 0; i < count; i++) {
        const struct shmbus_hole_info *hole = shmbus_snapshot_hole(snapshot, i);
        bool first = true;
        fputs(i > 0 ? ",{" : "{", stdout);
        print_number("sequence", true, hole->sequence, &first);
        print_number("producer", true, hole->producer, &first);
        print_number("pid", true, hole->pid, &first);
        print_flag("alive", true, hole->alive != 0, &first);
        putchar('}');
    }
    putchar(']');
}

/* Whom a consumer runs after, what becomes of it without them, and whether they hold it back. */
static void print_after(const struct shmbus_consumer_info *consumer, bool *first)
{
    print_key("after", first);
    putchar('[');
    for (uint32_t i = 0; i < consumer->after_count; i++) {
        fputs(i > 0 ? "," : "", stdout);
        print_string(consumer->after[i]);
    }
    putchar(']');
    if (consumer->after_count > 0) {
        print_word("after_gone", stat_gone_word(consumer->after_gone), first);
    } else {
        print_flag("after_gone", false, false, first);
    }
    print_flag("behind", true, consumer->behind != 0, first);
}

static void print_consumers(const struct shmbus_snapshot *snapshot,
                            const struct shmbus_bus_info *bus)
{
    if (!bus->control_known) {
        fputs(",\"consumers\":null", stdout);
        return;
    }
    fputs(",\"consumers\":[", stdout);
    for (uint32_t i = 0; i < bus->consumer_count; i++) {
        const struct shmbus_consumer_info *consumer = shmbus_snapshot_consumer(snapshot, i);
        bool first = true;
        fputs(i > 0 ? ",{" : "{", stdout);
        print_word("name", consumer->name, &first);
        print_number("entry", true, consumer->entry, &first);
        print_number("pid", true, consumer->pid, &first);
        print_word("kind", stat_kind_word(consumer->kind), &first);
        print_flag("alive", stat_is_alive(consumer->life) >= 0, stat_is_alive(consumer->life) == 1,
                   &first);
        print_word("life", stat_life_word(consumer->life), &first);
        print_flag("gates", true, consumer->gates != 0, &first);
        print_number("cursor", true, consumer->cursor, &first);
        print_number("lag", true, consumer->lag, &first);
        print_number("received", true, consumer->received, &first);
        print_number("lost", true, consumer->lost, &first);
        print_number("filtered", true, consumer->filtered, &first);
        print_number("aborted", true, consumer->aborted, &first);
        print_number("held", true, consumer->held, &first);
        print_number("grace_ns", true, (uint64_t)consumer->grace_ns, &first);
        print_number("grace_left_ns", consumer->life == SHMBUS_LIFE_GRACE,
                     (uint64_t)consumer->grace_left_ns, &first);
        print_after(consumer, &first);
        print_waiting(consumer->waiting, &first);
        putchar('}');
    }
    putchar(']');
}

static void print_types(const struct shmbus_snapshot *snapshot)
{
    const struct shmbus_type *type = NULL;
    fputs(",\"types\":[", stdout);
    for (uint32_t i = 0; (type = shmbus_snapshot_type(snapshot, i)); i++) {
        bool first = true;
        fputs(i > 0 ? ",{" : "{", stdout);
        print_number("type", true, type->type, &first);
        print_word("name", type->name, &first);
        print_number("bytes", true, type->bytes, &first);
        print_word("fields", type->fields ? type->fields : "", &first);
        putchar('}');
    }
    putchar(']');
}

/* How many were asked for, are there, and how often fewer had to be kept. */
static void print_history(const struct shmbus_snapshot *snapshot, const struct shmbus_bus_info *bus)
{
    uint64_t yielded = 0;
    bool first = true;
    for (uint32_t i = 0; i < bus->producer_count; i++) {
        yielded += shmbus_snapshot_producer(snapshot, i)->history_yielded;
    }
    fputs(",\"history\":{", stdout);
    print_number("asked", true, bus->history, &first);
    print_number("kept", true, stat_kept(bus), &first);
    print_number("yielded", bus->producer_count > 0, yielded, &first);
    putchar('}');
}

static void print_pools(const struct shmbus_snapshot *snapshot, const struct shmbus_bus_info *bus)
{
    fputs(",\"pools\":[", stdout);
    for (uint32_t i = 0; i < bus->class_count; i++) {
        const struct shmbus_pool_stats *pool = shmbus_snapshot_pool(snapshot, i);
        bool first = true;
        fputs(i > 0 ? ",{" : "{", stdout);
        print_number("slab_bytes", true, pool->slab_bytes, &first);
        print_number("count", true, pool->slab_count, &first);
        print_number("acquired", true, pool->acquired, &first);
        print_number("released", true, pool->released, &first);
        print_number("in_use", true, pool->in_use, &first);
        print_number("held", bus->control_known, pool->held, &first);
        print_number("high_water", true, pool->high_water, &first);
        print_number("exhausted", true, pool->exhausted, &first);
        putchar('}');
    }
    putchar(']');
}

static void print_placement(const struct stat_picture *picture, const struct shmbus_bus_info *bus)
{
    const struct shmbus_placement *placement = &picture->placement;
    const bool known = picture->placed && placement->numa_known;
    char word[16];
    bool first = true;
    fputs(",\"numa\":{", stdout);
    print_word("requested", stat_numa_word(bus, word, sizeof(word)), &first);
    print_key("pages_by_node", &first);
    if (known) {
        putchar('[');
        for (uint32_t i = 0; i < placement->node_count && i < SHMBUS_NODES_MAX; i++) {
            printf(i > 0 ? ",%llu" : "%llu", (unsigned long long)placement->pages_by_node[i]);
        }
        putchar(']');
    } else {
        fputs("null", stdout);
    }
    print_number("pages_elsewhere", known, placement->pages_elsewhere, &first);
    putchar('}');
    first = false;
    print_number("page_bytes", picture->placed, placement->page_bytes, &first);
    print_number("huge_bytes", picture->placed, placement->huge_bytes, &first);
    print_word("huge_requested", stat_pages_word(bus->pages), &first);
}

static void print_damaged(const char *name, const char *state, const char *why)
{
    bool first = true;
    putchar('{');
    print_word("bus", name, &first);
    print_word("state", state, &first);
    print_word("why", why, &first);
    fputs(",\"tail\":null,\"capacity\":null,\"slot_bytes\":null,\"producers\":null,"
          "\"holes\":null,\"history\":null,\"types\":null,\"consumers\":null,\"pools\":null,"
          "\"numa\":null,\"page_"
          "bytes\":null}",
          stdout);
}

void stat_print_json_reaped(const char *name, int reaped, const char *why)
{
    bool first = true;
    putchar('{');
    print_word("bus", name, &first);
    print_number("reaped", reaped >= 0, (uint64_t)reaped, &first);
    if (reaped < 0) {
        print_word("why", why, &first);
    }
    putchar('}');
}

void stat_print_json_unreadable(const char *name, const char *why)
{
    print_damaged(name, "unreadable", why);
}

void stat_print_json(const struct stat_picture *picture)
{
    const struct shmbus_bus_info *bus = shmbus_snapshot_bus(picture->snapshot);
    char mode[16];
    bool first = true;
    if (bus->state == SHMBUS_STATE_DAMAGED) {
        print_damaged(bus->name, stat_state_word(bus->state),
                      shmbus_snapshot_why(picture->snapshot));
        return;
    }
    snprintf(mode, sizeof(mode), "%04o", bus->mode);
    putchar('{');
    print_word("bus", bus->name, &first);
    print_word("state", stat_state_word(bus->state), &first);
    print_number("tail", true, bus->tail, &first);
    print_number("floor", true, bus->floor, &first);
    print_number("first_sequence", true, bus->first_sequence, &first);
    print_number("capacity", true, bus->capacity, &first);
    print_number("slot_bytes", true, bus->slot_bytes, &first);
    print_number("ring_used", bus->control_known, bus->ring_used, &first);
    print_number("feed_bytes", true, bus->feed_bytes, &first);
    print_number("control_bytes", true, bus->control_bytes, &first);
    print_number("created_ns", true, (uint64_t)bus->created_ns, &first);
    print_number("max_consumers", true, bus->max_consumers, &first);
    print_number("max_producers", true, bus->max_producers, &first);
    print_flag("timestamps", true, (bus->flags & SHMBUS_BUS_TIMESTAMPS) != 0, &first);
    print_flag("scrub", true, (bus->flags & SHMBUS_BUS_SCRUB) != 0, &first);
    print_flag("parking", true, (bus->flags & SHMBUS_BUS_NO_PARK) == 0, &first);
    print_number("stall_ns", true, (uint64_t)bus->stall_ns, &first);
    print_flag("evict", true, (bus->flags & SHMBUS_BUS_EVICT) != 0, &first);
    print_word("required", stat_rule_word(bus->required_rule), &first);
    print_number("uid", true, bus->owner_uid, &first);
    print_number("gid", true, bus->owner_gid, &first);
    print_word("mode", mode, &first);
    print_history(picture->snapshot, bus);
    print_types(picture->snapshot);
    print_producers(picture->snapshot, bus->producer_count);
    print_holes(picture->snapshot, bus->hole_count);
    print_consumers(picture->snapshot, bus);
    print_pools(picture->snapshot, bus);
    print_placement(picture, bus);
    putchar('}');
}
