/* SPDX-License-Identifier: MIT */
/*
 * Threads that stand for processes. A race detector knows memory by its address, so a segment that
 * two participants have mapped twice is two memories to it. Here the system calls of the library
 * are caught at link time, and a file is mapped once, whoever maps it:
 *
 *   a second mmap() of a file        gives the first one's address, writable as a whole, and keeps
 *                                    the description by a descriptor of its own, as the mapping
 *                                    would: its locks last until munmap() by the same thread
 *   a lock that is had, or probed    is an edge to the detector, as it is in the kernel: what its
 *   and found free                   last holder did before it was gone is done
 *   a name that a segment gets       is an edge to whoever maps its files
 *   process_hold(), process_add()    are nothing: nobody forks here, and their mutex would order
 *                                    what two processes do, which nothing orders
 *
 * This file is not watched by the detector, and takes its own lock unseen.
 */
#ifndef SHMBUS_RACE_SHARE_H
#define SHMBUS_RACE_SHARE_H

#include <stdint.h>

/* The thread dies as a process does that is killed: its mappings go, and then its descriptors, and
 * the locks with them; nothing is cleaned up. What it had of the library it must not use again. */
void share_die(void);

/* How many mappings and descriptors all threads have: 0 when all have closed or died. */
uint32_t share_left(void);

/* Signals between threads that the detector does not see, or they would order what it watches. */
void share_signal(uint32_t number, uint64_t value);
uint64_t share_signalled(uint32_t number);

/* Adds to a signal; returns what it was. */
uint64_t share_add(uint32_t number, uint64_t value);

#define SHARE_SIGNALS 64
#define SHARE_REFUSED 63 /* not 0: the kernel refuses to register for membarriers */

#endif
