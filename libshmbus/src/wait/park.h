/* SPDX-License-Identifier: MIT */
/*
 * Parking: sleeping in the kernel until the other side calls, on plain pointers.
 *
 *   who parks                                   who wakes
 *   ---------                                   ---------
 *   v = word                    (park_seen:B)   store what is waited for
 *   flag = 1                                    compiler barrier       (publish_signal:A,
 *   membarrier                  (park_fence:A)                          advance_signal:A)
 *   look once more                              load flag; if it is set, out of line:
 *   sleep while word is v                         flag = 0
 *                                                 word + 1             (park_wake:A)
 *                                                 wake all that sleep on word
 *
 * The membarrier makes every processor that runs a registered process go through a full fence: each
 * load of the flag is either after it, and sees 1, or what was stored before it is seen by the
 * look. So who wakes has neither a fence nor a system call while nobody parks. Two that park at
 * once: the 0 that is stored for the first may take the second's 1 away, but then the word moves on
 * after that, and the second, which read it before, does not sleep; one that read the new word
 * stores its 1 after the 0.
 *
 * Who wakes and was refused the registration fences by itself before it loads the flag: its flag
 * pointer leads to park_always, so that it goes out of line each time, and others have not an
 * instruction more. On a bus where nobody may park it leads to park_never.
 */
#ifndef SHMBUS_PARK_H
#define SHMBUS_PARK_H

#include <stdatomic.h>
#include <stdint.h>

/* Where one direction parks. */
struct park_door {
    const _Atomic uint32_t *word; /* the futex; may be mapped read-only */
    _Atomic uint32_t *flag; /* set by whoever parks, cleared by who wakes; or NULL, and then */
    _Atomic uint64_t *bits; /* a bit for each that parks, which is its own to clear */
    uint64_t bit;
    uint32_t is_shut; /* the kernel has no membarrier for this process: nobody parks */
};

/* Flags that are never and always set. */
extern const _Atomic uint32_t park_never;
extern const _Atomic uint32_t park_always;
extern const _Atomic uint64_t park_no_bits;
extern const _Atomic uint64_t park_all_bits;

/* Lets the fences of those that park reach this process. Returns 1, or 0 where the kernel refuses:
 * then it has to fence by itself. */
int park_register(void);

/* Says at a door that this process is about to park. Returns 0, or a negative errno where the
 * kernel has no membarrier; then nothing is said, and the door is shut. */
int park_say(struct park_door *door, uint32_t *out_seen);

/* Sleeps for up to so many nanoseconds, unless the door's word has moved on from seen. */
void park_sleep(const struct park_door *door, uint32_t seen, int64_t ns);

/* Says it at count doors, with one fence for all. Returns 0, or a negative errno: then they are
 * shut.
 */
int park_say_all(struct park_door *const *doors, uint32_t count, uint32_t *out_seen);

/* Sleeps for up to so many nanoseconds, unless one of count words has moved on from what was seen.
 * Returns 0, or -ENOSYS where the kernel cannot. */
int park_sleep_any(const _Atomic uint32_t *const *words, const uint32_t *seen, uint32_t count,
                   int64_t ns);

/* Sleeps for at most a millisecond and at most so long, where parking is not to be had. */
void park_nap(int64_t ns);

/* Wakes all that sleep on a word of this process that has moved on. */
void park_call(const _Atomic uint32_t *word);

/* Takes back its bit, where it has one. */
void park_take_back(const struct park_door *door);

/* Wakes all that sleep on a word. */
void park_wake(_Atomic uint32_t *word);

/* The same, of those that set a flag. */
void park_wake_flagged(_Atomic uint32_t *flag, _Atomic uint32_t *word);

#endif
