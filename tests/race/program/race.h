/* SPDX-License-Identifier: MIT */
/*
 * What the scenarios are made of: threads that stand for processes, each with handles of its own,
 * and the two things that nearly all of them do, publishing and reading.
 *
 * Threads of one scenario meet only through the bus, or by signals that the detector does not see
 * (share.h): everything else that orders them would hide a race.
 */
#ifndef SHMBUS_RACE_H
#define SHMBUS_RACE_H

#include "share.h"

#include "shmbus/shmbus.h"

#include <stddef.h>
#include <stdint.h>

#define RACE_BUS     "race"
#define RACE_LONGEST 1024u /* bytes of a payload */
#define RACE_OTHERS  8u    /* producers of one bus */
#define RACE_KEPT    16u   /* handles that a reader keeps */

/* A scenario: run() is done once a round, on a bus that is not there before. */
struct scenario {
    const char *name;
    uint32_t rounds;
    void (*run)(void);
};

/* Each ends with one without a name. */
extern const struct scenario race_ring[];
extern const struct scenario race_pool[];
extern const struct scenario race_join[];
extern const struct scenario race_death[];
extern const struct scenario race_among[];
extern const struct scenario race_wait[];

/* Says that the scenario went wrong, for the first time, and has it end. */
void race_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Has nothing gone wrong yet? */
int race_goes_on(void);

/* ns: a wait that ends in any run that is not wedged. With a weak place many are: then it is short.
 */
int64_t race_guard(void);

/* Counts messages that were read and found to be whole. */
void race_count(uint64_t messages);

uint64_t race_random(uint64_t *state);

/* A number that begins a thread's random ones. */
uint64_t race_seed(void);

/* Ends when a signal is at least so much, or something went wrong. */
void race_await(uint32_t signal, uint64_t value);

/* ---- threads ---- */

struct race_thread {
    void (*body)(void *context);
    void *context;
};

/* Runs all of them at once, and returns when all have ended. */
void race_run(const struct race_thread *threads, uint32_t count);

/* ---- payloads ---- */

/* Of at least 8 bytes: the key, and then what follows from it. */
void race_fill(void *data, uint32_t length, uint64_t key);
int race_is_whole(const void *data, uint32_t length, uint64_t *out_key);

/* ---- publishing ---- */

#define BY_COPY  0x1u
#define BY_CLAIM 0x2u
#define BY_BATCH 0x4u
#define BY_SLAB  0x8u  /* acquired by hand */
#define BY_ABORT 0x10u /* a claim that comes to nothing */
#define BY_SKIP  0x20u /* sequences left out */

struct publisher {
    struct shmbus_producer *producer;
    const char *bus;  /* NULL: RACE_BUS */
    uint32_t ways;    /* BY_... */
    uint32_t longest; /* bytes of a payload; 0: 24, which fit any slot */
    uint32_t number; /* among many, from 1 on: each counts for itself; 0: the key is the sequence */
    uint64_t published;
    uint64_t random;
    struct shmbus_wait wait;
};

/* Makes the bus, or takes it over. */
void publisher_create(struct publisher *publisher, const struct shmbus_bus_options *options);

/* Opens a bus that is there, or comes. Returns what opening does. */
int publisher_open(struct publisher *publisher);

/* Publishes so many messages, or until something went wrong. */
void publisher_go(struct publisher *publisher, uint64_t messages);
void publisher_close(struct publisher *publisher);

/* Waits until so many required consumers gate it. */
void publisher_await(struct publisher *publisher, int required);

/* ---- reading ---- */

struct reader {
    struct shmbus_consumer *consumer;
    const char *bus; /* NULL: RACE_BUS */
    struct shmbus_consumer_options options;
    uint32_t is_racing; /* may be evicted: reads payloads as those do that do not gate */
    void (*on_message)(void *context,
                       const struct shmbus_message *message); /* once it is checked */
    void *context;
    uint32_t keeps; /* handles at one time */
    uint32_t kept;
    uint64_t handles[RACE_KEPT];
    uint64_t expected;                  /* the least sequence that may come */
    struct shmbus_consumer_stats begun; /* its counts as it began */
    uint64_t lost;                      /* by its events: lost and aborted */
    uint64_t received;
    uint64_t seen[RACE_OTHERS + 1]; /* the last one of each producer */
    uint64_t random;
    unsigned char copy[RACE_LONGEST];
};

/* Opens it with the options that are set; those that are not are made up. Returns what opening
 * does. */
int reader_open(struct reader *reader);

/* The same with the entry that it has, after it was evicted. */
int reader_rejoin(struct reader *reader);

/* What is looked at and done with each message, however it was read. */
void reader_take(struct reader *reader, const struct shmbus_message *message);

/* Reads so many messages, or to the end. Returns 0, or the error that ended it: -EPIPE at the end
 * of the stream. */
int reader_go(struct reader *reader, uint64_t messages);

/* Looks at what it keeps, and releases all of it. */
void reader_release(struct reader *reader);

/* Compares what it was told with its counts, and closes it, with handles out or without. */
void reader_close(struct reader *reader);

#endif
