/* SPDX-License-Identifier: MIT */
/*
 * A bus at full speed for a long time: elders of each role that open and close all the time, guests
 * that are killed, everybody stopped now and then, and a producer that is killed in the first
 * third. Every message is checked, and once a second what the elders, this process and the bus take
 * up: after a while to settle none of it may grow.
 */
#include "soak.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS       INT64_C(100000000)
#define SETTLE_TICKS  60u /* before what a process has is taken for what it needs */
#define SPARE_KIB     96
#define SPARE_DATA    (16 * 1024) /* an arena of malloc's is reserved as a whole */
#define SPARE_COUNT   12          /* descriptors and mappings, as one that opens has at a time */
#define LONG_SECONDS  600.0
#define SHORT_SECONDS 20.0

static const char *const names[PLACES] = {"producer", "required", "optional",
                                          "observer", "guest",    "other guest"};

struct soak {
    struct shared *shared;
    uint64_t seed;
    uint64_t random;
    double seconds;
    const char *figures;
    int64_t began_ns;
    pid_t processes[PLACES];
    uint32_t ages[PLACES]; /* in ticks */
    struct measure most[PLACES + 1];
    struct measure last[PLACES + 1];
    int64_t bus_bytes;
    uint64_t kills;
    uint64_t stops;
    uint64_t violations;
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static double gone(const struct soak *soak)
{
    return (double)(now_ns() - soak->began_ns) / 1e9;
}

__attribute__((format(printf, 2, 3))) static void violated(struct soak *soak, const char *format,
                                                           ...)
{
    va_list list;
    va_start(list, format);
    printf("FAIL soak: --seed 0x%" PRIx64 ": ", soak->seed);
    vprintf(format, list);
    printf("\n");
    va_end(list);
    soak->violations++;
}

static void start(struct soak *soak, uint32_t place)
{
    uint64_t seed = soak_random(&soak->random);
    fflush(stdout);
    pid_t process = fork();
    if (process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (place == PRODUCER)
            soak_produce(soak->shared, seed);
        else
            soak_consume(soak->shared, (enum place)place, seed);
        _exit(0);
    }
    soak->processes[place] = process;
    soak->ages[place] = 0;
}

static void end(struct soak *soak, uint32_t place)
{
    kill(soak->processes[place], SIGKILL);
    waitpid(soak->processes[place], NULL, 0);
    soak->processes[place] = 0;
    soak->kills++;
}

/* Somebody is stopped for a moment, or killed and started again. */
static void disturb(struct soak *soak)
{
    uint32_t place = (uint32_t)(soak_random(&soak->random) % PLACES);
    uint64_t dice = soak_random(&soak->random);
    int is_early = gone(soak) * 3 < soak->seconds;
    if (place >= GUEST || (place == PRODUCER && is_early && dice % 8 == 0)) {
        end(soak, place);
        start(soak, place);
    } else if (dice % 4 == 1) {
        const struct timespec pause = {.tv_nsec = 20000000};
        kill(soak->processes[place], SIGSTOP);
        nanosleep(&pause, NULL);
        kill(soak->processes[place], SIGCONT);
        soak->stops++;
    }
}

static void compare(struct soak *soak, const char *who, const char *what, int64_t now,
                    int64_t *most, int64_t spare, int is_settled)
{
    if (!is_settled) {
        *most = now > *most ? now : *most;
        return;
    }
    if (now < 0)
        violated(soak, "%s of %s cannot be told", what, who);
    if (now > *most + spare) {
        violated(soak, "%s of %s grew from %" PRId64 " to %" PRId64, what, who, *most, now);
        *most = now;
    }
}

static void measure(struct soak *soak, uint32_t place, pid_t process, int is_settled)
{
    const char *who = place < PLACES ? names[place] : "this process";
    struct measure *most = &soak->most[place];
    struct measure now = measure_process(process);
    soak->last[place] = now;
    compare(soak, who, "memory (KiB)", now.anonymous_kib, &most->anonymous_kib, SPARE_KIB,
            is_settled);
    compare(soak, who, "reserved memory (KiB)", now.data_kib, &most->data_kib, SPARE_DATA,
            is_settled);
    compare(soak, who, "descriptors", now.descriptors, &most->descriptors, SPARE_COUNT, is_settled);
    compare(soak, who, "mappings", now.mappings, &most->mappings, SPARE_COUNT, is_settled);
}

static void measure_all(struct soak *soak, uint32_t tick)
{
    int64_t files;
    for (uint32_t i = 0; i < GUEST; i++)
        measure(soak, i, soak->processes[i], soak->ages[i] > SETTLE_TICKS);
    measure(soak, PLACES, getpid(), tick > SETTLE_TICKS);
    int64_t bytes = measure_bus(&files);
    if (soak->bus_bytes == 0)
        soak->bus_bytes = bytes;
    if (bytes != soak->bus_bytes || files != 3) {
        violated(soak, "the bus takes %" PRId64 " bytes in %" PRId64 " files, not %" PRId64 " in 3",
                 bytes, files, soak->bus_bytes);
        soak->bus_bytes = bytes;
    }
}

/* Whoever ended by itself, or found something wrong. */
static void look_after(struct soak *soak)
{
    for (uint32_t i = 0; i < PLACES; i++) {
        struct member *member = &soak->shared->members[i];
        int status = 0;
        int has_ended = waitpid(soak->processes[i], &status, WNOHANG) != 0;
        if (has_ended || atomic_load(&member->is_faulty))
            violated(soak, "%s: %s", names[i],
                     atomic_load(&member->is_faulty) ? member->fault : "it crashed");
        if (has_ended)
            soak->processes[i] = 0;
        soak->ages[i]++;
    }
}

static void run(struct soak *soak)
{
    const struct timespec tick_time = {.tv_nsec = TICK_NS};
    struct member *producer = &soak->shared->members[PRODUCER];
    soak->began_ns = now_ns();
    start(soak, PRODUCER);
    while (atomic_load(&producer->published) == 0 && !atomic_load(&producer->is_faulty))
        nanosleep(&tick_time, NULL);
    for (uint32_t i = PRODUCER + 1; i < PLACES; i++)
        start(soak, i);
    for (uint32_t tick = 0; gone(soak) < soak->seconds && soak->violations == 0; tick++) {
        nanosleep(&tick_time, NULL);
        look_after(soak);
        if (soak->violations == 0 && tick % 10 == 9)
            measure_all(soak, tick);
        if (soak->violations == 0 && soak_random(&soak->random) % 3 == 0)
            disturb(soak);
    }
}

/* All end by themselves, and the bus goes with them. */
static void finish(struct soak *soak)
{
    atomic_store(&soak->shared->is_over, 1);
    for (uint32_t i = 0; i < PLACES; i++) {
        int status = 0;
        for (int try = 0; soak->processes[i] > 0 && try < 600; try++) {
            const struct timespec tick_time = {.tv_nsec = TICK_NS};
            if (waitpid(soak->processes[i], &status, WNOHANG) != 0)
                soak->processes[i] = 0;
            else
                nanosleep(&tick_time, NULL);
        }
        if (soak->processes[i] > 0) {
            violated(soak, "%s hangs", names[i]);
            end(soak, i);
        } else if (status != 0) {
            violated(soak, "%s: %s", names[i], soak->shared->members[i].fault);
        }
    }
    int result = shmbus_unlink(BUS, NULL);
    if (result < 0)
        violated(soak, "unlink: %s", shmbus_error_text());
}

static uint64_t sum(const struct soak *soak, size_t offset)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < PLACES; i++)
        total +=
            atomic_load((_Atomic uint64_t *)(void *)((char *)&soak->shared->members[i] + offset));
    return total;
}

static void report(const struct soak *soak, FILE *file)
{
    fprintf(file,
            "soak: %.0f s, seed 0x%" PRIx64 ", %" PRIu64 " messages published, %" PRIu64
            " received, %" PRIu64 " lost told, %" PRIu64 " kept, %" PRIu64 " opened, %" PRIu64
            " kills, %" PRIu64 " stops; memory at the end (KiB)",
            gone(soak), soak->seed, sum(soak, offsetof(struct member, published)),
            sum(soak, offsetof(struct member, received)), sum(soak, offsetof(struct member, lost)),
            sum(soak, offsetof(struct member, kept)), sum(soak, offsetof(struct member, opened)),
            soak->kills, soak->stops);
    for (uint32_t i = 0; i < GUEST; i++)
        fprintf(file, " %s %" PRId64 " of %" PRId64, names[i], soak->last[i].anonymous_kib,
                soak->most[i].anonymous_kib);
    fprintf(file, ", bus %" PRId64 " bytes; %" PRIu64 " violations\n", soak->bus_bytes,
            soak->violations);
}

static int usage(int status)
{
    fprintf(status == 0 ? stdout : stderr,
            "Usage: soak_rig [--seconds N] [--seed N] [--figures FILE]\n"
            "A bus at full speed with participants that come, go and die; measures what they take "
            "up.\n");
    return status;
}

static int take_options(int count, char **words, struct soak *soak)
{
    static const struct option known[] = {
        {"seconds", required_argument, NULL, 't'},
        {"seed", required_argument, NULL, 's'},
        {"figures", required_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *seconds = getenv("SHMBUS_SOAK_SECONDS");
    int is_long = getenv("SHMBUS_TEST_LONG") != NULL;
    soak->seconds = is_long ? LONG_SECONDS : SHORT_SECONDS;
    if (seconds != NULL)
        soak->seconds = strtod(seconds, NULL);
    soak->figures = getenv("SHMBUS_SOAK_FIGURES");
    if (soak->figures == NULL && is_long)
        soak->figures = "/var/tmp/shmbus-soak.txt";
    soak->seed = (uint64_t)now_ns() * UINT64_C(0xd6e8feb86659fd93) ^ (uint64_t)getpid();
    for (int found; (found = getopt_long(count, words, "", known, NULL)) >= 0;) {
        if (found == 't')
            soak->seconds = strtod(optarg, NULL);
        else if (found == 's')
            soak->seed = strtoull(optarg, NULL, 0);
        else if (found == 'f')
            soak->figures = optarg;
        else
            return usage(found == 'h' ? 0 : 2);
    }
    return optind < count || !(soak->seconds > 0) ? usage(2) : -1;
}

int main(int count, char **words)
{
    static struct soak soak;
    char folder[] = "/dev/shm/shmbus-test.XXXXXX";
    int result = take_options(count, words, &soak);
    if (result >= 0)
        return result;
    soak.shared =
        mmap(NULL, sizeof *soak.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (soak.shared == MAP_FAILED || mkdtemp(folder) == NULL) {
        perror("soak");
        return 1;
    }
    setenv("SHMBUS_DIR", folder, 1);
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("soak: seed 0x%" PRIx64 "\n", soak.seed);
    soak.random = soak.seed;
    run(&soak);
    finish(&soak);
    if (rmdir(folder) < 0)
        violated(&soak, "%s is not empty", folder);
    FILE *file = soak.figures != NULL ? fopen(soak.figures, "ae") : NULL;
    if (file != NULL) {
        report(&soak, file);
        fclose(file);
    }
    report(&soak, stdout);
    puts(soak.violations == 0 ? "PASS soak" : "FAIL soak");
    return soak.violations > 0;
}
