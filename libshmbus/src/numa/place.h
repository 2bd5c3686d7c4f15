/* SPDX-License-Identifier: MIT */
/*
 * Where pages go: the policy before the first touch, the touch with an error code in place of a
 * SIGBUS, and then what the kernel says it did.
 */
#ifndef SHMBUS_PLACE_H
#define SHMBUS_PLACE_H

#include "shmbus/shmbus.h"

#include <stdint.h>

/* Sets the policy of a mapping that nobody touched yet. A node that it is bound to must have needed
 * bytes to give, since one that overflows gets the OOM killer; pages of the huge page pool need
 * none. Returns 0, -ENXIO, -ENOTSUP,
 * -ENOMEM or -EINVAL with its text. */
int place_policy(void *address, uint64_t bytes, uint64_t needed, uint32_t numa, uint32_t node);

/* The one node that such a policy binds to, which for a local one is the caller's; -1: none. */
int place_bound_node(uint32_t numa, uint32_t node);

/* Touches every page for writing (or reading). Returns 0, -ENOSPC when the file system is full,
 * -ENOMEM, or another errno; no text. */
int place_populate(void *address, uint64_t bytes, int for_writing);

/* Adds to out_placement where the pages of a mapping are. Pages that this process did not touch yet
 * are touched for reading. Returns 0 or -ENOMEM. */
int place_ask(const void *address, uint64_t bytes, struct shmbus_placement *out_placement);

/* The node that most of a mapping's pages are on, by a sample of them; -1 when the kernel does not
 * say. */
int32_t place_node(const void *address, uint64_t bytes);

/* Finds the size of a mapping's pages as they are, and how many bytes are in larger ones than the
 * base page. */
void place_page_bytes(const void *address, uint64_t bytes, struct shmbus_placement *out_placement);

#endif
