/* SPDX-License-Identifier: MIT */
/*
 * A container in the small: a process in namespaces of its own, which starts a worker inside them
 * and kills it from inside. What the worker does is ordered from outside, call by call.
 */
#ifndef SHMBUS_TESTS_CONTAINERS_BOX_H
#define SHMBUS_TESTS_CONTAINERS_BOX_H

#include "support/support.h"

/* What a box is like. */
struct box_kind {
    int namespaces;  /* CLONE_NEW... */
    uid_t uid;       /* outside; becomes root inside of a user namespace that maps */
    int maps;        /* the user namespace maps that user */
    int hides_proc;  /* nothing is in its /proc */
    int has_own_shm; /* the folder of buses is a file system of its own */
};

/* The first process of the box, which is told what to do. */
struct box {
    struct child child;
    pid_t first; /* its PID outside */
};

enum box_order {
    BOX_START = 1, /* starts the worker, with this PID inside (0: any); answers the PID, or 0 */
    BOX_KILL,      /* kill -9 of the worker, by its PID inside */
    BOX_STOP,      /* SIGSTOP of it */
    BOX_CONTINUE,
    BOX_CREATE,  /* worker: creates or takes over the bus; answers as the library, negated */
    BOX_JOIN,    /* worker: joins as enum shmbus_kind, from the oldest; likewise */
    BOX_PUBLISH, /* worker: publishes so many, waiting as long as it takes; answers how many */
    BOX_TRY,     /* worker: publishes one, waiting 10 ms; answers as the library, negated */
    BOX_READ,    /* worker: reads so many; answers the next sequence */
    BOX_WAIT,    /* worker: waits for a message; answers as the library, negated */
    BOX_NEXT,    /* worker: the producer's next sequence */
    BOX_LEAVE,   /* worker: closes what it has */
};

/* Starts a box; 0 when the namespaces cannot be had, which is said as a skip of test. */
int box_start(struct box *out_box, const struct box_kind *kind, const char *test);

/* Gives an order and hears the answer; gives one without hearing it yet. */
uint64_t box_order(const struct box *box, enum box_order order, uint64_t argument);
void box_tell(const struct box *box, enum box_order order, uint64_t argument);
uint64_t box_hear(const struct box *box);

/* Ends the box and all that is in it, by the end of its first process. */
void box_end(struct box *box);

/* The bus that all of them use. */
extern const struct shmbus_bus_options box_bus;

#endif
