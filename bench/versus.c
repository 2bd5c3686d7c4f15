/* SPDX-License-Identifier: MIT */
/*
 * Each run is a fresh process of either binary, and which of the two goes first alternates, so that
 * drift of the machine falls on both. Compare a binary with a copy of itself to see how far from 1
 * chance alone gets.
 */
#include "versus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report.h"

enum {
    ARGUMENTS_MAX = 80,
};

static const char line_format[] = "run %d %lf %lf %lf %lf %lf %ld %ld";

void versus_print(const struct run *run)
{
    printf("run %d %.9g %.6g %.6g %.6g %.6g %ld %ld\n", run->ok, run->value, run->p50_ns,
           run->p99_ns, run->p999_ns, run->max_ns, run->preempted[0], run->preempted[1]);
    if (!run->ok)
        fprintf(stderr, "shmbus-bench: %s\n", run->why);
}

static void become(const char *binary, const struct options *options, const char *peer, int output)
{
    const char *arguments[ARGUMENTS_MAX] = {binary,        "--single", "--only",
                                            options->only, "--peer",   peer};
    int count = 6;
    for (const char *const *at = options->passed; *at != NULL && count + 1 < ARGUMENTS_MAX; at++)
        arguments[count++] = *at;
    dup2(output, STDOUT_FILENO);
    char *vector[ARGUMENTS_MAX];
    memcpy(vector, arguments, sizeof(vector));
    execv(binary, vector);
    perror(binary);
    _exit(127);
}

/* Runs one binary once. A run that it did not print is a failed one. */
static struct run run_once(const char *binary, const struct options *options, const char *peer)
{
    struct run run = {0};
    char line[512] = "";
    int ends[2];
    if (pipe(ends) != 0)
        return run;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        become(binary, options, peer, ends[1]);
    }
    close(ends[1]);
    FILE *stream = fdopen(ends[0], "re");
    if (stream == NULL) {
        close(ends[0]);
    } else {
        if (fgets(line, sizeof(line), stream) == NULL)
            line[0] = '\0';
        fclose(stream);
    }
    if (child > 0)
        waitpid(child, NULL, 0);
    if (sscanf(line, line_format, &run.ok, &run.value, &run.p50_ns, &run.p99_ns, &run.p999_ns,
               &run.max_ns, &run.preempted[0], &run.preempted[1]) != 8)
        run.ok = 0;
    if (!run.ok)
        snprintf(run.why, sizeof(run.why), "%.200s: the run failed", binary);
    return run;
}

static int compare_runner(const struct options *options, const struct test *test,
                          const struct runner *runner)
{
    const char *const binaries[2] = {"/proc/self/exe", options->versus};
    static const struct runner sides[2] = {{.name = "other", .is_floor = 1}, {.name = "this"}};
    struct result result = {.test = *test, .runner_count = 2, .pair_count = options->pairs};
    char title[160];
    int bad = 0;
    snprintf(title, sizeof(title), "%s; other is %.80s", runner->name, options->versus);
    result.test.title = title;
    result.test.main_floor = "other";
    result.test.runners[0] = &sides[0];
    result.test.runners[1] = &sides[1];
    result.runs = calloc((size_t)options->pairs * 2, sizeof(*result.runs));
    if (result.runs == NULL)
        return 1;
    for (int pair = 0; pair < options->pairs; pair++) {
        if (options->settle_s > 0)
            machine_settle(options->settle_s);
        for (int turn = 0; turn < 2; turn++) {
            int self = (pair + turn) % 2;
            struct run *run = result_run(&result, self, pair);
            *run = run_once(binaries[1 - self], options, runner->name);
            bad |= !run->ok;
        }
    }
    report_table(stdout, &result);
    free(result.runs);
    return bad;
}

int versus_compare(const struct options *options)
{
    int bad = 0;
    for (const struct test *test = bench_tests; test->name != NULL; test++) {
        if (strcmp(test->name, options->only) != 0)
            continue;
        for (int i = 0; i < RUNNERS_MAX && test->runners[i] != NULL; i++) {
            const struct runner *runner = test->runners[i];
            int wanted = options->peer != NULL ? strcmp(runner->name, options->peer) == 0
                                               : !runner->is_floor;
            if (wanted)
                bad |= compare_runner(options, test, runner);
        }
    }
    return bad;
}
