/* SPDX-License-Identifier: MIT */
/*
 * The randomized test: buses one after the other, each with its own seed, geometry, driver and
 * workers. README.md says what is checked and how to replay.
 */
#include "random.h"

#include <dirent.h>
#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECONDS_CI   60.0
#define SECONDS_LONG 600.0
#define SECONDS_EACH 5.0 /* for one bus */

static const char usage[] =
    "Usage: random_rig [OPTION]...\n"
    "Runs random participants on random buses, one bus after the other.\n"
    "\n"
    "  --seed N         of the first bus; the others' follow from it (default: a new one)\n"
    "  --seconds S      in all (default: 60; 600 with --long or SHMBUS_TEST_LONG set)\n"
    "  --each S         for one bus (default: 5)\n"
    "  --many           only rounds with many producers\n"
    "  --one            only rounds with one producer at a time\n"
    "  --long           the long form\n"
    "  --figures FILE   append the line of figures to this file\n"
    "  --help           say this\n"
    "\n"
    "Exits with 0 when nothing was violated, 1 when something was, 2 for a wrong command line.\n";

struct options {
    uint64_t seed;
    double seconds;
    double each;
    const char *figures;
    int many;
    int one;
};

static char folder[] = "/dev/shm/shmbus-test.XXXXXX";
static volatile sig_atomic_t is_over;

static void end_early(int signal)
{
    (void)signal;
    is_over = 1;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

static double seconds_of(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (*end == 0 && value > 0 && value < 1e6)
        return value;
    fprintf(stderr, "random_rig: %s is no number of seconds\n%s", text, usage);
    exit(2);
}

static struct options take_options(int argc, char **argv)
{
    static const struct option known[] = {{"seed", required_argument, NULL, 's'},
                                          {"seconds", required_argument, NULL, 't'},
                                          {"each", required_argument, NULL, 'e'},
                                          {"many", no_argument, NULL, 'm'},
                                          {"one", no_argument, NULL, 'o'},
                                          {"long", no_argument, NULL, 'l'},
                                          {"figures", required_argument, NULL, 'f'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    const char *given = getenv("SHMBUS_TEST_SEED");
    const char *seconds = getenv("SHMBUS_RANDOM_SECONDS");
    struct options options = {.each = SECONDS_EACH, .figures = getenv("SHMBUS_RANDOM_FIGURES")};
    int is_long = getenv("SHMBUS_TEST_LONG") != NULL;
    int letter;
    if (given != NULL)
        options.seed = strtoull(given, NULL, 0);
    else if (getrandom(&options.seed, sizeof options.seed, 0) < 0)
        options.seed = (uint64_t)now_ns();
    while ((letter = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (letter == 's')
            options.seed = strtoull(optarg, NULL, 0);
        else if (letter == 't')
            options.seconds = seconds_of(optarg);
        else if (letter == 'e')
            options.each = seconds_of(optarg);
        else if (letter == 'm')
            options.many = 1;
        else if (letter == 'o')
            options.one = 1;
        else if (letter == 'l')
            is_long = 1;
        else if (letter == 'f')
            options.figures = optarg;
        else {
            fputs(usage, letter == 'h' ? stdout : stderr);
            exit(letter == 'h' ? 0 : 2);
        }
    }
    if (options.many && options.one) {
        fputs("random_rig: --many and --one: that leaves no round\n", stderr);
        exit(2);
    }
    if (options.seconds == 0 && seconds != NULL)
        options.seconds = seconds_of(seconds);
    if (options.seconds == 0)
        options.seconds = is_long ? SECONDS_LONG : SECONDS_CI;
    if (options.figures == NULL && is_long)
        options.figures = "/var/tmp/shmbus-random.txt";
    return options;
}

/* One bus, in a driver of its own, so that this process gets to the removal whatever becomes of it.
 */
static pid_t start_driver(struct world *world, double seconds)
{
    fflush(NULL);
    pid_t driver = fork();
    if (driver < 0)
        violate(world, "there is no process for a driver");
    if (driver != 0)
        return driver;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    uint64_t state = world->seed ^ UINT64_C(0x5eed);
    schedule_run(world, &state, (int64_t)(seconds * 1e9));
    if (atomic_load(&world->violations) == 0)
        ending_run(world, &state);
    for (uint32_t i = 0; i < WORKERS_MAX; i++)
        if (world->pages[i].pid != 0)
            kill(world->pages[i].pid, SIGKILL);
    _exit(0);
}

static void check_folder(struct world *world)
{
    DIR *opened = opendir(folder);
    const struct dirent *entry;
    while (opened != NULL && (entry = readdir(opened)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            violate(world, "at the end: %s is left", entry->d_name);
    if (opened != NULL)
        closedir(opened);
}

static uint32_t violations_of(const struct world *world)
{
    return atomic_load(&world->violations) +
           (world->twin != NULL ? atomic_load(&world->twin->violations) : 0);
}

/* A bus, and the one beside it. All that the drivers leave behind ends with them, and is waited for
 * here. */
static void run_buses(struct world *world, double seconds)
{
    struct world *worlds[2] = {world, world->twin};
    pid_t drivers[2] = {0};
    for (int i = 0; i < 2 && worlds[i] != NULL; i++)
        drivers[i] = start_driver(worlds[i], seconds);
    for (int i = 0; i < 2 && worlds[i] != NULL; i++) {
        int status = 0;
        while (drivers[i] > 0 && waitpid(drivers[i], &status, 0) < 0)
            if (is_over)
                kill(drivers[i], SIGKILL);
        if (status != 0 && !is_over)
            violate(worlds[i], "the driver ended with 0x%x", (unsigned)status);
        if (atomic_load(&worlds[i]->violations) == 0)
            count(&worlds[i]->counts.buses, 1);
    }
    while (waitpid(-1, NULL, 0) > 0)
        ;
    if (violations_of(world) == 0)
        check_folder(world);
}

static void add(struct counts *total, const struct counts *more)
{
    const _Atomic uint64_t *from = &more->published;
    _Atomic uint64_t *to = &total->published;
    for (size_t i = 0; i < sizeof *total / sizeof *to; i++)
        count(&to[i], atomic_load(&from[i]));
}

static void say(FILE *stream, const struct options *options, double seconds,
                const struct counts *counts, uint32_t violations)
{
    char date[32];
    time_t now = time(NULL);
    struct tm parts;
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &parts));
    fprintf(stream,
            "random: %s: %.0f s, seed 0x%016" PRIx64 ", %" PRIu64 " buses, %" PRIu64
            " messages published, %" PRIu64 " received, %" PRIu64 " kept, %" PRIu64
            " consumers joined, %" PRIu64 " kills, %" PRIu64 " stops, %" PRIu64
            " evictions, %" PRIu64 " resumes, %" PRIu64 " takeovers, %" PRIu64
            " rivals refused, %" PRIu64 " ranges skipped, %" PRIu64 " looks, %" PRIu64
            " lost told, %" PRIu64 " replaced, %" PRIu64 " refused, %" PRIu64
            " behind others, %" PRIu64 " producers joined others, %" PRIu64
            " received of many, %" PRIu64 " aborted told, %" PRIu64 " selected, violations %" PRIu32
            "\n",
            date, seconds, options->seed, counts->buses, counts->published, counts->received,
            counts->kept, counts->joined, counts->kills, counts->stops, counts->evictions,
            counts->resumes, counts->takeovers, counts->rivals, counts->gaps, counts->looks,
            counts->lost, counts->replaced, counts->refused, counts->followed, counts->crews,
            counts->among, counts->aborted, counts->selected, violations);
    fflush(stream);
}

static int run_all(const struct options *options, struct world *world)
{
    static struct counts total;
    uint64_t seed = options->seed;
    int64_t start = now_ns();
    int64_t until = start + (int64_t)(options->seconds * 1e9);
    uint32_t violations = 0;
    double each = options->each < options->seconds ? options->each : options->seconds;
    while (now_ns() < until && violations == 0 && !is_over) {
        while (world_is_many(seed) ? options->one : options->many)
            seed = random_next(&seed);
        world_begin(world, &world[STREAMS], seed);
        world_print(world, each);
        run_buses(world, each);
        for (uint32_t i = 0; i < STREAMS; i++)
            add(&total, &world[i].counts);
        if (world->twin != NULL)
            add(&total, &world->twin->counts);
        violations = violations_of(world);
        if (violations == 0)
            seed = random_next(&seed);
    }
    double seconds = (double)(now_ns() - start) / 1e9;
    say(stdout, options, seconds, &total, violations);
    FILE *figures = options->figures != NULL ? fopen(options->figures, "ae") : NULL;
    if (figures != NULL) {
        say(figures, options, seconds, &total, violations);
        fclose(figures);
        printf("random: appended to %s\n", options->figures);
    }
    if (violations > 0)
        printf("FAIL random: --seed 0x%016" PRIx64 " --seconds %g: %s\n", seed, each,
               world->first_violation[0] != 0 ? world->first_violation
                                              : world->twin->first_violation);
    else if (is_over)
        printf("FAIL random: ended from outside\n");
    else
        printf("PASS random: %" PRIu64 " buses\n", total.buses);
    return violations > 0 || is_over;
}

int main(int argc, char **argv)
{
    struct options options = take_options(argc, argv);
    struct sigaction action = {.sa_handler = end_early};
    struct world *world = mmap(NULL, (STREAMS + STREAMS) * sizeof *world, PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (world == MAP_FAILED || mkdtemp(folder) == NULL || setenv("SHMBUS_DIR", folder, 1) != 0) {
        perror("random_rig");
        return 1;
    }
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    int result = run_all(&options, world);
    if (nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0) {
        perror(folder);
        result = 1;
    }
    return result;
}
