/* SPDX-License-Identifier: MIT */
/*
 * The randomized test: what the driver and its workers share. README.md says what is checked.
 *
 * Everything here is in one anonymous shared mapping, never on the bus under test. A worker that is
 * killed leaves what it had seen in it, so each word says by itself how far it can be believed:
 * lower bounds are stored after a call, upper bounds before.
 */
#ifndef SHMBUS_TESTS_RANDOM_H
#define SHMBUS_TESTS_RANDOM_H

#include "shmbus/shmbus.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#define BUS         "random"
#define WORKERS_MAX 20
#define PLACES      4       /* names with a grace time */
#define STREAMS     3       /* buses that replace each other in one round */
#define NAMES       8       /* that may be required */
#define GAPS_MAX    65536   /* skipped ranges of one bus */
#define AUTHORS     1048576 /* sequences whose author is remembered */
#define KEPT_MAX    24      /* messages that a consumer keeps at one time */
#define TYPES       8
#define BYTES_MAX   4096
#define PATIENCE_NS (60 * SECOND_NS)
#define SECOND_NS   INT64_C(1000000000)
#define MS_NS       INT64_C(1000000)
#define LONG_GRACE  (3600 * SECOND_NS)

enum role { ROLE_NONE, ROLE_PRODUCER, ROLE_CONSUMER, ROLE_LOOKER, ROLE_RIVAL };

/* What a worker is told; each goes further than the one before. */
enum order {
    ORDER_GO,
    ORDER_QUIET, /* read all that comes, keep what is kept */
    ORDER_DROP,  /* keep nothing */
    ORDER_LEAVE,
};

/* A worker. */
struct page {
    /* writer: the driver */
    pid_t pid; /* 0: free */
    enum role role;
    uint32_t incarnation;
    uint32_t kind;
    struct place *place; /* of a consumer that has a name to be resumed under, or NULL */
    int64_t stopped_until_ns;
    int64_t beat_seen_ns;
    uint64_t beat_seen;
    int killed;
    _Atomic uint32_t order;
    /* writer: the worker */
    _Atomic uint64_t beat;
    const char *_Atomic doing;
    _Atomic uint32_t joined; /* its open has returned, and its close has not begun */
    _Atomic uint32_t number; /* of the bus that a consumer is on */
    _Atomic uint32_t obeyed; /* the order that it has carried out */
    _Atomic uint64_t cursor; /* where it stands, all below being read */
    _Atomic uint32_t kept;   /* handles of slabs, below */
    _Atomic uint64_t handles[KEPT_MAX];
};

/* A place that a consumer leaves when it dies. */
struct place {
    char name[16];
    int64_t grace_ns;
    uint32_t mask; /* of the types that it wants */
    int64_t due_ns;
    struct page *page;        /* who has it now */
    _Atomic uint32_t opening; /* it may have joined, and not come to say so */
    _Atomic uint32_t known;   /* acked and read are true */
    _Atomic uint32_t left;    /* the last one left in order */
    _Atomic uint32_t joins;   /* how often somebody joined anew under it */
    _Atomic uint64_t acked;   /* all below was acknowledged */
    _Atomic uint64_t read;    /* nothing from here on was handed out */
};

struct gap {
    _Atomic uint64_t first;
    _Atomic uint64_t count; /* 0: it did not come to it */
};

struct counts {
    _Atomic uint64_t published, received, joined, kills, stops, evictions, resumes, takeovers, lost,
        filtered, followed, kept, gaps, rivals, looks, buses, replaced, refused;
};

/* One bus, and all that is known of its stream. The first of them has what a round is about, too.
 */
struct world {
    struct world *root; /* the first of STREAMS */
    uint32_t number;    /* which of them this is */
    uint64_t seed;
    struct shmbus_bus_options bus;
    struct shmbus_type types[TYPES];
    char type_names[TYPES][8];
    const char *names[NAMES];
    uint32_t inline_bytes;
    uint32_t bytes_most;
    _Atomic uint64_t inode; /* of its feed, once a producer has it; 0 before */

    /* of the first */
    uint32_t streams;         /* how many there may be */
    _Atomic uint32_t current; /* the one that a producer had last */
    _Atomic uint32_t wanted;  /* the one that it may be already */
    uint32_t incarnations;    /* writer: the driver */
    _Atomic uint32_t violations;
    char first_violation[600];

    _Atomic uint64_t acked;  /* everything below was published by a call that returned */
    _Atomic uint64_t intent; /* nothing at or above it was ever begun */
    _Atomic uint64_t seen;   /* the first sequence that no consumer has seen */
    _Atomic uint32_t made;   /* the bus is there */
    _Atomic uint32_t gap_count;
    struct counts counts;
    struct place places[PLACES];
    struct page pages[WORKERS_MAX];
    struct gap gaps[GAPS_MAX];
    _Atomic uint64_t authors[AUTHORS]; /* sequence << 24 | incarnation */
};

/* ---- world.c ---- */

int64_t now_ns(void);
void sleep_ns(int64_t ns);
uint64_t random_next(uint64_t *state);
uint64_t random_below(uint64_t *state, uint64_t limit);
int random_chance(uint64_t *state, unsigned percent);

/* Something that must hold does not: said at once, and counted. */
__attribute__((format(printf, 2, 3))) void violate(struct world *world, const char *format, ...);

/* Chooses the geometry of the buses of one round out of the seed. */
void world_begin(struct world *root, uint64_t seed);

/* The one that a producer had last. */
static inline struct world *world_now(struct world *root)
{
    return root + atomic_load(&root->current);
}

/* May a required consumer have this name? */
int world_may_require(const struct world *root, const char *name);

/* The one with as many entries as a picture says, or NULL: each has another number of them. */
struct world *world_of_entries(struct world *root, uint32_t entries);

/* Says on a line for each what world_begin() chose. */
void world_print(const struct world *root, double seconds);

void page_does(struct page *page, const char *what);
static inline uint32_t page_order(struct page *page)
{
    return atomic_load(&page->order);
}

/* How many descriptors, and how many mappings of buses, this process has. */
int open_descriptors(void);
int mapped_buses(void);

/* The inode of the feed that this process has mapped; 0: none. */
uint64_t mapped_inode(void);

static inline void count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_fetch_add(counter, more);
}

/* Raises a word to at least this. */
void raise_to(_Atomic uint64_t *word, uint64_t value);

/* ---- body.c: what a message must be, for anybody who knows the bus's seed ---- */

uint16_t body_type(const struct world *world, uint64_t sequence);
uint32_t body_bytes(const struct world *world, uint64_t key);
void body_fill(const struct world *world, void *data, uint64_t key, uint32_t incarnation);

/* NULL, or what is wrong with a message; out_incarnation: who wrote it, 0 if it does not say. */
const char *body_fault(const struct world *world, const struct shmbus_message *message,
                       uint32_t *out_incarnation);

/* ---- the workers ---- */

int producer_work(struct world *world, struct page *page, uint64_t seed);
int consumer_work(struct world *world, struct page *page, uint64_t seed);
int looker_work(struct world *world, struct page *page, uint64_t seed);
int rival_work(struct world *world, struct page *page, uint64_t seed);

/* Opens for publishing by create, open or replacing, and checks where the stream goes on. */
struct shmbus_producer *producer_begin(struct world *root, struct page *page, uint64_t *state,
                                       const struct shmbus_producer_options *options,
                                       struct world **out_world);

/* ---- the driver ---- */

struct page *spawn(struct world *world, enum role role, uint32_t kind, struct place *place,
                   uint32_t order);
void put_down(struct world *world, struct page *page);
void go_on(struct page *page);

/* Notes who has ended, and whether it was to be expected. */
void collect(struct world *world);

/* Finds those that do not move. */
void watch(struct world *world);

/* Random deeds for so long. */
void schedule_run(struct world *world, uint64_t *state, int64_t seconds_ns);

/* All is brought to rest, and what is in use counted. */
void ending_run(struct world *world, uint64_t *state);

#endif
