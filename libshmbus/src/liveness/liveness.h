/* SPDX-License-Identifier: MIT */
/*
 * Who lives: life locks that last as long as a mapping, and objects that a fork must not share.
 *
 * A life lock is an open-file-description lock on one byte of a file that is then mapped; the
 * description is closed, so that only the mapping keeps it, and the mapping is not given to
 * children. Between lock and MADV_DONTFORK a fork would give the child a share in the lock: it is
 * held off by process_hold(). Probes and repairs use descriptions of their own.
 */
#ifndef SHMBUS_LIVENESS_H
#define SHMBUS_LIVENESS_H

#include <stdint.h>

/* Takes an exclusive lock on a byte. Returns 0, -EAGAIN when somebody has it, or another errno. */
int lock_take(int descriptor, int64_t byte);

/* The same for count bytes from byte on: all of them or none. */
int lock_take_range(int descriptor, int64_t byte, uint32_t count);

/* Takes a shared lock on a byte. Returns as lock_take(). */
int lock_share(int descriptor, int64_t byte);

/* Gives up a description's lock on a byte. */
void lock_drop(int descriptor, int64_t byte);

/* Says whether somebody else's description has a lock on a byte: 1, 0 or a negative errno. */
int lock_probe(int descriptor, int64_t byte);

/* The same for any of count bytes from byte on. */
int lock_probe_range(int descriptor, int64_t byte, uint32_t count);

/* An object that belongs to the process that opened it. */
struct process_object {
    struct process_object *next;
    struct process_object *previous;
    /* Called in the child of a fork: makes the object refuse every call. Must only store. */
    void (*orphan)(struct process_object *object);
};

/* Holds fork() off in this process, and ends that. Not recursive. */
void process_hold(void);
void process_release(void);

/* Makes an object known, and forgets it. Call between process_hold() and process_release(). */
void process_add(struct process_object *object);
void process_remove(struct process_object *object);

#endif
