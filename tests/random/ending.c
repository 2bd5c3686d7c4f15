/* SPDX-License-Identifier: MIT */
/*
 * The end of a bus. All but some consumers leave or are killed, the rest read on and keep what they
 * keep; then an heir takes over and counts.
 */
#include "random.h"

#include <signal.h>
#include <stdio.h>
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
            heir_work(world, state);
        _exit(0);
    }
    if (waitpid(heir, &status, 0) != heir || status != 0)
        violate(world, "at the end: the heir ended with 0x%x", (unsigned)status);
    settle(world, nobody);
}
