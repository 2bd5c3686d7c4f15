/* SPDX-License-Identifier: MIT */
/*
 * The steps that the target `segment` makes on a bus whose files have any content: each is a byte
 * for what and a byte for how, and a few have more bytes. Nothing waits, whatever the files say.
 */
#ifndef SHMBUS_TESTS_FUZZ_STEPS_H
#define SHMBUS_TESTS_FUZZ_STEPS_H

#include "bed.h"
#include "case.h"

enum step {
    STEP_LOOK,     /* a snapshot, all of it, printed by what shmbus-stat prints with */
    STEP_JOIN,     /* a consumer of some kind */
    STEP_POLL,     /* up to so many messages */
    STEP_NEXT,     /* one message, kept, copied and released */
    STEP_WAIT,     /* without waiting */
    STEP_REJOIN,   /* after whatever happened */
    STEP_LEAVE,    /* its consumer closes */
    STEP_SELECT,   /* all consumers through a selector */
    STEP_TAKEOVER, /* a producer opens it */
    STEP_CREATE,   /* a producer creates a bus of that name: the same geometry, or another */
    STEP_PUBLISH,  /* a few messages of all kinds */
    STEP_COUNT,    /* a producer's counts, health, flush */
    STEP_CLOSE,    /* the producer closes */
    STEP_REAP,     /* the dead are repaired */
    STEP_CONTROL,  /* + 4 bytes of place, 8 of value: somebody writes into control */
    STEP_FEED,     /* the same into feed */
    STEP_COUNT_OF  /* how many there are */
};

/* Lays the files of a case out as the bus BED_BUS, and makes its steps. */
void steps_run(const char *folder, const struct fuzz_case *fuzz_case);

#endif
