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

#define WORKERS_MAX 32
#define PLACES      4       /* names with a grace time */
#define STREAMS     3       /* buses that replace each other in one round */
#define NAMES       8       /* that may be required */
#define GAPS_MAX    65536   /* skipped ranges of one bus */
#define AUTHORS     1048576 /* sequences whose author is remembered */
#define CREW_MAX    8       /* producers at once */
#define CREW_KNOWN  4096    /* incarnations of a round with many producers: less than this */
#define NUMBER_BITS 40      /* key of a message among many: author << NUMBER_BITS | its number */
#define KEPT_MAX    24      /* messages that a consumer keeps at one time */
#define TYPES       8
#define BYTES_MAX   4096
#define PATIENCE_NS (60 * SECOND_NS)
#define SECOND_NS   INT64_C(1000000000)
#define MS_NS       INT64_C(1000000)
#define LONG_GRACE  (3600 * SECOND_NS)

enum role { ROLE_NONE, ROLE_PRODUCER, ROLE_CONSUMER, ROLE_SELECTOR, ROLE_LOOKER, ROLE_RIVAL };

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

/* A producer among many. writer: that one */
struct author {
    _Atomic uint64_t begun;    /* of its messages nothing from this number on was begun */
    _Atomic uint64_t returned; /* calls returned for those below this number */
    _Atomic uint64_t last;     /* the last one of them has at most this sequence */
};

struct counts {
    _Atomic uint64_t published, received, joined, kills, stops, evictions, resumes, takeovers, lost,
        filtered, followed, kept, gaps, rivals, looks, buses, replaced, refused, crews, among,
        aborted, selected;
};

/* One bus, and all that is known of its stream. The first of them has what a round is about, too.
 */
struct world {
    struct world *root; /* the first of STREAMS */
    uint32_t number;    /* which of them this is */
    int many;           /* producers at once */
    const char *name;   /* of the bus */
    struct world *twin; /* of the first: a bus beside it that may be observed, or NULL */
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
    uint32_t incarnations;    /* writer: the driver, of these two */
    int64_t producer_due_ns;
    _Atomic uint32_t violations;
    char first_violation[600];

    /* Everything below was published by a call that returned; among many, or is another one's. */
    _Atomic uint64_t acked;
    _Atomic uint64_t last;   /* of one producer: a call returned for a message right below it */
    _Atomic uint64_t intent; /* nothing at or above it was ever begun */
    _Atomic uint64_t seen;   /* the first sequence that no consumer has seen */
    _Atomic uint64_t filler; /* from here on the heir's messages are empty, of type 0 */
    _Atomic uint32_t made;   /* the bus is there */
    _Atomic uint32_t gap_count;
    struct counts counts;
    struct place places[PLACES];
    struct page pages[WORKERS_MAX];
    struct author crew[CREW_KNOWN]; /* by incarnation */
    struct gap gaps[GAPS_MAX];
    /* Of one producer: sequence << 24 | incarnation. Of many: known.c. */
    _Atomic uint64_t authors[AUTHORS];
};

/* ---- world.c ---- */

int64_t now_ns(void);
void sleep_ns(int64_t ns);
uint64_t random_next(uint64_t *state);
uint64_t random_below(uint64_t *state, uint64_t limit);
int random_chance(uint64_t *state, unsigned percent);

/* Something that must hold does not: said at once, and counted. */
__attribute__((format(printf, 2, 3))) void violate(struct world *world, const char *format, ...);

/* Has the round of this seed many producers? */
int world_is_many(uint64_t seed);

/* Chooses the geometry of the buses of one round out of the seed. twin: where the one beside them
 * may be, or NULL to begin that one. */
void world_begin(struct world *root, struct world *twin, uint64_t seed);

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

/* Among many producers. */
static inline uint64_t body_key(uint32_t author, uint64_t number)
{
    return (uint64_t)author << NUMBER_BITS | number;
}

uint16_t body_type(const struct world *world, uint64_t key);
uint32_t body_bytes(const struct world *world, uint64_t key);
void body_fill(const struct world *world, void *data, uint64_t key, uint32_t incarnation);

/* NULL, or what is wrong with a message. out_incarnation: who wrote it, 0 if it does not say.
 * out_key: of one producer the sequence. */
const char *body_fault(const struct world *world, const struct shmbus_message *message,
                       uint32_t *out_incarnation, uint64_t *out_key);

/* ---- known.c: among many producers, what a sequence turned out to be ---- */

#define KNOWN_ABORTED UINT64_MAX

/* Whoever knows first writes it down. Returns 0, or the other key that is there. */
uint64_t known_tell(struct world *world, uint64_t sequence, uint64_t key);

/* The key, KNOWN_ABORTED, or 0: nobody knows, or not any more. */
uint64_t known_find(struct world *world, uint64_t sequence);

/* ---- the workers ---- */

int producer_work(struct world *world, struct page *page, uint64_t seed);
int consumer_work(struct world *world, struct page *page, uint64_t seed);
int crew_work(struct world *world, struct page *page, uint64_t seed);
int selector_work(struct world *world, struct page *page, uint64_t seed);
int looker_work(struct world *world, struct page *page, uint64_t seed);
int rival_work(struct world *world, struct page *page, uint64_t seed);

/* Opens for publishing by create, open or replacing, and checks where the stream goes on. */
struct shmbus_producer *producer_begin(struct world *root, struct page *page, uint64_t *state,
                                       const struct shmbus_producer_options *options,
                                       struct world **out_world);

/* The same among many; NULL also when there is no number for it until it is to leave. */
struct shmbus_producer *crew_begin(struct world *root, struct page *page, uint64_t *state,
                                   const struct shmbus_producer_options *options);

/* Publishes the message of this number by copy. Returns as shmbus_producer_publish(). */
int crew_publish(struct world *world, struct shmbus_producer *producer, uint32_t author,
                 uint64_t number);

/* How many processes may have a number of a producer now, but for this one. */
uint32_t crew_living(const struct world *root, const struct page *page);

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

/* Takes over, and counts; in a process of its own. */
void heir_work(struct world *root, uint64_t *state);

#endif
