/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the killing rig share. A path is a row of a table: what a victim does between
 * two marks. A world is what one run of it happens in: a bus, and those that live on.
 *
 *   worker (the survivors)                      victim (a child under ptrace)
 *   ----------------------                      -----------------------------
 *   world_begin, path->before
 *   fork                                        path->setup
 *                                               begin mark
 *   steps it to a point                         path->call
 *   kills it, or freezes it there:
 *   path->pressure, and lets it go on           end mark
 *   path->late                                  path->finish
 *   kills the repairer, too, in pairs           path->repair, in another child
 *   path->after: the survivors go on, and nothing may be lost, doubled, torn or leaked
 */
#ifndef SHMBUS_CRASH_KILL_H
#define SHMBUS_CRASH_KILL_H

#include <shmbus/shmbus.h>

#include <stdint.h>
#include <sys/types.h>

#define BUS            "bus"
#define CAPACITY       16u
#define CONSUMERS      4u
#define SMALL_BYTES    128u
#define SMALL_COUNT    5u
#define LARGE_BYTES    1024u
#define LARGE_COUNT    3u
#define FIRST_SEQUENCE ((UINT64_C(1) << 56) - 26) /* the stamps wrap in the middle of each path */
#define KEPT_MAX       8u
#define GAPS_MAX       4u
#define REPAIR_UNDONE  1000000

/* Who wrote a message. */
enum author { AUTHOR_BEFORE, AUTHOR_VICTIM, AUTHOR_HEIR, AUTHOR_DEAD, AUTHOR_COUNT };

/* What a victim says of itself, in memory that outlives it. */
struct record {
    uint64_t author_from; /* its first sequence, as a producer; UINT64_MAX: none */
    uint64_t returned;    /* everything below was published by calls that returned */
    uint64_t started;     /* nothing at or above was begun */
    uint64_t next;        /* as a consumer: the next sequence that it has to get */
    uint64_t tail;        /* set by the worker: where a consumer has to get to */
    int result;           /* of the call, where a path has one that may fail */
    int is_done;          /* the call returned */
    int repaired;         /* what the repairer's call returned; REPAIR_UNDONE: it did not */
    uint32_t gap_count;   /* ranges that were left out on purpose, or are just being */
    uint64_t gap_first[GAPS_MAX];
    uint64_t gap_size[GAPS_MAX];
    char failure[240]; /* empty, or what went wrong */
};

/* A consumer of any kind that checks all that it gets and is told: reader.c. */
struct reader {
    struct shmbus_consumer *consumer; /* NULL: none */
    struct record *record;
    uint64_t heir_from; /* where messages begin to be the heir's */
    uint64_t from;      /* where it joined */
    uint64_t next;
    uint64_t got;
    uint64_t lost;
    uint64_t kept[KEPT_MAX]; /* handles */
    uint64_t kept_sequence[KEPT_MAX];
    uint32_t kept_count;
    int keeps;       /* retain what comes */
    int may_lag;     /* it is skipped ahead when it lags; if not, only gaps are lost */
    int is_victim;   /* tells record->next where it is */
    char fault[160]; /* empty, or what went wrong */
};

/* The victim's side. */
struct victim {
    const struct path *path;
    struct record *record;
    struct shmbus_producer *producer;
    struct shmbus_consumer *consumer;
    struct shmbus_message lent;
    uint64_t kept[KEPT_MAX]; /* handles */
    uint64_t kept_sequence[KEPT_MAX];
    uint32_t kept_count;
    int keeps; /* retain what comes */
    struct reader reader;
};

/* The worker's side. */
struct world {
    const struct path *path;
    struct record *record;
    struct shmbus_producer *producer; /* of a consumer's path; of all others, the heir */
    struct shmbus_consumer *stays;    /* lives on, and gets every message */
    uint64_t stays_next;
    uint64_t heir_from; /* the heir's first sequence; UINT64_MAX: none yet */
    uint64_t kept;      /* a slab that stays holds from the beginning on */
    uint64_t kept_sequence;
    int64_t last_ns;
    uint64_t repairs;
    uint64_t draw;           /* of this worker, the same in all of its runs */
    uint64_t turn;           /* the point's number */
    int is_frozen;           /* the victim was frozen and went on, not killed */
    int is_pressed;          /* there was pressure */
    struct reader others[2]; /* that live on, too, on some paths */
    uint32_t entries;        /* that these take */
    char failure[400];
};

/* A row of the table. Each function may be NULL. */
struct path {
    const char *name;
    const char *messages; /* i: in a slot, p: in a small slab, P: in a large one */
    void (*before)(struct world *world);
    void (*setup)(struct victim *victim);
    void (*ready)(struct world *world); /* the victim stands at its begin mark */
    void (*call)(struct victim *victim);
    void (*pressure)(struct world *world);
    void (*late)(struct world *world);
    void (*finish)(struct victim *victim);
    int (*repair)(void); /* by somebody else, who may be killed, too; after that comes after */
    void (*after)(struct world *world);
    uint32_t flags; /* SHMBUS_BUS_..., of the bus; what stalls is then found at the second look */
    int is_bare;    /* there is no bus before */
    int is_untimed; /* its bus has no timestamps: the shortest paths through the library */
};

/* The table, in parts, each ending with a row without a name. */
extern const struct path paths_publish[];
extern const struct path paths_consume[];
extern const struct path paths_kinds[];
extern const struct path paths_grace[];
extern const struct path paths_after[];
extern const struct path paths_park[];
extern const struct path paths_life[];
extern const struct path paths_among[];
extern const struct path paths_holes[];

/* ---- messages: body.c ---- */

/* Publishes the next message, by copying. Returns as shmbus_producer_publish(). */
int body_send(struct shmbus_producer *producer, char kind, enum author author);

/* Bytes of the message of a sequence; fills them in. The type that goes with it. */
uint32_t body_bytes(uint64_t sequence, char kind);
void body_fill(void *data, uint32_t bytes, uint64_t sequence, enum author author);
uint16_t body_type(uint64_t sequence, enum author author);

/* What is wrong with a message that has to be this one, or NULL. */
const char *body_fault(const struct shmbus_message *message, uint64_t sequence, enum author author);

/* The same of one that goes by its author's numbers, whatever its sequence; and what a message says
 * of itself: its author, or -1, and number. */
const char *body_fault_of(const struct shmbus_message *message, uint64_t number,
                          enum author author);
int body_read(const struct shmbus_message *message, uint64_t *out_number);

/* Whether messages have to have timestamps (they do), or must have none. */
void body_expect_timestamps(int are_there);

/* ---- readers: reader.c ---- */

/* Joins, with options but for the events; reader->record is set before. Returns as
 * shmbus_consumer_open(). */
int reader_open(struct reader *reader, struct shmbus_consumer_options options);

/* Where it stands is where it begins, after it joined anew. */
void reader_begin(struct reader *reader);

/* Returns as shmbus_consumer_poll(); reader->fault says what was wrong with what came. */
int reader_poll(struct reader *reader, uint32_t most);

/* Polls until nothing comes any more. Returns 0 or what ended it. */
int reader_drain(struct reader *reader);

/* Checks what it keeps, and its counts. */
void reader_check(struct reader *reader);
void reader_close(struct reader *reader);

/* Was this range left out on purpose? */
int record_has_gap(const struct record *record, uint64_t first, uint64_t count);

/* ---- survivors: world.c ---- */

void world_begin(struct world *world, const struct path *path, struct record *record);
void world_end(struct world *world);

/* Says that something does not hold; the first one counts. */
__attribute__((format(printf, 2, 3))) void world_fail(struct world *world, const char *format, ...);
__attribute__((format(printf, 2, 3))) void victim_fail(struct victim *victim, const char *format,
                                                       ...);

/* One of the others joins, reads all that there is. */
void world_join(struct world *world, struct reader *reader,
                const struct shmbus_consumer_options *options);
int world_read(struct world *world, struct reader *reader);

/* Ready-made bus options. */
const struct shmbus_bus_options *world_bus(void);

/* The consumer that stays reads all that there is. */
void world_drain(struct world *world);

/* Publishes until the ring is full, then until the pool is, and writes over every free slab. */
void world_press(struct world *world);

/* What a producer's victim must have left visible: all that returned, and of what was begun all or
 * nothing. */
void world_check_published(struct world *world);

/* The survivors of a dead producer, a dead consumer. */
void world_after_producer(struct world *world);
void world_after_consumer(struct world *world);

/* What shmbus-stat says of a consumer: its life, or -1 when there is none of that name. */
int world_life_of(struct world *world, const char *name, uint32_t *out_count);

/* The heir uses everything: ring, slabs, entries; then all close and the folder is empty. */
void world_use_all(struct world *world);

#endif
