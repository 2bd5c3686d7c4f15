/* SPDX-License-Identifier: MIT */
/*
 * What a message costs the thread that reads it, when it need not wait: by next() of one consumer,
 * and by a selector over 1, 16 and 128 buses, fair and merged by timestamp. One thread publishes a
 * round on all of the buses and reads it; only the reading is timed. Prints a table; time never
 * fails anything.
 *
 *   shmbus-bench-select [ROUNDS]
 */
#include <shmbus/shmbus.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BUS      "bench-select-%u"
#define ROUNDS   2000
#define MESSAGES 4096 /* a round, on all buses together */
#define NEXT     UINT32_MAX

struct way {
    const char *name;
    uint32_t order; /* NEXT: no selector */
    uint32_t buses;
};

static const struct way ways[] = {
    {"next", NEXT, 1},
    {"fair 1", SHMBUS_SELECT_FAIR, 1},
    {"fair 16", SHMBUS_SELECT_FAIR, 16},
    {"fair 128", SHMBUS_SELECT_FAIR, 128},
    {"merged 1", SHMBUS_SELECT_MERGED, 1},
    {"merged 16", SHMBUS_SELECT_MERGED, 16},
    {"merged 128", SHMBUS_SELECT_MERGED, 128},
};

#define WAYS (sizeof ways / sizeof ways[0])

/* The buses of a way, all ends of them. */
struct ends {
    struct shmbus_producer *producers[SHMBUS_SELECTOR_MAX];
    struct shmbus_consumer *consumers[SHMBUS_SELECTOR_MAX];
    struct shmbus_selector *selector;
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int must(int result, const char *call)
{
    if (result < 0) {
        fprintf(stderr, "shmbus-bench-select: %s: %s\n", call, shmbus_error_text());
        exit(EXIT_FAILURE);
    }
    return result;
}

static void open_ends(const struct way *way, struct ends *out_ends)
{
    const struct shmbus_bus_options bus = {
        .struct_bytes = sizeof bus, .capacity = MESSAGES, .flags = SHMBUS_BUS_TIMESTAMPS};
    const struct shmbus_consumer_options consumer = {.struct_bytes = sizeof consumer,
                                                     .kind = SHMBUS_REQUIRED};
    const struct shmbus_selector_options selector = {.struct_bytes = sizeof selector,
                                                     .order = way->order};
    char name[32];
    out_ends->selector = NULL;
    if (way->order != NEXT)
        must(shmbus_selector_open(&selector, &out_ends->selector), "selector");
    for (uint32_t i = 0; i < way->buses; i++) {
        snprintf(name, sizeof name, BUS, i);
        shmbus_unlink(name, NULL);
        must(shmbus_producer_create(name, &bus, NULL, &out_ends->producers[i]), "create");
        must(shmbus_consumer_open(name, &consumer, &out_ends->consumers[i]), "open");
        if (out_ends->selector != NULL)
            must(shmbus_selector_add(out_ends->selector, out_ends->consumers[i], NULL), "add");
    }
}

static void close_ends(const struct way *way, struct ends *ends)
{
    char name[32];
    shmbus_selector_close(ends->selector);
    for (uint32_t i = 0; i < way->buses; i++) {
        shmbus_consumer_close(ends->consumers[i]);
        shmbus_producer_close(ends->producers[i]);
        snprintf(name, sizeof name, BUS, i);
        shmbus_unlink(name, NULL);
    }
}

static int take(const struct ends *ends, uint64_t *sum)
{
    struct shmbus_selected selected;
    struct shmbus_message message;
    int got = 0;
    if (ends->selector == NULL) {
        got = must(shmbus_consumer_next(ends->consumers[0], &message), "next");
    } else {
        got = must(shmbus_selector_next(ends->selector, &selected), "select");
        message = selected.message;
    }
    if (got > 0)
        *sum += *(const uint64_t *)message.data;
    return got;
}

static int compare(const void *one, const void *other)
{
    double a = *(const double *)one;
    double b = *(const double *)other;
    return (a > b) - (a < b);
}

static void measure(const struct way *way, uint32_t rounds, double *ns)
{
    struct ends ends;
    uint64_t sum = 0;
    uint64_t sent = 0;
    open_ends(way, &ends);
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint64_t i = 0; i < MESSAGES; i++) {
            must(shmbus_producer_publish(ends.producers[i % way->buses], 1, 0, &i, sizeof i),
                 "publish");
            sent += i;
        }
        int64_t before = now_ns();
        uint32_t read = 0;
        while (read < MESSAGES)
            read += (uint32_t)take(&ends, &sum);
        ns[round] = (double)(now_ns() - before) / MESSAGES;
        /* Finishes with the last one, for the next round to have the whole ring. */
        while (take(&ends, &sum) > 0)
            continue;
    }
    close_ends(way, &ends);
    if (sum != sent) {
        fprintf(stderr, "shmbus-bench-select: %s: not what was published was read\n", way->name);
        exit(EXIT_FAILURE);
    }
    qsort(ns, rounds, sizeof ns[0], compare);
    printf("%-10s %10.2f %10.2f %10.2f\n", way->name, ns[0], ns[rounds / 2],
           ns[(uint64_t)rounds * 99 / 100]);
}

int main(int arguments, char **words)
{
    uint32_t rounds = arguments > 1 ? (uint32_t)strtoul(words[1], NULL, 10) : ROUNDS;
    double *ns = rounds > 0 ? calloc(rounds, sizeof *ns) : NULL;
    if (ns == NULL) {
        fprintf(stderr, "shmbus-bench-select [ROUNDS, 1 or more]\n");
        return 2;
    }
    printf("%-10s %10s %10s %10s\n", "ns", "best", "p50", "p99");
    for (size_t i = 0; i < WAYS; i++)
        measure(&ways[i], rounds, ns);
    free(ns);
    return 0;
}
