/* SPDX-License-Identifier: MIT */
/*
 * A bus as a page or a line for people: see stat.h. Lines begin with what they are about; tables
 * have a head, and columns as wide as what stands in them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "stat.h"

static const char *yes_no(bool yes)
{
    return yes ? "yes" : "no";
}

static const char *state_sentence(const struct stat_picture *picture)
{
    switch (shmbus_snapshot_bus(picture->snapshot)->state) {
    case SHMBUS_STATE_OPEN:
        return "a living producer owns it";
    case SHMBUS_STATE_CLOSED:
        return "its producer has ended the stream; it may be opened again";
    case SHMBUS_STATE_DEAD:
        return "its producer died without ending the stream; a new one can take it over";
    default:
        return "";
    }
}

static void print_created(int64_t created_ns)
{
    const time_t seconds = (time_t)(created_ns / 1000000000);
    struct tm parts;
    char text[32];
    if (!localtime_r(&seconds, &parts) ||
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &parts) == 0) {
        snprintf(text, sizeof(text), "unknown");
    }
    printf("created     %s\n", text);
}

static void print_ring(const struct shmbus_bus_info *bus)
{
    printf("ring        %" PRIu64 " slots of %" PRIu32 " bytes, ", bus->capacity, bus->slot_bytes);
    if (bus->control_known) {
        const double full =
            bus->capacity ? 100.0 * (double)bus->ring_used / (double)bus->capacity : 0;
        printf("%" PRIu64 " to be read by the slowest required consumer (%.1f %% full)\n",
               bus->ring_used, full);
    } else {
        puts("fill unknown");
    }
}

static void print_rate(const struct stat_picture *picture)
{
    if (picture->rate >= 0) {
        printf("rate        %.0f messages/s, over %.2f s\n", picture->rate,
               picture->interval_ns / 1e9);
    } else if (shmbus_snapshot_bus(picture->snapshot)->state == SHMBUS_STATE_OPEN) {
        puts("rate        not measured");
    } else {
        puts("rate        0 messages/s: nobody publishes");
    }
}

static void print_memory(const struct stat_picture *picture, const struct shmbus_bus_info *bus)
{
    const struct shmbus_placement *placement = &picture->placement;
    char word[16];
    printf("memory      feed %" PRIu64 " bytes, control %" PRIu64 " bytes\n", bus->feed_bytes,
           bus->control_bytes);
    if (picture->placed) {
        printf("pages       %" PRIu64 " bytes each, %" PRIu64
               " bytes of feed in huge pages (huge pages asked for: %s)\n",
               placement->page_bytes, placement->huge_bytes, stat_pages_word(bus->pages));
    } else {
        printf("pages       size unknown (huge pages asked for: %s)\n",
               stat_pages_word(bus->pages));
    }
    printf("numa        asked for: %s; pages", stat_numa_word(bus, word, sizeof(word)));
    if (!picture->placed || !placement->numa_known) {
        puts(" unknown: the kernel does not say where they are");
        return;
    }
    for (uint32_t i = 0; i < placement->node_count && i < SHMBUS_NODES_MAX; i++) {
        printf(" on node %" PRIu32 ": %" PRIu64 ",", i, placement->pages_by_node[i]);
    }
    printf(" elsewhere or not there: %" PRIu64 "\n", placement->pages_elsewhere);
}

/* Who may join, how late, and what becomes of one that does not go on. */
static void print_rules(const struct shmbus_bus_info *bus)
{
    printf("history     %" PRIu64 " asked for, %" PRIu64 " there for late joiners, from the floor "
           "on\n",
           bus->history, stat_kept(bus));
    printf("required    %s; stalled after %g s without progress, %s\n",
           stat_rule_word(bus->required_rule), (double)bus->stall_ns / 1e9,
           bus->flags & SHMBUS_BUS_EVICT ? "then evicted if it blocks the producer"
                                         : "and waited for");
}

static void print_bus(const struct stat_picture *picture)
{
    const struct shmbus_bus_info *bus = shmbus_snapshot_bus(picture->snapshot);
    char text[STAT_TEXT_BYTES];
    printf("bus         %s\n", stat_text(bus->name, text));
    printf("state       %s: %s\n", stat_state_word(bus->state), state_sentence(picture));
    printf("owner       uid %" PRIu32 ", gid %" PRIu32 ", mode %04" PRIo32 "\n", bus->owner_uid,
           bus->owner_gid, bus->mode);
    print_created(bus->created_ns);
    printf("sequences   first %" PRIu64 ", floor %" PRIu64 ", tail %" PRIu64 "\n",
           bus->first_sequence, bus->floor, bus->tail);
    print_ring(bus);
    print_rules(bus);
    print_rate(picture);
    print_memory(picture, bus);
    printf("messages    timestamps: %s, slabs scrubbed: %s, parking: %s, layout %" PRIu32
           ".%" PRIu32 "\n",
           yes_no(bus->flags & SHMBUS_BUS_TIMESTAMPS), yes_no(bus->flags & SHMBUS_BUS_SCRUB),
           yes_no(!(bus->flags & SHMBUS_BUS_NO_PARK)), bus->layout_major, bus->layout_minor);
}

/* Whose slabs this producer's part of the pool are, if not its own. */
static void print_part(const struct shmbus_bus_info *bus,
                       const struct shmbus_producer_info *producer)
{
    if (bus->max_producers == 1 || bus->class_count == 0 ||
        producer->part_owner == producer->index + 1) {
        return;
    }
    if (producer->part_owner == 0) {
        fputs("  nobody has its part of the pool", stdout);
    } else {
        printf("  producer %" PRIu32 " has its part of the pool", producer->part_owner - 1);
    }
}

/* How somebody waits at this moment. */
static void print_waiting(uint32_t waiting)
{
    const char *word = stat_waiting_word(waiting);
    if (word) {
        printf("  waits: %s", word);
    }
}

static void print_producers(const struct shmbus_snapshot *snapshot,
                            const struct shmbus_bus_info *bus)
{
    printf("\nproducers   %" PRIu32, bus->producer_count);
    if (bus->max_producers > 1) {
        printf(" of at most %" PRIu32, bus->max_producers);
    }
    putchar('\n');
    if (bus->producer_count > 0) {
        printf("  %6s  %10s  %-5s  %20s  %12s  %12s  %8s  %12s  %15s\n", "NUMBER", "PID", "ALIVE",
               "PUBLISHED", "RING FULL", "POOL EMPTY", "EVICTED", "SKIPPED", "HISTORY YIELDED");
    }
    for (uint32_t i = 0; i < bus->producer_count; i++) {
        const struct shmbus_producer_info *producer = shmbus_snapshot_producer(snapshot, i);
        printf("  %6" PRIu32 "  %10" PRIu32 "  %-5s  %20" PRIu64 "  %12" PRIu64 "  %12" PRIu64
               "  %8" PRIu64 "  %12" PRIu64 "  %15" PRIu64,
               producer->index, producer->pid, yes_no(producer->alive), producer->published,
               producer->blocked, producer->exhausted, producer->evicted, producer->skipped,
               producer->history_yielded);
        print_part(bus, producer);
        print_waiting(producer->waiting);
        putchar('\n');
    }
}

/* Claims that are not ended: who of many producers the stream waits for. */
static void print_holes(const struct shmbus_snapshot *snapshot, const struct shmbus_bus_info *bus)
{
    if (bus->max_producers == 1) {
        return;
    }
    printf("\nholes       %" PRIu32 "\n", bus->hole_count);
    if (bus->hole_count > 0) {
        printf("  %20s  %8s  %10s\n", "SEQUENCE", "PRODUCER", "PID");
    }
    for (uint32_t i = 0; i < bus->hole_count; i++) {
        const struct shmbus_hole_info *hole = shmbus_snapshot_hole(snapshot, i);
        printf("  %20" PRIu64 "  %8" PRIu32 "  %10" PRIu32 "  %s\n", hole->sequence, hole->producer,
               hole->pid,
               !hole->alive ? "dead: consumers step over it, and a producer aborts it"
               : hole->sequence == bus->tail ? "the stream waits until this producer ends its claim"
                                             : "alive");
    }
}

/* Whom a consumer runs after, and whether they hold it back. */
static void print_after(const struct shmbus_consumer_info *consumer)
{
    char name[STAT_TEXT_BYTES];
    for (uint32_t i = 0; i < consumer->after_count; i++) {
        printf(i > 0 ? ",%s" : "  after %s", stat_text(consumer->after[i], name));
    }
    if (consumer->after_count > 0) {
        printf(" (%s when gone)%s", stat_gone_word(consumer->after_gone),
               consumer->behind ? ", held back" : "");
    }
}

/* What stands behind a consumer's counts, in words. */
static void print_remarks(const struct shmbus_consumer_info *consumer)
{
    if (consumer->gates) {
        fputs("  gates the producer", stdout);
    }
    if (consumer->life == SHMBUS_LIFE_GRACE) {
        printf("  its place is kept for %.1f s more", (double)consumer->grace_left_ns / 1e9);
    } else if (consumer->life == SHMBUS_LIFE_DEAD) {
        fputs("  to be repaired", stdout);
    } else if (consumer->grace_ns > 0) {
        printf("  has %g s of grace", (double)consumer->grace_ns / 1e9);
    }
    print_after(consumer);
    print_waiting(consumer->waiting);
    putchar('\n');
}

static void print_consumer(const struct shmbus_consumer_info *consumer, int width)
{
    char name[STAT_TEXT_BYTES];
    printf("  %-*s  %10" PRIu32 "  %-8s  %-7s  %20" PRIu64 "  %12" PRIu64 "  %20" PRIu64
           "  %12" PRIu64 "  %12" PRIu64 "  %12" PRIu64 "  %6" PRIu64,
           width, stat_text(consumer->name, name), consumer->pid, stat_kind_word(consumer->kind),
           stat_life_word(consumer->life), consumer->cursor, consumer->lag, consumer->received,
           consumer->lost, consumer->filtered, consumer->aborted, consumer->held);
    print_remarks(consumer);
}

static void print_consumers(const struct shmbus_snapshot *snapshot,
                            const struct shmbus_bus_info *bus)
{
    char name[STAT_TEXT_BYTES];
    size_t width = strlen("NAME");
    if (!bus->control_known) {
        puts("\nconsumers   unknown: control is not yours to read");
        return;
    }
    printf("\nconsumers   %" PRIu32 " of at most %" PRIu32 "\n", bus->consumer_count,
           bus->max_consumers);
    for (uint32_t i = 0; i < bus->consumer_count; i++) {
        const size_t length = strlen(stat_text(shmbus_snapshot_consumer(snapshot, i)->name, name));
        width = length > width ? length : width;
    }
    if (bus->consumer_count > 0) {
        printf("  %-*s  %10s  %-8s  %-7s  %20s  %12s  %20s  %12s  %12s  %12s  %6s\n", (int)width,
               "NAME", "PID", "KIND", "LIFE", "CURSOR", "LAG", "RECEIVED", "LOST", "FILTERED",
               "ABORTED", "HELD");
    }
    for (uint32_t i = 0; i < bus->consumer_count; i++) {
        print_consumer(shmbus_snapshot_consumer(snapshot, i), (int)width);
    }
}

/* Names the --pool that would have had room: twice the slabs where there were too few. */
static void print_pool_advice(const struct shmbus_snapshot *snapshot,
                              const struct shmbus_bus_info *bus)
{
    const uint32_t count = bus->class_count;
    bool small = false;
    for (uint32_t i = 0; i < count; i++) {
        const struct shmbus_pool_stats *pool = shmbus_snapshot_pool(snapshot, i);
        if (pool->exhausted > 0) {
            printf("  too small: slabs of %" PRIu64 " bytes ran out %" PRIu64 " times\n",
                   pool->slab_bytes, pool->exhausted);
            small = true;
        }
    }
    if (!small) {
        return;
    }
    fputs("  a bus with more of them: shmbus-pub --pool ", stdout);
    for (uint32_t i = 0; i < count; i++) {
        const struct shmbus_pool_stats *pool = shmbus_snapshot_pool(snapshot, i);
        printf("%s%" PRIu64 ":%" PRIu64, i > 0 ? "," : "", pool->slab_bytes,
               pool->slab_count / bus->max_producers * (pool->exhausted > 0 ? 2 : 1));
    }
    if (bus->max_producers > 1) {
        printf(" --producers %" PRIu32, bus->max_producers);
    }
    putchar('\n');
}

static void print_pools(const struct shmbus_snapshot *snapshot, const struct shmbus_bus_info *bus)
{
    if (bus->class_count == 0) {
        puts("\npools       none");
        return;
    }
    printf("\npools       %" PRIu32 "\n  %12s  %10s  %10s  %10s  %10s  %12s\n", bus->class_count,
           "SLAB BYTES", "COUNT", "IN USE", "HELD", "HIGH WATER", "EXHAUSTED");
    for (uint32_t i = 0; i < bus->class_count; i++) {
        const struct shmbus_pool_stats *pool = shmbus_snapshot_pool(snapshot, i);
        char held[24] = "unknown";
        if (bus->control_known) {
            snprintf(held, sizeof(held), "%" PRIu64, pool->held);
        }
        printf("  %12" PRIu64 "  %10" PRIu64 "  %10" PRIu64 "  %10s  %10" PRIu64 "  %12" PRIu64
               "\n",
               pool->slab_bytes, pool->slab_count, pool->in_use, held, pool->high_water,
               pool->exhausted);
    }
    print_pool_advice(snapshot, bus);
}

static void print_types(const struct shmbus_snapshot *snapshot, const struct shmbus_bus_info *bus)
{
    const struct shmbus_type *type = NULL;
    char text[STAT_TEXT_BYTES];
    if (bus->type_count == 0) {
        puts("\ntypes       none registered");
        return;
    }
    printf("\ntypes       %" PRIu32 "\n  %6s  %-20s  %10s  %s\n", bus->type_count, "NUMBER", "NAME",
           "BYTES", "FIELDS");
    for (uint32_t i = 0; (type = shmbus_snapshot_type(snapshot, i)); i++) {
        char bytes[16] = "vary";
        if (type->bytes > 0) {
            snprintf(bytes, sizeof(bytes), "%" PRIu32, type->bytes);
        }
        printf("  %6u  %-20s  %10s  ", type->type, stat_text(type->name, text), bytes);
        puts(stat_text(type->fields ? type->fields : "", text));
    }
}

void stat_print_page(const struct stat_picture *picture)
{
    const struct shmbus_bus_info *bus = shmbus_snapshot_bus(picture->snapshot);
    char text[STAT_TEXT_BYTES];
    if (bus->state == SHMBUS_STATE_DAMAGED) {
        printf("bus         %s\nstate       damaged: ", stat_text(bus->name, text));
        puts(stat_text(shmbus_snapshot_why(picture->snapshot), text));
        return;
    }
    print_bus(picture);
    print_producers(picture->snapshot, bus);
    print_holes(picture->snapshot, bus);
    print_consumers(picture->snapshot, bus);
    print_pools(picture->snapshot, bus);
    print_types(picture->snapshot, bus);
}

void stat_print_head(void)
{
    printf("%-20s  %-8s  %20s  %8s  %6s  %10s  %9s  %12s\n", "BUS", "STATE", "TAIL", "CAPACITY",
           "SLOT", "PRODUCER", "CONSUMERS", "LAG");
}

void stat_print_unreadable(const char *name, const char *why)
{
    char text[STAT_TEXT_BYTES];
    printf("%-20s  unreadable: ", stat_text(name, text));
    puts(stat_text(why, text));
}

void stat_print_reaped(const char *name, int reaped, const char *why)
{
    char text[STAT_TEXT_BYTES];
    printf("%-20s  ", stat_text(name, text));
    if (reaped >= 0) {
        printf("%d %s repaired\n", reaped, reaped == 1 ? "entry" : "entries");
    } else {
        printf("not repaired: %s\n", stat_text(why, text));
    }
}

/* Behind a bus's line: how many of its consumers are anything but well. */
static void print_unwell(const struct stat_picture *picture)
{
    static const uint32_t lives[] = {SHMBUS_LIFE_STALLED, SHMBUS_LIFE_EVICTED, SHMBUS_LIFE_GRACE,
                                     SHMBUS_LIFE_DEAD};
    for (size_t i = 0; i < sizeof(lives) / sizeof(lives[0]); i++) {
        const struct shmbus_consumer_info *consumer = NULL;
        uint32_t count = 0;
        for (uint32_t j = 0; (consumer = shmbus_snapshot_consumer(picture->snapshot, j)); j++) {
            count += consumer->life == lives[i];
        }
        if (count > 0) {
            printf("  %" PRIu32 " %s", count, stat_life_word(lives[i]));
        }
    }
    putchar('\n');
}

void stat_print_line(const struct stat_picture *picture)
{
    const struct shmbus_bus_info *bus = shmbus_snapshot_bus(picture->snapshot);
    char text[STAT_TEXT_BYTES];
    char consumers[16] = "unknown";
    char lag[24] = "unknown";
    char producer[24] = "none";
    uint32_t alive = 0;
    if (bus->state == SHMBUS_STATE_DAMAGED) {
        printf("%-20s  damaged: ", stat_text(bus->name, text));
        puts(stat_text(shmbus_snapshot_why(picture->snapshot), text));
        return;
    }
    if (bus->control_known) {
        snprintf(consumers, sizeof(consumers), "%" PRIu32, bus->consumer_count);
        snprintf(lag, sizeof(lag), "%" PRIu64, bus->ring_used);
    }
    for (uint32_t i = 0; i < bus->producer_count; i++) {
        const struct shmbus_producer_info *info = shmbus_snapshot_producer(picture->snapshot, i);
        if (info->alive) {
            alive++;
            snprintf(producer, sizeof(producer), "%" PRIu32, info->pid);
        }
    }
    if (alive > 1) {
        snprintf(producer, sizeof(producer), "%" PRIu32 " alive", alive);
    }
    printf("%-20s  %-8s  %20" PRIu64 "  %8" PRIu64 "  %6" PRIu32 "  %10s  %9s  %12s",
           stat_text(bus->name, text), stat_state_word(bus->state), bus->tail, bus->capacity,
           bus->slot_bytes, producer, consumers, lag);
    print_unwell(picture);
}
