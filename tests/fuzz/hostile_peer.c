/* SPDX-License-Identifier: MIT */
/* A hostile member of the consuming group: see hostile_peer.h. */
#include "hostile_peer.h"

#include "layout/layout.h"
#include "support/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct peer {
    unsigned char *control;
    size_t bytes;
    size_t entry_bytes;
    uint64_t state; /* of its random numbers */
};

int hostile_open(const char *bus)
{
    char path[512];
    snprintf(path, sizeof path, "%s/shmbus.%s/control", getenv("SHMBUS_DIR"), bus);
    int control = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(control, 0);
    return control;
}

static void put(unsigned char *at, uint64_t value, size_t bytes)
{
    volatile unsigned char *place = at;
    if (bytes == 4 && (uintptr_t)at % 4 == 0) {
        *(volatile uint32_t *)(void *)at = (uint32_t)value;
    } else if (bytes == 8 && (uintptr_t)at % 8 == 0) {
        *(volatile uint64_t *)(void *)at = value;
    } else {
        for (size_t i = 0; i < bytes; i++)
            place[i] = (unsigned char)(value >> (8 * i));
    }
}

static uint64_t below(struct peer *peer, uint64_t limit)
{
    return support_below(&peer->state, limit);
}

static void anywhere(struct peer *peer)
{
    size_t at = below(peer, peer->bytes / 8) * 8;
    put(peer->control + at, support_random(&peer->state), 8);
}

/* Cursors near those that are there, small states and kinds, epochs next to the right ones. */
static void words(struct peer *peer)
{
    size_t count = (peer->bytes - 2 * (size_t)LAYOUT_PAGE) / peer->entry_bytes;
    unsigned char *base =
        peer->control + 2 * (size_t)LAYOUT_PAGE + below(peer, count) * peer->entry_bytes;
    uint64_t cursor = *(volatile uint64_t *)(void *)(base + offsetof(struct control_entry, cursor));
    uint64_t epoch = *(volatile uint64_t *)(void *)(base + offsetof(struct control_entry, epoch));
    switch (below(peer, 9)) {
    case 0:
        put(base, below(peer, 5), 4);
        break;
    case 1:
        put(base + 4, below(peer, 4), 4);
        break;
    case 2:
        put(base + 8, epoch + below(peer, 3) - 1, 8);
        break;
    case 3:
    case 4:
        put(base + 16, cursor + below(peer, 300) - 40, 8);
        break;
    case 5:
        put(base + 24, below(peer, 5), 8);
        break;
    case 6:
        put(base + 144, support_random(&peer->state), 8); /* grace */
        break;
    case 7:
        put(base + 236, below(peer, 12), 4); /* whom it runs after */
        break;
    default:
        put(base + offsetof(struct control_entry, holds), 0, 8);
    }
}

static void pages(struct peer *peer)
{
    size_t count = peer->bytes / LAYOUT_PAGE;
    unsigned char *at = peer->control + below(peer, count) * LAYOUT_PAGE;
    uint64_t how = below(peer, 3);
    if (how == 0)
        memset(at, 0, LAYOUT_PAGE);
    else if (how == 1)
        memset(at, 0xff, LAYOUT_PAGE);
    else
        memmove(at, peer->control + below(peer, count) * LAYOUT_PAGE, LAYOUT_PAGE);
}

static void parked(struct peer *peer)
{
    static const size_t places[] = {0, 128, 256, 384, 512};
    put(peer->control + LAYOUT_PAGE + places[below(peer, 5)],
        below(peer, 2) ? below(peer, 3) : support_random(&peer->state), 4);
}

static void pause_for(struct peer *peer)
{
    for (volatile uint64_t i = below(peer, 3000); i > 0;)
        i = i - 1;
}

/* A whole batch further on, for as long as it takes to read a message; put back unless its owner
 * has moved it meanwhile. */
static void back(struct peer *peer)
{
    unsigned char *base =
        peer->control + 2 * (size_t)LAYOUT_PAGE + below(peer, 2) * peer->entry_bytes;
    volatile uint64_t *cursor =
        (volatile uint64_t *)(void *)(base + offsetof(struct control_entry, cursor));
    uint64_t before = *cursor;
    *cursor = before + 60;
    pause_for(peer);
    if (*cursor == before + 60)
        *cursor = before;
    pause_for(peer);
}

/* All of an entry's holds in a word ended, and put back a moment later. */
static void holds(struct peer *peer)
{
    unsigned char *base =
        peer->control + 2 * (size_t)LAYOUT_PAGE + below(peer, 4) * peer->entry_bytes;
    volatile uint64_t *word =
        (volatile uint64_t *)(void *)(base + offsetof(struct control_entry, holds));
    uint64_t before = *word;
    *word = 0;
    pause_for(peer);
    *word = before;
    pause_for(peer);
}

void hostile_run(int line, const char *bus, enum scribble how, uint64_t seed)
{
    static void (*const ways[])(struct peer *) = {anywhere, words, pages, parked, back, holds};
    unsigned char header[LAYOUT_PAGE];
    struct peer peer = {.state = seed};
    struct stat found;
    uint64_t count = 0;
    int control = hostile_open(bus);
    ck_assert_int_eq(fstat(control, &found), 0);
    peer.bytes = (size_t)found.st_size;
    peer.control = mmap(NULL, peer.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, control, 0);
    ck_assert_ptr_ne(peer.control, MAP_FAILED);
    memcpy(header, peer.control, sizeof header);
    peer.entry_bytes = ((struct control_header *)(void *)header)->entry_bytes;
    for (; !child_has_said(line); count++)
        for (uint64_t i = below(&peer, 20); i > 0; i--)
            ways[how](&peer);
    child_hear(line);
    memcpy(peer.control, header, sizeof header);
    child_tell(line, count);
}
