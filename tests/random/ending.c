/* SPDX-License-Identifier: MIT */
/*
 * The end of a bus. All but some consumers leave or are killed, the rest read on and keep what they
 * keep; then an heir takes over and counts: what is in use is what the living hold, all else can be
 * acquired, every entry joined, every slot filled.
 */
#include "random.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define SURVIVORS_MAX 4

static int is_alive(const struct page *page)
{
    return page->pid != 0 && !page->killed;
}

/* Drives on until nobody but the survivors is left, or everybody is as told. */
static int settle(struct world *world, int (*is_done)(struct world *world))
{
    int64_t until = now_ns() + 2 * PATIENCE_NS;
    while (atomic_load(&world->violations) == 0) {
        collect(world);
        watch(world);
        if (is_done(world))
            return 1;
        if (now_ns() > until)
            violate(world, "the bus does not come to rest");
        sleep_ns(MS_NS);
    }
    return 0;
}

static int only_survivors(struct world *world)
{
    for (struct page *page = world->pages; page < world->pages + WORKERS_MAX; page++)
        if (page->pid != 0 && page_order(page) != ORDER_QUIET)
            return 0;
    return 1;
}

static int all_rest(struct world *world)
{
    for (struct page *page = world->pages; page < world->pages + WORKERS_MAX; page++)
        if (page->pid != 0 && atomic_load(&page->obeyed) < page_order(page))
            return 0;
    return 1;
}

static int nobody(struct world *world)
{
    for (struct page *page = world->pages; page < world->pages + WORKERS_MAX; page++)
        if (page->pid != 0)
            return 0;
    return 1;
}

/* Tells everybody what to do; some of those that are to go are killed. */
static void dismiss(struct world *world, uint64_t *state)
{
    uint32_t survivors = 0;
    for (struct page *page = world->pages; page < world->pages + WORKERS_MAX; page++) {
        if (!is_alive(page))
            continue;
        if (page->stopped_until_ns != 0)
            go_on(page);
        if (page->role == ROLE_CONSUMER && survivors < SURVIVORS_MAX &&
            page_order(page) == ORDER_GO && random_chance(state, 60)) {
            survivors++;
            atomic_store(&page->order, ORDER_QUIET);
            continue;
        }
        atomic_store(&page->order, ORDER_LEAVE);
        if (random_chance(state, 30))
            put_down(world, page);
    }
}

/* Those whose place is kept for long have to come back to leave it. */
static void call_back(struct world *world)
{
    for (uint32_t i = 0; i < PLACES; i++) {
        struct place *place = &world->places[i];
        /* One that died while it opened may have joined. */
        int is_kept = atomic_load(&place->opening) != 0;
        for (uint32_t j = atomic_load(&world->current); j <= atomic_load(&world->wanted); j++)
            is_kept |= !atomic_load(&world[j].places[i].left);
        if (place->page == NULL && place->grace_ns == LONG_GRACE && is_kept)
            spawn(world, ROLE_CONSUMER, SHMBUS_REQUIRED, place, ORDER_LEAVE);
    }
}

/* ---- the heir ---- */

struct heir {
    struct world *root;
    struct world *world; /* of the bus that it has */
    struct shmbus_producer *producer;
};

static int until_true(struct heir *heir, int (*is_true)(struct heir *heir), const char *what)
{
    int64_t until = now_ns() + PATIENCE_NS;
    while (!is_true(heir)) {
        if (now_ns() > until) {
            violate(heir->world, "at the end: %s (%s)", what, shmbus_error_text());
            return 0;
        }
        sleep_ns(MS_NS);
    }
    return 1;
}

/* Has it joined the heir's bus? One of the bus that was replaced goes when it comes to know. */
static int is_on(const struct heir *heir, struct page *page)
{
    return atomic_load(&page->joined) && atomic_load(&page->number) == heir->world->number;
}

static int only_the_living(struct heir *heir)
{
    struct shmbus_snapshot *snapshot;
    uint32_t living = 0;
    uint32_t entries;
    for (uint32_t i = 0; i < WORKERS_MAX; i++) {
        struct page *page = &heir->root->pages[i];
        living += page->pid != 0 && page->kind != SHMBUS_OBSERVER && is_on(heir, page);
    }
    if (shmbus_reap(BUS, NULL) < 0 || shmbus_snapshot_open(BUS, NULL, &snapshot) < 0)
        return 0;
    entries = shmbus_snapshot_bus(snapshot)->consumer_count;
    shmbus_snapshot_close(snapshot);
    return entries == living;
}

static int all_caught_up(struct heir *heir)
{
    uint64_t next = shmbus_producer_next_sequence(heir->producer);
    for (uint32_t i = 0; i < WORKERS_MAX; i++) {
        struct page *page = &heir->root->pages[i];
        if (page->pid != 0 && atomic_load(&page->joined) &&
            (!is_on(heir, page) || atomic_load(&page->cursor) != next))
            return 0;
    }
    return 1;
}

static int nothing_kept(struct heir *heir)
{
    for (uint32_t i = 0; i < WORKERS_MAX; i++) {
        struct page *page = &heir->root->pages[i];
        if (page->pid != 0 && atomic_load(&page->joined) &&
            (atomic_load(&page->obeyed) < ORDER_DROP || atomic_load(&page->kept) != 0))
            return 0;
    }
    return 1;
}

static int nobody_joined(struct heir *heir)
{
    for (uint32_t i = 0; i < WORKERS_MAX; i++)
        if (heir->root->pages[i].pid != 0 && atomic_load(&heir->root->pages[i].joined))
            return 0;
    return 1;
}

static void tell_all(struct world *world, uint32_t order)
{
    for (uint32_t i = 0; i < WORKERS_MAX; i++)
        atomic_store(&world->pages[i].order, order);
}

/* Slabs of a class that the living say they keep, each once: a handle's index is its low part. */
static uint64_t count_kept(struct world *root, uint32_t class_index)
{
    static unsigned char is_kept[256];
    uint64_t kept = 0;
    memset(is_kept, 0, sizeof is_kept);
    for (uint32_t i = 0; i < WORKERS_MAX; i++) {
        struct page *page = &root->pages[i];
        uint32_t many = page->pid != 0 ? atomic_load(&page->kept) : 0;
        for (uint32_t j = 0; j < many; j++) {
            uint64_t handle = atomic_load(&page->handles[j]);
            if (handle >> 60 != class_index + 1)
                continue;
            kept += is_kept[handle & 0xff] == 0;
            is_kept[handle & 0xff] = 1;
        }
    }
    return kept;
}

/* All slabs of each class but those that are kept can be had, and given back. */
static void check_pool(struct heir *heir)
{
    struct world *world = heir->world;
    static struct shmbus_slab slabs[256];
    for (uint32_t i = 0; i < world->bus.class_count; i++) {
        struct shmbus_pool_stats stats;
        uint64_t kept = count_kept(heir->root, i);
        uint32_t free_count = (uint32_t)(world->bus.classes[i].slab_count - kept);
        uint64_t bytes = world->bus.classes[i].slab_bytes;
        int result = free_count == 0
                         ? 0
                         : shmbus_producer_slab_acquire(heir->producer, bytes, free_count, slabs);
        if (result < 0) {
            shmbus_producer_pool_stats(heir->producer, i, &stats);
            violate(world,
                    "at the end: class %" PRIu32 ": %" PRIu32 " slabs cannot be had: %s "
                    "(%" PRIu64 " in use, %" PRIu64 " held, %" PRIu64 " kept)",
                    i, free_count, shmbus_error_text(), stats.in_use, stats.held, kept);
            return;
        }
        shmbus_producer_pool_stats(heir->producer, i, &stats);
        if (stats.in_use != stats.slab_count || stats.held != kept)
            violate(world,
                    "at the end: class %" PRIu32 ": %" PRIu64 " of %" PRIu64 " in use, %" PRIu64
                    " held, and %" PRIu64 " are kept",
                    i, stats.in_use, stats.slab_count, stats.held, kept);
        for (uint32_t j = 0; j < free_count; j++)
            if (shmbus_producer_slab_release(heir->producer, slabs[j].handle) < 0)
                violate(world, "at the end: release: %s", shmbus_error_text());
        shmbus_producer_pool_stats(heir->producer, i, &stats);
        if (stats.in_use != kept)
            violate(world,
                    "at the end: class %" PRIu32 ": %" PRIu64 " in use, and %" PRIu64 " are kept",
                    i, stats.in_use, kept);
    }
}

/* Joins as one that gates if anybody may, as another if not. */
static int join_any(struct heir *heir, struct shmbus_consumer **out_consumer, uint32_t *gating)
{
    const struct shmbus_bus_options *bus = &heir->world->bus;
    struct shmbus_consumer_options options = {.struct_bytes = sizeof options};
    int may = bus->required_rule == SHMBUS_REQUIRED_ANYONE || bus->required_count > 0;
    if (may)
        options.kind = SHMBUS_REQUIRED;
    if (bus->required_count > 0)
        options.name = bus->required_names[0];
    int result = shmbus_consumer_open(BUS, &options, out_consumer);
    *gating += result == 0 && may;
    return result;
}

/* Every entry can be joined, and the ring takes exactly its capacity, or any number if nobody
 * gates. */
static void check_room(struct heir *heir)
{
    struct world *world = heir->world;
    struct shmbus_consumer *consumers[16];
    uint32_t joined = 0;
    uint32_t gating = 0;
    uint64_t filled = 0;
    int result = 0;
    int64_t until = now_ns() + PATIENCE_NS;
    while (joined < world->bus.max_consumers && result == 0) {
        result = join_any(heir, &consumers[joined], &gating);
        joined += result == 0;
        /* One that has left may not have come to unmap its entry yet. */
        if (result == -EUSERS && now_ns() < until)
            result = 0;
    }
    if (result < 0)
        violate(world, "at the end: only %" PRIu32 " entries can be joined: %s", joined,
                shmbus_error_text());
    while (filled <= world->bus.capacity &&
           (result = shmbus_producer_publish(heir->producer, 0, 0, NULL, 0)) == 0)
        filled++;
    uint64_t wanted = gating > 0 ? world->bus.capacity : world->bus.capacity + 1;
    if (result != (gating > 0 ? -EAGAIN : 0) || filled != wanted)
        violate(world, "at the end: the ring takes %" PRIu64 " of %" PRIu64 " messages: %d", filled,
                wanted, result);
    while (joined > 0)
        shmbus_consumer_close(consumers[--joined]);
}

/* Something to read for those that saw the end of the stream. */
static void publish_some(struct heir *heir)
{
    static unsigned char bytes[BYTES_MAX];
    struct world *world = heir->world;
    for (int i = 0; i < 3; i++) {
        uint64_t key = shmbus_producer_next_sequence(heir->producer);
        body_fill(world, bytes, key, heir->root->incarnations + 1);
        atomic_store(&world->intent, key + 1);
        int result = shmbus_producer_publish(heir->producer, body_type(world, key), 0, bytes,
                                             body_bytes(world, key));
        if (result < 0 && result != -EAGAIN && result != -ENOBUFS)
            violate(world, "at the end: publish: %s", shmbus_error_text());
        atomic_store(&world->acked, shmbus_producer_next_sequence(heir->producer));
    }
}

static void inherit(struct world *world, uint64_t *state)
{
    struct shmbus_producer_options options = {.struct_bytes = sizeof options};
    struct heir heir = {.root = world};
    struct page page = {.incarnation = world->incarnations + 1};
    heir.producer = producer_begin(world, &page, state, &options, &heir.world);
    if (heir.producer == NULL)
        return;
    if (!until_true(&heir, only_the_living, "the entries are not those of the living"))
        return;
    publish_some(&heir);
    int result = shmbus_producer_flush(heir.producer, PATIENCE_NS);
    if (result < 0)
        violate(world, "at the end: flush: %d: %s", result, shmbus_error_text());
    if (!until_true(&heir, all_caught_up, "somebody has not read all"))
        return;
    check_pool(&heir);
    tell_all(world, ORDER_DROP);
    if (!until_true(&heir, nothing_kept, "somebody did not let go"))
        return;
    check_pool(&heir);
    tell_all(world, ORDER_LEAVE);
    if (!until_true(&heir, nobody_joined, "somebody did not leave"))
        return;
    if (until_true(&heir, only_the_living, "an entry is left"))
        check_room(&heir);
    shmbus_producer_close(heir.producer);
    if (shmbus_unlink(BUS, NULL) < 0)
        violate(world, "at the end: unlink: %s", shmbus_error_text());
}

static void check_folder(struct world *world)
{
    DIR *folder = opendir(getenv("SHMBUS_DIR"));
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            violate(world, "at the end: %s is left", entry->d_name);
    if (folder != NULL)
        closedir(folder);
}

void ending_run(struct world *world, uint64_t *state)
{
    int status = 0;
    dismiss(world, state);
    if (!settle(world, only_survivors))
        return;
    call_back(world);
    if (!settle(world, only_survivors) || !settle(world, all_rest))
        return;
    fflush(NULL);
    pid_t parent = getpid();
    pid_t heir = fork();
    if (heir == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
            inherit(world, state);
        _exit(0);
    }
    if (waitpid(heir, &status, 0) != heir || status != 0)
        violate(world, "at the end: the heir ended with 0x%x", (unsigned)status);
    if (settle(world, nobody))
        check_folder(world);
}
