/* SPDX-License-Identifier: MIT */
/*
 * The steps of waiting. The defaults: a spin of a few microseconds covers a peer that is running;
 * yielding covers one that shares the core; then the kernel wakes it. Where nobody may park, slices
 * from 50 microseconds to 1 millisecond bound both the time to notice and what an idle waiter
 * costs.
 */
#include "wait/wait.h"

#include "error/error.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <time.h>

#define SPINS           400u
#define PAUSES_PER_SPIN 8u
#define CLOCK_EVERY     256u /* spins */
#define YIELDS          16u
#define SLEEP_FIRST_NS  50000u
#define SLEEP_LAST_NS   1000000u
#define SLICE_NS        20000000
#define SLICE_MIN_NS    1000000
#define SLICE_MAX_NS    1000000000

int64_t wait_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int wait_take_options(const struct shmbus_wait *options, struct wait_plan *out_plan)
{
    if (options->strategy > SHMBUS_WAIT_PARK)
        return error_set(-EINVAL, "wait.strategy: %" PRIu32 " is no way to wait",
                         options->strategy);
    if (options->unused != 0)
        return error_set(-EINVAL, "wait.unused: %" PRIu32 " is not 0", options->unused);
    if (options->slice_ns != 0 &&
        (options->slice_ns < SLICE_MIN_NS || options->slice_ns > SLICE_MAX_NS))
        return error_set(-EINVAL, "wait.slice_ns: %" PRId64 " is not 0 or %d to %d",
                         options->slice_ns, SLICE_MIN_NS, SLICE_MAX_NS);
    *out_plan = (struct wait_plan){
        .strategy = options->strategy,
        .spins = options->spins ? options->spins : SPINS,
        .yields = options->yields ? options->yields : YIELDS,
        .slice_ns = options->slice_ns ? options->slice_ns : SLICE_NS,
    };
    return 0;
}

struct waiter wait_begin_as(const struct wait_plan *plan, int64_t timeout_ns,
                            _Atomic uint32_t *waiting)
{
    struct waiter waiter = {
        .timeout_ns = timeout_ns,
        .until_ns = INT64_MAX,
        .sleep_ns = SLEEP_FIRST_NS,
        .plan = *plan,
        .waiting = waiting,
    };
    return waiter;
}

struct waiter wait_begin(int64_t timeout_ns)
{
    static const struct wait_plan plan = {SHMBUS_WAIT_ADAPTIVE, SPINS, YIELDS, SLICE_NS};
    return wait_begin_as(&plan, timeout_ns, NULL);
}

static void show(struct waiter *waiter, uint32_t waiting)
{
    if (waiter->shown == waiting || waiter->waiting == NULL)
        return;
    waiter->shown = waiting;
    /* relaxed: for whoever looks on */
    atomic_store_explicit(waiter->waiting, waiting, memory_order_relaxed);
}

/* How the next step is to be: enum shmbus_waiting. */
static uint32_t next_step(const struct waiter *waiter)
{
    const struct wait_plan *plan = &waiter->plan;
    int can_park = waiter->park != NULL || (waiter->door != NULL && !waiter->door->is_shut);
    uint32_t last = can_park ? SHMBUS_WAITING_PARK : SHMBUS_WAITING_SLEEP;
    if (plan->strategy == SHMBUS_WAIT_PARK)
        return last;
    if (plan->strategy == SHMBUS_WAIT_SPIN || waiter->steps < plan->spins)
        return SHMBUS_WAITING_SPIN;
    if (plan->strategy == SHMBUS_WAIT_YIELD || waiter->steps - plan->spins < (uint64_t)plan->yields)
        return SHMBUS_WAITING_YIELD;
    return last;
}

static void spin(void)
{
    for (uint32_t i = 0; i < PAUSES_PER_SPIN; i++)
        wait_pause();
}

static int64_t least(int64_t one, int64_t other)
{
    return one < other ? one : other;
}

static void sleep_for(struct waiter *waiter, int64_t ns)
{
    ns = least(ns, waiter->sleep_ns);
    struct timespec time = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    int saved = errno;
    nanosleep(&time, NULL);
    errno = saved;
    if (waiter->sleep_ns < SLEEP_LAST_NS)
        waiter->sleep_ns *= 2;
}

void wait_anew(struct waiter *waiter)
{
    if (waiter->at_door != NULL)
        park_take_back(waiter->at_door);
    waiter->at_door = NULL;
}

/* Says that it parks, or parks, having said so at this door and looked once more. */
static void park_for(struct waiter *waiter, int64_t ns)
{
    if (waiter->at_door == waiter->door) {
        park_sleep(waiter->door, waiter->seen, ns);
        wait_anew(waiter);
        return;
    }
    wait_anew(waiter);
    if (park_say(waiter->door, &waiter->seen) == 0)
        waiter->at_door = waiter->door;
}

static void do_step(struct waiter *waiter, uint32_t step, int64_t now)
{
    int64_t left = least(least(waiter->deadline_ns, waiter->probe_ns), waiter->until_ns) - now;
    show(waiter, step);
    if (step == SHMBUS_WAITING_SPIN)
        spin();
    else if (step == SHMBUS_WAITING_YIELD)
        sched_yield();
    else if (left <= 0)
        return;
    else if (step == SHMBUS_WAITING_PARK && waiter->park != NULL)
        waiter->park(waiter->context, left);
    else if (step == SHMBUS_WAITING_PARK)
        park_for(waiter, left);
    else
        sleep_for(waiter, left);
}

int wait_step(struct waiter *waiter)
{
    if (waiter->timeout_ns == 0)
        return -ETIMEDOUT;
    uint32_t step = next_step(waiter);
    waiter->steps++;
    if (step == SHMBUS_WAITING_SPIN && waiter->steps % CLOCK_EVERY != 0) {
        spin();
        return WAIT_GO_ON;
    }
    int64_t now = wait_now();
    if (waiter->deadline_ns == 0) {
        int endless = waiter->timeout_ns < 0 || waiter->timeout_ns > INT64_MAX - now;
        waiter->deadline_ns = endless ? INT64_MAX : now + waiter->timeout_ns;
        waiter->probe_ns = now + waiter->plan.slice_ns / 20;
    }
    if (now >= waiter->deadline_ns)
        return -ETIMEDOUT;
    if (now >= waiter->probe_ns) {
        waiter->probe_ns = now + waiter->plan.slice_ns;
        return WAIT_PROBE;
    }
    do_step(waiter, step, now);
    return WAIT_GO_ON;
}

void wait_end(struct waiter *waiter)
{
    wait_anew(waiter);
    show(waiter, SHMBUS_WAITING_NOT);
}
