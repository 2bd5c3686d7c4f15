/* SPDX-License-Identifier: MIT */
/*
 * The driver's random deeds: who comes, who is killed, who is stopped, and when.
 */
#include "random.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define HANG_NS (90 * SECOND_NS)

static int work(struct world *world, struct page *page, uint64_t seed)
{
    switch (page->role) {
    case ROLE_PRODUCER:
        return world->many ? crew_work(world, page, seed) : producer_work(world, page, seed);
    case ROLE_CONSUMER:
        return consumer_work(world, page, seed);
    case ROLE_SELECTOR:
        return selector_work(world, page, seed);
    case ROLE_RIVAL:
        return rival_work(world, page, seed);
    default:
        return looker_work(world, page, seed);
    }
}

struct page *spawn(struct world *world, enum role role, uint32_t kind, struct place *place,
                   uint32_t order)
{
    struct page *page = world->pages;
    pid_t parent = getpid();
    while (page < world->pages + WORKERS_MAX && page->pid != 0)
        page++;
    if (page == world->pages + WORKERS_MAX)
        return NULL;
    memset(page, 0, sizeof *page);
    page->role = role;
    page->kind = kind;
    page->place = place;
    page->incarnation = ++world->incarnations;
    page->beat_seen_ns = now_ns();
    atomic_store(&page->doing, "starting");
    atomic_store(&page->order, order);
    if (place != NULL)
        place->page = page;
    fflush(NULL);
    uint64_t seed = world->seed ^ (uint64_t)page->incarnation << 32;
    pid_t pid = fork(); /* not into the page, which the child shares */
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        _exit(work(world, page, random_next(&seed)));
    }
    if (pid < 0)
        violate(world, "fork: %s", strerror(errno));
    page->pid = pid < 0 ? 0 : pid;
    return page;
}

void put_down(struct world *world, struct page *page)
{
    page->killed = 1;
    kill(page->pid, SIGKILL);
    count(&world->counts.kills, 1);
}

void go_on(struct page *page)
{
    page->stopped_until_ns = 0;
    page->beat_seen_ns = now_ns();
    kill(page->pid, SIGCONT);
}

static void end_of(struct world *world, struct page *page, int status)
{
    if (!page->killed && WIFSIGNALED(status))
        violate(world, "worker %u (role %d) died of signal %d in %s", page->incarnation,
                (int)page->role, WTERMSIG(status), atomic_load(&page->doing));
    if (page->place != NULL) {
        page->place->page = NULL;
        /* Often at once, so that a short grace is not over. */
        page->place->due_ns =
            now_ns() + (int64_t)(world->seed >> page->incarnation % 32 & 63) * 2 * MS_NS;
    }
    page->pid = 0;
}

void collect(struct world *world)
{
    for (struct page *page = world->pages; page < world->pages + WORKERS_MAX; page++) {
        int status;
        if (page->pid != 0 && waitpid(page->pid, &status, WNOHANG) == page->pid)
            end_of(world, page, status);
    }
}

void watch(struct world *world)
{
    int64_t now = now_ns();
    for (struct page *page = world->pages; page < world->pages + WORKERS_MAX; page++) {
        if (page->pid == 0)
            continue;
        uint64_t beat = atomic_load(&page->beat);
        if (beat != page->beat_seen || page->stopped_until_ns != 0) {
            page->beat_seen = beat;
            page->beat_seen_ns = now;
        } else if (now - page->beat_seen_ns > HANG_NS) {
            violate(world, "worker %u (role %d) hangs in %s", page->incarnation, (int)page->role,
                    atomic_load(&page->doing));
            page->beat_seen_ns = now;
        }
        if (page->stopped_until_ns != 0 && now >= page->stopped_until_ns)
            go_on(page);
    }
}

/* Does it count as one of this role? Who reads through a selector is a consumer, too. */
static int is_of(const struct page *page, enum role role)
{
    return page->role == role || (role == ROLE_CONSUMER && page->role == ROLE_SELECTOR);
}

/* A worker of this role at random, ROLE_NONE: of any; or NULL. */
static struct page *any_of(struct world *world, uint64_t *state, enum role role)
{
    uint64_t start = random_below(state, WORKERS_MAX);
    for (uint64_t i = 0; i < WORKERS_MAX; i++) {
        struct page *page = &world->pages[(start + i) % WORKERS_MAX];
        if (page->pid != 0 && !page->killed && (role == ROLE_NONE || is_of(page, role)))
            return page;
    }
    return NULL;
}

static unsigned count_of(const struct world *world, enum role role)
{
    unsigned found = 0;
    for (uint32_t i = 0; i < WORKERS_MAX; i++)
        found += world->pages[i].pid != 0 && is_of(&world->pages[i], role);
    return found;
}

static void stop(struct world *world, uint64_t *state, struct page *page)
{
    int is_long = random_chance(state, world->bus.flags & SHMBUS_BUS_EVICT ? 50 : 10);
    uint64_t most_ms = is_long ? (uint64_t)world->bus.stall_ns / MS_NS * 4 : 40;
    if (page == NULL || page->stopped_until_ns != 0)
        return;
    kill(page->pid, SIGSTOP);
    page->stopped_until_ns = now_ns() + (int64_t)(1 + random_below(state, most_ms)) * MS_NS;
    count(&world->counts.stops, 1);
}

/* Stops the producer, and lets a rival try to get its bus. */
static void try_rival(struct world *world, struct page *producer)
{
    siginfo_t info = {0};
    int status;
    if (producer == NULL || producer->stopped_until_ns != 0)
        return;
    kill(producer->pid, SIGSTOP);
    if (waitid(P_PID, (id_t)producer->pid, &info, WSTOPPED | WEXITED | WNOWAIT) < 0 ||
        info.si_code != CLD_STOPPED)
        return;
    if (atomic_load(&producer->joined)) {
        struct page *rival = spawn(world, ROLE_RIVAL, 0, NULL, ORDER_GO);
        if (rival != NULL && rival->pid != 0 && waitpid(rival->pid, &status, 0) == rival->pid)
            end_of(world, rival, status);
        count(&world->counts.rivals, 1);
    }
    kill(producer->pid, SIGCONT);
}

/* A producer most of the time; or as many as there are to be, which may be one too many. */
static void restore_producers(struct world *world, uint64_t *state)
{
    int64_t now = now_ns();
    unsigned most =
        world->many ? (unsigned)(world->seed >> 8) % (world->bus.max_producers + 1) + 1 : 1;
    if (count_of(world, ROLE_PRODUCER) >= most) {
        world->producer_due_ns = now + (int64_t)random_below(state, 60) * MS_NS;
    } else if (now >= world->producer_due_ns) {
        spawn(world, ROLE_PRODUCER, 0, NULL, ORDER_GO);
        if (world->many)
            world->producer_due_ns = now + (int64_t)random_below(state, 40) * MS_NS;
    }
}

/* Those that must be there: producers, and whoever is to be resumed. */
static void restore(struct world *world, uint64_t *state)
{
    int64_t now = now_ns();
    restore_producers(world, state);
    for (uint32_t i = 0; i < PLACES; i++) {
        struct place *place = &world->places[i];
        if (place->page == NULL && place->due_ns != 0 && now >= place->due_ns) {
            place->due_ns = 0;
            spawn(world, ROLE_CONSUMER, SHMBUS_REQUIRED, place, ORDER_GO);
        }
    }
}

static void bring_consumer(struct world *world, uint64_t *state, unsigned most)
{
    static const uint32_t kinds[] = {SHMBUS_REQUIRED, SHMBUS_REQUIRED, SHMBUS_OPTIONAL,
                                     SHMBUS_OPTIONAL, SHMBUS_OBSERVER};
    struct place *place = &world->places[random_below(state, PLACES)];
    if (count_of(world, ROLE_CONSUMER) >= most)
        return;
    /* One that is replaced is told of by what is mapped, of which a selector has more. */
    if (world->streams == 1 && random_chance(state, 30))
        spawn(world, ROLE_SELECTOR, 0, NULL, ORDER_GO);
    else if (place->page == NULL && place->due_ns == 0 && random_chance(state, 35))
        spawn(world, ROLE_CONSUMER, SHMBUS_REQUIRED, place, ORDER_GO);
    else
        spawn(world, ROLE_CONSUMER, kinds[random_below(state, 5)], NULL, ORDER_GO);
}

/* Those that publish beside each other all go, and it takes a while until others come. */
static void dismiss_crew(struct world *world, uint64_t *state)
{
    for (struct page *page = world->pages; page < world->pages + WORKERS_MAX; page++) {
        if (page->pid == 0 || page->killed || page->role != ROLE_PRODUCER)
            continue;
        if (random_chance(state, 30))
            put_down(world, page);
        else
            atomic_store(&page->order, ORDER_LEAVE);
    }
    world->producer_due_ns = now_ns() + (int64_t)random_below(state, 200) * MS_NS;
}

static void deed(struct world *world, uint64_t *state, unsigned most)
{
    uint64_t what = random_below(state, 100);
    struct page *page;
    if (what < 40) {
        bring_consumer(world, state, most);
    } else if (what < 52) {
        if ((page = any_of(world, state, ROLE_CONSUMER)) != NULL)
            put_down(world, page);
    } else if (what < 58) {
        if ((page = any_of(world, state, ROLE_PRODUCER)) != NULL)
            put_down(world, page);
    } else if (what < 60) {
        if ((page = any_of(world, state, ROLE_NONE)) != NULL)
            put_down(world, page);
    } else if (what < 78) {
        stop(world, state, any_of(world, state, ROLE_NONE));
    } else if (what < 81) {
        stop(world, state, any_of(world, state, ROLE_PRODUCER));
    } else if (what < 88) {
        page = any_of(world, state, random_chance(state, 75) ? ROLE_CONSUMER : ROLE_PRODUCER);
        if (page != NULL)
            atomic_store(&page->order, ORDER_LEAVE);
    } else if (what < 97) {
        if (count_of(world, ROLE_LOOKER) < 3)
            spawn(world, ROLE_LOOKER, 0, NULL, ORDER_GO);
    } else if (what == 99 && world->many) {
        dismiss_crew(world, state);
    } else {
        try_rival(world, any_of(world, state, ROLE_PRODUCER));
    }
}

void schedule_run(struct world *world, uint64_t *state, int64_t seconds_ns)
{
    int64_t until = now_ns() + seconds_ns;
    unsigned most = 2 + (unsigned)random_below(state, 9);
    unsigned pace_ms = 2 + (unsigned)random_below(state, random_chance(state, 50) ? 25 : 100);
    while (now_ns() < until && atomic_load(&world->violations) == 0 &&
           !(world->many && world->incarnations > CREW_KNOWN - 100)) {
        collect(world);
        watch(world);
        restore(world, state);
        deed(world, state, most);
        sleep_ns((int64_t)random_below(state, pace_ms) * MS_NS);
    }
}
