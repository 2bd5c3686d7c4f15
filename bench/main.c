/* SPDX-License-Identifier: MIT */
/*
 * shmbus-bench: measures shmbus between two pinned processes, in turn with what the machine can do
 * at best. Every run is kept and printed; nothing passes or fails by its time.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "pair.h"
#include "peer.h"
#include "report.h"
#include "versus.h"

enum {
    TESTS_MAX = 64,
};

/* All runners take a turn in every pair; who goes first changes. Returns a signal or 0. */
static int measure(struct result *result, const struct options *options,
                   const struct machine *machine, int *bad)
{
    for (int pair = 0; pair < result->pair_count; pair++) {
        if (options->settle_s > 0)
            machine_settle(options->settle_s);
        for (int turn = 0; turn < result->runner_count; turn++) {
            int runner = (pair + turn) % result->runner_count;
            struct run *run = result_run(result, runner, pair);
            int asked = pair_run(&result->test, result->test.runners[runner], machine, run);
            if (asked != 0)
                return asked;
            *bad |= !run->ok;
        }
    }
    return 0;
}

/* The peers that there are take part after floors and subjects. */
static void add_peers(const struct options *options, struct test *test, int *count)
{
    if (test->peers == PEER_NONE || options->no_peers || options->single)
        return;
    for (int i = 0; i < PEERS && *count < RUNNERS_MAX; i++) {
        const struct runner *runner = peer_runner(test->peers, i);
        if (runner != NULL && (options->peer == NULL || strcmp(options->peer, runner->name) == 0))
            test->runners[(*count)++] = runner;
    }
}

static int prepare(const struct options *options, const struct test *test, struct result *result)
{
    result->test = options_apply(options, test);
    result->pair_count = options->single ? 1 : options->pairs;
    while (result->runner_count < RUNNERS_MAX && result->test.runners[result->runner_count] != NULL)
        result->runner_count++;
    add_peers(options, &result->test, &result->runner_count);
    result->runs =
        calloc((size_t)result->runner_count * (size_t)result->pair_count, sizeof(*result->runs));
    return result->runs != NULL ? 0 : -1;
}

/* Does test have a subject left, or is it the one that was named? */
static int wanted(const struct options *options, const struct test *test)
{
    struct options single = *options;
    if (options->only != NULL && strcmp(test->name, options->only) != 0)
        return 0;
    single.single = 1;
    struct test left = options_apply(&single, test);
    for (int i = 0; i < PEERS && options->peer != NULL && test->peers != PEER_NONE; i++)
        if (strcmp(options->peer, peer_name(i)) == 0)
            return 1;
    return left.runners[0] != NULL;
}

static int measure_all(const struct options *options, struct machine *machine,
                       struct result *results, int *count, int *bad)
{
    FILE *table = options->json != NULL && strcmp(options->json, "-") == 0 ? stderr : stdout;
    if (!options->single)
        report_machine(table, machine);
    for (const struct test *test = bench_tests; test->name != NULL && *count < TESTS_MAX; test++) {
        if (!wanted(options, test))
            continue;
        if (prepare(options, test, &results[*count]) != 0) {
            *bad = 1;
            return 0;
        }
        int asked = measure(&results[*count], options, machine, bad);
        if (asked != 0)
            return asked;
        if (options->single)
            versus_print(results[*count].runs);
        else
            report_table(table, &results[*count]);
        ++*count;
    }
    machine_end(machine);
    if (!options->single)
        report_load(table, machine);
    return 0;
}

int main(int argc, char **argv)
{
    static struct result results[TESTS_MAX];
    struct options options;
    struct machine machine;
    int count = 0, bad = 0;
    int exits = options_read(argc, argv, &options);
    if (exits != OPTIONS_GO)
        return exits;
    if (options.versus != NULL)
        return versus_compare(&options);
    struct pinning pinning = topology_choose();
    if (options.cpus[0] >= 0 && topology_take(options.cpus[0], options.cpus[1], &pinning) != 0) {
        fprintf(stderr, "shmbus-bench: may not run on processors %d and %d\n", options.cpus[0],
                options.cpus[1]);
        return 2;
    }
    machine_begin(&machine, &pinning);
    peer_begin();
    machine.realtime = options.realtime;
    if (pair_begin() != 0)
        return 1;
    int asked = measure_all(&options, &machine, results, &count, &bad);
    if (asked != 0)
        return 128 + asked;
    if (options.json != NULL && report_json(options.json, &machine, results, count) != 0) {
        fprintf(stderr, "shmbus-bench: %s: %s\n", options.json, strerror(errno));
        bad = 1;
    }
    for (int i = 0; i < count; i++)
        free(results[i].runs);
    return bad;
}
