/* SPDX-License-Identifier: MIT */
/*
 * The killing rig: each path of the table is single-stepped once, and then run anew for each of its
 * points, killed there or frozen there while the others go on. README.md says what is checked.
 *
 * Every path is a process of its own, with a folder of its own, so that a survivor that crashes is
 * a violation of that path and no more.
 */
#include "run.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PLACES_MAX 16u

static void *shared(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

/* A path that is being run. */
struct running {
    const struct path *path;
    pid_t process; /* 0: none */
    struct outcome *outcome;
    char folder[32];
};

/* Begins to run a path in a process of its own. */
static void begin_path(struct running *running, const struct path *path,
                       const struct options *options, uint64_t draw)
{
    struct outcome *outcome = running->outcome;
    memset(outcome, 0, sizeof *outcome);
    running->path = path;
    snprintf(running->folder, sizeof running->folder, "/dev/shm/shmbus-test.XXXXXX");
    if (mkdtemp(running->folder) == NULL) {
        perror(running->folder);
        exit(1);
    }
    running->process = fork();
    if (running->process == 0) {
        struct worker worker = {
            .path = path,
            .record = shared(sizeof *worker.record),
            .outcome = outcome,
            .folder = running->folder,
            .draw = draw,
        };
        setenv("SHMBUS_DIR", running->folder, 1);
        run_all(&worker, options);
        _exit(0);
    }
}

static void print_outcome(const struct path *path, const struct outcome *outcome)
{
    for (uint64_t i = 0; i < outcome->violations && i < TEXTS; i++)
        printf("%s %s: %s\n", i == 0 ? "FAIL" : "    ", path->name, outcome->text[i]);
    printf("%s %s: %" PRIu64 " points, %" PRIu64 " kills, %" PRIu64 " freezes, %" PRIu64
           " pairs, %" PRIu64 " repairs, %" PRIu64 " missed, %" PRIu64 " violations\n",
           outcome->violations == 0 ? "PASS" : "    ", path->name, outcome->points, outcome->kills,
           outcome->freezes, outcome->pairs, outcome->repairs, outcome->missed,
           outcome->violations);
}

/* What is to be said of a path whose process is gone. */
static void end_path(struct running *running, int status, struct outcome *total)
{
    struct outcome *outcome = running->outcome;
    running->process = 0;
    run_empty_folder(running->folder, "", NULL);
    rmdir(running->folder);
    if (!outcome->is_done && outcome->violations++ < TEXTS)
        snprintf(outcome->text[outcome->violations - 1], sizeof outcome->text[0],
                 "a survivor crashed: status 0x%x, after %" PRIu64 " kills and %" PRIu64 " freezes",
                 (unsigned)status, outcome->kills, outcome->freezes);
    /* A rig whose victims do not come by their points again shows nothing. */
    if (outcome->missed * 20 > outcome->kills + outcome->freezes && outcome->violations++ < TEXTS)
        snprintf(outcome->text[outcome->violations - 1], sizeof outcome->text[0],
                 "%" PRIu64 " points were not come by again", outcome->missed);
    print_outcome(running->path, outcome);
    total->points += outcome->points;
    total->kills += outcome->kills;
    total->freezes += outcome->freezes;
    total->pairs += outcome->pairs;
    total->repairs += outcome->repairs;
    total->violations += outcome->violations;
}

/* Waits for any path to end, and gives its place. NULL when none is running. */
static struct running *await_path(struct running *places, size_t count, struct outcome *total)
{
    int status = 0;
    pid_t ended;
    do
        ended = wait(&status);
    while (ended < 0 && errno == EINTR);
    for (size_t i = 0; ended > 0 && i < count; i++)
        if (places[i].process == ended) {
            end_path(&places[i], status, total);
            return &places[i];
        }
    return NULL;
}

static int is_wanted(const char *only, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = only; at != NULL; at = strchr(at, ',')) {
        at += at != only;
        if (strncmp(at, name, length) == 0 && (at[length] == 0 || at[length] == ','))
            return 1;
    }
    return only == NULL;
}

static int usage(int status)
{
    fprintf(status == 0 ? stdout : stderr,
            "Usage: crash_rig [--long] [--seed N] [--only PATH[,PATH...]] [--until-first]\n"
            "                 [--pairs | --points] [--part K/N] [--list]\n"
            "Kills and freezes victims at the instructions of each path, and checks what is "
            "left.\n");
    return status;
}

static const struct path *const parts[] = {paths_publish, paths_consume, paths_kinds,
                                           paths_grace,   paths_after,   paths_park,
                                           paths_life,    paths_among,   paths_holes};

/* K/N: of N parts the K-th, from 0. Returns 0 if that is no part. */
static int take_part(const char *word, struct options *options)
{
    char *end;
    unsigned long which = strtoul(word, &end, 10);
    unsigned long count = *end == '/' ? strtoul(end + 1, &end, 10) : 0;
    options->part = (uint32_t)which;
    options->parts = (uint32_t)count;
    return *end == 0 && which < count && count <= UINT32_MAX;
}

static int take_options(int count, char **words, struct options *options)
{
    static const struct option known[] = {
        {"long", no_argument, NULL, 'l'},       {"seed", required_argument, NULL, 's'},
        {"only", required_argument, NULL, 'o'}, {"until-first", no_argument, NULL, 'f'},
        {"pairs", no_argument, NULL, 'p'},      {"list", no_argument, NULL, 'n'},
        {"points", no_argument, NULL, 'k'},     {"part", required_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},       {NULL, 0, NULL, 0},
    };
    *options = (struct options){
        .is_long = getenv("SHMBUS_TEST_LONG") != NULL,
        .parts = 1,
        .seed = (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid(),
    };
    for (int found; (found = getopt_long(count, words, "", known, NULL)) >= 0;) {
        if (found == 'l')
            options->is_long = 1;
        else if (found == 's')
            options->seed = strtoull(optarg, NULL, 10);
        else if (found == 'o')
            options->only = optarg;
        else if (found == 'f')
            options->until_first = 1;
        else if (found == 'p')
            options->pairs_alone = 1;
        else if (found == 'k')
            options->points_alone = 1;
        else if (found == 'q' && !take_part(optarg, options))
            return usage(2);
        else if (found == 'h')
            return usage(0);
        else if (found != 'n' && found != 'q')
            return usage(2);
        for (size_t i = 0; found == 'n' && i < sizeof parts / sizeof parts[0]; i++)
            for (const struct path *path = parts[i]; path->name != NULL; path++)
                puts(path->name);
        if (found == 'n')
            return 0;
    }
    return optind < count ? usage(2) : -1;
}

/* Runs the paths that are wanted, as many at a time as there are places. Returns how many. */
static uint64_t run_paths(const struct options *options, struct running *places, size_t count,
                          struct outcome *total)
{
    uint64_t random = options->seed;
    uint64_t paths = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        for (const struct path *path = parts[i]; path->name != NULL; path++) {
            uint64_t draw = run_random(&random);
            if (!is_wanted(options->only, path->name))
                continue;
            struct running *place =
                paths < count ? &places[paths] : await_path(places, count, total);
            if (place == NULL)
                return 0;
            begin_path(place, path, options, draw);
            paths++;
        }
    while (await_path(places, count, total) != NULL)
        continue;
    return paths;
}

int main(int count, char **words)
{
    struct options options;
    struct outcome total = {0};
    struct running places[PLACES_MAX] = {0};
    int result = take_options(count, words, &options);
    if (result >= 0)
        return result;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    size_t place_count = processors < 1 ? 1 : (size_t)processors;
    if (place_count > PLACES_MAX)
        place_count = PLACES_MAX;
    for (size_t i = 0; i < place_count; i++) {
        places[i].outcome = shared(sizeof *places[i].outcome);
        if (places[i].outcome == NULL)
            return 1;
    }
    if (step_prepare() < 0) {
        puts("FAIL crash: no libshmbus.so in this process");
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("crash: seed %" PRIu64 "\n", options.seed);
    uint64_t paths = run_paths(&options, places, place_count, &total);
    printf("crash: %" PRIu64 " paths, %" PRIu64 " points, %" PRIu64 " kills, %" PRIu64
           " freezes, %" PRIu64 " pairs, %" PRIu64 " repairs, %" PRIu64 " violations\n",
           paths, total.points, total.kills, total.freezes, total.pairs, total.repairs,
           total.violations);
    return total.violations > 0 || paths == 0;
}
