/* SPDX-License-Identifier: MIT */
/*
 * Runs the scenarios, counts what the detector reports, and says how each went:
 *
 *   race [--list] [--times N] [--weak FILE:FROM:TO[:late]] [SCENARIO...]
 *
 * Needs a folder of its own in SHMBUS_DIR. With --weak only reports count, a scenario ends with the
 * first, and the last line says how often the weak place was come by.
 *
 * This file is not watched by the detector: what it counts would order the threads that it counts
 * for.
 */
#include "race.h"

#include "weaken_place.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define THREADS_MAX 16

static const struct scenario *const groups[] = {race_ring,  race_pool,  race_join,
                                                race_death, race_among, race_wait};

static _Atomic uint32_t reports;
static _Atomic uint32_t failures;
static _Atomic uint64_t messages_read;
static _Atomic uint64_t seeds;
static char why[256];
static uint64_t times = 1;
static int ends_at_report;

/* Called by the detector, in the thread that it found it in. */
void __tsan_on_report(void *report);
void __tsan_on_report(void *report)
{
    (void)report;
    reports++;
}

void race_fail(const char *format, ...)
{
    va_list arguments;
    if (failures++ > 0)
        return;
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
}

int race_goes_on(void)
{
    return failures == 0 && !(ends_at_report && reports > 0);
}

int64_t race_guard(void)
{
    return ends_at_report ? INT64_C(1000000000) : INT64_C(60000000000);
}

void race_count(uint64_t messages)
{
    messages_read += messages;
}

uint64_t race_random(uint64_t *state)
{
    uint64_t value = *state += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

uint64_t race_seed(void)
{
    uint64_t state = seeds++;
    return race_random(&state);
}

void race_await(uint32_t signal, uint64_t value)
{
    while (race_goes_on() && share_signalled(signal) < value)
        sched_yield();
}

static void *begin(void *context)
{
    const struct race_thread *thread = context;
    thread->body(thread->context);
    return NULL;
}

void race_run(const struct race_thread *threads, uint32_t count)
{
    pthread_t started[THREADS_MAX];
    for (uint32_t i = 0; i < count; i++) {
        if (pthread_create(&started[i], NULL, begin, (void *)(uintptr_t)&threads[i]) != 0) {
            perror("pthread_create");
            exit(2);
        }
    }
    for (uint32_t i = 0; i < count; i++)
        pthread_join(started[i], NULL);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* One scenario, all its rounds. Returns whether it passed. */
static int run(const struct scenario *scenario, uint64_t *rounds_run)
{
    double began = seconds();
    uint32_t before = reports;
    uint64_t rounds = 0;
    failures = 0;
    for (; rounds < scenario->rounds * times && race_goes_on(); rounds++) {
        for (uint32_t i = 0; i < SHARE_SIGNALS; i++)
            share_signal(i, 0);
        scenario->run();
        shmbus_unlink(RACE_BUS, NULL);
        uint32_t left = share_left();
        if (left > 0)
            race_fail("%" PRIu32 " mappings or descriptors were left", left);
        /* What a weak place does besides is no matter. */
        if (ends_at_report)
            failures = 0;
    }
    *rounds_run += rounds;
    uint32_t raced = reports - before;
    if (failures > 0)
        printf("FAIL %s: round %" PRIu64 ": %s\n", scenario->name, rounds, why);
    else if (raced > 0)
        printf("FAIL %s: %" PRIu32 " races were reported, see above\n", scenario->name, raced);
    else
        printf("PASS %s: %" PRIu64 " rounds, %.1f s\n", scenario->name, rounds, seconds() - began);
    fflush(stdout);
    return failures == 0 && raced == 0;
}

static int is_wanted(const struct scenario *scenario, char **names, int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], scenario->name) == 0)
            return 1;
    return count == 0;
}

/* FILE:FROM:TO[:late] */
static void take_place(char *text)
{
    struct weaken_place place = {.file = strtok(text, ":")};
    const char *from = strtok(NULL, ":");
    const char *to = strtok(NULL, ":");
    place.from = from != NULL ? atoi(from) : 0;
    place.to = to != NULL ? atoi(to) : 0;
    place.is_late = strtok(NULL, ":") != NULL;
    weaken_set(&place);
    ends_at_report = 1;
}

static int run_all(char **names, int count)
{
    uint32_t scenarios = 0;
    uint64_t rounds = 0;
    int failed = 0;
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
        for (const struct scenario *scenario = groups[i]; scenario->name != NULL; scenario++) {
            if (!is_wanted(scenario, names, count))
                continue;
            scenarios++;
            failed += !run(scenario, &rounds);
        }
    printf("race: %" PRIu32 " scenarios, %" PRIu64 " rounds, %" PRIu64 " messages read, %" PRIu32
           " races, %d failed, weak place come by %" PRIu64 " times\n",
           scenarios, rounds, (uint64_t)messages_read, (uint32_t)reports, failed, weaken_come_by());
    return scenarios > 0 ? failed : 1;
}

int main(int argc, char **argv)
{
    int at = 1;
    for (; at < argc && argv[at][0] == '-'; at++) {
        if (strcmp(argv[at], "--list") == 0) {
            for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
                for (const struct scenario *one = groups[i]; one->name != NULL; one++)
                    puts(one->name);
            return 0;
        }
        if (at + 1 == argc)
            break;
        if (strcmp(argv[at], "--times") == 0)
            times = strtoull(argv[++at], NULL, 0);
        else if (strcmp(argv[at], "--weak") == 0)
            take_place(argv[++at]);
    }
    return run_all(argv + at, argc - at) > 0;
}
