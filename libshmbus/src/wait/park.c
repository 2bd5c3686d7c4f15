/* SPDX-License-Identifier: MIT */
/*
 * The system calls of parking: futexes, shared by the file that they are in, and membarrier.
 */
#include "wait/park.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "shmbus/shmbus.h"

#define NAP_NS 1000000

const _Atomic uint32_t park_never;
const _Atomic uint32_t park_always = 1;
const _Atomic uint64_t park_no_bits;
const _Atomic uint64_t park_all_bits = UINT64_MAX;

static int membarrier(int command)
{
    int saved = errno;
    int result = syscall(SYS_membarrier, command, 0, 0) < 0 ? -errno : 0;
    errno = saved;
    return result;
}

static void futex(const _Atomic uint32_t *word, int operation, uint32_t value,
                  const struct timespec *time)
{
    int saved = errno;
    syscall(SYS_futex, word, operation, value, time, NULL, 0);
    errno = saved;
}

int park_register(void)
{
    return membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) == 0;
}

/* The word, and then the flag. */
static void raise_flag(const struct park_door *door, uint32_t *out_seen)
{
    /* ORDER(park_seen:B) pairs park_wake:A: who reads the new word sets its flag after the 0 */
    *out_seen = atomic_load_explicit(door->word, memory_order_acquire);
    if (door->flag != NULL)
        /* relaxed: the membarrier orders it before the next look */
        atomic_store_explicit(door->flag, 1, memory_order_relaxed);
    else
        /* ORDER(park_bit:A) pairs wake_bits:B, among_bits:B: what it waits for before its bit */
        atomic_fetch_or_explicit(door->bits, door->bit, memory_order_release);
}

int park_say_all(struct park_door *const *doors, uint32_t count, uint32_t *out_seen)
{
    for (uint32_t i = 0; i < count; i++)
        raise_flag(doors[i], &out_seen[i]);
    /* ORDER(park_fence:A) pairs publish_signal:A, publish_fence:A, advance_signal:A,
     * advance_fence:A, among_signal:A, among_fence:A: the flag before the next look, in every
     * process */
    int result = membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
    for (uint32_t i = 0; result < 0 && i < count; i++) {
        doors[i]->is_shut = 1;
        park_take_back(doors[i]);
    }
    return result;
}

int park_say(struct park_door *door, uint32_t *out_seen)
{
    return park_say_all(&door, 1, out_seen);
}

void park_sleep(const struct park_door *door, uint32_t seen, int64_t ns)
{
    struct timespec time = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    futex(door->word, FUTEX_WAIT, seen, &time);
}

int park_sleep_any(const _Atomic uint32_t *const *words, const uint32_t *seen, uint32_t count,
                   int64_t ns)
{
    struct futex_waitv waiters[SHMBUS_SELECTOR_MAX];
    struct timespec until;
    int saved = errno;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ns % 1000000000;
    until.tv_sec += ns / 1000000000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    for (uint32_t i = 0; i < count; i++)
        waiters[i] =
            (struct futex_waitv){.val = seen[i], .uaddr = (uintptr_t)words[i], .flags = FUTEX_32};
    long result = syscall(SYS_futex_waitv, waiters, count, 0, &until, CLOCK_MONOTONIC);
    int refused = result < 0 && (errno == ENOSYS || errno == EPERM);
    errno = saved;
    return refused ? -ENOSYS : 0;
}

void park_nap(int64_t ns)
{
    struct timespec time = {.tv_nsec = ns < NAP_NS ? ns : NAP_NS};
    int saved = errno;
    nanosleep(&time, NULL);
    errno = saved;
}

void park_call(const _Atomic uint32_t *word)
{
    futex(word, FUTEX_WAKE, INT_MAX, NULL);
}

void park_take_back(const struct park_door *door)
{
    if (door->flag == NULL)
        /* relaxed: one wake too many does no harm */
        atomic_fetch_and_explicit(door->bits, ~door->bit, memory_order_relaxed);
}

void park_wake(_Atomic uint32_t *word)
{
    /* ORDER(park_wake:A) pairs park_seen:B: the flag's 0 before the word */
    atomic_fetch_add_explicit(word, 1, memory_order_release);
    park_call(word);
}

void park_wake_flagged(_Atomic uint32_t *flag, _Atomic uint32_t *word)
{
    /* relaxed: the word's step below releases it */
    atomic_store_explicit(flag, 0, memory_order_relaxed);
    park_wake(word);
}
