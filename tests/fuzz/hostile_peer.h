/* SPDX-License-Identifier: MIT */
/*
 * A hostile member of the consuming group: it maps all of `control` writable, which the file's mode
 * lets it do, and writes what it likes there.
 */
#ifndef SHMBUS_TESTS_FUZZ_HOSTILE_PEER_H
#define SHMBUS_TESTS_FUZZ_HOSTILE_PEER_H

#include <stdint.h>

/* How it writes. */
enum scribble {
    SCRIBBLE_ANYWHERE, /* random bytes in random places, the header among them */
    SCRIBBLE_WORDS,    /* fields of the entries, with numbers that may pass for right */
    SCRIBBLE_PAGES,    /* whole pages of zeros, ones, and of another page */
    SCRIBBLE_PARKED,   /* the words of parking */
    SCRIBBLE_BACK,     /* cursors, which it puts back a moment later */
    SCRIBBLE_HOLDS,    /* holds, the same */
    SCRIBBLES
};

/* Writes until it is told to stop by a word on the line, then puts the header back as it was and
 * answers how often it wrote. What it does follows from the seed. */
void hostile_run(int line, const char *bus, enum scribble how, uint64_t seed);

/* The file itself, opened for writing. */
int hostile_open(const char *bus);

#endif
